"""The pages about the command line and the run file say what the program does."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import typer.main

import nmmfit
from nmmfit.cli.main import app
from nmmfit.config import RunConfig, SamplerSpec, TemplateSpec, TheorySpec, validate
from nmmfit.models import MODELS
from nmmfit.priors import FAMILIES

DOCS = Path(nmmfit.__file__).resolve().parent.parent / "docs"
COMMAND_LINE = (DOCS / "command_line.md").read_text(encoding="utf-8")
RUN_FILE = (DOCS / "run_file.md").read_text(encoding="utf-8")
PROGRAM = typer.main.get_command(app)


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def test_every_verb_is_documented_and_every_documented_verb_exists() -> None:
    documented = set(re.findall(r"^\| `nmmfit ([\w-]+)", COMMAND_LINE, re.MULTILINE))
    assert documented == set(PROGRAM.commands)  # type: ignore[attr-defined]
    groups = {name: command for name, command in PROGRAM.commands.items() if hasattr(command, "commands")}  # type: ignore[attr-defined]
    for name, group in groups.items():
        assert set(re.findall(rf"^\| `nmmfit {name} (\w+)", COMMAND_LINE, re.MULTILINE)) == set(group.commands)


@pytest.mark.parametrize("line", [x for page in (COMMAND_LINE, RUN_FILE) for b in blocks(page, "bash") for x in b.splitlines()])
def test_options_of_examples_exist(line: str) -> None:
    words = line.split()
    assert words[0] == "nmmfit"
    command = PROGRAM.commands[words[1]]  # type: ignore[attr-defined]
    command = getattr(command, "commands", {}).get(words[2] if len(words) > 2 else "", command)
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= known


def test_the_example_run_file_is_valid() -> None:
    example, *parts = blocks(RUN_FILE, "toml")
    made = validate(tomllib.loads(example))
    assert made.theory.c_T.numbers == (-3.2,)
    assert made.sampler.draws == 2000
    parts += blocks((DOCS / "theory" / "moments.md").read_text(encoding="utf-8"), "toml")
    for part in parts:
        assert validate({"experiments": [], **tomllib.loads(part)})


def test_every_model_and_option_is_documented() -> None:
    section = RUN_FILE.partition("## Models")[2].partition("## Priors")[0]
    named = set(re.findall(r"`([\w.]+)`", section))
    assert set(MODELS) <= named
    assert {option for model in MODELS.values() for option in model.options} <= named


def test_every_key_and_family_is_documented() -> None:
    named = set(re.findall(r"`([\w.\"]+)`", RUN_FILE))
    assert {key.split(".")[0] for key in named} >= set(RunConfig.model_fields)
    assert set(TheorySpec.model_fields) <= named
    assert set(SamplerSpec.model_fields) <= named
    assert set(TemplateSpec.model_fields) <= {key.split(".")[0] for key in named}
    assert set(re.findall(r"^\| `\{ (\w+) =", RUN_FILE, re.MULTILINE)) == set(FAMILIES)


@pytest.mark.parametrize("code", blocks(RUN_FILE, "python"))
def test_python_examples_run(code: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nmmfit.catalogue.names", lambda: ("borexino_phase2", "coherent_csi_2021"))
    # What follows # at the end of a line is what that line prints.
    exec(compile(code, "run_file.md", "exec"), {})
    assert capsys.readouterr().out.splitlines()[0] == "GeV^-2"
