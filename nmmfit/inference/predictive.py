"""What draws of a posterior predict: log-likelihood of every bin, and counts drawn from the posterior predictive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.inference.joint import JointLikelihood

MOST_DRAWS = 1000


@dataclass(frozen=True)
class Predictive:
    """Predictions of one channel for thinned draws, each (chain, draw, bin)."""

    log_likelihood: np.ndarray
    counts: np.ndarray


def predictive(joint: JointLikelihood, draws: Mapping[str, np.ndarray], seed: int, most: int = MOST_DRAWS) -> dict[str, Predictive]:
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
    keys = jax.random.split(jax.random.PRNGKey(seed), len(joint.channels))
    made = {}
    for key, (name, channel) in zip(keys, joint.channels.items(), strict=True):
        distribution = channel.distribution(expected[name])
        log_likelihood = distribution.log_prob(jnp.asarray(joint.observed[name]))
        made[name] = Predictive(np.asarray(log_likelihood), np.asarray(distribution.sample(key)))
    return made
