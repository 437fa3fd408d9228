"""Rates to a massive N, folded with a source on fixed recoil nodes; one mass, or a mass that floats within a range.

With a mass m, recoils from a neutrino energy E lie between T_-(E, m) and T_+(E, m) and begin above a threshold, so that a recoil
spectrum has edges that move with m. Detector response and form factors are smooth in T: a rate int dT K(T) g(T) with g known at
fixed nodes T_r is sum_r c_r g(T_r), c_r = int dT K(T) l_r(T) with the Lagrange polynomials l_r of these nodes. The integrals
c_r are done when a model is built, over exactly the allowed recoils, for any mass; a rate is then what it is without mass, a sum
over fixed nodes. A floated mass takes c_r(m) = sum_k phi_k(m) c_r(m_k), see `MassBasis`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import jax
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
    order: int = RECOIL_ORDER,
) -> np.ndarray:
    """Integrals over neutrino and recoil energies of kernels times the Lagrange polynomials of recoil nodes.

    Args:
        source: normalised source.
        target_mass_mev, m_n_mev: masses of target and N, MeV, > 0.
        recoils: nodes of the response.
        kernels: cross sections per unit of each form, with the mass that they are given.
        along_energy: (energy in MeV (...)) -> (..., state), what else depends on the neutrino energy: a flavour density
            matrix, or the Lagrange polynomials of the nodes at which one is known.
        order: nodes over recoil energy; less than the default for a narrow range of recoils.
    Returns: (form, recoil node, state), cm^2 times the unit of the source's weight; 0 below threshold. 320 recoils and 60
        energies, after substitutions that make the ends of spectra smooth, leave errors below 1e-6 of a rate, near thresholds
        too (1e-7 at the SNS).
    """
    total: np.ndarray | None = None
    for t, weight, energy, spectrum in _spectra(source, target_mass_mev, m_n_mev, recoils, order):
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
    source: NeutrinoSource, mass: float, m: float, recoils: RecoilNodes, order: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Line by line, or the whole continuous spectrum: recoils and their weights (n,), energies and their weights (n, e)."""
    for e_max, branching in zip(source.lines_mev or (source.e_max_mev,), source.branching or (1.0,), strict=True):
        low, high = recoil_window(e_max, mass, m)
        low, high = max(low, recoils.lowest_mev), min(high, recoils.highest_mev)
        if high <= low:
            continue
        # In log T, where dT / T of a dipole is smooth however small T_- is.
        s, w = gauss_legendre_smooth_ends(order, np.log(low), np.log(high))
        t = np.exp(s)
        if source.lines_mev:
            yield t, w * t, np.full((len(t), 1), e_max), np.full((len(t), 1), branching)
        else:
            energy, spectrum = source.quadrature(smallest_energy_mev(t, mass, m), ENERGY_ORDER)
            yield t, w * t, energy, spectrum


# Chebyshev nodes of a panel of masses between two thresholds; thresholds closer than this share a panel's end; and the singular
# values, relative to the largest, that a panel may leave out.
PANEL_NODES, CLOSE_THRESHOLDS, MASS_TOLERANCE = 40, 0.02, 1e-6


@dataclass(frozen=True)
class MassPanels:
    """Ranges of masses between thresholds, MeV: `edges` (panel + 1,), increasing; whether the last one is the last threshold.

    Below a threshold m_b a rate is smooth in sqrt(m_b - m): s = sqrt((m_b - m) / (m_b - m_a)) is the variable of [m_a, m_b].
    """

    edges: np.ndarray
    ends: bool

    @classmethod
    def make(cls, low_mev: float, high_mev: float, thresholds_mev: Sequence[float]) -> MassPanels:
        """Panels of a range of masses, 0 <= low < high, where high may be infinite."""
        last = max(thresholds_mev)
        top = min(high_mev, last)
        if top <= low_mev:
            # Nothing of the range is below a threshold.
            return cls(np.asarray([0.5 * last, last]), True)
        edges = [low_mev]
        for t in sorted(t for t in set(thresholds_mev) if low_mev < t < top):
            if t - edges[-1] > CLOSE_THRESHOLDS * t:
                edges.append(t)
        if len(edges) > 1 and top - edges[-1] < CLOSE_THRESHOLDS * top:
            edges.pop()
        return cls(np.asarray([*edges, top]), bool(top == last))

    def masses(self) -> np.ndarray:
        """(panel, node), MeV: Chebyshev nodes in the panel's variable."""
        s = 0.5 * (chebyshev_nodes(PANEL_NODES) + 1.0)
        a, b = self.edges[:-1, None], self.edges[1:, None]
        return b - (b - a) * s**2


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class MassTable:
    """Kernels as a function of the mass of N: in each panel a few mixtures of kernels with functions of m for each.

    `edges` (panel + 1,); `functions` (panel, order, rank), Chebyshev coefficients in 2 s - 1; `kernels` name -> (panel, rank,
    ...), without the last panels where they are 0.
    """

    edges: Array | np.ndarray
    functions: Array | np.ndarray
    kernels: dict[str, np.ndarray]
    ends: bool = field(metadata={"static": True})

    def weights(self, m_n_mev: Array) -> tuple[Array, Array]:
        """Panel of a mass in MeV and the weights (rank,) of its kernels; 0 above the last threshold, below the range those of
        its end. All derivatives are finite; at a threshold, where a rate may begin like a square root, they are given as 0."""
        edges = jnp.asarray(self.edges)
        panel = jnp.clip(jnp.searchsorted(edges, m_n_mev, side="right") - 1, 0, len(self.edges) - 2)
        a, b = edges[panel], edges[panel + 1]
        fraction = (b - jnp.maximum(m_n_mev, a)) / (b - a)
        positive = fraction > 0.0
        s = jnp.where(positive, jnp.sqrt(jnp.where(positive, fraction, 1.0)), 0.0)
        values = chebyshev_values(2.0 * s - 1.0, self.functions.shape[1] - 1) @ jnp.asarray(self.functions)[panel]
        return panel, jnp.where((m_n_mev >= edges[-1]) & self.ends, 0.0, values)

    def kernel(self, name: str, m_n_mev: Array) -> Array:
        """Kernels (...) of one name at a mass in MeV, a scalar."""
        panel, weights = self.weights(m_n_mev)
        values = jnp.asarray(self.kernels[name])
        found = jnp.tensordot(weights, values[jnp.minimum(panel, len(values) - 1)], axes=1)
        return jnp.where(panel < len(values), found, 0.0)


def mass_table(
    panels: MassPanels, of_mass: Callable[[float], dict[str, np.ndarray]], seen: Callable[[dict[str, np.ndarray]], np.ndarray]
) -> MassTable:
    """Tabulate kernels in mass.

    Args:
        panels: ranges of masses.
        of_mass: m in MeV -> kernels by name.
        seen: kernels (node, ...) by name -> (node, kind, ...) what a detector makes of them at nominal nuisances: mixtures are
            chosen so that, of each kind in units of its largest value in the panel, less than 1e-6 is left out.
    """
    transform = coefficients_1d(np.eye(PANEL_NODES))
    mixtures, stacks = [], []
    for masses in panels.masses():
        every = [of_mass(float(m)) for m in masses]
        stacked = {name: np.stack([one[name] for one in every]) for name in every[0]}
        counts = seen(stacked)
        size = np.abs(counts).max(axis=(0, *range(2, counts.ndim)), keepdims=True)
        left, singular, _ = np.linalg.svd(
            (counts / np.where(size > 0.0, size, 1.0)).reshape(PANEL_NODES, -1), full_matrices=False
        )
        mixtures.append(left[:, : max(1, int(np.sum(singular > MASS_TOLERANCE * singular[0])))])
        stacks.append({name: np.tensordot(mixtures[-1], values, axes=(0, 0)) for name, values in stacked.items()})
    rank = max(m.shape[1] for m in mixtures)

    def padded(values: np.ndarray, axis: int) -> np.ndarray:
        return np.pad(values, [(0, rank - values.shape[axis] if i == axis else 0) for i in range(values.ndim)])

    functions = np.stack([transform @ padded(m, 1) for m in mixtures])
    kernels = {}
    for name in stacks[0]:
        open_ = [k for k, stack in enumerate(stacks) if np.any(stack[name])]
        kernels[name] = np.stack([padded(stack[name], 0) for stack in stacks[: max(open_, default=0) + 1]])
    return MassTable(panels.edges, functions, kernels, panels.ends)
