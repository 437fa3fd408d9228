"""A neutrino source: a normalised energy spectrum (lines or continuous) and the flavour density matrix of what arrives.

One language for every source: the spectrum and its quadrature are numbers, fixed when a model is built; the density matrix may
depend on mixing parameters and is traced.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from nmmfit import precision as precision
from nmmfit.errors import UserInputError
from nmmfit.numerics.quadrature import gauss_legendre, gauss_legendre_smooth_ends
from nmmfit.physics.oscillation import OscillationParameters
from nmmfit.physics.rates import SourceNodes
from nmmfit.shapes import Array

FLAVOURS = ("e", "mu", "tau")
DEFAULT_ORDER, PANEL_ORDER = 40, 3

Density = Callable[[Array, OscillationParameters | None], Array]
"""(energies in MeV (...), mixing parameters or None for the default) -> density matrices, broadcastable to (..., 3, 3)."""


@dataclass(frozen=True)
class NeutrinoSource:
    """A source with a spectrum normalised to 1; the flux multiplies outside.

    Either lines (`lines_mev`, `branching` with sum 1) or a continuous spectrum (`spectrum`, per MeV, on [0, e_max_mev], a
    function of numpy arrays that is zero outside). `smooth_ends` chooses the quadrature: True for spectra that end like a
    square root (beta decay), False for polynomials (muon decay), where plain Gauss-Legendre needs fewer nodes. A spectrum that
    is smooth between some energies only (a sum over thousands of beta branches, tabulated) names them: `panels_mev`, increasing
    from its lowest energy to e_max_mev; each panel then has nodes of its own.
    """

    name: str
    antineutrino: bool
    e_max_mev: float
    density: Density
    lines_mev: tuple[float, ...] = ()
    branching: tuple[float, ...] = ()
    spectrum: Callable[[np.ndarray], np.ndarray] | None = None
    smooth_ends: bool = True
    panels_mev: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        panels = np.asarray(self.panels_mev)
        if len(panels) and (np.any(np.diff(panels) <= 0.0) or panels[-1] != self.e_max_mev):
            raise UserInputError(f"source {self.name!r}: panels must increase and end at {self.e_max_mev:g} MeV")
        if bool(self.lines_mev) == (self.spectrum is not None):
            raise UserInputError(f"source {self.name!r}: needs either lines or a continuous spectrum")
        if len(self.lines_mev) != len(self.branching):
            raise UserInputError(f"source {self.name!r}: every line needs its branching fraction")

    def quadrature(self, e_min_mev: ArrayLike = 0.0, order: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Energies and weights above a threshold: sum(weight * f(energy)) is the integral of spectrum * f above it.

        Args:
            e_min_mev: thresholds E_min(T), MeV, any shape (...), usually (recoil,).
            order: nodes of a continuous spectrum; 40, the default, give 1e-8 of the total for the Sun's spectra, 8 are exact
                for muon decay times a polynomial of degree 12. With panels: nodes of each, by default 3.
        Returns: (energy_mev, weight). Continuous: both (..., order), or (..., panel * order); a threshold above the endpoint
            gives zero weights at the endpoint. Lines: energy (line,), weight (..., line) = branching where E >= E_min, else 0,
            a step: put a breakpoint of the recoil grid at the largest recoil of each line.
        """
        e_min = np.asarray(e_min_mev, dtype=float)
        if not np.all(np.isfinite(e_min)):
            raise UserInputError(f"source {self.name!r}: thresholds must be finite")
        if self.spectrum is None:
            lines = np.asarray(self.lines_mev)
            return lines, np.asarray(self.branching) * (lines >= e_min[..., None])
        low = np.clip(e_min, 0.0, self.e_max_mev)
        if self.panels_mev:
            all_edges = np.asarray(self.panels_mev)
            # panels below every threshold are left out
            first = min(int(np.searchsorted(all_edges, np.min(low), side="right")), len(all_edges) - 1) - 1
            edges = np.maximum(all_edges[max(first, 0) :], low[..., None])
            energy, weight = gauss_legendre(order or PANEL_ORDER, edges[..., :-1], edges[..., 1:])
            energy, weight = (x.reshape(*low.shape, -1) for x in (energy, weight))
        else:
            rule = gauss_legendre_smooth_ends if self.smooth_ends else gauss_legendre
            energy, weight = rule(order or DEFAULT_ORDER, low, self.e_max_mev)
        return energy, weight * self.spectrum(energy)

    def nodes(
        self,
        e_min_mev: ArrayLike = 0.0,
        oscillation: OscillationParameters | None = None,
        order: int | None = None,
    ) -> SourceNodes:
        """Quadrature nodes with the density matrix at each, for `rates.recoil_spectrum`.

        Args:
            e_min_mev, order: as in `quadrature`; numbers, never traced.
            oscillation: mixing parameters, may be traced; None for the default preset.
        Returns: nodes whose weights sum to the part of the spectrum above e_min_mev (1 for a threshold of 0).
        """
        energy, weight = self.quadrature(e_min_mev, order)
        energies = jnp.asarray(energy)
        return SourceNodes(
            energy_mev=energies,
            weight=jnp.asarray(weight),
            density=self.density(energies, oscillation),
            antineutrino=self.antineutrino,
        )

    def mean_density(self, oscillation: OscillationParameters | None = None, e_min_mev: float = 0.0) -> Array:
        """Density matrix averaged over the spectrum above a threshold, (3, 3), trace 1: what an effective moment refers to.

        Args: as in `nodes`; the threshold must leave some of the spectrum. Raises: UserInputError if it does not.
        """
        nodes = self.nodes(e_min_mev, oscillation)
        total = float(self.quadrature(e_min_mev)[1].sum())
        if total <= 0.0:
            raise UserInputError(f"source {self.name!r}: nothing above {e_min_mev:g} MeV")
        return jnp.sum(nodes.weight[..., None, None] * nodes.density, axis=-3) / total


def flavour_projector(flavour: str) -> np.ndarray:
    """Density matrix of a pure flavour state, (3, 3). Raises: UserInputError unless flavour is "e", "mu" or "tau"."""
    if flavour not in FLAVOURS:
        raise UserInputError(f"flavour must be one of {', '.join(FLAVOURS)}, got {flavour!r}")
    projector = np.zeros((3, 3), dtype=complex)
    projector[FLAVOURS.index(flavour), FLAVOURS.index(flavour)] = 1.0
    return projector


def pure_flavour(flavour: str) -> Density:
    """Density of a source without oscillation: the projector on one flavour, (1, 3, 3), at every energy."""
    projector = flavour_projector(flavour)[None]

    def density(energy_mev: Array, oscillation: OscillationParameters | None) -> Array:
        return jnp.asarray(projector)

    return density
