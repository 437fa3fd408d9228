"""Scattering off a spin-1/2 Dirac target at rest, exact in the recoil energy, with an outgoing neutral lepton of any mass.

    L = g_LL (nubar_L gamma^mu nu_L)(fbar_L gamma_mu f_L) + g_LR (nubar_L gamma^mu nu_L)(fbar_R gamma_mu f_R)
        + [ S_1 (nubar_L N_R)(fbar_L f_R) + S_2 (nubar_L N_R)(fbar_R f_L) + t (nubar_L sigma^mu_nu N_R)(fbar_L sigma_mu_nu f_R)
            + d (nubar_L sigma^mu_nu N_R) F_mu_nu + h.c. ],      D_mu = partial_mu + i e Q A_mu, e > 0

The kernels are d sigma / dT per unit of a product of couplings, in cm^2/MeV, for a target of charge Q = 1; the electron
(Q = -1) and nuclei (Q = Z F_p) are built on them. They follow from the traces of the tree-level amplitudes; tests compare them
with an evaluation in explicit Dirac matrices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from nmmfit import precision as precision
from nmmfit.constants import electron_charge
from nmmfit.physics.kinematics import is_allowed
from nmmfit.shapes import Array, ArrayLike
from nmmfit.units import CM2_PER_MEV_FROM_GEV_M3, GEV2_CM2, MEV_PER_GEV


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Kernels:
    """d sigma / dT in cm^2/MeV per unit of the product named, couplings in GeV^-1 (d) and GeV^-2; 0 outside the allowed recoils.

    A cross term multiplies Re(x y*) once: the 2 of |x + y|^2 is included. Charge 1 where the photon enters.
    """

    s_s: Array
    """of |S_1|^2 and, alike, of |S_2|^2."""
    s1_s2: Array
    tensor: Array
    s1_tensor: Array
    dipole_scalar: Array
    """of Q Re[d (S_1 + S_2)*]."""
    dipole_tensor: Array
    """of Q Re(d t*)."""
    dipole_times_t: Array
    """of Q^2 |d|^2, times T in MeV: cm^2, finite at T = 0."""

    t_mev: Array

    @property
    def dipole(self) -> Array:
        """of Q^2 |d|^2; infinite at T = 0."""
        return divided_by_recoil(self.dipole_times_t, self.t_mev)


def divided_by_recoil(value: Array, t_mev: Array) -> Array:
    """value / T; at T = 0 infinite, or 0 where the value itself is 0."""
    moving = t_mev > 0.0
    return jnp.where(moving, value / jnp.where(moving, t_mev, 1.0), jnp.where(value == 0.0, 0.0, jnp.inf))


def helicity_sign(antineutrino: bool) -> float:
    """Sign of the scalar-tensor and dipole-scalar interference: -1 for an incoming neutrino, +1 for an antineutrino."""
    return 1.0 if antineutrino else -1.0


def guarded_gev(
    e_nu_mev: ArrayLike, t_mev: ArrayLike, mass_mev: ArrayLike, m_n_mev: ArrayLike
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Broadcast arguments in GeV, made harmless where the recoil is not allowed.

    Returns: (allowed, E, T, M, m, T for denominators); where not allowed E = M and T = m = 0, and the last is 1 at T = 0.
    """
    e, t, mass, m = jnp.broadcast_arrays(*(jnp.asarray(x, dtype=float) for x in (e_nu_mev, t_mev, mass_mev, m_n_mev)))
    allowed = is_allowed(e, t, mass, m) & (e > 0.0)
    e = jnp.where(allowed, e, mass) / MEV_PER_GEV
    t = jnp.where(allowed, t, 0.0) / MEV_PER_GEV
    m = jnp.where(allowed, m, 0.0) / MEV_PER_GEV
    return allowed, e, t, mass / MEV_PER_GEV, m, jnp.where(t > 0.0, t, 1.0)


def vector(
    e_nu_mev: ArrayLike, t_mev: ArrayLike, mass_mev: ArrayLike, g_ll: ArrayLike, g_lr: ArrayLike, m_n_mev: ArrayLike = 0.0
) -> Array:
    """d sigma / dT of the vector couplings, in cm^2/MeV.

    M / (4 pi) {g_LL^2 [1 - m^2 / (2 M E)] + g_LR^2 (1 - T/E) [1 - T/E - m^2 / (2 M E)] - g_LL g_LR (M T + m^2 / 2) / E^2}; for
    antineutrinos exchange g_LL and g_LR. A mass m of the outgoing lepton belongs to (nubar_L^c gamma N_R), which creates the
    conjugate of N.

    Args:
        e_nu_mev, t_mev: neutrino and recoil energy, MeV, broadcastable.
        mass_mev: target mass, MeV.
        g_ll, g_lr: couplings, real, GeV^-2, broadcastable.
        m_n_mev: mass of the outgoing neutral lepton, MeV.
    Returns: broadcast shape; 0 outside the allowed recoils.
    """
    left, right = jnp.asarray(g_ll), jnp.asarray(g_lr)
    return vector_pieces(e_nu_mev, t_mev, mass_mev, left**2, right**2, left * right, m_n_mev)


def vector_pieces(
    e_nu_mev: ArrayLike,
    t_mev: ArrayLike,
    mass_mev: ArrayLike,
    left_left: ArrayLike,
    right_right: ArrayLike,
    left_right: ArrayLike,
    m_n_mev: ArrayLike = 0.0,
) -> Array:
    """As `vector`, with the three products of couplings given one by one (radiative corrections differ between them)."""
    allowed, e, t, mass, m, _ = guarded_gev(e_nu_mev, t_mev, mass_mev, m_n_mev)
    heavy = m**2 / (2.0 * mass * e)
    slowed = 1.0 - t / e
    bracket = (
        jnp.asarray(left_left) * (1.0 - heavy)
        + right_right * slowed * (slowed - heavy)
        - left_right * mass * t / e**2
        - left_right * 0.5 * m**2 / e**2
    )
    return jnp.where(allowed, mass / (4.0 * math.pi) * bracket * CM2_PER_MEV_FROM_GEV_M3, 0.0)


def kernels(
    e_nu_mev: ArrayLike, t_mev: ArrayLike, mass_mev: ArrayLike, m_n_mev: ArrayLike = 0.0, antineutrino: bool = False
) -> Kernels:
    """Scalar, tensor and dipole kernels with all their interferences.

    Args:
        e_nu_mev, t_mev: neutrino and recoil energy, MeV, broadcastable.
        mass_mev: target mass M, MeV.
        m_n_mev: mass m of the outgoing neutral lepton, MeV; at m = 0 nothing interferes with the vector couplings.
        antineutrino: whether an antineutrino comes in.
    Returns: `Kernels`, each of broadcast shape.
    """
    allowed, e, t, mass, m, safe_t = guarded_gev(e_nu_mev, t_mev, mass_mev, m_n_mev)
    sign = helicity_sign(antineutrino)
    charge = electron_charge()
    m2 = m**2
    # x = m^2 / (M T) never stands alone, so that T = 0 at m = 0 needs no special case
    mt_scalar = mass * t + 0.5 * m2  # M T (1 + x / 2)
    suppressed = 1.0 - t / (2.0 * e) - m2 / (4.0 * mass * e)

    scalar = mt_scalar / (16.0 * math.pi * e**2)
    tensor = (
        (1.0 - t / (2.0 * e)) ** 2 - mass * t / (4.0 * e**2) - m2 / (2.0 * mass * e) * (1.0 - t / (4.0 * e) + mass / (4.0 * e))
    )
    dipole_times_t = (
        1.0
        - t / e
        - m2 / (2.0 * e * mass) * (1.0 - t / (2.0 * e) + mass / (2.0 * e))
        + m2**2 * (t - mass) / (8.0 * e**2 * safe_t * mass**2)
    )
    dipole_tensor = mass * t - 0.5 * m2 - 0.5 * m2**2 / (mass * safe_t)  # M T (1 - x)(1 + x / 2)

    def cm2_per_mev(value_gev_m3: Array) -> Array:
        return jnp.where(allowed, value_gev_m3 * CM2_PER_MEV_FROM_GEV_M3, 0.0)

    return Kernels(
        s_s=cm2_per_mev(scalar * (mass + t)),
        s1_s2=cm2_per_mev(scalar * 2.0 * mass),
        tensor=cm2_per_mev(4.0 * mass / math.pi * tensor),
        s1_tensor=cm2_per_mev(sign * mass * t / (math.pi * e) * suppressed),
        dipole_scalar=cm2_per_mev(sign * charge * mass / (2.0 * math.pi * e) * suppressed),
        dipole_tensor=cm2_per_mev(charge / (math.pi * e**2) * dipole_tensor),
        dipole_times_t=jnp.where(allowed, charge**2 / math.pi * dipole_times_t * GEV2_CM2, 0.0),
        t_mev=jnp.asarray(t_mev),
    )
