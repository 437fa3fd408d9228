"""`prior-sensitivity`: how the intervals of a fit move under other priors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nmmfit.checks import confidence_level
from nmmfit.cli.arguments import Json, Out
from nmmfit.cli.invocation import results_folder
from nmmfit.cli.output import emit, note
from nmmfit.errors import NotConvergedError
from nmmfit.results.jsonable import plain

if TYPE_CHECKING:
    from rich.console import Console


def register(app: typer.Typer) -> None:
    """Add this verb to the program."""
    app.command(name="prior-sensitivity", epilog="Example: nmmfit prior-sensitivity my-fit --out my-priors")(prior)


def prior(
    ctx: typer.Context,
    fit_folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that fit wrote.")],
    given: Annotated[
        list[str] | None,
        typer.Option(
            "--prior",
            metavar="'NAME={ FAMILY = NUMBERS }'",
            help="Also try this prior, as a run file has it; several with commas between change together; may be repeated.",
            show_default=False,
        ),
    ] = None,
    cl: Annotated[float, typer.Option("--cl", metavar="LEVEL", help="Probability in the intervals, between 0 and 1.")] = 0.90,
    as_json: Json = False,
    out: Out = None,
) -> None:
    """How the intervals of a fit move under other priors: its draws are weighted, and the weights are checked."""
    confidence_level(cl, "--cl")
    from nmmfit.results.files import RUN_FILE
    from nmmfit.results.prior_sensitivity import (
        remedies,
        sensitivity_json,
        sensitivity_of,
        sensitivity_tables,
        stored_posterior,
        write_sensitivity,
    )
    from nmmfit.results.provenance import made_by
    from nmmfit.results.store import json_text
    from nmmfit.run import parse_run

    posterior = stored_posterior(fit_folder)
    chosen = parse_run(posterior.run_toml, str(fit_folder / RUN_FILE))
    with results_folder(ctx, out, chosen) as folder:
        found = sensitivity_of(posterior, given or (), cl)
        made = made_by(chosen.config.sampler.seed)
        payload = plain({**sensitivity_json(posterior, found), "provenance": made})
        folder.write_text("prior_sensitivity.json", json_text(payload))
        folder.write_text(RUN_FILE, chosen.to_toml())
        write_sensitivity(folder.path, found)
        place = folder.publish()

    def show(console: Console) -> None:
        console.print(sensitivity_tables(found))
        for line in remedies(posterior, found):
            # Not wrapped: a command line is copied as it stands.
            console.print(line, markup=False, soft_wrap=True)

    emit("prior-sensitivity", {**payload, "out": str(place)}, as_json, None, show)
    note(f"wrote {place}")
    if not any(a.trusted for a in found.alternatives):
        raise NotConvergedError(
            f"{fit_folder}: no alternative can be had by weighting its draws; the output says how to fit them"
        )
