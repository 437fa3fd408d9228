"""Oscillation in vacuum over a finite distance, as a flavour density matrix.

With |nu_k> = sum_a U_ak |nu_a>, a neutrino made as nu_a arrives as sum_b A_b |nu_b>,

    A_b = sum_k U_bk exp(-i dm_k1^2 L / 2E) U*_ak,   rho = A A^dagger,

and an antineutrino with U* for U. In the mass basis these are the amplitudes A_k(L, E) of arXiv:2206.13122, eq. (3.2). Majorana
phases drop out.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from nmmfit import precision as precision
from nmmfit.errors import unknown
from nmmfit.physics.oscillation import OscillationParameters, pmns_matrix
from nmmfit.shapes import Hermitian
from nmmfit.units import HBAR_C_MEV_FM

FLAVOURS = ("e", "mu", "tau")
# dm^2 [eV^2] L [m] / 2 E [MeV] in radians: 1e-12 MeV^2 per eV^2 and hbar c in MeV m.
_HALF_PHASE = 0.5 * 1e-12 / (HBAR_C_MEV_FM * 1e-15)


def vacuum_density_matrix(
    parameters: OscillationParameters, flavour: str, e_nu_mev: Any, distance_m: Any, antineutrino: bool = False
) -> Hermitian:
    """Flavour density matrix, (..., 3, 3), of a neutrino made as `flavour` at a distance; pure: rho^2 = rho, trace 1.

    Together with `dipole_matrix.moment_squared` (and its `antineutrino`) it gives the effective moment at that distance. At 10 m
    from a reactor and 30 m from a stopped-pion source the flavour is still what it was to 1e-3.

    Args:
        parameters: mixing parameters; dm31 is that of their ordering.
        flavour: "e", "mu" or "tau".
        e_nu_mev: energy, MeV, > 0; distance_m: distance, m; they broadcast. Not checked. No matter effects: L much below 1000 km.
        antineutrino: whether an antineutrino was made.
    Raises: UserInputError for an unknown flavour.
    """
    if flavour not in FLAVOURS:
        raise unknown("flavour", flavour, FLAVOURS)
    u = pmns_matrix(parameters)
    u = jnp.conj(u) if antineutrino else u
    splittings = jnp.stack([jnp.zeros(()), jnp.asarray(parameters.dm21, float), jnp.asarray(parameters.dm31, float)])
    per_splitting = _HALF_PHASE * jnp.asarray(distance_m, dtype=float) / jnp.asarray(e_nu_mev, dtype=float)
    phase = jnp.exp(-1j * per_splitting[..., None] * splittings)
    amplitude = jnp.einsum("bk,...k,k->...b", u, phase, jnp.conj(u[FLAVOURS.index(flavour)]))
    return amplitude[..., :, None] * jnp.conj(amplitude)[..., None, :]
