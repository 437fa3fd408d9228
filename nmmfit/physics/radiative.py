"""Radiative corrections to neutrino-electron scattering of Bahcall, Kamionkowski and Sirlin (astro-ph/9502003)."""

from __future__ import annotations

import math

import jax.numpy as jnp

from nmmfit import precision as precision
from nmmfit.constants import M_ELECTRON_MEV, SIN2_THETA_W_MZ
from nmmfit.numerics.special import atanh_excess, dilogarithm
from nmmfit.shapes import Array, ArrayLike

RHO_NC = 1.0126
KAPPA_E = (0.9791, 0.0097)
KAPPA_MU = (0.9970, -0.00037)
"""kappa = first + second I(T); uncertainty 0.0025 each."""

SMALLEST_LOGARITHM_ARGUMENT = 1.0e-12
"""The soft-photon logarithm diverges, integrably, at T = T_max; its argument is cut off here."""


def loop_function(t_mev: ArrayLike) -> Array:
    """I(T) = 1/6 {1/3 + (3 - x^2) [x/2 ln((x + 1) / (x - 1)) - 1]}, x^2 = 1 + 2 m_e / T; 0 at T = 0."""
    t = jnp.asarray(t_mev, dtype=float)
    moving = t > 0.0
    safe = jnp.where(moving, t, 1.0)
    inverse_square = safe / (safe + 2.0 * M_ELECTRON_MEV.value)
    bracket = atanh_excess(inverse_square)
    return jnp.where(moving, (1.0 / 3.0 + (3.0 - 1.0 / inverse_square) * bracket) / 6.0, 0.0)


def running_couplings(t_mev: ArrayLike) -> tuple[Array, Array]:
    """(g_L, g_R) for nu_e, nu_mu, nu_tau, each (3, ...), with electroweak corrections rho and kappa(T).

    Signs as at tree level, g_L = sin^2 theta_W +- 1/2 and g_R = sin^2 theta_W; both are opposite in the paper. nu_tau as nu_mu.
    """
    loop = loop_function(t_mev)
    right_e = RHO_NC * (KAPPA_E[0] + KAPPA_E[1] * loop) * SIN2_THETA_W_MZ.value
    right_mu = RHO_NC * (KAPPA_MU[0] + KAPPA_MU[1] * loop) * SIN2_THETA_W_MZ.value
    right = jnp.stack([right_e, right_mu, right_mu])
    half = 0.5 * RHO_NC
    return jnp.stack([right_e - half + 1.0, right_mu - half, right_mu - half]), right


def photon_corrections(e_nu_mev: ArrayLike, t_mev: ArrayLike) -> tuple[Array, Array, Array]:
    """f_-, (1 - z)^2 f_+ and f_+-: corrections to the electron's spectrum in units of alpha / pi.

    They multiply g_L^2, g_R^2 and g_L g_R of neutrinos. With L(x) = int_0^x ln|1 - t| / t dt = -Li_2(x). The spectrum is that of
    the electron alone: a calorimeter also sees the photon (hep-ph/0011190), a difference below the percent level in rate.

    Args:
        e_nu_mev, t_mev: neutrino and recoil energy, MeV, broadcastable.
    Returns: three arrays of broadcast shape; 0 for T <= 0 and T >= E; they fall logarithmically at T_max (see the cut-off above).
    """
    m = M_ELECTRON_MEV.value
    e, t = jnp.broadcast_arrays(jnp.asarray(e_nu_mev, dtype=float), jnp.asarray(t_mev, dtype=float))
    inside = (t > 0.0) & (t < e)
    e = jnp.where(inside, e, 1.0)
    t = jnp.where(inside, t, 0.1)
    z = t / e
    energy = t + m
    momentum = jnp.sqrt(t * (t + 2.0 * m))
    beta = momentum / energy
    a = atanh_excess(beta**2)
    argument = 1.0 - z - m / (energy + momentum)
    soft = jnp.log(jnp.where(argument > SMALLEST_LOGARITHM_ARGUMENT, argument, SMALLEST_LOGARITHM_ARGUMENT))
    log_z, log_rest = jnp.log(z), jnp.log1p(-z)
    l_z, l_beta = -dilogarithm(z), -dilogarithm(beta)
    l_rest = log_z * log_rest - math.pi**2 / 6.0 - l_z  # L(1 - z), by reflection

    f_minus = (
        a * (2.0 * soft - log_rest - 0.5 * log_z - 5.0 / 12.0)
        + 0.5 * (l_z - l_beta)
        - 0.5 * log_rest**2
        - (11.0 / 12.0 + 0.5 * z) * log_rest
        + z * (log_z + 0.5 * math.log(2.0) + 0.5 * jnp.log(e / m))
        - (31.0 / 18.0 + log_z / 12.0) * beta
        - 11.0 / 12.0 * z
        + z**2 / 24.0
    )
    rest2 = (1.0 - z) ** 2
    f_plus_rest2 = (
        a * (rest2 * (2.0 * soft - log_rest - 0.5 * log_z - 2.0 / 3.0) - 0.5 * (z**2 * log_z + 1.0 - z))
        - 0.5 * rest2 * (log_rest**2 + beta * (l_rest - log_z * log_rest))
        + log_rest * (0.5 * z**2 * log_z + (1.0 - z) / 3.0 * (2.0 * z - 0.5))
        - 0.5 * z**2 * l_rest
        - z * (1.0 - 2.0 * z) / 3.0 * log_z
        - z * (1.0 - z) / 6.0
        - beta / 12.0 * (log_z + (1.0 - z) * (115.0 - 109.0 * z) / 6.0)
    )
    return (
        jnp.where(inside, f_minus, 0.0),
        jnp.where(inside, f_plus_rest2, 0.0),
        jnp.where(inside, 2.0 * a * soft, 0.0),
    )
