"""Response of the CsI[Na] detector as released in 2017: light, Poisson numbers of photoelectrons, acceptance.

    counts_n = eff(n + 1/2) int dT (dN/dT) Poisson(n; 13.348 PE/keVee E_ee(T)),   n = 6, ..., 29

in bins of one photoelectron, two of which make a bin of the data. The release evaluates the acceptance in the middle of bins of
one photoelectron; that n photoelectrons lie in the bin from n to n + 1 is a choice, which gives 98 % of the published prediction
(from n - 1 to n: 85 %).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from nmmfit.experiment import Pulls, Weighting
from nmmfit.physics.detector import (
    linear_morph,
    logistic_efficiency,
    poisson_probabilities,
    polynomial_quenching,
    principal_direction,
)
from nmmfit.physics.quenching import ConstantFactor
from nmmfit.shapes import Array
from nmmfit.tables import Table
from nmmfit.units import KEV_PER_MEV

NAME = "coherent_csi_2017"
QF, QF0, QF1 = f"{NAME}.qf", f"{NAME}.qf0", f"{NAME}.qf1"
EFFICIENCY_PULLS = (f"{NAME}.efficiency_plateau", f"{NAME}.efficiency_steepness", f"{NAME}.efficiency_onset")

# Release (coherent_parameters.yaml).
PHOTOELECTRONS_PER_KEE = 13.348
FLAT_QUENCHING, FLAT_QUENCHING_ERROR = 0.0878, 0.0166
# a / (1 + exp(-k (x - x0))), x in photoelectrons; errors (+0.0212, -0.0384), (+0.0335, -0.0131), (+0.1838, -0.3995), of which the
# mean is taken, as independent (no correlation is given). The window begins above the step at 5 to 6 photoelectrons.
EFFICIENCY = np.array([0.6655, 0.4942, 10.8507, 0.0])
EFFICIENCY_ERRORS = (0.5 * (0.0212 + 0.0384), 0.5 * (0.0335 + 0.0131), 0.5 * (0.1838 + 0.3995))

LOWEST_RECOIL_MEV = 1e-4
"""0.1 keV make 0.12 photoelectrons on average; six are needed."""


@dataclass(frozen=True)
class Response:
    """Numbers of photoelectrons in the window, and the light of a recoil."""

    photoelectrons: np.ndarray
    """(fine,) whole numbers."""
    light: Callable[[np.ndarray, Pulls], Array]
    """(recoil energies in MeV, pulls) -> electron-equivalent energies in MeV."""
    pulls: tuple[str, ...]
    describe: str
    lowest_recoil_mev: float = LOWEST_RECOIL_MEV

    def smeared(self, recoils: Array, t_mev: np.ndarray, pulls: Pulls) -> Array:
        """Expected numbers for each number of photoelectrons, before acceptance, (fine,); arguments as in `RecoilResponse`."""
        mean = PHOTOELECTRONS_PER_KEE * KEV_PER_MEV * self.light(t_mev, pulls)
        return poisson_probabilities(self.photoelectrons, mean) @ recoils

    def weighting(self, energy_edges_pe: np.ndarray) -> Weighting:
        """Acceptance of each number of photoelectrons, and their sum into analysis bins."""
        middle = self.photoelectrons + 0.5
        inside = (middle > energy_edges_pe[:-1, None]) & (middle < energy_edges_pe[1:, None])
        return Weighting(acceptance, middle, inside.astype(float), EFFICIENCY_PULLS)


def acceptance(x_pe: Array | np.ndarray, pulls: Pulls) -> Array:
    """Acceptance at energies in photoelectrons, any shape."""
    directions = tuple(error * np.eye(4)[k] for k, error in enumerate(EFFICIENCY_ERRORS))
    return logistic_efficiency(x_pe, linear_morph(EFFICIENCY, directions, tuple(pulls[p] for p in EFFICIENCY_PULLS)))


def response_of(quenching: str, energy_edges_pe: np.ndarray, newer: Table) -> Response:
    """Response with the quenching "flat_2017", or "polynomial_2021" of a table with columns set, a, b, c, d."""
    photoelectrons = np.arange(energy_edges_pe[0], energy_edges_pe[-1])
    if quenching == "flat_2017":
        flat = ConstantFactor(FLAT_QUENCHING, FLAT_QUENCHING_ERROR, "released with arXiv:1708.01294")
        return Response(photoelectrons, lambda t, pulls: flat(t, pulls[QF]), (QF,), flat.describe())
    sets = {str(name): np.array([newer[k][i] for k in "abcd"]) for i, name in enumerate(newer["set"])}
    directions = tuple(
        principal_direction(sets["nominal"], sets[f"{q}_plus"], sets[f"{q}_minus"], f"{newer.where}: {q}") for q in ("qf0", "qf1")
    )

    def light(t_mev: np.ndarray, pulls: Pulls) -> Array:
        return polynomial_quenching(jnp.asarray(t_mev), linear_morph(sets["nominal"], directions, (pulls[QF0], pulls[QF1])))

    return Response(photoelectrons, light, (QF0, QF1), "polynomial of arXiv:2110.07730")
