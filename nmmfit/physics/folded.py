"""Recoil spectra whose form factors float: cross-section kernels folded with a source once, form factors applied afterwards.

A nuclear kernel is the product of a point-target cross section and two form factors, F_p^2, F_p F_n or F_n^2. The fold over
neutrino energies is therefore done once, when a model is built; per evaluation there remain a few products on the recoil grid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.kept import kept_or_made, numbers_digest
from nmmfit.physics import cevns, photon
from nmmfit.physics.forms import LIGHT, MASSLESS_NUCLEAR_FORMS, N_FLAVOUR, NUCLEAR_FORMS, SM_FORMS, Forms
from nmmfit.physics.nuclei import Nucleus
from nmmfit.physics.rates import SourceNodes
from nmmfit.run_once import jit_once
from nmmfit.shapes import Array, ArrayLike

_BY_FLAVOUR = MASSLESS_NUCLEAR_FORMS[len(NUCLEAR_FORMS) :]
_ENDINGS = {"_pp": "pp", "_pn": "pn", "_np": "pn", "_nn": "nn", "_p": "pp", "_n": "pn"}


def form_factor_product(form: str) -> str:
    """Which product of form factors a nuclear form's kernel carries: "pp", "pn" or "nn".

    The photon couples to protons, so that `dipole` carries F_p^2 and `dipole_tensor_n` F_p F_n.
    """
    for ending, product in _ENDINGS.items():
        if form.endswith(ending):
            return product
    return "pp"


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class FoldedKernels:
    """Kernels of one source on one nucleus, folded over neutrino energies, without form factors.

    `sm` maps "pp", "pn", "nn" to (recoil,), empty for rates without the Standard Model; `forms` maps a form's name to
    (recoil, 3, 3) complex, to be contracted with the form. Both in cm^2/MeV times the unit of the source's weight.
    """

    sm: dict[str, Array]
    forms: dict[str, Array]

    def spectrum(self, forms: Forms, f_p: ArrayLike, f_n: ArrayLike) -> Array:
        """Rate per target per MeV of recoil, (recoil,).

        Args:
            forms: quadratic forms of the couplings.
            f_p, f_n: form factors of protons and neutrons at the recoil energies of the fold, (recoil,).
        """
        f_p, f_n = jnp.asarray(f_p), jnp.asarray(f_n)
        products = {"pp": f_p**2, "pn": f_p * f_n, "nn": f_n**2}
        total = forms["sm"] * sum(self.sm[k] * products[k] for k in self.sm)
        charges = {name for name in self.forms if "charge" in name}
        vectors = {name for name in self.forms if "vector" in name} - charges
        for kind in (set(self.forms) - vectors - charges, vectors, charges):
            for k, product in products.items():
                names = [name for name in self.forms if name in kind and form_factor_product(name) == k]
                if names:
                    stacked = jnp.stack([self.forms[name] for name in names])
                    matrices = jnp.stack([forms[name] for name in names])
                    total = total + product * jnp.real(jnp.einsum("ktij,kji->t", stacked, matrices))
        return total

    def of_light(self) -> FoldedKernels:
        """The same for massless final states alone, as `forms.split_forms` names their forms."""
        return FoldedKernels(self.sm, {LIGHT + name: kernel for name, kernel in self.forms.items()})


def fold_cevns(
    nodes: SourceNodes, t_mev: ArrayLike, nucleus: Nucleus, weak_charges: str, tensor_coherence: str, spin: float = 0.5
) -> FoldedKernels:
    """Fold the kernels of coherent scattering with a source.

    Args:
        nodes: source nodes, arrays broadcastable to (recoil, energy).
        t_mev: recoil energies, MeV, (recoil,), > 0.
        nucleus, weak_charges, tensor_coherence, spin: as in `cevns`.
    Returns: `FoldedKernels`; kept on disk.
    """
    energy, weight, density, t = (np.asarray(x) for x in (nodes.energy_mev, nodes.weight, nodes.density, t_mev))
    t = t[:, None]
    shape = t.shape[0], energy.shape[-1]
    energy, weight = np.broadcast_to(energy, shape), np.broadcast_to(weight, shape)
    density = np.broadcast_to(density, (*shape, N_FLAVOUR, N_FLAVOUR))
    options = {
        "antineutrino": nodes.antineutrino,
        "weak_charges": weak_charges,
        "tensor_coherence": tensor_coherence,
        "spin": spin,
    }
    told = numbers_digest("cevns", energy, weight, density, t, nucleus, options)
    return kept_or_made("folds", told, lambda: _folded(energy, weight, density, t, nucleus, options))


def _folded(
    energy: np.ndarray, weight: np.ndarray, density: np.ndarray, t: np.ndarray, nucleus: Nucleus, options: Mapping[str, Any]
) -> FoldedKernels:
    """`fold_cevns` of plain numbers, energy and weight (recoil, energy), density (recoil, energy, 3, 3), t (recoil, 1)."""
    values = _compiled_kernels()(energy, t, cevns.Target.of(nucleus), **options)
    sm, kernels, vectors = (np.asarray(v) for v in values)
    populations = np.real(np.diagonal(density, axis1=-2, axis2=-1))
    pp, nn, both = np.einsum("te,tea,akte->kt", weight, populations, sm)
    # Tr[rho Q] for neutrinos, Tr[rho Q^T] for antineutrinos
    states = np.swapaxes(density, -1, -2) if options["antineutrino"] else density
    weighted = weight[..., None, None] * states
    folded = np.einsum("kte,teij->ktij", kernels, weighted)
    # entry (i, j) of a form that is linear in a coupling has the mean of the kernels of flavours i and j
    by_pair = 0.5 * (vectors[:, :, None] + vectors[:, None, :])
    vector = np.einsum("kijte,teij->ktij", by_pair, weighted)
    forms = dict(zip(MASSLESS_NUCLEAR_FORMS, (*folded, *vector), strict=True))
    return FoldedKernels({"pp": pp, "pn": both - pp - nn, "nn": nn}, forms)


@lru_cache(maxsize=1)
def _compiled_kernels() -> Callable[..., tuple[Array, Array, Array]]:
    return jit_once(_kernels, ("antineutrino", "weak_charges", "tensor_coherence", "spin"))


def _kernels(
    energy_mev: Array,
    t_mev: Array,
    target: cevns.Target,
    antineutrino: bool,
    weak_charges: str,
    tensor_coherence: str,
    spin: float,
) -> tuple[Array, Array, Array]:
    """Kernels without form factors, one program for all nuclei: of the SM (flavour, 3, recoil, energy) for the form factors
    (1, 0), (0, 1) and (1, 1) of protons and neutrons, of NUCLEAR_FORMS (form, recoil, energy), and of vectors and charges
    (form, flavour, recoil, energy), those of SM_FORMS and, the same for all flavours, the others."""
    f_p, f_n = np.array([1.0, 0.0, 1.0])[:, None, None], np.array([0.0, 1.0, 1.0])[:, None, None]
    sm = cevns.sm_kernel(energy_mev, t_mev, target, f_p, f_n, weak_charges, spin)
    kernels = cevns.kernels(energy_mev, t_mev, target, 1.0, 1.0, antineutrino, tensor_coherence, spin)
    vectors = cevns.vector_kernels(energy_mev, t_mev, target, 1.0, 1.0, weak_charges, spin)
    vectors |= photon.nuclear_kernels(vectors, t_mev, target.mass_mev)
    by_flavour = [vectors[name] if name in SM_FORMS else jnp.stack([vectors[name]] * N_FLAVOUR) for name in _BY_FLAVOUR]
    return sm, jnp.stack([kernels[name] for name in NUCLEAR_FORMS]), jnp.stack(by_flavour)
