"""Picture and tables of directions in coefficient space, and of which experiment constrains which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from nmmfit.catalogue import digitised
from nmmfit.inference.directions import DISTANCES, Direction
from nmmfit.inference.fisher import Fisher
from nmmfit.inference.information import SHARED
from nmmfit.results.figure import BLACK, CYCLE, GREY, new_figure, save, style
from nmmfit.results.tables import plain_table
from nmmfit.results.wording import common_scale, heading, literal, number, symbol

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 20
"""Directions in the picture, the best and the blind ones; the tables and the file have all."""

LEAST_SHARE = 0.01
"""An experiment that has less than this of every direction is drawn with the others of its kind."""

OTHERS = "all others"
LEAST_COMPONENT = 0.05
"""Components below this are left out of the words and numbers for a direction."""

MOST_NUMBERS = 12
"""Parameters up to which components stand in the picture as numbers."""
SHORT_NAME = 10
"""Letters of a parameter's name up to which it is written upright below its column."""

_HATCHES = ("", "////", "....", "xxxx")


def direction_words(direction: Direction) -> str:
    """A direction as a sum of its larger components."""
    kept = {n: x for n, x in direction.composition.items() if abs(x) >= LEAST_COMPONENT} or direction.composition
    ranked = sorted(kept.items(), key=lambda item: -abs(item[1]))
    return " ".join(f"{x:+.2f} {name}" for name, x in ranked).removeprefix("+")


def along(fisher: Fisher, direction: Direction) -> dict[str, float]:
    """A step along a direction in the units of its parameters: the largest component moves by a prior width and comes first."""
    largest = max(abs(x) for x in direction.composition.values())
    ranked = sorted(direction.composition, key=lambda n: -abs(direction.composition[n]))
    moved = {n: direction.composition[n] / largest * fisher.widths[n] for n in ranked}
    return {n: x for n, x in moved.items() if x != 0.0}


def named_direction(fisher: Fisher, direction: Direction) -> str:
    """A direction in the units of its parameters, the largest component moved by a prior width."""
    moved = along(fisher, direction)
    return ", ".join(f"{n} = {x:.3g} {'' if fisher.units[n] == '1' else fisher.units[n]}".rstrip() for n, x in moved.items())


def _contributors(fisher: Fisher) -> list[str]:
    """Experiments with a share that shows, in their order; `SHARED` last, what is left together as `OTHERS`."""
    most = {e: max((d.shares.get(e, 0.0) for d in fisher.directions), default=0.0) for e in fisher.experiments}
    names = [e for e in fisher.experiments if most[e] >= LEAST_SHARE and e != SHARED]
    rest = sum(1 for e in fisher.experiments if e not in names and e != SHARED and most[e] > 0.0)
    return [*names, *([OTHERS] if rest else []), *([SHARED] if most.get(SHARED, 0.0) >= LEAST_SHARE else [])]


def _share(direction: Direction, name: str, shown: Sequence[str]) -> float:
    if name != OTHERS:
        return direction.shares.get(name, 0.0)
    return sum(x for e, x in direction.shares.items() if e not in shown)


def fisher_tables(found: Fisher) -> RenderableType:
    """Directions, the sensitivity to every coefficient, and what is blind and why, for the terminal."""
    parts: list[RenderableType] = [_directions_table(found), _sensitivity_table(found)]
    lines = [f"Expected information at: {found.where}.", f"Observed information at: {found.observed_where}."]
    for d in found.directions:
        if d.information > 0.0:
            continue
        if d.blind:
            lines.append(f"Blind: {named_direction(found, d)}: {d.cause or 'cause not derived'}.")
        else:
            seen = next((f"{number(x)} at {at:g}" for at, x in zip(DISTANCES, d.changes, strict=True) if x >= 1.0), "less than 1")
            lines.append(
                f"Not blind, though without information here: {direction_words(d)} (chi-square changes by {seen} prior widths): "
                f"{d.cause}."
            )
    if not found.blind:
        lines.append("No blind direction.")
    if any(d.information > 0.0 and d.observed_sd is None for d in found.directions):
        lines.append("No observed error (-): at that point the likelihood has no curvature to speak of, or a negative one.")
    return Group(*parts, Text("\n".join(lines)))


def _directions_table(found: Fisher) -> Table:
    made = plain_table("Directions from best to worst constrained (components in prior widths)")
    made.add_column("direction")
    made.add_column(escape(heading("expected sd", "prior widths")), justify="right")
    made.add_column(escape(heading("observed sd", "prior widths")), justify="right")
    made.add_column("constrained by")
    for d in found.directions:
        ranked = sorted(d.shares.items(), key=lambda item: -item[1])
        by = ", ".join(f"{name} {100 * x:.0f} %" for name, x in ranked if x >= LEAST_SHARE)
        none = "nothing: blind" if d.blind else "nothing here, see below"
        made.add_row(*map(escape, (direction_words(d), number(d.sd), number(d.observed_sd), by or none)))
    return made


def _sensitivity_table(found: Fisher) -> Table:
    """One row for each parameter; a power of ten is taken out of the rows of one unit."""
    made = plain_table("Sensitivity to each coefficient, one standard deviation")
    made.add_column("coefficient")
    for name in ("prior", "expected, others held", "observed, others held", "expected, profiled", "observed, profiled"):
        made.add_column(name, justify="right")
    for name, s in found.sensitivities.items():
        values = (s.width, s.expected, s.observed, s.expected_profiled, s.observed_profiled)
        scale = common_scale([s.width], s.unit)
        made.add_row(*map(escape, (f"{name} [{scale.unit}]", *(number(None if v is None else v / scale.factor) for v in values))))
    return made


def fisher_figure(found: Fisher, most: int = SHOWN) -> Figure:
    """Composition of every direction as a heat map, its expected error, and the shares of the experiments in it.

    Args:
        found: the information.
        most: directions that are shown; the worst constrained ones that are not blind make way.
    """
    places = list(enumerate(found.directions, 1))
    blind = [(k, d) for k, d in places if d.information == 0.0][:most]
    shown = [*[(k, d) for k, d in places if d.information > 0.0][: most - len(blind)], *blind]
    rows = [d for _, d in shown]
    names = list(found.names)
    cell = 0.52 if len(names) <= 8 else 0.3
    height = 0.36 * len(rows) + 1.75 + (0.0 if _upright(names) else 0.06 * max(map(len, names)))
    with style():
        figure = new_figure(5.6 + cell * len(names), height)
        ratios = [cell * len(names), 1.5, 3.1]
        left, middle, right = figure.subplots(1, 3, sharey=True, gridspec_kw={"width_ratios": ratios})
        _draw_composition(left, rows, names)
        _draw_errors(middle, rows)
        _draw_shares(right, rows, _contributors(found))
        left.set_yticks(range(len(rows)), [str(k) for k, _ in shown])
        left.set_ylabel("direction")
        left.set_ylim(len(rows) - 0.5, -0.5)
        for axes in (left, middle, right):
            axes.tick_params(axis="y", which="both", left=False, right=False)
        handles, labels = right.get_legend_handles_labels()
        if handles:
            figure.legend(handles, labels, loc="outside upper center", ncols=min(3, len(handles)), fontsize=8)
    return figure


def _draw_composition(axes: Any, rows: Sequence[Direction], names: Sequence[str]) -> None:
    table = np.array([[d.composition[n] for n in names] for d in rows])
    edges = [np.arange(size + 1) - 0.5 for size in reversed(table.shape)]
    # Cells as shapes, not as a raster image.
    image = axes.pcolormesh(*edges, table, cmap="RdBu_r", vmin=-1.0, vmax=1.0, edgecolors="white", linewidth=0.4)
    axes.set_xlim(-0.5, len(names) - 0.5)
    if len(names) > MOST_NUMBERS:
        axes.figure.colorbar(image, ax=axes, location="left", shrink=0.8)
    else:
        for row, line in enumerate(table):
            for column, x in enumerate(line):
                if abs(x) >= LEAST_COMPONENT:
                    colour = "white" if abs(x) > 0.6 else BLACK
                    axes.text(column, row, f"{x:+.2f}", ha="center", va="center", fontsize=7, color=colour)
    axes.set_xticks(range(len(names)), [symbol(n) for n in names], rotation=0 if _upright(names) else 90)
    axes.tick_params(axis="x", which="both", top=False, bottom=False)
    axes.minorticks_off()
    axes.set_xlabel("component\n[prior widths]", fontsize=9)


def _upright(names: Sequence[str]) -> bool:
    """Whether names fit below their columns without being turned."""
    return len(names) <= 6 and all(len(n) <= SHORT_NAME for n in names)


def _draw_errors(axes: Any, rows: Sequence[Direction]) -> None:
    known = [sd for d in rows for sd in (d.sd, d.observed_sd) if sd is not None]
    axes.set_xscale("log")
    low = 10.0 ** np.floor(np.log10(min([*known, 0.5])) - 0.2)
    high = 10.0 ** np.ceil(np.log10(max([*known, 2.0])) + 0.2)
    axes.set_xlim(low, high)
    axes.axvspan(1.0, high, color=GREY, alpha=0.2, linewidth=0)
    for row, d in enumerate(rows):
        if d.sd is None:
            words = "blind" if d.blind else "none"
            axes.text(np.sqrt(low * high), row, words, ha="center", va="center", fontsize=8, style="italic")
            continue
        axes.plot(d.sd, row, marker="o", color=BLACK, markersize=4.5)
        if d.observed_sd is not None:
            hollow = {"markerfacecolor": "white", "markeredgewidth": 0.9}
            axes.plot(d.observed_sd, row, marker="D", color=BLACK, markersize=4.5, **hollow)
    axes.set_xlabel("error [prior widths]\nfilled: expected\nhollow: observed", fontsize=9)
    axes.locator_params(axis="x", numticks=4)


def _draw_shares(axes: Any, rows: Sequence[Direction], shown: Sequence[str]) -> None:
    for k, (name, label) in enumerate(zip(shown, _labels(shown), strict=True)):
        widths, starts, places = [], [], []
        for row, d in enumerate(rows):
            if d.shares:
                places.append(row)
                widths.append(100.0 * _share(d, name, shown))
                starts.append(100.0 * sum(_share(d, before, shown) for before in shown[:k]))
        colour, hatch = _look(k, name)
        edge = {"edgecolor": "white", "linewidth": 0.4}
        axes.barh(places, widths, left=starts, height=0.72, color=colour, hatch=hatch, label=label, **edge)
    for row, d in enumerate(rows):
        if not d.shares:
            words = "no experiment" if d.blind else "no information here"
            axes.text(50.0, row, words, ha="center", va="center", fontsize=8, style="italic")
    axes.set_xlim(0.0, 100.0)
    axes.set_xlabel("share of the expected\ninformation [%]", fontsize=9)


def _labels(shown: Sequence[str]) -> list[str]:
    """How experiments are written in the legend: digitised data are called so."""
    read = digitised(shown)
    return [f"{literal(name)} (digitised)" if name in read else literal(name) for name in shown]


def _look(k: int, name: str) -> tuple[str, str]:
    if name in (SHARED, OTHERS):
        return (GREY, "" if name == SHARED else "////")
    return CYCLE[k % len(CYCLE)], _HATCHES[(k // len(CYCLE)) % len(_HATCHES)]


def write_fisher(folder: Path, found: Fisher) -> list[Path]:
    """Draw and save the picture as fisher.png and fisher.pdf. Raises: OutputError."""
    return save(fisher_figure(found), folder / "fisher")


def fisher_payload(found: Fisher, choices: Mapping[str, Any]) -> dict[str, Any]:
    """What is written and printed: the information, and every blind direction in words."""
    blind = [
        {**entry, "words": named_direction(found, d)} for entry, d in zip(found.to_json()["blind"], found.blind, strict=True)
    ]
    return {**found.to_json(), "blind": blind, "theory": dict(choices)}
