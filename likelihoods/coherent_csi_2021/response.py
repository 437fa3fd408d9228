"""Detector response of COHERENT CsI[Na]: recoil energy -> light -> smeared photoelectrons -> efficiency -> analysis bins.

    counts_b = int_b dx eff(x) int dT (dN/dT) f(x | E_ee(T)),   E_ee(T) = a T + b T^2 + c T^3 + d T^4,
    f = Gamma density of mean E_ee / 0.0749 and shape 1 + 9.56 E_ee (E_ee in keV), eff = logistic curve, 0 where negative

Both integrals are Gauss-Legendre sums on fixed nodes; pulls move E_ee and eff at the nodes, so that the result is analytic
in them. The nodes keep every bin to 1e-7 of its content, at all pulls within +-4 standard deviations; with the 1 / T^2 of a
millicharge to 4e-6, where the efficiency pull has emptied the first bin, and to 1e-8 of the largest bin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nmmfit.experiment import Pulls, Weighting
from nmmfit.physics.detector import (
    BinNodes,
    bin_nodes,
    gamma_density,
    linear_morph,
    logistic_efficiency,
    polynomial_quenching,
    principal_direction,
    smooth_positive,
)
from nmmfit.shapes import Array
from nmmfit.tables import Table
from nmmfit.units import KEV_PER_MEV

NAME = "coherent_csi_2021"
QF0, QF1, EFFICIENCY = f"{NAME}.qf0", f"{NAME}.qf1", f"{NAME}.efficiency"

# Smearing of arXiv:2110.07730: a = 0.0749 keV / E_ee (so that the mean is 13.35 photoelectrons per keV), b = 9.56 E_ee / keV.
KEV_PER_PHOTOELECTRON = 0.0749
SHAPE_PER_KEV = 9.56

# The released efficiency curves are negative below 6.3 (+1 sigma), 7.1 and 7.8 (-1 sigma) photoelectrons, where they are to be
# read as 0. That kink moves with the pull across the edge of the first bin, at -1.2 sigma; smearing it by 0.03 in efficiency,
# half of the released uncertainty there, keeps every derivative smooth and adds 0.15 % to the yield (0.5 of 325 events).
KINK_WIDTH = 0.03

# Mean shift of the yield (SM, in the window) by the two released efficiency curves, against the published 4.1 %.
PUBLISHED_EFFICIENCY_SCALE = 0.041 / 0.1065

_ORDER = 6
# Panels of 1 PE in the first two bins resolve the kink at any pull.
_PANEL_WIDTHS = (1.0, 1.0, 4.0, 4.0, 4.0, 8.0, 8.0, 10.0, 10.0)
LOWEST_RECOIL_MEV = 1e-4
"""0.1 keV make 0.1 photoelectrons on average; nine are needed to be seen."""


@dataclass(frozen=True)
class Response:
    """Response parameters and quadrature nodes; `counts` smears a recoil spectrum and weights it into analysis bins."""

    quenching: np.ndarray
    """(4,) nominal coefficients, MeV^(-k)."""
    quenching_directions: tuple[np.ndarray, np.ndarray]
    """Change per standard deviation of qf0 and qf1, each (4,)."""
    efficiency: np.ndarray
    efficiency_direction: np.ndarray
    nodes: BinNodes
    pulls: tuple[str, ...] = (QF0, QF1)
    lowest_recoil_mev: float = LOWEST_RECOIL_MEV

    def light_kev(self, t_mev: np.ndarray, pulls: Pulls) -> Array:
        """Electron-equivalent energy, keV, of recoils of `t_mev`, (recoil,)."""
        coefficients = linear_morph(self.quenching, self.quenching_directions, (pulls[QF0], pulls[QF1]))
        return polynomial_quenching(t_mev, coefficients) * KEV_PER_MEV

    def efficiency_curve(self, x_pe: Array | np.ndarray, pulls: Pulls) -> Array:
        """Detection efficiency at reconstructed energies, photoelectrons; positive."""
        coefficients = linear_morph(self.efficiency, (self.efficiency_direction,), (pulls[EFFICIENCY],))
        return smooth_positive(logistic_efficiency(x_pe, coefficients), KINK_WIDTH)

    def smeared(self, recoils: Array, t_mev: np.ndarray, pulls: Pulls) -> Array:
        """Reconstructed spectrum at the nodes, counts per photoelectron before efficiency, (node,).

        Args:
            recoils: recoils at each node: spectrum times quadrature weight, (recoil,).
            t_mev: recoil energies of the nodes, MeV, (recoil,).
            pulls: values of qf0 and qf1.
        """
        light = self.light_kev(t_mev, pulls)
        return gamma_density(self.nodes.x[:, None], light / KEV_PER_PHOTOELECTRON, SHAPE_PER_KEV * light) @ recoils

    def weighting(self) -> Weighting:
        """Efficiency at the nodes and their sum into analysis bins."""
        return Weighting(self.efficiency_curve, self.nodes.x, self.nodes.matrix(), (EFFICIENCY,))


def read_response(coefficients: Table, energy_edges_pe: np.ndarray, efficiency_pull: str) -> Response:
    """Response from the table of coefficients.

    Args:
        coefficients: table with columns kind, set, a, b, c, d.
        energy_edges_pe: analysis bins, photoelectrons.
        efficiency_pull: "released" or "published_4_1_percent".
    Raises: DataError if a pair of shifted sets is not symmetric about the nominal, which a linear morph needs.
    """
    values = np.stack([coefficients[k] for k in "abcd"], axis=-1)
    kinds, names = coefficients["kind"], coefficients["set"]
    light = {str(n): v for k, n, v in zip(kinds, names, values, strict=True) if k == "quenching"}
    found = {str(n): v for k, n, v in zip(kinds, names, values, strict=True) if k == "efficiency"}
    scale = PUBLISHED_EFFICIENCY_SCALE if efficiency_pull == "published_4_1_percent" else 1.0

    def direction(sets: dict[str, np.ndarray], name: str) -> np.ndarray:
        return principal_direction(sets["nominal"], sets[f"{name}_plus"], sets[f"{name}_minus"], f"{coefficients.where}: {name}")

    return Response(
        quenching=light["nominal"],
        quenching_directions=(direction(light, "qf0"), direction(light, "qf1")),
        efficiency=found["nominal"],
        efficiency_direction=scale * direction(found, "efficiency"),
        nodes=bin_nodes(energy_edges_pe, np.array(_PANEL_WIDTHS), _ORDER),
    )
