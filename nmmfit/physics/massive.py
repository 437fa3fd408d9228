"""Rates to a massive N, folded with a source on fixed recoil nodes; one mass, or a mass that floats within a range.

With a mass m, recoils from a neutrino energy E lie between T_-(E, m) and T_+(E, m) and begin above a threshold, so that a recoil
spectrum has edges that move with m. Detector response and form factors are smooth in T: a rate int dT K(T) g(T) with g known at
fixed nodes T_r is sum_r c_r g(T_r), c_r = int dT K(T) l_r(T) with the Lagrange polynomials l_r of these nodes. The integrals
c_r are done when a model is built, over exactly the allowed recoils, for any mass; a rate is then what it is without mass, a sum
over fixed nodes. A floated mass takes c_r(m) = sum_k phi_k(m) c_r(m_k), see `MassBasis`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from nmmfit import precision as precision
from nmmfit.numerics.chebyshev import chebyshev_nodes, chebyshev_values, coefficients_1d
from nmmfit.numerics.interpolation import lagrange_matrix
from nmmfit.numerics.quadrature import gauss_legendre_smooth_ends
from nmmfit.physics.sources import NeutrinoSource
from nmmfit.shapes import Array

# Nodes over the recoil energy of one spectrum, shared by polynomials of up to 200 nodes; over neutrino energy above threshold.
RECOIL_ORDER, ENERGY_ORDER = 320, 60

Kernels = Callable[[np.ndarray, np.ndarray, float], np.ndarray]
"""(neutrino energies, recoil energies, m), MeV, both (recoil, energy) -> d sigma / dT per unit of each form, (form, ...)."""


def threshold_mass_mev(e_nu_mev: float, target_mass_mev: float) -> float:
    """Largest mass that a neutrino of energy E can make on a target at rest, MeV: sqrt(M^2 + 2 M E) - M."""
    return float(2.0 * e_nu_mev / (np.sqrt(1.0 + 2.0 * e_nu_mev / target_mass_mev) + 1.0))


def recoil_window(e_nu_mev: float, target_mass_mev: float, m_n_mev: float) -> tuple[float, float]:
    """(T_-, T_+) of `kinematics.recoil_limits` for m > 0, in plain numbers; (0, 0) at or below threshold."""
    e, mass, m = e_nu_mev, target_mass_mev, m_n_mev
    discriminant = (2.0 * mass * (e - m) - m**2) * (2.0 * mass * (e + m) - m**2)
    if e <= m or discriminant <= 0.0 or 2.0 * mass * (e - m) <= m**2:
        return 0.0, 0.0
    upper = (2.0 * mass * e**2 - m**2 * (mass + e) + e * np.sqrt(discriminant)) / (2.0 * mass * (mass + 2.0 * e))
    return m**4 / (4.0 * mass * (mass + 2.0 * e) * upper), float(upper)


def smallest_energy_mev(t_mev: np.ndarray, target_mass_mev: float, m_n_mev: float) -> np.ndarray:
    """`kinematics.min_neutrino_energy` in plain numbers, T > 0."""
    t, mass = np.asarray(t_mev), target_mass_mev
    return 0.5 * (1.0 + m_n_mev**2 / (2.0 * mass * t)) * (t + np.sqrt(t * (t + 2.0 * mass)))


@dataclass(frozen=True)
class RecoilNodes:
    """Where a response is known: nodes `t_mev` (node,) and a monotonic `variable` of T in which it is smooth."""

    t_mev: np.ndarray
    variable: Callable[[np.ndarray], np.ndarray]
    lowest_mev: float
    """Recoils below are not seen, however many there are."""
    highest_mev: float

    def lagrange(self, t_mev: np.ndarray) -> np.ndarray:
        """(..., node): Lagrange polynomials of the nodes at recoil energies (...)."""
        return lagrange_matrix(self.variable(self.t_mev), self.variable(t_mev))


def fold_recoils(
    source: NeutrinoSource,
    target_mass_mev: float,
    m_n_mev: float,
    recoils: RecoilNodes,
    kernels: Kernels,
    along_energy: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Integrals over neutrino and recoil energies of kernels times the Lagrange polynomials of recoil nodes.

    Args:
        source: normalised source.
        target_mass_mev, m_n_mev: masses of target and N, MeV, > 0.
        recoils: nodes of the response.
        kernels: cross sections per unit of each form, with the mass that they are given.
        along_energy: (energy in MeV (...)) -> (..., state), what else depends on the neutrino energy: a flavour density matrix, or
            the Lagrange polynomials of the nodes at which one is known.
    Returns: (form, recoil node, state), cm^2 times the unit of the source's weight. 0 below threshold. Spectra whose end is seen
        are integrated with 320 recoils and 60 energies after substitutions that make their ends smooth: 1e-8 of the total for
        the sources of this package, down to windows of 1e-3 of the threshold.
    """
    total: np.ndarray | None = None
    for t, weight, energy, spectrum in _spectra(source, target_mass_mev, m_n_mev, recoils):
        values = kernels(energy, np.broadcast_to(t[:, None], energy.shape), m_n_mev)
        contracted = np.einsum("kne,ne,nej->knj", values, weight[:, None] * spectrum, along_energy(energy), optimize=True)
        part = np.einsum("knj,nr->krj", contracted, recoils.lagrange(t), optimize=True)
        total = part if total is None else total + part
    if total is not None:
        return total
    # Nothing is above threshold: the shapes alone are asked for.
    none = np.asarray([[max(source.e_max_mev, 1e-3)]])
    forms, states = kernels(none, 0.5 * none, m_n_mev), along_energy(none)
    return np.zeros((len(forms), len(recoils.t_mev), states.shape[-1]), dtype=states.dtype)


def _spectra(
    source: NeutrinoSource, mass: float, m: float, recoils: RecoilNodes
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Line by line, or the whole continuous spectrum: recoils and their weights (n,), energies and their weights (n, e)."""
    for e_max, branching in zip(source.lines_mev or (source.e_max_mev,), source.branching or (1.0,), strict=True):
        low, high = recoil_window(e_max, mass, m)
        low, high = max(low, recoils.lowest_mev), min(high, recoils.highest_mev)
        if high <= low:
            continue
        # In log T, where dT / T of a dipole is smooth however small T_- is.
        s, w = gauss_legendre_smooth_ends(RECOIL_ORDER, np.log(low), np.log(high))
        t = np.exp(s)
        if source.lines_mev:
            yield t, w * t, np.full((len(t), 1), e_max), np.full((len(t), 1), branching)
        else:
            energy, spectrum = source.quadrature(smallest_energy_mev(t, mass, m), ENERGY_ORDER)
            yield t, w * t, energy, spectrum


# Nodes of a panel of masses between two thresholds, fewer where it is narrower than a part of its mass; and what a compressed
# basis may leave out, in singular values relative to the largest.
PANEL_NODES, THIN_PANEL_NODES, THIN, MASS_TOLERANCE = 48, 10, 0.05, 1e-8


@dataclass(frozen=True)
class MassBasis:
    """Functions phi_k(m) for rates that are known at some masses: f(m) = sum_k phi_k(m) f(`nodes`[k]), or of mixtures of them.

    Between two thresholds a rate is smooth in sqrt(m_threshold - m), the variable s = sqrt((m_b - m) / (m_b - m_a)) of the panel
    [m_a, m_b], in which it is interpolated at Chebyshev nodes. Above the last threshold every phi_k is 0; below the range the
    values at its lower end are taken.
    """

    edges: tuple[float, ...]
    """Ends of the panels, MeV, increasing."""
    orders: tuple[int, ...]
    mix: tuple[np.ndarray, ...]
    """For each panel (order, function): Chebyshev coefficients of each function in 2 s - 1."""
    ends: bool
    """Whether the last edge is the last threshold, above which nothing is left."""

    @property
    def size(self) -> int:
        """Number of functions."""
        return int(self.mix[0].shape[1])

    def nodes(self) -> np.ndarray:
        """Masses of all nodes, MeV, (node,), panel by panel."""
        s = [0.5 * (chebyshev_nodes(n) + 1.0) for n in self.orders]
        return np.concatenate([b - (b - a) * x**2 for a, b, x in zip(self.edges, self.edges[1:], s, strict=False)])

    def weights(self, m_n_mev: Array) -> Array:
        """phi_k(m), (function,), m a scalar in MeV; finite derivatives everywhere (at a threshold, where a rate may begin like a
        square root, those from above)."""
        m = jnp.maximum(jnp.asarray(m_n_mev, dtype=float), self.edges[0])
        total = jnp.zeros((self.size,))
        for i, (a, b, order, mix) in enumerate(zip(self.edges, self.edges[1:], self.orders, self.mix, strict=False)):
            last = i == len(self.orders) - 1
            inside = (m >= a) & ((m < b) if not last or self.ends else jnp.asarray(True))
            fraction = jnp.clip((b - m) / (b - a), 0.0, 1.0)
            above = inside & (fraction > 0.0)
            s = jnp.where(above, jnp.sqrt(jnp.where(above, fraction, 1.0)), 0.0)
            values = chebyshev_values(2.0 * s - 1.0, order - 1) @ jnp.asarray(mix)
            total = total + jnp.where(inside, values, 0.0)
        return total

    def compressed(self, values: np.ndarray) -> tuple[MassBasis, np.ndarray]:
        """Few functions instead of one per node.

        Args:
            values: (node, kind, ...), what is seen at the masses of the nodes; every kind is taken in units of its largest value.
        Returns: the basis, and orthonormal mixtures (node, function): f at the nodes (node, ...) becomes mixture^T f.
        """
        size = np.abs(values).max(axis=(0, *range(2, values.ndim)), keepdims=True)
        flat = (values / np.where(size > 0.0, size, 1.0)).reshape(len(values), -1)
        if not np.any(flat):
            mixture = np.eye(len(flat))[:, :1]
        else:
            left, singular, _ = np.linalg.svd(flat, full_matrices=False)
            mixture = left[:, : max(1, int(np.sum(singular > MASS_TOLERANCE * singular[0])))]
        pieces = np.split(mixture, np.cumsum(self.orders)[:-1])
        return MassBasis(self.edges, self.orders, tuple(m @ p for m, p in zip(self.mix_of_nodes(), pieces, strict=True)), self.ends), mixture

    def mix_of_nodes(self) -> tuple[np.ndarray, ...]:
        """For each panel (order, node of the panel): Chebyshev coefficients of the cardinal functions."""
        return tuple(coefficients_1d(np.eye(n)) for n in self.orders)


def mass_basis(low_mev: float, high_mev: float, thresholds_mev: Sequence[float]) -> MassBasis:
    """Panels between thresholds, with a cardinal function for each node.

    Args:
        low_mev, high_mev: range of masses, 0 <= low < high; high may be infinite.
        thresholds_mev: where a line or spectrum ends.
    """
    last = max(thresholds_mev)
    top = min(high_mev, last)
    if top <= low_mev:
        # Nothing of the range is below a threshold: one panel, in which every rate is 0.
        return MassBasis((low_mev, low_mev + 1.0), (1,), (np.zeros((1, 1)),), True)
    inner = sorted(t for t in set(thresholds_mev) if low_mev < t < top)
    edges = [low_mev]
    for t in (*inner, top):
        # Thresholds that hardly differ share a panel's end.
        if t - edges[-1] > 1e-3 * last or t == top:
            edges.append(t)
    width = np.diff(edges) / np.asarray(edges[1:])
    orders = tuple(int(np.ceil(THIN_PANEL_NODES + (PANEL_NODES - THIN_PANEL_NODES) * min(1.0, w / THIN))) for w in width)
    starts = np.concatenate([[0], np.cumsum(orders)])
    mix = tuple(
        np.pad(coefficients_1d(np.eye(n)), ((0, 0), (start, starts[-1] - start - n)))
        for n, start in zip(orders, starts, strict=False)
    )
    return MassBasis(tuple(edges), orders, mix, bool(top == last))
