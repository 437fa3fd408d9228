"""A tolerance for a millionth: log-likelihoods of templates against closed forms, all shape pulls moved together."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import distributions as dist
from scipy.special import expit
from synthetic import couplings, synthetic_joint

from nmmfit.errors import UserInputError
from nmmfit.experiment import BinnedExperiment, Channel, Component, Factor
from nmmfit.inference import joint as joint_module
from nmmfit.physics.amplitude_basis import amplitude_basis, couplings_to_vector
from nmmfit.templates import DEFAULT_TOLERANCE, build_templates

X = np.linspace(0.05, 1.0, 20)
TIMES = np.arange(4.0)
POINTS = 1000


def bent(a, b, c, strength, exp, edge):
    """(20,) counts: a falling spectrum whose slope, edge and sharpness three pulls move, and a dipole's 1 / x above it."""
    smooth = exp(-X * (1.0 + 0.1 * a)) * edge((0.6 + 0.02 * b - X) / (0.08 * exp(0.05 * c)))
    return 300.0 * smooth + 40.0 * strength / X * exp(-0.05 * a * X)


def arrival(late, exp):
    """(4,) share of every time."""
    return exp(-TIMES / (1.5 + 0.1 * late))


def experiment(observed: np.ndarray) -> BinnedExperiment:
    def signal(forms, pulls):
        a, b, c = (pulls[name] for name in "abc")
        return forms["sm"] * bent(a, b, c, 0.0, jnp.exp, jax.nn.sigmoid) + jnp.real(forms["dipole"][0, 0]) / 1e-18 * (
            bent(a, b, c, 1.0, jnp.exp, jax.nn.sigmoid) - bent(a, b, c, 0.0, jnp.exp, jax.nn.sigmoid)
        )

    times = Factor(lambda forms, pulls: arrival(pulls["late"], jnp.exp), ("late",))
    flat = Factor(lambda forms, pulls: jnp.full(80, 5.0))
    components = (Component("signal", (Factor(signal, ("a", "b", "c"), ("dipole",)), times)), Component("flat", (flat,)))
    channel = Channel("c", observed, components, {"x": np.arange(21.0), "t": np.arange(5.0)})
    return BinnedExperiment("bent", "Bent", (channel,), {name: dist.Normal(0.0, 1.0) for name in ("a", "b", "c", "late")})


def closed(point: np.ndarray) -> np.ndarray:
    """(80,) counts at (pulls a, b, c, late, amplitude), in numpy."""
    a, b, c, late, amplitude = point
    return np.ravel(bent(a, b, c, amplitude**2, np.exp, expit)[:, None] * arrival(late, np.exp)) + 5.0


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    """(1000, 5): pulls within 3 standard deviations, amplitudes of dipoles up to as many counts as the rest."""
    random = np.random.default_rng(3)
    return np.concatenate([random.uniform(-3.0, 3.0, (POINTS, 4)), random.normal(size=(POINTS, 1))], axis=1)


def test_a_smaller_tolerance_reaches_a_millionth(points):
    exact = np.asarray([closed(p) for p in points])
    observed = np.round(closed(np.zeros(5)))
    basis = amplitude_basis(np.asarray([couplings_to_vector(couplings(1e-9))]))
    template = build_templates(experiment(observed), basis, 3e-8)

    def counts(x):
        return template.expected(basis.products(x[4:]), dict(zip(("a", "b", "c", "late"), x, strict=False)))["c"]

    got = np.asarray(jax.jit(jax.vmap(counts))(jnp.asarray(points)))
    error = np.abs(np.sum(observed * np.log(got / exact) - (got - exact), axis=1))
    # Bins are off by far more than what a tolerance is stated for.
    assert np.median(np.sum((observed - exact) ** 2 / exact, axis=1)) > 10 * len(observed)
    assert error.max() < 1e-6


def test_an_experiment_has_a_tolerance_of_its_own(monkeypatch):
    asked = {}
    monkeypatch.setattr(joint_module, "build_templates", lambda e, basis, tol, known: asked.update({e.name: tol}))
    synthetic_joint(tolerance={"solar_like": 1e-7})
    assert asked == {"solar_like": 1e-7, "nuclear_like": DEFAULT_TOLERANCE}
    synthetic_joint(tolerance=1e-3)
    assert asked == {"solar_like": 1e-3, "nuclear_like": 1e-3}


def test_a_tolerance_of_no_experiment_is_refused():
    with pytest.raises(UserInputError, match=r"tolerance: unknown experiment .* 'solar'; did you mean 'solar_like'"):
        synthetic_joint(method="direct", tolerance={"solar": 1e-7})
