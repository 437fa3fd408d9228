from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from synthetic import synthetic_joint
from synthetic_run import prior_run

from nmmfit.inference.result import SampleResult
from nmmfit.results import adapter
from nmmfit.results.predictive import channel_draws
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
