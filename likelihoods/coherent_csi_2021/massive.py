"""Recoils from an N with mass, for one mass or one that floats: kernels on the recoil nodes of the response.

The response and the form factors are smooth in sqrt(T), so that a rate needs them at fixed nodes only, whatever the edges of a
recoil spectrum (nmmfit.physics.massive). 64 nodes interpolate them to 1e-8 of the largest bin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.experiment import MassDependence, TheoryChoices
from nmmfit.physics import cevns
from nmmfit.physics.folded import FoldedKernels
from nmmfit.physics.forms import NUCLEAR_FORMS, heavy_prefix
from nmmfit.physics.massive import MassBasis, RecoilNodes, fold_recoils, mass_basis, threshold_mass_mev
from nmmfit.physics.nuclei import Nucleus
from nmmfit.physics.sources import NeutrinoSource
from nmmfit.shapes import Array

Key = tuple[str, str]

HEAVY_RECOIL_ORDER = 64
LOWEST_RECOIL_MEV = 1e-4
"""0.1 keV make 0.1 photoelectrons on average; nine are needed to be seen."""


@partial(jax.jit, static_argnames=("antineutrino", "tensor_coherence", "spin"))
def _cross_sections(
    energy: Array, t: Array, m_n: Array, target: cevns.Target, antineutrino: bool, tensor_coherence: str, spin: float
) -> Array:
    kernels = cevns.kernels(energy, t, target, 1.0, 1.0, antineutrino, tensor_coherence, spin, m_n)
    return jnp.stack([kernels[name] for name in NUCLEAR_FORMS])


@dataclass(frozen=True)
class HeavyFold:
    """One source on one nucleus: kernels of N at the nodes of the response, for any mass."""

    source: NeutrinoSource
    target: Nucleus
    t_mev: np.ndarray
    t_max_mev: float
    tensor_coherence: str
    spin: float

    def of_mass(self, m_n_mev: float) -> np.ndarray:
        """(form, recoil, 3, 3): integrals to be contracted with a form; without form factors."""
        recoils = RecoilNodes(self.t_mev, np.sqrt, LOWEST_RECOIL_MEV, self.t_max_mev)
        target = cevns.Target.of(self.target)

        def kernels(energy: np.ndarray, t: np.ndarray, m: float) -> np.ndarray:
            args = (target, self.source.antineutrino, self.tensor_coherence, self.spin)
            return np.asarray(_cross_sections(energy, t, m, *args))

        def states(energy: np.ndarray) -> np.ndarray:
            density = np.broadcast_to(np.asarray(self.source.density(jnp.asarray(energy), None)), (*energy.shape, 3, 3))
            # Tr[rho Q] for neutrinos, Tr[rho Q^T] for antineutrinos
            chosen = np.swapaxes(density, -1, -2) if self.source.antineutrino else density
            return chosen.reshape(*energy.shape, 9)

        values = fold_recoils(self.source, self.target.mass_mev, m_n_mev, recoils, kernels, states)
        return values.reshape(*values.shape[:-1], 3, 3)

    @property
    def threshold_mass_mev(self) -> float:
        """Mass above which this source makes no N on this nucleus, MeV."""
        return threshold_mass_mev(self.source.e_max_mev, self.target.mass_mev)


def heavy_kernels(
    folds: dict[Key, HeavyFold], theory: TheoryChoices, seen: Callable[[Key, np.ndarray], np.ndarray]
) -> tuple[dict[Key, FoldedKernels], MassDependence]:
    """Kernels of N of every source and nucleus, with the names of split forms, and how they follow the mass.

    Args:
        folds: by source and nuclide.
        theory: with the mass, or the range in which it floats.
        seen: of source and nuclide, values at their recoil nodes (..., recoil) -> what the detector makes of them, (..., node), nominally: in
            this a floated mass's basis is compressed.
    """
    thresholds = [fold.threshold_mass_mev for fold in folds.values()]
    if not isinstance(theory.m_n_mev, tuple):
        values = {name: fold.of_mass(theory.m_n_mev)[None] for name, fold in folds.items()}
        dependence = MassDependence.fixed(max(thresholds))
    else:
        basis: MassBasis = mass_basis(*theory.m_n_mev, thresholds)
        masses = [float(m) for m in basis.nodes()]
        values = {name: np.stack([fold.of_mass(m) for m in masses]) for name, fold in folds.items()}
        # Sources of one flavour each: the trace is what they see.
        traces = {name: np.real(np.trace(v, axis1=-2, axis2=-1)) for name, v in values.items()}
        basis, mixture = basis.compressed(np.concatenate([seen(name, t) for name, t in traces.items()], axis=1))
        values = {name: np.einsum("mkrij,mn->nkrij", v, mixture, optimize=True) for name, v in values.items()}
        dependence = MassDependence(basis.size, basis.weights, max(thresholds))

    def named(v: np.ndarray) -> FoldedKernels:
        forms: dict[str, Any] = {
            heavy_prefix(k, len(v)) + name: part
            for k, kernels in enumerate(v)
            for name, part in zip(NUCLEAR_FORMS, kernels, strict=True)
        }
        return FoldedKernels({}, forms)

    return {name: named(v) for name, v in values.items()}, dependence
