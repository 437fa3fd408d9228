"""`fit`: sample the joint posterior and write it down."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmmfit.cli.arguments import (
    Experiments,
    Json,
    Out,
    Overrides,
    Reparametrise,
    RunFile,
    experiment_overrides,
    open_run,
    reparametrised,
)
from nmmfit.cli.device import Device
from nmmfit.cli.go_on import Unfinished, going_on_later
from nmmfit.cli.invocation import results_folder, resumable_folder
from nmmfit.cli.output import emit, note
from nmmfit.cli.prior_predictive import checked_draws, prior_predictive_into
from nmmfit.cli.progress import sampling_bar
from nmmfit.errors import InterruptedRunError, NotConvergedError, UserInputError

if TYPE_CHECKING:
    from nmmfit.inference.checkpoint import Checkpoint
    from nmmfit.inference.joint import JointLikelihood
    from nmmfit.inference.result import SampleResult
    from nmmfit.results.diagnostics import FitSummary
    from nmmfit.results.files import RunFolder
    from nmmfit.results.resumable import ResumableFolder
    from nmmfit.run import Run

Seed = Annotated[int | None, typer.Option("--seed", metavar="N", help="Seed of the random numbers.", show_default=False)]
Chains = Annotated[int | None, typer.Option("--chains", metavar="N", help="Number of chains.", show_default=False)]
Warmup = Annotated[int | None, typer.Option("--warmup", metavar="N", help="Warm-up steps per chain.", show_default=False)]
Draws = Annotated[int | None, typer.Option("--draws", metavar="N", help="Draws per chain after warm-up.", show_default=False)]

Sampler = Annotated[
    str | None, typer.Option("--sampler", metavar="METHOD", help="How to sample: nuts, ensemble or smc.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add this verb to the program."""
    app.command(epilog="Example: nmmfit fit my-run.toml --experiments all --out my-fit --seed 1")(fit)


def sampler_overrides(**given: int | str | None) -> list[str]:
    """Options of the sampler as overrides of the run file, those that were given."""
    return [f"sampler.{name}={json.dumps(value)}" for name, value in given.items() if value is not None]


def sample_run(
    chosen: Run, joint: JointLikelihood, bar: Callable[[], Any] | None = None, checkpoint: Checkpoint | None = None
) -> SampleResult:
    """Sample with the settings of a run, with a progress bar, `bar` or one of its own, from a checkpoint on if there is one.

    Raises: UserInputError if there is nothing to sample; InterruptedRunError if interrupted before the first draw after warm-up.
    """
    if not joint.names:
        raise UserInputError(f"{chosen.source}: nothing to sample: every parameter, theory input and nuisance is held fixed")
    from nmmfit.inference.sampling import SamplerSettings, sample

    settings = SamplerSettings(**chosen.config.sampler.model_dump())
    try:
        with (bar or sampling_bar)() as advance:
            return sample(joint, settings, advance, checkpoint)
    except KeyboardInterrupt:
        kept = "; nothing was written" if checkpoint is None else ""
        raise InterruptedRunError(f"interrupted before the first draw after warm-up{kept}") from None


def not_converged(problems: Sequence[str]) -> NotConvergedError:
    """The error for what did not converge: the first parts by name, the others counted (the output names them all)."""
    more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
    return NotConvergedError("not converged: " + "; ".join(problems[:3]) + more)


def fit(
    ctx: typer.Context,
    run: RunFile = None,
    experiments: Experiments = None,
    sampler: Sampler = None,
    seed: Seed = None,
    chains: Chains = None,
    draws: Draws = None,
    warmup: Warmup = None,
    reparametrise: Reparametrise = None,
    overrides: Overrides = None,
    plots: Annotated[bool, typer.Option("--plots/--no-plots", help="Draw the plots too.")] = True,
    prior_predictive: Annotated[
        bool,
        typer.Option(
            "--prior-predictive", help="Sample no posterior: draw from the priors, and compare what they predict with the data."
        ),
    ] = False,
    device: Device = None,
    as_json: Json = False,
    out: Out = None,
) -> None:
    """Sample the joint posterior; write posterior.nc, summary.json and plots into a fresh folder."""
    changes = sampler_overrides(method=sampler, seed=seed, chains=chains, draws=draws, warmup=warmup)
    chosen = reparametrised(open_run(run, [*(overrides or ()), *experiment_overrides(experiments), *changes]), reparametrise)
    if prior_predictive:
        checked_draws(draws, {"sampler": sampler, "chains": chains, "warmup": warmup, "reparametrise": reparametrise})
        prior_predictive_into(chosen, results_folder(ctx, out, chosen), draws, plots, as_json, device)
        return
    fit_into(chosen, resumable_folder(ctx, out, chosen), plots, as_json, device)


def go_on(again: Unfinished, as_json: bool) -> None:
    """Go on with a fit that was begun."""
    fit_into(again.run, again.folder, again.options["plots"], as_json, again.where.device)


def fit_into(chosen: Run, folder: ResumableFolder, plots: bool, as_json: bool, device: str | None = None) -> None:
    """Fit, or go on with what the folder holds, and print the answer."""
    from nmmfit.results.files import POSTERIOR

    with going_on_later(folder, (folder.path / POSTERIOR).exists):
        from nmmfit.cli.runtime import start_computing

        start_computing(device)
        result, summary, joint, payload = sampled(chosen, folder, plots)
        place = folder.publish(finished=not result.interrupted)
    from nmmfit.results.directions import directions_tables
    from nmmfit.results.tables import fit_tables

    emit(
        "fit",
        {**payload, "out": str(place)},
        as_json,
        None,
        lambda console: console.print(
            fit_tables(result, summary, joint.choices, payload["landscape"]["text"]),
            *directions_tables(payload.get("directions") or {}),
        ),
    )
    note(f"wrote {place}")
    if result.interrupted:
        drawn = f"interrupted after {result.draws_per_chain} draws per chain; what was drawn is in {place}"
        raise InterruptedRunError(f"{drawn}; nmmfit resume {place} goes on")
    if not summary.convergence.converged:
        raise not_converged(summary.convergence.problems)


def sampled(
    chosen: Run, folder: RunFolder, plots: bool, bar: Callable[[], Any] | None = None
) -> tuple[SampleResult, FitSummary, JointLikelihood, dict[str, Any]]:
    """Sample a run and write everything into its folder: draws, their summaries, the likelihood, and what `--json` prints."""
    from nmmfit.cli.runtime import start_computing

    start_computing()
    from nmmfit.results.fit_output import write_sampled

    note(f"{chosen.source}: {', '.join(chosen.config.experiments) or 'no experiment, the priors alone'}")
    joint = chosen.joint()
    result = sample_run(chosen, joint, bar, checkpoint_in(folder, chosen))
    directions = chosen.config.directions
    summary, payload = write_sampled(folder, joint, result, chosen.to_toml(), plots=plots, directions=directions)
    return result, summary, joint, payload


def checkpoint_in(folder: RunFolder, chosen: Run) -> Checkpoint | None:
    """Where the sampler of a run keeps draws and state in a folder; None in one that is gone with the process."""
    if not folder.resumable:
        return None
    from nmmfit.inference.checkpoint import Checkpoint
    from nmmfit.results.resumable import ResumableFolder

    if isinstance(folder, ResumableFolder):
        # The folder's name, for those whose process is killed.
        note(f"writing to {folder.final}; if it is interrupted: nmmfit resume {folder.final}")
    return Checkpoint(
        lambda name, about: folder.store(name, {**about, "run": chosen.hash}), lambda said: note(f"nmmfit: warning: {said}")
    )
