"""A photon that couples to the vector current of neutrinos: charge radius and electric charge (millicharge).

    <nu_p| J |nu_r> = e (q_pr + q^2 <r^2>_pr / 6) gamma^mu P_L,    q^2 = -2 M T,

adds, on a target of charge Q, the vector couplings g_LL = g_LR = e^2 Q (<r^2> / 6 + q / q^2), with e at zero momentum transfer. A
millicharge is thus a vector coupling times 1 / T, and its kernels are those of the vectors (`cevns.vector_kernels`,
`electron.vector_kernels`, photonic corrections included) times e^2 / q^2, once for each factor q.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp

from nmmfit import precision as precision
from nmmfit.constants import M_ELECTRON_MEV, electron_charge
from nmmfit.shapes import Array, ArrayLike
from nmmfit.units import GEV2_CM2, MEV_PER_GEV

ELECTRON_CHARGE_NUMBER = -1.0


def coupling_per_charge(radius_cm2: ArrayLike, millicharge: ArrayLike, t_mev: ArrayLike, mass_mev: ArrayLike) -> Array:
    """g_LL = g_LR per unit charge of the target, GeV^-2: e^2 (<r^2> / 6 + q / q^2).

    Args:
        radius_cm2: <r^2>, cm^2; millicharge: q in units of e; complex where they change the flavour.
        t_mev: recoil energy, MeV; at T = 0 it is taken as 1 MeV for the millicharge, whose coupling is infinite there.
        mass_mev: target mass, MeV.
    Returns: broadcast shape.
    """
    t = jnp.asarray(t_mev)
    q2_gev2 = -2.0 * jnp.asarray(mass_mev) * jnp.where(t > 0.0, t, 1.0) / MEV_PER_GEV**2
    return electron_charge() ** 2 * (jnp.asarray(radius_cm2) / (6.0 * GEV2_CM2) + jnp.asarray(millicharge) / q2_gev2)


def nuclear_kernels(vectors: Mapping[str, Array], t_mev: ArrayLike, mass_mev: ArrayLike) -> dict[str, Array]:
    """d sigma / dT per unit of each form of `forms.NUCLEAR_CHARGE_FORMS`, in cm^2/MeV; the same for antineutrinos.

    Args:
        vectors: `cevns.vector_kernels` at the same recoils.
        t_mev, mass_mev: recoil energy and target mass, MeV; T > 0: all kernels are infinite at T = 0.
    Returns: name -> shape of the kernel of vectors, (3, ...) for those linear in the charge.
    """
    c = coupling_per_charge(0.0, 1.0, t_mev, mass_mev)
    return {
        "charge": c**2 * vectors["vector_pp"],
        "charge_vector_p": 2.0 * c * vectors["vector_pp"],
        "charge_vector_n": c * vectors["vector_pn"],
        "sm_charge_p": c * vectors["sm_vector_pp"],
        "sm_charge_n": c * vectors["sm_vector_np"],
    }


def electron_kernels(vectors: Mapping[str, Array], t_mev: ArrayLike) -> dict[str, Array]:
    """d sigma / dT per unit of each form of `forms.ELECTRON_CHARGE_FORMS`, in cm^2/MeV.

    Args:
        vectors: `electron.vector_kernels` at the same recoils, for neutrinos or for antineutrinos.
        t_mev: recoil energy, MeV, > 0: all kernels are infinite at T = 0.
    Returns: as `nuclear_kernels`.
    """
    c = ELECTRON_CHARGE_NUMBER * coupling_per_charge(0.0, 1.0, t_mev, M_ELECTRON_MEV.value)
    left_left, right_right, left_right = (vectors[f"electron_{k}"] for k in ("left_left", "right_right", "left_right"))
    return {
        "charge": c**2 * (left_left + right_right + left_right),
        "charge_electron_left": c * (2.0 * left_left + left_right),
        "charge_electron_right": c * (2.0 * right_right + left_right),
        "sm_charge_electron": c * (vectors["sm_electron_left"] + vectors["sm_electron_right"]),
    }
