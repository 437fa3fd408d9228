"""`reproduce`: tables and a figure of the founding papers beside what their inputs and what this program give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmmfit.cli.arguments import Json, Out
from nmmfit.cli.invocation import origin_of, results_folder
from nmmfit.cli.output import add_row, emit, table
from nmmfit.results.jsonable import plain

if TYPE_CHECKING:
    from rich.console import Console

PAPER = "arXiv:2206.13122"
_HELP = "table3, table4, table5, table6 of arXiv:2206.13122, all (these four), or xu-fig3, figure 3 of arXiv:1901.00482."


def register(app: typer.Typer) -> None:
    """Add this verb to the program."""
    app.command(epilog="Example: nmmfit reproduce table3")(reproduce)


def reproduce(
    ctx: typer.Context,
    what: Annotated[str, typer.Argument(metavar="WHAT", help=_HELP)],
    as_json: Json = False,
    out: Out = None,
) -> None:
    """Tables of arXiv:2206.13122 as printed, with its own inputs (seed_faithful), and exact; figure 3 of arXiv:1901.00482."""
    from nmmfit.errors import unknown
    from nmmfit.reproduce import TABLES, all_entries, as_rows, entries
    from nmmfit.reproduce_letter import FIGURE

    if what not in (*TABLES, "all", FIGURE):
        raise unknown("table", what, (*TABLES, "all", FIGURE), "reproduce")
    from nmmfit.cli.runtime import start_computing

    start_computing()
    if what == FIGURE:
        _letter(ctx, as_json, out)
        return
    rows = as_rows(all_entries() if what == "all" else entries(what))
    payload = {"what": what, "paper": PAPER, "entries": rows, "agree": sum(bool(row["agrees"]) for row in rows), "of": len(rows)}
    emit("reproduce", payload, as_json, out, lambda console: _show(console, payload, rows), origin=lambda: origin_of(ctx))


def _letter(ctx: typer.Context, as_json: bool, out: Path | None) -> None:
    """Figure 3 of the letter: a table, and with `out` the figure and `reproduce.json` in that fresh folder."""
    from nmmfit.reproduce_letter import curves, letter_payload

    if out is None:
        payload = letter_payload()
        emit("reproduce", payload, as_json, None, lambda console: _show_letter(console, payload))
        return
    from nmmfit.results.figure import save
    from nmmfit.results.letter import letter_figure
    from nmmfit.results.store import json_text

    with results_folder(ctx, out) as folder:
        payload = letter_payload()
        save(letter_figure(curves(), payload["entries"], payload["bounds"]), folder.path / payload["what"])
        folder.write_text("reproduce.json", json_text(plain(payload)))
        folder.publish()
    emit("reproduce", payload, as_json, None, lambda console: _show_letter(console, payload))


def _show_letter(console: Console, payload: Mapping[str, Any]) -> None:
    columns = (
        "fermion",
        "mass [GeV]",
        "N_c |Q|",
        "tensor (11)",
        "tensor, log",
        "tensor from m_W",
        "from m_W / (11)",
        "scalar (10)",
        "scalar, contact",
        "why",
    )
    title = f"figure 3 of {payload['paper']}: moments for G_X = 0.1 and 1 G_F, mu_B"
    made = table(title, *columns, numbers=tuple(range(1, 9)))
    reasons: dict[str, int] = {}
    for row in payload["entries"]:
        number = reasons.setdefault(row["reason"], len(reasons) + 1)
        add_row(
            made,
            row["fermion"],
            f"{row['mass_gev']:.3g}",
            f"{row['charge_factor']:g}",
            _range(row["letter_tensor_mub"]),
            _range(row["eft_tensor_mub"]),
            _range(row["eft_from_m_w_mub"]),
            f"{row['ratio']:.3g}",
            _range(row["letter_scalar_mub"]),
            "0",
            f"({number})",
        )
    console.print(made)
    for reason, number in reasons.items():
        console.print(f"({number}) {reason}", markup=False)
    console.print(
        "a contact scalar closed into a loop with one photon vanishes by charge conjugation; (10) is an order of magnitude"
    )
    lines = table("Bounds", "bound", "moment [mu_B]", "of", "kind", "in the letter's figure", "status", "source", numbers=(1,))
    for bound in payload["bounds"]:
        shown = "yes" if bound["in_letter"] else "no"
        moment = f"{bound['moment_mub']:.2g}"
        add_row(lines, bound["name"], moment, bound["quantity"], bound["kind"], shown, bound["status"], bound["source"])
    console.print(lines)
    console.print(payload["left_out"], markup=False)


def _range(two: Sequence[float]) -> str:
    return f"{two[0]:.1e} - {two[1]:.1e}"


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
