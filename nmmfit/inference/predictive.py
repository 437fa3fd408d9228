"""What draws of a posterior predict: log-likelihood of every bin, and counts drawn from the posterior predictive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from numpyro import distributions as dist
from scipy.special import gammaln, xlogy

from nmmfit.inference.joint import JointLikelihood

MOST_DRAWS = 1000


@dataclass(frozen=True)
class Predictive:
    """Predictions of one channel for thinned draws, each (chain, draw, bin)."""

    log_likelihood: np.ndarray
    counts: np.ndarray


def predictive(
    joint: JointLikelihood, draws: Mapping[str, np.ndarray], seed: int, most: int = MOST_DRAWS
) -> dict[str, Predictive]:
    """Log-likelihood per bin and predictive counts of every channel.

    Args:
        joint: the likelihood that was sampled.
        draws: parameter -> (chain, draw).
        seed: seed of the predictive counts.
        most: draws to use at most, all chains together; every n-th draw is taken, starting with the first.
    Returns: `experiment.channel` -> predictions.
    """
    chains, length = next(iter(draws.values())).shape
    step = max(1, -(-chains * length // most))
    thinned = {name: jnp.asarray(draws[name][:, ::step]) for name in joint.names}
    expected = joint.expected(thinned)
    made = {}
    for index, (name, channel) in enumerate(joint.channels.items()):
        mean, observed = np.asarray(expected[name]), joint.observed[name]
        if channel.distribution is dist.Poisson:
            # The same distribution by numpy and scipy, which need no compilation.
            log_likelihood = xlogy(observed, mean) - mean - gammaln(observed + 1.0)
            counts = np.random.default_rng([seed, index]).poisson(mean)
        else:
            distribution = channel.distribution(jnp.asarray(mean))
            log_likelihood = np.asarray(distribution.log_prob(jnp.asarray(observed)))
            counts = np.asarray(distribution.sample(jax.random.fold_in(jax.random.PRNGKey(seed), index)))
        made[name] = Predictive(log_likelihood, counts)
    return made
