"""The quick best fit: stationary, lower than every draw, and where closed forms say."""

import jax
import numpy as np
import pytest

from nmmfit.inference.polish import polish


@pytest.fixture(scope="module")
def draws(joint):
    random = np.random.default_rng(4)
    return {
        p.name: p.start + p.scale * random.normal(size=(2, 100)) * (0.03 if p.kind == "coefficient" else 1.0)
        for p in joint.parameters
    }


def test_best_fit_is_stationary_and_below_every_draw(joint, draws):
    best = polish(joint, draws)
    slope = np.asarray(jax.grad(joint.nll_vector)(joint.pack(best)))
    spread = np.asarray([np.std(draws[name]) for name in joint.names])
    assert np.all(np.abs(slope * spread) < 3e-3)
    assert float(joint.nll(best)) <= float(np.min(joint.nll(draws)))


def test_the_standard_model_holds_coefficients_at_zero(joint, draws):
    names = [p.name for p in joint.of_kind("coefficient")]
    best, standard = polish(joint, draws), polish(joint, draws, zero=names)
    assert [standard[name] for name in names] == [0.0] * len(names)
    assert float(joint.nll(standard)) >= float(joint.nll(best)) - 1e-3
    slope = np.asarray(jax.grad(joint.nll_vector)(joint.pack(standard)))
    assert np.all(np.abs(slope[len(names) :]) < 3e-3)


def test_few_draws_are_enough(joint, draws):
    for count in (1, 2):
        few = {name: values[:1, :count] for name, values in draws.items()}
        assert float(joint.nll(polish(joint, few))) <= float(np.min(joint.nll(few))) + 1e-9
