"""Log probabilities of Poisson counts against scipy's and, to more digits, mpmath's."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from scipy import stats

from nmmfit.experiment import Channel
from nmmfit.inference.data import Counts, poisson, poisson_constant


def test_one_set_is_the_log_probability_of_scipy():
    counts = np.array([0.0, 1.0, 3.0, 250.0, 1200.0])
    mean = np.array([1e-8, 2.5, 3.0, 181.0, 1203.0])
    here = np.asarray(poisson(jnp.asarray(mean), counts)).sum() + poisson_constant(counts)
    assert here == pytest.approx(stats.poisson.logpmf(counts, mean).sum(), rel=1e-12)


def test_counts_that_are_no_whole_numbers_and_below_one():
    counts, mean = np.array([0.0, 1e-3, 0.4, 2.5]), np.array([0.2, 0.1, 0.7, 2.0])
    expected = sum(n * mpmath.log(m) - m - mpmath.loggamma(n + 1) for n, m in zip(counts, mean, strict=True))
    here = float(jnp.sum(poisson(jnp.asarray(mean), counts))) + poisson_constant(counts)
    assert here == pytest.approx(float(expected), rel=1e-12)


def test_no_counts_expected_and_none_seen_are_no_price():
    assert float(poisson(jnp.asarray([1e-300]), np.zeros(1))[0]) + poisson_constant(np.zeros(1)) == 0.0


def test_several_sets_are_the_sum_of_each():
    rng = np.random.default_rng(5)
    sets = [rng.poisson(m, 4).astype(float) for m in (0.3, 4.0, 900.0)]
    mean = np.array([0.4, 3.0, 20.0, 700.0])
    channel = Channel("x", sets[0], (), {"energy_kev": np.arange(5.0)})
    data = Counts.of({"e.x": channel}, *({"e.x": one} for one in sets))
    here = float(data.log_probability({"e.x": channel}, {"e.x": jnp.asarray(mean)}))
    assert here == pytest.approx(sum(stats.poisson.logpmf(one, mean).sum() for one in sets), rel=1e-12)


def test_small_steps_are_seen_beside_a_million_counts():
    """Values carry the rounding of chi-squares, not of counts: a minimiser stops where it cannot see a descent any more."""
    counts = np.full(200, 1.7e6)
    centre = counts * (1.0 + 3e-4)
    for shift in (1e-10, 3e-10, 1e-9):
        mean = centre * (1.0 + shift)
        with mpmath.workdps(40):
            change = 200 * (
                mpmath.mpf(counts[0]) * (mpmath.log(mpmath.mpf(mean[0])) - mpmath.log(mpmath.mpf(centre[0])))
                - (mpmath.mpf(mean[0]) - mpmath.mpf(centre[0]))
            )
        value = jax.jit(lambda m: jnp.sum(poisson(m, counts)))
        rounding = 2.0 * np.finfo(float).eps * np.sum(np.abs(mean - counts))
        assert float(value(mean) - value(centre)) == pytest.approx(float(change), abs=rounding)
        plain = float(np.sum(counts * np.log(mean) - mean) - np.sum(counts * np.log(centre) - centre))
        assert abs(plain - float(change)) > 1e-9, "written plainly the change would be lost"


def test_derivatives_are_those_of_a_poisson_distribution():
    counts, mean = np.array([0.0, 7.0, 4.0e4]), jnp.asarray([0.6, 5.0, 4.1e4])

    def total(m):
        return jnp.sum(poisson(m, counts))

    assert np.asarray(jax.grad(total)(mean)) == pytest.approx(counts / np.asarray(mean) - 1.0, rel=1e-13)
    assert np.diag(jax.hessian(total)(mean)) == pytest.approx(-counts / np.asarray(mean) ** 2, rel=1e-13)
