"""Limits, profiles and grids along directions of the information, where all of them are Gaussian and known."""

from __future__ import annotations

import numpy as np
import pytest
from linear_joint import ERROR, EXPECTED, MADE_OF, NAMES, OBSERVED, RATES, WIDTHS, closed_form, linear_joint
from scipy.stats import norm

import nmmfit
from nmmfit.errors import UserInputError
from nmmfit.inference.combined import combined_draws, combined_targets, prior_deviation
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.space import space_of

VALUES, VECTORS, BEST = closed_form()
ALONG = {f"direction_{k}": dict(zip(NAMES, map(float, v), strict=True)) for k, v in enumerate(VECTORS, 1)}


@pytest.fixture(scope="module")
def joint() -> JointLikelihood:
    return linear_joint()


def test_the_directions_of_fisher_are_the_eigenvectors(joint: JointLikelihood) -> None:
    found = nmmfit.fisher(joint, {"A": 0.0, "B": 0.0, "C": 0.0}).directions
    assert [d.information for d in found] == pytest.approx([*VALUES, 0.0], rel=1e-8)
    for direction, v in zip(found, VECTORS, strict=True):
        assert abs(np.dot([direction.composition[n] for n in NAMES], v)) == pytest.approx(1.0, abs=1e-9)
    assert [d.blind for d in found] == [False, False, True]


def test_limits_along_directions_are_quantiles_over_roots_of_eigenvalues(joint: JointLikelihood) -> None:
    draws = {n: w * np.random.default_rng(k).normal(size=(2, 500)) for k, (n, w) in enumerate(zip(NAMES, WIDTHS, strict=True))}
    found = nmmfit.limits(joint, 0.9, draws, parameters=["A"], presets={}, directions=ALONG)
    assert list(found.combinations) == list(ALONG)
    for name, v, value in zip(ALONG, VECTORS, VALUES, strict=False):
        limits = found.combinations[name]
        centre, reach = float(v @ BEST), norm.isf(0.05) / np.sqrt(value)
        assert limits.unit == "prior widths"
        # Eigenvectors are orthogonal in the likelihood, too: what the other directions do does not matter.
        for kind in (limits.profiled, limits.one_at_a_time):
            assert kind is not None
            assert (kind.lower, kind.upper) == pytest.approx((centre - reach, centre + reach), abs=2e-3 * reach)
    blind = found.combinations["direction_3"]
    assert blind.profiled is not None
    assert (blind.profiled.lower, blind.profiled.upper) == (None, None)
    assert "A, B, C change it without changing anything that the data see" in str(blind.profiled.reason)
    assert blind.one_at_a_time is not None
    assert "change it without changing anything that the data see" in str(blind.one_at_a_time.reason)
    # Draws of the priors: a direction, a unit vector in prior widths, is a standard normal.
    assert blind.contraction == pytest.approx(0.0, abs=0.15)


def test_alone_is_along_the_direction_and_nothing_else(joint: JointLikelihood) -> None:
    """Along v = (1, 1) / sqrt(2) in widths, no eigenvector: least squares in one unknown."""
    v = np.array([1.0, 1.0, 0.0]) / np.sqrt(2.0)
    found = nmmfit.limits(joint, 0.9, parameters=["A"], presets={}, directions={"v": dict(zip(NAMES, v, strict=True))})
    slope = RATES @ MADE_OF @ (WIDTHS * v) / ERROR
    centre, reach = slope @ (OBSERVED - EXPECTED) / ERROR / (slope @ slope), norm.isf(0.05) / np.linalg.norm(slope)
    alone = found.combinations["v"].one_at_a_time
    assert alone is not None
    assert (alone.lower, alone.upper) == pytest.approx((centre - reach, centre + reach), abs=2e-3 * reach)
    assert "orthogonal to it 0" in found.conventions["one_at_a_time"]


def test_a_direction_of_draws_and_of_priors_is_the_sum_of_its_components(joint: JointLikelihood) -> None:
    space = space_of(joint)
    targets = combined_targets(space, {"sum": {"A": 2.0, "B": 1.0}}, {"v": {"A": 0.6, "C": -0.8}})
    draws = {n: np.random.default_rng(3).normal(size=(1, 5)) for n in NAMES}
    made = combined_draws(space, targets, draws)
    np.testing.assert_allclose(made["v"], 0.6 * draws["A"] / 2.0 - 0.8 * draws["C"], rtol=1e-12)
    assert list(combined_draws(space, targets, {"A": draws["A"]})) == []
    assert prior_deviation(space, targets["v"]) == pytest.approx(1.0)
    assert prior_deviation(space, targets["sum"]) == pytest.approx(np.hypot(4.0, 0.5))


def test_a_profile_along_a_direction_is_its_parabola(joint: JointLikelihood) -> None:
    found = nmmfit.profile(joint, "direction_2", points=5, low=-1.0, high=1.0, directions=ALONG)
    assert found.unit == "prior widths"
    assert np.all(found.converged)
    assert found.best == pytest.approx(VECTORS[1] @ BEST, abs=1e-6)
    np.testing.assert_allclose(found.delta_chi2, VALUES[1] * (found.grid - VECTORS[1] @ BEST) ** 2, atol=1e-4)
    blind = nmmfit.profile(joint, "direction_3", points=3, directions=ALONG)
    assert "without changing anything" in blind.reason
    np.testing.assert_allclose(blind.delta_chi2, 0.0, atol=1e-6)


@pytest.mark.slow
def test_a_grid_of_two_directions_is_their_paraboloid(joint: JointLikelihood) -> None:
    grid = {"direction_1": (-0.5, 0.6, 4), "direction_2": (-1.0, 1.0, 3)}
    found = nmmfit.scan(joint, grid, directions=ALONG, refine=False)
    assert np.all(found.converged)
    one, two = (np.linspace(*grid[name]) - v @ BEST for name, v in zip(grid, VECTORS, strict=False))
    np.testing.assert_allclose(found.delta_chi2, VALUES[0] * one[:, None] ** 2 + VALUES[1] * two**2, atol=1e-4)
    with pytest.raises(UserInputError, match="a combination does not say which coefficients move"):
        nmmfit.scan(joint, grid, directions=ALONG, profiled=False)
    with pytest.raises(UserInputError, match="all coefficients that it is made of are held fixed"):
        nmmfit.scan(joint, grid, directions=ALONG, fixed=dict.fromkeys(NAMES, 0.0))


@pytest.mark.parametrize(
    ("directions", "message"),
    [
        ({"A": {"B": 1.0}}, "'A' is the name of a parameter"),
        ({"v": {"BB": 1.0}}, "did you mean 'B'"),
        ({"v": {"B": 0.0}}, "a weight that is not zero"),
    ],
)
def test_wrong_directions_are_one_line(directions, message, joint: JointLikelihood) -> None:
    with pytest.raises(UserInputError, match=message):
        nmmfit.limits(joint, parameters=["A"], presets={}, directions=directions)
    with pytest.raises(UserInputError, match="did you mean 'direction_1'"):
        nmmfit.profile(joint, "direktion_1", directions=ALONG)
