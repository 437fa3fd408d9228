"""`fisher`: directions in coefficient space, from best to worst constrained, and which experiment constrains which."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from nmmfit.checks import whole_number
from nmmfit.cli.arguments import Experiments, Json, Out, Overrides, RunFile, experiment_overrides, name_values, open_run
from nmmfit.cli.device import Device
from nmmfit.cli.fit import not_converged
from nmmfit.cli.go_on import Unfinished, going_on_later
from nmmfit.cli.invocation import resumable_folder
from nmmfit.cli.output import emit, note, plain
from nmmfit.cli.progress import counting_bar
from nmmfit.cli.together import Seed, Starts
from nmmfit.cli.where import kept_in
from nmmfit.errors import UserInputError

if TYPE_CHECKING:
    from nmmfit.results.resumable import ResumableFolder
    from nmmfit.run import Run


def register(app: typer.Typer) -> None:
    """Add this verb to the program."""
    app.command(epilog="Example: nmmfit fisher my-run.toml --experiments all --at L_dipole=1e-9 --out my-directions")(fisher)


def real_values(pairs: Iterable[str], option: str) -> dict[str, float]:
    """NAME=VALUE pairs of real numbers. Raises: UserInputError."""
    values = name_values(pairs)
    for name, value in values.items():
        if value.imag != 0.0:
            raise UserInputError(f"{option} {name}: expected a real number, got {value:g}")
    return {name: value.real for name, value in values.items()}


def fisher(
    ctx: typer.Context,
    run: RunFile = None,
    experiments: Experiments = None,
    at: Annotated[
        list[str] | None,
        typer.Option(
            "--at",
            metavar="NAME=VALUE",
            help="Where to take the information; may be repeated. Without it: a mean over points around the Standard Model.",
            show_default=False,
        ),
    ] = None,
    seed: Seed = 1,
    starts: Starts = 8,
    overrides: Overrides = None,
    device: Device = None,
    as_json: Json = False,
    out: Out = None,
) -> None:
    """Information about the coefficients: directions from best to worst constrained, by which experiment, and blind ones."""
    whole_number(seed, "--seed", 0)
    whole_number(starts, "--starts", 1)
    point = None if at is None else real_values(at, "--at")
    chosen = open_run(run, [*(overrides or ()), *experiment_overrides(experiments)])
    _fisher_into(chosen, resumable_folder(ctx, out, chosen), point, seed, starts, device, as_json)


def go_on(again: Unfinished, as_json: bool) -> None:
    """Go on with information that was begun; fits and rounds that are done are not done again."""
    given = again.options
    point = None if given["at"] is None else real_values(given["at"], "--at")
    _fisher_into(again.run, again.folder, point, given["seed"], given["starts"], again.where.device, as_json)


def _fisher_into(
    chosen: Run,
    folder: ResumableFolder,
    point: dict[str, float] | None,
    seed: int,
    starts: int,
    device: str | None,
    as_json: bool,
) -> None:
    """The information, or what is left of it to do; see `fisher`."""
    from nmmfit.results.files import RUN_FILE

    with going_on_later(folder, lambda: False):
        from nmmfit.cli.runtime import start_computing

        start_computing(device)
        from nmmfit.inference.fisher import fisher as engine
        from nmmfit.results.fisher import fisher_payload, fisher_tables, write_fisher
        from nmmfit.results.provenance import made_by
        from nmmfit.results.store import json_text

        joint = chosen.joint()
        with counting_bar("fisher") as advance:
            found = engine(joint, point, starts=starts, seed=seed, progress=advance, stores=kept_in(folder))
        payload = plain({**fisher_payload(found, joint.choices), "seed": seed, "provenance": made_by(seed)})
        folder.write_text("fisher.json", json_text(payload))
        folder.write_text(RUN_FILE, chosen.to_toml())
        write_fisher(folder.path, found)
        place = folder.publish()
    emit("fisher", {**payload, "out": str(place)}, as_json, None, lambda console: console.print(fisher_tables(found)))
    note(f"wrote {place}")
    if found.problems:
        raise not_converged(found.problems)
