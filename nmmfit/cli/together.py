"""`tension` and `impacts`: whether experiments agree, and what their nuisances do to the joint fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from nmmfit.checks import whole_number
from nmmfit.cli.arguments import Experiments, Json, Out, Overrides, RunFile, experiment_overrides, open_run
from nmmfit.cli.cluster import Cluster
from nmmfit.cli.device import Device
from nmmfit.cli.fit import not_converged
from nmmfit.cli.go_on import Unfinished, going_on_later
from nmmfit.cli.invocation import resumable_folder
from nmmfit.cli.output import emit, note
from nmmfit.cli.progress import counting_bar
from nmmfit.cli.where import Where, kept_in
from nmmfit.results.jsonable import plain

if TYPE_CHECKING:
    from nmmfit.results.resumable import ResumableFolder
    from nmmfit.run import Run

Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Seed of the random numbers.")]
Starts = Annotated[int, typer.Option("--starts", metavar="N", help="Scattered starts of the fits of the data.")]


def register(app: typer.Typer) -> None:
    """Add these verbs to the program."""
    app.command(epilog="Example: nmmfit tension my-run.toml --experiments all --toys 100 --out my-tension")(tension)
    app.command(epilog="Example: nmmfit impacts my-run.toml --parameter L_dipole --out my-impacts")(impacts)


def tension(
    ctx: typer.Context,
    run: RunFile = None,
    experiments: Experiments = None,
    toys: Annotated[int, typer.Option("--toys", metavar="N", help="Toy experiments behind the p-value.")] = 200,
    seed: Seed = 1,
    starts: Starts = 8,
    overrides: Overrides = None,
    cluster: Cluster = None,
    device: Device = None,
    as_json: Json = False,
    out: Out = None,
) -> None:
    """Whether the experiments agree on the coefficients: a parameter goodness of fit, calibrated by toys."""
    whole_number(toys, "--toys", 1)
    whole_number(seed, "--seed", 0)
    whole_number(starts, "--starts", 1)
    chosen = open_run(run, [*(overrides or ()), *experiment_overrides(experiments)])
    asked = {"toys": toys, "seed": seed, "starts": starts}
    _tension_into(chosen, resumable_folder(ctx, out, chosen), asked, Where(cluster, device), as_json)


def go_on_with_tension(again: Unfinished, as_json: bool) -> None:
    """Go on with a tension that was begun; toys that are fitted are not fitted again."""
    asked = {name: again.options[name] for name in ("toys", "seed", "starts")}
    _tension_into(again.run, again.folder, asked, again.where, as_json)


def _tension_into(chosen: Run, folder: ResumableFolder, asked: Mapping[str, int], where: Where, as_json: bool) -> None:
    """The tension, or what is left of it to do; `asked`: toys, seed and starts."""
    from nmmfit.results.files import RUN_FILE

    with going_on_later(folder, lambda: False), where.opened(chosen.config.experiments) as engine:
        from nmmfit.inference.tension import tension as made
        from nmmfit.results.provenance import made_by
        from nmmfit.results.store import json_text
        from nmmfit.results.tension import tension_tables, write_tension

        joint = chosen.joint()
        with counting_bar("toys") as advance:
            found = made(
                joint,
                **asked,
                progress=advance,
                stores=kept_in(folder),
                engine=engine,
            )
        seed = asked["seed"]
        payload = plain({**found.to_json(), "seed": seed, "theory": joint.choices, "provenance": made_by(seed)})
        folder.write_text("tension.json", json_text(payload))
        folder.write_text(RUN_FILE, chosen.to_toml())
        write_tension(folder.path, found)
        place = folder.publish()
    emit("tension", {**payload, "out": str(place)}, as_json, None, lambda console: console.print(tension_tables(found)))
    note(f"wrote {place}")
    if not found.converged:
        raise not_converged(["the fits of the data"])


def impacts(
    ctx: typer.Context,
    run: RunFile = None,
    experiments: Experiments = None,
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--parameter",
            metavar="NAME",
            help="Impacts on this coefficient or identified quantity; may be repeated.",
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
    """Pulls of the nuisances at the best fit, and how far each moves the coefficients and identified quantities."""
    whole_number(seed, "--seed", 0)
    whole_number(starts, "--starts", 1)
    chosen = open_run(run, [*(overrides or ()), *experiment_overrides(experiments)])
    _impacts_into(chosen, resumable_folder(ctx, out, chosen), names, seed, starts, device, as_json)


def go_on_with_impacts(again: Unfinished, as_json: bool) -> None:
    """Go on with impacts that were begun; refits that are done are not done again."""
    given = again.options
    _impacts_into(again.run, again.folder, given["names"], given["seed"], given["starts"], again.where.device, as_json)


def _impacts_into(
    chosen: Run, folder: ResumableFolder, names: list[str] | None, seed: int, starts: int, device: str | None, as_json: bool
) -> None:
    """Impacts, or what is left of them to do; see `impacts`."""
    from nmmfit.results.files import RUN_FILE

    with going_on_later(folder, lambda: False):
        from nmmfit.cli.runtime import start_computing

        start_computing(device)
        from nmmfit.inference.impacts import impacts as engine
        from nmmfit.results.impacts import impacts_tables, write_impacts
        from nmmfit.results.provenance import made_by
        from nmmfit.results.store import json_text

        joint = chosen.joint()
        with counting_bar("impacts") as advance:
            found = engine(joint, names, starts=starts, seed=seed, progress=advance, stores=kept_in(folder))
        payload = plain({**found.to_json(), "seed": seed, "theory": joint.choices, "provenance": made_by(seed)})
        folder.write_text("impacts.json", json_text(payload))
        folder.write_text(RUN_FILE, chosen.to_toml())
        write_impacts(folder.path, found, {q.name: q.label for q in joint.identified})
        place = folder.publish()
    emit("impacts", {**payload, "out": str(place)}, as_json, None, lambda console: console.print(impacts_tables(found)))
    note(f"wrote {place}")
    if not payload["converged"]:
        raise not_converged(["the best fit"] if not found.best.converged else [f"the refit {name}" for name in found.failed])
