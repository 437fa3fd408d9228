"""Solar rates to a massive N: kernels on fixed recoil nodes, for one mass or for one that floats.

The response to a recoil T is smooth in T, so that a rate needs it at fixed nodes only, whatever the edges of a recoil spectrum
(nmmfit.physics.massive). The nodes are Chebyshev's in sqrt(T), in which the resolution is nearly constant: half a standard
deviation apart, where the interpolation of a Gaussian is good to 1e-8.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np

from likelihoods.borexino_phase2.inputs import ELECTRONS_PER_100T, EXPOSURE_DAY_100T
from likelihoods.borexino_phase2.response import HIGHEST_RECOIL_MEV, LOWEST_RECOIL_MEV, response_matrix
from nmmfit.constants import M_ELECTRON_MEV
from nmmfit.experiment import Pulls
from nmmfit.numerics.chebyshev import chebyshev_nodes
from nmmfit.numerics.interpolation import lagrange_matrix
from nmmfit.physics import electron
from nmmfit.physics.forms import HEAVY, MASSIVE_ELECTRON_FORMS, Forms
from nmmfit.physics.massive import MassPanels, RecoilNodes, fold_recoils, mass_table, threshold_mass_mev
from nmmfit.physics.rates import SourceNodes
from nmmfit.physics.sources import NeutrinoSource
from nmmfit.shapes import Array
from nmmfit.units import SECONDS_PER_DAY

HEAVY_FORMS = tuple(HEAVY + name for name in MASSIVE_ELECTRON_FORMS)
_RECOIL_NODES = 160

# Nodes of the density matrix in energy where the mass floats, of a spectrum and of one that reaches high energies: few, as the
# kernels are held for many masses. They leave 1e-5 of the rates of 8B and hep, 1e-7 of others.
FLOATED_DENSITY_NODES = (6, 14)


@dataclass(frozen=True)
class HeavyKernel:
    """Kernels of N of one component: `at`(m in MeV) is (form of HEAVY_FORMS, recoil, energy), at the energies `energy_mev`."""

    energy_mev: np.ndarray
    at: Callable[[Array], Array]


@lru_cache(maxsize=1)
def heavy_recoils() -> RecoilNodes:
    """Nodes of the response for rates to N."""
    low, high = np.sqrt(LOWEST_RECOIL_MEV), np.sqrt(HIGHEST_RECOIL_MEV)
    root = 0.5 * (low + high) + 0.5 * (high - low) * chebyshev_nodes(_RECOIL_NODES)
    return RecoilNodes(root**2, np.sqrt, LOWEST_RECOIL_MEV, HIGHEST_RECOIL_MEV)


def heavy_spectrum(forms: Forms, nodes: SourceNodes, kernels: Array) -> Array:
    """Counts of N at the nodes of `heavy_recoils` before the response, (recoil,).

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
    nominal: Pulls,
) -> dict[str, HeavyKernel]:
    """Kernels of N of every component, in counts before the response.

    Args:
        sources, fluxes_cm2_s: normalised sources and their fluxes before oscillation.
        energies_mev: component -> energies at which its density matrix is known.
        m_n_mev: one mass, MeV, > 0, which then is the only one; or a range in which it floats.
        nominal: pulls at 0.
    """
    exposure = EXPOSURE_DAY_100T.value * SECONDS_PER_DAY * ELECTRONS_PER_100T.value

    def of_mass(m: float) -> dict[str, np.ndarray]:
        found = {}
        for name, source in sources.items():
            along = partial(_along, source.lines_mev, energies_mev[name])
            values = fold_recoils(source, M_ELECTRON_MEV.value, m, heavy_recoils(), _kernels, along)
            found[name] = fluxes_cm2_s[name] * exposure * values
        return found

    if not isinstance(m_n_mev, tuple):
        known = of_mass(m_n_mev)
        return {name: HeavyKernel(energies_mev[name], partial(_constant, known[name])) for name in sources}
    ends = [e for s in sources.values() for e in (s.lines_mev or (s.e_max_mev,))]
    panels = MassPanels.make(*m_n_mev, [threshold_mass_mev(e, M_ELECTRON_MEV.value) for e in ends])
    response = np.asarray(jax.jit(response_matrix)(heavy_recoils().t_mev, nominal))

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
