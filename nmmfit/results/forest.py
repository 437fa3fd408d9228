"""Forest plot of limits: one-at-a-time, profiled and marginalised side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nmmfit.results.figure import BLUE, GREEN, GREY, ORANGE, VERMILLION, new_figure, style
from nmmfit.results.tables import LIMIT_KINDS, LIMIT_SECTIONS, shown_kinds
from nmmfit.results.wording import axis_label, symbol

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LOOK = {
    "one_at_a_time": (BLUE, "o"),
    "profiled": (VERMILLION, "s"),
    "marginalised": (ORANGE, "D"),
    "feldman_cousins": (GREEN, "^"),
}
_SPREAD = 0.48
"""Distance between the highest and the lowest bar of a row."""


def _panels(limits: Mapping[str, Any]) -> list[tuple[str, str, list[str]]]:
    """(section, unit, names) of each panel: quantities of one unit share an axis; identified quantities first."""
    panels: list[tuple[str, str, list[str]]] = []
    for section in LIMIT_SECTIONS:
        groups: dict[str, list[str]] = {}
        for name, entry in limits.get(section, {}).items():
            groups.setdefault(entry.get("unit") or "1", []).append(name)
        panels += [(section, unit, names) for unit, names in groups.items()]
    return panels


def _finite_sizes(entry: Mapping[str, Any]) -> list[float]:
    """Absolute values of all finite sides that differ from 0."""
    sides = (found.get(side) for kind in LIMIT_KINDS if (found := entry.get(kind)) for side in ("lower", "upper"))
    return [abs(float(v)) for v in sides if v]


def forest_figure(limits: Mapping[str, Any], labels: Mapping[str, str] | None = None) -> Figure:
    """Limits on absolute values on a logarithmic axis, three kinds side by side, arrows where a side is open.

    A filled marker is the upper side, a hollow one the lower side (left out where both sides agree within 2 %). A bar that
    starts at the left edge contains 0; one that does not excludes it.

    Args:
        limits: the object of `limits --json`.
        labels: how names are written; missing: the name, as a symbol where it is short.
    """
    panels = _panels(limits)
    if not panels:
        raise ValueError("a forest plot needs at least one limit")
    written, kinds = labels or {}, shown_kinds(limits)
    rows = sum(len(names) for _, _, names in panels)
    with style():
        figure = new_figure(6.4, 0.62 * rows + 0.75 * len(panels) + 0.7)
        heights = [len(names) + 0.3 for _, _, names in panels]
        grid = figure.subplots(len(panels), 1, squeeze=False, gridspec_kw={"height_ratios": heights})
        for axes, (section, unit, names) in zip(grid[:, 0], panels, strict=True):
            sizes = [x for name in names for x in _finite_sizes(limits[section][name])] or [1.0]
            low, high = 10 ** math.floor(math.log10(min(sizes)) - 0.5), 10 ** math.ceil(math.log10(max(sizes)) + 0.3)
            axes.set_xscale("log")
            axes.set_xlim(low, high)
            axes.set_ylim(-0.6, len(names) - 0.4)
            for row, name in enumerate(reversed(names)):
                _draw_entry(axes, row, limits[section][name], low, high, list(kinds))
            axes.set_yticks(range(len(names)), [written.get(n) or symbol(n) for n in reversed(names)], fontsize=10)
            axes.tick_params(axis="y", which="both", left=False, right=False)
            axes.minorticks_on()
            axes.tick_params(axis="y", which="minor", left=False, right=False)
            axes.grid(axis="x", which="major", color=GREY, alpha=0.25, linewidth=0.6)
            for row in range(1, len(names)):
                axes.axhline(row - 0.5, color=GREY, alpha=0.3, linewidth=0.6)
            axes.set_xlabel(axis_label("limit on the absolute value", unit), fontsize=10)
        _legend(figure, float(limits["cl"]), kinds)
    return figure


def _draw_entry(axes: Any, row: int, entry: Mapping[str, Any], low: float, high: float, kinds: list[str]) -> None:
    for place, kind in enumerate(kinds):
        found = entry.get(kind)
        if not found:
            continue
        colour, marker = _LOOK[kind]
        y = row + _SPREAD * (0.5 - place / (len(kinds) - 1))
        lower, upper = found.get("lower"), found.get("upper")
        if lower is None or upper is None:
            start = low if lower is None or lower <= 0.0 else float(lower)
            arrow = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.6, "shrinkA": 0, "shrinkB": 0}
            axes.annotate("", xy=(high, y), xytext=(start, y), arrowprops=arrow, annotation_clip=False)
            closed = lower if upper is None else upper
            if closed:
                axes.plot(
                    abs(closed),
                    y,
                    marker=marker,
                    color=colour,
                    markersize=5.5,
                    markerfacecolor="white" if upper is None else colour,
                )
            continue
        ends = (max(low, min(abs(lower), abs(upper))) if lower * upper > 0.0 else low, max(abs(lower), abs(upper)))
        axes.plot(ends, (y, y), color=colour, linewidth=1.6, solid_capstyle="butt")
        if upper != 0.0:
            axes.plot(abs(upper), y, marker=marker, color=colour, markersize=5.5)
        if lower != 0.0 and abs(abs(lower) - abs(upper)) > 0.02 * max(abs(lower), abs(upper)):
            axes.plot(abs(lower), y, marker=marker, color=colour, markersize=5.5, markerfacecolor="white")


def _legend(figure: Figure, cl: float, kinds: Mapping[str, str]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=_LOOK[kind][0], marker=_LOOK[kind][1], markersize=5.5, linewidth=1.6, label=f"{name}")
        for kind, name in kinds.items()
    ]
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=len(handles),
        title=f"{100 * cl:g} % CL (arrow: unbounded; hollow: lower side)",
    )
