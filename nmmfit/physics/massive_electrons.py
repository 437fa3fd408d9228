"""Rates of a massive N on electrons: kernels on fixed recoil nodes, for one mass or for one that floats.

The response to a recoil T is smooth in T, so that a rate needs it at fixed nodes only, whatever the edges of a recoil spectrum
(nmmfit.physics.massive). Where bound electrons take part from some energy on, every range between two such energies has its own
nodes and its own number of electrons.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.constants import M_ELECTRON_MEV
from nmmfit.numerics.interpolation import lagrange_matrix
from nmmfit.physics import electron
from nmmfit.physics.forms import HEAVY, MASSIVE_ELECTRON_FORMS, Forms
from nmmfit.physics.massive import RECOIL_ORDER, MassPanels, RecoilNodes, fold_recoils, mass_table, threshold_mass_mev
from nmmfit.physics.rates import SourceNodes
from nmmfit.physics.sources import NeutrinoSource
from nmmfit.shapes import Array

HEAVY_FORMS = tuple(HEAVY + name for name in MASSIVE_ELECTRON_FORMS)

# Nodes of the density matrix in energy where the mass floats, of a spectrum and of one that reaches high energies: few, as the
# kernels are held for many masses. They leave 1e-5 of the rates of 8B and hep, 1e-7 of others.
FLOATED_DENSITY_NODES = (6, 14)


@dataclass(frozen=True)
class HeavyKernel:
    """Kernels of N of one component: `at`(m in MeV) is (form of HEAVY_FORMS, recoil, energy), at the energies `energy_mev`."""

    energy_mev: np.ndarray
    at: Callable[[Array], Array]


@dataclass(frozen=True)
class RecoilRange:
    """Recoils within which the number of electrons is constant: nodes, electrons times live time in s, and quadrature order."""

    nodes: RecoilNodes
    electron_seconds: float
    order: int = RECOIL_ORDER


def heavy_spectrum(forms: Forms, nodes: SourceNodes, kernels: Array) -> Array:
    """Counts of N at the recoil nodes before the response, (recoil,).

    Args:
        forms: quadratic forms, split by mass.
        nodes: energies of the kernels with the flavour density matrices there.
        kernels: (form of HEAVY_FORMS, recoil, energy).
    """
    matrices = jnp.stack([forms[name] for name in HEAVY_FORMS])
    return jnp.einsum("krj,kj->r", kernels, jnp.real(jnp.einsum("jab,kba->kj", nodes.density, matrices)))


@jax.jit
def _cross_sections(e_nu_mev: Array, t_mev: Array, m_n_mev: Array) -> Array:
    kernels = electron.kernels(e_nu_mev, t_mev, False, m_n_mev)
    kernels |= electron.massive_vector_kernels(e_nu_mev, t_mev, m_n_mev, False)
    return jnp.stack([kernels[name] for name in MASSIVE_ELECTRON_FORMS])


def _kernels(energy: np.ndarray, t: np.ndarray, m_n_mev: float) -> np.ndarray:
    return np.asarray(_cross_sections(energy, t, m_n_mev))


def largest_mass_mev(sources: Mapping[str, NeutrinoSource]) -> float:
    """Mass above which no source makes an N on an electron, MeV."""
    return max(threshold_mass_mev(s.e_max_mev, M_ELECTRON_MEV.value) for s in sources.values())


def massive_kernels(
    sources: Mapping[str, NeutrinoSource],
    energies_mev: Mapping[str, np.ndarray],
    fluxes_cm2_s: Mapping[str, float],
    m_n_mev: float | tuple[float, float],
    ranges: Sequence[RecoilRange],
    response: np.ndarray,
) -> dict[str, HeavyKernel]:
    """Kernels of N of every component, in counts before the response, at the nodes of all ranges one after the other.

    Args:
        sources, fluxes_cm2_s: normalised sources and their fluxes before oscillation.
        energies_mev: component -> energies at which its density matrix is known.
        m_n_mev: one mass, MeV, > 0, which then is the only one; or a range in which it floats.
        ranges: recoils, without overlap.
        response: (bin, recoil), what the detector makes of counts at the nodes at nominal pulls.
    """

    def of_mass(m: float) -> dict[str, np.ndarray]:
        found = {}
        for name, source in sources.items():
            along = partial(_along, source.lines_mev, energies_mev[name])
            parts = [
                fluxes_cm2_s[name]
                * part.electron_seconds
                * fold_recoils(source, M_ELECTRON_MEV.value, m, part.nodes, _kernels, along, part.order)
                for part in ranges
            ]
            found[name] = np.concatenate(parts, axis=1)
        return found

    if not isinstance(m_n_mev, tuple):
        known = of_mass(m_n_mev)
        return {name: HeavyKernel(energies_mev[name], partial(_constant, known[name])) for name in sources}
    ends = [e for s in sources.values() for e in (s.lines_mev or (s.e_max_mev,))]
    panels = MassPanels.make(*m_n_mev, [threshold_mass_mev(e, M_ELECTRON_MEV.value) for e in ends])

    def seen(kernels: dict[str, np.ndarray]) -> np.ndarray:
        return np.concatenate([np.einsum("mkrj,br->mkjb", v, response, optimize=True) for v in kernels.values()], axis=2)

    table = mass_table(panels, of_mass, seen)
    return {name: HeavyKernel(energies_mev[name], partial(table.kernel, name)) for name in sources}


def _constant(values: np.ndarray, m_n_mev: Array) -> Array:
    return jnp.asarray(values)


def _along(lines_mev: tuple[float, ...], energies_mev: np.ndarray, e_nu_mev: np.ndarray) -> np.ndarray:
    """(..., energy): Lagrange polynomials of the energies at which the density matrix is known; a line is one of them itself."""
    if lines_mev:
        return np.asarray(e_nu_mev[..., None] == energies_mev, dtype=float)
    return lagrange_matrix(energies_mev, e_nu_mev)
