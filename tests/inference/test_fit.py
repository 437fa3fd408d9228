import json
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from iminuit import Minuit
from numpyro import distributions as dist
from scipy.optimize import brentq
from small_joint import counts_of, couplings, experiment, joint
from synthetic import synthetic_joint

from nmmfit.errors import UserInputError
from nmmfit.inference.fit import fit
from nmmfit.inference.space import natural_steps, space_of
from nmmfit.inference.vector import NegativeLogLikelihood


@cache
def one_bin(observed):
    """Counts (100 + 4 L^2) exp(0.1 p)."""
    lab = experiment([observed], counts_of([100.0], [4.0]), {"norm": lambda p: 0.1 * p})
    return joint(lab, {"L": couplings(1.0)})


@cache
def without_signal():
    """Counts 100 exp(0.1 p): nothing depends on L."""
    lab = experiment([10_000], counts_of([100.0], [0.0]), {"norm": lambda p: 0.1 * p})
    return joint(lab, {"L": couplings(1.0)}, prior=3.0)


@cache
def four_coefficients():
    return synthetic_joint("direct")


def test_gaussian_problem_has_its_closed_form():
    """y ~ N(100 (1 + a p), s) with p ~ N(0, 1): precision 1 + (100 a / s)^2, mean (100 a / s^2) (y - 100) / precision."""
    a, s, y = 0.03, 4.0, 107.0
    pulls = {"norm": lambda p: jax.numpy.log1p(a * p)}
    lab = experiment([y], counts_of([100.0], [0.0]), pulls, distribution=lambda mean: dist.Normal(mean, s))
    found = fit(joint(lab, {"L": couplings(1.0)}))
    precision = 1.0 + (100.0 * a / s) ** 2
    assert found.converged
    assert found.point["lab.norm"] == pytest.approx(100.0 * a / s**2 * (y - 100.0) / precision, abs=1e-6)
    assert found.errors["lab.norm"] == pytest.approx(precision**-0.5, rel=1e-6)
    assert found.errors["L"] is None
    assert found.flat["L"] == "flat direction: nothing in the data depends on L"


def test_poisson_bin_with_a_signal():
    """L-hat^2 = (n - 100) / 4, two mirrored minima; Fisher information (d mean / dL)^2 / mean."""
    found = fit(one_bin(400), fixed={"lab.norm": 0.0})
    expected = np.sqrt(75.0)
    assert found.converged
    assert found.point["L"] == pytest.approx(expected, abs=1e-4)
    assert found.identified["mu"] == pytest.approx(expected, abs=1e-4)
    assert found.errors["L"] == pytest.approx(np.sqrt(400.0) / (8.0 * expected), rel=1e-4)
    assert found.errors["lab.norm"] is None
    assert len(found.minima) == 1
    height, mirror = found.minima[0]
    assert height == pytest.approx(0.0, abs=1e-6)
    assert mirror["L"] == pytest.approx(-expected, abs=1e-4)


def test_poisson_bin_without_a_signal():
    """n below the background: the best moment is 0, the pull alone follows the data."""
    found = fit(one_bin(80))
    root = brentq(lambda p: 0.1 * (100.0 * np.exp(0.1 * p) - 80.0) + p, -10.0, 10.0, xtol=1e-12)
    assert found.converged
    assert found.point["L"] == pytest.approx(0.0, abs=1e-3)
    assert found.point["lab.norm"] == pytest.approx(root, abs=1e-5)
    assert found.minima == ()


def test_extreme_pull():
    found = fit(without_signal())
    root = brentq(lambda p: 0.1 * (100.0 * np.exp(0.1 * p) - 10_000.0) + p, 0.0, 60.0, xtol=1e-12)
    assert found.converged
    assert found.point["lab.norm"] == pytest.approx(root, abs=1e-6)


def test_posterior_mode_of_a_flat_coefficient_is_its_prior():
    found = fit(without_signal(), posterior_mode=True, fixed={"lab.norm": 0.0})
    assert found.kind == "posterior mode"
    assert found.point["L"] == pytest.approx(0.0, abs=1e-6)
    assert found.errors["L"] == pytest.approx(3.0, rel=1e-9)
    poisson = 100.0 - 10_000.0 * np.log(100.0) + np.sum(np.log(np.arange(1, 10_001)))
    assert found.value == pytest.approx(poisson + np.log(3.0 * np.sqrt(2 * np.pi)) + 0.5 * np.log(2 * np.pi), rel=1e-9)


def test_agrees_with_iminuit():
    likelihood = four_coefficients()
    fixed = {"L_T_s": 0.0, "L_T_d": 0.3, "L_T_u": 1.0}
    found = fit(likelihood, fixed=fixed)
    assert found.converged
    value, gradient = jax.jit(likelihood.nll_vector), jax.jit(jax.grad(likelihood.nll_vector))
    minuit = Minuit(lambda x: float(value(x)), np.array(list(found.point.values())), grad=gradient, name=likelihood.names)
    minuit.errordef = 0.5
    for name in fixed:
        minuit.fixed[name] = True
    minuit.values["L_dipole"] = 1.0
    minuit.values["theory.c_T"] = -2.5
    minuit.strategy = 2
    minuit.tol = 1e-4
    minuit.migrad()
    assert 2.0 * (found.value - minuit.fval) < 1e-6
    assert 2.0 * (minuit.fval - found.value) < 1e-3


def test_flat_directions_are_named():
    found = fit(four_coefficients())
    assert found.converged
    assert found.flat["L_T_s"] == "flat direction: L_dipole, L_T_u, L_T_d compensate L_T_s exactly"
    assert all(found.errors[name] is None for name in ("L_dipole", "L_T_u", "L_T_d", "L_T_s"))
    assert all(found.errors[name] is not None for name in found.point if "." in name)


def test_fixed_parameters_stay_and_unknown_ones_are_refused():
    assert fit(one_bin(80), fixed={"lab.norm": 0.2}).point["lab.norm"] == 0.2
    with pytest.raises(UserInputError, match=r"fixed: unknown parameter 'lab.nrm'; did you mean 'lab.norm'\?"):
        fit(one_bin(80), fixed={"lab.nrm": 0.2})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fixed": {"L": np.nan}}, "fixed: L: expected a finite number, got nan"),
        ({"fixed": {"L": np.inf}}, "fixed: L: expected a finite number, got inf"),
        ({"fixed": {"L": "1"}}, "fixed: L: expected a number, got '1'"),
        ({"fixed": {"L": np.zeros(2)}}, "fixed: L: expected a number, got array([0., 0.])"),
        ({"starts": 0}, "fit: starts: 0 is out of range (allowed: at least 1)"),
        ({"seed": 1.5}, "fit: seed: expected a whole number, at least 0, got 1.5"),
    ],
)
def test_wrong_numbers_are_refused(arguments, message):
    with pytest.raises(UserInputError) as caught:
        fit(one_bin(80), **arguments)
    assert message in str(caught.value)


def test_a_value_outside_its_prior_is_refused():
    c_t = dist.Uniform(-4.0, -1.0)
    likelihood = joint(experiment([100.0], counts_of([100.0], [4.0])), {"L": couplings(1.0)}, {"L": 0.1}, c_t)
    with pytest.raises(UserInputError, match=r"fixed: theory.c_T = 2 lies outside the range of its prior"):
        fit(likelihood, fixed={"theory.c_T": 2.0})


def test_result_can_be_written_as_json():
    text = json.dumps(fit(one_bin(80)).to_json(), allow_nan=False)
    assert json.loads(text)["parameters"]["L"]["unit"] == "GeV^-2"


@pytest.mark.parametrize("distribution", [dist.Poisson, lambda mean: dist.Normal(mean, 3.0)])
def test_second_derivatives_of_the_likelihood_are_those_of_automatic_differentiation(distribution):
    lab = experiment([100, 40], counts_of([100.0, 40.0], [4.0, 0.0], tensor_pp=[0.0, 5.0]), distribution=distribution)
    made = joint(lab, {"L": couplings(1.0), "T": couplings(0.0, 1.0)}, shifts={"T": 1.0}, c_t=dist.Normal(-2.9, 0.3))
    nll = NegativeLogLikelihood(made)
    for at in (jnp.array([0.7, -1.2, -2.7]), jnp.array([0.0, 0.0, -2.9])):
        value, gradient, hessian = jax.jit(nll.second_order)(at)
        assert float(value) == pytest.approx(float(made.nll(dict(zip(made.names, at, strict=True)))), rel=1e-12)
        np.testing.assert_allclose(gradient, jax.grad(nll)(at), rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(hessian, jax.hessian(nll)(at), rtol=1e-9, atol=1e-9)


def test_a_shear_keeps_the_dipole_whatever_c_t_is_and_has_determinant_one():
    lab = experiment([100, 40], counts_of([100.0, 40.0], [4.0, 0.0], tensor_pp=[0.0, 5.0]))
    made = joint(lab, {"L": couplings(1.0), "T": couplings(0.0, 1.0)}, shifts={"T": 1.0}, c_t=dist.Normal(-2.9, 0.3))
    space = space_of(made)
    shear = space.shear(space.start, range(space.n))
    x = jnp.array([0.7, -1.2, -2.5])
    y = space.nll.sheared(x, shear)
    # d = L + c_T T = L' - 2.9 T
    np.testing.assert_allclose(y, [0.7 + (-2.5 + 2.9) * -1.2, -1.2, -2.5], rtol=1e-12)
    np.testing.assert_allclose(space.nll.unsheared(y, shear), x, rtol=1e-12)
    assert float(jnp.linalg.det(jax.jacfwd(lambda v: space.nll.sheared(v, shear))(x))) == pytest.approx(1.0, rel=1e-12)
    # what is held is not sheared
    held = space.shear(space.start, [1, 2])
    np.testing.assert_allclose(space.nll.sheared(x, held), x, rtol=0)


@pytest.mark.parametrize("seed", range(5))
def test_natural_steps_change_what_is_seen_by_one_and_rounding_is_not_seen(seed):
    """Strengths over eight decades; the span leaves the first two amplitudes alone, but for rounding."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(4, 6)) * 10.0 ** np.array([4.0, 2.0, 0.0, -4.0])[:, None]
    span = np.linalg.svd(rows[:2])[2][2:].T
    steps = natural_steps(rows, span)
    seen = np.linalg.svd(rows[2:] @ span @ steps, compute_uv=False)
    np.testing.assert_allclose(seen, 1.0, rtol=1e-6)
    # two of the four directions are seen by nothing: there a step is one long
    lengths = np.linalg.eigvalsh(steps)
    assert np.sum(np.isclose(lengths, 1.0, rtol=1e-9)) >= 2
    assert lengths.max() < 1e7
