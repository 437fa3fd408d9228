from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats
from synthetic import synthetic_joint
from synthetic_run import prior_run

from nmmfit.inference.result import SampleResult
from nmmfit.results import adapter
from nmmfit.results.predictive import PredictiveCheck, channel_draws, predictive_checks, predictive_figure
from nmmfit.results.store import posterior_data


@pytest.fixture(scope="module")
def joint():
    return synthetic_joint("direct")


@pytest.fixture(scope="module")
def run(joint) -> SampleResult:
    """Draws of the nuisances from their priors, at vanishing coefficients."""
    return prior_run(joint, 2, 801, spread=0.0)


def test_log_likelihood_and_predictive_counts(joint, run):
    found = channel_draws(joint, run, predictive_every=4)
    assert set(found) == set(joint.channels)
    expected = joint.expected(run.draws)
    for name, channel in found.items():
        mean = np.asarray(expected[name])
        reference = stats.poisson.logpmf(joint.observed[name], mean)
        np.testing.assert_allclose(channel.log_likelihood, reference, rtol=1e-9, atol=1e-9)
        counts = channel.predictive
        assert counts.shape == (2, 201, mean.shape[-1])
        assert np.all(counts == np.round(counts))
        # Poisson around the draw's own expectation: standardised residuals have zero mean and unit variance.
        z = (counts - mean[:, ::4]) / np.sqrt(mean[:, ::4])
        assert abs(z.mean()) < 5.0 / np.sqrt(z.size)
        assert z.var() == pytest.approx(1.0, abs=5.0 * np.sqrt(2.0 / z.size) + 5.0 / np.sqrt(z.size * mean.min()))


def test_thinned_draws_are_numbered_after_the_posterior(joint, run):
    data = posterior_data(run, channel_draws(joint, run, predictive_every=4), {})
    np.testing.assert_array_equal(adapter.group(data, "posterior_predictive")["draw"].values, np.arange(0, 801, 4))
    np.testing.assert_array_equal(adapter.group(data, "log_likelihood")["draw"].values, np.arange(801))


def test_deviances_are_those_of_scipy(joint, run):
    """Baker and Cousins' deviance, 2 sum (mu - n + n ln(n / mu)), bin by bin."""
    found = channel_draws(joint, run, predictive_every=4)
    expected = joint.expected(run.draws)
    for name, channel in found.items():
        mean = np.asarray(expected[name])[:, ::4]
        for counts, deviance in (
            (joint.observed[name], channel.deviance),
            (channel.predictive, channel.predictive_deviance),
        ):
            reference = 2.0 * np.sum(mean - counts + special.xlogy(counts, counts) - special.xlogy(counts, mean), axis=-1)
            np.testing.assert_allclose(deviance, reference, rtol=1e-8, atol=1e-8)
    checks = predictive_checks(found)
    assert set(checks) == set(joint.channels)
    for name, check in checks.items():
        answer = check.to_json()
        assert answer["bins"] == len(joint.observed[name])
        assert answer["p_value"] == np.mean(check.predicted >= check.observed)
        assert answer["draws"] == 402
    assert len(predictive_figure(checks).axes) >= len(checks)


def test_p_values_of_data_that_fit_and_that_do_not():
    predicted = stats.chi2(20).rvs(4000, random_state=0)
    for observed, p in ((20.0, stats.chi2(20).sf(20.0)), (60.0, 0.0), (0.0, 1.0)):
        check = PredictiveCheck(np.full(4000, observed), predicted, 20)
        assert check.p_value == pytest.approx(p, abs=0.03)
    assert predictive_checks({}) == {}
    with pytest.raises(ValueError, match="at least one channel"):
        predictive_figure({})
