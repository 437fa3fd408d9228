"""Every script that makes tables, with a release folder that lacks a file or holds another one: one line, and no table."""

from __future__ import annotations

import hashlib
import importlib
import shutil
from pathlib import Path
from types import ModuleType

import pytest

import nmmfit
from nmmfit.checksums import release_sums
from nmmfit.tables import run_maker

ROOT = Path(nmmfit.__file__).resolve().parent.parent
SCRIPTS = sorted([*ROOT.glob("likelihoods/*/make_data.py"), *ROOT.glob("nmmfit/physics/make_*.py")])
MODULES = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in SCRIPTS]


def run(module: ModuleType, release: Path, out: Path) -> int:
    """What the script does, with its own tables as those that are shipped."""
    data = Path(str(module.__file__)).parent / "data"
    return run_maker(module.make, data, ["--release", str(release), "--out", str(out)])


def shipped_sums(module: ModuleType, made: Path) -> set[str]:
    """Checksums of the release files that tables are made from, of those tables that the script makes."""
    data = Path(str(module.__file__)).parent / "data"
    return {value for table in made.glob("*.csv") for value in release_sums(data / table.name).values()}


def test_there_is_a_script_for_every_folder_of_tables() -> None:
    folders = {path.parent for path in ROOT.glob("likelihoods/*/data")}
    assert {path.parent for path in SCRIPTS if path.name == "make_data.py"} == folders


@pytest.mark.parametrize("name", MODULES)
def test_an_empty_folder_is_one_line(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = importlib.import_module(name)
    (tmp_path / "release").mkdir()
    assert run(module, tmp_path / "release", tmp_path / "out") == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert str(tmp_path / "release") in said.err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
def test_a_file_that_is_missing_or_another_one_is_one_line(
    name: str, release_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each release file in turn: with a line more, which its checksum or its reader finds, as something else, and not there."""
    module = importlib.import_module(name)
    release, out = tmp_path / "data", tmp_path / "out"
    shutil.copytree(release_dir, release)
    assert run(module, release, tmp_path / "whole") == 0
    wanted = shipped_sums(module, tmp_path / "whole")
    used = [p for p in sorted(release.rglob("*")) if p.is_file() and hashlib.sha256(p.read_bytes()).hexdigest() in wanted]
    assert len({hashlib.sha256(p.read_bytes()).hexdigest() for p in used}) == len(wanted) > 0
    capsys.readouterr()
    for path in used:
        whole = path.read_bytes()
        path.write_bytes(whole + b"\n")
        assert run(module, release, out) == 2, f"{path.name} with a line more is taken"
        said = capsys.readouterr().err
        assert len(said.splitlines()) == 1, said
        assert "has the SHA-256" in said or path.name in said
        path.write_bytes(b"\x00 no, such \xff file\n" * 3)
        assert run(module, release, out) == 2
        said = capsys.readouterr().err
        assert len(said.splitlines()) == 1, said
        assert path.name in said
        path.unlink()
        assert run(module, release, out) == 2
        said = capsys.readouterr().err
        assert len(said.splitlines()) == 1, said
        assert path.name in said
        path.write_bytes(whole)
    assert not out.exists()
