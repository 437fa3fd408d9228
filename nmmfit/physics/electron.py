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
from nmmfit.shapes import Array, ArrayLike

ELECTRON_CHARGE_NUMBER = -1.0
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
    m = M_ELECTRON_MEV.value
    e, t = jnp.broadcast_arrays(jnp.asarray(e_nu_mev, dtype=float), jnp.asarray(t_mev, dtype=float))
    left, right = couplings(t, radiative)
    if antineutrino:
        left, right = right, left
    norm = 8.0 * FERMI.value**2  # g_LL = -2 sqrt(2) G_F g_L
    total = spin_half.vector_pieces(e, t, m, norm * left**2, norm * right**2, norm * left * right)
    if radiative != "bks":
        return total
    f_minus, f_plus_rest2, f_mixed = bks.photon_corrections(e, t)
    safe_e = jnp.where(e > 0.0, e, 1.0)
    # spin_half.vector_pieces multiplies the right-handed part by (1 - z)^2 and the mixed one by m T / E^2
    photons = left**2 * f_minus + right**2 * f_plus_rest2 - left * right * m * t / safe_e**2 * f_mixed
    unit = spin_half.vector_pieces(e, t, m, jnp.asarray(norm), jnp.asarray(0.0), jnp.asarray(0.0))
    return total + ALPHA_0.value / math.pi * unit * photons


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
