"""Data as an argument of compiled functions, in place of the counts that were observed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

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
        constant = -sum(float(np.sum(gammaln(np.asarray(one[name]) + 1.0))) for one in sets for name in poisson)
        whole = tuple({name: jnp.asarray(one[name], dtype=jnp.float64) for name in channels} for one in sets)
        return cls(whole, jnp.asarray(constant))

    def log_probability(self, channels: Mapping[str, Channel], expected: Mapping[str, Array]) -> Array:
        """Log probability of all sets, at the expectation of one, `experiment.channel` -> (bin,)."""
        total = jnp.asarray(self.constant)
        for name, channel in channels.items():
            mean = expected[name]
            if channel.distribution is dist.Poisson:
                total = total + jnp.sum(sum(one[name] for one in self.sets) * jnp.log(mean) - len(self.sets) * mean)
            else:
                for one in self.sets:
                    total = total + jnp.sum(channel.distribution(mean).log_prob(one[name]))
        return total
