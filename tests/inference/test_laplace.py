"""Where sampling begins: against scipy's maximum of the same density, and closed forms of the nuisances' response."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from numpyro import distributions as dist
from scipy.optimize import minimize
from synthetic import coupling_map, couplings

from nmmfit.experiment import BinnedExperiment, Channel, Component, Factor
from nmmfit.inference.coordinates import amplitude_coordinates, natural_coordinates
from nmmfit.inference.joint import CouplingMap, JointLikelihood
from nmmfit.inference.laplace import laplace_start
from nmmfit.inference.parameters import Parameter
from nmmfit.inference.sampling import pooled_metric
from nmmfit.inference.sensitivity import signal_response
from nmmfit.physics.amplitude_basis import couplings_to_vector

COUNTS = np.asarray([130.0, 88.0, 61.0])


def one_background() -> BinnedExperiment:
    """A dipole signal with exactly the shape of a background whose level is free."""
    shape = jnp.asarray([100.0, 80.0, 60.0])
    signal = Factor(lambda forms, pulls: shape * jnp.real(forms["dipole"][0, 0]) / 1e-18 * 0.01, (), ("dipole",))
    background = Component(
        "background", (Factor(lambda forms, pulls: shape),), lambda p: 1.0 + 0.1 * p["bkg.level"], ("bkg.level",)
    )
    channel = Channel("c", COUNTS, (Component("signal", (signal,)), background), {"x": np.arange(4.0)})
    return BinnedExperiment("one", "One background", (channel,), {"bkg.level": dist.Normal(0.0, 1.0)})


def joint_of(experiment: BinnedExperiment, prior: dist.Distribution) -> JointLikelihood:
    row = np.asarray([couplings_to_vector(couplings(1e-9))])
    mapping = CouplingMap(lambda theory: jnp.asarray(row), (row,), (frozenset({0, 1, 2}),))
    parameters = [
        Parameter("L", "coefficient", "1e-9 GeV^-1", dist.Normal(0.0, 5.0), 0.0, 5.0),
        Parameter("bkg.level", "nuisance", "1", prior, 0.0, 1.0),
    ]
    return JointLikelihood((experiment,), parameters, mapping)


def test_response_of_a_background_that_looks_like_the_signal():
    joint = joint_of(one_background(), dist.Normal(0.0, 1e6))
    # One unit of d^2 makes 1 % of the shape; the level pull makes 10 % per unit: -0.1 absorbs it, but for the prior.
    np.testing.assert_allclose(signal_response(joint, ())[0], [[0.0], [-0.1]], atol=1e-7)


def test_response_stops_at_the_prior():
    joint = joint_of(one_background(), dist.Normal(0.0, 1.0))
    information = 0.1**2 * 240.0
    np.testing.assert_allclose(signal_response(joint, ())[0][1, 0], -0.1 * information / (information + 1.0), rtol=1e-6)


def test_scoring_finds_the_maximum_over_the_nuisances():
    joint = joint_of(one_background(), dist.Normal(0.0, 1.0))
    coordinates = amplitude_coordinates(joint)
    start = laplace_start(coordinates)
    amplitude = start.centre[0]
    best = minimize(lambda v: -float(coordinates.log_density(jnp.asarray([amplitude, v[0]]))), [0.0], method="Nelder-Mead")
    assert abs(start.centre[1] - best.x[0]) < 0.05
    assert start.scattered(5, seed=1).shape == (5, 2)


def test_covariance_of_a_gaussian_problem_is_exact():
    parameters = [
        Parameter(n, "coefficient", "1", dist.Normal(1.0, s), 0.0, s) for n, s in zip("abcd", (1.0, 2.0, 0.5, 3.0), strict=True)
    ]
    parameters.append(Parameter("theory.c_T", "theory", "1", dist.Normal(-2.9, 0.3), -2.9, 0.3))
    joint = JointLikelihood((), parameters, coupling_map())
    start = laplace_start(natural_coordinates(joint))
    np.testing.assert_allclose(start.centre, [1.0, 0.5, 2.0, 1.0 / 3.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(start.covariance, np.eye(5), atol=1e-8)


def test_pooled_metric_is_the_covariance_shrunk_towards_the_old_one():
    draws = np.random.default_rng(0).normal(size=(300, 4, 2)) * [1.0, 3.0]
    metric = pooled_metric(draws, np.eye(2), weight=20.0)
    weight = 1200 / 1220
    np.testing.assert_allclose(metric, weight * np.cov(draws.reshape(-1, 2).T, bias=True) + (1 - weight) * np.eye(2))


def test_coordinates_with_a_response_keep_unit_volume():
    joint = joint_of(one_background(), dist.Normal(0.0, 1.0))
    coordinates = amplitude_coordinates(joint)
    assert np.any(coordinates.response)
    z = jnp.asarray([1.7, -0.4])
    x, log_det = coordinates.to_parameters(z)
    np.testing.assert_allclose(coordinates.from_parameters(x), z, atol=1e-12)
    slope = jax.jacfwd(lambda v: coordinates.to_parameters(v)[0])(z)
    np.testing.assert_allclose(log_det, np.linalg.slogdet(slope)[1], atol=1e-12)
