"""`toys`: Asimov data and toy experiments: expected limits, coverage, Feldman-Cousins intervals, CL_s, p-values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from nmmfit.checks import confidence_level, whole_number
from nmmfit.cli.arguments import (
    LONG_S,
    Experiments,
    Json,
    Out,
    Overrides,
    RunFile,
    Yes,
    experiment_overrides,
    name_values,
    open_run,
)
from nmmfit.cli.cluster import Cluster
from nmmfit.cli.device import Device
from nmmfit.cli.go_on import Unfinished, going_on_later
from nmmfit.cli.invocation import resumable_folder
from nmmfit.cli.output import emit, note
from nmmfit.cli.progress import counting_bar
from nmmfit.cli.together import Seed, Starts
from nmmfit.cli.where import Where, kept_in
from nmmfit.errors import UserInputError, unknown
from nmmfit.results.jsonable import plain

if TYPE_CHECKING:
    from nmmfit.results.resumable import ResumableFolder
    from nmmfit.run import Run

KINDS = ("asimov", "coverage", "feldman-cousins", "cls", "p-value")


def register(app: typer.Typer) -> None:
    """Add this verb to the program."""
    app.command(epilog="Example: nmmfit toys my-run.toml --parameter mu_eff_solar --toys 1000 --out my-toys")(toys)


def toys(
    ctx: typer.Context,
    run: RunFile = None,
    experiments: Experiments = None,
    parameter: Annotated[
        str | None,
        typer.Option(
            "--parameter",
            metavar="NAME",
            help="Parameter or identified quantity; without it the first coefficient that has a limit.",
            show_default=False,
        ),
    ] = None,
    what: Annotated[
        list[str] | None,
        typer.Option(
            "--what",
            metavar="KIND",
            help=f"One of {', '.join(KINDS)}; may be repeated. Without it asimov, coverage and feldman-cousins.",
            show_default=False,
        ),
    ] = None,
    toys: Annotated[int, typer.Option("--toys", metavar="N", help="Toys at every tested value, at least 10.")] = 1000,
    cl: Annotated[float, typer.Option("--cl", metavar="LEVEL", help="Confidence level, between 0 and 1.")] = 0.90,
    grid: Annotated[
        str | None,
        typer.Option(
            "--grid",
            metavar="a:b:n",
            help="Tested values: n from a to b, in the unit of the quantity; without it around the asymptotic interval.",
            show_default=False,
        ),
    ] = None,
    values: Annotated[
        list[float] | None,
        typer.Option("--value", metavar="X", help="Where to give a p-value; may be repeated; without it 0.", show_default=False),
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option(
            "--at",
            metavar="NAME=VALUE",
            help="Point of coverage and of Asimov data, in place of the Standard Model and the best fit; may be repeated.",
            show_default=False,
        ),
    ] = None,
    seed: Seed = 1,
    starts: Starts = 8,
    yes: Yes = False,
    overrides: Overrides = None,
    cluster: Cluster = None,
    device: Device = None,
    as_json: Json = False,
    out: Out = None,
) -> None:
    """Toy experiments of one quantity: expected limit, coverage of the asymptotic interval, Feldman-Cousins interval."""
    whole_number(toys, "--toys", 10)
    whole_number(seed, "--seed", 0, 2**31)
    whole_number(starts, "--starts", 1)
    confidence_level(cl, "--cl")
    for kind in what or ():
        if kind not in KINDS:
            raise unknown("kind of result", kind, KINDS, "--what")
    asked = Asked(parameter, tuple(what or ()), toys, cl, grid_values(grid), values, _point(at), seed, starts)
    chosen = open_run(run, [*(overrides or ()), *experiment_overrides(experiments)])
    toys_into(chosen, resumable_folder(ctx, out, chosen), asked, Where(cluster, device), yes, as_json)


def go_on(again: Unfinished, as_json: bool) -> None:
    """Go on with toys that were begun; those that are done are not made again."""
    given = again.options
    same = {name: given[name] for name in ("parameter", "toys", "cl", "values", "seed", "starts")}
    asked = Asked(what=tuple(given["what"] or ()), grid=grid_values(given["grid"]), at=_point(given["at"]), **same)
    # Whoever goes on with toys that take long has begun them.
    toys_into(again.run, again.folder, asked, again.where, True, as_json)


@dataclass(frozen=True)
class Asked:
    """What is asked for, by the names of the options; no kind of result stands for the usual ones."""

    parameter: str | None
    what: tuple[str, ...]
    toys: int
    cl: float
    grid: Sequence[float] | None
    values: Sequence[float] | None
    at: Mapping[str, float] | None
    seed: int
    starts: int


def toys_into(chosen: Run, folder: ResumableFolder, asked: Asked, where: Where, yes: bool, as_json: bool) -> None:
    """Make the toys, or those that are left to make, and print what they say."""
    from nmmfit.results.files import RUN_FILE

    with going_on_later(folder, lambda: False), where.opened(chosen.config.experiments) as engine:
        from nmmfit.inference.toys import DEFAULT_KINDS
        from nmmfit.inference.toys import toys as made
        from nmmfit.results.provenance import made_by
        from nmmfit.results.store import json_text
        from nmmfit.results.toys import toys_tables, write_toys

        joint = chosen.joint()
        with counting_bar("toys") as advance:
            found = made(
                joint,
                **{**vars(asked), "what": asked.what or DEFAULT_KINDS},
                progress=advance,
                longest_s=None if yes else LONG_S,
                stores=kept_in(folder),
                engine=engine,
            )
        payload = plain({**found.to_json(), "theory": joint.choices, "provenance": made_by(asked.seed)})
        folder.write_text("toys.json", json_text(payload))
        folder.write_text(RUN_FILE, chosen.to_toml())
        write_toys(folder, found)
        place = folder.publish()
    emit("toys", {**payload, "out": str(place)}, as_json, None, lambda console: console.print(toys_tables(found)))
    for warning in found.warnings:
        note(f"nmmfit: warning: {warning}")
    note(f"wrote {place}")


def grid_values(given: str | None) -> list[float] | None:
    """Values of a:b:n. Raises: UserInputError for anything else."""
    if given is None:
        return None
    parts = given.split(":")
    problem = UserInputError(f"--grid: expected a:b:n with a < b and n at least 2, such as 0:4:9, got {given!r}")
    try:
        low, high, number = float(parts[0]), float(parts[1]), int(parts[2])
    except (ValueError, IndexError):
        raise problem from None
    if len(parts) != 3 or not low < high or number < 2 or not abs(low) + abs(high) < float("inf"):
        raise problem
    return [low + (high - low) * i / (number - 1) for i in range(number)]


def _point(given: list[str] | None) -> dict[str, float] | None:
    if not given:
        return None
    values = name_values(given)
    for name, value in values.items():
        if value.imag:
            raise UserInputError(f"--at {name}: a parameter is real, got {value}")
    return {name: value.real for name, value in values.items()}
