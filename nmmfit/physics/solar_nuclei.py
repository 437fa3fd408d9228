"""Solar neutrinos on the nuclei of an element: kernels of coherent scattering folded with fluxes, isotopes and a fixed response.

As in `solar_electrons`, the flavour density matrix is needed at a few energies only, and kernels are integrated over the energy
against the Lagrange polynomials of these. Form factors are fixed at nominal radii: 8B neutrinos transfer at most 30 MeV.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.numerics.interpolation import lagrange_matrix
from nmmfit.physics import cevns, photon
from nmmfit.physics.form_factors import form_factor
from nmmfit.physics.forms import MASSLESS_NUCLEAR_FORMS, N_FLAVOUR, SM_FORMS
from nmmfit.physics.massive import smallest_energy_mev
from nmmfit.physics.nuclei import natural_mixture, target_spin
from nmmfit.physics.solar_electrons import DENSITY_NODES_HIGH_ENERGY, ENERGY_ORDER, FoldedKernel
from nmmfit.physics.sources import NeutrinoSource
from nmmfit.shapes import Array

FORM_NAMES = MASSLESS_NUCLEAR_FORMS


def flavour_nodes(source: NeutrinoSource, count: int = DENSITY_NODES_HIGH_ENERGY) -> np.ndarray:
    """Chebyshev nodes in energy, MeV, over a whole continuous spectrum."""
    half = 0.5 * source.e_max_mev
    return half + half * np.cos(np.pi * (np.arange(count) + 0.5) / count)


def fold_nuclei(
    sources: Mapping[str, NeutrinoSource],
    fluxes_cm2_s: Mapping[str, float],
    element: str,
    t_mev: np.ndarray,
    response: np.ndarray,
    *,
    weak_charges: str,
    tensor_coherence: str,
    profile: str,
    nuclear_spin: str,
) -> dict[str, FoldedKernel]:
    """Kernels of continuous sources of neutrinos on a natural element, in bins.

    Args:
        sources, fluxes_cm2_s: normalised sources and their fluxes at the Earth before oscillation.
        element: such as "Xe".
        t_mev: recoil nodes, MeV, (recoil,).
        response: (bin, recoil): probability of each bin times the quadrature weight in MeV, atoms and live time in s.
        weak_charges, tensor_coherence, profile, nuclear_spin: the choices of theory.
    Raises: UserInputError for an unknown choice, or one that does not exist for an isotope.
    """
    shape = form_factor(profile)
    folded = {}
    for name, source in sources.items():
        nodes = flavour_nodes(source)
        total: np.ndarray = np.zeros(0)
        for isotope, fraction in natural_mixture(element):
            energy, weight = source.quadrature(smallest_energy_mev(t_mev, isotope.mass_mev, 0.0), ENERGY_ORDER)
            q_mev = np.sqrt(2.0 * isotope.mass_mev * t_mev)
            f_p, f_n = (np.asarray(shape(q_mev, r))[:, None] for r in (isotope.r_p_fm, isotope.r_n_fm))
            spin = target_spin(isotope, nuclear_spin)
            values = np.asarray(
                _kernels(energy, t_mev[:, None], cevns.Target.of(isotope), f_p, f_n, weak_charges, tensor_coherence, spin)
            )
            measure = fraction * fluxes_cm2_s[name] * weight
            contracted = np.einsum("kre,re,rej->krj", values, measure, lagrange_matrix(nodes, energy), optimize=True)
            part = response @ contracted
            total = part if total.size == 0 else total + part
        sizes = [N_FLAVOUR if n in SM_FORMS else 1 for n in FORM_NAMES]
        pieces = np.split(total[N_FLAVOUR:], np.cumsum(sizes)[:-1])
        forms = {n: piece if n in SM_FORMS else piece[0] for n, piece in zip(FORM_NAMES, pieces, strict=True)}
        folded[name] = FoldedKernel(nodes, total[:N_FLAVOUR], forms)
    return folded


@partial(jax.jit, static_argnames=("weak_charges", "tensor_coherence", "spin"))
def _kernels(
    energy_mev: Array,
    t_mev: Array,
    target: cevns.Target,
    f_p: Array,
    f_n: Array,
    weak_charges: str,
    tensor_coherence: str,
    spin: float,
) -> Array:
    """Standard Model (3, recoil, energy), then FORM_NAMES one after the other; one program for all isotopes of one spin."""
    sm = cevns.sm_kernel(energy_mev, t_mev, target, f_p, f_n, weak_charges, spin)
    kernels = cevns.kernels(energy_mev, t_mev, target, f_p, f_n, False, tensor_coherence, spin)
    vectors = cevns.vector_kernels(energy_mev, t_mev, target, f_p, f_n, weak_charges, spin)
    kernels |= vectors | photon.nuclear_kernels(vectors, t_mev, target.mass_mev)
    shape = energy_mev.shape
    rows = [jnp.broadcast_to(kernels[n], (N_FLAVOUR, *shape) if n in SM_FORMS else (1, *shape)) for n in FORM_NAMES]
    return jnp.concatenate([jnp.broadcast_to(sm, (N_FLAVOUR, *shape)), *rows])
