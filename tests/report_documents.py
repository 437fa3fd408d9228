"""Documents of report pages as tests look at them: made from a payload, and read by section, table and cell."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from report_folders import write_json_folder

from nmmfit.results.report import make_document
from nmmfit.results.report.document import Document, Section, Table
from nmmfit.results.written import read_results


def build_without_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the catalogue build an experiment that needs no tables, whatever its name."""
    lab = SimpleNamespace(
        title="A laboratory", status="invented", references=("arXiv:1234.56789",), formulae=(), choices={}, pulls={}
    )
    monkeypatch.setattr("nmmfit.catalogue.build", lambda name, options=None: lab)


def document_of(path: Path, verb: str, payload: Any, run: str) -> Document:
    """The report of a folder with one payload and one run file."""
    path.mkdir(exist_ok=True)
    return make_document(read_results(write_json_folder(path / "x", verb, payload, run)))


def changed(payload: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The payload with the entry at a path (words between slashes) replaced; deleted where the value is `...`."""
    made = copy.deepcopy(payload)
    *above, last = path.split("/")
    place = made
    for key in above:
        place = place[key]
    place[last] = value
    if value is ...:
        del place[last]
    return made


def plain(text: str) -> str:
    """Text with plain spaces."""
    return text.replace("\N{NO-BREAK SPACE}", " ")


def section(document: Document, title: str) -> Section:
    """A section by its title."""
    return next(s for s in document.sections if s.title == title)


def tables(document: Document) -> dict[str, Table]:
    """All tables by their captions."""
    return {t.caption: t for s in document.sections for t in s.tables}


def cells(document: Document, caption: str) -> dict[str, tuple[str, ...]]:
    """Rows of a table by their first cell."""
    return {plain(row[0]): tuple(plain(cell) for cell in row[1:]) for row in tables(document)[caption].rows}
