"""Solar rates to a massive N: kernels on fixed recoil nodes, for one mass or for one that floats.

The response to a recoil T is smooth in T, so that a rate needs it at fixed nodes only, whatever the edges of a recoil spectrum
(nmmfit.physics.massive). The nodes are Chebyshev's in sqrt(T), in which the resolution is nearly constant: 0.45 of a standard
deviation apart, where the interpolation of a Gaussian is good to 1e-9.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from likelihoods.borexino_phase2.inputs import ELECTRONS_PER_100T, EXPOSURE_DAY_100T
from likelihoods.borexino_phase2.response import HIGHEST_RECOIL_MEV, LOWEST_RECOIL_MEV, response_matrix
from nmmfit.constants import M_ELECTRON_MEV
from nmmfit.experiment import MassDependence, Pulls
from nmmfit.numerics.chebyshev import chebyshev_nodes
from nmmfit.numerics.interpolation import lagrange_matrix
from nmmfit.physics import electron
from nmmfit.physics.forms import ELECTRON_FORMS, HEAVY, LIGHT, Forms, heavy_prefix
from nmmfit.physics.massive import RecoilNodes, fold_recoils, mass_basis, threshold_mass_mev
from nmmfit.physics.rates import SourceNodes
from nmmfit.physics.sources import NeutrinoSource
from nmmfit.shapes import Array
from nmmfit.units import SECONDS_PER_DAY

if TYPE_CHECKING:
    from likelihoods.borexino_phase2.solar_rates import FoldedKernel

_RECOIL_NODES = 180


@lru_cache(maxsize=1)
def heavy_recoils() -> RecoilNodes:
    """Nodes of the response for rates to N."""
    low, high = np.sqrt(LOWEST_RECOIL_MEV), np.sqrt(HIGHEST_RECOIL_MEV)
    root = 0.5 * (low + high) + 0.5 * (high - low) * chebyshev_nodes(_RECOIL_NODES)
    return RecoilNodes(root**2, np.sqrt, LOWEST_RECOIL_MEV, HIGHEST_RECOIL_MEV)


def heavy_spectrum(forms: Forms, nodes: SourceNodes, kernels: Mapping[str, np.ndarray]) -> Array:
    """Counts of N at the nodes of `heavy_recoils` before the response, (recoil,).

    Args:
        forms: quadratic forms, split by mass.
        nodes: energies of the kernels with the flavour density matrices there.
        kernels: name -> (recoil, energy).
    """
    stacked = jnp.asarray(np.stack(list(kernels.values())))
    matrices = jnp.stack([forms[name] for name in kernels])
    seen = jnp.real(jnp.einsum("jab,kba->kj", nodes.density, matrices))
    return jnp.einsum("krj,kj->r", stacked, seen)


@jax.jit
def _cross_sections(e_nu_mev: Array, t_mev: Array, m_n_mev: Array) -> Array:
    kernels = electron.kernels(e_nu_mev, t_mev, False, m_n_mev)
    return jnp.stack([kernels[name] for name in ELECTRON_FORMS])


def _kernels(energy: np.ndarray, t: np.ndarray, m_n_mev: float) -> np.ndarray:
    return np.asarray(_cross_sections(energy, t, m_n_mev))


def largest_mass_mev(sources: Mapping[str, NeutrinoSource]) -> float:
    """Mass above which no source makes an N on an electron, MeV."""
    return max(threshold_mass_mev(s.e_max_mev, M_ELECTRON_MEV.value) for s in sources.values())


def with_massive_n(
    folded: Mapping[str, FoldedKernel],
    sources: Mapping[str, NeutrinoSource],
    fluxes_cm2_s: Mapping[str, float],
    m_n_mev: float | tuple[float, float],
    pulls: Pulls,
) -> tuple[dict[str, FoldedKernel], MassDependence]:
    """Kernels with the final states taken apart: those of massless ones as they are, and those of N.

    Args:
        folded: kernels of massless final states, component by component.
        sources, fluxes_cm2_s: normalised sources and their fluxes before oscillation.
        m_n_mev: one mass, MeV, > 0, or a range in which it floats.
        pulls: nominal pulls, at which a floated mass's basis is compressed.
    """
    exposure = EXPOSURE_DAY_100T.value * SECONDS_PER_DAY * ELECTRONS_PER_100T.value

    def of_mass(m: float) -> dict[str, np.ndarray]:
        """Component -> (form, recoil, energy)."""
        found = {}
        for name, source in sources.items():
            along: Callable[[np.ndarray], np.ndarray] = partial(_along, source.lines_mev, folded[name].energy_mev)
            values = fold_recoils(source, M_ELECTRON_MEV.value, m, heavy_recoils(), _kernels, along)
            found[name] = fluxes_cm2_s[name] * exposure * values
        return found

    largest = largest_mass_mev(sources)
    if not isinstance(m_n_mev, tuple):
        kernels = {name: values[None] for name, values in of_mass(m_n_mev).items()}
        dependence = MassDependence.fixed(largest)
    else:
        ends = [e for s in sources.values() for e in (s.lines_mev or (s.e_max_mev,))]
        basis = mass_basis(*m_n_mev, [threshold_mass_mev(e, M_ELECTRON_MEV.value) for e in ends])
        every = [of_mass(float(m)) for m in basis.nodes()]
        stacked = {name: np.stack([one[name] for one in every]) for name in sources}
        response = np.asarray(jax.jit(response_matrix)(heavy_recoils().t_mev, pulls))
        # What is seen of every component and form with every energy alike: the energies' flavours hardly differ.
        counts = [np.einsum("mkrj,br->mkb", values, response, optimize=True) for values in stacked.values()]
        basis, mixture = basis.compressed(np.concatenate(counts, axis=1))
        kernels = {name: np.einsum("mkrj,mn->nkrj", values, mixture, optimize=True) for name, values in stacked.items()}
        dependence = MassDependence(basis.size, basis.weights, largest)

    def named(values: np.ndarray) -> dict[str, np.ndarray]:
        prefixes = [heavy_prefix(k, len(values)) for k in range(len(values))]
        return {p + n: v for p, part in zip(prefixes, values, strict=True) for n, v in zip(ELECTRON_FORMS, part, strict=True)}

    apart = {
        name: replace(kernel, forms={LIGHT + n: v for n, v in kernel.forms.items()}, heavy=named(kernels[name]))
        for name, kernel in folded.items()
    }
    return apart, dependence


def _along(lines_mev: tuple[float, ...], energies_mev: np.ndarray, e_nu_mev: np.ndarray) -> np.ndarray:
    """(..., energy): Lagrange polynomials of the energies at which the density matrix is known; a line is one of them itself."""
    if lines_mev:
        return np.asarray(e_nu_mev[..., None] == energies_mev, dtype=float)
    return lagrange_matrix(energies_mev, e_nu_mev)
