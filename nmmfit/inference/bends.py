"""Smooth monotone functions of one coordinate that make a posterior look alike everywhere along it.

Three shapes spoil a sampler's single step size. A normalisation that cannot be negative is decided by the data above zero and by
its prior below, many times wider: a coordinate with one slope on either side of the bend. And a rate quadratic in an amplitude
gives a quartic posterior, flat at its centre and steep at its edge: a coordinate that grows like the amplitude, then like its
square. And a factor of a product that only data bound has, its partner integrated out, a density like the inverse of the factor:
a coordinate that grows like the factor, then like its logarithm.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from nmmfit.shapes import Array

# Below it a fan is the identity to 2e-5, and its own quotients lose no digits.
_LEAST_REACH = 0.01


@dataclass(frozen=True)
class Knee:
    """x(u) with slope 1 far above `centre` and slope `ratio` far below it, bent over `width`; (coordinate,) arrays.

    v = u - centre, h = (ratio - 1) / 2: x = centre + v + h (v - sqrt(v^2 + width^2)). Ratio 1 is the identity.
    """

    centre: np.ndarray
    width: np.ndarray
    ratio: np.ndarray

    @classmethod
    def none(cls, n: int) -> Knee:
        """The identity on n coordinates."""
        return cls(np.zeros(n), np.ones(n), np.ones(n))

    @property
    def is_identity(self) -> bool:
        """Whether no coordinate is bent."""
        return bool(np.all(self.ratio == 1.0))

    def forward(self, u: Array) -> tuple[Array, Array]:
        """x (coordinate,) of u (coordinate,), and the sum of log dx/du."""
        v, h = u - jnp.asarray(self.centre), 0.5 * (self.ratio - 1.0)
        root = jnp.sqrt(v**2 + self.width**2)
        return jnp.asarray(self.centre) + v + h * (v - root), jnp.sum(jnp.log1p(h * (1.0 - v / root)))

    def inverse(self, x: Array) -> Array:
        """u (coordinate,) of x (coordinate,)."""
        y, h = x - self.centre, 0.5 * (self.ratio - 1.0)
        # (1 + h) v - y = h sqrt(v^2 + width^2), a quadratic equation in v; the right side has the sign of h.
        discriminant = jnp.maximum(h**2 * (y**2 + (1.0 + 2.0 * h) * self.width**2), 0.0)
        return jnp.asarray(self.centre) + ((1.0 + h) * y + jnp.sign(h) * jnp.sqrt(discriminant)) / (1.0 + 2.0 * h)


def stretched(y: Array, unit: np.ndarray) -> tuple[Array, Array]:
    """Amplitudes a (amplitude,) with y = a sqrt(1 + (a / unit)^2), and the sum of log da/dy; `unit` infinite: a = y."""
    t = y / unit
    half = 0.5 * (1.0 + jnp.sqrt(1.0 + 4.0 * t**2))
    # half = 1 + (a / unit)^2
    return y / jnp.sqrt(half), jnp.sum(0.5 * jnp.log(half) - jnp.log(2.0 * half - 1.0))


def compressed(a: Array, unit: np.ndarray) -> Array:
    """The inverse of `stretched`: y (amplitude,) of a (amplitude,)."""
    return a * jnp.sqrt(1.0 + (a / unit) ** 2)


def fanned(u: Array, reach: Array) -> tuple[Array, Array]:
    """Factors f (factor,) = sinh(L u) / t with L = asinh(t), t the `reach`, so that f(1) = 1; and the sum of log df/du.

    A density 1 / sqrt(1 + (t f)^2) becomes flat, and the identity is left where t is small.
    """
    t = jnp.hypot(reach, _LEAST_REACH)
    length = jnp.arcsinh(t)
    return jnp.sinh(length * u) / t, jnp.sum(jnp.log(length / t) + jnp.logaddexp(length * u, -length * u) - jnp.log(2.0))


def folded(f: Array, reach: Array) -> Array:
    """The inverse of `fanned`: u (factor,) of f (factor,)."""
    t = jnp.hypot(reach, _LEAST_REACH)
    return jnp.arcsinh(t * f) / jnp.arcsinh(t)
