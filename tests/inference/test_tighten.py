"""Limits of nested sets of experiments, against closed forms of Gaussian measurements of a squared moment."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import distributions as dist
from scipy.stats import norm
from small_joint import DIPOLE, couplings

from nmmfit.experiment import BinnedExperiment, Channel, Component, Factor
from nmmfit.inference.joint import CouplingMap, JointLikelihood
from nmmfit.inference.parameters import Identified, Parameter
from nmmfit.inference.tighten import Tightening, bounds
from nmmfit.physics.amplitude_basis import couplings_to_vector

NUMBERS = {"one": (5.0, 2.0), "two": (3.0, 1.0)}


def measuring(*names: str) -> JointLikelihood:
    """Gaussian measurements of d^2 where d = a + b: two coefficients, one of which undoes the other."""

    def experiment(name: str) -> BinnedExperiment:
        value, error = NUMBERS[name]
        factor = Factor(lambda forms, pulls: jnp.reshape(jnp.real(forms["dipole"][0, 0]) / DIPOLE**2, (1,)), (), ("dipole",))
        channel = Channel(
            "bins", np.array([value]), (Component("all", (factor,)),), {"x": np.arange(2.0)},
            distribution=lambda mu: dist.Normal(mu, error), statistic="normal",
        )  # fmt: skip
        return BinnedExperiment(name, "Closed form", (channel,), {})

    base = np.asarray([couplings_to_vector(couplings(1.0))] * 2)
    parameters = [Parameter(n, "coefficient", "1e-9 GeV^-1", dist.Normal(0.0, 10.0), 0.0, 10.0) for n in ("a", "b")]
    made = [Identified("mu", "1e-9 GeV^-1", "moment", lambda c: jnp.real(c.dipole[0, :1]) / DIPOLE)]
    if "two" in names:
        made.append(Identified("mu_two", "1e-9 GeV^-1", "moment two", lambda c: jnp.real(c.dipole[0, :1]) / DIPOLE))
    coupling_map = CouplingMap(lambda theory: jnp.asarray(base), (base,), (frozenset({0}),) * 2)
    return JointLikelihood([experiment(n) for n in names], parameters, coupling_map, made, method="direct")


def upper(*names: str) -> float:
    """Where the chi-square of the weighted mean m +- s of d^2 has risen by that of the level: d^2 = m + z s."""
    weights = np.array([NUMBERS[n][1] ** -2.0 for n in names])
    mean = float(np.sum(weights * [NUMBERS[n][0] for n in names]) / np.sum(weights))
    return float(np.sqrt(mean + norm.ppf(0.95) * np.sum(weights) ** -0.5))


@pytest.fixture(scope="module")
def found() -> Tightening:
    first = bounds("first", ["one"], measuring("one"))
    second = bounds("+ second", ["two"], measuring("one", "two"), parameters=["mu", "mu_two", "a"])
    return Tightening((first, second))


@pytest.mark.slow
def test_the_bound_is_that_of_the_weighted_mean(found):
    for stage, names in zip(found.stages, (["one"], ["one", "two"]), strict=True):
        assert stage.experiments == tuple(names)
        profiled = stage.of("mu").profiled
        assert profiled.upper == pytest.approx(upper(*names), rel=1e-3)
        # The other coefficient undoes this one.
        assert stage.of("a").profiled.upper is None
        assert stage.of("a").one_at_a_time.upper == pytest.approx(upper(*names), rel=1e-3)
    assert found.failed == ()
    assert found.identified == ("mu", "mu_two")
    assert found.parameters == ("a", "b")
    assert found.stages[0].of("mu_two") is None
    assert found.stages[1].of("b") is None


@pytest.mark.slow
def test_it_is_told_shown_and_drawn(found, tmp_path, capsys):
    import json

    from nmmfit.cli.output import console
    from nmmfit.results.tighten import tighten_figure, tighten_tables, write_tighten

    told = json.loads(json.dumps(found.to_json()))
    assert [s["label"] for s in told["stages"]] == ["first", "+ second"]
    assert told["stages"][1]["added"] == ["two"]
    assert told["stages"][0]["parameters"]["a"]["profiled"]["reason"].startswith("flat direction")
    assert set(told["conventions"]) == {"one_at_a_time", "profiled"}
    console().print(tighten_tables(found))
    shown = capsys.readouterr().out
    for text in ("1: first", "2: + second", "[-inf, inf]", "flat direction: b compensates a exactly"):
        assert text in shown
    figure = tighten_figure(found, {"mu": "the moment", "mu_two": "the other one"})
    labels = [t.get_text() for axes in figure.axes for t in axes.get_yticklabels()]
    # The two moments are one and the same, and share a row; that known to both stages comes first.
    assert [label.replace("\n", " ") for label in labels] == ["the moment, other one", "a", "b"]
    assert {p.name for p in write_tighten(tmp_path, found)} == {"tighten.png", "tighten.pdf"}
    empty = Tightening((bounds("none", [], measuring("one"), parameters=[]),))
    with pytest.raises(ValueError, match="at least one"):
        tighten_figure(empty)
