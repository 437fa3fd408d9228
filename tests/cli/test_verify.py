"""`verify`: files of a folder against its manifest; and how the parts of `rerun` see differences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nmmfit import catalogue
from nmmfit.cli.main import main
from nmmfit.results import adapter
from nmmfit.results.adapter import Variable
from nmmfit.results.compare import compare_folders
from nmmfit.results.files import RunFolder
from nmmfit.results.origin import differences, made_with, tables_of


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.splitlines()[-1]


def posterior(values: np.ndarray, **attrs: str) -> bytes:
    return adapter.netcdf_bytes(adapter.from_dict({"posterior": {"L": Variable(values, ("chain", "draw"))}}, attrs=attrs))


DRAWS = np.random.default_rng(1).normal(size=(2, 5))


def write(name: str, draws: np.ndarray = DRAWS, **answer: Any) -> Path:
    """A folder of results, made with the experiment whose tables are checked."""
    origin = {"verb": "fit", "options": {}, "arguments": [], "run": None, **made_with(["borexino_phase2"])}
    with RunFolder(name, origin) as folder:
        folder.write_bytes("posterior.nc", posterior(draws, created_at=name))
        folder.write_text("summary.json", json.dumps({"mean": 1.0, "wall_s": 3.0, "names": ["L"], **answer}))
        folder.write_text("run.toml", "experiments = []\n")
        (folder.path / "plots").mkdir()
        folder.write_text("plots/corner.svg", name)
        return folder.publish()


def test_a_folder_as_it_was_written(capsys: pytest.CaptureFixture[str]) -> None:
    write("mine")
    assert main(["verify", "mine"]) == 0
    shown = capsys.readouterr().out
    assert "plots/corner.svg" in shown
    assert "made with nmmfit" in shown
    assert main(["verify", "mine", "--json", "--out", "answer"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["intact"] == ["plots/corner.svg", "posterior.nc", "run.toml", "summary.json"]
    assert [answer[k] for k in ("missing", "truncated", "altered", "extra", "differences")] == [[]] * 5
    assert answer["made_with_the_same"] is True
    assert json.loads(Path("answer/verify.json").read_text()) == answer
    # What is written about a check can be checked as well.
    assert main(["verify", "answer"]) == 0


def test_what_was_changed_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    folder = write("mine")
    (folder / "run.toml").unlink()
    whole = (folder / "posterior.nc").read_bytes()
    (folder / "posterior.nc").write_bytes(whole[:-1])
    summary = (folder / "summary.json").read_text()
    (folder / "summary.json").write_text(summary.replace("1.0", "2.0"))
    (folder / "report.html").write_text("<html>")
    assert main(["verify", "mine", "--json"]) == 2
    printed = capsys.readouterr()
    answer = json.loads(printed.out)
    assert (answer["missing"], answer["truncated"], answer["altered"]) == (["run.toml"], ["posterior.nc"], ["summary.json"])
    assert answer["extra"] == ["report.html"]
    said = "run.toml is missing; posterior.nc is truncated; summary.json is altered"
    assert printed.err.splitlines()[-1] == f"nmmfit: mine: not what was written: {said}"


def test_a_file_that_was_added_is_named_and_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    folder = write("mine")
    (folder / "report.html").write_text("<html>")
    assert main(["verify", "mine"]) == 0
    assert "EXTRA" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text.replace("0.", "1.", 1), "altered (its content does not have the checksum"),
        (lambda text: text[:-30], "broken or cut short ("),
        (lambda text: "[]", "broken or cut short (not an object with files)"),
        (lambda text: '{"files": {}}', "broken or cut short ('manifest_sha256' is missing)"),
    ],
)
def test_a_manifest_that_was_changed_is_named(change: Any, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = write("mine") / "manifest.json"
    path.write_text(change(path.read_text()))
    for verb in ("verify", "rerun"):
        assert main([verb, "mine"]) == 2
        assert last_line(capsys).startswith(f"nmmfit: mine/manifest.json: {says}")


def test_folders_that_cannot_be_checked(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for name, says in (
        ("none", "none: there is no such folder"),
        ("file", "file: this is a file, not a folder"),
        ("empty", "empty: holds no manifest.json, so that its files cannot be checked; nmmfit writes one with all results"),
    ):
        for verb in ("verify", "rerun"):
            assert main([verb, name]) == 2
            assert last_line(capsys) == f"nmmfit: {says}"
    with RunFolder("bare") as folder:
        folder.write_text("x.json", "{}")
        folder.publish()
    assert main(["verify", "bare"]) == 0
    assert main(["rerun", "bare"]) == 2
    assert last_line(capsys) == "nmmfit: bare: its manifest does not say how it was made"


def test_other_versions_and_tables_are_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    write("mine")
    tables = tables_of(["borexino_phase2"])
    changed = next(name for name in tables if name.startswith("likelihoods/borexino_phase2/data/"))
    monkeypatch.setattr("nmmfit.results.origin.tables_of", lambda names: tables | {changed: "0" * 64})
    assert main(["verify", "mine", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["made_with_the_same"] is False
    assert answer["differences"] == [f"the table {changed} has other content now"]


def test_what_differs_is_said_in_order_of_weight() -> None:
    then = made_with()
    now = {**then, "versions": then["versions"] | {"nmmfit": "9.9", "numpy": "1.0"}, "program": "other"}
    version = then["versions"]
    assert differences(then, then) == []
    assert differences(then, now) == [
        f"nmmfit {version['nmmfit']} then, 9.9 now",
        f"numpy {version['numpy']} then, 1.0 now",
    ]
    assert differences(then, {**then, "program": "other"}) == ["the source of nmmfit or of an experiment has changed"]


def test_tables_are_those_that_are_read() -> None:
    found = tables_of(["borexino_phase2"])
    assert any(name.startswith("nmmfit/physics/data/solar_") for name in found)
    listed = Path(str(catalogue.folder_of("borexino_phase2"))) / "SHA256SUMS"
    for line in listed.read_text().splitlines():
        value, name = line.split("  ")
        assert found[f"likelihoods/borexino_phase2/{name}"] == value


def test_folders_are_compared_number_by_number() -> None:
    mine = write("mine")
    assert compare_folders(mine, write("same", wall_s=4.0)).identical
    moved = DRAWS.copy()
    moved[1, 2] *= 1.0 + 1e-6
    found = compare_folders(mine, write("other", moved, mean=1.01, names=["L", "T"], more=1))
    assert found.pictures == ("plots/corner.svg",)
    assert [str(d) for d in found.differences] == [
        f"posterior.nc: posterior/L: differs by up to {1e-6 * abs(DRAWS[1, 2]) / np.abs(moved).max():.2g} of its largest value",
        "summary.json: mean: 1.0 before, 1.01 now",
        "summary.json: more: not there before",
        'summary.json: names: ["L"] before, ["L", "T"] now',
    ]
    assert found.largest == pytest.approx(0.01 / 1.01)
    (mine / "run.toml").unlink()
    assert "run.toml: not there before" in map(str, compare_folders(mine, Path("other")).differences)


@pytest.mark.slow
def test_a_small_verb_comes_out_again(capsys: pytest.CaptureFixture[str]) -> None:
    """Arguments, options and flags of a command line are those of the next one."""
    words = ["reproduce", "table3"]
    assert main([*words, "--out", "mine"]) == 0
    about = json.loads(Path("mine/manifest.json").read_text())
    assert (about["verb"], about["arguments"], about["run"]) == ("reproduce", ["--", "table3"], None)
    capsys.readouterr()
    assert main(["rerun", "mine", "--json", "--out", "again"]) == 0
    assert json.loads(capsys.readouterr().out)["compared"] == ["reproduce.json"]
    assert Path("again/manifest.json").read_text() == Path("mine/manifest.json").read_text()
