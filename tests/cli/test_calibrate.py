"""`calibrate`: what it prints, what it writes, how it goes on, wrong input."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import small_joint
import xarray

from nmmfit.cli.main import main
from nmmfit.inference.calibration import Calibration, Ranked
from nmmfit.inference.calibration_chunks import Simulations
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.ranks import UniformRanks
from nmmfit.inference.settings import SamplerSettings
from nmmfit.results.calibration import ecdf_figure, rank_figure
from nmmfit.results.compare import compare_folders
from nmmfit.results.figure import VERMILLION, rendered

WORDS = ("calibrate", "run.toml", "--simulations", "40", "--seed", "3", "--chains", "16", "--draws", "40")


@pytest.fixture(scope="module")
def quick() -> JointLikelihood:
    return small_joint.quick_joint()


@pytest.fixture(autouse=True)
def _here(quick: JointLikelihood, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nmmfit.compilation_cache.enable", lambda: None)
    monkeypatch.setattr("nmmfit.run.Run.joint", lambda self, method="templates": quick)
    for drawing in ("ecdf_figure", "rank_figure", "save"):
        monkeypatch.setattr(f"nmmfit.results.calibration.{drawing}", lambda *_: None)
    (tmp_path / "run.toml").write_text("experiments = []\n")


def simulated(shift: int, calls: list[int]):
    """Simulations with invented ranks, uniform ones where nothing is shifted."""

    def simulation(self: Simulations, index: int) -> dict[str, np.ndarray]:
        calls.append(index)
        n = len(self.names)
        ranks = np.minimum(np.random.default_rng([self.plan.seed, index]).integers(0, self.plan.draws + 1, n) + shift, 96)
        many = {"rank": ranks, "truth": np.full(n, float(index)), "r_hat": np.ones(n), "ess": np.full(n, 1000.0)}
        return {**many, "divergences": np.asarray(0), "seconds": np.asarray(0.5)}

    return simulation


def test_calibrated_as_json_and_on_disk(capsys, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(Simulations, "simulation", simulated(0, []))
    assert main([*WORDS, "--json", "--out", "c"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["calibrated"] is True
    assert printed["verdict"].startswith("calibrated: 40 of 40 simulations, 4 quantities")
    assert printed["ranked_draws"] == 96
    assert printed["sampler"]["chains"] == 16
    assert set(printed["quantities"]) == {"L", "mu", "t_p", "log_likelihood"}
    assert {"p_value", "p_adjusted", "kind", "folded", "unit", "shape", "calibrated"} == set(printed["quantities"]["L"])
    stored = json.loads((tmp_path / "c" / "calibration.json").read_text())
    assert stored["quantities"] == printed["quantities"]
    with xarray.open_dataset(tmp_path / "c" / "calibration.nc", group="ranks", engine="h5netcdf") as ranks:
        assert ranks["L"].shape == (40,)
        assert ranks["L"].attrs["folded"] == "true"


def test_what_is_not_calibrated_ends_with_exit_code_3(capsys, monkeypatch) -> None:
    monkeypatch.setattr(Simulations, "simulation", simulated(30, []))
    assert main([*WORDS, "--out", "c"]) == 3
    captured = capsys.readouterr()
    assert "NOT calibrated" in captured.out
    assert "the posterior lies too low" in captured.out
    assert captured.err.splitlines()[-1].startswith("nmmfit: not calibrated: ")


def test_an_interrupted_calibration_goes_on_with_what_is_left(capsys, monkeypatch, tmp_path) -> None:
    calls: list[int] = []
    monkeypatch.setattr(Simulations, "simulation", simulated(0, calls))
    assert main([*WORDS, "--out", "whole"]) == 0
    assert calls == list(range(40))

    @contextmanager
    def impatient(_: str) -> Iterator[Any]:
        def advance(done: int, total: int) -> None:
            assert total == 40
            if done == 12:
                raise KeyboardInterrupt

        yield advance

    calls.clear()
    with monkeypatch.context() as patch:
        patch.setattr("nmmfit.cli.calibrate.counting_bar", impatient)
        assert main([*WORDS, "--out", "mine"]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "nmmfit: interrupted; nmmfit resume mine goes on"
    assert main(["resume", "mine"]) == 0
    assert calls == list(range(40))
    assert compare_folders(tmp_path / "whole", tmp_path / "mine").identical


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--simulations", "3"], "--simulations: 3 is out of range"),
        (["--truths", "priors"], "did you mean 'prior'"),
        (["--sampler", "smc"], "--sampler: unknown choice 'smc'"),
        (["--chains", "0"], "--chains: 0"),
        (["--seed", "-1"], "--seed: -1"),
    ],
)
def test_wrong_options_are_one_line(options, said, capsys) -> None:
    assert main(["calibrate", "run.toml", *options]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_pictures_show_what_is_not_calibrated(tmp_path) -> None:
    """Drawn for real, of invented ranks."""
    random = np.random.default_rng(1)
    names = ["L", "mu_eff_solar", *(f"lab.pull_{i}" for i in range(30)), "log_likelihood"]
    quantities = {
        name: Ranked(
            name, "nuisance" if "." in name else "coefficient", "1", name == "L", random.integers(0, 97, 100), 0.5, p, ""
        )
        for name, p in zip(names, [0.001, *[1.0] * 32], strict=True)
    }
    settings = SamplerSettings(method="ensemble")
    truth = np.zeros((100, len(names)))
    found = Calibration("prior", settings, 1, 96, 110, 10, quantities, truth, UniformRanks(100, 96), np.ones(110), 0)
    assert found.problems[0].startswith("L: ranks are not uniform")
    for make in (ecdf_figure, rank_figure):
        figure = make(found)
        titles = [axes.title for axes in figure.axes if axes.get_visible()]
        assert len(titles) == 24
        assert [t.get_color() == VERMILLION for t in titles].count(True) == 1
        assert rendered(figure, "png").startswith(b"\x89PNG")
