"""Goodness of fit: the deviance at the best fit, and its p-value from toy experiments that are fitted as the data are.

The statistic is the deviance of the data (Baker and Cousins, Nucl. Instrum. Meth. 221 (1984) 437, eqs. (5) and (7)),

    D = 2 sum_b [ln p(n_b | n_b) - ln p(n_b | mu_b(theta))],

at the theta that minimises D + sum_i (theta_i - a_i)^2 / sigma_i^2 + ..., the constraints included. In toys the data are drawn at
the best fit, and so are the centres a_i of normal constraints, because external measurements fluctuate too; what constrains in
another form stays as it is. The terms of the constraints are no part of D, where a wide prior that stands for no measurement
would count as one. Counts are often so few that chi-square is no guide to the distribution of D, hence the toys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpyro import distributions as dist

from nmmfit.checks import whole_number
from nmmfit.errors import UserInputError
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.minimise import Progress
from nmmfit.inference.space import Space, space_of
from nmmfit.shapes import Array

ITERATIONS = 25
"""Damped steps of a toy's fit; from the point that made the toy a few suffice."""
TOLERANCE = 1e-3
"""Estimated height above the minimum, in chi-square, at which a toy's fit has converged: no p-value feels it."""
BLOCK = 20
"""Toys in one compiled call, after which progress is reported."""


@dataclass(frozen=True)
class Goodness:
    """How well a point describes the data.

    Attributes:
        deviance: of the data at the point, summed over bins. `bins`: their number.
        p_value: fraction of toys whose deviance is at least as large, with the data counted as one: (1 + k) / (1 + toys). Near 1
            the data fit better than chance would have it.
        p_error: its statistical error. `toys`: toys whose fit converged. `failed`: those whose fit did not.
        toy_mean, toy_sd: mean and standard deviation of the deviance in the toys.
    """

    deviance: float
    bins: int
    p_value: float
    p_error: float
    toys: int
    failed: int
    toy_mean: float
    toy_sd: float


def goodness(
    joint: JointLikelihood, point: Mapping[str, float], *, toys: int = 200, seed: int = 0, progress: Progress | None = None
) -> Goodness:
    """Goodness of fit at a best fit of all parameters.

    Args:
        joint: the likelihood.
        point: the best fit (`fit(joint).point`), every parameter by name.
        toys: number of toy experiments, >= 1.
        seed: of the random numbers, >= 0.
        progress: called with (toys done, toys in all).
    Raises: UserInputError for a wrong number, an incomplete point, or a likelihood without data.
    """
    whole_number(toys, "goodness: toys", 1)
    whole_number(seed, "goodness: seed", 0)
    if not joint.channels:
        raise UserInputError("goodness: this likelihood has no data")
    missing = [name for name in joint.names if name not in point]
    if missing:
        raise UserInputError(f"goodness: the point lacks {missing[0]!r}")
    space = space_of(joint)
    fits = _ToyFits(space)
    z = jnp.asarray(space.ranges.from_parameters(np.asarray([point[name] for name in joint.names], dtype=float)))
    observed = jnp.concatenate([jnp.asarray(joint.observed[name]) for name in joint.channels])
    deviance = float(fits.deviance(z, observed))
    keys = jax.random.split(jax.random.PRNGKey(seed), toys)
    values, converged = [], []
    for start in range(0, toys, BLOCK):
        # The last block is filled up, so that one program serves all.
        block = keys[np.minimum(np.arange(start, start + BLOCK), toys - 1)]
        block_values, block_converged = _fitted_toys(fits, z, block)
        kept = min(BLOCK, toys - start)
        values.append(np.asarray(block_values)[:kept])
        converged.append(np.asarray(block_converged)[:kept])
        if progress is not None:
            progress(start + kept, toys)
    good = np.concatenate(converged)
    kept_values = np.concatenate(values)[good]
    number = len(kept_values)
    p = (1.0 + float(np.sum(kept_values >= deviance))) / (1.0 + number)
    return Goodness(
        deviance=deviance,
        bins=len(observed),
        p_value=p,
        p_error=float(np.sqrt(p * (1.0 - p) / max(number, 1))),
        toys=number,
        failed=int(np.sum(~good)),
        toy_mean=float(np.mean(kept_values)) if number else float("nan"),
        toy_sd=float(np.std(kept_values, ddof=1)) if number > 1 else float("nan"),
    )


class _ToyFits:
    """The statistic as a function of the vector, the data and the centres of the normal constraints."""

    def __init__(self, space: Space) -> None:
        self.space, self.joint = space, space.joint
        parameters = self.joint.parameters
        # Coefficient priors are no part of a likelihood.
        self.normal = np.array([i for i, p in enumerate(parameters) if p.is_normal and i >= self.joint.n_own], dtype=int)
        self.centres = np.array([float(parameters[i].prior.loc) for i in self.normal])
        self.widths = np.array([float(parameters[i].prior.scale) for i in self.normal])
        self.bounds = np.cumsum([0, *(len(c.observed) for c in self.joint.channels.values())])

    def log_prob(self, mean: Array, data: Array) -> Array:
        """Log probability of every bin, (bin,)."""
        parts = [
            channel.distribution(mean[a:b]).log_prob(data[a:b])
            for channel, a, b in zip(self.joint.channels.values(), self.bounds[:-1], self.bounds[1:], strict=True)
        ]
        return jnp.concatenate(parts)

    def saturated(self, data: Array) -> Array:
        """Log probability of every bin where the expectation is the data, (bin,)."""
        # Of no counts expected the logarithm is minus infinity times nothing; a count of 1e-300 is as good.
        best = [
            jnp.maximum(data[a:b], 1e-300) if channel.distribution is dist.Poisson else data[a:b]
            for channel, a, b in zip(self.joint.channels.values(), self.bounds[:-1], self.bounds[1:], strict=True)
        ]
        return self.log_prob(jnp.concatenate(best), data)

    def sample(self, key: Array, mean: Array) -> Array:
        """Data (bin,) drawn at an expectation."""
        channels = list(self.joint.channels.values())
        parts = [
            channel.distribution(mean[a:b]).sample(k)
            for channel, a, b, k in zip(
                channels, self.bounds[:-1], self.bounds[1:], jax.random.split(key, len(channels)), strict=True
            )
        ]
        return jnp.concatenate([jnp.asarray(part, dtype=jnp.float64) for part in parts])

    def deviance(self, z: Array, data: Array) -> Array:
        """Deviance of the data at a vector."""
        return 2.0 * jnp.sum(self.saturated(data) - self.log_prob(self.space.nll.counts(z), data))

    def penalty(self, z: Array, centres: Array) -> Array:
        """Minus twice the log of the constraints with other centres, up to a constant that no toy changes."""
        pulls = self.space.ranges.to_parameters(z)[self.normal]
        shift = (centres - self.centres) / self.widths**2
        moved = jnp.sum(shift * pulls) - 0.5 * jnp.sum((centres**2 - self.centres**2) / self.widths**2)
        constant = -float(np.sum(np.log(self.widths) + 0.5 * np.log(2.0 * np.pi)))
        return -2.0 * (self.space.nll.constraint(z) + moved - constant)

    def statistic(self, z: Array, data: Array, centres: Array) -> Array:
        """What a fit minimises: deviance and constraints."""
        return self.deviance(z, data) + self.penalty(z, centres)

    def step(self, z: Array, data: Array, centres: Array, damping: Array) -> tuple[Array, Array]:
        """A damped Gauss-Newton step, and the estimated height of the statistic above its minimum."""
        mean, push = jax.linearize(self.space.nll.counts, z)
        jacobian = jax.vmap(push)(jnp.eye(z.shape[0]))

        def alone(mu: Array) -> Array:
            return -jnp.sum(self.log_prob(mu, data))

        slope = jax.grad(alone)
        # Bins are independent: one product with ones gives every second derivative.
        bend = jnp.maximum(jax.jvp(slope, (mean,), (jnp.ones_like(mean),))[1], 0.0)

        def half_penalty(y: Array) -> Array:
            return 0.5 * self.penalty(y, centres)

        gradient = jacobian @ slope(mean) + jax.grad(half_penalty)(z)
        hessian = (jacobian * bend) @ jacobian.T + jax.hessian(half_penalty)(z)
        # In the natural size of every parameter; a flat one gets a floor.
        size = jnp.sqrt(jnp.maximum(jnp.diagonal(hessian), 1e-12))
        scaled = hessian / size[:, None] / size[None, :]
        values, vectors = jnp.linalg.eigh(scaled)
        along = vectors.T @ (gradient / size)
        curvature = jnp.maximum(jnp.abs(values), 1e-9)
        move = -(vectors @ (along / (curvature + damping))) / size
        return move, jnp.sum(along**2 / curvature)


@partial(jax.jit, static_argnums=0)
def _fitted_toys(fits: _ToyFits, truth: Array, keys: Array) -> tuple[Array, Array]:
    """Deviances of toys drawn at a vector, each fitted from there, (toy,), and whether the fit converged."""

    def one(key: Array) -> tuple[Array, Array]:
        data_key, centre_key = jax.random.split(key)
        data = fits.sample(data_key, fits.space.nll.counts(truth))
        pulls = fits.space.ranges.to_parameters(truth)[fits.normal]
        centres = pulls + fits.widths * jax.random.normal(centre_key, (len(fits.normal),))

        def body(_: int, state: tuple[Any, ...]) -> tuple[Any, ...]:
            z, value, damping, height = state
            move, estimated = fits.step(z, data, centres, damping)
            trial = z + move
            new = fits.statistic(trial, data, centres)
            better = new < value
            height = jnp.where(jnp.isfinite(estimated), estimated, jnp.inf)
            damping = jnp.where(better, 0.2 * damping, jnp.maximum(8.0 * damping, 1e-3))
            return jnp.where(better, trial, z), jnp.where(better, new, value), damping, height

        begin = (truth, fits.statistic(truth, data, centres), jnp.asarray(0.0), jnp.asarray(jnp.inf))
        z, _, _, height = jax.lax.fori_loop(0, ITERATIONS, body, begin)
        return fits.deviance(z, data), height < TOLERANCE

    return jax.lax.map(one, keys, batch_size=min(4, keys.shape[0]))
