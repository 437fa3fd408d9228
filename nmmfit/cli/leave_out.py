"""`leave-one-out`: the posterior of all experiments, and of all but each one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmmfit.cli.arguments import Experiments, Json, Out, Overrides, RunFile, experiment_overrides, open_run
from nmmfit.cli.cluster import Cluster
from nmmfit.cli.device import Device
from nmmfit.cli.fit import Chains, Draws, Sampler, Seed, Warmup, not_converged, sampled, sampler_overrides
from nmmfit.cli.go_on import Unfinished, going_on_later
from nmmfit.cli.invocation import resumable_folder
from nmmfit.cli.output import emit, note
from nmmfit.cli.progress import counting_bar, fits_bar
from nmmfit.cli.where import Where, kept_in
from nmmfit.errors import InterruptedRunError, UserInputError

if TYPE_CHECKING:
    from nmmfit.durable import ChunkStore, Engine
    from nmmfit.durable.arrays import Arrays
    from nmmfit.results.resumable import ResumableFolder
    from nmmfit.run import Run


def register(app: typer.Typer) -> None:
    """Add this verb to the program."""
    app.command(
        "leave-one-out",
        epilog="Example: nmmfit leave-one-out my-run.toml --experiments borexino_phase2,coherent_csi_2021 --out my-comparison",
    )(leave_one_out)


def leave_one_out(
    ctx: typer.Context,
    run: RunFile = None,
    experiments: Experiments = None,
    sampler: Sampler = None,
    seed: Seed = None,
    chains: Chains = None,
    draws: Draws = None,
    warmup: Warmup = None,
    overrides: Overrides = None,
    plots: Annotated[bool, typer.Option("--plots/--no-plots", help="Draw the plots of every fit, too.")] = False,
    cluster: Cluster = None,
    device: Device = None,
    as_json: Json = False,
    out: Out = None,
) -> None:
    """Sample the posterior with all experiments and with each one left out; compare what they say."""
    changes = sampler_overrides(method=sampler, seed=seed, chains=chains, draws=draws, warmup=warmup)
    chosen = open_run(run, [*(overrides or ()), *experiment_overrides(experiments), *changes])
    if len(chosen.config.experiments) < 2:
        raise UserInputError(f"{chosen.source}: leave-one-out takes at least two experiments")

    leave_out_into(chosen, resumable_folder(ctx, out, chosen), plots, Where(cluster, device), as_json)


def go_on(again: Unfinished, as_json: bool) -> None:
    """Go on with fits that were begun; fits and draws that are done are not made again."""
    leave_out_into(again.run, again.folder, again.options["plots"], again.where, as_json)


def leave_out_into(chosen: Run, folder: ResumableFolder, plots: bool, where: Where, as_json: bool) -> None:
    """All fits, or what is left of them to do; see `leave_one_out`."""
    from nmmfit.results.files import RUN_FILE
    from nmmfit.results.store import json_text

    with going_on_later(folder, lambda: False), where.opened(chosen.config.experiments) as engine:
        store = kept_in(folder)("fits", {"plots": plots})
        if engine is not None:
            _fits_elsewhere(chosen, folder, plots, store, engine)
        fits, labels, stopped = _fits(chosen, folder, plots, store)
        if not fits:
            raise InterruptedRunError("interrupted before the first fit was done")
        from nmmfit.results.leave_out import leave_out_tables, write_leave_out
        from nmmfit.results.provenance import made_by

        payload = {
            "fits": fits,
            "converged": all(f["converged"] for f in fits.values()),
            "interrupted": stopped,
            "provenance": made_by(chosen.config.sampler.seed),
        }
        folder.write_text("leave_one_out.json", json_text(payload))
        folder.write_text(RUN_FILE, chosen.to_toml())
        write_leave_out(folder.path, fits, labels)
        place = folder.publish(finished=not stopped)
    emit("leave-one-out", {**payload, "out": str(place)}, as_json, None, lambda console: console.print(leave_out_tables(fits)))
    note(f"wrote {place}")
    if stopped:
        raise InterruptedRunError(f"interrupted after {len(fits)} fits; they are in {place}; {folder.said_to_go_on()}")
    bad = [f"{name}: {problem}" for name, found in fits.items() for problem in found["problems"]]
    if bad:
        raise not_converged(bad)


def _fits_elsewhere(chosen: Run, folder: ResumableFolder, plots: bool, store: ChunkStore, engine: Engine) -> None:
    """Have all fits made that are not in the store yet, several at once; there they begin anew, whatever was drawn here."""
    from nmmfit.durable import run_chunks
    from nmmfit.results.leave_out import ALL
    from nmmfit.results.leave_out_chunks import FitFiles, pulls_of

    pulls = pulls_of(chosen.joint())
    runs = [(chosen.to_toml(), str(folder.final / ALL))]
    for name in chosen.config.experiments:
        runs.append((without(chosen, name, pulls).to_toml(), str(folder.final / name)))
    with counting_bar("fits") as advance:
        run_chunks(store, len(runs), FitFiles(tuple(runs), plots), advance, engine)


def _kept(store: ChunkStore, number: int) -> Arrays | None:
    """A fit that is finished, None where it is not, or its file is damaged."""
    from nmmfit.durable import BrokenChunkError

    try:
        return store.read(number) if store.has(number) else None
    except BrokenChunkError as problem:
        note(f"nmmfit: warning: {problem}; it is computed again")
        return None


def _fits(chosen: Run, folder: ResumableFolder, plots: bool, store: ChunkStore) -> tuple[dict[str, Any], dict[str, str], bool]:
    """Every fit in a folder of its own: the objects in summary.json, labels of quantities, whether it was interrupted.

    `store`: holds fits that are finished.
    """
    from nmmfit.results.leave_out import ALL
    from nmmfit.results.leave_out_chunks import as_chunk, from_chunk, pulls_of

    names = (ALL, *chosen.config.experiments)
    fits: dict[str, Any] = {}
    labels: dict[str, str] = {}
    pulls: Mapping[str, Any] = {}
    with fits_bar(len(names)) as bar_of:
        for number, name in enumerate(names):
            inner = folder.sub(name)
            kept = _kept(store, number)
            if kept is not None:
                fits[name], more, of_it = from_chunk(kept, inner)
                labels |= more
                pulls = of_it if name == ALL else pulls
                continue
            try:
                smaller = chosen if name == ALL else without(chosen, name, pulls)
                result, _, joint, payload = sampled(smaller, inner, plots, bar_of(name))
            except (KeyboardInterrupt, InterruptedRunError):
                inner.remove()
                return fits, labels, True
            if name == ALL:
                pulls = pulls_of(joint)
            labels |= dict(result.labels)
            fits[name] = payload
            if result.interrupted:
                return fits, labels, True
            store.write(number, as_chunk(inner.path, result.labels, pulls_of(joint)))
    return fits, labels, False


def without(chosen: Run, name: str, pulls: Mapping[str, Any]) -> Run:
    """A run with one experiment left out, together with its options and with what the run says about its own pulls.

    Args:
        chosen: the run.
        name: the experiment.
        pulls: experiment -> names of its pulls.
    """
    smaller = restricted(chosen, [e for e in chosen.config.experiments if e != name], pulls)
    return replace(smaller, overrides=(*chosen.overrides, f"without {name}"))


def restricted(chosen: Run, names: Collection[str], pulls: Mapping[str, Any]) -> Run:
    """A run with some of its experiments only, without options of the others and what it says about pulls that these alone have.

    Args:
        chosen: the run.
        names: the experiments that stay, in any order.
        pulls: experiment -> names of its pulls, of all experiments of the run.
    """
    config = chosen.config
    left = [e for e in config.experiments if e in names]
    kept = {pull for e in left for pull in pulls.get(e, ())}
    gone = {pull for e in config.experiments if e not in left for pull in pulls.get(e, ())} - kept
    changes = {
        "experiments": left,
        "options": {e: options for e, options in config.options.items() if e in left},
        "pulls": {pull: prior for pull, prior in config.pulls.items() if pull not in gone},
    }
    return replace(chosen, config=config.model_copy(update=changes), overrides=(*chosen.overrides, f"only {', '.join(left)}"))
