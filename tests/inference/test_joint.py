"""The joint likelihood against scipy's Poisson distribution and numpyro's own density."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from numpyro import distributions as dist
from numpyro.infer.util import log_density
from scipy import stats
from small_joint import DIPOLE, couplings, experiment
from small_joint import joint as small_joint
from synthetic import synthetic_joint

from nmmfit.errors import DataError, UserInputError
from nmmfit.experiment import Channel, check_counts
from nmmfit.inference.joint import JointLikelihood

POINT = {"L_dipole": 3.0, "L_T_u": -1.0, "theory.c_T": -3.1, "solar_like.flux": 0.4, "nuclear_like.timing": -1.2}


def test_data_likelihood_is_poisson(joint):
    expected = joint.expected(POINT)
    reference = sum(stats.poisson.logpmf(joint.observed[k], np.asarray(v)).sum() for k, v in expected.items())
    np.testing.assert_allclose(joint.log_likelihood(POINT), reference, rtol=1e-12)
    pointwise = joint.pointwise_log_likelihood(POINT)
    np.testing.assert_allclose(sum(float(v.sum()) for v in pointwise.values()), reference, rtol=1e-12)


def test_nll_and_log_prob_differ_by_the_coefficient_priors(joint):
    priors = sum(stats.norm.logpdf(POINT.get(p.name, p.start), p.prior.loc, p.prior.scale) for p in joint.of_kind("coefficient"))
    np.testing.assert_allclose(joint.log_prob(POINT) + joint.nll(POINT), priors, rtol=1e-12)


def test_nll_contains_theory_and_pull_constraints(joint):
    moved = POINT | {"nuclear_like.timing": 0.0}
    terms = [(p, POINT.get(p.name, p.start)) for p in joint.parameters if p.kind != "coefficient"]
    constraint = sum(stats.norm.logpdf(v, p.prior.loc, p.prior.scale) for p, v in terms)
    np.testing.assert_allclose(-joint.nll(POINT) - joint.log_likelihood(POINT), constraint, rtol=1e-10)
    assert joint.nll(POINT) != joint.nll(moved)


def test_numpyro_model_has_the_same_density(joint):
    values = {name: jnp.asarray(v) for name, v in joint.unpack(joint.pack(POINT)).items()}
    density, _ = log_density(joint.model, (), {}, values)
    np.testing.assert_allclose(density, joint.log_prob(POINT), rtol=1e-12)


def test_leading_axes_batch(joint):
    x = np.linspace(-3.0, 3.0, 6).reshape(2, 3)
    batched = joint.log_likelihood({"L_dipole": x})
    assert batched.shape == (2, 3)
    np.testing.assert_allclose(batched[1, 2], joint.log_likelihood({"L_dipole": 3.0}), rtol=1e-13)
    assert joint.expected({"L_dipole": x})["solar_like.spectrum"].shape == (2, 3, 30)


def test_order_of_experiments_changes_nothing(joint):
    other = synthetic_joint()
    other.experiments = other.experiments[::-1]
    np.testing.assert_allclose(other.log_likelihood(POINT), joint.log_likelihood(POINT), rtol=1e-13)


def test_unknown_name_is_refused_with_the_nearest(joint):
    with pytest.raises(UserInputError, match="did you mean 'L_dipole'"):
        joint.log_likelihood({"L_dipol": 1.0})


def test_unknown_method_is_refused():
    with pytest.raises(UserInputError, match="unknown method 'template'"):
        synthetic_joint("template")


@pytest.mark.parametrize("dipole", [0.0, 2.0])
def test_gradients_to_second_order(joint, dipole):
    x = joint.pack({"L_dipole": dipole, "L_T_u": 0.5 * dipole})
    check_grads(joint.log_prob_vector, (x,), order=2, modes=("rev",), rtol=1e-4, atol=1e-4)


def test_extreme_pulls_stay_finite(joint):
    for name in joint.names:
        for value in (-30.0, 30.0):
            density, gradient = jax.value_and_grad(joint.log_prob_vector)(joint.pack({name: value}))
            assert np.isfinite(density), name
            assert np.all(np.isfinite(gradient)), name


def test_components_add_up_to_the_expected_counts(direct_joint):
    parts = direct_joint.components(POINT)
    for name, expected in direct_joint.expected(POINT).items():
        np.testing.assert_allclose(sum(parts[name].values()), expected, rtol=1e-13)


@pytest.mark.parametrize(
    ("counts", "reason"), [([1.0, np.nan], "not finite"), ([-1.0, 2.0], "negative"), ([1.5, 2.0], "not a whole number")]
)
def test_broken_counts_are_refused(counts, reason):
    with pytest.raises(DataError, match=reason):
        check_counts(np.asarray(counts), "example.channel")


def test_channels_name_their_bins(joint):
    channel = joint.channels["nuclear_like.beam_on"]
    assert isinstance(channel, Channel)
    assert len(channel.observed) == np.prod([len(e) - 1 for e in channel.edges.values()])


def test_gradients_of_many_points_are_the_slopes_of_poisson(joint):
    """Many points at once, pulls beyond the box among them: against scipy's density of counts at points nearby."""
    random = np.random.default_rng(7)
    x = joint.start + random.normal(size=(3, len(joint.names)))
    x[2, joint.names.index("nuclear_like.timing")] = 9.0
    slopes = np.asarray(jax.jit(jax.vmap(jax.grad(joint.data_vector)))(jnp.asarray(x)))
    step = 1e-4
    shifts = step * np.concatenate([np.eye(x.shape[1]), -np.eye(x.shape[1])])
    expected = joint.expected(joint.unpack(jnp.asarray(x[:, None] + shifts)))
    densities = sum(stats.poisson.logpmf(joint.observed[k], np.asarray(v)).sum(axis=-1) for k, v in expected.items())
    up, down = np.split(densities, 2, axis=1)
    np.testing.assert_allclose(slopes, (up - down) / (2.0 * step), rtol=1e-5, atol=1e-5 * np.abs(slopes).max())
    assert slopes[2, joint.names.index("nuclear_like.timing")] == 0.0


def test_many_points_with_another_distribution_and_held_pulls():
    observed, pulls = [3.0, 5.0], {"n": lambda p: 0.1 * p, "m": lambda p: -0.2 * p}

    def counts(forms, pulls):
        dipole = jnp.real(forms["dipole"][0, 0]) / DIPOLE**2
        return forms["sm"] * jnp.array([4.0, 6.0]) + dipole * jnp.array([1.0, 0.5])

    lab = experiment(observed, counts, pulls, lambda mean: dist.Normal(mean, 2.0))
    direct = small_joint(lab, {"L": couplings(1.0)})
    floated = [p for p in direct.parameters if p.name != "lab.m"]
    joint = JointLikelihood((lab,), floated, direct.coupling_map, fixed={"lab.m": 0.5})
    d, n = np.array([0.0, 1.0, 2.0]), np.array([0.3, -1.0, 2.0])
    mean = np.exp(0.1 * n - 0.1)[:, None] * (np.array([4.0, 6.0]) + np.outer(d**2, [1.0, 0.5]))
    found = joint.log_likelihood({"L": d, "lab.n": n})
    np.testing.assert_allclose(found, stats.norm.logpdf(observed, mean, 2.0).sum(axis=1), rtol=1e-12)
