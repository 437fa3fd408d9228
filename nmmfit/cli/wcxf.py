"""`wcxf`: this package's theories in the Wilson coefficient exchange format, and files of values."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmmfit.cli.arguments import Json, VerbGroup
from nmmfit.cli.output import add_row, emit, note, printing, table
from nmmfit.errors import UserInputError, unknown
from nmmfit.results.jsonable import plain

if TYPE_CHECKING:
    from rich.console import Console

    from nmmfit.eft.wcxf.values import WcxfValues

TheoryName = Annotated[
    str, typer.Argument(metavar="lneft|smneft|smneft-up", help="Theory: below m_W, above it, above it with up-aligned doublets.")
]
OutFile = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="New file to write (.yml, .yaml or .json) instead of stdout.", show_default=False),
]
TARGETS = ("wet-jms", "wet-flavio", "lneft")

wcxf = typer.Typer(
    cls=VerbGroup, help="Files of the Wilson coefficient exchange format (arXiv:1712.05298).", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add this verb to the program."""
    app.add_typer(wcxf, name="wcxf", epilog="Example: nmmfit wcxf basis lneft")


@wcxf.command(epilog="Example: nmmfit wcxf eft lneft")
def eft(name: TheoryName, as_json: Json = False, out: OutFile = None) -> None:
    """The EFT file of a theory: its name and sectors."""
    from nmmfit.eft.wcxf.bases import eft_file, plain

    _give(plain(eft_file(name)), as_json, out)


@wcxf.command(epilog="Example: nmmfit wcxf basis lneft --out lneft.nmmfit.basis.yml")
def basis(name: TheoryName, as_json: Json = False, out: OutFile = None) -> None:
    """The basis file of a theory: every independent coefficient, its realness and its operator."""
    from nmmfit.eft.wcxf.bases import basis_file, plain

    _give(plain(basis_file(name)), as_json, out)


@wcxf.command(epilog="Example: nmmfit wcxf check values.yml")
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Values of LNEFT or SMNEFT, YAML or JSON.")], as_json: Json = False
) -> None:
    """Read a file of values, and show it by the coefficients of this package."""
    from nmmfit.exchange.wcxf import read_wcxf

    values = read_wcxf(file)
    payload = {"eft": values.eft, "basis": values.basis, "scale_gev": values.scale_gev, "values": values.values}
    emit("check", payload, as_json, None, lambda console: _show(console, values))


@wcxf.command(epilog="Example: nmmfit wcxf translate vectors.yml --to wet-jms --out wet.yml")
def translate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Values of LNEFT, or of WET in the JMS or flavio basis.")],
    to: Annotated[str, typer.Option("--to", metavar="|".join(TARGETS), help="What to translate into.")] = "wet-jms",
    leave_out: Annotated[
        bool, typer.Option("--leave-out", help="Leave out what has no counterpart, and say so; otherwise that is an error.")
    ] = False,
    as_json: Json = False,
    out: OutFile = None,
) -> None:
    """Vector currents of left-handed neutrinos between LNEFT and the bases of WET, at the same scale."""
    from nmmfit.eft.wcxf.wet import from_wet, to_wet
    from nmmfit.exchange.wcxf import read_values_file, read_wcxf

    if to not in TARGETS:
        raise unknown("target", to, TARGETS, "--to")
    try:
        if to == "lneft":
            done = from_wet(read_values_file(file), str(file), leave_out=leave_out)
        else:
            chosen = {"wet-jms": "JMS", "wet-flavio": "flavio"}[to]
            done = to_wet(read_wcxf(file), chosen, leave_out=leave_out, where=str(file))
    except UserInputError as problem:
        raise UserInputError(str(problem).replace("leave out what has none to go on", "--leave-out goes on without it")) from None
    for name, reason in done.left_out.items():
        note(f"left out: {name}: {reason}")
    _give(done.values.plain(), as_json, out)


def _give(content: dict[str, Any], as_json: bool, out: Path | None) -> None:
    """A file's content to a new file, or to stdout as YAML or as one JSON object; with both, the object and the file."""
    from nmmfit.eft.wcxf.text import render

    if out is not None:
        from nmmfit.exchange.wcxf import wants_json
        from nmmfit.results.files import write_new_text

        write_new_text(out, render(content, as_json=wants_json(out)))
        note(f"wrote {out}")
    if as_json:
        emit("wcxf", plain(content), True, None, lambda console: None)
    elif out is None:
        printing(lambda: sys.stdout.write(render(content)))


def _show(console: Console, values: WcxfValues) -> None:
    from nmmfit.eft import operators, smneft_operators

    made = table(
        f"{values.eft}, basis {values.basis}, at {values.scale_gev:g} GeV", "name", "real", "imaginary", "unit", numbers=(1, 2)
    )
    reader = smneft_operators.parse if values.eft == "SMNEFT" else operators.parse
    for name, value in values.values.items():
        unit = reader(name).operator.unit
        add_row(made, name, f"{value.real:.6g}", f"{value.imag:.6g}" if value.imag else "", unit)
    console.print(made)
