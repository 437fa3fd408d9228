"""`toys`, and what toys and combinations add to `limits`: what they print, what they write, wrong input."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from small_joint import quick_joint

from nmmfit.cli.main import main
from nmmfit.cli.toys import grid_values
from nmmfit.errors import UserInputError
from nmmfit.inference.endpoints import End, Region
from nmmfit.inference.intervals import Interval, Limits, disagreements
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.space import space_of
from nmmfit.inference.toy_ensemble import Ensemble
from nmmfit.inference.toy_intervals import CLs, Coverage, FeldmanCousins, ToysAtValue
from nmmfit.inference.toy_truths import Truth
from nmmfit.inference.toys import ToysResult
from nmmfit.results.compare import compare_folders
from nmmfit.results.files import RunFolder
from nmmfit.results.tables import limits_table
from nmmfit.results.toys import toys_tables, write_toys


@pytest.fixture(autouse=True)
def _synthetic(joint, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nmmfit.compilation_cache.enable", lambda: None)
    monkeypatch.setattr("nmmfit.run.Run.joint", lambda self, method="templates": joint)
    (tmp_path / "run.toml").write_text("experiments = []\n")


def made() -> ToysResult:
    """A result with invented numbers."""
    values = np.linspace(0.0, 6.0, 50)
    tested = tuple(
        ToysAtValue(v, q, 49, 1, 2.7, 0.1, 0.2, 0.05, (0.0, 2.0 * v), values) for v, q in ((0.0, 1.0), (1.0, 0.5), (2.0, 4.0))
    )
    return ToysResult(
        name="mu_eff_solar", unit="1e-11 mu_B", cl=0.9, best=0.8, asymptotic=(0.0, None), toys=50, seed=1, asimov=None,
        coverage=(Coverage("Standard Model", 0.0, 0.9, 2.706, 0.93, 0.02, 49, 1, 2.2, 0.1, values),),
        feldman_cousins=FeldmanCousins(0.9, 0.8, 0.0, 1.6, 0.0, 0.1, None, "starts at 0", tested),
        cls=CLs(0.9, 1.7, 0.1, None, (1.0, 2.0), (0.3, 0.05), (0.01, 0.01), (0.2, 0.03), (0.7, 0.6), 50, 0),
        p_values=(), warnings=("something to know",),
    )  # fmt: skip


def test_tables_show_every_interval(capsys):
    from nmmfit.cli.output import console

    console().print(toys_tables(made()))
    shown = capsys.readouterr().out
    for text in ("[0, 1.60]", "[0, inf]", "< 1.70", "93.0 +- 2.0 %", "2.700 +- 0.100", "(1 failed)", "plug-in", "something"):
        assert text in shown


@pytest.mark.slow
def test_files_hold_toys_and_pictures(tmp_path):
    import xarray

    with RunFolder(tmp_path / "t") as folder:
        write_toys(folder, made())
        place = folder.publish()
    pictures = {f"{name}.{suffix}" for name in ("q", "belt", "coverage") for suffix in ("png", "pdf")}
    assert {p.name for p in place.iterdir()} == {"toys.nc", "manifest.json", *pictures}
    with xarray.open_dataset(place / "toys.nc", group="feldman_cousins", engine="h5netcdf") as stored:
        assert stored["q"].shape == (3, 50)
        assert stored["q_of_data"].values.tolist() == [1.0, 0.5, 4.0]


@pytest.mark.slow
def test_toys_as_json_and_on_disk(capsys, tmp_path):
    options = ["--what", "coverage", "--what", "p-value", "--toys", "20", "--starts", "2", "--json", "--out", "t"]
    assert main(["toys", "run.toml", *options]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert len(printed["coverage"]) == 2
    assert printed["p_values"][0]["toys"] + printed["p_values"][0]["failed"] == 20
    assert json.loads((tmp_path / "t" / "toys.json").read_text())["coverage"] == printed["coverage"]
    assert main(["report", "t"]) == 0
    assert "Toys made at the best fit: the asymptotic 90 % interval holds" in capsys.readouterr().out


def of_numbers(self: Ensemble, number: int) -> dict[str, np.ndarray]:
    """A chunk of 16 toys or less whose statistics follow from where toys are made, seed and number."""
    size = (len(self.tests), min(16, self.toys - 16 * number))
    q = np.random.default_rng([self.seed, number]).chisquare(1.0, size) + np.sum(self.z)
    return {"q": q, "best": np.sqrt(q), "converged": q < 4.0}


class Profiled:
    """A profile of data without a likelihood: delta chi2 = (L / 0.3)^2."""

    best = 0.0

    def __init__(self, joint: JointLikelihood, name: str, **_: Any) -> None:
        self.target, self.likelihood = space_of(joint).target(name), None

    def region(self, level: float) -> Region:
        end = 0.3 * np.sqrt(level)
        return Region(End(-end), End(end), self.best, ())

    def truths(self, values: Sequence[float]) -> list[Truth]:
        return [Truth(v, np.array([v, 0.1]), (v / 0.3) ** 2) for v in values]

    def point(self, given: Mapping[str, float]) -> Truth:
        return self.truths([given["L"]])[0]


@pytest.mark.parametrize("fitted", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_interrupted_toys_go_on_with_the_chunks_that_are_left(fitted, capsys, monkeypatch, tmp_path) -> None:
    quick = quick_joint()
    monkeypatch.setattr("nmmfit.run.Run.joint", lambda self, method="templates": quick)
    monkeypatch.setattr("nmmfit.inference.toy_ensemble.CHUNK", 16)
    for drawing in ("q_figure", "coverage_figure", "save"):
        monkeypatch.setattr(f"nmmfit.results.toys.{drawing}", lambda *_: None)
    calls: list[int] = []
    real = Ensemble.chunk if fitted else of_numbers

    def counted(self: Ensemble, number: int) -> dict[str, np.ndarray]:
        calls.append(number)
        return real(self, number)

    monkeypatch.setattr(Ensemble, "chunk", counted)
    if not fitted:
        monkeypatch.setattr("nmmfit.inference.toys.DataProfile", Profiled)
    words = ("run.toml", "--parameter", "L", "--what", "coverage", "--what", "p-value", "--toys", "40", "--starts", "2")
    words += ("--seed", "3", "--value", "0.5", "--at", "L=0.1", "--cl", "0.8", "--grid", "0:1:3")
    assert main(["toys", *words, "--out", "whole"]) == 0
    assert calls == [0, 1, 2] * 2
    seen: list[tuple[int, int]] = []

    @contextmanager
    def impatient(_: str) -> Iterator[Any]:
        def advance(done: int, total: int) -> None:
            seen.append((done, total))
            if len(seen) == 4:
                raise KeyboardInterrupt

        yield advance

    monkeypatch.setattr("nmmfit.cli.toys.counting_bar", impatient)
    calls.clear()
    assert main(["toys", *words, "--out", "mine"]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "nmmfit: interrupted; nmmfit resume mine goes on"
    assert main(["resume", "mine"]) == 0
    assert calls == [0, 1, 2] * 2
    assert seen == [(done, 80) for done in (16, 32, 40, 56, 40, 56, 72, 80)]
    compared = compare_folders(tmp_path / "whole", tmp_path / "mine")
    assert compared.identical
    assert {"toys.json", "toys.nc"} <= set(compared.compared)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--toys", "0"], "--toys: 0 is out of range"),
        (["--cl", "90"], "did you mean 0.9"),
        (["--seed", "-1"], "--seed: -1"),
        (["--what", "coverag"], "did you mean 'coverage'"),
        (["--grid", "1:0:5"], "expected a:b:n"),
        (["--at", "L=1j"], "a parameter is real"),
    ],
)
def test_wrong_options_are_one_line(options, said, capsys):
    assert main(["toys", "run.toml", *options]) == 2
    assert said in capsys.readouterr().err


def test_grids() -> None:
    assert grid_values("0:4:5") == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert grid_values(None) is None
    for wrong in ("0:4", "0:4:1", "a:b:c", "0:inf:3", "0:1:2:3"):
        with pytest.raises(UserInputError, match="expected a:b:n"):
            grid_values(wrong)


def interval(lower, upper) -> Interval:
    return Interval(lower, upper)


def test_methods_that_disagree_are_named() -> None:
    limits = Limits("1", interval(-9.0, 9.0), interval(-1.0, 2.0), interval(-1.2, 2.7), feldman_cousins=interval(0.5, None))
    found = disagreements("x", limits, alone=False)
    assert {(d.side, *d.methods) for d in found} == {
        ("lower", "profiled", "feldman_cousins"),
        ("lower", "marginalised", "feldman_cousins"),
        ("upper", "profiled", "marginalised"),
    }
    assert [d.ratio for d in found if d.side == "upper"] == [pytest.approx(1.35)]
    assert "x, upper end: profiled 2 and marginalised 2.7 are a factor of 1.35 apart" in [d.text for d in found]
    assert "opposite signs" in found[0].text
    # where nothing else is free one-at-a-time means the same
    assert any("one_at_a_time" in d.methods for d in disagreements("x", limits, alone=True))
    # an end at a boundary is none
    assert disagreements("x", Limits("1", None, interval(0.0, 1.0), interval(0.0, 1.2)), alone=False) == []


def test_the_table_has_what_was_made(capsys) -> None:
    from nmmfit.cli.output import console

    ends = {"lower": -1.0, "upper": 2.0, "reason": None}
    entry = {"unit": "GeV^-2", "profiled": ends, "marginalised": ends, "one_at_a_time": None, "contraction": 0.5}
    payload = {"cl": 0.9, "parameters": {"a": entry}, "identified": {}, "combinations": {}, "warnings": []}
    console().print(limits_table(payload))
    assert "Feldman" not in capsys.readouterr().out
    made_of = {"T": {**entry, "feldman_cousins": {**ends, "upper": 3.0}}}
    console().print(limits_table({**payload, "combinations": made_of, "warnings": [{"text": "T, upper end: apart"}]}))
    shown = capsys.readouterr().out
    for text in ("Feldman-Cousins", "Combinations", "3.00", "disagree by more than 30 %", "T, upper end: apart"):
        assert text in shown


def test_a_combination_is_spelt_as_in_the_run_file(capsys) -> None:
    for wrong, said in (("T", "expected 'NAME:"), ("T: L_T_u", "expected 'NAME:"), ("T: L_x=1", "unknown parameter of this run")):
        assert main(["limits", "run.toml", "--combination", wrong]) == 2
        assert said in capsys.readouterr().err
