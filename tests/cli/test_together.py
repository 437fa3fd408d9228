"""`tension` and `impacts` on synthetic likelihoods: what they print, what they write."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from nmmfit.cli.main import main
from nmmfit.inference.tension import Part, Tension
from nmmfit.inference.tension_fits import Both, Fits
from nmmfit.inference.toy_fits import Data
from nmmfit.results.compare import compare_folders
from nmmfit.results.tension import tension_figure, tension_tables


@pytest.fixture(autouse=True)
def _synthetic(joint, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nmmfit.compilation_cache.enable", lambda: None)
    monkeypatch.setattr("nmmfit.run.Run.joint", lambda self, method="templates": joint)
    (tmp_path / "run.toml").write_text("experiments = []\n")


def made(**changes) -> Tension:
    """A tension with invented numbers."""
    values = {
        "chi2": 5.0, "dof": 1, "nominal_p_value": 0.025, "p_value": 0.04, "p_error": 0.01, "toys": 4, "failed": 1,
        "toy_values": np.array([0.1, 0.5, 2.0, 6.0]), "point": {"L_dipole": 1.0}, "identified": {"mu": 2.0}, "constraints": 0.5,
        "experiments": {"one": Part(1, 3.0, {"L_dipole": 0.5}, {"mu": 1.0}), "two": Part(1, 1.5, {"L_dipole": 2.0}, {})},
        "units": {"mu": "1e-11 mu_B", "L_dipole": "GeV^-1"}, "converged": True,
    }  # fmt: skip
    return Tension(**(values | changes))


def test_tables_name_every_experiment_and_what_failed(capsys):
    from nmmfit.cli.output import console

    console().print(tension_tables(made()))
    shown = capsys.readouterr().out
    for text in ("one", "two", "1 failed", "0.04 +- 0.01", "[1e-11 mu_B]"):
        assert text in shown


def test_the_picture_has_toys_and_data():
    (axes,) = tension_figure(made()).axes
    assert sum(getattr(p, "get_height", lambda: 0.0)() > 0 for p in axes.patches) == 4
    assert axes.lines[0].get_xdata()[0] == 5.0
    tension_figure(made(toys=0, toy_values=np.zeros(0)))


@pytest.mark.slow
def test_tension_as_json_and_on_disk(capsys, tmp_path):
    assert main(["tension", "run.toml", "--toys", "5", "--starts", "2", "--json", "--out", "t"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert set(printed["experiments"]) == {"solar_like", "nuclear_like"}
    assert printed["experiments"]["solar_like"]["rank"] == 1
    assert printed["dof"] >= 1
    assert len(printed["toy_values"]) == printed["toys"]
    assert printed["chi2"] >= 0.0
    assert {p.name for p in (tmp_path / "t").iterdir()} == {
        "tension.json",
        "tension.png",
        "tension.pdf",
        "run.toml",
        "manifest.json",
    }
    assert json.loads((tmp_path / "t" / "tension.json").read_text())["chi2"] == printed["chi2"]
    assert (printed["provenance"]["seed"], printed["provenance"]["version_numpy"]) == ("1", np.__version__)
    # What it wrote can be reported; the run names no experiment.
    assert main(["report", "t", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["kind"], report["title"]) == ("tension", "Tension between solar_like, nuclear_like")


@pytest.mark.slow
def test_impacts_as_json_and_on_disk(capsys, tmp_path, joint):
    assert main(["impacts", "run.toml", "--parameter", "mu", "--starts", "2", "--json", "--out", "i"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert set(printed["nuisances"]) == {p.name for p in joint.parameters[joint.n_own :]}
    assert set(printed["targets"]) == {"mu"}
    assert {p.name for p in (tmp_path / "i").iterdir()} == {
        "impacts.json",
        "impacts.png",
        "impacts.pdf",
        "run.toml",
        "manifest.json",
    }
    assert main(["report", "i", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["kind"] == "impacts"
    assert report["converged"] == printed["converged"]


def of_numbers(self: Fits, data: Data, z: np.ndarray, throws: Sequence[float], rng: np.random.Generator) -> Both:
    """Fits whose numbers follow from the data and the random numbers alone."""
    toys = len(data.counts)
    chi2 = np.sum((data.counts - data.counts.mean(axis=0)) ** 2, axis=1) % 5.0 + rng.uniform(0.0, 0.1 * len(throws), toys)
    return Both(np.tile(self.one.space.start, (toys, 1)), np.tile(self.many.spread(z), (toys, 1)), chi2, chi2 < 4.0)


@pytest.mark.parametrize("fitted", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_an_interrupted_tension_goes_on_with_the_toys_that_are_left(fitted, capsys, monkeypatch, tmp_path) -> None:
    sizes: list[int] = []
    real = Fits.both if fitted else of_numbers

    def counted(self: Fits, data: Data, *given: Any) -> Both:
        sizes.append(len(data.counts))
        return real(self, data, *given)

    monkeypatch.setattr(Fits, "both", counted)
    if not fitted:
        monkeypatch.setattr("nmmfit.inference.tension._ranks", lambda joint, seed: ([1, 1], 1, [[], []]))
    monkeypatch.setattr("nmmfit.results.tension.save", lambda *_: [])
    words = ("run.toml", "--toys", "25", "--starts", "2", "--seed", "3")
    assert main(["tension", *words, "--out", "whole"]) == 0
    assert sizes == [1, 10, 10, 10]
    seen: list[tuple[int, int]] = []

    @contextmanager
    def impatient(_: str) -> Iterator[Any]:
        def advance(done: int, total: int) -> None:
            seen.append((done, total))
            if len(seen) == 2:
                raise KeyboardInterrupt

        yield advance

    monkeypatch.setattr("nmmfit.cli.together.counting_bar", impatient)
    sizes.clear()
    assert main(["tension", *words, "--out", "mine"]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "nmmfit: interrupted; nmmfit resume mine goes on"
    assert sizes == [1, 10, 10]
    begun = tmp_path / "mine" / "checkpoint" / "run.toml"
    text = begun.read_text()
    begun.write_text(f"allow_overlaps = true\n{text}")
    assert main(["resume", "mine"]) == 2
    assert "not the run file that was begun with" in capsys.readouterr().err
    begun.write_text(text)
    assert main(["resume", "mine"]) == 0
    assert sizes == [1, 10, 10, 10]
    assert seen == [(10, 25), (20, 25), (20, 25), (25, 25)]
    compared = compare_folders(tmp_path / "whole", tmp_path / "mine")
    assert compared.identical
    assert "tension.json" in compared.compared
    # More toys of the same seed begin with the same ones.
    if not fitted:
        assert main(["tension", "run.toml", "--toys", "30", "--starts", "2", "--seed", "3", "--out", "more"]) == 0
        few, many = (json.loads((tmp_path / where / "tension.json").read_text())["toy_values"] for where in ("mine", "more"))
        assert many[: len(few)] == few
        assert len(many) > len(few)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tension", "run.toml", "--toys", "0"], "--toys"),
        (["tension", "run.toml", "--seed", "-1"], "--seed"),
        (["tension", "run.toml", "--starts", "0"], "--starts"),
        (["impacts", "run.toml", "--starts", "0"], "--starts"),
        (["impacts", "run.toml", "--parameter", "m"], "coefficient or identified quantity"),
    ],
)
def test_wrong_input_is_one_line(arguments, message, capsys):
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert printed.err.count("\n") == 1
