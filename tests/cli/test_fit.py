"""`fit` on a synthetic likelihood: what it prints, what it writes, and what it keeps when it is stopped."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nmmfit.cli.main import main
from nmmfit.inference.joint import JointLikelihood

SHORT = ("--chains", "2", "--warmup", "60", "--draws", "50", "--seed", "3")


@pytest.fixture(autouse=True)
def _synthetic(joint: JointLikelihood, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("nmmfit.compilation_cache.enable", lambda: None)
    monkeypatch.setattr("nmmfit.run.Run.joint", lambda self, method="templates": joint)
    (tmp_path / "run.toml").write_text("experiments = []\n[sampler]\ndraws = 60\n")


def test_a_short_fit_writes_everything_and_says_that_it_did_not_converge(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, joint: JointLikelihood
) -> None:
    assert main(["fit", "run.toml", *SHORT, "--out", "mine", "--json"]) == 3
    printed = capsys.readouterr()
    answer = json.loads(printed.out)
    assert (answer["chains"], answer["warmup"], answer["draws"], answer["seed"]) == (2, 60, 50, 3)
    assert answer["converged"] is False
    assert answer["out"] == "mine"
    assert set(answer["parameters"]) == set(joint.names)
    fields = {"mean", "sd", "hdi_90", "abs_upper_90", "r_hat", "ess_bulk", "ess_tail", "contraction"}
    for section in ("parameters", "identified"):
        for entry in answer[section].values():
            assert fields <= set(entry)
    last = printed.err.splitlines()[-1]
    assert last.startswith("nmmfit: not converged: ")
    assert "effective sample size" in last
    folder = tmp_path / "mine"
    assert {"posterior.nc", "summary.json", "run.toml"} <= {p.name for p in folder.iterdir()}
    assert any(p.suffix == ".png" for p in folder.iterdir())
    assert {k: v for k, v in json.loads((folder / "summary.json").read_text()).items() if k != "out"} == {
        k: v for k, v in answer.items() if k != "out"
    }
    # The stored run file holds the options of the command line.
    assert "draws = 50" in (folder / "run.toml").read_text()

    from nmmfit.run import load_run

    assert load_run(folder / "run.toml").config.sampler.draws == 50

    assert main(["fit", "run.toml", *SHORT, "--out", "mine"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "--out mine: the folder is not empty" in printed.err


def test_the_default_folder_is_named_by_time_and_always_fresh(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for _ in range(2):
        assert main(["fit", "run.toml", *SHORT, "--no-plots"]) == 3
    folders = sorted((tmp_path / "nmmfit-runs").iterdir())
    assert len(folders) == 2
    for folder in folders:
        assert {"posterior.nc", "summary.json", "run.toml", "manifest.json"} == {p.name for p in folder.iterdir()}
    shown = capsys.readouterr().out
    assert "NOT converged" in shown


def test_the_method_is_chosen_on_the_command_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from nmmfit.run import load_run

    few = ("--chains", "4", "--warmup", "40", "--seed", "3")
    assert main(["fit", "run.toml", "--sampler", "ensemble", *few, "--no-plots", "--out", "mine", "--json"]) in (0, 3)
    answer = json.loads(capsys.readouterr().out)
    assert (answer["chains"], answer["warmup"], answer["draws"]) == (4, 40, 60)
    stored = load_run(tmp_path / "mine" / "run.toml").config.sampler
    assert (stored.method, stored.chains, stored.draws) == ("ensemble", 4, 60)


INTERRUPTED = "nmmfit: interrupted after 15 draws per chain; what was drawn is in kept; nmmfit resume kept goes on"
KEPT = {"posterior.nc", "summary.json", "run.toml", "manifest.json", "checkpoint"}


@contextmanager
def _impatient(after: int) -> Iterator[Any]:
    def advance(now: Any) -> None:
        if now.done >= after:
            raise KeyboardInterrupt

    yield advance


def test_an_interrupted_fit_keeps_its_draws(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("nmmfit.cli.fit.sampling_bar", lambda: _impatient(75))
    assert main(["fit", "run.toml", *SHORT, "--no-plots", "--out", "kept", "--json"]) == 130
    printed = capsys.readouterr()
    answer = json.loads(printed.out)
    assert answer["interrupted"] is True
    assert answer["draws"] == 15
    assert printed.err.splitlines()[-1] == INTERRUPTED
    assert (tmp_path / "kept" / "posterior.nc").exists()


def test_a_fit_interrupted_in_warm_up_can_be_gone_on_with(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("nmmfit.cli.fit.sampling_bar", lambda: _impatient(25))
    assert main(["fit", "run.toml", *SHORT, "--out", "none"]) == 130
    printed = capsys.readouterr()
    assert printed.out == ""
    last = printed.err.splitlines()[-1]
    assert last == "nmmfit: interrupted before the first draw after warm-up; nmmfit resume none goes on"
    assert [p.name for p in (tmp_path / "none").iterdir()] == ["checkpoint"]


def test_a_fit_interrupted_before_its_first_steps_leaves_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def compiling(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("nmmfit.inference.sampling._machine", compiling)
    assert main(["fit", "run.toml", *SHORT, "--out", "new/none"]) == 130
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "nmmfit: interrupted before the first draw after warm-up; nothing was written"
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "cache") == ["run.toml"]


def _pressed_again(count: int) -> None:
    """Further presses of Ctrl-C, each served before the next."""
    for _ in range(count):
        signal.raise_signal(signal.SIGINT)


def test_further_ctrl_c_does_not_lose_the_draws(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from nmmfit.results import store

    write = store.write_run

    def write_while_pressed(*arguments: Any) -> None:
        _pressed_again(3)
        write(*arguments)

    monkeypatch.setattr("nmmfit.cli.fit.sampling_bar", lambda: _pressing(75))
    monkeypatch.setattr("nmmfit.results.fit_output.write_run", write_while_pressed)
    before = signal.getsignal(signal.SIGINT)
    assert main(["fit", "run.toml", *SHORT, "--no-plots", "--out", "kept"]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == INTERRUPTED
    assert {p.name for p in (tmp_path / "kept").iterdir()} == KEPT
    assert signal.getsignal(signal.SIGINT) is before


@contextmanager
def _pressing(after: int) -> Iterator[Any]:
    def advance(now: Any) -> None:
        if now.done >= after:
            _pressed_again(1)

    yield advance


def test_ctrl_c_while_plots_are_drawn_keeps_the_rest(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("nmmfit.results.fit_output.write_fit_plots", lambda *_: _pressed_again(1))
    assert main(["fit", "run.toml", *SHORT, "--out", "kept"]) == 130
    printed = capsys.readouterr()
    assert printed.out == ""
    said = "nmmfit: interrupted while drawing the plots; everything else is in kept; nmmfit resume kept goes on"
    assert printed.err.splitlines()[-1] == said
    assert {p.name for p in (tmp_path / "kept").iterdir()} == KEPT
    assert sorted(p.name for p in tmp_path.iterdir()) == ["kept", "run.toml"]


def disk_full_at(monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    """No space is left when a file of that ending gets its name."""
    real = os.replace

    def full(source: Any, target: Any) -> None:
        if str(target).endswith(ending):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(source, target)

    monkeypatch.setattr("os.replace", full)


def test_a_full_disk_while_plots_are_drawn_names_the_folder_that_was_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from nmmfit.results.files import write_bytes

    disk_full_at(monkeypatch, ".png")
    monkeypatch.setattr("nmmfit.results.fit_output.write_fit_plots", lambda folder, *_: write_bytes(folder / "trace.png", b"x"))
    assert main(["fit", "run.toml", *SHORT, "--out", "full"]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "nmmfit: cannot write full/trace.png: the disk is full; nmmfit resume full goes on"
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["checkpoint"]


def test_a_full_disk_leaves_no_half_result(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    disk_full_at(monkeypatch, "posterior.nc")
    assert main(["fit", "run.toml", *SHORT, "--no-plots", "--out", "full"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    last = printed.err.splitlines()[-1]
    assert last == "nmmfit: cannot write full/posterior.nc: the disk is full; nmmfit resume full goes on"
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["checkpoint"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--sampler", "nutz"], "sampler.method: unknown choice 'nutz'; did you mean 'nuts'? (allowed: ensemble, nuts, smc)"),
        (["--chains", "0"], "sampler.chains: expected greater than or equal to 1, got 0"),
        (["--draws", "-1"], "sampler.draws: expected greater than or equal to 1, got -1"),
        (["--seed", "-1"], "sampler.seed: expected greater than or equal to 0, got -1"),
        (["--draws", "many"], "draws"),
        (["--out", "run.toml"], "--out run.toml: there is a file of that name"),
        (["--out", "run.toml/deeper"], "--out run.toml/deeper: run.toml is a file, not a folder"),
        (["--out", "a" * 300], "File name too long"),
        (["--chains", "1.5"], "got '1.5' (see nmmfit fit --help)"),
        (["--chains=many"], "got 'many' (see nmmfit fit --help)"),
        (["--set", "sampler.draws"], "--set sampler.draws: expected KEY=VALUE"),
        (["--set", "theory.c_T={normal=[-2.9,inf]}"], "theory.c_T: width of normal must be finite, got inf"),
    ],
)
def test_wrong_options_stop_before_anything_is_sampled(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def sampled(*_: Any, **__: Any) -> None:
        raise AssertionError("sampling began")

    monkeypatch.setattr("nmmfit.inference.sampling.sample", sampled)
    assert main(["fit", "run.toml", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert expected in printed.err
    assert len(printed.err.splitlines()) == 1


def test_nothing_to_sample(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("nmmfit.run.Run.joint", lambda self, method="templates": SimpleNamespace(names=()))
    assert main(["fit", "run.toml", "--out", "none"]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "nmmfit: run.toml: nothing to sample: every parameter, theory input and nuisance is held fixed"
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "cache") == ["run.toml"]


def test_a_reader_that_leaves_early_changes_neither_files_nor_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stdout", Gone())
    assert main(["fit", "run.toml", *SHORT, "--no-plots", "--out", "mine", "--json"]) == 3
    lines = capsys.readouterr().err.splitlines()
    assert lines[-2] == "wrote mine"
    assert lines[-1].startswith("nmmfit: not converged: ")
