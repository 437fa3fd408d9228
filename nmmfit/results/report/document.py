"""What a report is made of, before anybody knows about HTML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Table:
    """A table: the first column names its rows; `numbers` are the columns that are aligned to the right."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[int] = frozenset()
    note: str = ""

    def __post_init__(self) -> None:
        if any(len(row) != len(self.heads) for row in self.rows):
            raise ValueError(f"{self.caption}: every row needs {len(self.heads)} cells")


@dataclass(frozen=True)
class Picture:
    """A picture as a data URI with what it shows in words, and a caption."""

    source: str
    alt: str
    caption: str


@dataclass(frozen=True)
class Text:
    """Something to be copied as it stands: a run file, BibTeX."""

    label: str
    content: str


@dataclass(frozen=True)
class Section:
    """A section: sentences, then points, then tables, pictures and texts."""

    title: str
    sentences: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    texts: tuple[Text, ...] = ()


@dataclass(frozen=True)
class Document:
    """A whole report.

    Attributes:
        kind: verb that made the results.
        title: heading of the page.
        answer: what came out, in words; the first thing that is read.
        converged: the verdict; `verdict` in words.
        sections: in order.
        bibtex: the entries of everything to cite.
    """

    kind: str
    title: str
    answer: tuple[str, ...]
    converged: bool
    verdict: str
    sections: tuple[Section, ...] = field(default=())
    bibtex: str = ""


def table(
    caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int] = (), note: str = ""
) -> Table:
    """A table from any sequences."""
    return Table(caption, tuple(heads), tuple(tuple(row) for row in rows), frozenset(numbers), note)


def anchor(title: str) -> str:
    """A title as the name of a place in the page."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "part"
