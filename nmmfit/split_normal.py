"""Gaussian with two widths: the distribution of a measurement that was published with asymmetric errors."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from numpyro import distributions as dist
from numpyro.distributions import constraints

from nmmfit import precision as precision
from nmmfit.shapes import Array, ArrayLike


class SplitNormal(dist.Distribution):
    """Density 2 / (sqrt(2 pi) (s1 + s2)) exp(-(x - m)^2 / (2 s^2)), s = s1 below the mode m and s2 above it.

    A published n +a -b, whose true value exceeds n by one standard deviation when it is n + a, has s1 = a and s2 = b. The
    logarithm and its slope are continuous in m, the second derivative jumps at m = x.
    """

    arg_constraints: ClassVar = {"centre": constraints.real, "below": constraints.positive, "above": constraints.positive}
    support = constraints.real

    def __init__(self, centre: ArrayLike, below: ArrayLike, above: ArrayLike, *, validate_args: bool | None = None) -> None:
        self.centre, self.below, self.above = jnp.asarray(centre), jnp.asarray(below), jnp.asarray(above)
        super().__init__(batch_shape=jnp.shape(self.centre), validate_args=validate_args)

    def log_prob(self, value: Array) -> Array:
        """Logarithm of the density at `value`."""
        away = jnp.asarray(value) - self.centre
        z = away / jnp.where(away < 0.0, self.below, self.above)
        return -0.5 * z**2 - jnp.log(0.5 * (self.below + self.above)) - 0.5 * math.log(2.0 * math.pi)

    def sample(self, key: Any, sample_shape: tuple[int, ...] = ()) -> Array:
        """Draws: a side by its probability, then half a Gaussian."""
        which, how_far = jax.random.split(key)
        shape = sample_shape + self.batch_shape
        is_below = jax.random.uniform(which, shape) < self.below / (self.below + self.above)
        size = jnp.abs(jax.random.normal(how_far, shape))
        return self.centre + jnp.where(is_below, -self.below, self.above) * size

    @property
    def mean(self) -> Array:
        """m + sqrt(2 / pi) (s2 - s1)."""
        return self.centre + math.sqrt(2.0 / math.pi) * (self.above - self.below)

    @property
    def variance(self) -> Array:
        """(1 - 2 / pi) (s2 - s1)^2 + s1 s2."""
        spread = (1.0 - 2.0 / math.pi) * (self.above - self.below) ** 2 + self.below * self.above
        return jnp.broadcast_to(spread, jnp.shape(self.centre))

    @property
    def information(self) -> Array:
        """Fisher information about m, 1 / (s1 s2): the variance of the score (x - m) / s^2, a side at a time."""
        return jnp.broadcast_to(1.0 / (self.below * self.above), jnp.shape(self.centre))
