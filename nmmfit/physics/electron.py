"""Neutrino-electron scattering: Standard Model with radiative corrections, dipole, scalar and tensor with all interferences.

Free electrons at rest: the binding of atomic electrons is left to the experiment that needs it.
"""

from __future__ import annotations

import math

import jax.numpy as jnp

from nmmfit import precision as precision
from nmmfit.constants import ALPHA_0, FERMI, M_ELECTRON_MEV, SIN2_THETA_W_0
from nmmfit.errors import unknown
from nmmfit.physics import radiative as bks
from nmmfit.physics import spin_half
from nmmfit.physics.photon import ELECTRON_CHARGE_NUMBER
from nmmfit.shapes import Array, ArrayLike

RADIATIVE = ("bks", "rho_kappa", "none")


def couplings(t_mev: ArrayLike, radiative: str = "bks") -> tuple[Array, Array]:
    """Standard Model (g_L, g_R) of the electron for nu_e, nu_mu, nu_tau, each (3, ...) in the shape of `t_mev`.

    "none": g_L = sin^2 theta_W +- 1/2 (+ for nu_e), g_R = sin^2 theta_W at zero momentum transfer;
    otherwise with rho and kappa(T).

    Raises: UserInputError for an unknown option.
    """
    if radiative not in RADIATIVE:
        raise unknown("radiative correction", radiative, RADIATIVE, "radiative")
    if radiative != "none":
        return bks.running_couplings(t_mev)
    s2 = SIN2_THETA_W_0.value
    ones = jnp.ones(jnp.shape(t_mev))
    return jnp.stack([(s2 + 0.5) * ones, (s2 - 0.5) * ones, (s2 - 0.5) * ones]), jnp.stack([s2 * ones] * 3)


def sm_kernel(e_nu_mev: ArrayLike, t_mev: ArrayLike, radiative: str = "bks", antineutrino: bool = False) -> Array:
    """Standard Model d sigma / dT for each flavour, in cm^2/MeV.

    2 G_F^2 m_e / pi {g_L^2 [1 + a f_-] + g_R^2 (1 - z)^2 [1 + a f_+] - g_L g_R m_e z / E [1 + a f_+-]}, z = T / E, a = alpha / pi
    (astro-ph/9502003); antineutrinos: g_L and g_R exchanged.

    Args:
        e_nu_mev, t_mev: neutrino and recoil energy, MeV, broadcastable.
        radiative: "bks" (all corrections), "rho_kappa" (couplings only, no photons) or "none" (tree level).
        antineutrino: whether an antineutrino comes in.
    Returns: (3, ...) for nu_e, nu_mu, nu_tau; 0 above T_max.
    Raises: UserInputError for an unknown option.
    """
    e, t = jnp.broadcast_arrays(jnp.asarray(e_nu_mev, dtype=float), jnp.asarray(t_mev, dtype=float))
    left, right = couplings(t, radiative)
    norm = 8.0 * FERMI.value**2  # g_LL = -2 sqrt(2) G_F g_L
    return vector_pieces(e, t, norm * left**2, norm * right**2, norm * left * right, radiative, antineutrino)


def vector_pieces(
    e_nu_mev: ArrayLike,
    t_mev: ArrayLike,
    left_left: ArrayLike,
    right_right: ArrayLike,
    left_right: ArrayLike,
    radiative: str = "bks",
    antineutrino: bool = False,
) -> Array:
    """d sigma / dT of three products of vector couplings, g_LL^2, g_LR^2 and g_LL g_LR (GeV^-4), in cm^2/MeV.

    With "bks" each has its photonic correction, which the electron's line gives it whatever the neutrinos couple to.

    Args:
        e_nu_mev, t_mev: neutrino and recoil energy, MeV, broadcastable.
        left_left, right_right, left_right: products of couplings, broadcastable.
        radiative: as in `sm_kernel`; the couplings are those given.
        antineutrino: whether an antineutrino comes in; exchanges the first two.
    """
    m = M_ELECTRON_MEV.value
    e, t = jnp.broadcast_arrays(jnp.asarray(e_nu_mev, dtype=float), jnp.asarray(t_mev, dtype=float))
    if antineutrino:
        left_left, right_right = right_right, left_left
    total = spin_half.vector_pieces(e, t, m, left_left, right_right, left_right)
    if radiative != "bks":
        return total
    f_minus, f_plus_rest2, f_mixed = bks.photon_corrections(e, t)
    safe_e = jnp.where(e > 0.0, e, 1.0)
    # spin_half.vector_pieces multiplies the right-handed part by (1 - z)^2 and the mixed one by m T / E^2
    photons = left_left * f_minus + right_right * f_plus_rest2 - left_right * m * t / safe_e**2 * f_mixed
    unit = spin_half.vector_pieces(e, t, m, 1.0, 0.0, 0.0)
    return total + ALPHA_0.value / math.pi * unit * photons


def vector_kernels(e_nu_mev: ArrayLike, t_mev: ArrayLike, radiative: str = "bks", antineutrino: bool = False) -> dict[str, Array]:
    """d sigma / dT per unit of each form of `forms.ELECTRON_VECTOR_FORMS`, in cm^2/MeV, for massless final states.

    The Standard Model with L^{V,LL}, L^{V,LR} added has g_LL = -2 sqrt(2) G_F g_L + L^{V,LL}, and g_LR alike with g_R and
    L^{V,LR}; what is not `sm_kernel` is one of these. Radiative corrections as there, all products included.

    Args: as for `sm_kernel`.
    Returns: name -> broadcast shape, or (3, ...), one for each flavour, for the forms linear in a coupling.
    Raises: UserInputError for an unknown option.
    """
    e, t = jnp.broadcast_arrays(jnp.asarray(e_nu_mev, dtype=float), jnp.asarray(t_mev, dtype=float))
    left, right = (-2.0 * math.sqrt(2.0) * FERMI.value * g for g in couplings(t, radiative))
    none, one = jnp.zeros(e.shape), jnp.ones(e.shape)

    def of(left_left: Array, right_right: Array, left_right: Array) -> Array:
        return vector_pieces(e, t, left_left, right_right, left_right, radiative, antineutrino)

    return {
        "electron_left_left": of(one, none, none),
        "electron_right_right": of(none, one, none),
        "electron_left_right": of(none, none, one),
        "sm_electron_left": of(2.0 * left, 0.0 * left, right),
        "sm_electron_right": of(0.0 * right, 2.0 * right, left),
    }


def massive_vector_kernels(
    e_nu_mev: ArrayLike, t_mev: ArrayLike, m_n_mev: ArrayLike, antineutrino: bool = False
) -> dict[str, Array]:
    """Those of `vector_kernels` that are quadratic in the couplings, at tree level, for the conjugate of N with mass m, MeV."""

    def of(left: float, right: float, mixed: float) -> Array:
        first, second = (right, left) if antineutrino else (left, right)
        return spin_half.vector_pieces(e_nu_mev, t_mev, M_ELECTRON_MEV.value, first, second, mixed, m_n_mev)

    return {
        "electron_left_left": of(1.0, 0.0, 0.0),
        "electron_right_right": of(0.0, 1.0, 0.0),
        "electron_left_right": of(0.0, 0.0, 1.0),
    }


def kernels(e_nu_mev: ArrayLike, t_mev: ArrayLike, antineutrino: bool = False, m_n_mev: ArrayLike = 0.0) -> dict[str, Array]:
    """d sigma / dT per unit of each form of `forms.ELECTRON_FORMS`, in cm^2/MeV, at tree level.

    Args:
        e_nu_mev, t_mev: neutrino and recoil energy, MeV, broadcastable.
        antineutrino: whether an antineutrino comes in; flips scalar-tensor and dipole-scalar.
        m_n_mev: mass of the outgoing neutral lepton, MeV.
    Returns: name -> broadcast shape; 0 outside the allowed recoils. `dipole` is infinite at T = 0.
    """
    k = spin_half.kernels(e_nu_mev, t_mev, M_ELECTRON_MEV.value, m_n_mev, antineutrino)
    charge = ELECTRON_CHARGE_NUMBER
    return {
        "dipole": charge**2 * k.dipole,
        "electron_s1_s1": k.s_s,
        "electron_s2_s2": k.s_s,
        "electron_s1_s2": k.s1_s2,
        "electron_tensor": k.tensor,
        "electron_s1_tensor": k.s1_tensor,
        "electron_dipole_scalar": charge * k.dipole_scalar,
        "electron_dipole_tensor": charge * k.dipole_tensor,
    }
