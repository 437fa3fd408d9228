"""Goodness of fit and the strength of the Standard Model, against closed forms."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
import small_joint
from numpyro import distributions as dist
from scipy.stats import chi2, poisson

from nmmfit.errors import UserInputError
from nmmfit.experiment import BinnedExperiment, Channel, Component, Factor
from nmmfit.inference.alone import Alone, alternatives, joint_of
from nmmfit.inference.goodness import goodness
from nmmfit.inference.joint import STRENGTH, CouplingMap, JointLikelihood
from nmmfit.inference.parameters import Parameter
from nmmfit.inference.validate import validate_experiment
from nmmfit.physics.amplitude_basis import N_COORDINATES


def one_channel(observed, expected, pulls=(), distribution=dist.Poisson, width: float = 0.3, strength=None) -> JointLikelihood:
    """Counts `expected`, each entry scaled by exp(width pull) where there are pulls; no coefficients."""
    observed, expected = np.asarray(observed, dtype=float), np.asarray(expected, dtype=float)

    def counts(forms, values):
        return forms["sm"] * jnp.asarray(expected)

    names = tuple(f"lab.{name}" for name in pulls)
    component = Component(
        "signal", (Factor(counts, (), ()),), lambda p: jnp.exp(width * sum((p[n] for n in names), jnp.asarray(0.0))), names
    )
    statistic = "poisson" if distribution is dist.Poisson else "normal"
    edges = {"x": np.arange(len(observed) + 1.0)}
    channel = Channel("bins", observed, (component,), edges, distribution=distribution, statistic=statistic)
    lab = BinnedExperiment("lab", "Closed form", (channel,), {n: dist.Normal(0.0, 1.0) for n in names})
    parameters = [Parameter(n, "nuisance", "1", p, 0.0, 1.0) for n, p in lab.pulls.items()]
    if strength is not None:
        parameters.insert(0, Parameter(STRENGTH, "theory", "1", dist.Uniform(0.0, strength), 1.0, 0.1))
    nothing = CouplingMap(lambda theory: jnp.zeros((0, N_COORDINATES)), (), ())
    return JointLikelihood((lab,), parameters, nothing, (), method="direct")


def deviance(n, mu) -> float:
    """2 [ln p(n | n) - ln p(n | mu)] from scipy's Poisson probabilities."""
    n, mu = np.asarray(n, dtype=float), np.asarray(mu, dtype=float)
    return float(2.0 * np.sum(poisson.logpmf(n, np.maximum(n, 1e-300)) - poisson.logpmf(n, mu)))


def test_deviance_of_counts_is_that_of_scipy_also_in_empty_bins():
    observed, expected = [0.0, 3.0, 12.0, 1.0], [0.4, 2.0, 9.0, 3.5]
    found = goodness(one_channel(observed, expected), {}, toys=5)
    assert found.deviance == pytest.approx(deviance(observed, expected), rel=1e-12)
    assert found.bins == 4


def test_p_value_of_one_bin_is_the_exact_sum_over_counts():
    observed, expected, toys = 9.0, 4.2, 4000
    found = goodness(one_channel([observed], [expected]), {}, toys=toys, seed=3)
    counts = np.arange(0, 60)
    larger = np.array([deviance([n], [expected]) for n in counts]) >= deviance([observed], [expected]) - 1e-9
    exact = float(poisson.pmf(counts, expected)[larger].sum())
    assert abs(found.p_value - exact) < 4.0 * np.sqrt(exact * (1.0 - exact) / toys)
    assert found.failed == 0


def test_toys_that_are_fitted_lose_a_degree_of_freedom():
    # Large counts: the deviance is a chi-square; the pull's prior is wide against what the data say, so that it is free.
    expected = np.full(6, 2000.0)
    joint = one_channel(expected, expected, ("scale",), width=0.5)
    found = goodness(joint, {"lab.scale": 0.0}, toys=1500, seed=1)
    assert found.failed == 0
    assert abs(found.toy_mean - 5.0) < 4.0 * np.sqrt(2.0 * 5.0 / 1500)
    assert found.toy_sd == pytest.approx(np.sqrt(2.0 * 5.0), rel=0.1)
    assert found.p_value == 1.0


def test_a_gaussian_measurement_has_the_p_value_of_chi_square():
    joint = one_channel([13.0], [10.0], distribution=lambda mu: dist.Normal(mu, 2.0))
    found = goodness(joint, {}, toys=4000, seed=2)
    assert found.deviance == pytest.approx(2.25, rel=1e-12)
    exact = float(chi2.sf(2.25, 1))
    assert abs(found.p_value - exact) < 4.0 * np.sqrt(exact * (1.0 - exact) / 4000)


@pytest.mark.slow
def test_toys_with_more_counts_leave_the_saddle_at_zero_coupling():
    # One bin with background b and a rate d^2: more counts than b are fitted exactly, fewer are best at d = 0. Hence the deviance
    # of n < b counts has the p-value P(N <= n); fits that stayed at d = 0 would nearly double it.
    background, seen, toys = 50.0, 44.0, 400
    lab = small_joint.experiment([seen], small_joint.counts_of([background], [1.0]))
    joint = small_joint.joint(lab, {"d": small_joint.couplings(1.0)})
    found = goodness(joint, {"d": 0.0}, toys=toys, seed=5)
    exact = float(poisson.cdf(seen, background))
    assert found.deviance == pytest.approx(deviance([seen], [background]), rel=1e-12)
    assert found.failed == 0
    assert abs(found.p_value - exact) < 4.0 * np.sqrt(exact * (1.0 - exact) / toys)


@pytest.mark.parametrize(("changes", "message"), [({"toys": 0}, "toys"), ({"seed": -1}, "seed"), ({"point": {}}, "lab.scale")])
def test_wrong_input(changes, message):
    arguments = {"point": {"lab.scale": 0.0}, "toys": 5} | changes
    joint = one_channel([3.0], [3.0], ("scale",))
    with pytest.raises(UserInputError, match=message):
        goodness(joint, **arguments)


def test_strength_scales_the_standard_model():
    joint = one_channel([30.0, 50.0], [20.0, 40.0], strength=5.0)
    np.testing.assert_allclose(joint.expected({STRENGTH: 1.7})["lab.bins"], [34.0, 68.0], rtol=1e-14)
    np.testing.assert_allclose(joint.expected({STRENGTH: 0.0})["lab.bins"], 0.0, atol=1e-300)


def test_options_that_are_no_defaults():
    found = {(option, value) for option, value, _ in alternatives("coherent_csi_2021")}
    assert ("steady_state", "fixed_shape") in found
    assert not any(value == "free_shape" for _, value in found)
    assert not any(option == "rn_width" for option, _ in found)


def test_a_published_limit_comes_back():
    found = validate_experiment("borexino_phase2_limit", toys=3, choices=False)
    assert found.sm_counts is None
    assert found.goodness is None
    # arXiv:1707.09355, table I: 2.8e-11 mu_B, which is what the likelihood was made from.
    assert found.limits["mu_eff_solar"] == pytest.approx(2.8, rel=1e-6)
    assert found.converged


@pytest.mark.slow
def test_strength_of_coherent_csi_is_the_published_yield_over_the_prediction():
    # arXiv:2110.07730: 306 +- 20 events observed.
    found = Alone("coherent_csi_2021", 1).strength()
    assert found.converged
    assert found.counts == pytest.approx(306.0, abs=10.0)
    assert found.error is not None
    assert 0.1 < found.error < 0.2
    assert 0.8 < found.value < 1.1


def test_a_strength_is_refused_beside_what_interferes():
    keys = {"coefficients": {"VnueLL_1111": 1.0}, "prior": {"normal": [0.0, 1e-6]}}
    with pytest.raises(UserInputError, match=r"sm_strength.*interferes"):
        joint_of("borexino_phase2_limit", parameters={"e_left": keys}, theory={"sm_strength": {"uniform": [0.0, 5.0]}})
