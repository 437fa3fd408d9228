"""`fit`: sample the joint posterior and write it down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmmfit.cli.arguments import Json, Out, Overrides, RunFile, open_run
from nmmfit.cli.output import emit, note
from nmmfit.errors import InterruptedRunError, NotConvergedError

if TYPE_CHECKING:
    from nmmfit.inference.sampling import Progress

Seed = Annotated[int | None, typer.Option("--seed", metavar="N", help="Seed of the random numbers.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add this verb to the program."""
    app.command(epilog="Example: nmmfit fit my-run.toml --out my-fit --seed 1")(fit)


def fit(
    run: RunFile = None,
    seed: Seed = None,
    chains: Annotated[int | None, typer.Option("--chains", metavar="N", help="Number of chains.", show_default=False)] = None,
    draws: Annotated[
        int | None, typer.Option("--draws", metavar="N", help="Draws per chain after warm-up.", show_default=False)
    ] = None,
    warmup: Annotated[
        int | None, typer.Option("--warmup", metavar="N", help="Warm-up steps per chain.", show_default=False)
    ] = None,
    overrides: Overrides = None,
    plots: Annotated[bool, typer.Option("--plots/--no-plots", help="Draw the plots too.")] = True,
    as_json: Json = False,
    out: Out = None,
) -> None:
    """Sample the joint posterior; write posterior.nc, summary.json and plots into a fresh folder."""
    given = {"seed": seed, "chains": chains, "draws": draws, "warmup": warmup}
    changes = [*(overrides or ()), *(f"sampler.{name}={value}" for name, value in given.items() if value is not None)]
    chosen = open_run(run, changes)

    from nmmfit.results.files import RunFolder

    with RunFolder(out) as folder:
        from nmmfit.cli.runtime import start_computing

        start_computing()
        from nmmfit.inference.predictive import predictive
        from nmmfit.inference.sampling import SamplerSettings, sample
        from nmmfit.results.diagnostics import summarise_fit
        from nmmfit.results.provenance import provenance
        from nmmfit.results.store import ChannelDraws, fit_json, posterior_data, write_run
        from nmmfit.results.tables import fit_tables

        note(f"{chosen.source}: {', '.join(chosen.config.experiments) or 'no experiment, the priors alone'}")
        joint = chosen.joint()
        settings = SamplerSettings(**chosen.config.sampler.model_dump())
        with _bar() as advance:
            result = sample(joint, settings, advance)
        summary = summarise_fit(result)
        predictions = predictive(joint, result.draws, settings.seed)
        channels = {
            name: ChannelDraws(joint.observed[name], channel.edges, predictions[name].log_likelihood, predictions[name].counts)
            for name, channel in joint.channels.items()
        }
        used = chosen.to_toml()
        payload = fit_json(result, summary, out=folder.final, choices=joint.choices)
        write_run(folder, posterior_data(result, channels, provenance(used, settings.seed)), payload, used)
        if plots:
            _plots(folder.path, joint, result, summary)
        place = folder.publish()
    emit(
        "fit",
        {**payload, "out": str(place)},
        as_json,
        None,
        lambda console: console.print(fit_tables(result, summary, joint.choices)),
    )
    note(f"wrote {place}")
    if result.interrupted:
        raise InterruptedRunError(f"interrupted after {result.draws_per_chain} draws per chain; what was drawn is in {place}")
    if not summary.convergence.converged:
        raise NotConvergedError("not converged: " + "; ".join(summary.convergence.problems))


def _plots(folder: Any, joint: Any, result: Any, summary: Any) -> None:
    from nmmfit.results.plots import write_fit_plots
    from nmmfit.results.spectra import channel_spectra

    # The draw of highest posterior density stands for the best fit.
    chain, draw = divmod(int(result.sample_stats["lp"].argmax()), result.draws_per_chain)
    best = {name: float(values[chain, draw]) for name, values in result.draws.items()}
    write_fit_plots(folder, result, summary, joint.parameters, channel_spectra(joint, best))


@contextmanager
def _bar() -> Iterator[Callable[[Progress], None]]:
    """A progress bar on stderr with the divergences and the speed; where stderr is no terminal, nothing."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[state]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, disable=not screen.is_terminal, transient=True) as bar:
        task = bar.add_task("compiling", total=None, state="")

        def advance(now: Any) -> None:
            phase = "warm-up" if now.done < now.warmup else "sampling"
            speed = now.done / now.seconds if now.seconds > 0 else 0.0
            state = f"{now.done}/{now.total}, {now.divergences} divergences, {speed:.0f} steps/s"
            bar.update(task, description=phase, total=now.total, completed=now.done, state=state)

        yield advance
