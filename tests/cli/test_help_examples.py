"""The example under every help text does what it says."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import typer.main
from report_folders import RUN, limits_payload, write_fit_folder, write_json_folder

from nmmfit.cli import main as program
from nmmfit.cli.main import main
from nmmfit.inference.joint import JointLikelihood
from nmmfit.results.files import RunFolder

VALUES = "eft: LNEFT\nbasis: nmmfit\nscale: 80.379\nvalues:\n  NAME: 1e-6\n"
SHORT_RUN = "experiments = []\n[sampler]\nchains = 2\nwarmup = 60\ndraws = 40\n"


def examples() -> list[str]:
    """What stands after "Example:" at the end of every help text."""
    commands = [typer.main.get_command(program.app)]
    for command in commands:
        commands += getattr(command, "commands", {}).values()
    return [str(command.epilog).removeprefix("Example: ") for command in commands]


@pytest.fixture(autouse=True)
def _synthetic(joint: JointLikelihood, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A likelihood that is quick to sample in place of the default one, and the run files that the examples name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nmmfit.compilation_cache.enable", lambda: None)
    monkeypatch.setattr("nmmfit.run.Run.joint", lambda self, method="templates": joint)
    monkeypatch.setattr("nmmfit.run.default_run_text", lambda: SHORT_RUN)


def _marked(example: str) -> object:
    heavy = example.split()[1] in (
        "calibrate",
        "check-experiment",
        "export",
        "fisher",
        "fit",
        "impacts",
        "leave-one-out",
        "limits",
        "predict",
        "rerun",
        "scan",
        "tension",
        "toys",
        "tighten",
    )
    return pytest.param(example, marks=pytest.mark.slow if heavy else ())


@pytest.mark.parametrize("example", [_marked(example) for example in sorted(set(examples()))])
def test_the_example_works(example: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(example.partition(" > ")[0])
    assert words[0] == "nmmfit"
    if words[1] != "init":
        for name in ("my-run.toml", "run.toml"):
            (tmp_path / name).write_text(SHORT_RUN)
        if words[1] == "rerun":
            assert main(["fit", "my-run.toml", "--no-plots", "--out", "my-fit"]) == 3
        elif words[1] in ("resume", "verify"):
            with RunFolder("my-fit") as folder:
                folder.write_text("summary.json", "{}")
                folder.publish()
        elif words[1] == "prior-sensitivity":
            write_fit_folder(tmp_path / "my-fit", RUN.replace('["lab"]', "[]"))
        elif words[1] != "fit":
            write_json_folder(tmp_path / "my-fit", "limits", limits_payload(), "experiments = []\n")
        (tmp_path / "values.yml").write_text(VALUES.replace("NAME", "TnuNdRR_1122"))
        (tmp_path / "vectors.yml").write_text(VALUES.replace("NAME", "VnueLL_1122"))
    # So few draws do not converge, which is code 3; wrong input would be 2.
    assert main(words[1:]) in ((0, 3) if words[1] in ("calibrate", "fit", "leave-one-out", "limits") else (0,))
    printed = capsys.readouterr()
    assert printed.out or words[1] == "init" or "--out" in words
    if "--out" in words:
        out = tmp_path / words[words.index("--out") + 1]
        assert out.is_file() if out.suffix else out.is_dir()
