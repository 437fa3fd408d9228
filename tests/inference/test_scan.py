"""Grids of delta chi2 against closed forms, scipy and iminuit; contours against ellipses; what fails, jumps and is refused."""

import json
from copy import copy
from dataclasses import replace
from functools import cache, partial

import jax
import numpy as np
import pytest
from iminuit import Minuit
from numpyro import distributions as dist
from scan_joints import OBSERVED, SIGMA, SLOPES, gaussian, two_coefficients, valley
from scipy.optimize import minimize_scalar
from scipy.stats import chi2

from nmmfit.errors import UserInputError
from nmmfit.inference.axes import make_axes
from nmmfit.inference.grid_solver import GridSolver
from nmmfit.inference.scan import Estimate, scan
from nmmfit.inference.solution import Solution
from nmmfit.inference.space import space_of
from nmmfit.run import default_run


def gaussian_precision():
    """Precision matrix and mean of the pulls."""
    slopes = 100.0 * np.array(list(SLOPES.values())) / SIGMA
    precision = np.eye(3) + np.outer(slopes, slopes)
    return precision, np.linalg.solve(precision, slopes * (OBSERVED - 100.0) / SIGMA)


def profiled_precision(count):
    """Of the first pulls, the others profiled: the inverse of their block of the covariance."""
    precision, _ = gaussian_precision()
    return np.linalg.inv(np.linalg.inv(precision)[:count, :count])


@cache
def two_pulls():
    return scan(gaussian(), {"lab.a": (-2.0, 3.0, 13), "lab.b": (-3.0, 3.0, 12)}, seed=1)


def test_two_axes_of_a_gaussian():
    found = two_pulls()
    _, mean = gaussian_precision()
    matrix = profiled_precision(2)
    off = np.stack(np.meshgrid(*found.grid.values(), indexing="ij"), axis=-1) - mean[:2]
    assert np.all(found.converged)
    np.testing.assert_allclose(found.delta_chi2, np.einsum("ijk,kl,ijl->ij", off, matrix, off), atol=1e-6)
    np.testing.assert_allclose(found.slopes, 2.0 * off @ matrix, atol=1e-4)
    assert found.best["lab.a"] == pytest.approx(mean[0], abs=1e-5)
    assert found.delta_chi2.shape == (13, 12)
    assert np.all(found.iterations >= 1)
    assert np.max(found.gradient_norm) < 1e-3


def test_contours_are_ellipses_and_say_how_exact_they_are():
    found = two_pulls()
    _, mean = gaussian_precision()
    matrix = profiled_precision(2)
    assert [c.cl for c in found.contours] == [0.68, 0.90, 0.95]
    for contour in found.contours:
        assert contour.level == pytest.approx(chi2.ppf(contour.cl, 2))
        assert contour.closed == (True,)
        assert contour.error < 2e-3 * contour.level
        off = contour.lines[0] - mean[:2]
        height = np.einsum("ik,kl,il->i", off, matrix, off)
        np.testing.assert_allclose(height, contour.level, rtol=5e-3)
        # all around: the line has the ellipse's area
        x, y = contour.lines[0].T
        area = 0.5 * abs(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]))
        assert area == pytest.approx(np.pi * contour.level / np.sqrt(np.linalg.det(matrix)), rel=5e-3)
    assert len(found.extra) == sum(c.solved for c in found.contours)


def test_a_contour_that_leaves_the_grid_is_open():
    found = scan(gaussian(), {"lab.a": (-1.0, 1.0, 6), "lab.b": (-3.0, 3.0, 12)}, cl=[0.9], refine=False)
    assert found.contours[0].is_open
    assert found.contours[0].error is None
    assert found.to_json()["contours"][0]["open"]


def test_one_axis_has_intervals():
    found = scan(gaussian(), {"lab.a": (-2.0, 3.0, 7)}, cl=[0.68, 0.999999])
    _, mean = gaussian_precision()
    stiffness = profiled_precision(1)[0, 0]
    narrow, wide = found.intervals
    half = np.sqrt(chi2.ppf(0.68, 1) / stiffness)
    np.testing.assert_allclose(narrow.segments, [(mean[0] - half, mean[0] + half)], atol=1e-4)
    assert narrow.error < 1e-3
    assert wide.segments == ((None, None),)
    assert wide.is_open


def valley_height(size, pull, observed=100.0):
    counts = np.array([observed, 0.5 * observed])
    mean = (np.array([100.0, 50.0]) + np.array([4.0, 1.0]) * size**2) * np.exp(0.1 * pull)
    return 2.0 * float(np.sum(mean - counts - counts * np.log(mean / counts))) + pull**2


@pytest.mark.slow
def test_a_quartic_valley_and_zero_coupling():
    found = scan(valley(), {"L": (-4.0, 4.0, 17)}, cl=[0.9])
    reference = [minimize_scalar(lambda p, t=t: valley_height(t, p), tol=1e-12).fun for t in found.grid["L"]]
    assert found.grid["L"][8] == 0.0
    assert np.all(found.converged)
    np.testing.assert_allclose(found.delta_chi2, reference, atol=1e-6)
    ((low, high),) = found.intervals[0].segments
    assert low == pytest.approx(-high, rel=1e-3)
    assert minimize_scalar(lambda p: valley_height(high, p), tol=1e-12).fun == pytest.approx(chi2.ppf(0.9, 1), abs=2e-3)


def test_without_profiling_everything_else_is_held():
    precision, mean = gaussian_precision()
    plain = scan(gaussian(), {"lab.a": (-2.0, 3.0, 13), "lab.b": (-3.0, 3.0, 12)}, profiled=False)
    off = np.stack(np.meshgrid(*plain.grid.values(), indexing="ij"), axis=-1) - mean[:2]
    np.testing.assert_allclose(plain.delta_chi2, np.einsum("ijk,kl,ijl->ij", off, precision[:2, :2], off), atol=1e-6)
    assert plain.contours[0].error < 0.02
    # with p_b held, the best fit moves
    held = scan(gaussian(), {"lab.a": (-2.0, 3.0, 13)}, fixed={"lab.b": 0.5}, profiled=False)
    others = mean[[0, 2]] - np.linalg.solve(precision[np.ix_([0, 2], [0, 2])], precision[[0, 2], 1]) * (0.5 - mean[1])
    np.testing.assert_allclose(held.delta_chi2, precision[0, 0] * (held.grid["lab.a"] - others[0]) ** 2, atol=1e-6)
    assert held.fixed == {"lab.b": 0.5}
    with pytest.raises(UserInputError, match="does not say which coefficients move"):
        scan(gaussian(), {"mu": (0.0, 1.0, 5)}, profiled=False)


@pytest.mark.slow
def test_two_identified_quantities_against_their_closed_form():
    """|d| and |t| on the grid: c_T is free to follow, the pull is profiled."""
    likelihood = two_coefficients()
    found = scan(likelihood, {"mu": (0.0, 3.0, 6), "t_p": (0.0, 4.0, 7)}, refine=False)
    observed = np.array([118.0, 80.0, 47.0])

    def height(d, t):
        signal = np.array([100.0, 80.0, 40.0]) + np.array([6.0, 2.0, 0.5]) * d**2 + np.array([0.5, 1.0, 2.0]) * t**2

        def of(p):
            mean = signal * np.exp(0.05 * p)
            return 2.0 * float(np.sum(mean - observed * np.log(mean))) + p**2

        return minimize_scalar(of, tol=1e-12).fun

    reference = np.array([[height(d, t) for t in found.grid["t_p"]] for d in found.grid["mu"]])
    assert np.all(found.converged)
    np.testing.assert_allclose(found.delta_chi2 - found.delta_chi2.min(), reference - reference.min(), atol=1e-5)


@pytest.mark.slow
def test_sampled_points_agree_with_iminuit():
    likelihood = two_coefficients()
    found = scan(likelihood, {"L": (-3.0, 3.0, 9), "T": (-3.0, 3.0, 9)}, refine=False)
    assert np.all(found.converged)
    value, gradient = jax.jit(likelihood.nll_vector), jax.jit(jax.grad(likelihood.nll_vector))
    minuit = Minuit(
        lambda x: float(value(x)), np.asarray(likelihood.start), grad=lambda x: np.asarray(gradient(x)), name=likelihood.names
    )
    minuit.errordef, minuit.strategy, minuit.tol = 0.5, 2, 1e-3
    minuit.migrad()
    free = []
    for sign in (1.0, -1.0):
        minuit.values["L"], minuit.values["T"] = 2.0 * sign, 1.0
        minuit.migrad()
        free.append(minuit.fval)
    minuit.fixed["L"] = minuit.fixed["T"] = True
    for i, k in ((0, 0), (1, 7), (4, 4), (5, 2), (8, 6)):
        minuit.values["L"], minuit.values["T"] = found.grid["L"][i], found.grid["T"][k]
        minuit.migrad()
        assert found.delta_chi2[i, k] == pytest.approx(2.0 * (minuit.fval - min(free)), abs=1e-3)


def _moved(function, center, basis, z):
    """A function at center + basis z."""
    return function(center + basis @ np.asarray(z))


@pytest.mark.slow
def test_the_default_run_agrees_with_iminuit():
    likelihood = default_run().joint()
    ends = {"L_dipole": 1e-7, "L_T_u": 2e-5}
    found = scan(likelihood, {name: (-end, end, 9) for name, end in ends.items()}, refine=False)
    assert np.all(found.converged)
    space = space_of(likelihood)
    value, gradient = jax.jit(likelihood.nll_vector), jax.jit(jax.grad(likelihood.nll_vector))
    lowest = 2.0 * float(likelihood.nll(found.best_point))
    free = np.array([n not in ends for n in likelihood.names])
    random = np.random.default_rng(1)
    for place in ((0, 0), (2, 7), (4, 4), (8, 3)):
        center = np.array([found.points[name][place] for name in likelihood.names])
        basis = space.basis(center, np.flatnonzero(free))
        height = partial(_moved, lambda x: float(value(x)), center, basis)
        slope = partial(_moved, lambda x, basis=basis: basis.T @ np.asarray(gradient(x)), center, basis)
        start = 0.1 * random.normal(size=len(center)) * free
        minuit = Minuit(height, start, grad=slope, name=likelihood.names)
        minuit.errordef, minuit.strategy, minuit.tol = 0.5, 1, 1e-3
        minuit.fixed[:] = ~free
        for _ in range(3):
            minuit.migrad()
        assert found.delta_chi2[place] == pytest.approx(2.0 * minuit.fval - lowest, abs=1e-3)


@pytest.mark.slow
def test_three_axes_and_their_pairs():
    found = scan(gaussian(), {"lab.a": (-2.0, 3.0, 6), "lab.b": (-3.0, 3.0, 7), "lab.c": (-2.0, 4.0, 5)})
    precision, mean = gaussian_precision()
    off = np.stack(np.meshgrid(*found.grid.values(), indexing="ij"), axis=-1) - mean
    heights = np.einsum("...k,kl,...l->...", off, precision, off)
    np.testing.assert_allclose(found.delta_chi2, heights, atol=1e-6)
    np.testing.assert_allclose(found.pair("lab.a", "lab.c"), heights.min(axis=1), atol=1e-6)
    np.testing.assert_allclose(found.pair("lab.c", "lab.a"), heights.min(axis=1).T, atol=1e-6)
    assert set(found.pairs) == {("lab.a", "lab.b"), ("lab.a", "lab.c"), ("lab.b", "lab.c")}


@pytest.mark.slow
def test_points_that_fail_are_shown_as_failed():
    found = scan(gaussian(1.5), {"lab.a": (-2.0, 3.0, 6), "lab.b": (-3.0, 3.0, 4)}, cl=[0.68])
    assert found.converged.tolist() == [[a <= 1.5] * 4 for a in found.grid["lab.a"]]
    written = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert written["delta_chi2"][-1] == [None] * 4
    assert written["retried"] == 8
    assert found.failed[0] == {"lab.a": 2.0, "lab.b": -3.0}


def test_neighbours_repair_what_does_not_fit():
    space = space_of(gaussian())
    solver = GridSolver(space, make_axes(space, {"lab.a": (-2.0, 3.0, 13), "lab.b": (-3.0, 3.0, 12)}, {}))
    coarse = solver.coarse()
    solution = solver.chunk(0, coarse)
    right = solution.value.copy()
    wrong = np.array([20, 21, 60])
    solution.put(wrong, replace_solution(solution.take(wrong), value=right[wrong] + 3.0))
    failed = np.array([33])
    solution.converged[failed] = False
    solver.repaired(solution, coarse, [13, 12])
    assert np.all(solution.converged)
    np.testing.assert_allclose(solution.value, right, atol=1e-7)


def replace_solution(solution, **changes):
    return Solution(**{**vars(solution), **changes})


def test_chunks_are_pure():
    likelihood = gaussian()
    solver = GridSolver(space_of(likelihood), make_axes(space_of(likelihood), {"lab.a": (-2.0, 3.0, 700)}, {}))
    coarse = solver.coarse()
    assert solver.chunks == 2
    once, again = solver.chunk(1, coarse), solver.chunk(1, coarse)
    assert len(once.at) == 700 - 512
    for name, values in vars(once).items():
        np.testing.assert_array_equal(values, getattr(again, name))


def test_estimate_before_a_large_grid():
    told: list[Estimate] = []

    def stop(estimate):
        told.append(estimate)
        raise UserInputError("too long")

    with pytest.raises(UserInputError, match="too long"):
        scan(gaussian(), {"lab.a": (-2.0, 3.0, 10**5), "lab.b": (-3.0, 3.0, 10**4)}, confirm=stop)
    assert told[0].points == 10**9
    assert told[0].seconds > 0.0
    assert told[0].memory_gib > 8.0
    with pytest.raises(UserInputError, match="GiB of memory"):
        scan(gaussian(), {"lab.a": (-2.0, 3.0, 10**9)}, confirm=lambda _: None)


def test_bad_grids():
    likelihood = two_coefficients()
    for grid, message in (
        ({}, "the grid is empty"),
        ({"L": (-1.0, 1.0, 1)}, "grid L: points: 1 is out of range (allowed: at least 2)"),
        ({"L": (1.0, -1.0, 5)}, "grid L: the grid is reversed, from 1 to -1; write L=-1:1:5"),
        ({"L": (1.0, 1.0, 5)}, "grid L: the grid starts and ends at 1"),
        ({"L": (np.nan, 1.0, 5)}, "grid L: from: expected a finite number, got nan"),
        ({"L": (0.0, 1.0)}, "grid L: expected from, to and number of points"),
        ({"mu": (-1.0, 1.0, 5)}, "mu is a size and cannot be -1"),
        ({"LL": (0.0, 1.0, 5)}, "did you mean 'L'?"),
    ):
        with pytest.raises(UserInputError) as caught:
            scan(likelihood, grid)
        assert message in str(caught.value)
    with pytest.raises(UserInputError, match="both on the grid and held fixed"):
        scan(likelihood, {"L": (0.0, 1.0, 3)}, fixed={"L": 1.0})
    with pytest.raises(UserInputError, match="scan: cl: 90 is out of range"):
        scan(likelihood, {"L": (0.0, 1.0, 3)}, cl=[90])


def test_a_grid_outside_a_prior_is_refused():
    likelihood = two_coefficients()
    bounded = copy(likelihood)
    bounded.compiled = {}
    bounded.parameters = [replace(p, prior=dist.Uniform(-2.0, 2.0)) if p.name == "L" else p for p in likelihood.parameters]
    with pytest.raises(UserInputError, match="the prior of L allows -2 to 2; the grid goes from -3 to 3"):
        scan(bounded, {"L": (-3.0, 3.0, 5)})


def test_progress():
    seen = []
    scan(gaussian(), {"lab.a": (-2.0, 3.0, 9)}, refine=False, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (9, 9)
