"""Scattering off a spin-0 nucleus at rest: current Z (p + p')^mu, scalar density 2 M C_S, exact in the recoil energy.

    L = g_V (nubar_L gamma^mu nu_L) J_mu + [ C_S (nubar_L N_R) 2 M phi* phi + d (nubar_L sigma^mu_nu N_R) F_mu_nu + h.c. ]

Conventions, units and the meaning of the kernels are those of `spin_half`, with C_S in place of S_1 = S_2. There is no
direct tensor coupling: of a spin-0 nucleus, the tensor operator is a recoil-dependent shift of the dipole (see `cevns`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from nmmfit.constants import electron_charge
from nmmfit.physics.spin_half import divided_by_recoil, guarded_gev, helicity_sign
from nmmfit.shapes import Array, ArrayLike
from nmmfit.units import CM2_PER_MEV_FROM_GEV_M3, GEV2_CM2


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Kernels:
    """d sigma / dT in cm^2/MeV per unit of |C_S|^2 and Z Re(d C_S*); of Z^2 |d|^2 times T, in cm^2; 0 where not allowed."""

    scalar: Array
    dipole_scalar: Array
    dipole_times_t: Array
    t_mev: Array

    @property
    def dipole(self) -> Array:
        """of Z^2 |d|^2; infinite at T = 0."""
        return divided_by_recoil(self.dipole_times_t, self.t_mev)


def vector(e_nu_mev: ArrayLike, t_mev: ArrayLike, mass_mev: ArrayLike, g_v: ArrayLike, m_n_mev: ArrayLike = 0.0) -> Array:
    """d sigma / dT of a vector coupling g_V (real, GeV^-2), in cm^2/MeV: M / (2 pi) g_V^2 [1 - T/E - M T / (2 E^2)].

    With an outgoing lepton of mass m the bracket gains
    -m^2 / (2 M E) (1 - T / (2 E)) - m^2 (2 M + T) / (8 M E^2) + m^4 / (16 M^2 E^2).
    """
    allowed, e, t, mass, m, _ = guarded_gev(e_nu_mev, t_mev, mass_mev, m_n_mev)
    m2 = m**2
    bracket = (
        1.0
        - t / e
        - mass * t / (2.0 * e**2)
        - m2 / (2.0 * mass * e) * (1.0 - t / (2.0 * e))
        - m2 * (2.0 * mass + t) / (8.0 * mass * e**2)
        + m2**2 / (16.0 * mass**2 * e**2)
    )
    return jnp.where(allowed, mass / (2.0 * math.pi) * jnp.asarray(g_v) ** 2 * bracket * CM2_PER_MEV_FROM_GEV_M3, 0.0)


def kernels(
    e_nu_mev: ArrayLike, t_mev: ArrayLike, mass_mev: ArrayLike, m_n_mev: ArrayLike = 0.0, antineutrino: bool = False
) -> Kernels:
    """Scalar and dipole kernels with their interference; arguments as in `spin_half.kernels`."""
    allowed, e, t, mass, m, safe_t = guarded_gev(e_nu_mev, t_mev, mass_mev, m_n_mev)
    charge = electron_charge()
    m2 = m**2
    dipole_times_t = (
        1.0
        - t / e
        + t**2 / (4.0 * e**2)
        - m2 / (2.0 * e * mass) * (1.0 - t / (4.0 * e) + mass / (2.0 * e))
        - m2**2 / (8.0 * e**2 * safe_t * mass)
    )
    interference = helicity_sign(antineutrino) * charge * mass / (math.pi * e)
    suppressed = 1.0 - t / (2.0 * e) - m2 / (4.0 * mass * e)
    scalar = mass / (4.0 * math.pi * e**2) * (mass * t + 0.5 * m2)
    return Kernels(
        scalar=jnp.where(allowed, scalar * CM2_PER_MEV_FROM_GEV_M3, 0.0),
        dipole_scalar=jnp.where(allowed, interference * suppressed * CM2_PER_MEV_FROM_GEV_M3, 0.0),
        dipole_times_t=jnp.where(allowed, charge**2 / math.pi * dipole_times_t * GEV2_CM2, 0.0),
        t_mev=jnp.asarray(t_mev),
    )
