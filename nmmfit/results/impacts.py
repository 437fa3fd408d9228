"""Picture and table of pulls and impacts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Group
from rich.markup import escape

from nmmfit.inference.impacts import Impacts, Pull
from nmmfit.results.figure import BLACK, BLUE, GREY, ORANGE, new_figure, save, style
from nmmfit.results.tables import plain_table
from nmmfit.results.wording import axis_label, heading, literal, number, symbol

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 30
"""Nuisances in the picture and in the table; the file has all."""
WIDE = 4
"""Targets in one table of the terminal."""
ALIKE = 1e-6
"""Relative difference below which two targets are moved alike."""


def distinct_targets(found: Impacts) -> dict[str, tuple[str, ...]]:
    """Targets that differ, each with those that every nuisance moves exactly as it (moments of one universal dipole, say)."""
    groups: dict[str, list[str]] = {}
    for name in found.targets:
        for first in groups:
            if found.units[first] == found.units[name] and _alike(found, first, name):
                groups[first].append(name)
                break
        else:
            groups[name] = []
    return {first: tuple(others) for first, others in groups.items()}


def _alike(found: Impacts, one: str, other: str) -> bool:
    pairs = [pair for p in found.pulls for pair in zip(p.impacts[one], p.impacts[other], strict=True)]
    if any((a is None) != (b is None) for a, b in pairs):
        return False
    values = np.array([(a, b) for a, b in pairs if a is not None and b is not None]).reshape(-1, 2)
    largest = np.max(np.abs(values), initial=0.0)
    return bool(np.all(np.abs(values[:, 0] - values[:, 1]) <= ALIKE * largest))


def impacts_figure(found: Impacts, labels: Mapping[str, str] | None = None, most: int = SHOWN) -> Figure:
    """Pulls with prior and posterior, and for every target the impacts of each nuisance.

    Args:
        found: pulls and impacts.
        labels: how targets are written; missing: the name, as a symbol where it is short.
        most: nuisances that are shown, those of the largest impacts.
    """
    rows = found.ranked()[:most]
    written = labels or {}
    groups = distinct_targets(found)
    columns = 1 + len(groups)
    with style():
        figure = new_figure(4.2 + 1.9 * len(groups), 0.24 * len(rows) + 1.3)
        grid = figure.subplots(
            1, columns, squeeze=False, sharey=True, gridspec_kw={"width_ratios": [1.6] + [1.0] * (columns - 1)}
        )[0]
        places = list(range(len(rows)))
        _draw_pulls(grid[0], rows)
        grid[0].set_yticks(places, [literal(p.name) for p in rows], fontsize=7.5)
        grid[0].set_ylim(len(rows) - 0.4, -0.6)
        for axes, (name, others) in zip(grid[1:], groups.items(), strict=True):
            for side, colour in ((0, ORANGE), (1, BLUE)):
                changes = [p.impacts[name][side] for p in rows]
                axes.barh(places, [0.0 if c is None else c for c in changes], height=0.7, color=colour, alpha=0.75, linewidth=0)
            axes.axvline(0.0, color=BLACK, linewidth=0.6)
            limit = 1.15 * max((p.largest(name) for p in rows), default=0.0) or 1.0
            axes.set_xlim(-limit, limit)
            axes.locator_params(axis="x", nbins=3)
            label = f"change of {written.get(name) or symbol(name)}" + (f" (+{len(others)} alike)" if others else "")
            axes.set_xlabel(axis_label(label, found.units[name], "\n"), fontsize=8.5)
        for axes in grid:
            axes.tick_params(axis="y", which="both", left=False, right=False)
        _legend(figure)
    return figure


def _draw_pulls(axes: Any, rows: list[Pull]) -> None:
    axes.axvspan(-1.0, 1.0, color=GREY, alpha=0.2, linewidth=0)
    axes.axvline(0.0, color=GREY, linewidth=0.8)
    known = [(k, p) for k, p in enumerate(rows) if math.isfinite(p.pull) and math.isfinite(p.constraint)]
    axes.errorbar(
        [p.pull for _, p in known],
        [k for k, _ in known],
        xerr=[p.constraint for _, p in known],
        fmt="o",
        color=BLACK,
        markersize=3,
        linewidth=1.0,
        capsize=0,
    )
    reach = max([2.0, *(abs(p.pull) + p.constraint for _, p in known)])
    axes.set_xlim(-1.1 * reach, 1.1 * reach)
    axes.set_xlabel("(value - prior mean) / prior sd", fontsize=8.5)


def _legend(figure: Figure) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles = [
        Patch(color=GREY, alpha=0.3, label="prior"),
        Line2D([], [], color=BLACK, marker="o", markersize=3, linewidth=1.0, label="after the fit"),
        Patch(color=ORANGE, alpha=0.75, label="held one sd below"),
        Patch(color=BLUE, alpha=0.75, label="held one sd above"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=4)


def impacts_tables(found: Impacts, most: int = SHOWN) -> Group:
    """Pulls and impacts for the terminal: as many tables as targets need, targets that are moved alike in one column."""
    rows = found.ranked()[:most]
    left = len(found.pulls) - len(rows)
    groups = distinct_targets(found)
    names = list(groups)
    pieces = [names[k : k + WIDE] for k in range(0, len(names), WIDE)] or [[]]
    tables: list[Any] = []
    for piece in pieces:
        table = plain_table(f"Pulls and impacts{f' ({left} smaller ones are in the file)' if left else ''}")
        table.add_column("nuisance", overflow="fold")
        for name, unit in (("pull", "prior sd"), ("sd after the fit", "prior sd"), *((n, found.units[n]) for n in piece)):
            table.add_column(escape(heading(name, unit)), justify="right")
        for p in rows:
            cells = [" / ".join(number(change) for change in p.impacts[t]) for t in piece]
            table.add_row(*map(escape, (p.name, number(p.pull), number(p.constraint), *cells)))
        tables.append(table)
    tables += [f"{escape(first)}: the same for {escape(', '.join(others))}" for first, others in groups.items() if others]
    return Group(*tables)


def write_impacts(folder: Path, found: Impacts, labels: Mapping[str, str] | None = None) -> list[Path]:
    """Draw and save the picture as impacts.png and impacts.pdf. Raises: OutputError."""
    return save(impacts_figure(found, labels), folder / "impacts")
