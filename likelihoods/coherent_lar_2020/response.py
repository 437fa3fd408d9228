"""Response of CENNS-10 to nuclear recoils: light, resolution and acceptance, in bins of reconstructed energy.

    counts_b = int_b dx eff(x) int dT (dN/dT) N(x; E_ee(T), 0.58 sqrt(E_ee / keV) keV),   E_ee = (a + b T) T

The acceptance is tabulated against energy in keVee. Taken at the reconstructed energy, as here, the Standard Model's energy
distribution is closer to the released one than taken at the true energy (which would give 1 % more events).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from nmmfit.experiment import Pulls
from nmmfit.physics.detector import bin_nodes, linear_morph, polynomial_quenching
from nmmfit.shapes import Array
from nmmfit.tables import Table
from nmmfit.units import KEV_PER_MEV

NAME = "coherent_lar_2020"
QF_OFFSET, QF_SLOPE = f"{NAME}.qf_offset", f"{NAME}.qf_slope"

# Release (LArParametersAnlA.yaml): QF = 0.246(6) + 0.00078(9) T / keV, no correlation given; sigma / E = 0.58 / sqrt(E / keV).
QUENCHING_OFFSET, QUENCHING_OFFSET_ERROR = 0.246, 0.006
QUENCHING_SLOPE_PER_KEV, QUENCHING_SLOPE_ERROR_PER_KEV = 0.00078, 0.00009
RESOLUTION_AT_1_KEV = 0.58

LOWEST_RECOIL_MEV = 1e-4
"""0.1 keV make 0.025 keVee, ten standard deviations below the first energy with an acceptance, 0.75 keVee."""

# Between the table's energies, 0.25, 0.75, ... keVee, the acceptance is linear; above, only the resolution (3 keV) sets a scale.
_ORDER, _FINE_KEE, _FINE_WIDTH_KEE, _COARSE_WIDTH_KEE = 3, 40.0, 0.25, 2.5
_SQRT_2PI = math.sqrt(2.0 * math.pi)


@dataclass(frozen=True)
class Response:
    """Quadrature nodes in reconstructed energy; `smeared` makes counts per bin of energy, for each of `cells`."""

    x_kee: np.ndarray
    matrix: np.ndarray
    """(energy bin, node): quadrature weight times acceptance."""
    cells: np.ndarray
    """(cell,): the bin of energy that each cell of energy and F90 belongs to."""
    pulls: tuple[str, ...] = (QF_OFFSET, QF_SLOPE)
    lowest_recoil_mev: float = LOWEST_RECOIL_MEV

    def light_kee(self, t_mev: np.ndarray, pulls: Pulls) -> Array:
        """Electron-equivalent energy, keVee, of recoils of `t_mev`, (recoil,)."""
        per_mev = np.array([QUENCHING_OFFSET, QUENCHING_SLOPE_PER_KEV * KEV_PER_MEV])
        directions = (
            np.array([QUENCHING_OFFSET_ERROR, 0.0]),
            np.array([0.0, QUENCHING_SLOPE_ERROR_PER_KEV * KEV_PER_MEV]),
        )
        coefficients = linear_morph(per_mev, directions, (pulls[QF_OFFSET], pulls[QF_SLOPE]))
        return polynomial_quenching(t_mev, coefficients) * KEV_PER_MEV

    def smeared(self, recoils: Array, t_mev: np.ndarray, pulls: Pulls) -> Array:
        """Counts (cell,), those of an energy bin in each of its cells of F90.

        Args:
            recoils: recoils at each node: spectrum times quadrature weight, (recoil,).
            t_mev: recoil energies of the nodes, MeV, (recoil,).
            pulls: values of the two quenching pulls.
        """
        light = self.light_kee(t_mev, pulls)
        sigma = RESOLUTION_AT_1_KEV * jnp.sqrt(light)
        density = jnp.exp(-0.5 * ((self.x_kee[:, None] - light) / sigma) ** 2) / (_SQRT_2PI * sigma)
        return (jnp.asarray(self.matrix) @ (density @ recoils))[self.cells]


def read_response(efficiency: Table, energy_edges_kee: np.ndarray, cells: np.ndarray) -> Response:
    """Response from the table of acceptances, linear between bin centres and constant beyond the last, 39.75 keVee.

    Above it are 0.3 % of the Standard Model's counts. `cells`: as in `Response`.
    """
    widths = np.where(energy_edges_kee[1:] <= _FINE_KEE, _FINE_WIDTH_KEE, _COARSE_WIDTH_KEE)
    nodes = bin_nodes(energy_edges_kee, widths, _ORDER)
    acceptance = np.interp(nodes.x, efficiency["energy_kee"], efficiency["efficiency"], left=0.0)
    return Response(nodes.x, nodes.matrix() * acceptance, cells)
