"""From recoil energy to bins of reconstructed energy in a xenon detector: a Gaussian resolution and a tabulated efficiency.

Plain numbers: nothing here depends on nuisances, and spectra of recoil electrons are smooth over a resolution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtr

from nmmfit.errors import DataError
from nmmfit.physics.detector import bin_nodes

# Recoils below give no event in a window that begins at 1 keV: the resolutions there are at most 0.1 keV.
LOWEST_RECOIL_KEV = 0.1
# Recoils above the window by this many standard deviations do not reach it.
REACH_SIGMA = 7.0
# Widest panel of reconstructed energy, keV, and its Gauss-Legendre nodes.
_PANEL_KEV, _PANEL_ORDER = 0.2, 4


@dataclass(frozen=True)
class XenonResponse:
    """Resolution and efficiency.

    `sigma_kev(T)`: standard deviation of the reconstructed energy, keV. `energy_kev`, `efficiency` (knot,): a curve, straight
    between its points; `of` "recoil": of the true energy, "reconstructed": of the smeared one. Beyond its ends it is 0 below and
    stays at its last value above. `corners_kev`: energies at which the resolution has a corner.
    """

    sigma_kev: Callable[[np.ndarray], np.ndarray]
    energy_kev: np.ndarray
    efficiency: np.ndarray
    of: Literal["recoil", "reconstructed"]
    corners_kev: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if np.any(np.diff(self.energy_kev) <= 0.0) or np.any(self.efficiency < 0.0) or np.any(self.efficiency > 1.0):
            raise DataError("efficiency: energies must increase and values lie between 0 and 1")

    def efficiency_at(self, energy_kev: np.ndarray) -> np.ndarray:
        """The curve at energies in keV."""
        return np.interp(energy_kev, self.energy_kev, self.efficiency, left=0.0)

    def matrix(self, t_kev: np.ndarray, edges_kev: np.ndarray) -> np.ndarray:
        """(bin, recoil): probability that a recoil of energy T, keV, is selected and found in a bin."""
        t, edges = np.asarray(t_kev, dtype=float), np.asarray(edges_kev, dtype=float)
        sigma = self.sigma_kev(t)
        if self.of == "recoil":
            return self.efficiency_at(t) * np.diff(ndtr((edges[:, None] - t) / sigma), axis=0)
        # Bins cut at the points of the curve, so that it is straight within a panel.
        inner = self.energy_kev[(self.energy_kev > edges[0]) & (self.energy_kev < edges[-1])]
        cuts = np.unique(np.concatenate([edges, inner]))
        nodes = bin_nodes(cuts, _PANEL_KEV, _PANEL_ORDER)
        z = (nodes.x[:, None] - t) / sigma
        density = np.exp(-0.5 * z**2) / (np.sqrt(2.0 * np.pi) * sigma)
        weight = nodes.weight * self.efficiency_at(nodes.x)
        sums = np.zeros((len(edges) - 1, len(nodes.x)))
        sums[np.searchsorted(edges, nodes.x, side="right") - 1, np.arange(len(nodes.x))] = weight
        return sums @ density

    def highest_recoil_kev(self, edges_kev: np.ndarray) -> float:
        """Recoil energy, keV, above which nothing falls below the last edge. Raises: DataError if there is none."""
        top = float(edges_kev[-1])
        t = np.linspace(top, 4.0 * top, 3001)
        beyond = t - REACH_SIGMA * self.sigma_kev(t) > top
        if not beyond[-1]:
            raise DataError(f"resolution: recoils of {t[-1]:g} keV still reach the window, which ends at {top:g} keV")
        return float(t[np.argmax(beyond)])

    def resolutions(self, lower_kev: float, upper_kev: float) -> float:
        """How many standard deviations lie between two energies."""
        t = np.linspace(lower_kev, upper_kev, 41)
        return float(np.trapezoid(1.0 / self.sigma_kev(t), t))


def square_root_resolution(a: float, b: float = 0.0) -> Callable[[np.ndarray], np.ndarray]:
    """sigma = a sqrt(E) + b E, keV, with a in sqrt(keV)."""
    return lambda t: a * np.sqrt(t) + b * np.asarray(t)


def polynomial_resolution(coefficients: tuple[float, ...], last_kev: float) -> Callable[[np.ndarray], np.ndarray]:
    """sigma = sum_k c_k E^k, keV, up to an energy, and what it is there above: polynomials do not reach beyond their fit."""
    return lambda t: np.polynomial.polynomial.polyval(np.minimum(t, last_kev), coefficients)


def rising(values: np.ndarray) -> np.ndarray:
    """A curve without its descents: the largest value so far."""
    return np.maximum.accumulate(values)


def flat_fold(response: XenonResponse, edges_kev: np.ndarray) -> np.ndarray:
    """Counts per bin (bin,) of a spectrum that is 1 per keV at all recoil energies."""
    step = 0.01
    t = np.arange(0.5 * step, response.highest_recoil_kev(edges_kev), step)
    return response.matrix(t, edges_kev).sum(axis=1) * step
