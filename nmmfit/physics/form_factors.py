"""Nuclear form factors F(q): Fourier transforms of density profiles, normalised to 1, functions of the rms radius.

The radius R is sqrt(<r^2>), so that F = 1 - q^2 R^2 / 6 + ... for all of them. The momentum transfer is in MeV.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from nmmfit import precision as precision
from nmmfit.errors import unknown
from nmmfit.numerics.special import coth_excess, sinc, sphere_form_factor, x_over_sinh
from nmmfit.shapes import Array, ArrayLike
from nmmfit.units import HBAR_C_MEV_FM

HELM_SKIN_FM = 0.9
YUKAWA_RANGE_FM = 0.7
FERMI_DIFFUSENESS_FM = 0.523


def _q_squared_per_fm2(q_mev: ArrayLike) -> Array:
    return (jnp.asarray(q_mev) / HBAR_C_MEV_FM) ** 2


def helm(q_mev: ArrayLike, radius_fm: ArrayLike, skin_fm: ArrayLike = HELM_SKIN_FM) -> Array:
    """Helm form factor: a uniform sphere folded with a Gaussian.

    F = 3 j_1(q R_0) / (q R_0) exp(-q^2 s^2 / 2), R_0^2 = 5/3 (R^2 - 3 s^2). F carries exp(-q^2 s^2 / 2), F^2 its square.

    Args:
        q_mev: momentum transfer, MeV, any shape, >= 0.
        radius_fm: rms radius R, fm, > sqrt(3) s.
        skin_fm: width s of the Gaussian, fm.
    Returns: F, shape of the broadcast arguments; 1 at q = 0. Source: R. H. Helm, Phys. Rev. 104, 1466 (1956).
    """
    q2 = _q_squared_per_fm2(q_mev)
    skin2 = jnp.asarray(skin_fm) ** 2
    r0_squared = 5.0 / 3.0 * (jnp.asarray(radius_fm) ** 2 - 3.0 * skin2)
    return sphere_form_factor(q2 * r0_squared) * jnp.exp(-0.5 * q2 * skin2)


def klein_nystrand(q_mev: ArrayLike, mass_number: ArrayLike, range_fm: ArrayLike = YUKAWA_RANGE_FM) -> Array:
    """Klein-Nystrand form factor: a uniform sphere of radius 1.2 A^(1/3) fm folded with a Yukawa of range a.

    F = 3 j_1(q R_A) / (q R_A) / (1 + q^2 a^2). Source: Klein and Nystrand, hep-ph/9902259.

    Args:
        q_mev: momentum transfer, MeV, >= 0.
        mass_number: A.
        range_fm: a, fm.
    Returns: F; 1 at q = 0.
    """
    q2 = _q_squared_per_fm2(q_mev)
    r_a_squared = 1.44 * jnp.asarray(mass_number, dtype=float) ** (2.0 / 3.0)
    return sphere_form_factor(q2 * r_a_squared) / (1.0 + q2 * jnp.asarray(range_fm) ** 2)


def klein_nystrand_adapted(q_mev: ArrayLike, radius_fm: ArrayLike, range_fm: ArrayLike = YUKAWA_RANGE_FM) -> Array:
    """Klein-Nystrand form factor with the sphere's radius adapted to the rms radius: R_A^2 = 5/3 R^2 - 10 a^2.

    Args:
        q_mev: momentum transfer, MeV, >= 0.
        radius_fm: rms radius R, fm, > sqrt(6) a.
        range_fm: range a of the Yukawa, fm.
    Returns: F; 1 at q = 0.
    """
    q2 = _q_squared_per_fm2(q_mev)
    a2 = jnp.asarray(range_fm) ** 2
    r_a_squared = 5.0 / 3.0 * jnp.asarray(radius_fm) ** 2 - 10.0 * a2
    return sphere_form_factor(q2 * r_a_squared) / (1.0 + q2 * a2)


def symmetrised_fermi(q_mev: ArrayLike, radius_fm: ArrayLike, diffuseness_fm: ArrayLike = FERMI_DIFFUSENESS_FM) -> Array:
    """Form factor of the symmetrised Fermi density, proportional to sinh(c/a) / (cosh(r/a) + cosh(c/a)).

    F = 3/(qc) [sin(qc)/(qc)^2 x coth x - cos(qc)/(qc)] (x / sinh x) / (1 + (pi a / c)^2), x = pi q a,
    c^2 = 5/3 R^2 - 7/3 (pi a)^2. Written below so that no term cancels at small q.

    Args:
        q_mev: momentum transfer, MeV, >= 0.
        radius_fm: rms radius R, fm, > sqrt(7/5) pi a.
        diffuseness_fm: a, fm.
    Returns: F; 1 at q = 0. Source: Sprung and Martorell, J. Phys. A 30, 6525 (1997).
    """
    q2 = _q_squared_per_fm2(q_mev)
    edge2 = (math.pi * jnp.asarray(diffuseness_fm)) ** 2
    c2 = 5.0 / 3.0 * jnp.asarray(radius_fm) ** 2 - 7.0 / 3.0 * edge2
    ratio = edge2 / c2
    bulk = sphere_form_factor(q2 * c2) + 3.0 * ratio * sinc(q2 * c2) * coth_excess(q2 * edge2)
    return bulk * x_over_sinh(q2 * edge2) / (1.0 + ratio)


def point(q_mev: ArrayLike, radius_fm: ArrayLike) -> Array:
    """Form factor of a point: 1, in the broadcast shape of the arguments."""
    return jnp.ones(jnp.broadcast_shapes(jnp.shape(q_mev), jnp.shape(radius_fm)))


FORM_FACTORS: dict[str, Callable[[Any, Any], Array]] = {
    "helm": helm,
    "klein_nystrand": klein_nystrand_adapted,
    "fermi": symmetrised_fermi,
    "point": point,
}
"""Form factors of (q_mev, radius_fm), by the name that a run file gives."""


def form_factor(name: str) -> Callable[[Any, Any], Array]:
    """Form factor of (q_mev, radius_fm) by name: helm, klein_nystrand (adapted), fermi (symmetrised) or point.

    Raises: UserInputError for an unknown name.
    """
    if name not in FORM_FACTORS:
        raise unknown("form factor", name, FORM_FACTORS, "form_factor")
    return FORM_FACTORS[name]
