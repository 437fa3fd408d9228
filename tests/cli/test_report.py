"""`nmmfit report`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from report_folders import PROFILE, limits_payload, write_json_folder

import nmmfit
from nmmfit.cli.main import main
from nmmfit.cli.report import WRITTEN_BY
from nmmfit.results.written import KINDS


@pytest.fixture(autouse=True)
def _lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nmmfit.compilation_cache.enable", lambda: None)
    lab = SimpleNamespace(
        title="A laboratory", status="invented", references=("arXiv:1234.56789",), formulae=(), choices={}, pulls={}
    )
    monkeypatch.setattr("nmmfit.catalogue.build", lambda name, options=None: lab)


def test_a_page_beside_the_results_and_one_elsewhere(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    write_json_folder(tmp_path / "mine", "limits", limits_payload())
    assert main(["report", "mine"]) == 0
    printed = capsys.readouterr()
    assert printed.err == "wrote mine/report.html\n"
    assert printed.out.splitlines()[:2] == ["Limits from lab", "Every limit was found."]
    assert main(["report", "mine", "--out", "there.html", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["kind"], answer["converged"], answer["out"]) == ("limits", True, "there.html")
    assert "eprint = {1234.56789}" in answer["bibtex"]
    assert (tmp_path / "there.html").read_bytes() == (tmp_path / "mine" / "report.html").read_bytes()


def test_results_that_did_not_converge_are_reported_all_the_same(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    write_json_folder(tmp_path / "mine", "profile", PROFILE)
    assert main(["report", "mine"]) == 0
    assert "NOT converged at 1 of 4 points." in capsys.readouterr().out


def test_the_help_names_every_verb_whose_folders_are_taken() -> None:
    """And so does the page about reports, where there is a repository."""
    texts = [WRITTEN_BY]
    page = Path(nmmfit.__file__).resolve().parent.parent / "docs" / "report.md"
    if page.exists():
        texts.append(page.read_text(encoding="utf-8").partition("| section |")[0])
    for text in texts:
        assert [kind for kind in KINDS if not re.search(rf"\b{kind}\b", text)] == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["mine"], "mine/report.html: this file exists; it is not overwritten"),
        (["mine", "--out", "mine"], "mine: this folder exists; it is not overwritten"),
        (["mine", "--out", "no/such/folder.html"], "cannot write no/such/folder.html: No such file or directory"),
        (["nowhere"], "nowhere: there is no such folder of results"),
        (["empty"], "empty: not a folder of results that can be reported: it is empty (allowed: those of fit (summary.json), "),
        ([], "Missing argument 'DIR'"),
    ],
)
def test_wrong_input_is_one_line(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    write_json_folder(tmp_path / "mine", "limits", limits_payload())
    (tmp_path / "mine" / "report.html").write_text("earlier")
    (tmp_path / "empty").mkdir()
    assert main(["report", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert expected in printed.err
    assert printed.err.count("\n") == 1
    assert (tmp_path / "mine" / "report.html").read_text() == "earlier"
