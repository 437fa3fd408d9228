"""Bent and stretched coordinates: closed forms, Jacobians, where bends are found, and the posterior that comes out."""

from __future__ import annotations

from dataclasses import replace

import arviz
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import distributions as dist
from scipy import integrate, stats
from synthetic import couplings

from nmmfit.experiment import BinnedExperiment, Channel, Component, Factor
from nmmfit.inference.bends import Knee, compressed, fanned, folded, stretched
from nmmfit.inference.coordinates import amplitude_coordinates
from nmmfit.inference.joint import CouplingMap, JointLikelihood
from nmmfit.inference.parameters import Parameter
from nmmfit.inference.sampling import SamplerSettings, sample
from nmmfit.inference.sensitivity import nuisance_knees, signal_response
from nmmfit.physics.amplitude_basis import couplings_to_vector

SHAPE = np.asarray([20.0, 16.0, 12.0])
OTHER = np.asarray([20.0, 60.0, 140.0])
SIGNAL = np.asarray([12.0, 18.0, 12.0])
COUNTS = np.asarray([31.0, 75.0, 151.0])


def softplus(p: float) -> float:
    return float(np.log1p(np.exp(5.0 * (1.0 + 2.0 * p))) / np.log1p(np.exp(5.0)))


def vanishing_background(width: float = 2.0) -> JointLikelihood:
    """A dipole signal much like a background that cannot be negative, over a steady one."""
    signal = Factor(lambda forms, pulls: jnp.asarray(SIGNAL) * jnp.real(forms["dipole"][0, 0]) / 1e-18, (), ("dipole",))

    def scale(pulls):
        return jax.nn.softplus(5.0 * (1.0 + width * pulls["bkg.level"])) / np.log1p(np.exp(5.0))

    components = (
        Component("signal", (signal,)),
        Component("background", (Factor(lambda forms, pulls: jnp.asarray(SHAPE)),), scale, ("bkg.level",)),
        Component("steady", (Factor(lambda forms, pulls: jnp.asarray(OTHER)),)),
    )
    channel = Channel("c", COUNTS, components, {"x": np.arange(4.0)})
    experiment = BinnedExperiment("one", "One", (channel,), {"bkg.level": dist.Normal(0.0, 1.0)})
    row = np.asarray([couplings_to_vector(couplings(1e-9))])
    mapping = CouplingMap(lambda theory: jnp.asarray(row), (row,), (frozenset({0, 1, 2}),))
    parameters = [
        Parameter("L", "coefficient", "1e-9 GeV^-1", dist.Normal(0.0, 5.0), 0.0, 5.0),
        Parameter("bkg.level", "nuisance", "1", dist.Normal(0.0, 1.0), 0.0, 1.0),
    ]
    return JointLikelihood((experiment,), parameters, mapping)


@pytest.mark.parametrize("reach", [0.0, 0.3, 20.0, 1e6])
def test_a_fan_has_its_inverse_and_jacobian_and_flattens_the_inverse_of_a_factor(reach):
    def forward(u):
        return fanned(u, jnp.asarray([reach]))[0]

    for u in (-1.3, -1e-3, 0.0, 0.4, 1.0):
        at = jnp.asarray([u])
        factor, log_slope = fanned(at, jnp.asarray([reach]))
        assert float(folded(factor, jnp.asarray([reach]))[0]) == pytest.approx(u, rel=1e-12, abs=1e-12)
        assert float(log_slope) == pytest.approx(float(np.log(jax.jacfwd(forward)(at)[0, 0])), rel=1e-12, abs=1e-12)
        # du = df / sqrt(1 + (t f)^2) up to a constant: its density is flat in u
        flat = float(log_slope) - 0.5 * np.log1p((np.hypot(reach, 0.01) * float(factor[0])) ** 2)
        assert flat == pytest.approx(float(fanned(jnp.zeros(1), jnp.asarray([reach]))[1]), rel=1e-9, abs=1e-12)
    assert float(forward(jnp.ones(1))[0]) == pytest.approx(1.0, rel=1e-12)
    if reach == 0.0:
        assert float(forward(jnp.asarray([0.5]))[0]) == pytest.approx(0.5, rel=2e-5)


@pytest.mark.parametrize("ratio", [0.05, 0.5, 1.0, 3.0, 40.0])
def test_a_knee_has_its_slopes_inverse_and_jacobian(ratio):
    knee = Knee(np.asarray([-0.5]), np.asarray([0.2]), np.asarray([ratio]))

    def forward(u):
        return knee.forward(u)[0]

    for u in (-30.0, -0.7, -0.5, 0.0, 2.0, 30.0):
        x, log_slope = knee.forward(jnp.asarray([u]))
        np.testing.assert_allclose(knee.inverse(x), [u], atol=1e-11)
        np.testing.assert_allclose(log_slope, np.log(jax.jacfwd(forward)(jnp.asarray([u]))[0, 0]), atol=1e-12)
    assert float(knee.forward(jnp.asarray([1e4]))[1]) == pytest.approx(0.0, abs=1e-7)
    assert float(knee.forward(jnp.asarray([-1e4]))[1]) == pytest.approx(np.log(ratio), abs=1e-7)
    assert knee.is_identity == (ratio == 1.0)


@pytest.mark.parametrize("unit", [0.3, 2.0, np.inf])
def test_stretched_amplitudes_follow_their_definition(unit):
    units = np.asarray([unit])

    def forward(y):
        return stretched(y, units)[0]

    for y in (-50.0, -1.0, 0.0, 1e-8, 3.0):
        a, log_slope = stretched(jnp.asarray([y]), units)
        np.testing.assert_allclose(a * np.sqrt(1.0 + (a / unit) ** 2), [y], rtol=1e-13, atol=1e-300)
        np.testing.assert_allclose(compressed(a, units), [y], rtol=1e-13, atol=1e-300)
        np.testing.assert_allclose(log_slope, np.log(jax.jacfwd(forward)(jnp.asarray([y]))[0, 0]), atol=1e-12)
        assert np.isfinite(jax.grad(lambda v: stretched(v, units)[1])(jnp.asarray([y]))[0])


def test_a_background_bends_where_it_vanishes():
    joint = vanishing_background()
    knee = nuisance_knees(joint, (), np.full(2, np.inf))
    # The scale vanishes at pull -1/2. Far below, the prior alone decides; far above, the data do, at the rates there.
    slope = 2.0 * 5.0 / np.log1p(np.exp(5.0))
    mean = softplus(4.0) * SHAPE + OTHER
    right = 1.0 / np.sqrt(1.0 + np.sum((slope * SHAPE) ** 2 / mean))
    assert knee.ratio[1] == pytest.approx(1.0 / right, rel=1e-6)
    assert -0.8 < knee.centre[1] < -0.2
    assert knee.ratio[0] == 1.0


def test_what_is_out_of_reach_stays_straight():
    assert nuisance_knees(vanishing_background(), (), np.full(2, 0.1)).is_identity
    assert nuisance_knees(vanishing_background(0.02), (), np.full(2, np.inf)).is_identity


def test_a_bend_at_the_nominal_point_leaves_coordinates_a_bijection():
    """A nuisance that bends just where it starts answers to a signal all the same."""
    found = amplitude_coordinates(vanishing_background())
    assert np.any(found.response)
    bent = replace(found, knee=Knee(np.zeros(2), np.ones(2), np.asarray([1.0, 1.6])))
    for z in (jnp.zeros(2), jnp.asarray([1.2, -0.7])):
        x, log_det = bent.to_parameters(z)
        assert np.asarray(bent.from_parameters(x)) == pytest.approx(np.asarray(z), abs=1e-9)
        jacobian = jax.jacfwd(lambda y: bent.to_parameters(y)[0])(z)
        assert float(log_det) == pytest.approx(float(np.linalg.slogdet(np.asarray(jacobian))[1]), rel=1e-9, abs=1e-12)


def test_unit_of_an_amplitude_is_what_the_data_still_see():
    joint = vanishing_background()
    _, unit, reach = signal_response(joint, ())
    slope = 2.0 * 5.0 / np.log1p(np.exp(5.0)) / (1.0 + np.exp(-5.0))
    jacobian, weights = slope * SHAPE, 1.0 / (SHAPE + OTHER)
    information = np.asarray(
        [
            [np.sum(SIGNAL**2 * weights), np.sum(SIGNAL * jacobian * weights)],
            [np.sum(SIGNAL * jacobian * weights), np.sum(jacobian**2 * weights) + 1.0],
        ]
    )
    # The standard deviation of d^2, the background's level marginalised.
    deviation = np.sqrt(np.linalg.inv(information)[0, 0])
    np.testing.assert_allclose(unit, [np.sqrt(deviation)], rtol=1e-6)
    assert reach[0] == 0.0
    assert reach[1] > 4.0 / np.sqrt(information[1, 1])


def test_bent_coordinates_give_the_posterior_of_a_quadrature():
    joint = vanishing_background()
    coordinates = amplitude_coordinates(joint)
    assert not coordinates.knee.is_identity
    assert np.all(np.isfinite(coordinates.stretch))
    result = sample(joint, SamplerSettings(chains=4, warmup=400, draws=1500, seed=3))
    p, d = np.linspace(-5.0, 1.5, 651), np.linspace(0.0, 3.0, 301)
    scale = np.asarray([softplus(v) for v in p])
    mean = scale[:, None, None] * SHAPE + OTHER + (d[None, :, None] ** 2) * SIGNAL
    log = (
        stats.poisson.logpmf(COUNTS, mean).sum(axis=-1) + stats.norm.logpdf(p)[:, None] + stats.norm.logpdf(d, 0.0, 5.0)[None, :]
    )
    density = np.exp(log - log.max())
    norm = integrate.simpson(integrate.simpson(density, x=d), x=p)

    def expectation(values):
        return integrate.simpson(integrate.simpson(density * values, x=d), x=p) / norm

    drawn = {"p": result.draws["bkg.level"], "d": result.folded["L"], "d2": result.folded["L"] ** 2}
    grids = {"p": p[:, None] * np.ones_like(d), "d": np.ones_like(p)[:, None] * d, "d2": np.ones_like(p)[:, None] * d**2}
    assert result.divergences() == 0
    for name, values in drawn.items():
        exact = expectation(grids[name])
        spread = np.sqrt(expectation(grids[name] ** 2) - exact**2)
        error = spread / np.sqrt(float(arviz.ess(values)))
        assert float(arviz.ess(values)) > 600, name
        assert abs(values.mean() - exact) < 4 * error, name
        assert values.std() == pytest.approx(spread, rel=0.1), name
