"""`nmmfit prior-sensitivity` on stored draws of a posterior that is known."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from report_folders import write_fit_folder
from synthetic_run import make_result

from nmmfit.cli.main import main
from nmmfit.config import RunConfig
from nmmfit.inference.result import SampleResult
from nmmfit.priors import PriorSpec
from nmmfit.results import adapter
from nmmfit.results.compare import compare_folders
from nmmfit.results.manifest import check_files, read_manifest
from nmmfit.run import load_run

RUN = """experiments = []
[parameters.L_dipole]
coefficients = { nuNgamma_11 = 1 }
prior = { normal = [0.0, 1e-7] }
[parameters.L_T_s]
coefficients = { TnuNdRR_1122 = 1 }
prior = { normal = [0.0, 4e-6] }
[parameters.L_fixed]
coefficients = { TnuNdRR_2222 = 1 }
prior = 0.0
"""
FLAT = RUN.replace("normal = [0.0, 1e-7]", "uniform = [-1e-6, 1e-6]").replace("normal = [0.0, 4e-6]", "uniform = [-1e-4, 1e-4]")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where L_dipole, of width 3e-8, is measured under a prior of 1e-7; L_T_s is its prior."""
    place = tmp_path_factory.mktemp("stored")
    result = make_result()
    write_fit_folder(place / "my-fit", RUN, result=result)
    write_fit_folder(place / "flat", FLAT, result=result)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        yield place


def fails(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 2) -> str:
    capsys.readouterr()
    assert main(["prior-sensitivity", *arguments]) == code
    return capsys.readouterr().err.splitlines()[-1]


def test_intervals_tables_and_files(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tried = "L_dipole={ normal = [0.0, 3e-8] }"
    assert main(["prior-sensitivity", "my-fit", "--prior", tried, "--json", "--out", "new"]) == 0
    answer = json.loads(capsys.readouterr().out)
    written = json.loads((stored / "new" / "prior_sensitivity.json").read_text())
    assert answer == {**written, "out": "new"}
    summary = json.loads((stored / "my-fit" / "summary.json").read_text())
    for section, name in (("parameters", "L_dipole"), ("identified", "mu_solar")):
        before = answer[section][name]
        assert [before["lower"], before["upper"]] == pytest.approx(
            summary[section][name]["hdi_90"], abs=0.02 * (before["upper"] - before["lower"])
        )
    # A posterior 3e-8 wide under a prior of 1e-7 is one of 1 / sqrt(1 / 9 - 1 / 100 + 1 / 9) under a prior of 3e-8, in 1e-8.
    narrowed = answer["alternatives"]["L_dipole ~ normal(0, 3e-08)"]
    assert narrowed["trusted"]
    assert narrowed["parameters"]["L_dipole"]["width_ratio"] == pytest.approx((1 / 9 - 1 / 100 + 1 / 9) ** -0.5 / 3.0, rel=0.08)
    assert narrowed["parameters"]["L_T_s"]["width_ratio"] == pytest.approx(1.0, abs=0.08)
    assert set(answer["alternatives"]) >= {"twice as wide", "half as wide"}
    assert main(["report", "new", "--out", "new.html"]) == 0
    assert "Prior sensitivity of a fit to nothing but the priors" in capsys.readouterr().out
    assert {p.name for p in (stored / "new").iterdir()} == {
        "manifest.json",
        "prior_sensitivity.json",
        "prior_sensitivity.pdf",
        "prior_sensitivity.png",
        "run.toml",
    }
    about = read_manifest(stored / "new")
    assert about["verb"] == "prior-sensitivity"
    assert check_files(stored / "new", about).problems == []
    assert main(["rerun", "new", "--out", "again"]) == 0


def test_the_command_for_a_prior_that_fails_fits_with_it(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prior-sensitivity", "my-fit", "--prior", "L_T_s={ normal = [0.0, 1e-4] }", "--json", "--out", "wide"]) == 0
    entry = json.loads(capsys.readouterr().out)["alternatives"]["L_T_s ~ normal(0, 0.0001)"]
    assert not entry["trusted"]
    assert entry["pareto_k"] > 0.7
    program, verb, run, *words = shlex.split(entry["command"])
    assert (program, verb, words[0::2]) == ("nmmfit", "fit", ["--set"])
    config: RunConfig = load_run(run, words[1::2]).config
    assert config.parameters["L_T_s"].prior == PriorSpec.model_validate({"normal": [0.0, 1e-4]})
    assert config.parameters["L_dipole"].prior == PriorSpec.model_validate({"normal": [0.0, 1e-7]})
    assert main(["prior-sensitivity", "my-fit", "--prior", "L_T_s={ normal = [0.0, 1e-4] }", "--out", "shown"]) == 0
    shown = capsys.readouterr().out
    assert "not to be trusted" in shown
    assert "nmmfit fit my-fit/run.toml --set 'parameters.L_T_s.prior={ normal = [0.0, 0.0001] }'" in " ".join(shown.split())
    assert "A flat prior over the range of the draws is not among the alternatives" in " ".join(shown.split())


def test_it_goes_on_with_the_alternatives_that_are_left(
    stored: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the second of four alternatives; another fit under that name does not go on, the same one does."""
    monkeypatch.setattr("nmmfit.results.prior_sensitivity.write_sensitivity", lambda *_: [])
    # The last one has no weights, and therefore neither intervals nor k.
    words = ("prior-sensitivity", "my-fit", "--prior", "L_dipole={ uniform = [-1.0, 1.0] }", "--prior", "L_T_s=0.0")
    assert main([*words, "--out", "whole"]) == 0
    smoothed, calls = adapter.pareto_smoothed, []

    def smooth(weights: np.ndarray) -> tuple[np.ndarray, float]:
        calls.append(weights)
        if len(calls) == stop:
            raise KeyboardInterrupt
        return smoothed(weights)

    monkeypatch.setattr(adapter, "pareto_smoothed", smooth)
    stop = 2
    assert main([*words, "--out", "mine"]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "nmmfit: interrupted; nmmfit resume mine goes on"
    (stored / "my-fit").rename(stored / "elsewhere")
    write_fit_folder(stored / "my-fit", RUN, result=make_result(seed=5))
    assert main(["resume", "mine"]) == 2
    advice = "start anew, or go on with what it was begun with"
    assert capsys.readouterr().err.splitlines()[-1] == f"nmmfit: my-fit: not the fit that was begun with; {advice}"
    shutil.rmtree(stored / "my-fit")
    (stored / "elsewhere").rename(stored / "my-fit")
    stop, calls[:] = 0, []
    assert main(["resume", "mine", "--json"]) == 0
    # Of four alternatives with weights one was done.
    assert len(calls) == 3
    whole = json.loads((stored / "whole" / "prior_sensitivity.json").read_text())
    del whole["provenance"]
    assert {k: v for k, v in json.loads(capsys.readouterr().out).items() if k in whole} == whole
    assert compare_folders(stored / "whole", stored / "mine").identical
    assert main(["verify", "mine"]) == 0


def test_several_priors_change_together(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = "L_dipole={ half_normal = 1e-7 }, L_T_s={ student_t = [4, 0.0, 2e-6] }"
    assert main(["prior-sensitivity", "my-fit", "--prior", both, "--json", "--out", "both"]) == 0
    entry = json.loads(capsys.readouterr().out)["alternatives"]["L_dipole ~ half_normal(1e-07), L_T_s ~ student_t(4, 0, 2e-06)"]
    assert entry["priors"] == {"L_dipole": {"half_normal": 1e-7}, "L_T_s": {"student_t": [4.0, 0.0, 2e-6]}}
    # The signs of both are one random sign: where the dipole cannot be negative, neither is the other in these draws.
    assert entry["parameters"]["L_dipole"]["lower"] >= 0.0
    assert entry["parameters"]["L_T_s"]["lower"] >= 0.0


def test_nothing_to_trust_is_code_3(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wide = "L_dipole={ uniform = [-1e-5, 1e-6] }"
    said = fails(capsys, "flat", "--prior", wide, "--out", "none", code=3)
    assert said == "nmmfit: flat: no alternative can be had by weighting its draws; the output says how to fit them"
    entry = json.loads((stored / "none" / "prior_sensitivity.json").read_text())["alternatives"]
    (only,) = entry.values()
    assert "reaches beyond [-1e-06, 1e-06]" in only["reason"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("nowhere",), "nowhere: there is no such folder of a run"),
        ((".",), "no folder of a finished run (summary.json is missing)"),
        (("flat",), "no prior of this fit has a width to change; name others with --prior"),
        (("my-fit", "--cl", "90"), "--cl: 90 is out of range"),
        (
            ("my-fit", "--prior", "L_dipol={ normal = [0.0, 1.0] }"),
            "unknown coefficient of this fit 'L_dipol'; did you mean 'L_dipole'?",
        ),
        (("my-fit", "--prior", "theory.c_T={ normal = [-3.0, 0.1] }"), "unknown coefficient of this fit 'theory'"),
        (("my-fit", "--prior", "L_fixed={ normal = [0.0, 1.0] }"), "L_fixed is held fixed in this fit"),
        (("my-fit", "--prior", "L_dipole={ norml = [0.0, 1.0] }"), "unknown prior family 'norml'; did you mean 'normal'?"),
        (("my-fit", "--prior", "L_dipole={ normal = [0.0, -1.0] }"), "width of normal must be > 0, got -1"),
        (("my-fit", "--prior", "L_dipole={ normal = [0.0, 1.0 }"), "expected NAME={ family = numbers }, such as"),
        (("my-fit", "--prior", "L_dipole"), "expected NAME={ family = numbers }, such as"),
        (("my-fit", "--prior", ""), "expected NAME={ family = numbers }, such as"),
        (("my-fit", "--prior", "L_dipole=3} \ny={"), "expected NAME={ family = numbers }, such as"),
        (("my-fit", *2 * ("--prior", "L_dipole={ half_normal = 1e-7 }")), "is given twice"),
        (("my-fit", "--out", "flat"), "--out flat: the folder is not empty"),
    ],
)
def test_wrong_input_is_one_line(
    arguments: tuple[str, ...], expected: str, stored: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = sorted(p.name for p in stored.iterdir())
    assert expected in fails(capsys, *arguments)
    assert sorted(p.name for p in stored.iterdir()) == there


def test_the_run_file_of_another_fit(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_fit_folder(stored / "other", RUN.replace("normal = [0.0, 1e-7]", "half_normal = 1e-7"), result=make_result())
    said = fails(capsys, "other")
    assert "draws of 'L_dipole' lie outside of its prior half_normal(1e-07); run.toml is that of another fit" in said


def test_a_fit_without_free_coefficients(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held = RUN.replace("{ normal = [0.0, 1e-7] }", "1e-9").replace("{ normal = [0.0, 4e-6] }", "0.0")
    write_fit_folder(stored / "held", held, result=make_result())
    assert "no coefficient was free in this fit" in fails(capsys, "held")


def test_a_phase_has_a_key_of_its_own(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = """experiments = []
[parameters.L_dipole]
coefficients = { nuNgamma_11 = 1 }
prior = { half_normal = 1e-7 }
phase = "free"
"""
    result = make_result()
    random = np.random.default_rng(0)
    result.draws.clear()
    result.folded.clear()
    result.draws["L_dipole"] = np.abs(random.normal(0.0, 5e-8, (4, 500)))
    result.draws["L_dipole_phase"] = random.uniform(0.0, 2.0 * np.pi, (4, 500))
    changed = SampleResult(**{**vars(result), "coefficients": ("L_dipole", "L_dipole_phase")})
    write_fit_folder(stored / "phases", run, result=changed)
    tried = "L_dipole_phase={ uniform = [0.0, 1.0] }"
    assert main(["prior-sensitivity", "phases", "--prior", tried, "--json", "--out", "phases-new"]) == 0
    entry = json.loads(capsys.readouterr().out)["alternatives"]["L_dipole_phase ~ uniform(0, 1)"]
    assert entry["trusted"]
    assert 0.0 <= entry["parameters"]["L_dipole_phase"]["lower"] < entry["parameters"]["L_dipole_phase"]["upper"] <= 1.0
    assert "parameters.L_dipole.phase={ uniform = [0.0, 1.0] }" in entry["command"]
