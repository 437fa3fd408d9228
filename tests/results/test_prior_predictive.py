"""Predictions of the priors: quantiles of a normal prior with Poisson counts are known, words, picture, the command line."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats
from small_joint import counts_of, couplings, experiment, quick_joint
from small_joint import joint as small

from nmmfit.cli.main import main
from nmmfit.errors import UserInputError
from nmmfit.results.predictive import LARGEST_MEAN, drawn_counts
from nmmfit.results.prior_predictive import (
    LEVELS,
    PriorPrediction,
    prediction_words,
    predictions_json,
    prior_predictions,
    prior_predictive_figure,
)

DRAWS = 4000


def within(level: float) -> tuple[float, float]:
    """Levels between which an empirical quantile of DRAWS draws lies, at four standard deviations."""
    error = 4.0 * np.sqrt(level * (1.0 - level) / DRAWS)
    return max(level - error, 1e-9), min(level + error, 1.0 - 1e-9)


@pytest.fixture(scope="module")
def found() -> dict[str, PriorPrediction]:
    """Counts 100 + 4 d^2 and 100 + d^2 with d normal of width 10; 103 and 98 were observed."""
    return prior_predictions(quick_joint(), DRAWS, seed=5)


def test_quantiles_of_counts_and_deviances_are_those_of_a_squared_normal(found: dict[str, PriorPrediction]) -> None:
    """mu = 100 + a d^2 has the quantiles of chi-square with one degree of freedom; counts scatter by sqrt(mu) around it."""
    (p,) = found.values()
    assert (p.draws, p.undefined) == (DRAWS, 0)
    for quantiles, slope in ((p.counts[:, 0], 4.0), (p.counts[:, 1], 1.0)):
        # The distribution of the counts, Poisson mixed over d, summed by quadrature over d.
        d, weights = special.roots_hermitenorm(120)
        mean = 100.0 + slope * (10.0 * d) ** 2
        weights = weights / np.sum(weights)
        for level, value in zip(LEVELS, quantiles, strict=True):
            at_most, below = (weights @ stats.poisson.cdf(k, mean) for k in (value, value - 1.0))
            low, high = within(level)
            assert at_most >= low - 0.01, (slope, level)
            assert below <= high + 0.01, (slope, level)
    # The deviance of the data is a function of d^2; it rises with it once the counts lie above the data.
    for level, value in list(zip(LEVELS, p.deviance, strict=True))[2:]:
        low, high = (_deviance_at(stats.chi2(1).ppf(x)) for x in within(level))
        assert low <= value <= high


def _deviance_at(square: float) -> float:
    mean, counts = np.array([100.0 + 400.0 * square, 100.0 + 100.0 * square]), np.array([103.0, 98.0])
    return float(2.0 * np.sum(mean - counts + counts * np.log(counts / mean)))


def test_words_say_how_far_the_prior_reaches(found: dict[str, PriorPrediction]) -> None:
    (p,) = found.values()
    # 201 counts were observed; the median of d^2 is 0.455 of 100: 200 + 500 * 0.455.
    ratio = (200.0 + 500.0 * stats.chi2(1).median()) / 201.0
    text = prediction_words("lab.bins", p)
    assert text.startswith("half of the prior predicts more than ")
    assert float(text.split()[7]) == pytest.approx(ratio, rel=0.05)
    assert "the data lie within it" in text
    observed = np.array([1.0, 1.0])
    for total, above, words in (
        (
            [900.0, 950.0, 1000.0, 1100.0, 1e6],
            1.0,
            "more than 500 times the observed counts in x; the data lie outside of it: fewer",
        ),
        (
            [0.0, 0.0, 0.5, 0.7, 0.8],
            0.0,
            "at most 0.250 times the observed counts in x; the data lie outside of it: more counts",
        ),
        ([0.0, 1.0, 2.0, 3.0, 4.0], 0.4, "at most 2.00 counts in x, 2.00 were observed; the data lie within it, with 60 %"),
    ):
        made = PriorPrediction(observed, np.ones((5, 2)), np.array(total), above, np.ones(5), np.ones(5), 0.5, 100, 0)
        assert words in prediction_words("x", made)


def test_the_constraints_of_nuisances_belong_to_the_prior() -> None:
    """A constraint of width 1/2 on a pull of width 1: the product has the width 1 / sqrt(5)."""
    lab = experiment([1000.0], counts_of([1000.0], [0.0]), {"norm": lambda p: 0.5 * p})
    lab = lab.__class__(**{**vars(lab), "constraint": lambda pulls: -0.5 * (pulls["lab.norm"] / 0.5) ** 2})
    (p,) = prior_predictions(small(lab, {"L": couplings(1.0)}), DRAWS, seed=2).values()
    for level, value in zip(LEVELS, p.total, strict=True):
        mean = 1000.0 * np.exp(0.5 * stats.norm.ppf(level) / np.sqrt(5.0))
        assert value == pytest.approx(mean, rel=0.05), level


def test_counts_without_end_and_predictions_that_are_none() -> None:
    channel = next(iter(quick_joint().channels.values()))
    mean = np.array([[100.0, 1e30], [0.0, 5.0]])
    counts = drawn_counts(channel, mean, (1, 0))
    assert counts[0, 1] == 1e30 > LARGEST_MEAN
    assert counts[1, 0] == 0.0
    lab = experiment([10.0], lambda forms, pulls: jnp.array([10.0]), {"x": lambda p: jnp.where(p > 0.0, jnp.nan, 0.0)})
    (p,) = prior_predictions(small(lab, {"L": couplings(1.0)}), 400, seed=1).values()
    assert p.undefined == pytest.approx(200, abs=50)
    assert p.draws + p.undefined == 400
    assert p.total[2] == pytest.approx(10.0, abs=1.0)


def test_the_picture_is_logarithmic_and_the_json_object_is_json(found: dict[str, PriorPrediction]) -> None:
    figure = prior_predictive_figure(found)
    left, right = figure.axes
    assert (left.get_yscale(), right.get_xscale()) == ("log", "log")
    with pytest.raises(ValueError, match="at least one channel"):
        prior_predictive_figure({})
    answer = json.loads(json.dumps(predictions_json(found)))
    assert answer["channels"]["lab.bins"]["observed_total"] == 201.0
    assert len(answer["channels"]["lab.bins"]["counts"]) == len(answer["quantiles"]) == len(LEVELS)


def test_on_the_command_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    joint = quick_joint()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nmmfit.compilation_cache.enable", lambda: None)
    monkeypatch.setattr("nmmfit.run.Run.joint", lambda self, method="templates": joint)
    Path("run.toml").write_text("experiments = []\n")
    assert main(["fit", "run.toml", "--prior-predictive", "--draws", "500", "--seed", "3", "--json", "--out", "p"]) == 0
    printed = json.loads(capsys.readouterr().out)
    stored = json.loads((tmp_path / "p" / "prior_predictive.json").read_text())
    assert printed == {**stored, "out": "p"}
    assert (stored["draws"], stored["seed"]) == (500, 3)
    names = {"prior_predictive.json", "prior_predictive.png", "prior_predictive.pdf", "run.toml", "manifest.json"}
    assert {f.name for f in (tmp_path / "p").iterdir()} == names
    assert main(["rerun", "p"]) == 0
    assert "is identical to p: " in " ".join(capsys.readouterr().out.split())
    assert main(["fit", "run.toml", "--prior-predictive", "--no-plots", "--out", "q"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Half of the prior predicts more than" in shown
    for options, said in (
        (["--chains", "2", "--warmup", "100"], "--prior-predictive: no posterior is sampled; leave out --chains, --warmup"),
        (["--draws", "5"], "--draws"),
    ):
        assert main(["fit", "run.toml", "--prior-predictive", *options]) == 2
        printed_error = capsys.readouterr().err
        assert said in printed_error
        assert printed_error.count("\n") == 1


def test_without_experiments_nothing_is_predicted() -> None:
    with pytest.raises(UserInputError, match="no experiment is chosen"):
        prior_predictions(SimpleNamespace(channels={}))
