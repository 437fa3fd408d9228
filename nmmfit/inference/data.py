"""Data as an argument of compiled functions, in place of the counts that were observed."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpyro import distributions as dist
from scipy.special import gammaln

from nmmfit.experiment import Channel
from nmmfit.shapes import Array

Sets = tuple[Mapping[str, Array], ...]
"""Data sets, each `experiment.channel` -> counts (bin,)."""


class Counts(NamedTuple):
    """Data of the experiments of a likelihood: one set, or several independent ones of the same experiments.

    What is compiled for one of them serves all with the same number of sets.
    """

    sets: Sets
    constant: Array | float
    """The part of the log probability that does not depend on the expectation."""

    @classmethod
    def of(cls, channels: Mapping[str, Channel], *sets: Mapping[str, np.ndarray]) -> Counts:
        """Data sets, each `experiment.channel` -> counts (bin,), of the channels given."""
        poisson = [name for name, channel in channels.items() if channel.distribution is dist.Poisson]
        constant = sum(poisson_constant(*(np.asarray(one[name]) for one in sets)) for name in poisson)
        whole = tuple({name: jnp.asarray(one[name], dtype=jnp.float64) for name in channels} for one in sets)
        return cls(whole, jnp.asarray(constant))

    def log_probability(self, channels: Mapping[str, Channel], expected: Mapping[str, Array]) -> Array:
        """Log probability of all sets, at the expectation of one, `experiment.channel` -> (bin,).

        Of a block of points: (point,) from (bin, point); counts and constant then have the same last axis, or one of length 1.
        """
        total = jnp.asarray(self.constant)
        for name, channel in channels.items():
            if channel.distribution is dist.Poisson:
                first, *others = (one[name] for one in self.sets)
                counts = functools.reduce(operator.add, others, first)
                total = total + log_probability(channel, expected[name], counts, len(self.sets))
            else:
                for one in self.sets:
                    total = total + log_probability(channel, expected[name], one[name])
        return total


def log_probability(channel: Channel, mean: Array, counts: Array | np.ndarray, sets: int = 1) -> Array:
    """Log probability (*points) of counts (bin,), or (bin, point), of a channel at their mean (bin, *points).

    For Poisson counts without `poisson_constant`, of the sum of so many `sets`.
    """
    if channel.distribution is dist.Poisson:
        if mean.ndim > counts.ndim:
            counts = counts[:, None]
        # A plain sum: a dot product would keep the compiler from vectorising the logarithms.
        return jnp.sum(poisson(mean, counts, sets), axis=0)
    if mean.ndim == 1:
        return jnp.sum(channel.distribution(mean).log_prob(counts))
    many = jnp.broadcast_to(counts if counts.ndim > 1 else counts[:, None], mean.shape)
    return jax.vmap(lambda m, n: jnp.sum(channel.distribution(m).log_prob(n)), in_axes=1)(mean, many)


def poisson(mean: Array, counts: Array | np.ndarray, sets: int = 1) -> Array:
    """What of the log probability of Poisson counts depends on their mean, in every bin.

    n log(mean / s) - s (mean / s - 1) with s = max(n, 1): zero where the mean is the data. As n log(mean) - mean, a bin of a
    million counts would carry the rounding of ten million, and minimisers could not see the last 1e-9 of a descent.

    Args:
        mean: expected counts, those of one set.
        counts: sums over `sets` sets, of a shape that broadcasts against `mean`.
    """
    counts = jnp.asarray(counts)
    scale = jnp.maximum(counts / sets, 1.0)
    relative = mean * (1.0 / scale)
    return counts * jnp.log(relative) - sets * scale * (relative - 1.0)


def poisson_constant(*sets: np.ndarray) -> float:
    """What `poisson`, summed over bins, lacks of the log probability of independent sets of counts."""
    total = np.sum(sets, axis=0)
    scale = np.maximum(total / len(sets), 1.0)
    return float(np.sum(total * np.log(scale) - len(sets) * scale) - sum(np.sum(gammaln(one + 1.0)) for one in sets))
