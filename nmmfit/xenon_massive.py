"""Rates of a massive N on the electrons of xenon, for one mass: recoil nodes between the steps of bound electrons."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from nmmfit.numerics.chebyshev import chebyshev_nodes
from nmmfit.physics.massive import RecoilNodes
from nmmfit.physics.massive_electrons import HeavyKernel, RecoilRange, massive_kernels
from nmmfit.physics.sources import NeutrinoSource

# Nodes of the response in a range: some for its ends and some per standard deviation; and how many more the quadrature has.
_END_NODES, _NODES_PER_SIGMA, _MORE_NODES = 8, 2.5, 40


def recoil_ranges(
    edges_mev: Sequence[float], resolutions: Callable[[float, float], float], electrons: Callable[[np.ndarray], np.ndarray]
) -> tuple[RecoilRange, ...]:
    """Ranges of recoils with Chebyshev nodes in sqrt(T), in which the resolution is nearly constant.

    Args:
        edges_mev: ends of the ranges, increasing: where electrons begin to take part, or an efficiency bends.
        resolutions: (lower, upper), MeV -> how many standard deviations lie between.
        electrons: energies, MeV -> electrons that take part, constant within a range.
    """
    found = []
    for low, high in pairwise(edges_mev):
        count = math.ceil(_END_NODES + _NODES_PER_SIGMA * resolutions(low, high))
        a, b = math.sqrt(low), math.sqrt(high)
        root = 0.5 * (a + b) + 0.5 * (b - a) * chebyshev_nodes(count)
        number = float(electrons(np.asarray([0.5 * (low + high)]))[0])
        found.append(RecoilRange(RecoilNodes(root**2, np.sqrt, low, high), number, 2 * count + _MORE_NODES))
    return tuple(found)


def heavy_kernels(
    sources: Mapping[str, NeutrinoSource],
    energies_mev: Mapping[str, np.ndarray],
    fluxes_cm2_s: Mapping[str, float],
    m_n_mev: float,
    ranges: Sequence[RecoilRange],
) -> tuple[np.ndarray, dict[str, HeavyKernel]]:
    """Recoil nodes of all ranges, MeV, and the kernels of every component there, before the response.

    Args:
        sources, fluxes_cm2_s: normalised sources and their fluxes before oscillation.
        energies_mev: component -> energies at which its density matrix is known.
        m_n_mev: mass of N, MeV, > 0.
        ranges: of recoils.
    """
    t_mev = np.concatenate([part.nodes.t_mev for part in ranges])
    # The response matters for masses that float only.
    return t_mev, massive_kernels(sources, energies_mev, fluxes_cm2_s, m_n_mev, ranges, np.zeros(0))
