"""What a posterior says about the data, bin by bin: log-likelihoods and posterior predictive counts."""

from __future__ import annotations

import jax
import numpy as np
from numpyro import distributions as dist

from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.result import SampleResult
from nmmfit.results.store import ChannelDraws


def channel_draws(joint: JointLikelihood, result: SampleResult, *, predictive_every: int = 4) -> dict[str, ChannelDraws]:
    """Arrays of every channel for the posterior file, `experiment.channel` -> `ChannelDraws`.

    Log-likelihoods per bin for all draws; predictive counts, drawn from each channel's own distribution with the run's seed, for
    every `predictive_every`-th draw.

    Args:
        joint: the likelihood that was sampled.
        result: its draws.
        predictive_every: thinning of the predictive counts, >= 1.
    """
    pointwise = joint.pointwise_log_likelihood(result.draws)
    thinned = {name: values[:, ::predictive_every] for name, values in result.draws.items()}
    expected = joint.expected(thinned)
    collected = {}
    for number, (name, channel) in enumerate(joint.channels.items()):
        if channel.distribution is dist.Poisson:
            # numpy draws these fifty times faster than a compiled sampler that is used once.
            counts = np.random.default_rng((result.seed, number)).poisson(np.asarray(expected[name]))
        else:
            key = jax.random.fold_in(jax.random.PRNGKey(result.seed), number)
            counts = channel.distribution(expected[name]).sample(key)
        collected[name] = ChannelDraws(channel.observed, channel.edges, np.asarray(pointwise[name]), np.asarray(counts))
    return collected
