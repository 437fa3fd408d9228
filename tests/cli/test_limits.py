"""`limits` and `profile` on a synthetic likelihood."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nmmfit.cli.main import main
from nmmfit.inference.joint import JointLikelihood

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
    assert {"limits.json", "run.toml", "limits_forest.png", "limits_forest.pdf"} == {
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
    assert {"profile.json", "run.toml"} == {p.name for p in (tmp_path / "p").iterdir()}
    assert main(["profile", "run.toml", "--parameter", "mu", "--points", "5", "--low", "0", "--high", "2"]) == 0
    assert "delta chi2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["limits", "run.toml", "--cl", "90"], "--cl 90: a level lies between 0 and 1"),
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


def test_interrupted_while_sampling(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def stopped(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nmmfit.inference.sampling.sample", stopped)
    assert main(["limits", "run.toml", "--out", "none"]) == 130
    assert capsys.readouterr().err.splitlines()[-1].startswith("nmmfit: interrupted before the first draw")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.toml"]
