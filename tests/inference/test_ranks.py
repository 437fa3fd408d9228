"""Ranks that are uniform and ranks that are not: p-values, simultaneous bands, corrections."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from nmmfit.inference.ranks import SIMULATIONS, UniformRanks, holm, rank, shape


def test_the_p_value_is_exact_where_all_outcomes_can_be_counted() -> None:
    """Three simulations, ranks 0 to 3: 64 equally likely outcomes, gamma of each from scipy's binomial distribution."""
    uniform = UniformRanks(3, 3)

    def gamma(ranks: tuple[int, ...]) -> float:
        tails = []
        for k in (1, 2, 3):
            below = sum(r < k for r in ranks)
            tails += [stats.binom.cdf(below, 3, k / 4), stats.binom.sf(below - 1, 3, k / 4)]
        return 2.0 * min(tails)

    every = [gamma(outcome) for outcome in product(range(4), repeat=3)]
    for ranks in ((0, 0, 0), (1, 2, 3), (0, 1, 3), (3, 3, 2)):
        exact = np.mean(np.asarray(every) <= gamma(ranks) * (1.0 + 1e-9))
        assert uniform.p_value(np.asarray(ranks)) == pytest.approx(exact, abs=5.0 * 0.5 / SIMULATIONS**0.5)


def test_p_values_of_uniform_ranks_are_uniform() -> None:
    uniform = UniformRanks(60, 20)
    random = np.random.default_rng(4)
    p = [uniform.p_value(random.integers(0, 21, 60)) for _ in range(300)]
    # Discrete, hence a little above uniform at worst.
    for level in (0.05, 0.2, 0.5):
        assert abs(np.mean(np.asarray(p) <= level) - level) < 4.0 * (level * (1.0 - level) / 300) ** 0.5 + 0.02


def test_the_band_is_that_of_arviz() -> None:
    """ArviZ simulates continuous ranks; at multiples of 1 / (L + 1) their counts are distributed alike."""
    arviz_bands = pytest.importorskip("arviz.stats.ecdf_utils", reason="ArviZ 1 has its bands elsewhere")
    uniform = UniformRanks(100, 19)
    low, high = uniform.band(0.95)
    theirs = arviz_bands.ecdf_confidence_band(
        100,
        uniform.expected,
        uniform.expected,
        prob=0.95,
        method="simulated",
        num_trials=4000,
        rvs=stats.uniform().rvs,
        random_state=np.random.default_rng(2),
    )
    # Counts are whole: two levels next to each other may differ by one in places.
    np.testing.assert_allclose(low, theirs[0], atol=0.0101)
    np.testing.assert_allclose(high, theirs[1], atol=0.0101)


def test_a_curve_leaves_the_band_exactly_where_its_p_value_is_small() -> None:
    uniform = UniformRanks(40, 10)
    low, high = uniform.band(0.9)
    random = np.random.default_rng(1)
    p = []
    for power in np.linspace(0.5, 2.0, 200):
        ranks = np.floor(11 * random.uniform(size=40) ** power).astype(int)
        share = uniform.counts(ranks) / 40
        p.append(uniform.p_value(ranks))
        if abs(p[-1] - 0.1) > 0.01:
            assert bool(np.any((share < low - 1e-12) | (share > high + 1e-12))) == (p[-1] < 0.1)
    assert min(p) < 0.01 < 0.5 < max(p)


@pytest.mark.parametrize(
    ("ranks", "said"),
    [
        (np.repeat(np.arange(20), 10) // 2, "too high"),
        (20 - np.repeat(np.arange(20), 10) // 2, "too low"),
        (np.tile([0, 1, 19, 20], 50), "too narrow"),
        (np.tile([8, 9, 11, 12], 50), "too wide"),
    ],
)
def test_what_is_wrong_is_said_in_words(ranks: np.ndarray, said: str) -> None:
    assert UniformRanks(200, 20).p_value(ranks) < 1e-3
    assert said in shape(ranks, 20)


def test_holm() -> None:
    """Four p-values by hand: 0.01 x 4, 0.02 x 3, then 0.03 x 2 and 0.04 x 1, of which neither may be below the one before."""
    np.testing.assert_allclose(holm([0.04, 0.01, 0.03, 0.02]), [0.06, 0.04, 0.06, 0.06])
    np.testing.assert_allclose(holm([0.6, 0.9]), [1.0, 1.0])


def test_equal_draws_get_a_random_rank() -> None:
    random = np.random.default_rng(0)
    draws = np.column_stack([np.arange(10.0), np.zeros(10)])
    found = np.asarray([rank(np.array([4.5, 0.0]), draws, random) for _ in range(2000)])
    assert set(found[:, 0]) == {5}
    np.testing.assert_allclose(np.bincount(found[:, 1], minlength=11), 2000 / 11, atol=6.0 * (2000 / 11) ** 0.5)
