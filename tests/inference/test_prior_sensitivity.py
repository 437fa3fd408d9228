"""Weighted posteriors against conjugate closed forms: a normal likelihood with normal priors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from nmmfit.errors import UserInputError
from nmmfit.inference.prior_sensitivity import (
    Alternative,
    default_alternatives,
    largest_k,
    log_density,
    log_weights,
    prior_sensitivity,
    scaled,
    weighted_interval,
)
from nmmfit.priors import PriorSpec
from nmmfit.results.adapter import pareto_smoothed

SHAPE = (4, 4000)
Z90 = stats.norm.ppf(0.95)
PRIORS = [
    {"normal": [1.0, 2.0]},
    {"half_normal": 3.0},
    {"uniform": [-1.0, 4.0]},
    {"log_uniform": [0.1, 10.0]},
    {"student_t": [3.0, 0.5, 2.0]},
    {"truncated_normal": [0.0, 1.0, -0.5, 2.0]},
]


def spec(**family: object) -> PriorSpec:
    return PriorSpec.model_validate(family)


def conjugate(measured: float, error: float, width: float, centre: float = 0.0) -> tuple[float, float]:
    """Mean and standard deviation of the posterior of a mean measured as `measured` +- `error` under normal(centre, width)."""
    precision = error**-2 + width**-2
    return (measured / error**2 + centre / width**2) / precision, precision**-0.5


def posterior(measured: float, error: float, width: float, seed: int = 0) -> np.ndarray:
    mean, sd = conjugate(measured, error, width)
    return np.random.default_rng(seed).normal(mean, sd, SHAPE)


@pytest.mark.parametrize("given", PRIORS, ids=lambda p: next(iter(p)))
def test_densities_are_normalised_on_their_support(given: dict[str, object]) -> None:
    prior = PriorSpec.model_validate(given)
    low, high = prior.support
    total = integrate.quad(lambda x: float(np.exp(log_density(prior, np.asarray(x)))), low, high)[0]
    assert total == pytest.approx(1.0, rel=1e-6)
    outside = [x for x in (low - 1.0, high + 1.0) if math.isfinite(x)]
    assert np.all(np.isneginf(log_density(prior, np.asarray(outside))))


def test_a_fixed_value_has_no_density() -> None:
    with pytest.raises(ValueError, match="delta"):
        log_density(spec(delta=1.0), np.zeros(2))


@pytest.mark.parametrize(("width", "centre"), [(0.5, 0.0), (2.0, 0.0), (1.0, 0.7)], ids=["narrower", "wider", "off-centre"])
def test_weighted_draws_have_the_conjugate_mean_and_width(width: float, centre: float) -> None:
    draws = {"x": posterior(1.0, 0.8, 1.0)}
    other = spec(normal=[centre, width])
    smoothed, k = pareto_smoothed(log_weights(draws, {"x": spec(normal=[0.0, 1.0])}, {"x": other}))
    weights = np.exp(smoothed) / np.sum(np.exp(smoothed))
    mean, sd = conjugate(1.0, 0.8, width, centre)
    noise = sd * math.sqrt(np.sum(weights**2))
    assert k < 0.6
    assert np.sum(weights * draws["x"]) == pytest.approx(mean, abs=4.0 * noise)
    assert math.sqrt(np.sum(weights * (draws["x"] - mean) ** 2)) == pytest.approx(sd, rel=0.05)


def test_intervals_move_as_those_of_the_conjugate_posterior() -> None:
    priors = {"x": spec(normal=[0.0, 1.0])}
    draws = {"x": posterior(1.0, 0.8, 1.0), "size": np.abs(posterior(1.0, 0.8, 1.0))}
    found = prior_sensitivity(draws, priors, default_alternatives(priors), pareto_smoothed, units={"x": "GeV^-1"})
    assert [a.alternative.label for a in found.alternatives] == [
        "twice as wide",
        "half as wide",
        "Student t (3) of the same width",
    ]
    for a, width in zip(found.alternatives, (2.0, 0.5), strict=False):
        mean, sd = conjugate(1.0, 0.8, width)
        assert a.trusted
        # The shortest interval of so many draws is flat at its minimum: its ends move together by a tenth of a width.
        assert a.intervals["x"] == pytest.approx((mean - Z90 * sd, mean + Z90 * sd), abs=0.12 * sd)
        assert found.ratio(a, "x") == pytest.approx(sd / conjugate(1.0, 0.8, 1.0)[1], rel=0.05)
    answer = found.to_json()
    assert answer["parameters"]["x"]["prior"] == {"normal": [0.0, 1.0]}
    assert answer["parameters"]["x"]["unit"] == "GeV^-1"
    assert set(answer["identified"]) == {"size"}
    assert answer["alternatives"]["half as wide"]["trusted"] is True


@pytest.mark.parametrize(("error", "factor"), [(1.0, 2.0), (3.0, 1.5), (0.5, 5.0)])
def test_k_is_that_of_the_tail_of_the_weights(error: float, factor: float) -> None:
    draws = {"x": posterior(0.0, error, 1.0)}
    prior = spec(normal=[0.0, 1.0])
    _, k = pareto_smoothed(log_weights(draws, {"x": prior}, {"x": spec(normal=[0.0, factor])}))
    # P(exp(a x^2 / 2) > w) falls like w^(-1 / (a t^2)) for a normal x of width t.
    assert k == pytest.approx((1.0 - factor**-2) * conjugate(0.0, error, 1.0)[1] ** 2, abs=0.15)


def test_strong_widening_where_the_prior_decides_is_not_trusted() -> None:
    priors = {"x": spec(normal=[0.0, 1.0])}
    draws = {"x": posterior(0.0, 50.0, 1.0)}
    tried = [Alternative(f"{f:g}", {"x": spec(normal=[0.0, f])}) for f in (5.0, 0.5)]
    wide, narrow = prior_sensitivity(draws, priors, tried, pareto_smoothed).alternatives
    assert wide.k > 0.8
    assert not wide.trusted
    assert "a few draws carry most of the weight" in str(wide.reason)
    assert narrow.k < 0.3
    assert narrow.trusted
    assert narrow.effective > 0.3 * np.prod(SHAPE)


def test_random_signs_follow_a_prior_that_is_not_even() -> None:
    """A likelihood that sees |x| only, drawn on one side and given random signs, against the integral with the other prior."""
    likelihood = stats.norm(1.0, 0.5)
    random = np.random.default_rng(3)
    proposed = random.normal(0.0, 1.0, 400_000)
    kept = np.abs(proposed[random.uniform(size=proposed.size) < likelihood.pdf(np.abs(proposed)) / likelihood.pdf(1.0)])
    kept = kept[: np.prod(SHAPE)]
    draws = {"x": (kept * random.choice([-1.0, 1.0], kept.size)).reshape(SHAPE)}
    other = spec(normal=[0.5, 0.8])
    smoothed, k = pareto_smoothed(log_weights(draws, {"x": spec(normal=[0.0, 1.0])}, {"x": other}))
    weights = np.exp(smoothed) / np.sum(np.exp(smoothed))
    grid = np.linspace(-5.0, 5.0, 20001)
    density = likelihood.pdf(np.abs(grid)) * stats.norm.pdf(grid, 0.5, 0.8)
    positive = np.sum(density[grid > 0.0]) / np.sum(density)
    assert k < 0.5
    assert np.sum(weights[draws["x"] > 0.0]) == pytest.approx(positive, abs=0.02)


def test_a_smaller_range_weights_the_draws_in_it_alike() -> None:
    draws = {"x": np.random.default_rng(0).uniform(-1.0, 1.0, SHAPE)}
    alternative = Alternative("half", {"x": spec(uniform=[-0.5, 0.5])})
    (found,) = prior_sensitivity(draws, {"x": spec(uniform=[-1.0, 1.0])}, [alternative], pareto_smoothed).alternatives
    assert found.trusted
    assert found.k == 0.0
    assert found.effective == pytest.approx(np.sum(np.abs(draws["x"]) < 0.5))
    assert found.intervals["x"][1] - found.intervals["x"][0] == pytest.approx(0.9, abs=0.03)


@pytest.mark.parametrize(
    ("prior", "other", "reason"),
    [
        ({"half_normal": 1.0}, {"normal": [0.0, 1.0]}, "reaches beyond"),
        ({"uniform": [-1.0, 1.0]}, {"uniform": [-2.0, 1.0]}, "reaches beyond"),
        ({"normal": [0.0, 1.0]}, {"delta": 0.5}, "no draw lies exactly there"),
        ({"normal": [0.0, 1.0]}, {"uniform": [100.0, 101.0]}, "no draw lies where"),
    ],
)
def test_what_draws_cannot_stand_for_is_said(prior: dict[str, object], other: dict[str, object], reason: str) -> None:
    draws = {"x": np.abs(np.random.default_rng(0).normal(size=(2, 50))) / 10.0}
    tried = [Alternative("other", {"x": PriorSpec.model_validate(other)})]
    found = prior_sensitivity(draws, {"x": PriorSpec.model_validate(prior)}, tried, pareto_smoothed)
    (a,) = found.alternatives
    assert not a.trusted
    assert reason in str(a.reason)
    assert a.intervals == {}
    entry = found.to_json()["alternatives"]["other"]
    assert entry["pareto_k"] is None
    assert entry["parameters"]["x"] == {"lower": None, "upper": None, "width_ratio": None}


def test_an_interval_of_weights_is_the_shortest() -> None:
    values = np.asarray([0.0, 1.0, 2.0, 3.0, 10.0])
    assert weighted_interval(values, np.full(5, 0.2), 0.8) == (0.0, 3.0)
    assert weighted_interval(values, np.asarray([0.0, 0.0, 0.5, 0.4, 0.1]), 0.9) == (2.0, 3.0)
    assert weighted_interval(values[::-1], np.asarray([1.0, 0.0, 0.0, 0.0, 0.0]), 0.9) == (10.0, 10.0)
    # Repeated draws are as good as weights.
    counts = np.asarray([3, 1, 4, 1, 5])
    x = np.asarray([0.3, -1.0, 0.1, 2.0, 0.9])
    assert weighted_interval(np.repeat(x, counts), np.ones(14), 0.6) == weighted_interval(x, counts / 14.0, 0.6)


def test_few_draws_are_trusted_less() -> None:
    assert largest_k(100) == pytest.approx(0.5)
    assert largest_k(100_000) == 0.7
    assert largest_k(10) == 0.0


def test_only_families_with_a_width_are_scaled() -> None:
    assert scaled(spec(student_t=[3.0, 1.0, 2.0]), 2.0) == spec(student_t=[3.0, 1.0, 4.0])
    assert scaled(spec(half_normal=2.0), 0.5) == spec(half_normal=1.0)
    assert scaled(spec(uniform=[0.0, 1.0]), 2.0) is None
    assert default_alternatives({"x": spec(uniform=[0.0, 1.0])}) == []


def test_wrong_alternatives_are_refused() -> None:
    draws, priors = {"x": np.ones((2, 20))}, {"x": spec(normal=[0.0, 1.0])}
    other = {"x": spec(normal=[0.0, 2.0])}
    with pytest.raises(UserInputError, match="no prior of this fit has a width to change"):
        prior_sensitivity(draws, priors, [], pareto_smoothed)
    with pytest.raises(UserInputError, match="'a' is given twice"):
        prior_sensitivity(draws, priors, [Alternative("a", other), Alternative("a", other)], pareto_smoothed)
    with pytest.raises(UserInputError, match="unknown coefficient of this fit 'y'"):
        prior_sensitivity(draws, priors, [Alternative("a", {"y": other["x"]})], pareto_smoothed)
