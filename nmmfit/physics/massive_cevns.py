"""Nuclear recoils from an N with mass, for one mass or one that floats: kernels on the recoil nodes of a detector response.

The response and the form factors are smooth in sqrt(T), so that a rate needs them at fixed nodes only, whatever the edges of a
recoil spectrum (nmmfit.physics.massive). 64 nodes interpolate them to 1e-8 of the largest bin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.physics import cevns
from nmmfit.physics.folded import FoldedKernels
from nmmfit.physics.forms import HEAVY, MASSIVE_NUCLEAR_FORMS
from nmmfit.physics.massive import MassPanels, RecoilNodes, fold_recoils, mass_table, threshold_mass_mev
from nmmfit.physics.nuclei import Nucleus
from nmmfit.physics.sources import NeutrinoSource
from nmmfit.shapes import Array

HEAVY_RECOIL_ORDER = 64


@partial(jax.jit, static_argnames=("antineutrino", "tensor_coherence", "spin"))
def _cross_sections(
    energy: Array, t: Array, m_n: Array, target: cevns.Target, antineutrino: bool, tensor_coherence: str, spin: float
) -> Array:
    kernels = cevns.kernels(energy, t, target, 1.0, 1.0, antineutrino, tensor_coherence, spin, m_n)
    kernels |= cevns.quadratic_vector_kernels(energy, t, target, 1.0, 1.0, spin, m_n)
    return jnp.stack([kernels[name] for name in MASSIVE_NUCLEAR_FORMS])


@dataclass(frozen=True)
class HeavyFold:
    """One source on one nucleus: kernels of N at the nodes of the response, for any mass."""

    source: NeutrinoSource
    target: Nucleus
    t_mev: np.ndarray
    t_max_mev: float
    lowest_mev: float
    """Recoils below are not seen, however many there are."""
    tensor_coherence: str
    spin: float

    def of_mass(self, m_n_mev: float) -> np.ndarray:
        """(form, recoil, 3, 3): integrals to be contracted with a form; without form factors."""
        recoils = RecoilNodes(self.t_mev, np.sqrt, self.lowest_mev, self.t_max_mev)
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
    folds: dict[str, HeavyFold], m_n_mev: float | tuple[float, float], seen: Callable[[str, np.ndarray], np.ndarray]
) -> dict[str, Callable[[Array], Array]]:
    """Kernels of N of every source and nucleus, (form, recoil, 3, 3), each as a function of the mass in MeV.

    Args:
        folds: by name of a component.
        m_n_mev: one mass, MeV, > 0, which then is the only one; or a range in which it floats.
        seen: of a component, values at its recoil nodes (..., recoil) -> what the detector makes of them, (..., node), nominally.
    """
    if not isinstance(m_n_mev, tuple):
        known = {name: fold.of_mass(m_n_mev) for name, fold in folds.items()}
        return {name: partial(_constant, values) for name, values in known.items()}
    panels = MassPanels.make(*m_n_mev, [fold.threshold_mass_mev for fold in folds.values()])

    def traces(kernels: dict[str, np.ndarray]) -> np.ndarray:
        # Sources of one flavour each: the trace is what they see.
        return np.concatenate([seen(n, np.real(np.trace(v, axis1=-2, axis2=-1))) for n, v in kernels.items()], axis=2)

    table = mass_table(panels, lambda m: {name: fold.of_mass(m) for name, fold in folds.items()}, traces)
    return {name: partial(table.kernel, name) for name in folds}


def _constant(values: np.ndarray, m_n_mev: Array) -> Array:
    return jnp.asarray(values)


def heavy_folded(kernels: Array) -> FoldedKernels:
    """Kernels (form, recoil, 3, 3) of N as `FoldedKernels`, without the Standard Model."""
    return FoldedKernels({}, {HEAVY + name: part for name, part in zip(MASSIVE_NUCLEAR_FORMS, kernels, strict=True)})
