"""`scan`: likelihood grids of one or more parameters or identified quantities."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from nmmfit.checks import confidence_level, finite_number
from nmmfit.cli.arguments import (
    Experiments,
    Json,
    Out,
    Overrides,
    Reparametrise,
    RunFile,
    Yes,
    experiment_overrides,
    open_run,
    reparametrised,
)
from nmmfit.cli.cluster import Cluster
from nmmfit.cli.device import Device
from nmmfit.cli.go_on import Unfinished, going_on_later
from nmmfit.cli.invocation import resumable_folder
from nmmfit.cli.output import add_row, emit, note, table
from nmmfit.cli.progress import counting_bar
from nmmfit.cli.where import Where, computed_on
from nmmfit.errors import NotConvergedError, UserInputError
from nmmfit.results.jsonable import plain

if TYPE_CHECKING:
    from rich.console import Console

    from nmmfit.results.resumable import ResumableFolder
    from nmmfit.run import Run

MOST_SECONDS = 3600.0
"""Estimated time above which a scan begins only with --yes."""

Grid = Annotated[
    list[str] | None,
    typer.Option(
        "--grid",
        metavar="NAME=FROM:TO:POINTS",
        help="An axis: a parameter, identified quantity or combination, its ends and number of points; may be repeated.",
        show_default=False,
    ),
]
Fixed = Annotated[
    list[str] | None,
    typer.Option("--fixed", metavar="NAME=VALUE", help="Hold a parameter at this value; may be repeated.", show_default=False),
]
Levels = Annotated[
    list[float] | None,
    typer.Option(
        "--cl",
        metavar="LEVEL",
        help="Confidence level of contours; may be repeated. [default: 0.68, 0.9, 0.95]",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add this verb to the program."""
    app.command(epilog="Example: nmmfit scan my-run.toml --grid L_dipole=-1e-8:1e-8:21 --grid L_T_u=-1e-5:1e-5:21")(scan)


def scan(
    ctx: typer.Context,
    run: RunFile = None,
    experiments: Experiments = None,
    grid: Grid = None,
    cl: Levels = None,
    fixed: Fixed = None,
    reparametrise: Reparametrise = None,
    profiled: Annotated[
        bool, typer.Option("--profile/--no-profile", help="Minimise everything else at every point, or hold it at the best fit.")
    ] = True,
    refine: Annotated[bool, typer.Option("--refine/--no-refine", help="Solve points on the contours, beside the grid.")] = True,
    yes: Yes = False,
    overrides: Overrides = None,
    cluster: Cluster = None,
    device: Device = None,
    as_json: Json = False,
    out: Out = None,
) -> None:
    """Likelihood grid with contours; what is not on the grid is minimised by gradient at every point."""
    levels = tuple(confidence_level(level, "--cl") for level in cl or ())
    asked = Asked(grid_axes(grid), levels, fixed_values(fixed), profiled, refine)
    chosen = reparametrised(open_run(run, [*(overrides or ()), *experiment_overrides(experiments)]), reparametrise)
    scan_into(chosen, resumable_folder(ctx, out, chosen), asked, Where(cluster, device), yes, as_json)


def go_on(again: Unfinished, as_json: bool) -> None:
    """Go on with a scan that was begun: chunks of the grid that are solved are not solved again."""
    given = again.options
    asked = Asked(
        grid_axes(given["grid"]), tuple(given["cl"] or ()), fixed_values(given["fixed"]), given["profiled"], given["refine"]
    )
    # Whoever goes on with a long scan has begun it.
    scan_into(again.run, again.folder, asked, again.where, True, as_json)


@dataclass(frozen=True)
class Asked:
    """What is scanned: axes (from, to, points), confidence levels (none: the usual ones), parameters held, and how."""

    axes: Mapping[str, tuple[float, float, int]]
    levels: tuple[float, ...]
    held: Mapping[str, float]
    profiled: bool
    refine: bool


def scan_into(chosen: Run, folder: ResumableFolder, asked: Asked, where: Where, yes: bool, as_json: bool) -> None:
    """Scan, or do what is left of it, and print the answer."""
    from nmmfit.results.files import RUN_FILE

    with going_on_later(folder, lambda: False), where.opened(chosen.config.experiments) as engine:
        from nmmfit.inference.scan import LEVELS
        from nmmfit.inference.scan import scan as scanned
        from nmmfit.results import adapter
        from nmmfit.results.directions import components, told
        from nmmfit.results.figure import save
        from nmmfit.results.provenance import made_by
        from nmmfit.results.scan import PICTURE, SCAN_DATA, scan_data, scan_figure
        from nmmfit.results.store import json_text

        joint = chosen.joint()
        seed = chosen.config.sampler.seed
        with counting_bar("scan") as advance:
            found = scanned(
                joint,
                asked.axes,
                cl=asked.levels or LEVELS,
                fixed=asked.held,
                combinations=chosen.config.combinations,
                directions=components(chosen.config.directions),
                profiled=asked.profiled,
                refine=asked.refine,
                seed=seed,
                confirm=confirming(yes),
                progress=advance,
                store=folder.store("grid", {"axes": asked.axes, "held": asked.held, "profiled": asked.profiled, **computed_on()}),
                engine=engine,
            )
        made = made_by(seed)
        on_grid = {n: spec for n, spec in chosen.config.directions.items() if n in asked.axes}
        payload = plain({**found.to_json(), "directions": told(on_grid), "theory": joint.choices, "provenance": made})
        folder.write_text("scan.json", json_text(payload))
        folder.write_bytes(SCAN_DATA, adapter.netcdf_bytes(scan_data(found, made)))
        save(scan_figure(payload), folder.path / PICTURE)
        folder.write_text(RUN_FILE, chosen.to_toml())
        place = folder.publish()
    emit("scan", {**payload, "out": str(place)}, as_json, None, lambda console: _show(console, payload))
    note(f"wrote {place}")
    if failed := found.failed:
        shown = "; ".join(", ".join(f"{n} = {v:.4g}" for n, v in point.items()) for point in failed[:5])
        more = f" and {len(failed) - 5} more" if len(failed) > 5 else ""
        raise NotConvergedError(f"not converged: {len(failed)} of {found.converged.size} points: {shown}{more}")


def grid_axes(given: list[str] | None) -> dict[str, tuple[float, float, int]]:
    """NAME=FROM:TO:POINTS options.

    Raises: UserInputError for none, a form or number that is wrong, or a name that stands twice.
    """
    if not given:
        raise UserInputError("scan: name what is scanned, such as --grid L_dipole=-1e-8:1e-8:21 (nmmfit list parameters)")
    axes: dict[str, tuple[float, float, int]] = {}
    for text in given:
        name, equals, rest = text.partition("=")
        parts = rest.split(":")
        if not (name and equals) or len(parts) != 3:
            raise UserInputError(f"--grid {text!r}: expected NAME=FROM:TO:POINTS, such as L_dipole=-1e-8:1e-8:21")
        if name in axes:
            raise UserInputError(f"--grid {text!r}: {name} is given twice")
        ends = [_number(part, f"--grid {text!r}") for part in parts[:2]]
        axes[name] = (ends[0], ends[1], _count(parts[2], f"--grid {text!r}"))
    return axes


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise UserInputError(f"{where}: {text!r} is no number") from None
    return finite_number(value, where)


def _count(text: str, where: str) -> int:
    """Points of an axis; 1e3 is a whole number, too."""
    value = _number(text, where)
    if value != int(value):
        raise UserInputError(f"{where}: the number of points must be whole, got {text}")
    return int(value)


def fixed_values(given: list[str] | None) -> dict[str, float]:
    """NAME=VALUE options as real numbers. Raises: UserInputError for anything else."""
    from nmmfit.cli.arguments import name_values

    values = {}
    for name, value in name_values(given or ()).items():
        if value.imag:
            raise UserInputError(f"--fixed {name}={value}: expected a real number")
        values[name] = value.real
    return values


def confirming(yes: bool) -> Callable[[Any], None]:
    """What is done with an estimate: it is told, and a scan of more than an hour begins only with --yes."""
    from nmmfit.inference.scan import MOST_GIB

    def confirm(estimate: Any) -> None:
        text = f"{estimate.points:.4g} points, about {duration(estimate.seconds)} and {estimate.memory_gib:.3g} GiB of memory"
        if estimate.seconds > MOST_SECONDS and not yes:
            # What does not fit is refused with --yes, too.
            fits = estimate.memory_gib <= MOST_GIB
            beyond = duration(MOST_SECONDS) if fits else f"{duration(MOST_SECONDS)} and {MOST_GIB:g} GiB"
            or_else = ", or add --yes (with --cluster, workers share the time)" if fits else ""
            raise UserInputError(f"scan: {text}: beyond {beyond}; make the grid coarser{or_else}")
        note(f"scan: {text}")

    return confirm


def duration(seconds: float) -> str:
    """A time in the unit that fits it."""
    for limit, unit, size in ((90.0, "s", 1.0), (5400.0, "min", 60.0), (172800.0, "h", 3600.0)):
        if seconds < limit:
            return f"{seconds / size:.2g} {unit}"
    return f"{seconds / 86400.0:.3g} days"


def _show(console: Console, payload: Mapping[str, Any]) -> None:
    from nmmfit.results.directions import direction_lines
    from nmmfit.results.scan import contour_words, interval_text

    names = list(payload["grid"])
    heights = np.asarray(payload["delta_chi2"], dtype=float)
    converged = np.asarray(payload["converged"], dtype=bool)
    known = heights[converged & np.isfinite(heights)]
    lowest, highest = (float(known.min()), float(known.max())) if len(known) else (np.nan, np.nan)
    shape = " x ".join(str(n) for n in heights.shape)
    what = "everything else profiled" if payload["profiled"] else "everything else held at the best fit"
    made = table(
        f"Scan of {', '.join(names)}: {shape} points, {what}",
        "axis",
        "unit",
        "from",
        "to",
        "points",
        "best fit",
        numbers=(2, 3, 4, 5),
    )
    for name in names:
        values = payload["grid"][name]
        add_row(
            made,
            name,
            payload["units"][name],
            f"{values[0]:.4g}",
            f"{values[-1]:.4g}",
            str(len(values)),
            f"{payload['best'][name]:.4g}",
        )
    console.print(made)
    if len(names) == 1:
        points = table(
            "delta chi2", f"{names[0]} [{payload['units'][names[0]]}]", "delta chi2", "iterations", "converged", numbers=(0, 1, 2)
        )
        rows = zip(payload["grid"][names[0]], payload["delta_chi2"], payload["iterations"], payload["converged"], strict=True)
        for at, height, steps, fine in rows:
            add_row(points, f"{at:.4g}", "-" if height is None else f"{height:.4f}", str(steps), "yes" if fine else "NO")
        console.print(points)
        crossings = table("Intervals", "level", "delta chi2 below", names[0], "unit", "error of delta chi2", numbers=(0, 1, 4))
        for i in payload["intervals"]:
            text, unit = interval_text(i["segments"], payload["units"][names[0]])
            add_row(
                crossings,
                f"{100 * i['cl']:.3g} %",
                f"{i['delta_chi2']:.3f}",
                text,
                unit,
                "-" if i["error"] is None else f"{i['error']:.1g}",
            )
        console.print(crossings)
    elif len(names) == 2:
        console.print(_contours(contour_words, "Contours", payload["contours"], lowest, highest))
    else:
        for pair in payload["pairs"]:
            title = f"Contours of {' and '.join(pair['axes'])}, at the lowest point of the grid over the rest"
            console.print(_contours(contour_words, title, pair["contours"], lowest, highest))
    for line in direction_lines(payload["directions"]):
        console.print(line, markup=False)
    console.print(
        f"delta chi2 from {lowest:.4g} to {highest:.4g}; {int(converged.sum())} of {converged.size} points converged",
        markup=False,
    )


def _contours(words: Callable[..., str], title: str, contours: list[Mapping[str, Any]], lowest: float, highest: float) -> Any:
    made = table(title, "level", "delta chi2", "lines", numbers=(0, 1))
    for c in contours:
        add_row(made, f"{100 * c['cl']:.3g} %", f"{c['delta_chi2']:.3f}", words(c, lowest, highest))
    return made
