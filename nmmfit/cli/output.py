"""What verbs print: one JSON object or rich tables to stdout, messages to stderr, files into a fresh folder."""

from __future__ import annotations

import errno
import io
import json
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from nmmfit.errors import OutputError
from nmmfit.results.jsonable import plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# Tables that are piped into a file or a pager get this many columns instead of rich's 80.
PIPED_WIDTH = 160


def note(message: str) -> None:
    """A message to the user, on stderr; where stderr cannot be written, nobody wants it."""
    with suppress(OSError):
        typer.echo(message, err=True)


def emit(
    verb: str,
    payload: Mapping[str, Any],
    as_json: bool,
    out: Path | None,
    show: Callable[[Console], None],
    beside: Mapping[str, str] | None = None,
    origin: Callable[[], Mapping[str, Any]] | None = None,
) -> None:
    """Print a verb's answer, as JSON or by `show`; with `out` also write it to `<verb>.json` in that fresh folder.

    `beside` are further files for that folder, name -> text; `origin` says how the answer was made, see `origin_of`.
    """
    text = json.dumps(plain(payload), indent=None if as_json else 1, allow_nan=False)
    if out is not None:
        from nmmfit.results.files import RunFolder

        with RunFolder(out, origin() if origin is not None else None) as folder:
            folder.write_text(f"{verb}.json", text + "\n")
            for name, content in (beside or {}).items():
                folder.write_text(name, content)
            folder.publish()
    if as_json:
        printing(lambda: sys.stdout.write(text + "\n"))
    else:
        printing(lambda: show(console()))


def printing(write: Callable[[], object]) -> None:
    """Write to stdout, to the end; a reader (head, less) that has seen enough stops the printing, not the verb.

    Raises: OutputError where stdout is a file on a full disk.
    """
    try:
        write()
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):
        # The second is how rich reports the first.
        discard_stdout()
    except OSError as problem:
        discard_stdout()
        full = problem.errno in (errno.ENOSPC, errno.EDQUOT)
        raise OutputError(f"cannot write to standard output: {'the disk is full' if full else problem.strerror}") from None


class _Nowhere(io.TextIOBase):
    """A text stream that forgets what is written to it."""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        return len(text)


def discard_stdout() -> None:
    """Let stdout lead nowhere; without this the interpreter complains when it flushes what is left at exit."""
    sys.stdout = _Nowhere()


def console() -> Console:
    """A rich console on stdout."""
    from rich.console import Console

    screen = Console(file=sys.stdout, highlight=False)
    if not screen.is_terminal:
        screen = Console(file=sys.stdout, highlight=False, width=PIPED_WIDTH)
    return screen


def table(title: str, *columns: str, numbers: tuple[int, ...] = ()) -> Table:
    """An empty table; columns at the indices `numbers` are aligned to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    # The title is wrapped to the width of the table, so that a narrow table is widened.
    made = Table(title=title, min_width=min(len(title), PIPED_WIDTH), box=SIMPLE_HEAD, title_justify="left", title_style="bold")
    for index, column in enumerate(columns):
        made.add_column(column, justify="right" if index in numbers else "left", overflow="fold")
    return made


def add_row(made: Table, *cells: str) -> None:
    """Add a row whose cells are shown as they are, square brackets included."""
    from rich.text import Text

    made.add_row(*map(Text, cells))


def moments_table(title: str, moments_mub: Mapping[str, float], solar: str) -> Table:
    """A table of effective moments; `solar` says which solar neutrinos are meant."""
    sources = {
        "reactor_e": "reactor, electron antineutrinos",
        "sns_mu": "stopped pions, muon neutrinos",
        "sns_e": "stopped pions, electron neutrinos",
        "solar": solar,
        "plasmon": "plasmon decay in stars, all flavours together",
    }
    made = table(title, "source", "name", "moment [1e-11 mu_B]", numbers=(2,))
    for name, moment in moments_mub.items():
        add_row(made, sources[name], name, f"{moment / 1e-11:.4g}")
    return made
