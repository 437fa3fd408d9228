"""`verify` and `rerun`: whether results are what was written, and whether they come out again."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmmfit.cli.arguments import Json, Out
from nmmfit.cli.output import add_row, emit, note, table
from nmmfit.errors import InterruptedRunError, NmmfitError, NotReproducedError, UserInputError

if TYPE_CHECKING:
    from rich.console import Console

    from nmmfit.results.compare import Comparison
    from nmmfit.results.manifest import Found

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of results.")]
MOST_ROWS = 20


def register(app: typer.Typer) -> None:
    """Add these verbs to the program."""
    app.command(epilog="Example: nmmfit verify my-fit")(verify)
    app.command(epilog="Example: nmmfit rerun my-fit --out my-fit-again")(rerun)


def verify(folder: Folder, as_json: Json = False, out: Out = None) -> None:
    """Check the files of a folder of results against its manifest, and its versions and tables against those installed."""
    from nmmfit.results.manifest import check_files, read_manifest

    about = read_manifest(folder)
    found = check_files(folder, about)
    changed = _changed(about)
    payload = {
        "folder": str(folder),
        "verb": about.get("verb"),
        "unfinished": bool(about.get("unfinished")),
        "intact": list(found.intact),
        "missing": list(found.missing),
        "truncated": list(found.truncated),
        "altered": list(found.altered),
        "extra": list(found.extra),
        "made_with_the_same": not changed,
        "differences": changed,
    }
    emit("verify", payload, as_json, out, lambda console: _show(console, found, payload, about))
    if found.problems:
        more = f"; and {len(found.problems) - 5} more" if len(found.problems) > 5 else ""
        raise UserInputError(f"{folder}: not what was written: {'; '.join(found.problems[:5])}{more}")


def _changed(about: Mapping[str, Any]) -> list[str]:
    """What differs between what results were made with and what is here now, in words."""
    from nmmfit import catalogue
    from nmmfit.results.origin import differences, made_with

    names = [str(name) for name in about.get("experiments") or ()]
    gone = [f"the experiment {name} is not there now" for name in names if name not in catalogue.names()]
    if gone:
        return gone
    now = made_with(names)
    # A verb that does not say how it was called notes versions alone.
    return differences({**now, **about}, now)


def _show(console: Console, found: Found, payload: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    what = f"Results of {about['verb']}" if about.get("verb") else "Results"
    made = table(f"{what} in {payload['folder']}", "file", "", "bytes", numbers=(2,))
    for state in ("missing", "truncated", "altered", "extra", "intact"):
        for name in payload[state]:
            known = about["files"].get(name)
            add_row(made, name, "as written" if state == "intact" else state.upper(), str(known["bytes"]) if known else "-")
    console.print(made)
    version = (about.get("versions") or {}).get("nmmfit", "of unknown version")
    if payload["differences"]:
        console.print(f"made with something else than is installed: {'; '.join(payload['differences'][:5])}", markup=False)
    else:
        console.print(f"made with nmmfit {version} and the tables and libraries that are installed", markup=False)
    if payload["unfinished"]:
        console.print(f"of an interrupted computation; nmmfit resume {payload['folder']} goes on with it", markup=False)


def rerun(folder: Folder, as_json: Json = False, out: Out = None) -> None:
    """Compute results again, with their own run file and settings, and say whether they are identical or what differs."""
    from nmmfit.results.compare import compare_folders
    from nmmfit.results.files import RUN_FILE, default_run_path
    from nmmfit.results.manifest import check_files, read_manifest

    about = read_manifest(folder)
    problems = check_files(folder, about).problems
    if problems:
        raise UserInputError(f"{folder}: not what was written: {'; '.join(problems[:5])}; there is nothing to compare with")
    if about.get("unfinished"):
        raise UserInputError(f"{folder}: of an interrupted computation; nmmfit resume {folder} goes on with it")
    verb, words = about.get("verb"), about.get("arguments")
    if not isinstance(verb, str) or not isinstance(words, list):
        raise UserInputError(f"{folder}: its manifest does not say how it was made")
    changed = _changed(about)
    if changed:
        note(f"nmmfit: warning: made with something else than is installed: {'; '.join(changed[:5])}")
    place = out if out is not None else default_run_path()
    has_run = about.get("run") is not None and (about.get("options") or {}).get("fit_folder") is None
    run = [str(folder / RUN_FILE)] if has_run else []
    _compute([*verb.split(), f"--out={place}", *run, *map(str, words)], place)
    found = compare_folders(folder, place)
    payload = {
        "folder": str(folder),
        "verb": verb,
        "identical": found.identical,
        "compared": list(found.compared),
        "pictures": list(found.pictures),
        "differences": [{"file": d.file, "where": d.where, "what": d.what, "relative": d.relative} for d in found.differences],
        "largest": found.largest,
        "made_with_the_same": not changed,
        "out": str(place),
    }
    emit("rerun", payload, as_json, None, lambda console: _show_comparison(console, found, folder, place))
    if not found.identical:
        raise NotReproducedError(f"{folder}: not the same again: {found.differences[0]}{_and_more(found)}")


def _and_more(found: Comparison) -> str:
    more = len(found.differences) - 1
    return f"; and {more} more difference{'s' if more > 1 else ''}" if more else ""


def _compute(words: list[str], place: Path) -> None:
    """Run a verb without its answer on stdout.

    Raises: what the verb raises, unless it has written its results all the same, as where something did not converge.
    """
    from nmmfit.cli.main import app

    try:
        with contextlib.redirect_stdout(io.StringIO()):
            app(args=words, prog_name="nmmfit", standalone_mode=False)
    except InterruptedRunError:
        raise
    except NmmfitError as problem:
        if problem.exit_code != 3 or not place.is_dir():
            raise


def _show_comparison(console: Console, found: Comparison, folder: Path, place: Path) -> None:
    if found.identical:
        console.print(f"{place} is identical to {folder}: {', '.join(found.compared)}", markup=False)
    else:
        made = table(f"{place} against {folder}", "file", "where", "what", "relative", numbers=(3,))
        for d in found.differences[:MOST_ROWS]:
            add_row(made, d.file, d.where, d.what, "-" if d.relative is None else f"{d.relative:.2g}")
        console.print(made)
        if len(found.differences) > MOST_ROWS:
            console.print(f"and {len(found.differences) - MOST_ROWS} more (--json has them all)", markup=False)
    if found.pictures:
        console.print(f"not compared: {len(found.pictures)} pictures, which are drawn from these numbers", markup=False)
