import json
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from iminuit import Minuit
from numpyro import distributions as dist
from small_joint import counts_of, couplings, experiment, joint
from synthetic import synthetic_joint

from nmmfit.errors import UserInputError
from nmmfit.inference.profile import profile


@cache
def one_bin(observed):
    """Counts (100 + 4 L^2) exp(0.1 p)."""
    lab = experiment([observed], counts_of([100.0], [4.0]), {"norm": lambda p: 0.1 * p})
    return joint(lab, {"L": couplings(1.0)})


@cache
def four_coefficients():
    return synthetic_joint("direct")


def poisson(mean, n):
    return 2.0 * (mean - n - n * np.log(mean / n))


@pytest.mark.parametrize("observed", [81, 400])
def test_one_poisson_bin(observed):
    """Without nuisances delta chi2 is 2 [mean - n - n log(mean / n)] above its minimum."""
    found = profile(one_bin(observed), "L", fixed={"lab.norm": 0.0}, points=21)
    mean = 100.0 + 4.0 * found.grid**2
    assert np.all(found.converged)
    np.testing.assert_allclose(found.delta_chi2, poisson(mean, observed) - poisson(max(observed, 100.0), observed), atol=1e-5)
    assert found.delta_chi2[0] == pytest.approx(9.0, abs=0.3)
    assert found.delta_chi2[-1] == pytest.approx(9.0, abs=0.3)
    assert found.grid[0] == pytest.approx(-found.grid[-1], rel=0.01)


def test_gaussian_pull_profile_is_a_parabola():
    a, s, y = 0.03, 4.0, 107.0
    pulls = {"norm": lambda p: jnp.log1p(a * p), "other": lambda p: 0.0 * p}
    lab = experiment([y], counts_of([100.0], [0.0]), pulls, distribution=lambda mean: dist.Normal(mean, s))
    likelihood = joint(lab, {"L": couplings(1.0)})
    found = profile(likelihood, "lab.norm", points=9)
    precision = 1.0 + (100.0 * a / s) ** 2
    mean = 100.0 * a / s**2 * (y - 100.0) / precision
    assert np.all(found.converged)
    assert found.best == pytest.approx(mean, abs=1e-6)
    np.testing.assert_allclose(found.delta_chi2, precision * (found.grid - mean) ** 2, atol=1e-6)
    # nothing in the data depends on L: its profile is flat, and says so
    flat = profile(likelihood, "L", points=5)
    np.testing.assert_allclose(flat.delta_chi2, 0.0, atol=1e-7)
    assert flat.reason == "flat direction: nothing in the data depends on L"


def minuit_of(function, start, names):
    value, gradient = jax.jit(function), jax.jit(jax.grad(function))
    minuit = Minuit(lambda x: float(value(x)), np.asarray(start), grad=lambda x: np.asarray(gradient(x)), name=names)
    minuit.errordef, minuit.strategy, minuit.tol = 0.5, 2, 1e-3
    return minuit


def test_profile_with_c_t_floating_agrees_with_iminuit():
    likelihood = four_coefficients()
    fixed = {"L_T_d": 0.0, "L_T_s": 0.0}
    found = profile(likelihood, "L_T_u", points=7, fixed=fixed)
    assert np.all(found.converged)
    minuit = minuit_of(likelihood.nll_vector, likelihood.start, likelihood.names)
    for name in (*fixed, "L_T_u"):
        minuit.fixed[name] = True
    values = []
    for i, t in enumerate(found.grid):
        tries = []
        for sign in (-1.0, 1.0):
            for name, column in found.points.items():
                minuit.values[name] = column[i]
            minuit.values["L_T_u"] = t
            minuit.values["L_dipole"] += sign
            minuit.migrad()
            tries.append(minuit.fval)
        values.append(2.0 * min(tries))
    best = found.delta_chi2 - (np.array(values) - min(values))
    np.testing.assert_allclose(best - best[np.argmin(found.delta_chi2)], 0.0, atol=1e-3)


def test_identified_quantity_agrees_with_iminuit_after_substitution():
    """mu = |d|, with L_dipole solved for the dipole d = +-t at the current c_T and tensors."""
    likelihood = four_coefficients()
    found = profile(likelihood, "mu", points=5)
    assert np.all(found.converged)
    assert found.grid[0] == 0.0
    dipole_row = int(np.flatnonzero(likelihood.amplitudes.is_dipole)[0])
    names = [n for n in likelihood.names if n != "L_dipole"]

    def substituted(t):
        def function(rest):
            point = {n: rest[i] for i, n in enumerate(names)} | {"L_dipole": 0.0}
            x = likelihood.pack(point)
            coefficients, theory, _ = likelihood.split(x)
            row = likelihood.linear_amplitudes(theory)[dipole_row]
            return likelihood.nll_vector(x.at[0].set((t - row[1:] @ coefficients[1:]) / row[0]))

        return function

    # coordinates of amplitudes are in units of 1e-9 GeV^-1, as mu is
    height = []
    for t in found.grid:
        minuit = minuit_of(substituted(t), [likelihood.start[likelihood.names.index(n)] for n in names], names)
        minuit.fixed["L_T_s"] = True  # the exactly flat direction
        minuit.migrad()
        height.append(2.0 * minuit.fval)
    np.testing.assert_allclose(found.delta_chi2, np.array(height) - min(height), atol=1e-3)


def test_exactly_flat_coefficient():
    found = profile(four_coefficients(), "L_T_s", points=5)
    assert np.all(found.converged)
    np.testing.assert_allclose(found.delta_chi2, 0.0, atol=1e-6)
    assert found.reason == "flat direction: L_dipole, L_T_u, L_T_d compensate L_T_s exactly"


def test_bad_input():
    likelihood = four_coefficients()
    with pytest.raises(UserInputError, match="did you mean 'L_T_u'"):
        profile(likelihood, "L_T_v")
    for wrong, message in (
        ({"points": 1}, "profile: points: 1 is out of range (allowed: at least 2)"),
        ({"points": 2.5}, "profile: points: expected a whole number, at least 2, got 2.5"),
        ({"low": np.nan}, "profile: low: expected a finite number, got nan"),
        ({"high": np.inf}, "profile: high: expected a finite number, got inf"),
        ({"low": "a"}, "profile: low: expected a number, got 'a'"),
        ({"starts": 0}, "profile: starts: 0 is out of range"),
        ({"seed": -1}, "profile: seed: -1 is out of range"),
        ({"fixed": {"theory.c_T": np.nan}}, "fixed: theory.c_T: expected a finite number, got nan"),
        ({"fixed": {"theory.c_T": [1.0, 2.0]}}, "fixed: theory.c_T: expected a number, got [1.0, 2.0]"),
        ({"fixed": {"theory.c_X": 1.0}}, "fixed: unknown parameter 'theory.c_X'; did you mean 'theory.c_T'?"),
    ):
        with pytest.raises(UserInputError) as caught:
            profile(likelihood, "mu", **wrong)
        assert message in str(caught.value)
    with pytest.raises(UserInputError, match="must end above its start"):
        profile(likelihood, "mu", low=2.0, high=1.0)
    with pytest.raises(UserInputError, match="cannot be -1"):
        profile(likelihood, "mu", low=-1.0, high=1.0)
    with pytest.raises(UserInputError, match="both profiled and held fixed"):
        profile(likelihood, "L_T_u", fixed={"L_T_u": 0.0})


def test_progress_and_json():
    seen = []
    found = profile(one_bin(81), "L", points=5, low=-1.0, high=1.0, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (5, 5)
    written = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert written["grid"]["L"] == [-1.0, -0.5, 0.0, 0.5, 1.0]
    assert set(written) >= {"grid", "delta_chi2", "converged", "best"}
