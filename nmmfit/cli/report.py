"""`report`: one page about a folder of results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nmmfit.cli.arguments import Json
from nmmfit.cli.output import emit, note

if TYPE_CHECKING:
    from rich.console import Console

PAGE = "report.html"
WRITTEN_BY = (
    "Folder that fit, fit --prior-predictive, limits, profile, scan, validate, tension, impacts, leave-one-out, fisher, tighten, "
    "toys, calibrate or prior-sensitivity wrote; which of these it was, its files tell."
)


def register(app: typer.Typer) -> None:
    """Add this verb to the program."""
    app.command(epilog="Example: nmmfit report my-fit --out my-fit.html")(report)


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help=WRITTEN_BY)],
    as_json: Json = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Page to write (HTML); without it report.html in DIR.", show_default=False),
    ] = None,
) -> None:
    """One self-contained HTML page about a folder of results: question, answer, plots, diagnostics, provenance, citations."""
    from nmmfit.errors import OutputError
    from nmmfit.results.files import write_new_text
    from nmmfit.results.written import read_results

    place = folder / PAGE if out is None else out
    # What is wrong with the arguments is said before anything is built or drawn.
    results = read_results(folder)
    if place.exists():
        raise OutputError(f"{place}: this {'folder' if place.is_dir() else 'file'} exists; it is not overwritten")
    from nmmfit.cli.runtime import start_computing

    start_computing()
    from nmmfit.results.report import make_document
    from nmmfit.results.report.render import html

    document = make_document(results)
    write_new_text(place, html(document))

    def show(console: Console) -> None:
        for line in (document.title, document.verdict, *document.answer):
            console.print(line, markup=False)

    payload = {
        "kind": document.kind,
        "title": document.title,
        "converged": document.converged,
        "verdict": document.verdict,
        "answer": document.answer,
        "sections": [section.title for section in document.sections],
        "bibtex": document.bibtex,
        "out": str(place),
    }
    emit("report", payload, as_json, None, show)
    note(f"wrote {place}")
