"""Whether ranks of truths among posterior draws are uniform: simultaneous bands of their distribution, and p-values.

With K = L + 1 possible ranks and N simulations the number of ranks below k is binomial with probability k / K under calibration.
Following Sailynoja, Burkner and Vehtari (arXiv:2103.10522) the statistic is

    gamma = 2 min over k of min( F(R_k), 1 - F(R_k - 1) ),   F the binomial distribution function, k = 1 ... K - 1,

whose distribution is found by simulating uniform ranks. The band of a level is where gamma is at least the quantile of that
distribution: a curve leaves it somewhere exactly if its p-value is smaller than 1 - level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.stats import binom

SIMULATIONS = 20_000
"""Sets of uniform ranks behind a p-value, which is no smaller than one over their number."""

_BLOCK = 1000


@dataclass(frozen=True)
class UniformRanks:
    """Ranks 0 ... `draws` of `simulations` truths, if they are uniform.

    Attributes:
        simulations: ranks, N >= 1. `draws`: posterior draws among which each truth is ranked, L >= 1.
        seed: of the simulated ranks.
    """

    simulations: int
    draws: int
    seed: int = 0

    @cached_property
    def expected(self) -> np.ndarray:
        """k / (L + 1) for k = 1 ... L: share of ranks below k."""
        return np.arange(1, self.draws + 1) / (self.draws + 1.0)

    @cached_property
    def _tails(self) -> np.ndarray:
        """(N + 1, L): the smaller tail of every number of ranks below every k."""
        counts = np.arange(self.simulations + 1)[:, None]
        below, above = (f(counts, self.simulations, self.expected) for f in (binom.cdf, lambda c, *p: binom.sf(c - 1, *p)))
        return np.minimum(below, above)

    def counts(self, ranks: np.ndarray) -> np.ndarray:
        """(..., L) numbers of ranks (..., simulation) below every k."""
        return np.sum(np.asarray(ranks)[..., None, :] < np.arange(1, self.draws + 1)[:, None], axis=-1)

    def gamma(self, counts: np.ndarray) -> np.ndarray:
        """The statistic (...) of numbers (..., L)."""
        return 2.0 * np.min(self._tails[counts, np.arange(self.draws)], axis=-1)

    @cached_property
    def simulated(self) -> np.ndarray:
        """The statistic of uniform ranks, in order."""
        random = np.random.default_rng([self.seed, self.simulations, self.draws])
        share = np.full(self.draws + 1, 1.0 / (self.draws + 1.0))
        found = [
            self.gamma(np.cumsum(random.multinomial(self.simulations, share, size=_BLOCK), axis=1)[:, :-1])
            for _ in range(SIMULATIONS // _BLOCK)
        ]
        return np.sort(np.concatenate(found))

    def p_value(self, ranks: np.ndarray) -> float:
        """Probability that uniform ranks look at least as uneven as ranks (simulation,)."""
        at_least = np.searchsorted(self.simulated, float(self.gamma(self.counts(ranks))) * (1.0 + 1e-9), side="right")
        return float((1.0 + at_least) / (1.0 + len(self.simulated)))

    def band(self, level: float) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest share (L,) of ranks below every k, such that uniform ranks stay inside with this probability."""
        tail = 0.5 * float(np.quantile(self.simulated, 1.0 - level, method="higher"))
        inside = self._tails >= tail * (1.0 - 1e-9)
        low, high = np.argmax(inside, axis=0), self.simulations - np.argmax(inside[::-1], axis=0)
        return low / self.simulations, high / self.simulations


def holm(p_values: Sequence[float]) -> np.ndarray:
    """p-values corrected for their number by Holm's method, which holds whatever their dependence.

    Sorted, the i-th of m smallest is multiplied by m - i + 1, and is at least as large as the one before.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    raised = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(raised, 1.0)
    return adjusted


def rank(truth: np.ndarray, draws: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Ranks (quantity,) of truths (quantity,) among draws (draw, quantity); equal ones are ordered at random."""
    below, equal = np.sum(draws < truth, axis=0), np.sum(draws == truth, axis=0)
    return np.asarray(below + random.integers(0, equal + 1))


def shape(ranks: np.ndarray, draws: int) -> str:
    """How ranks (simulation,) that are not uniform differ from uniform ones, in words."""
    u = (np.asarray(ranks) + 0.5) / (draws + 1.0)
    shift = (np.mean(u) - 0.5) * np.sqrt(12.0 * len(u))
    spread = (np.mean((u - 0.5) ** 2) - 1.0 / 12.0) * np.sqrt(180.0 * len(u))
    if abs(shift) > abs(spread):
        return "the posterior lies too low" if shift > 0 else "the posterior lies too high"
    return "the posterior is too narrow" if spread > 0 else "the posterior is too wide"
