"""`calibrate`: simulation-based calibration of a likelihood and its sampler."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from nmmfit.checks import whole_number
from nmmfit.cli.arguments import LONG_S, Experiments, Json, Out, Overrides, RunFile, Yes, experiment_overrides, open_run
from nmmfit.cli.cluster import Cluster
from nmmfit.cli.device import Device
from nmmfit.cli.fit import Chains, Draws, Warmup
from nmmfit.cli.go_on import Unfinished, going_on_later
from nmmfit.cli.invocation import resumable_folder
from nmmfit.cli.output import emit, note
from nmmfit.cli.progress import counting_bar
from nmmfit.cli.where import Where, kept_in
from nmmfit.errors import NotConvergedError, unknown
from nmmfit.results.jsonable import plain

if TYPE_CHECKING:
    from nmmfit.results.resumable import ResumableFolder
    from nmmfit.run import Run

SAMPLERS = ("ensemble", "nuts")
TRUTHS = ("prior", "posterior")


def register(app: typer.Typer) -> None:
    """Add this verb to the program."""
    app.command(epilog="Example: nmmfit calibrate my-run.toml --truths posterior --simulations 50 --out my-calibration")(
        calibrate
    )


@dataclass(frozen=True)
class Asked:
    """What is asked for, by the names of the options."""

    simulations: int
    truths: str
    sampler: str
    seed: int
    chains: int | None
    draws: int | None
    warmup: int | None


def calibrate(
    ctx: typer.Context,
    run: RunFile = None,
    experiments: Experiments = None,
    simulations: Annotated[int, typer.Option("--simulations", metavar="N", help="Simulated data sets, at least 20.")] = 200,
    truths: Annotated[
        str, typer.Option("--truths", metavar="FROM", help="Draw truths from the prior, or from the posterior of the data.")
    ] = "prior",
    sampler: Annotated[str, typer.Option("--sampler", metavar="METHOD", help="How to sample: ensemble or nuts.")] = "ensemble",
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Seed of the random numbers.")] = 1,
    chains: Chains = None,
    draws: Draws = None,
    warmup: Warmup = None,
    yes: Yes = False,
    overrides: Overrides = None,
    cluster: Cluster = None,
    device: Device = None,
    as_json: Json = False,
    out: Out = None,
) -> None:
    """Simulation-based calibration: whether posteriors of simulated data contain the truth as often as they say."""
    whole_number(simulations, "--simulations", 20)
    whole_number(seed, "--seed", 0, 2**31)
    for name, given, allowed in (("--truths", truths, TRUTHS), ("--sampler", sampler, SAMPLERS)):
        if given not in allowed:
            raise unknown("choice", given, allowed, name)
    for name, number in (("--chains", chains), ("--draws", draws), ("--warmup", warmup)):
        if number is not None:
            whole_number(number, name, 1)
    asked = Asked(simulations, truths, sampler, seed, chains, draws, warmup)
    chosen = open_run(run, [*(overrides or ()), *experiment_overrides(experiments)])
    calibrate_into(chosen, resumable_folder(ctx, out, chosen), asked, Where(cluster, device), yes, as_json)


def go_on(again: Unfinished, as_json: bool) -> None:
    """Go on with a calibration that was begun; simulations that are done are not made again."""
    asked = Asked(**{name: again.options[name] for name in Asked.__dataclass_fields__})
    # Whoever goes on with one that takes long has begun it.
    calibrate_into(again.run, again.folder, asked, again.where, True, as_json)


def calibrate_into(chosen: Run, folder: ResumableFolder, asked: Asked, where: Where, yes: bool, as_json: bool) -> None:
    """Make the simulations, or those that are left to make, and print what they say."""
    from nmmfit.results.files import RUN_FILE

    with going_on_later(folder, lambda: False), where.opened(chosen.config.experiments) as engine:
        from nmmfit.inference.calibration import calibrate as made
        from nmmfit.inference.calibration import default_settings
        from nmmfit.results.calibration import calibration_tables, write_calibration
        from nmmfit.results.provenance import made_by
        from nmmfit.results.store import json_text

        given = {name: value for name in ("chains", "draws", "warmup") if (value := getattr(asked, name)) is not None}
        spec = chosen.config.sampler
        kept = {name: getattr(spec, name) for name in ("coordinates", "max_tree_depth")}
        settings = default_settings(asked.sampler, **kept, **given)
        joint = chosen.joint()
        with counting_bar("simulations") as advance:
            found = made(
                joint,
                simulations=asked.simulations,
                settings=settings,
                seed=asked.seed,
                truths=asked.truths,
                longest_s=None if yes else LONG_S,
                progress=advance,
                stores=kept_in(folder),
                engine=engine,
                run_toml=chosen.to_toml(),
            )
        payload = plain({**found.to_json(), "theory": joint.choices, "provenance": made_by(asked.seed)})
        folder.write_text("calibration.json", json_text(payload))
        folder.write_text(RUN_FILE, chosen.to_toml())
        write_calibration(folder, found)
        place = folder.publish()
    emit("calibrate", {**payload, "out": str(place)}, as_json, None, lambda console: console.print(calibration_tables(found)))
    note(f"wrote {place}")
    if not found.calibrated:
        raise NotConvergedError("not calibrated: " + "; ".join(found.problems[:3]))
