"""Kinematics of a neutrino scattering elastically off a target at rest, nu X -> N X, with a massless nu and N of any mass.

Metric (+,-,-,-); T is the recoil energy, M the target mass, m the mass of the outgoing neutral lepton, q^2 = -2 M T.
"""

from __future__ import annotations

import jax.numpy as jnp

from nmmfit import precision as precision
from nmmfit.shapes import Array, ArrayLike


def max_recoil_energy(e_nu_mev: ArrayLike, mass_mev: ArrayLike) -> Array:
    """Largest kinetic energy a neutrino can give to a target at rest, in MeV.

    T_max = 2 E^2 / (M + 2 E), from energy-momentum conservation, for a massless outgoing lepton.

    Args:
        e_nu_mev: neutrino energy, MeV, any shape, >= 0.
        mass_mev: target mass, MeV, > 0, broadcastable.
    Returns: recoil energy, MeV; 0 at E = 0, 2 E^2 / M for a heavy target.
    """
    e = jnp.asarray(e_nu_mev)
    return 2.0 * e**2 / (mass_mev + 2.0 * e)


def threshold_energy(mass_mev: ArrayLike, m_n_mev: ArrayLike) -> Array:
    """Smallest neutrino energy that can make a neutral lepton of mass m: E_th = m + m^2 / (2 M), in MeV."""
    m = jnp.asarray(m_n_mev)
    return m + m**2 / (2.0 * jnp.asarray(mass_mev))


def recoil_limits(e_nu_mev: ArrayLike, mass_mev: ArrayLike, m_n_mev: ArrayLike = 0.0) -> tuple[Array, Array]:
    """Smallest and largest recoil energy, MeV, for an outgoing neutral lepton of mass m.

    T_+- = [2 M E^2 - m^2 (M + E) +- E sqrt((2 M E - m^2)^2 - 4 M^2 m^2)] / [2 M (M + 2 E)]; T_- from the product
    T_+ T_- = m^4 / [4 M (M + 2 E)], which does not cancel at small m.

    Args:
        e_nu_mev: neutrino energy, MeV, > 0.
        mass_mev: target mass, MeV, > 0.
        m_n_mev: mass of the outgoing neutral lepton, MeV, >= 0.
    Returns: (T_-, T_+); (0, T_max) at m = 0. Below threshold (inf, -inf): no recoil energy lies between them.
    """
    e, mass, m = jnp.broadcast_arrays(*(jnp.asarray(x, dtype=float) for x in (e_nu_mev, mass_mev, m_n_mev)))
    above = e >= threshold_energy(mass, m)
    # (2 M E - m^2)^2 - 4 M^2 m^2 factorised, so that it is exactly 0 at threshold; guarded where its root is taken
    discriminant = (2.0 * mass * (e - m) - m**2) * (2.0 * mass * (e + m) - m**2)
    root = jnp.sqrt(jnp.where(above & (discriminant > 0.0), discriminant, 1.0))
    root = jnp.where(discriminant > 0.0, root, 0.0)
    upper = (2.0 * mass * e**2 - m**2 * (mass + e) + e * root) / (2.0 * mass * (mass + 2.0 * e))
    safe_upper = jnp.where(above & (upper > 0.0), upper, 1.0)
    lower = m**4 / (4.0 * mass * (mass + 2.0 * e) * safe_upper)
    return jnp.where(above, lower, jnp.inf), jnp.where(above, upper, -jnp.inf)


def min_neutrino_energy(t_mev: ArrayLike, mass_mev: ArrayLike, m_n_mev: ArrayLike = 0.0) -> Array:
    """Smallest neutrino energy that gives recoil energy T, in MeV.

    E_min = (1 + m^2 / (2 M T)) (T + sqrt(T^2 + 2 M T)) / 2, the inverse of `recoil_limits`.

    Args:
        t_mev: recoil energy, MeV, >= 0.
        mass_mev: target mass, MeV, > 0.
        m_n_mev: mass of the outgoing neutral lepton, MeV, >= 0.
    Returns: MeV; at T = 0: 0 for m = 0 and infinite for m > 0. The gradient at T = 0, which diverges, is given as 0.
    """
    t, mass, m = jnp.broadcast_arrays(*(jnp.asarray(x, dtype=float) for x in (t_mev, mass_mev, m_n_mev)))
    moving = t > 0.0
    safe = jnp.where(moving, t, 1.0)
    energy = 0.5 * (1.0 + m**2 / (2.0 * mass * safe)) * (safe + jnp.sqrt(safe**2 + 2.0 * mass * safe))
    return jnp.where(moving, energy, jnp.where(m > 0.0, jnp.inf, 0.0))


def momentum_transfer(t_mev: ArrayLike, mass_mev: ArrayLike) -> Array:
    """Momentum transfer sqrt(-q^2) = sqrt(2 M T), in MeV; 0 at T = 0, where the gradient is given as 0."""
    t, mass = jnp.broadcast_arrays(jnp.asarray(t_mev, dtype=float), jnp.asarray(mass_mev, dtype=float))
    moving = t > 0.0
    return jnp.where(moving, jnp.sqrt(2.0 * mass * jnp.where(moving, t, 1.0)), 0.0)


def is_allowed(e_nu_mev: ArrayLike, t_mev: ArrayLike, mass_mev: ArrayLike, m_n_mev: ArrayLike = 0.0) -> Array:
    """Whether recoil energy T can follow from neutrino energy E (boolean, broadcast): T_- <= T <= T_+."""
    lower, upper = recoil_limits(e_nu_mev, mass_mev, m_n_mev)
    t = jnp.asarray(t_mev)
    return (t >= lower) & (t <= upper)
