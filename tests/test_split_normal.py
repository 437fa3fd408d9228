"""Asymmetric errors: the published interval, normalisation, moments and draws."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate

from nmmfit.split_normal import SplitNormal

# 20.6 +7.1 -6.3: the true value is one standard deviation off at 27.7 and at 14.3.
OBSERVED, UP, DOWN = 20.6, 7.1, 6.3


def density(x: float, mode: float = 3.0, below: float = UP, above: float = DOWN) -> float:
    return float(np.exp(SplitNormal(mode, below, above).log_prob(jnp.asarray(x))))


def test_published_errors_are_where_minus_two_log_likelihood_rises_by_one() -> None:
    best = SplitNormal(OBSERVED, UP, DOWN).log_prob(OBSERVED)
    for true in (OBSERVED + UP, OBSERVED - DOWN):
        assert float(2.0 * (best - SplitNormal(true, UP, DOWN).log_prob(OBSERVED))) == pytest.approx(1.0, rel=1e-12)


def test_density_moments_and_draws() -> None:
    total, mean, square = (
        sum(integrate.quad(lambda x, k=k: x**k * density(x), a, b)[0] for a, b in ((-80.0, 3.0), (3.0, 80.0))) for k in range(3)
    )
    made = SplitNormal(3.0, UP, DOWN)
    assert total == pytest.approx(1.0, rel=1e-8)
    assert float(made.mean) == pytest.approx(mean, rel=1e-7)
    assert float(made.variance) == pytest.approx(square - mean**2, rel=1e-7)
    draws = np.asarray(made.sample(jax.random.key(1), (40000,)))
    assert draws.mean() == pytest.approx(mean, abs=4.0 * 6.7 / 200.0)
    assert np.mean(draws < 3.0) == pytest.approx(UP / (UP + DOWN), abs=0.01)


def test_equal_widths_are_a_gaussian() -> None:
    expected = -0.5 * ((4.0 - 1.0) / 2.0) ** 2 - np.log(2.0 * np.sqrt(2.0 * np.pi))
    assert float(SplitNormal(1.0, 2.0, 2.0).log_prob(4.0)) == pytest.approx(expected, rel=1e-14)


def test_slope_is_continuous_at_the_measured_value() -> None:
    slope = jax.grad(lambda m: SplitNormal(m, UP, DOWN).log_prob(OBSERVED))
    assert float(slope(OBSERVED)) == 0.0
    assert abs(float(slope(OBSERVED - 1e-7)) - float(slope(OBSERVED + 1e-7))) < 1e-7
    batch = SplitNormal(jnp.array([1.0, 2.0]), UP, DOWN)
    assert batch.variance.shape == batch.log_prob(jnp.array([0.0, 3.0])).shape == (2,)
