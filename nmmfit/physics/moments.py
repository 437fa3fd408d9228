"""Effective magnetic moments: what an experiment with a given flavour state measures, in Bohr magnetons.

The moment matrix is mu = 2 d, with d the dipole couplings of `TargetCouplings` ((3, 6): flavour p, final state r; those that
break lepton number carry the factor 2 of the two identical fields, so that |mu_pr| = 2 |d_pr| = 4 |L_pr| for them).
Matrices themselves, bases and their invariances: `physics.dipole_matrix`.
"""

from __future__ import annotations

import jax.numpy as jnp

from nmmfit import precision as precision
from nmmfit.constants import bohr_magneton_per_gev
from nmmfit.errors import unknown
from nmmfit.physics.dipole_matrix import moment_squared
from nmmfit.physics.forms import N_FLAVOUR
from nmmfit.shapes import Array

MOMENTS = ("reactor_e", "sns_mu", "sns_e", "solar", "plasmon")
"""Names of the effective moments, in the order in which they are shown."""
# name -> (flavour, whether antineutrinos arrive)
_PURE_STATES = {"reactor_e": (0, True), "sns_e": (0, False), "sns_mu": (1, False)}


def named_density(name: str) -> tuple[Array, bool]:
    """Flavour density matrix (3, 3) of a source too near for oscillations, and whether it emits antineutrinos.

    "reactor_e" (antinu_e), "sns_e" (nu_e) and "sns_mu" (nu_mu; the moment seen by antinu_mu is the same).

    Raises: UserInputError for an unknown name.
    """
    if name not in _PURE_STATES:
        raise unknown("effective moment", name, _PURE_STATES)
    flavour, antineutrino = _PURE_STATES[name]
    return jnp.zeros((N_FLAVOUR, N_FLAVOUR), dtype=jnp.complex128).at[flavour, flavour].set(1.0), antineutrino


def effective_moment_squared_mub2(dipole: Array, density: Array, antineutrino: bool = False) -> Array:
    """mu_eff^2 = Tr[rho mu mu^dagger] in mu_B^2; smooth everywhere.

    Args:
        dipole: (..., 3, 6), GeV^-1, complex.
        density: (..., 3, 3), flavour density matrix of what arrives, trace 1.
        antineutrino: whether it describes antineutrinos, which see the transposed form.
    Returns: (...), >= 0.
    """
    return 4.0 * moment_squared(dipole, density, antineutrino) / bohr_magneton_per_gev() ** 2


def effective_moment_mub(dipole: Array, density: Array, antineutrino: bool = False) -> Array:
    """mu_eff = sqrt(Tr[rho mu mu^dagger]) in Bohr magnetons; arguments as in `effective_moment_squared_mub2`.

    Returns: (...), >= 0; at zero, where the root has a cusp, the gradient is given as 0.
    """
    return root_of_square(effective_moment_squared_mub2(dipole, density, antineutrino))


def plasmon_moment_mub(dipole: Array) -> Array:
    """Moment that governs plasmon decay, in mu_B: mu^2 = sum over pairs of different final states of |mu|^2.

    A Dirac entry mu_pr opens nu_p Nbar_r and nubar_p N_r; a Majorana pair {p, r} opens nu_p nu_r and its conjugate, once although
    it stands in the antisymmetric matrix twice. So columns 0-2 count in full, columns 3-5 half. The mass of N is neglected.

    Args:
        dipole: (..., 3, 6), GeV^-1, complex.
    Returns: (...), >= 0; gradient 0 at zero.
    """
    size = jnp.real(dipole * jnp.conj(dipole))
    total = jnp.sum(size[..., :N_FLAVOUR], axis=(-2, -1)) + 0.5 * jnp.sum(size[..., N_FLAVOUR:], axis=(-2, -1))
    return root_of_square(4.0 * total / bohr_magneton_per_gev() ** 2)


def root_of_square(square: Array) -> Array:
    """Square root of what is >= 0, with gradient 0 at zero, where the root has a cusp."""
    positive = square > 0.0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1.0)), 0.0)
