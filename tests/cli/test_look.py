"""Verbs that look around, and what the program does with wrong arguments."""

from __future__ import annotations

import io
import json
import os
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


def test_init_into_a_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert answer(capsys, "init", "--out", "new", "--json") == {"path": "new/run.toml"}
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["run.toml"]
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
    assert {"scale_gev", "experiments", "parameters", "theory", "pulls", "options", "sampler"} == set(schema["properties"])
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == schema


def test_answers_go_into_a_fresh_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    printed = answer(capsys, "list", "presets", "--json", "--out", "here")
    assert json.loads((tmp_path / "here" / "presets.json").read_text()) == printed
    assert "--out here: the folder is not empty" in fails(capsys, "list", "presets", "--out", "here")
    (tmp_path / "file").write_text("")
    assert "--out file: there is a file of that name" in fails(capsys, "list", "presets", "--out", "file")
    assert "cannot write file/deeper" in fails(capsys, "list", "presets", "--out", "file/deeper")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "here"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["lst"], "nmmfit: unknown verb 'lst'; did you mean 'list'?"),
        (["list", "coeficients"], "nmmfit list: unknown verb 'coeficients'; did you mean 'coefficients'?"),
        (["list", "coefficients", "--jsn"], "--json"),
        (["schema", "x"], "unexpected extra argument"),
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
    assert json.loads(printed.out) == {"experiments": {}}
    assert printed.err == "nmmfit: warning: something odd\n"


def test_numbers_that_json_cannot_hold() -> None:
    import numpy as np

    from nmmfit.cli.output import plain

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
