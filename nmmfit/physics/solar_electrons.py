"""Solar neutrinos on electrons: kernels folded with fluxes and cross sections onto a grid of recoil energies.

The fold is S(T_r) = S_SM + sum_k S_k, with S_k(T_r) = sum_j M_k(T_r, E_j) Tr[rho(E_j) Q_k]. The density matrix rho is smooth in
the neutrino energy, so that it is needed at a few Chebyshev nodes E_j only (at the energies themselves for lines); M_k holds
flux, cross section, electrons and exposure, integrated over energy against the Lagrange polynomials of these nodes when a model
is built. What a detector makes of S is the experiment's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import jax.numpy as jnp
import numpy as np

from nmmfit.constants import M_ELECTRON_MEV
from nmmfit.kept import kept_or_made, numbers_digest
from nmmfit.numerics.interpolation import lagrange_matrix
from nmmfit.numerics.quadrature import unit_gauss_legendre
from nmmfit.physics import electron, photon
from nmmfit.physics.forms import MASSLESS_ELECTRON_FORMS, N_FLAVOUR, SM_FORMS
from nmmfit.physics.oscillation import oscillation_from_pulls
from nmmfit.physics.rates import SourceNodes
from nmmfit.physics.sources import NeutrinoSource
from nmmfit.run_once import jit_once
from nmmfit.shapes import Array

# Recoil nodes in a panel: between THIN_NODES and EDGE_NODES for its ends, and some per resolution that it spans; energy nodes
# above threshold; Chebyshev nodes in energy for the density matrix, bent by matter effects over a few MeV. Converged to 1e-8 of
# a component's largest bin. Energy nodes are folded once and cost nothing afterwards: so many that Borexino's counts keep 1e-10,
# which far from the data is less than a millionth of the log-likelihood (docs/performance.md, P8).
EDGE_NODES, THIN_NODES, NODES_PER_SIGMA = 16, 6, 2.3
ENERGY_ORDER = 120
DENSITY_NODES, DENSITY_NODES_HIGH_ENERGY, HIGH_ENERGY_MEV = 10, 30, 5.0


def largest_recoil_mev(e_nu_mev: float) -> float:
    """Largest recoil energy of an electron: kinematics.max_recoil_energy in plain numbers, as jax would only add compilation."""
    return 2.0 * e_nu_mev**2 / (M_ELECTRON_MEV.value + 2.0 * e_nu_mev)


def smallest_energy_mev(t_mev: np.ndarray) -> np.ndarray:
    """Smallest neutrino energy for a recoil: kinematics.min_neutrino_energy in plain numbers."""
    return 0.5 * (t_mev + np.sqrt(t_mev * (t_mev + 2.0 * M_ELECTRON_MEV.value)))


@dataclass(frozen=True)
class RecoilGrid:
    """Quadrature over recoil energy, shared by all components: `t_mev` (recoil,), `weight` (recoil,), MeV."""

    t_mev: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True)
class FoldedKernel:
    """Kernels of one component, contracted over energy onto the nodes of the density matrix.

    `sm` (3, recoil, node) and `forms` name -> (recoil, node), or (3, recoil, node) for those of SM_FORMS: counts before the
    response, quadrature weights included.
    """

    energy_mev: np.ndarray
    sm: np.ndarray
    forms: dict[str, np.ndarray]

    def seen(self, response: np.ndarray) -> FoldedKernel:
        """The same with a fixed response (bin, recoil) applied: bins take the place of recoils."""
        return FoldedKernel(self.energy_mev, response @ self.sm, {name: response @ kernel for name, kernel in self.forms.items()})


def recoil_grid(
    sources: Iterable[NeutrinoSource],
    lowest_mev: float,
    highest_mev: float,
    resolutions: Callable[[float, float], float],
    breaks_mev: Iterable[float] = (),
) -> RecoilGrid:
    """Panels between the largest recoils of all lines and spectra, where rates have an edge or end.

    Gauss-Legendre in s after T = lower + (upper - lower) s^3 (10 - 15 s + 6 s^2): the radiative corrections have logarithms at
    the edges, which this turns into something smooth.

    Args:
        sources: all that come in.
        lowest_mev, highest_mev: recoils that matter.
        resolutions: (lower, upper), MeV -> how many standard deviations of the response lie between.
        breaks_mev: where else the rate has steps.
    """
    ends = {largest_recoil_mev(e) for s in sources for e in (s.lines_mev or (s.e_max_mev,))} | set(breaks_mev)
    edges = [lowest_mev, *sorted(e for e in ends if lowest_mev < e < highest_mev), highest_mev]
    nodes, weights = [], []
    for lower, upper in pairwise(edges):
        span = resolutions(lower, upper)
        order = math.ceil(THIN_NODES + (EDGE_NODES - THIN_NODES) * min(1.0, span) + NODES_PER_SIGMA * span)
        s, w = unit_gauss_legendre(order)
        nodes.append(lower + (upper - lower) * s**3 * (10.0 - 15.0 * s + 6.0 * s**2))
        weights.append((upper - lower) * w * 30.0 * s**2 * (1.0 - s) ** 2)
    return RecoilGrid(np.concatenate(nodes), np.concatenate(weights))


def density_nodes(
    source: NeutrinoSource, lowest_mev: float, counts: tuple[int, int] = (DENSITY_NODES, DENSITY_NODES_HIGH_ENERGY)
) -> np.ndarray:
    """Energies in MeV at which the density matrix of a source is needed: its lines, or Chebyshev nodes above threshold.

    Args:
        source: the source.
        lowest_mev: lowest recoil energy, which is the threshold.
        counts: how many nodes, of a spectrum and of one that reaches high energies.
    """
    if source.lines_mev:
        return np.asarray(source.lines_mev)
    count = counts[0] if source.e_max_mev < HIGH_ENERGY_MEV else counts[1]
    lowest = float(smallest_energy_mev(np.asarray(lowest_mev)))
    middle, half = 0.5 * (source.e_max_mev + lowest), 0.5 * (source.e_max_mev - lowest)
    return middle + half * np.cos(np.pi * (np.arange(count) + 0.5) / count)


def _cross_sections(e_nu_mev: Array, t_mev: Array, radiative: str, antineutrino: bool) -> Array:
    vectors = electron.vector_kernels(e_nu_mev, t_mev, radiative, antineutrino)
    kernels = electron.kernels(e_nu_mev, t_mev, antineutrino) | vectors | photon.electron_kernels(vectors, t_mev)
    rows = [jnp.atleast_2d(kernels[n]) for n in MASSLESS_ELECTRON_FORMS]
    return jnp.concatenate([electron.sm_kernel(e_nu_mev, t_mev, radiative, antineutrino), *rows])


def fold_kernels(
    sources: Mapping[str, NeutrinoSource],
    fluxes_cm2_s: Mapping[str, float],
    grid: RecoilGrid,
    radiative: str,
    electron_seconds: float | np.ndarray,
    lowest_mev: float,
) -> dict[str, FoldedKernel]:
    """Kernels of neutrino sources on the recoil grid, by name.

    Args:
        sources: normalised sources of neutrinos; fluxes_cm2_s: their fluxes at the Earth before oscillation.
        grid: recoil quadrature; the contraction includes its weights.
        radiative: option of `electron.sm_kernel`.
        electron_seconds: electrons times live time in s, one number or one per recoil, (recoil,), where binding keeps some out.
        lowest_mev: recoil energy that sets the range of energies at which flavour is followed.
    """
    thresholds = smallest_energy_mev(grid.t_mev)
    rules = {name: source.quadrature(thresholds, ENERGY_ORDER) for name, source in sources.items()}
    energies = {name: np.broadcast_to(energy, weight.shape) for name, (energy, weight) in rules.items()}
    nodes = {name: density_nodes(source, lowest_mev) for name, source in sources.items()}
    of_sources = [(n, s.lines_mev, fluxes_cm2_s[n], energies[n], rules[n][1], nodes[n]) for n, s in sources.items()]
    exposure = np.asarray(electron_seconds)
    told = numbers_digest("electrons", radiative, grid.t_mev, grid.weight, exposure, *(x for each in of_sources for x in each))

    def made() -> dict[str, FoldedKernel]:
        measures = {n: fluxes_cm2_s[n] * exposure[..., None] * grid.weight[:, None] * rules[n][1] for n in sources}
        lagrange = {
            n: np.broadcast_to(np.eye(len(nodes[n])), (*energies[n].shape, len(nodes[n])))
            if source.lines_mev
            else lagrange_matrix(nodes[n], energies[n])
            for n, source in sources.items()
        }
        return _contracted(grid.t_mev, energies, measures, lagrange, nodes, radiative)

    return kept_or_made("folds", told, made)


def _contracted(
    t_mev: np.ndarray,
    energies: Mapping[str, np.ndarray],
    measures: Mapping[str, np.ndarray],
    lagrange: Mapping[str, np.ndarray],
    nodes: Mapping[str, np.ndarray],
    radiative: str,
) -> dict[str, FoldedKernel]:
    """Cross sections contracted onto the density matrix's nodes, by source.

    Args:
        t_mev: (recoil,). energies, measures: (recoil, energy) by source, what each cross section is multiplied with.
        lagrange: (recoil, energy, node). nodes: (node,) MeV.
        radiative: option of `electron.sm_kernel`.
    """
    # All sources in one call: one compilation instead of one for every shape.
    recoils = [np.broadcast_to(t_mev[:, None], e.shape).ravel() for e in energies.values()]
    flattened = np.concatenate([e.ravel() for e in energies.values()]), np.concatenate(recoils)
    compiled = jit_once(_cross_sections, ("radiative", "antineutrino"))
    flat = np.asarray(compiled(*flattened, radiative=radiative, antineutrino=False))
    parts = np.split(flat, np.cumsum([e.size for e in energies.values()])[:-1], axis=1)
    sizes = [N_FLAVOUR if n in SM_FORMS else 1 for n in MASSLESS_ELECTRON_FORMS]
    folded = {}
    for (name, energy), part in zip(energies.items(), parts, strict=True):
        contracted = np.einsum("kre,re,rej->krj", part.reshape(-1, *energy.shape), measures[name], lagrange[name], optimize=True)
        pieces = np.split(contracted[N_FLAVOUR:], np.cumsum(sizes)[:-1])
        forms = {n: piece if n in SM_FORMS else piece[0] for n, piece in zip(MASSLESS_ELECTRON_FORMS, pieces, strict=True)}
        folded[name] = FoldedKernel(nodes[name], contracted[:N_FLAVOUR], forms)
    return folded


def source_flavour(source: NeutrinoSource, energy_mev: np.ndarray, pulls: Mapping[str, Array]) -> SourceNodes:
    """Flavour of a component at given energies and mixing pulls, for kernels that contain its spectrum."""
    energy = jnp.asarray(energy_mev)
    density = source.density(energy, oscillation_from_pulls(pulls))
    return SourceNodes(energy, jnp.ones_like(energy), density, source.antineutrino)
