"""`limits` and `profile`: intervals of every coefficient, and the profile of one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmmfit.checks import confidence_level, finite_number, whole_number
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
from nmmfit.cli.fit import Chains, Draws, Sampler, Seed, Warmup, checkpoint_in, not_converged, sample_run, sampler_overrides
from nmmfit.cli.go_on import Unfinished, going_on_later
from nmmfit.cli.invocation import resumable_folder
from nmmfit.cli.output import add_row, emit, note, table
from nmmfit.cli.progress import counting_bar
from nmmfit.cli.where import kept_in
from nmmfit.errors import InterruptedRunError, NotConvergedError, UserInputError
from nmmfit.results.jsonable import plain

if TYPE_CHECKING:
    from rich.console import Console

    from nmmfit.inference.joint import JointLikelihood
    from nmmfit.results.resumable import ResumableFolder
    from nmmfit.run import Run

Fit = Annotated[
    Path | None,
    typer.Option(
        "--fit", metavar="DIR", help="Take the run and its posterior from this folder of an earlier fit.", show_default=False
    ),
]
Names = Annotated[
    list[str] | None,
    typer.Option(
        "--parameter", metavar="NAME", help="Only this coefficient or identified quantity; may be repeated.", show_default=False
    ),
]


DEFAULT_TOYS = 500
"""Toys at every tested value of Feldman-Cousins intervals."""


def register(app: typer.Typer) -> None:
    """Add these verbs to the program."""
    app.command(epilog="Example: nmmfit limits my-run.toml --cl 0.95 --out my-limits")(limits)
    app.command(epilog="Example: nmmfit profile my-run.toml --parameter L_dipole --points 41")(profile)


def limits(
    ctx: typer.Context,
    run: RunFile = None,
    experiments: Experiments = None,
    cl: Annotated[float, typer.Option("--cl", metavar="LEVEL", help="Confidence and credible level, between 0 and 1.")] = 0.90,
    names: Names = None,
    fit_folder: Fit = None,
    marginalised: Annotated[
        bool, typer.Option("--marginalised/--no-marginalised", help="Also sample the posterior, for marginalised intervals.")
    ] = True,
    combinations: Annotated[
        list[str] | None,
        typer.Option(
            "--combination",
            metavar="'NAME: PARAMETER=WEIGHT, ...'",
            help="Also limit this linear combination of coefficients; may be repeated.",
            show_default=False,
        ),
    ] = None,
    reparametrise: Reparametrise = None,
    feldman_cousins: Annotated[
        bool, typer.Option("--feldman-cousins", help="Also make toys, for Feldman-Cousins intervals; takes minutes a quantity.")
    ] = False,
    toys: Annotated[
        int, typer.Option("--toys", metavar="N", help="Toys at every value tested for --feldman-cousins.")
    ] = DEFAULT_TOYS,
    sampler: Sampler = None,
    seed: Seed = None,
    chains: Chains = None,
    draws: Draws = None,
    warmup: Warmup = None,
    overrides: Overrides = None,
    device: Device = None,
    as_json: Json = False,
    out: Out = None,
) -> None:
    """Limits of each coefficient and identified quantity: one at a time, profiled and marginalised, side by side."""
    confidence_level(cl, "--cl")
    whole_number(toys, "--toys", 10)
    changes = sampler_overrides(method=sampler, seed=seed, chains=chains, draws=draws, warmup=warmup)
    changes += experiment_overrides(experiments)
    if fit_folder is not None and (run is not None or overrides or changes):
        raise UserInputError(
            f"--fit {fit_folder}: the run is the one of that fit; leave out RUN, --experiments, --set and options of the sampler"
        )
    combined = [_combination_override(given) for given in combinations or ()]
    changes = [*(overrides or ()), *changes, *combined]
    chosen = _run_of(fit_folder, combined) if fit_folder is not None else open_run(run, changes)
    chosen = reparametrised(chosen, reparametrise)
    number = toys if feldman_cousins else None
    limits_into(chosen, resumable_folder(ctx, out, chosen), cl, names, fit_folder, marginalised, as_json, number, device)


def go_on(again: Unfinished, as_json: bool) -> None:
    """Go on with limits that were begun."""
    given = again.options
    fit_folder = Path(given["fit_folder"]) if given["fit_folder"] else None
    number = given["toys"] if given.get("feldman_cousins") else None
    wanted = given["cl"], given["names"], fit_folder, given["marginalised"]
    limits_into(again.run, again.folder, *wanted, as_json, number, again.where.device)


def limits_into(
    chosen: Run,
    folder: ResumableFolder,
    cl: float,
    names: list[str] | None,
    fit_folder: Path | None,
    marginalised: bool,
    as_json: bool,
    toys: int | None = None,
    device: str | None = None,
) -> None:
    """Limits, or what is left of them to do; see `limits`."""
    from nmmfit.results.files import POSTERIOR, RUN_FILE

    with going_on_later(folder, (folder.path / POSTERIOR).exists):
        from nmmfit.cli.runtime import start_computing

        start_computing(device)
        from nmmfit.inference.limits import limits as engine
        from nmmfit.results.directions import components, told
        from nmmfit.results.plots import write_forest
        from nmmfit.results.provenance import made_by
        from nmmfit.results.store import json_text, stored_draws

        joint = chosen.joint()
        known = [*(p.name for p in joint.own), *(q.name for q in joint.identified)]
        if not joint.n_own:
            raise UserInputError(f"{chosen.source}: no coefficient is free, so that there is nothing to limit")
        _check_names(names, known)
        posterior: Mapping[str, Any] | None = None
        problems: list[str] = []
        if fit_folder is not None:
            posterior = stored_draws(fit_folder, known)
        elif marginalised:
            posterior, problems = _sampled(chosen, joint, folder)
        with counting_bar("limits") as advance:
            found = engine(
                joint,
                cl,
                posterior,
                parameters=names,
                combinations=chosen.config.combinations,
                directions=components(chosen.config.directions),
                feldman_cousins=toys is not None,
                toys=toys or DEFAULT_TOYS,
                seed=chosen.config.sampler.seed,
                progress=advance,
                stores=kept_in(folder),
            )
        problems += [f"limit of {failed}" for failed in found.failed]
        outcome = {"converged": not problems, "problems": problems, "theory": joint.choices}
        made = {"directions": told(chosen.config.directions), "provenance": made_by(chosen.config.sampler.seed)}
        payload = plain({**found.to_json(), **outcome, **made})
        labels = {q.name: q.label for q in joint.identified}
        folder.write_text("limits.json", json_text(payload))
        folder.write_text(RUN_FILE, chosen.to_toml())
        if found.parameters or found.identified:
            write_forest(folder.path, payload, labels)
        place = folder.publish()
    emit("limits", {**payload, "out": str(place)}, as_json, None, lambda console: _show_limits(console, payload))
    note(f"wrote {place}")
    if problems:
        raise not_converged(problems)


def _run_of(folder: Path, overrides: list[str]) -> Run:
    from nmmfit.results.store import read_run
    from nmmfit.run import parse_run

    return parse_run(read_run(folder).run_toml, str(folder / "run.toml"), overrides)


def _combination_override(given: str) -> str:
    """NAME: PARAMETER=WEIGHT, ... as the change of the run file that it stands for, an inline table of TOML."""
    name, colon, weights = given.partition(":")
    if not colon or not name.strip() or "=" not in weights:
        raise UserInputError(f"--combination {given!r}: expected 'NAME: PARAMETER=WEIGHT, ...', such as 'T: L_T_u=2, L_T_d=-1'")
    return f"combinations.{name.strip()}={{ {weights.strip()} }}"


def _sampled(chosen: Run, joint: JointLikelihood, folder: ResumableFolder) -> tuple[dict[str, Any], list[str]]:
    """Draws of coefficients and identified quantities, and what did not converge.

    Raises: InterruptedRunError after Ctrl-C; the draws made until then are in the folder, as `fit` writes them.
    """
    from nmmfit.results.diagnostics import summarise_fit

    result = sample_run(chosen, joint, checkpoint=checkpoint_in(folder, chosen))
    summary = summarise_fit(result)
    if result.interrupted:
        from nmmfit.results.fit_output import write_fit

        write_fit(folder, joint, result, summary, chosen.to_toml(), best={}, plots=False, directions=chosen.config.directions)
        place = folder.publish(finished=False)
        drawn = f"interrupted after {result.draws_per_chain} draws per chain; what was drawn is in {place}"
        raise InterruptedRunError(f"{drawn} (nmmfit limits --fit {place})")
    problems = [f"posterior: {problem}" for problem in summary.convergence.problems]
    return {**result.draws, **result.identified}, problems


def _check_names(names: list[str] | None, known: list[str]) -> None:
    from nmmfit.errors import unknown

    for name in names or ():
        if name not in known:
            raise unknown("coefficient or identified quantity", name, known, "--parameter")


def _show_limits(console: Console, payload: Mapping[str, Any]) -> None:
    from nmmfit.results.directions import direction_lines
    from nmmfit.results.tables import limits_table

    console.print(limits_table(payload))
    for line in direction_lines(payload["directions"]):
        console.print(line, markup=False)
    if payload["presets"]:
        _show_presets(console, payload)
    for kind, meaning in payload["conventions"].items():
        console.print(f"{kind.replace('_', ' ')}: {meaning}", markup=False)


def _show_presets(console: Console, payload: Mapping[str, Any]) -> None:
    """One-at-a-time limits with other determinations of the theory inputs, a column each."""

    def inputs(found: Mapping[str, Any]) -> str:
        return "\n".join(
            f"{name.removeprefix('theory.')} = {v:g}" + (f" +- {s:g}" if s else "") for name, (v, s) in found["inputs"].items()
        )

    presets = payload["presets"]
    columns = [f"{name.replace('_', ' ')}\n{inputs(found)}" for name, found in presets.items()]
    made = table(
        "One at a time, by determination of the theory inputs", "coefficient", *columns, numbers=tuple(range(1, len(columns) + 1))
    )
    for name, limits_of in payload["parameters"].items():
        cells = []
        for found in presets.values():
            interval = found["one_at_a_time"].get(name)
            lower, upper = (interval or {}).get("lower"), (interval or {}).get("upper")
            cells.append(
                "-"
                if interval is None
                else f"[{'-inf' if lower is None else f'{lower:.3g}'}, {'inf' if upper is None else f'{upper:.3g}'}]"
            )
        add_row(made, f"{name} [{limits_of['unit']}]", *cells)
    console.print(made)


def profile(
    ctx: typer.Context,
    run: RunFile = None,
    experiments: Experiments = None,
    parameter: Annotated[
        str | None,
        typer.Option(
            "--parameter", metavar="NAME", help="Parameter, identified quantity or combination to profile.", show_default=False
        ),
    ] = None,
    reparametrise: Reparametrise = None,
    points: Annotated[int, typer.Option("--points", metavar="N", min=2, help="Grid points.")] = 41,
    low: Annotated[
        float | None, typer.Option("--low", help="Lower end of the grid; without it delta chi2 = 9.", show_default=False)
    ] = None,
    high: Annotated[float | None, typer.Option("--high", help="Upper end of the grid.", show_default=False)] = None,
    overrides: Overrides = None,
    device: Device = None,
    as_json: Json = False,
    out: Out = None,
) -> None:
    """Profile likelihood of one parameter; the others are minimised by gradient at every point."""
    if parameter is None:
        raise UserInputError("profile: name what is profiled, such as --parameter L_dipole (nmmfit list parameters)")
    for option, value in (("--low", low), ("--high", high)):
        if value is not None:
            finite_number(value, option)
    chosen = reparametrised(open_run(run, [*(overrides or ()), *experiment_overrides(experiments)]), reparametrise)
    asked = {"points": points, "low": low, "high": high}
    _profile_into(chosen, resumable_folder(ctx, out, chosen), parameter, asked, device, as_json)


def go_on_with_profile(again: Unfinished, as_json: bool) -> None:
    """Go on with a profile that was begun; points that are solved are not solved again."""
    given = again.options
    asked = {name: given[name] for name in ("points", "low", "high")}
    _profile_into(again.run, again.folder, given["parameter"], asked, again.where.device, as_json)


def _profile_into(
    chosen: Run, folder: ResumableFolder, parameter: str, asked: Mapping[str, Any], device: str | None, as_json: bool
) -> None:
    """The profile, or what is left of it to do; `asked`: its grid."""
    from nmmfit.results.files import RUN_FILE

    with going_on_later(folder, lambda: False):
        from nmmfit.cli.runtime import start_computing

        start_computing(device)
        from nmmfit.inference.profile import profile as engine
        from nmmfit.results.directions import components, told
        from nmmfit.results.provenance import made_by
        from nmmfit.results.store import json_text

        joint = chosen.joint()
        with counting_bar("profile") as advance:
            seed = chosen.config.sampler.seed
            try:
                found = engine(
                    joint,
                    parameter,
                    **asked,
                    combinations=chosen.config.combinations,
                    directions=components(chosen.config.directions),
                    seed=seed,
                    progress=advance,
                    stores=kept_in(folder),
                )
            except UserInputError:
                # A grid that is wrong where its other end was found.
                folder.forget()
                raise
        of_it = {n: spec for n, spec in chosen.config.directions.items() if n == parameter}
        made = {"directions": told(of_it), "theory": joint.choices, "provenance": made_by(seed)}
        payload = plain({**found.to_json(), **made})
        folder.write_text("profile.json", json_text(payload))
        folder.write_text(RUN_FILE, chosen.to_toml())
        place = folder.publish()
    emit("profile", {**payload, "out": str(place)}, as_json, None, lambda console: _show_profile(console, payload, parameter))
    note(f"wrote {place}")
    failed = [f"{at:g}" for at, fine in zip(payload["grid"][parameter], payload["converged"], strict=True) if not fine]
    if failed:
        raise NotConvergedError(f"not converged: the points of {parameter} at {', '.join(failed)}")


def _show_profile(console: Console, payload: Mapping[str, Any], name: str) -> None:
    from nmmfit.results.directions import direction_lines

    made = table(f"Profile of {name}", f"{name} [{payload['unit']}]", "delta chi2", "converged", numbers=(0, 1))
    for at, height, fine in zip(payload["grid"][name], payload["delta_chi2"], payload["converged"], strict=True):
        add_row(made, f"{at:.4g}", "-" if height is None else f"{height:.4f}", "yes" if fine else "NO")
    console.print(made)
    console.print(f"best: {payload['best'][name]:.4g} {payload['unit']}", markup=False)
    for line in direction_lines(payload["directions"]):
        console.print(line, markup=False)
    if payload["reason"]:
        console.print(payload["reason"], markup=False)
