"""`limits` and `profile` on a synthetic likelihood."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nmmfit.cli.main import main
from nmmfit.inference.joint import JointLikelihood
from nmmfit.results.compare import compare_folders
from tests.synthetic_run import prior_run

SHORT = ("--chains", "2", "--warmup", "50", "--draws", "50", "--seed", "3")


@pytest.fixture(autouse=True)
def _synthetic(joint: JointLikelihood, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nmmfit.compilation_cache.enable", lambda: None)
    monkeypatch.setattr("nmmfit.run.Run.joint", lambda self, method="templates": joint)
    (tmp_path / "run.toml").write_text("experiments = []\n")


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    return printed.err


def test_limits_of_a_quantity_and_of_a_flat_coefficient(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    names = ("--parameter", "mu", "--parameter", "L_dipole")
    assert main(["limits", "run.toml", "--no-marginalised", *names, "--cl", "0.9", "--out", "here", "--json"]) == 0
    printed = capsys.readouterr()
    answer = json.loads(printed.out)
    assert answer["cl"] == 0.9
    assert set(answer["parameters"]) == {"L_dipole"}
    assert set(answer["identified"]) == {"mu"}
    size = answer["identified"]["mu"]["profiled"]
    assert size["upper"] > 0
    assert answer["identified"]["mu"]["unit"] == "1e-9 GeV^-1"
    # With four coefficients and this model, tensors compensate the dipole exactly.
    flat = answer["parameters"]["L_dipole"]["profiled"]
    assert flat["lower"] is None
    assert flat["upper"] is None
    assert "flat direction" in flat["reason"]
    alone = answer["parameters"]["L_dipole"]["one_at_a_time"]
    assert alone["lower"] < 0 < alone["upper"]
    assert {"mateu_portoles", "lattice_kaon", "susceptibility"} == set(answer["presets"])
    stored = json.loads((tmp_path / "here" / "limits.json").read_text())
    assert stored == {k: v for k, v in answer.items() if k != "out"}
    assert {"limits.json", "run.toml", "limits_forest.png", "limits_forest.pdf", "manifest.json"} == {
        p.name for p in (tmp_path / "here").iterdir()
    }
    assert printed.err.splitlines()[-1] == "wrote here"

    assert main(["limits", "run.toml", "--no-marginalised", *names]) == 0
    shown = capsys.readouterr().out
    assert "90 % CL" in shown
    assert "flat direction" in shown
    assert "mateu portoles" in shown


def test_marginalised_limits_from_an_earlier_fit(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["fit", "run.toml", *SHORT, "--no-plots", "--out", "earlier"]) == 3
    capsys.readouterr()
    assert main(["limits", "--fit", "earlier", "--parameter", "mu", "--json", "--out", "new"]) == 0
    answer = json.loads(capsys.readouterr().out)
    quantile = json.loads((tmp_path / "earlier" / "summary.json").read_text())["identified"]["mu"]["abs_upper_90"]
    assert answer["identified"]["mu"]["marginalised"]["upper"] == pytest.approx(quantile, rel=1e-6)
    assert "the run is the one of that fit" in fails(capsys, "limits", "run.toml", "--fit", "earlier")
    assert "there is no such folder of a run" in fails(capsys, "limits", "--fit", "nowhere")


def test_a_posterior_that_did_not_converge_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["limits", "run.toml", *SHORT, "--parameter", "mu", "--json"]) == 3
    printed = capsys.readouterr()
    answer = json.loads(printed.out)
    assert answer["converged"] is False
    assert answer["identified"]["mu"]["marginalised"]["upper"] > 0
    assert "not converged: posterior: " in printed.err.splitlines()[-1]


def test_profile(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert (
        main(["profile", "run.toml", "--parameter", "mu", "--points", "5", "--low", "0", "--high", "2", "--json", "--out", "p"])
        == 0
    )
    answer = json.loads(capsys.readouterr().out)
    assert answer["grid"]["mu"] == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert all(answer["converged"])
    assert min(answer["delta_chi2"]) >= -1e-6
    assert {"grid", "delta_chi2", "converged", "best"} <= set(answer)
    assert {"profile.json", "run.toml", "manifest.json"} == {p.name for p in (tmp_path / "p").iterdir()}
    assert main(["profile", "run.toml", "--parameter", "mu", "--points", "5", "--low", "0", "--high", "2"]) == 0
    assert "delta chi2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["limits", "run.toml", "--cl", "90"], "--cl: 90 is out of range (allowed: above 0 and below 1); did you mean 0.9?"),
        (["limits", "run.toml", "--cl", "0"], "--cl: 0 is out of range (allowed: above 0 and below 1"),
        (["limits", "run.toml", "--cl", "1"], "--cl: 1 is out of range (allowed: above 0 and below 1"),
        (["limits", "run.toml", "--cl", "nan"], "--cl: expected a finite number, got nan"),
        (["limits", "run.toml", "--cl", "1e-300"], "--cl: 1e-300 is too small to be resolved"),
        (["limits", "run.toml", "--cl=most"], "got 'most' (see nmmfit limits --help)"),
        (["limits", "run.toml", "--chains", "0"], "sampler.chains: expected greater than or equal to 1, got 0"),
        (["profile", "run.toml", "--parameter", "mu", "--low", "nan"], "--low: expected a finite number, got nan"),
        (["profile", "run.toml", "--parameter", "mu", "--high", "inf"], "--high: expected a finite number, got inf"),
        (["profile", "run.toml", "--parameter", "mu", "--low", "-1"], "mu is a size and cannot be -1"),
        (["limits", "run.toml", "--parameter", "m"], "--parameter: unknown coefficient or identified quantity 'm'"),
        (["limits", "run.toml", "--out", "run.toml"], "--out run.toml: there is a file of that name"),
        (["profile", "run.toml"], "name what is profiled"),
        (["profile", "run.toml", "--parameter", "L_dipol"], "did you mean 'L_dipole'?"),
        (["profile", "run.toml", "--parameter", "mu", "--points", "1"], "--points"),
    ],
)
def test_wrong_input_is_one_line(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert expected in fails(capsys, *arguments)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.toml"]


def test_interrupted_while_sampling_keeps_what_was_drawn(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    @contextmanager
    def impatient() -> Iterator[Any]:
        def advance(now: Any) -> None:
            if now.done >= 75:
                raise KeyboardInterrupt

        yield advance

    monkeypatch.setattr("nmmfit.cli.fit.sampling_bar", impatient)
    assert main(["limits", "run.toml", *SHORT, "--warmup", "60", "--out", "kept"]) == 130
    printed = capsys.readouterr()
    assert printed.out == ""
    said = (
        "interrupted after 15 draws per chain; what was drawn is in kept (nmmfit limits --fit kept); nmmfit resume kept goes on"
    )
    assert printed.err.splitlines() == ["writing to kept; if it is interrupted: nmmfit resume kept", f"nmmfit: {said}"]
    written = {"posterior.nc", "summary.json", "run.toml", "manifest.json", "checkpoint"}
    assert {p.name for p in (tmp_path / "kept").iterdir()} == written
    assert main(["limits", "--fit", "kept", "--parameter", "mu", "--json", "--out", "new"]) == 0


@pytest.mark.slow
def test_limits_go_on_to_those_of_a_posterior_that_nothing_interrupted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    few = (*SHORT, "--warmup", "60", "--parameter", "mu")

    @contextmanager
    def impatient() -> Iterator[Any]:
        def advance(now: Any) -> None:
            if now.done >= 75:
                raise KeyboardInterrupt

        yield advance

    @contextmanager
    def stopped(_: str) -> Iterator[Any]:
        raise KeyboardInterrupt
        yield

    with monkeypatch.context() as patch:
        patch.setattr("nmmfit.cli.fit.sampling_bar", impatient)
        assert main(["limits", "run.toml", *few, "--out", "kept"]) == 130
    with monkeypatch.context() as patch:
        patch.setattr("nmmfit.cli.limits.counting_bar", stopped)
        assert main(["resume", "kept"]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "nmmfit: interrupted; nmmfit resume kept goes on"
    assert main(["resume", "kept"]) == main(["limits", "run.toml", *few, "--out", "whole"]) == 3
    wanted = {"limits.json", "run.toml", "limits_forest.png", "limits_forest.pdf", "manifest.json"}
    assert {p.name for p in (tmp_path / "kept").iterdir()} == wanted
    assert compare_folders(tmp_path / "kept", tmp_path / "whole").identical


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, joint: JointLikelihood) -> Path:
    """The folder of a fit, of draws around the start."""
    from nmmfit.results.diagnostics import summarise_fit
    from nmmfit.results.files import RunFolder
    from nmmfit.results.fit_output import write_fit

    result = prior_run(joint, 2, 50)
    with RunFolder(tmp_path_factory.mktemp("fits") / "fit") as folder:
        write_fit(folder, joint, result, summarise_fit(result), "experiments = []\n", best={}, plots=False)
        return folder.publish()


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        ("posterior.nc", None, "bad/posterior.nc: there is no such file"),
        (
            "posterior.nc",
            lambda b: b[: len(b) // 2],
            "bad/posterior.nc: cannot be read as a posterior file; it is broken or was cut",
        ),
        ("posterior.nc", lambda b: b"", "bad/posterior.nc: cannot be read as a posterior file"),
        ("posterior.nc", lambda b: b[:4000] + bytes(4000) + b[8000:], "bad/posterior.nc: "),
        ("summary.json", None, "bad: no folder of a finished run (summary.json is missing)"),
        ("summary.json", lambda b: b[:10], "bad/summary.json: not valid JSON"),
        ("summary.json", lambda b: b"[]", "bad/summary.json: expected a JSON object, got list"),
        ("run.toml", None, "bad: no folder of a finished run (run.toml is missing)"),
        ("run.toml", lambda b: b"\xff\xfe", "bad: cannot be read as a run (not UTF-8 text)"),
        ("run.toml", lambda b: b"experiments = [", "bad/run.toml: not valid TOML"),
    ],
)
def test_a_broken_folder_of_a_fit(
    name: str, change: Any, expected: str, stored: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    shutil.copytree(stored, tmp_path / "bad")
    path = tmp_path / "bad" / name
    content = path.read_bytes()
    path.unlink()
    if change is not None:
        path.write_bytes(change(content))
    assert fails(capsys, "limits", "--fit", "bad", "--parameter", "mu", "--out", "new").startswith(f"nmmfit: {expected}")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad", "run.toml"]


def test_no_free_coefficient(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JointLikelihood, "n_coefficients", 0)
    assert "run.toml: no coefficient is free, so that there is nothing to limit" in fails(capsys, "limits", "run.toml")


def test_interrupted_while_sampling(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def stopped(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nmmfit.inference.sampling.sample", stopped)
    assert main(["limits", "run.toml", "--out", "none"]) == 130
    assert capsys.readouterr().err.splitlines()[-1].startswith("nmmfit: interrupted before the first draw")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.toml"]
