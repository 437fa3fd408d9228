"""`tighten`: limits for nested sets of experiments, and how they tighten as experiments are added."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmmfit.checks import confidence_level
from nmmfit.cli.arguments import Json, Out, Overrides, RunFile, experiment_overrides, open_run, usable
from nmmfit.cli.device import Device
from nmmfit.cli.fit import not_converged
from nmmfit.cli.go_on import Unfinished, going_on_later
from nmmfit.cli.invocation import resumable_folder
from nmmfit.cli.leave_out import restricted
from nmmfit.cli.limits import Names
from nmmfit.cli.output import emit, note, plain
from nmmfit.cli.progress import stages_bar
from nmmfit.cli.where import kept_in
from nmmfit.errors import InterruptedRunError, unknown

if TYPE_CHECKING:
    import numpy as np

    from nmmfit.inference.joint import JointLikelihood
    from nmmfit.inference.tighten import Bounds
    from nmmfit.results.resumable import ResumableFolder
    from nmmfit.run import Run
    from nmmfit.stages import Stage


def register(app: typer.Typer) -> None:
    """Add this verb to the program."""
    app.command(epilog="Example: nmmfit tighten my-run.toml --stage borexino_phase2 --stage +lz_er --out my-bounds")(tighten)


def tighten(
    ctx: typer.Context,
    run: RunFile = None,
    given: Annotated[
        list[str] | None,
        typer.Option(
            "--stage",
            metavar="NAMES",
            help="Experiments of a stage, with commas between; each holds the stage before it, +NAMES adds to that. Without it: "
            "Borexino and COHERENT, then xenon, reactors, published limits.",
            show_default=False,
        ),
    ] = None,
    cl: Annotated[float, typer.Option("--cl", metavar="LEVEL", help="Confidence level, between 0 and 1.")] = 0.90,
    names: Names = None,
    overrides: Overrides = None,
    device: Device = None,
    as_json: Json = False,
    out: Out = None,
) -> None:
    """Limits, one at a time and profiled, for a few experiments, then for more and more; one picture of how they tighten."""
    confidence_level(cl, "--cl")
    from nmmfit import catalogue, stages

    wanted = stages.default_stages(usable(catalogue.names_in_all())) if given is None else stages.read_stages(given)
    everything = ",".join(wanted[-1].experiments)
    chosen = open_run(run, [*(overrides or ()), *experiment_overrides(everything)])
    if not chosen.config.allow_overlaps:
        stages.refuse_overlaps(wanted)

    tighten_into(chosen, resumable_folder(ctx, out, chosen), wanted, cl, names, device, as_json)


def go_on(again: Unfinished, as_json: bool) -> None:
    """Go on with stages that were begun; those that are done are not done again."""
    from nmmfit import stages

    given = again.options
    # The run was begun with the experiments of the last stage.
    wanted = stages.default_stages(again.run.config.experiments) if given["given"] is None else stages.read_stages(given["given"])
    tighten_into(again.run, again.folder, wanted, given["cl"], given["names"], again.where.device, as_json)


def tighten_into(
    chosen: Run,
    folder: ResumableFolder,
    wanted: tuple[Stage, ...],
    cl: float,
    names: list[str] | None,
    device: str | None,
    as_json: bool,
) -> None:
    """Limits of all stages, or what is left of them to do; see `tighten`."""
    from nmmfit.results.files import RUN_FILE

    with going_on_later(folder, lambda: False):
        from nmmfit.cli.runtime import start_computing

        start_computing(device)
        from nmmfit.inference.tighten import Tightening
        from nmmfit.results.provenance import made_by
        from nmmfit.results.store import json_text
        from nmmfit.results.tighten import tighten_tables, write_tighten

        joint = chosen.joint()
        made, stopped = _bounds(chosen, folder, joint, wanted, cl, names)
        if not made:
            raise InterruptedRunError("interrupted before the first stage was done")
        found = Tightening(tuple(made))
        made_how = made_by(chosen.config.sampler.seed)
        left = [stage.label for stage in wanted[len(made) :]]
        payload = plain(
            {**found.to_json(), "interrupted": stopped, "missing": left, "theory": joint.choices, "provenance": made_how}
        )
        folder.write_text("tighten.json", json_text(payload))
        folder.write_text(RUN_FILE, chosen.to_toml())
        if found.identified or found.parameters:
            write_tighten(folder.path, found, {q.name: q.label for q in joint.identified})
        place = folder.publish(finished=not stopped)
    emit("tighten", {**payload, "out": str(place)}, as_json, None, lambda console: console.print(tighten_tables(found)))
    note(f"wrote {place}")
    if stopped:
        done = f"interrupted after {len(made)} of {len(wanted)} stages; they are in {place}"
        raise InterruptedRunError(f"{done}; {folder.said_to_go_on()}")
    if found.failed:
        raise not_converged([f"limit of {failed}" for failed in found.failed])


def _bounds(
    chosen: Run,
    folder: ResumableFolder,
    joint: JointLikelihood,
    wanted: tuple[Stage, ...],
    cl: float,
    names: list[str] | None,
) -> tuple[list[Bounds], bool]:
    """Limits of every stage, and whether they were interrupted.

    Args:
        chosen: the run with all experiments. `joint`: its likelihood, that of the last stage.
        folder: keeps stages that are done, and minimisations of the one that is not.
    """
    from nmmfit.durable import run_chunks
    from nmmfit.inference.tighten import bounds
    from nmmfit.results.tighten_chunks import as_chunk, finished_stages, from_chunk

    known = [*(p.name for p in joint.own), *(q.name for q in joint.identified)]
    for name in names or ():
        if name not in known:
            raise unknown("coefficient or identified quantity", name, known, "--parameter")
    pulls: dict[str, Any] = {e.name: tuple(e.pulls) for e in joint.experiments}
    open_store = kept_in(folder)
    asked = {"stages": [[stage.label, stage.experiments] for stage in wanted], "cl": cl, "parameters": names}
    store = open_store("stages", asked)
    seed = chosen.config.sampler.seed
    with stages_bar(len(wanted)) as bar_of:

        def compute(number: int) -> dict[str, np.ndarray]:
            stage = wanted[number]
            last = number == len(wanted) - 1
            likelihood = joint if last else restricted(chosen, stage.experiments, pulls).joint()
            found = bounds(
                stage.label,
                stage.added,
                likelihood,
                cl,
                parameters=names,
                seed=seed,
                progress=bar_of(stage.label, number),
                stores=lambda name, known: open_store(f"{name}-{number}", known),
            )
            return as_chunk(found)

        try:
            return [from_chunk(chunk) for chunk in run_chunks(store, len(wanted), compute)], False
        except KeyboardInterrupt:
            return finished_stages(store), True
