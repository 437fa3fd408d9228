"""`leave-one-out`: one command, a folder per fit, and their comparison."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import small_joint

from nmmfit.cli.leave_out import without
from nmmfit.cli.main import main
from nmmfit.cli.where import Where
from nmmfit.results import leave_out_chunks
from nmmfit.results.compare import compare_folders
from nmmfit.results.leave_out import compared, leave_out_figure, leave_out_tables
from nmmfit.run import parse_run

RUN = """experiments = ["borexino_phase2_limit", "coherent_csi_2021"]
[options.coherent_csi_2021]
steady_state = "fixed_shape"
[pulls]
"coherent_csi_2021.nin" = {normal = [0, 2]}
"sns.flux" = {normal = [0, 1]}
[sampler]
chains = 2
warmup = 60
draws = 40
"""
PULLS = {"borexino_phase2_limit": ("sns.flux",), "coherent_csi_2021": ("coherent_csi_2021.nin", "sns.flux")}


def test_what_belongs_to_the_experiment_goes_with_it_and_what_is_shared_stays():
    run = parse_run(RUN)
    smaller = without(run, "coherent_csi_2021", PULLS)
    assert smaller.config.experiments == ["borexino_phase2_limit"]
    assert smaller.config.options == {}
    assert list(smaller.config.pulls) == ["sns.flux"]
    other = without(run, "borexino_phase2_limit", PULLS)
    assert set(other.config.pulls) == set(run.config.pulls)
    # What is written into the folder of the fit gives that run again.
    assert parse_run(smaller.to_toml()).hash == smaller.hash


def fits() -> dict[str, Any]:
    """Summaries of two fits with invented numbers; the second knows nothing of one quantity."""

    def entry(mean: float, sd: float, unit: str) -> dict[str, Any]:
        return {"mean": mean, "sd": sd, "hdi_90": [mean - sd, mean + sd], "abs_upper_90": mean + sd, "unit": unit}

    whole = {
        "identified": {"mu": entry(2.0, 1.0, "1e-11 mu_B"), "t": entry(3.0, 1.0, "1e-6 GeV^-2")},
        "parameters": {"L_dipole": entry(1e-9, 2e-9, "GeV^-1"), "sns.flux": entry(0.0, 1.0, "1")},
        "coefficients": ["L_dipole"],
        "converged": True,
    }
    return {"all": whole, "two": {**whole, "identified": {"mu": entry(5.0, 2.0, "1e-11 mu_B")}, "converged": False}}


def test_quantities_are_compared_where_they_exist():
    found = compared(fits())
    assert list(found) == ["mu", "t", "L_dipole"]
    assert set(found["mu"][1]) == {"all", "two"}
    assert set(found["t"][1]) == {"all"}


def test_the_comparison_is_shown(capsys):
    from nmmfit.cli.output import console

    console().print(leave_out_tables(fits()))
    shown = capsys.readouterr().out
    assert "without two" in shown
    assert "NO" in shown
    figure = leave_out_figure(fits())
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["all experiments", "without two"]
    with pytest.raises(ValueError, match="at least one"):
        leave_out_figure({})


@pytest.fixture
def _synthetic(joint, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nmmfit.compilation_cache.enable", lambda: None)
    monkeypatch.setattr("nmmfit.run.Run.joint", lambda self, method="templates": joint)
    (tmp_path / "run.toml").write_text(RUN)


@pytest.mark.slow
@pytest.mark.usefixtures("_synthetic")
def test_a_folder_per_fit_and_one_table(capsys, tmp_path):
    assert main(["leave-one-out", "run.toml", "--json", "--out", "mine"]) == 3
    printed = capsys.readouterr()
    answer = json.loads(printed.out)
    assert list(answer["fits"]) == ["all", "borexino_phase2_limit", "coherent_csi_2021"]
    folder = tmp_path / "mine"
    for name in answer["fits"]:
        assert {"posterior.nc", "summary.json", "run.toml"} == {p.name for p in (folder / name).iterdir()}
        stored = json.loads((folder / name / "summary.json").read_text())
        assert stored["out"] == f"mine/{name}"
    assert {p.name for p in folder.iterdir() if p.is_file()} == {
        "leave_one_out.json", "leave_one_out.png", "leave_one_out.pdf", "run.toml", "manifest.json",
    }  # fmt: skip
    assert "not converged: all:" in printed.err
    assert main(["report", "mine", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["kind"], report["converged"]) == ("leave-one-out", False)


@pytest.mark.usefixtures("_synthetic")
def test_ctrl_c_keeps_the_fits_that_are_done(capsys, monkeypatch, tmp_path):
    def sampled(chosen, folder, plots, bar):
        if folder.final.name != "all":
            folder.write_text("half.txt", "x")
            raise KeyboardInterrupt
        folder.write_text("summary.json", "{}")
        result = SimpleNamespace(labels={}, interrupted=False)
        return result, None, SimpleNamespace(experiments=()), {**fits()["all"], "problems": [], "value": float(np.float64(1.0))}

    monkeypatch.setattr("nmmfit.cli.leave_out.sampled", sampled)
    assert main(["leave-one-out", "run.toml", "--out", "mine"]) == 130
    assert "interrupted after 1 fits; they are in mine; nmmfit resume mine goes on" in capsys.readouterr().err
    assert {p.name for p in (tmp_path / "mine").iterdir() if p.is_dir()} == {"all", "checkpoint"}


@pytest.mark.usefixtures("_synthetic")
def test_one_experiment_is_too_few(capsys):
    assert main(["leave-one-out", "run.toml", "--experiments", "coherent_csi_2021", "--set", "options={}"]) == 2
    assert capsys.readouterr().err == "nmmfit: run.toml: leave-one-out takes at least two experiments\n"


@pytest.mark.slow
@pytest.mark.usefixtures("_synthetic")
def test_it_goes_on_with_the_fit_that_was_interrupted(capsys, monkeypatch, tmp_path):
    @contextmanager
    def impatient(_: int) -> Iterator[Any]:
        def of_fit(name: str) -> Any:
            @contextmanager
            def bar() -> Iterator[Any]:
                def advance(now: Any) -> None:
                    if name != "all" and now.done >= 40:
                        raise KeyboardInterrupt

                yield advance

            return bar

        yield of_fit

    with monkeypatch.context() as patch:
        patch.setattr("nmmfit.cli.leave_out.fits_bar", impatient)
        assert main(["leave-one-out", "run.toml", "--out", "mine"]) == 130
    assert {p.name for p in (tmp_path / "mine").iterdir() if p.is_dir()} == {"all", "checkpoint"}
    assert main(["verify", "mine"]) == 0
    asked = []
    from nmmfit.cli import leave_out

    sampled = leave_out.sampled
    monkeypatch.setattr(leave_out, "sampled", lambda *given: asked.append(given[1].final.name) or sampled(*given))
    assert main(["resume", "mine"]) == 3
    # The first fit is finished.
    assert asked == ["borexino_phase2_limit", "coherent_csi_2021"]
    assert main(["leave-one-out", "run.toml", "--out", "whole"]) == 3
    assert not (tmp_path / "mine" / "checkpoint").exists()
    assert compare_folders(tmp_path / "mine", tmp_path / "whole").identical


class Elsewhere:
    """An engine that pickles what it computes, as one that sends it away; it stops after some chunks."""

    def __init__(self, stop: int | None = None) -> None:
        self.stop, self.made = stop, []

    def __call__(self, compute: Any, numbers: Any) -> Iterator[Any]:
        there = pickle.loads(pickle.dumps(compute))
        for number in numbers:
            if len(self.made) == self.stop:
                raise KeyboardInterrupt
            self.made.append(number)
            yield number, there(number)


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """A run whose likelihood is a quick one, wherever it is made; the engines that --cluster gives, the last one now."""
    quick = small_joint.quick_joint()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nmmfit.compilation_cache.enable", lambda: None)
    monkeypatch.setattr("nmmfit.run.Run.joint", lambda self, method="templates": quick)
    monkeypatch.setattr(leave_out_chunks.JointLikelihood, "from_config", lambda *_: quick)
    monkeypatch.setattr(leave_out_chunks, "forget_programs", lambda: None)
    monkeypatch.setattr("nmmfit.results.leave_out.write_leave_out", lambda *_: [])
    (tmp_path / "run.toml").write_text(RUN)
    engines: list[Elsewhere | None] = [None]

    @contextmanager
    def opened(self: Where, experiments: Any) -> Iterator[Any]:
        yield engines[-1]

    monkeypatch.setattr(Where, "opened", opened)
    return engines


WORDS = ["leave-one-out", "run.toml", "--sampler", "ensemble", "--chains", "4", "--warmup", "20", "--draws", "20"]


def test_what_is_made_elsewhere_comes_into_the_folder(elsewhere, capsys, monkeypatch, tmp_path):
    """Ctrl-C after the first of three fits, of which another cluster makes one that was damaged and those that are left."""
    runs = []

    def written(folder: Any, joint: Any, result: Any, run_toml: str, **_: Any) -> None:
        runs.append(parse_run(run_toml).config)
        folder.write_text("run.toml", run_toml)
        summary = {**fits()["all"], "problems": [], "out": str(folder.final)}
        folder.write_text("summary.json", json.dumps(summary))

    monkeypatch.setattr(leave_out_chunks, "sample", lambda joint, settings: SimpleNamespace(labels={"mu": "$x$"}))
    monkeypatch.setattr(leave_out_chunks, "write_sampled", written)
    monkeypatch.setattr("nmmfit.cli.leave_out.sampled", None)
    elsewhere.append(Elsewhere(stop=0))
    assert main([*WORDS, "--cluster", "tcp://there:1", "--out", "mine"]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "nmmfit: interrupted; nothing was written"
    elsewhere.append(Elsewhere(stop=1))
    assert main([*WORDS, "--cluster", "tcp://there:1", "--out", "mine"]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "nmmfit: interrupted; nmmfit resume mine goes on"
    (path,) = (tmp_path / "mine").rglob("*.chunk")
    path.write_bytes(path.read_bytes()[:-9])
    elsewhere.append(Elsewhere())
    assert main(["resume", "mine", "--json"]) == 0
    captured = capsys.readouterr()
    assert "nmmfit: warning: mine/checkpoint/chunks/fits/000000000-" in captured.err
    assert elsewhere[-1].made == [0, 1, 2]
    assert [c.experiments for c in runs[-2:]] == [["coherent_csi_2021"], ["borexino_phase2_limit"]]
    assert json.loads(captured.out)["fits"]["all"]["identified"] == fits()["all"]["identified"]
    for name in ("all", "borexino_phase2_limit", "coherent_csi_2021"):
        stored = json.loads((tmp_path / "mine" / name / "summary.json").read_text())
        assert stored["out"] == f"mine/{name}"
    assert "cluster" not in json.loads((tmp_path / "mine" / "manifest.json").read_text())["options"]
    assert main(["verify", "mine"]) == 0


@pytest.mark.slow
def test_fits_that_are_made_elsewhere_are_those_made_here(elsewhere, monkeypatch, tmp_path):
    assert main([*WORDS, "--out", "whole"]) == 3
    monkeypatch.setattr("nmmfit.cli.leave_out.sampled", None)
    elsewhere.append(Elsewhere())
    assert main([*WORDS, "--cluster", "tcp://there:1", "--out", "mine"]) == 3
    compared = compare_folders(tmp_path / "whole", tmp_path / "mine")
    assert compared.identical
    assert "coherent_csi_2021/posterior.nc" in compared.compared
