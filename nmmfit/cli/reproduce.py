"""`reproduce`: the founding paper's tables, printed numbers beside what its inputs give and what this program gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmmfit.cli.arguments import Json, Out
from nmmfit.cli.output import add_row, emit, table

if TYPE_CHECKING:
    from rich.console import Console

PAPER = "arXiv:2206.13122"


def register(app: typer.Typer) -> None:
    """Add this verb to the program."""
    app.command(epilog="Example: nmmfit reproduce table3")(reproduce)


def reproduce(
    what: Annotated[str, typer.Argument(metavar="WHAT", help="table3, table4, table5, table6 of arXiv:2206.13122, or all.")],
    as_json: Json = False,
    out: Out = None,
) -> None:
    """Tables of the founding paper: printed, with its own inputs and slips (seed_faithful), and done exactly."""
    from nmmfit.errors import unknown
    from nmmfit.reproduce import TABLES, all_entries, as_rows, entries

    if what not in (*TABLES, "all"):
        raise unknown("table", what, (*TABLES, "all"), "reproduce")
    from nmmfit.cli.runtime import start_computing

    start_computing()
    rows = as_rows(all_entries() if what == "all" else entries(what))
    payload = {"what": what, "paper": PAPER, "entries": rows, "agree": sum(bool(row["agrees"]) for row in rows), "of": len(rows)}
    emit("reproduce", payload, as_json, out, lambda console: _show(console, payload, rows))


def _show(console: Console, payload: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    reasons: dict[str, int] = {}
    for name in dict.fromkeys(row["table"] for row in rows):
        columns = (
            "scale [GeV]",
            "quantity",
            "coefficient",
            "unit",
            "printed",
            "seed_faithful",
            "exact",
            "exact, flag2021",
            "exact / printed",
            "why",
        )
        made = table(f"{name} of {PAPER}", *columns, numbers=(0, 4, 5, 6, 7, 8))
        for row in rows:
            if row["table"] != name:
                continue
            note = f"({reasons.setdefault(row['reason'], len(reasons) + 1)})" if row["reason"] else ""
            numbers = (f"{row[key]:.3g}" for key in ("seed_faithful", "exact", "exact_flag2021", "ratio"))
            mark = "" if row["agrees"] else " (!)"
            add_row(
                made,
                f"{row['scale_gev']:g}",
                row["quantity"],
                row["coefficient"],
                row["unit"],
                f"{row['printed']:g}{mark}",
                *numbers,
                note,
            )
        console.print(made)
    for reason, number in reasons.items():
        console.print(f"({number}) {reason}", markup=False)
    console.print(
        f"{payload['agree']} of {payload['of']} printed numbers come out of the paper's own inputs; (!) marks those that do not.",
        markup=False,
    )
