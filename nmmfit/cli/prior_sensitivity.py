"""`prior-sensitivity`: how the intervals of a fit move under other priors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nmmfit.checks import confidence_level
from nmmfit.cli.arguments import Json, Out
from nmmfit.cli.go_on import Unfinished, going_on_later
from nmmfit.cli.invocation import resumable_folder
from nmmfit.cli.output import emit, note
from nmmfit.cli.progress import counting_bar
from nmmfit.errors import NotConvergedError, UserInputError
from nmmfit.results.jsonable import plain

if TYPE_CHECKING:
    from rich.console import Console

    from nmmfit.results.prior_sensitivity import StoredPosterior
    from nmmfit.results.resumable import ResumableFolder
    from nmmfit.run import Run


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
    from nmmfit.results.prior_sensitivity import stored_posterior
    from nmmfit.run import parse_run

    posterior = stored_posterior(fit_folder)
    chosen = parse_run(posterior.run_toml, str(fit_folder / RUN_FILE))
    folder = resumable_folder(ctx, out, chosen, begun={"posterior": posterior.digest})
    _prior_into(chosen, lambda: posterior, folder, given, cl, as_json)


def go_on(again: Unfinished, as_json: bool) -> None:
    """Go on with alternatives that were begun; those that are done are not weighted again."""
    from nmmfit.results.prior_sensitivity import stored_posterior

    options = again.options

    def posterior() -> StoredPosterior:
        found = stored_posterior(Path(options["fit_folder"]))
        if found.digest != again.folder.begun.get("posterior"):
            raise UserInputError(
                f"{found.folder}: not the fit that was begun with; start anew, or go on with what it was begun with"
            )
        return found

    _prior_into(again.run, posterior, again.folder, options["given"], options["cl"], as_json)


def _prior_into(
    chosen: Run,
    stored: Callable[[], StoredPosterior],
    folder: ResumableFolder,
    given: list[str] | None,
    cl: float,
    as_json: bool,
) -> None:
    """All alternatives of a stored posterior, or what is left of them to do; see `prior`."""
    from nmmfit.results.files import RUN_FILE
    from nmmfit.results.prior_sensitivity import (
        remedies,
        sensitivity_json,
        sensitivity_of,
        sensitivity_tables,
        write_sensitivity,
    )
    from nmmfit.results.provenance import made_by
    from nmmfit.results.store import json_text

    with going_on_later(folder, lambda: False):
        posterior = stored()
        with counting_bar("priors") as advance:
            found = sensitivity_of(posterior, given or (), cl, advance, folder.store)
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
            f"{posterior.folder}: no alternative can be had by weighting its draws; the output says how to fit them"
        )
