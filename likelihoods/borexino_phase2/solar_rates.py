"""Solar-neutrino counts per bin in Borexino: exposure, recoils that matter, and the response applied to folded kernels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from likelihoods.borexino_phase2.inputs import ELECTRONS_PER_100T, EXPOSURE_DAY_100T
from likelihoods.borexino_phase2.massive import heavy_recoils
from likelihoods.borexino_phase2.response import HIGHEST_RECOIL_MEV, LOWEST_RECOIL_MEV, SHAPE_PULLS, response_matrix
from nmmfit.experiment import Factor
from nmmfit.physics import massive_electrons, solar_electrons
from nmmfit.physics.massive_electrons import FLOATED_DENSITY_NODES, HeavyKernel, RecoilRange
from nmmfit.physics.solar_electrons import FoldedKernel, RecoilGrid, density_nodes
from nmmfit.physics.sources import NeutrinoSource
from nmmfit.solar_experiment import solar_factor
from nmmfit.units import SECONDS_PER_DAY

ELECTRON_SECONDS = EXPOSURE_DAY_100T.value * SECONDS_PER_DAY * ELECTRONS_PER_100T.value


def _resolutions(lower_mev: float, upper_mev: float) -> float:
    """How many standard deviations lie between two energies: the resolution is near 30 keV sqrt(T / 0.3 MeV)."""
    return 2.0 * (math.sqrt(upper_mev) - math.sqrt(lower_mev)) * math.sqrt(0.3) / 0.030


def recoil_grid(sources: Iterable[NeutrinoSource]) -> RecoilGrid:
    """Quadrature over the recoils that Borexino sees."""
    return solar_electrons.recoil_grid(sources, LOWEST_RECOIL_MEV, HIGHEST_RECOIL_MEV, _resolutions)


def fold_kernels(
    sources: Mapping[str, NeutrinoSource], fluxes_cm2_s: Mapping[str, float], grid: RecoilGrid, radiative: str
) -> dict[str, FoldedKernel]:
    """`solar_electrons.fold_kernels` with Borexino's exposure."""
    return solar_electrons.fold_kernels(sources, fluxes_cm2_s, grid, radiative, ELECTRON_SECONDS, LOWEST_RECOIL_MEV)


def massive_kernels(
    sources: Mapping[str, NeutrinoSource],
    kernels: Mapping[str, FoldedKernel],
    fluxes_cm2_s: Mapping[str, float],
    m_n_mev: float | tuple[float, float],
) -> dict[str, HeavyKernel]:
    """Kernels of a massive N of every component, none for massless ones.

    Args:
        sources, fluxes_cm2_s: normalised sources and their fluxes before oscillation.
        kernels: those of massless final states.
        m_n_mev: mass of N, MeV, or the range in which it floats.
    """
    if m_n_mev == 0.0:
        return {}
    energies = {name: kernel.energy_mev for name, kernel in kernels.items()}
    if isinstance(m_n_mev, tuple):
        energies = {name: density_nodes(source, LOWEST_RECOIL_MEV, FLOATED_DENSITY_NODES) for name, source in sources.items()}
    nominal = dict.fromkeys(SHAPE_PULLS, jnp.asarray(0.0))
    response = np.asarray(jax.jit(response_matrix)(heavy_recoils().t_mev, nominal)) if isinstance(m_n_mev, tuple) else np.zeros(0)
    ranges = (RecoilRange(heavy_recoils(), ELECTRON_SECONDS),)
    return massive_electrons.massive_kernels(sources, energies, fluxes_cm2_s, m_n_mev, ranges, response)


def borexino_factor(source: NeutrinoSource, kernel: FoldedKernel, grid: RecoilGrid, heavy: HeavyKernel | None = None) -> Factor:
    """Counts per bin of one component at its nominal flux; `heavy`: kernels of a massive N, None for massless N."""
    return solar_factor(
        source,
        kernel,
        lambda pulls: response_matrix(jnp.asarray(grid.t_mev), pulls),
        SHAPE_PULLS,
        heavy,
        None if heavy is None else lambda pulls: response_matrix(jnp.asarray(heavy_recoils().t_mev), pulls),
    )
