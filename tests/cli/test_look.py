"""Verbs that look around, and what the program does with wrong arguments."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import nmmfit
from nmmfit.cli import main as program
from nmmfit.cli.main import main
from nmmfit.eft import operators
from nmmfit.presets import C_T

ROOT = Path(nmmfit.__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def fails(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 2) -> str:
    """The one line on stderr of a call that fails; nothing may stand on stdout."""
    assert main(arguments) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert len(lines) == 1, printed.err
    return lines[0]


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """The JSON object of a call that succeeds; nothing else may stand on stdout."""
    assert main(arguments) == 0
    return json.loads(capsys.readouterr().out)


def verbs(app: Any) -> list[tuple[str, ...]]:
    import typer.main

    def walk(command: Any, path: tuple[str, ...]) -> list[tuple[str, ...]]:
        inner = getattr(command, "commands", {})
        return [path, *(found for name, sub in inner.items() for found in walk(sub, (*path, name)))]

    return walk(typer.main.get_command(app), ())


@pytest.mark.parametrize("verb", verbs(program.app), ids=" ".join)
def test_every_help_text_has_an_example(verb: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*verb, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"Example: nmmfit {' '.join(verb)}".strip() in " ".join(shown.split()) or verb in ((), ("list",))
    assert "Example: nmmfit" in shown


def test_list_coefficients_above_m_w(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "list", "coefficients", "--above-m-w", "--json")["coefficients"]
    assert sum(entry["lepton_number"] == "conserved" for entry in found.values()) == 351
    assert len(found) == 609
    assert found["LHB_12"]["unit"] == "GeV^-3"
    assert found["LNQd3_1122"]["unit"] == "GeV^-2"
    assert main(["list", "coefficients", "LNLe", "--above-m-w"]) == 0
    assert "(Lbar^j N) eps_jk (Lbar^k e)" in " ".join(capsys.readouterr().out.split())


def test_list_experiments_says_what_the_data_are(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "list", "experiments", "--json")
    trgb = found["experiments"]["trgb"]
    assert (trgb["kind"], trgb["in_all"], trgb["overlaps"]) == ("published limit", False, [])
    assert "arXiv:2007.03694" in trgb["status"]
    assert found["experiments"]["coherent_csi_2021"]["overlaps"] == ["coherent_csi_2017", "coherent_csi_2017_limit"]
    assert "no text at hand" in found["left_out"]["lz_cr51_projection"]
    assert main(["list", "experiments"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for words in ("trgb *", "borexino_phase2_limit", "verify", "binned release", "Left out", "lz_cr51_projection"):
        assert words in shown


def test_list_models(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "list", "models", "--json")["models"]
    assert set(found) == {"charged_scalar", "left_right", "leptoquark_s1", "leptoquark_r2_tilde", "dipole_matrix"}
    assert found["charged_scalar"]["parameters"]["m_phi_gev"]["unit"] == "GeV"
    assert found["leptoquark_s1"]["parameters"]["y_left_31"]["left_out"] == "0"
    assert main(["list", "models", "leptoquark"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "y_right_11 ... y_right_33" in shown
    assert "charged_scalar" not in shown


def test_list_parameters_of_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    example = str(ROOT / "examples" / "charged_scalar.toml")
    found = answer(capsys, "list", "parameters", example, "--json")["parameters"]
    assert found["m_phi_gev"] == {
        "kind": "model", "prior": "log_uniform(100, 2000)", "unit": "GeV", "meaning": "charged_scalar: mass of the scalar"
    }  # fmt: skip
    turned = answer(capsys, "list", "parameters", str(ROOT / "examples" / "cp_violation.toml"), "--json")["parameters"]
    assert turned["tensor_d_phase"]["meaning"] == "phase of tensor_d"
    assert turned["tensor_d"]["kind"] == "model"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (["model.name=charged_scaler"], "model.name: unknown model 'charged_scaler'; did you mean 'charged_scalar'?"),
        (["model.parameters.y_d=1"], "unknown parameter of charged_scalar 'y_d'; did you mean 'y_s'?"),
        (
            ["model.parameters.m_phi_gev={uniform=[10,100]}"],
            "m_phi_gev: uniform(10, 100) reaches from 10 to 100 (allowed: 80.379",
        ),
    ],
)
def test_wrong_models_are_one_line(changes: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = [word for change in changes for word in ("--set", change)]
    assert expected in fails(capsys, "fit", str(ROOT / "examples" / "charged_scalar.toml"), *options)


def test_list_coefficients(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "list", "coefficients", "--json")["coefficients"]
    assert tuple(found) == operators.coefficient_names()
    assert found["TnuNdRR_1122"]["unit"] == "GeV^-2"
    assert found["nuNgamma_11"]["unit"] == "GeV^-1"
    assert main(["list", "coefficients", "TnuNd"]) == 0
    shown = capsys.readouterr().out
    assert "TnuNdRR_1122" in shown
    assert "TnuNuRR" not in shown


def test_list_experiments_and_presets(capsys: pytest.CaptureFixture[str]) -> None:
    from nmmfit import catalogue

    assert tuple(answer(capsys, "list", "experiments", "--json")["experiments"]) == catalogue.names()
    presets = answer(capsys, "list", "presets", "--json")["presets"]
    assert presets["c_T"]["mateu_portoles"]["value"] == C_T["mateu_portoles"].value == -3.2
    assert main(["list", "presets"]) == 0
    assert "mateu_portoles" in capsys.readouterr().out


def test_init_writes_the_default_run_and_never_over_a_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["init", "mine.toml"]) == 0
    text = (tmp_path / "mine.toml").read_text()
    assert capsys.readouterr().out == ""
    table = tomllib.loads(text)
    assert set(table["parameters"]) == {"L_dipole", "L_T_u", "L_T_d", "L_T_s"}
    (tmp_path / "mine.toml").write_text("mine")
    assert "mine.toml: this file exists; it is not overwritten" in fails(capsys, "init", "mine.toml")
    assert (tmp_path / "mine.toml").read_text() == "mine"
    assert "cannot write nowhere/run.toml: No such file or directory" in fails(capsys, "init", "nowhere/run.toml")


def test_init_on_a_full_disk_leaves_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.link", full)
    assert fails(capsys, "init", "new.toml") == "nmmfit: cannot write new.toml: the disk is full"
    assert list(tmp_path.iterdir()) == []


def test_init_where_something_is_in_the_way(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert fails(capsys, "init", "folder") == "nmmfit: folder: this folder exists; it is not overwritten"
    (tmp_path / "link").symlink_to("nowhere")
    assert fails(capsys, "init", "link") == "nmmfit: link: this file exists; it is not overwritten"
    assert "this folder exists" in fails(capsys, "init", "")
    assert "File name too long" in fails(capsys, "init", "a" * 300)


def test_init_into_a_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert answer(capsys, "init", "--out", "new", "--json") == {"path": "new/run.toml"}
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["manifest.json", "run.toml"]
    assert "--out new: the folder is not empty" in fails(capsys, "init", "--out", "new")


def test_the_embedded_run_is_what_the_paper_asks_for() -> None:
    from nmmfit.config import RunConfig, validate
    from nmmfit.run import default_run_text

    config = validate(tomllib.loads(default_run_text()))
    assert config.scale_gev == 80.379
    assert config.experiments == ["borexino_phase2", "coherent_csi_2021"]
    assert {name: (p.prior.numbers, p.unit) for name, p in config.parameters.items()} == {
        "L_dipole": ((0.0, 1e-7), "GeV^-1"),
        "L_T_u": ((0.0, 1e-5), "GeV^-2"),
        "L_T_d": ((0.0, 1e-5), "GeV^-2"),
        "L_T_s": ((0.0, 1e-5), "GeV^-2"),
    }
    for name, quark in (("L_T_u", "TnuNuRR_{0}{0}11"), ("L_T_d", "TnuNdRR_{0}{0}11"), ("L_T_s", "TnuNdRR_{0}{0}22")):
        assert config.parameters[name].coefficients == {quark.format(flavour): 1 for flavour in (1, 2, 3)}
    bare = RunConfig(experiments=config.experiments, parameters=config.parameters)
    assert config.theory == bare.theory, "the file states the defaults of the theory"
    assert config.sampler == bare.sampler, "and those of the sampler"


def test_schema_describes_the_embedded_run(capsys: pytest.CaptureFixture[str]) -> None:
    schema = answer(capsys, "schema", "--json")
    assert schema["additionalProperties"] is False
    keys = {"scale_gev", "experiments", "allow_overlaps", "parameters", "combinations", "model", "theory", "pulls", "options"}
    assert keys | {"sampler", "directions", "templates"} == set(schema["properties"])
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == schema


def test_answers_go_into_a_fresh_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    printed = answer(capsys, "list", "presets", "--json", "--out", "here")
    assert json.loads((tmp_path / "here" / "presets.json").read_text()) == printed
    assert "--out here: the folder is not empty" in fails(capsys, "list", "presets", "--out", "here")
    (tmp_path / "file").write_text("")
    assert "--out file: there is a file of that name" in fails(capsys, "list", "presets", "--out", "file")
    assert "--out file/deeper: file is a file, not a folder" in fails(capsys, "list", "presets", "--out", "file/deeper")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "here"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["lst"], "nmmfit: unknown verb 'lst'; did you mean 'list'?"),
        (["list", "coeficients"], "nmmfit list: unknown verb 'coeficients'; did you mean 'coefficients'?"),
        (["list", "coefficients", "--jsn"], "--json"),
        (["schema", "x"], "unexpected extra argument"),
        (["list", "parameters", "."], "run file '.': Is a directory"),
        (["list", "parameters", "a" * 300], "File name too long"),
        (["list", "parameters", "--set"], "Option '--set' requires an argument"),
        (["list", "parameters", "--set", "scale_gev"], "--set scale_gev: expected KEY=VALUE"),
        (
            ["list", "parameters", "--set", "theory.c_T=mateu"],
            "theory.c_T: unknown preset 'mateu'; did you mean 'mateu_portoles'?",
        ),
        (["schema", "--out", "."], "--out .: this is the folder in which the program runs; name a new or empty folder"),
        (["list", "parameters", "nowhere.toml"], "run file 'nowhere.toml': No such file or directory"),
        (["list", "parameters", "--set", "experiments=['coherent_csi']"], "experiments[0]: unknown experiment 'coherent_csi'"),
        (["list", "parameters", "--set", "scale_gev=1000"], "scale_gev: 1000 GeV is above m_W"),
        (
            ["list", "parameters", "--set", "theory.running=exakt"],
            "theory.running: unknown choice 'exakt'; did you mean 'exact'?",
        ),
    ],
)
def test_wrong_arguments_are_one_line(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert expected in fails(capsys, *arguments)


def test_a_run_file_that_is_no_text(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_bytes(b"\xff\xfe\x00")
    assert "run file 'run.toml': not UTF-8 text" in fails(capsys, "list", "parameters", "run.toml")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "nmmfit: run.toml: experiments: this key is required"),
        ("experiments = [", "nmmfit: run.toml: not valid TOML: Invalid value (at end of document)"),
        ("experiments = []\nscale = 2", "nmmfit: run.toml: unknown key 'scale'; did you mean 'scale_gev'?"),
        (
            "experiments = ['borexino_phase']",
            "nmmfit: run.toml: experiments[0]: unknown experiment 'borexino_phase'; did you mean",
        ),
    ],
)
def test_a_wrong_run_file_is_named(content: str, expected: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(content)
    assert fails(capsys, "list", "parameters", "run.toml").startswith(expected)


def test_an_override_is_not_blamed_on_the_run_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("experiments = []")
    assert fails(capsys, "list", "parameters", "run.toml", "--set", "scale_gev=1").startswith("nmmfit: scale_gev: 1 GeV is below")


def test_no_verb_prints_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    printed = capsys.readouterr()
    assert "schema" in printed.out + printed.err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == nmmfit.__version__


@pytest.mark.parametrize(
    ("problem", "code", "expected"),
    [
        (KeyboardInterrupt(), 130, "nmmfit: interrupted"),
        (OSError(28, "No space left on device", "posterior.nc"), 2, "nmmfit: posterior.nc: No space left on device"),
    ],
)
def test_interruptions_and_a_full_disk(
    problem: BaseException, code: int, expected: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped() -> None:
        raise problem

    monkeypatch.setattr("nmmfit.catalogue.entries", stopped)
    assert main(["list", "experiments"]) == code
    assert capsys.readouterr().err.strip().splitlines()[-1] == expected


def test_our_own_mistakes_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("nmmfit.catalogue.entries", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        main(["list", "experiments"])


def test_a_reader_that_leaves_early_is_no_error() -> None:
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} -m nmmfit list coefficients --json | head -c 1"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "{", "")


def run_shell(command: str, where: Path, **environment: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command line in bash, where $NMMFIT is the program."""
    variables = dict(os.environ, PYTHONPATH=str(ROOT), NMMFIT=f"{sys.executable} -m nmmfit", **environment)
    done = subprocess.run(["bash", "-c", command], cwd=where, env=variables, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_streams_that_are_closed(tmp_path: Path) -> None:
    assert run_shell("$NMMFIT list coefficients >&-", tmp_path) == (0, "", "")
    assert run_shell("$NMMFIT lst 2>&-", tmp_path) == (2, "", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_streams_on_a_full_disk(tmp_path: Path) -> None:
    full = (2, "", "nmmfit: cannot write to standard output: the disk is full\n")
    assert run_shell("$NMMFIT list coefficients --json > /dev/full", tmp_path) == full
    assert run_shell("$NMMFIT lst 2> /dev/full", tmp_path) == (2, "", "")


def test_ctrl_c_at_any_time_is_one_line(tmp_path: Path) -> None:
    # Reading from a pipe that nobody writes to: the program waits until it is interrupted.
    os.mkfifo(tmp_path / "run.toml")
    child = subprocess.Popen(
        [sys.executable, "-m", "nmmfit", "list", "parameters", "run.toml"],
        cwd=tmp_path,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # Opening the other end succeeds once the program waits at its own.
    with open(tmp_path / "run.toml", "wb"):
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    assert (child.returncode, out, err) == (130, "", "nmmfit: interrupted\n")


def test_a_folder_called_likelihoods_does_not_matter(tmp_path: Path) -> None:
    for name in ("", "borexino_phase2_limit", "mine"):
        (tmp_path / "likelihoods" / name).mkdir(exist_ok=True)
        (tmp_path / "likelihoods" / name / "__init__.py").write_text("raise RuntimeError('the decoy was imported')\n")
    code, out, err = run_shell("$NMMFIT list experiments --json", tmp_path)
    assert (code, err) == (0, "")
    assert "mine" not in json.loads(out)["experiments"]
    code, out, err = run_shell("$NMMFIT predict borexino_phase2_limit --json", tmp_path, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert (code, err) == (0, "")
    assert json.loads(out)["experiment"] == "borexino_phase2_limit"


def test_one_line_for_a_cache_that_cannot_be_used(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import warnings

    def warned() -> tuple[()]:
        for compiled in ("jit_a", "jit_b"):
            text = (
                f"Error writing persistent compilation cache entry for '{compiled}': OSError: [Errno 28] No space left on device"
            )
            warnings.warn(text, UserWarning, stacklevel=1)
        return ()

    monkeypatch.setattr("nmmfit.catalogue.entries", warned)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert main(["list", "experiments", "--json"]) == 0
    assert capsys.readouterr().err == (
        "nmmfit: warning: a compiled program cannot be kept or read back: OSError: [Errno 28] No space left on device; it is "
        "compiled anew at every start\n"
    )


def test_warnings_are_one_line_on_stderr(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import warnings

    def warned() -> tuple[()]:
        warnings.warn("something\nodd", RuntimeWarning, stacklevel=1)
        return ()

    monkeypatch.setattr("nmmfit.catalogue.entries", warned)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert main(["list", "experiments", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["experiments"] == {}
    assert printed.err == "nmmfit: warning: something odd\n"


def test_numbers_that_json_cannot_hold() -> None:
    import numpy as np

    from nmmfit.results.jsonable import plain

    given = {
        "a": np.array([1.0, np.nan]),
        "b": 1 + 2j,
        "c": float("inf"),
        "d": np.int64(3),
        "e": (True, None),
        "f": np.array([1j]),
    }
    assert plain(given) == {"a": [1.0, None], "b": [1.0, 2.0], "c": None, "d": 3, "e": [True, None], "f": [[0.0, 1.0]]}
    assert io.StringIO(json.dumps(plain(given), allow_nan=False)).read()
