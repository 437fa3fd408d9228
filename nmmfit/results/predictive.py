"""What a posterior says about the data: log-likelihoods and posterior predictive counts, bin by bin, and a check of the model.

The check (Gelman, Meng and Stern, Statistica Sinica 6 (1996) 733) draws counts n_s from the distribution of the data at a draw
theta_s of the posterior, and asks how often their deviance D(n_s, theta_s) is at least that of the data, D(n, theta_s), with

    D(n, theta) = 2 sum_b [ln p(n_b | n_b) - ln p(n_b | mu_b(theta))].

The posterior has seen the data, so that this probability is not uniform where the model holds: it gathers around 1/2, the more so
the more parameters there are. A small one is a warning the more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from numpyro import distributions as dist

from nmmfit.experiment import Channel
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.result import SampleResult
from nmmfit.results.figure import BLUE, VERMILLION, new_figure, style
from nmmfit.results.store import ChannelDraws
from nmmfit.results.wording import literal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 2
BINS = 30
LARGEST_MEAN = 1e15
"""Poisson expectation above which counts are the expectation itself: they scatter by less than a part in 10^7."""


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
        of_bins, mean = np.asarray(pointwise[name]), np.asarray(expected[name])
        drawn = drawn_counts(channel, mean, (result.seed, number))
        best = _log_prob(channel, np.asarray(channel.observed, dtype=float), channel.observed)
        deviance = 2.0 * np.sum(best - of_bins[:, ::predictive_every], axis=-1)
        of_drawn = deviances(channel, mean, drawn)
        collected[name] = ChannelDraws(channel.observed, channel.edges, of_bins, drawn, deviance, of_drawn)
    return collected


def drawn_counts(channel: Channel, mean: np.ndarray, seed: tuple[int, int]) -> np.ndarray:
    """Counts from the distribution of a channel's data at expectations (..., bin); `seed` is one of the run and a place in it."""
    if channel.distribution is dist.Poisson:
        # numpy draws these fifty times faster than a compiled sampler that is used once. Beyond what it can draw, scatter is nil.
        counts = np.random.default_rng(seed).poisson(np.minimum(mean, LARGEST_MEAN))
        return np.where(mean > LARGEST_MEAN, mean, counts) if np.any(mean > LARGEST_MEAN) else counts
    key = jax.random.fold_in(jax.random.PRNGKey(seed[0]), seed[1])
    return np.asarray(channel.distribution(jnp.asarray(mean)).sample(key))


def deviances(channel: Channel, mean: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Deviances (...) of counts (..., bin), or of one set (bin,), with respect to expectations (..., bin)."""
    best = _log_prob(channel, counts.astype(float), counts)
    return np.asarray(2.0 * np.sum(best - _log_prob(channel, mean, counts), axis=-1))


def _log_prob(channel: Channel, mean: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Log probability of counts in every bin, of the shape of both; expectations of Poisson data may be 0."""
    if channel.distribution is dist.Poisson:
        from scipy.stats import poisson

        return np.asarray(poisson.logpmf(counts, mean))
    return np.asarray(channel.distribution(jnp.asarray(mean)).log_prob(counts))


@dataclass(frozen=True)
class PredictiveCheck:
    """How the data of one channel compare with what the posterior predicts.

    Attributes:
        observed: deviances of the data, (draw,). `predicted`: those of counts drawn from the same draws, (draw,).
        bins: number of bins.
    """

    observed: np.ndarray
    predicted: np.ndarray
    bins: int

    @property
    def p_value(self) -> float:
        """Fraction of draws whose counts have a deviance at least as large as that of the data."""
        return float(np.mean(self.predicted >= self.observed))

    def to_json(self) -> dict[str, Any]:
        """As JSON values: means over the draws, and the p-value."""
        return {
            "p_value": self.p_value,
            "deviance": float(np.mean(self.observed)),
            "predicted_mean": float(np.mean(self.predicted)),
            "predicted_sd": float(np.std(self.predicted)),
            "bins": self.bins,
            "draws": len(self.observed),
        }


def predictive_checks(channels: Mapping[str, ChannelDraws]) -> dict[str, PredictiveCheck]:
    """The check of every channel whose deviances are known, all finite ones."""
    found = {}
    for name, channel in channels.items():
        if channel.deviance is not None and channel.predictive_deviance is not None:
            check = PredictiveCheck(np.ravel(channel.deviance), np.ravel(channel.predictive_deviance), len(channel.observed))
            if np.all(np.isfinite(check.observed)) and np.all(np.isfinite(check.predicted)):
                found[name] = check
    return found


def predictive_figure(checks: Mapping[str, PredictiveCheck]) -> Figure:
    """Deviances of the data and of predicted counts over the posterior, a panel per channel with its p-value."""
    if not checks:
        raise ValueError("a picture of predictive checks needs at least one channel")
    columns = min(COLUMNS, len(checks))
    rows = -(-len(checks) // columns)
    with style():
        figure = new_figure(3.4 * columns + 0.4, 2.3 * rows + 0.5)
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.flat[len(checks) :]:
            axes.set_visible(False)
        for axes, (name, check) in zip(grid.flat, checks.items(), strict=False):
            ends = np.histogram_bin_edges(np.concatenate([check.observed, check.predicted]), BINS)
            axes.hist(check.predicted, ends, density=True, color=BLUE, alpha=0.5, label="predicted")
            axes.hist(check.observed, ends, density=True, histtype="step", color=VERMILLION, linewidth=1.5, label="data")
            axes.set_title(f"{literal(name)}\n{check.bins} bins, p = {check.p_value:.2f}", fontsize=8.5)
            axes.set_yticks([])
            axes.set_xlabel("deviance", fontsize=9)
        grid.flat[0].legend(loc="upper right", fontsize=8)
    return figure
