"""Newton steps from the absolute eigenvalues of a Hessian: safe at saddles, on flat directions and in quartic valleys.

A symmetric H = V diag(lambda) V^T and a gradient g give the step p = -V (V^T g) / (|lambda| + mu), which goes down the gradient
along every eigenvector, whatever the sign of its curvature (Dauphin et al., arXiv:1406.2572). Directions along which the best
that a quadratic could gain is below rounding get no step: an exactly flat direction stays where it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from nmmfit import precision as precision
from nmmfit.shapes import Array

RELATIVE_FLOOR = 1e-11
"""Eigenvalues below this fraction of the largest are rounding."""

FRACTIONS = (1.0, 3.0, 2.0, 0.5, 0.2, 0.05, 0.01, 0.001)
"""Lengths at which the undamped step is tried. 3 lands on the minimum of a quartic, whose Newton step goes a third of the way."""

LENGTHS = (30.0, 1.0)
"""Numbers of natural steps to which the undamped step is shortened where it is longer."""

DAMPINGS = (1e-2, 1.0, 1e2, 1e4)
"""Values of mu at which the damped step is tried; curvatures are per squared natural step, so that pulls have 1."""

SADDLE_LENGTHS = (1.0, 0.1, 0.01, 0.001)
"""Lengths along the eigenvector of most negative curvature, in units of sqrt(2 / |lambda|), tried downhill (the first both ways).

A double well -L d^2 / 2 + a d^4 is left from its top if one of them is below sqrt(L / 2 a): wells deeper than about 1e-7.
"""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues (n,), ascending, and eigenvectors (n, n), in columns, of a Hessian."""

    values: Array
    vectors: Array


def spectrum(hessian: Array) -> Spectrum:
    """Eigenvalues and eigenvectors of a symmetric matrix (n, n); the identity's where an entry is not finite."""
    good = jnp.all(jnp.isfinite(hessian))
    symmetric = 0.5 * (hessian + hessian.T)
    values, vectors = jnp.linalg.eigh(jnp.where(good, symmetric, jnp.eye(hessian.shape[0])))
    return Spectrum(values, vectors)


def curvatures(spec: Spectrum) -> Array:
    """|lambda|, (n,), held above rounding."""
    size = jnp.abs(spec.values)
    return jnp.maximum(size, RELATIVE_FLOOR * jnp.maximum(jnp.max(size), 1.0))


def distance_to_minimum(spec: Spectrum, gradient: Array) -> Array:
    """Estimated distance to the minimum: half g^T |H|^-1 g, scalar, in units of the function."""
    along = spec.vectors.T @ gradient
    return 0.5 * jnp.sum(along**2 / curvatures(spec))


def saddle_free_step(spec: Spectrum, gradient: Array, rounding: Array, damping: float | Array = 0.0) -> Array:
    """The step -(|H| + mu)^-1 g, (n,).

    Args:
        spec: eigenvalues and eigenvectors of the Hessian.
        gradient: (n,).
        rounding: error of the function's value; directions that cannot gain as much stay.
        damping: mu >= 0.
    """
    along = spec.vectors.T @ gradient
    size = curvatures(spec)
    along = jnp.where(0.5 * along**2 / size < 1e-3 * rounding, 0.0, along)
    return -(spec.vectors @ (along / (size + damping)))


def inverse_of(spec: Spectrum) -> Array:
    """|H|^-1, (n, n), zero along directions whose curvature is rounding."""
    size = curvatures(spec)
    return (spec.vectors * jnp.where(jnp.abs(spec.values) < size, 0.0, 1.0 / size)) @ spec.vectors.T


def bfgs_update(inverse: Array, step: Array, change: Array) -> Array:
    """Inverse Hessian (n, n) after a step (n,) that changed the gradient by `change` (n,), by Broyden-Fletcher-Goldfarb-Shanno.

    Left as it is where the step met no positive curvature.
    """
    along = step @ change
    usable = along > 1e-10 * jnp.linalg.norm(step) * jnp.linalg.norm(change)
    rho = jnp.where(usable, 1.0 / jnp.where(usable, along, 1.0), 0.0)
    turned = inverse @ change
    updated = (
        inverse
        - rho * (jnp.outer(step, turned) + jnp.outer(turned, step))
        + rho * (1.0 + rho * (change @ turned)) * jnp.outer(step, step)
    )
    return jnp.where(usable, updated, inverse)


def candidate_steps(spec: Spectrum, gradient: Array, rounding: Array) -> Array:
    """Steps worth trying, (candidate, n): undamped at several lengths, shortened, damped, and both ways along negative curvature.

    Without negative curvature the last ones are zero.
    """
    newton = saddle_free_step(spec, gradient, rounding)
    size = jnp.linalg.norm(newton)
    short = jnp.minimum(1.0, jnp.asarray(LENGTHS) / jnp.where(size > 0, size, 1.0))
    plain = jnp.concatenate([jnp.asarray(FRACTIONS), short])[:, None] * newton
    damped = jax.vmap(lambda mu: saddle_free_step(spec, gradient, rounding, mu))(jnp.asarray(DAMPINGS))
    lowest = spec.values[0]
    # curvature within rounding of zero is flat, not negative
    negative = -lowest > RELATIVE_FLOOR * jnp.maximum(jnp.max(jnp.abs(spec.values)), 1.0)
    length = jnp.where(negative, jnp.sqrt(2.0 / jnp.where(negative, -lowest, 1.0)), 0.0)
    downhill = jnp.where(spec.vectors[:, 0] @ gradient > 0, -length, length) * spec.vectors[:, 0]
    away = jnp.asarray([*SADDLE_LENGTHS, -SADDLE_LENGTHS[0]])[:, None] * downhill
    return jnp.concatenate([plain, damped, away])
