"""`export`: the likelihood of a run, or an approximation of it, as a document that others evaluate without nmmfit."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmmfit.cli.arguments import Json, Overrides, RunFile, VerbGroup, open_run
from nmmfit.cli.output import add_row, console, note, printing, table
from nmmfit.cli.progress import counting_bar
from nmmfit.errors import OutputError, unknown
from nmmfit.results.jsonable import plain

if TYPE_CHECKING:
    from rich.console import Console

OutFile = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", help="New JSON file for the document.", show_default=False)
]

exports = typer.Typer(cls=VerbGroup, help="Write a likelihood, or an approximation of it, for others.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add this verb to the program."""
    app.add_typer(exports, name="export", epilog="Example: nmmfit export likelihood my-run.toml --out likelihood.json")


@exports.command(epilog="Example: nmmfit export likelihood my-run.toml --out likelihood.json")
def likelihood(run: RunFile = None, overrides: Overrides = None, as_json: Json = False, out: OutFile = None) -> None:
    """Expected counts as polynomials in the coefficients, with observed counts, responses to nuisances and their covariance."""
    chosen = open_run(run, overrides)
    _refuse_existing(out)
    from nmmfit.cli.runtime import start_computing

    start_computing()
    from nmmfit.exchange.likelihood import export_likelihood

    with counting_bar("responses to nuisances") as advance:
        document = export_likelihood(chosen, progress=advance)
    _give(document, as_json, out, lambda screen: _show_likelihood(screen, document))


@exports.command(epilog="Example: nmmfit export approximation my-run.toml --order quartic --out approximation.json")
def approximation(
    run: RunFile = None,
    order: Annotated[
        str, typer.Option("--order", metavar="gaussian|quartic", help="Around one best fit, or around vanishing coefficients.")
    ] = "quartic",
    directions: Annotated[
        int, typer.Option("--directions", metavar="N", help="Random directions in which the range is measured, besides the axes.")
    ] = 8,
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="N", help="Of the directions and starts; without it sampler.seed.", show_default=False),
    ] = None,
    overrides: Overrides = None,
    as_json: Json = False,
    out: OutFile = None,
) -> None:
    """delta chi2 with nuisances profiled as a polynomial in the coefficients, and how far it was found to hold."""
    from nmmfit.checks import whole_number

    if order not in ("gaussian", "quartic"):
        raise unknown("order", order, ("gaussian", "quartic"), "--order")
    whole_number(directions, "--directions", 0)
    chosen = open_run(run, overrides)
    seed = chosen.config.sampler.seed if seed is None else whole_number(seed, "--seed", 0)
    _refuse_existing(out)
    from nmmfit.cli.runtime import start_computing

    start_computing()
    from nmmfit.exchange.approximation import approximate
    from nmmfit.exchange.approximation_document import approximation_document
    from nmmfit.exchange.validity import measure

    with counting_bar("templates, best fit and its derivatives"):
        joint = chosen.joint()
        made = approximate(joint, order, seed=seed)
    with counting_bar("rays") as advance:
        found = measure(joint, made, directions=directions, seed=seed, progress=advance)
    document = approximation_document(chosen, joint, made, found)
    _give(document, as_json, out, lambda screen: _show_approximation(screen, document))


def _refuse_existing(out: Path | None) -> None:
    """Find out before computing that a file is in the way. Raises: OutputError."""
    if out is None:
        return
    if out.exists() or out.is_symlink():
        raise OutputError(f"{out}: this {'folder' if out.is_dir() else 'file'} exists; it is not overwritten")
    if not out.parent.is_dir():
        raise OutputError(f"cannot write {out}: there is no folder {out.parent}")


def _give(document: Mapping[str, Any], as_json: bool, out: Path | None, show: Any) -> None:
    text = json.dumps(plain(document), indent=None if as_json else 1, allow_nan=False)
    if out is not None:
        from nmmfit.results.files import write_new_text

        write_new_text(out, text + "\n")
        note(f"wrote {out}")
    if as_json:
        printing(lambda: sys.stdout.write(text + "\n"))
    else:
        printing(lambda: show(console()))
        if out is None:
            note("--out FILE writes the document, --json prints it")


def _show_likelihood(screen: Console, document: Mapping[str, Any]) -> None:
    made = table("Likelihood", "channel", "bins", "observed", "expected at 0", "statistic", "nuisances", numbers=(1, 2, 3, 5))
    for experiment, part in document["experiments"].items():
        for name, channel in part["channels"].items():
            counts = next(iter(channel["prediction"]["data"]["observable_central"].values()))
            total, seen = f"{sum(counts):.6g}", f"{sum(channel['observed']):g}"
            bins, moved = str(len(counts)), str(len(channel["responses"]))
            add_row(made, f"{experiment}.{name}", bins, seen, total, channel["statistic"], moved)
    screen.print(made)
    errors = document["nuisances"]["one_sigma_error"]
    worst = sorted(zip(errors, document["nuisances"]["names"], strict=True), reverse=True)[:3]
    screen.print(
        "First-order responses; largest errors at one prior width, in sigma of a bin: "
        + ", ".join(f"{name} {error:.2g}" for error, name in worst),
        markup=False,
    )


def _show_approximation(screen: Console, document: Mapping[str, Any]) -> None:
    names = [p["name"] for p in document["parameters"]]
    made = table(
        f"{document['order'].capitalize()} approximation of delta chi2: how far it holds",
        "direction",
        *(f"{p['name']} [{p['unit']}]" for p in document["parameters"]),
        "delta chi2",
        "error",
        "ends",
        numbers=tuple(range(1, len(names) + 3)),
    )
    for ray in document["validity"]["rays"]:
        label = ray["direction"] if ray["kind"] == "coefficient" else f"{ray['kind'].replace('_', ' ')} {ray['direction']}"
        cells = [f"{ray['limit'][name]:.3g}" for name in names]
        add_row(made, label, *cells, f"{ray['delta_chi2']:.3g}", f"{ray['error']:.2g}", ray["ends"])
    screen.print(made)
    screen.print(document["definitions"]["rule"], markup=False)
    for direction in document["blind_directions"]:
        moved = ", ".join(f"{name} {value:.3g}" for name, value in direction.items())
        screen.print(f"no information (the likelihood is not flat there): {moved}", markup=False)
