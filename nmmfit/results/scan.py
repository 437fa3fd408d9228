"""What a scan leaves: its picture, its arrays as netCDF, its table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from nmmfit.inference.scan import ScanResult, lowest_over_others
from nmmfit.results import adapter
from nmmfit.results.figure import BLACK, BLUE, GREY, ORANGE, VERMILLION, new_figure, style
from nmmfit.results.wording import Scale, axis_label, common_scale, quantity_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCAN_DATA = "scan.nc"
PICTURE = "scan"
LINES = ("-", "--", ":", "-.")
HIGHEST = 3.0
"""A map shows delta chi2 up to so many times the highest level, so that its contours can be seen."""


@dataclass(frozen=True)
class _Axis:
    name: str
    values: np.ndarray
    scale: Scale
    best: float

    @property
    def label(self) -> str:
        return axis_label(quantity_label(self.name), self.scale.unit)


def scan_data(found: ScanResult, attrs: Mapping[str, str]) -> Any:
    """A tree (xarray) with the group "scan": delta_chi2, converged, gradient_norm, iterations, retried, and the parameters at the
    minima as points.NAME, over axes named after what was scanned; beside it "extra", points solved on the crossings.

    Args:
        found: the scan.
        attrs: attributes of the whole (provenance).
    """
    dims = tuple(found.grid)
    arrays = {
        "delta_chi2": adapter.Variable(found.delta_chi2, dims, {"unit": "1"}),
        # netCDF has no booleans
        "converged": adapter.Variable(found.converged.astype(np.int8), dims, {"unit": "1"}),
        "retried": adapter.Variable(found.retried.astype(np.int8), dims, {"unit": "1"}),
        "gradient_norm": adapter.Variable(found.gradient_norm, dims, {"unit": "1"}),
        "iterations": adapter.Variable(found.iterations, dims, {"unit": "1"}),
        **{f"points.{name}": adapter.Variable(values, dims) for name, values in found.points.items()},
    }
    groups = {"scan": arrays}
    if len(found.extra):
        columns = (*found.grid, "delta_chi2")
        groups["extra"] = {f"extra.{name}": adapter.Variable(found.extra[:, k], ("point",)) for k, name in enumerate(columns)}
    return adapter.tree(groups, attrs, {"scan": dict(found.grid)})


def scan_figure(payload: Mapping[str, Any]) -> Figure:
    """The picture of a scan: a curve (one axis), a map with contours (two), a map of every pair of more; crosses mark failed
    points.

    Args:
        payload: the object of `scan --json`.
    """
    axes = [
        _Axis(
            name,
            np.asarray(values, dtype=float),
            common_scale([values[0], values[-1]], payload["units"][name]),
            float(payload["best"][name]),
        )
        for name, values in payload["grid"].items()
    ]
    heights = np.asarray(payload["delta_chi2"], dtype=float)
    converged = np.asarray(payload["converged"], dtype=bool)
    with style():
        if len(axes) == 1:
            return _curve(payload, axes[0], heights, converged)
        if len(axes) == 2:
            figure = new_figure(5.6, 4.6)
            _map(figure, figure.subplots(), (axes[0], axes[1]), heights, converged, payload["contours"])
            return figure
        return _maps(payload, axes, heights, converged)


def _curve(payload: Mapping[str, Any], axis: _Axis, heights: np.ndarray, converged: np.ndarray) -> Figure:
    figure = new_figure(6.4, 4.2)
    axes = figure.subplots()
    draw_profile(
        axes, axis.values / axis.scale.factor, heights, converged, [(i["cl"], i["delta_chi2"]) for i in payload["intervals"]]
    )
    for interval in payload["intervals"]:
        for side in (s for segment in interval["segments"] for s in segment if s is not None):
            axes.plot([side / axis.scale.factor] * 2, [0.0, interval["delta_chi2"]], color=GREY, linewidth=0.8, linestyle=":")
    axes.set_xlabel(axis.label)
    return figure


def draw_profile(
    axes: Any, x: np.ndarray, heights: np.ndarray, converged: np.ndarray, levels: Sequence[tuple[float, float]]
) -> None:
    """delta chi2 along one axis with the heights of levels (confidence, delta chi2); failed points as crosses."""
    known = np.isfinite(heights)
    good, bad = converged & known, ~converged
    axes.plot(x[good], heights[good], color=BLUE, marker="o", markersize=3)
    if np.any(bad):
        axes.plot(x[bad], np.where(known, heights, 0.0)[bad], "x", color=VERMILLION, label="not converged")
        axes.legend()
    top = max(1.1 * float(np.max(heights[known], initial=0.0)), 0.1)
    for cl, height in levels:
        if height < top:
            axes.axhline(height, color=GREY, linestyle="--", linewidth=0.9)
            axes.annotate(
                f"{100 * cl:.3g} %", (0.99, height), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8
            )
    axes.set_ylim(min(0.0, 1.05 * float(np.min(heights[known], initial=0.0))), top)
    axes.set_ylabel(r"$\Delta\chi^2$")


def _map(
    figure: Any,
    axes: Any,
    pair: tuple[_Axis, _Axis],
    heights: np.ndarray,
    converged: np.ndarray,
    contours: Sequence[Mapping[str, Any]],
    bar: bool = True,
) -> None:
    """A map of heights (first, second) with contours, the best fit and failed points."""
    from matplotlib.lines import Line2D

    x, y = pair
    shown = np.where(converged, heights, np.nan)
    levels = [c["delta_chi2"] for c in contours]
    known = shown[np.isfinite(shown)]
    top = min(float(np.max(known, initial=1.0)), HIGHEST * max(levels, default=np.inf)) or 1.0
    mesh = axes.pcolormesh(
        x.values / x.scale.factor,
        y.values / y.scale.factor,
        shown.T,
        cmap="Blues",
        vmin=0.0,
        vmax=top,
        shading="nearest",
        rasterized=True,
    )
    handles: list[Any] = []
    for k, contour in enumerate(contours):
        look: dict[str, Any] = {"color": ORANGE if k % 2 else BLACK, "linestyle": LINES[k % len(LINES)], "linewidth": 1.4}
        for line in contour["lines"]:
            vertices = np.asarray(line, dtype=float)
            axes.plot(vertices[:, 0] / x.scale.factor, vertices[:, 1] / y.scale.factor, **look)
        handles.append(Line2D([], [], label=f"{100 * contour['cl']:.3g} %", **look))
    inside = x.values[0] <= x.best <= x.values[-1] and y.values[0] <= y.best <= y.values[-1]
    if inside:
        axes.plot(x.best / x.scale.factor, y.best / y.scale.factor, "+", color=VERMILLION, markersize=9, clip_on=False, zorder=5)
        handles.append(Line2D([], [], color=VERMILLION, marker="+", linestyle="", label="best fit"))
    bad = np.argwhere(~converged)
    if len(bad):
        axes.plot(x.values[bad[:, 0]] / x.scale.factor, y.values[bad[:, 1]] / y.scale.factor, "x", color=VERMILLION, markersize=4)
        handles.append(Line2D([], [], color=VERMILLION, marker="x", linestyle="", label="not converged"))
    axes.set_xlim(x.values[0] / x.scale.factor, x.values[-1] / x.scale.factor)
    axes.set_ylim(y.values[0] / y.scale.factor, y.values[-1] / y.scale.factor)
    axes.set_xlabel(x.label)
    axes.set_ylabel(y.label)
    if bar:
        axes.legend(handles=handles, loc="best", frameon=True, framealpha=0.85)
        figure.colorbar(mesh, ax=axes, label=r"$\Delta\chi^2$", extend="max")


def _maps(payload: Mapping[str, Any], axes: Sequence[_Axis], heights: np.ndarray, converged: np.ndarray) -> Figure:
    """Maps of every pair, at the lowest point over the other axes."""
    names = [a.name for a in axes]
    found = {tuple(p["axes"]): p["contours"] for p in payload["pairs"]}
    pairs = list(combinations(range(len(axes)), 2))
    columns = min(3, len(pairs))
    rows = -(-len(pairs) // columns)
    figure = new_figure(4.4 * columns, 3.9 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    known = np.where(converged, heights, np.nan)
    for panel, (i, k) in zip(panels, pairs, strict=False):
        lowest = lowest_over_others(known, names, (names[i], names[k]))
        _map(figure, panel, (axes[i], axes[k]), lowest, np.isfinite(lowest), found[names[i], names[k]])
    for panel in panels[len(pairs) :]:
        panel.set_axis_off()
    return figure


def interval_text(segments: Sequence[Sequence[float | None]], unit: str) -> tuple[str, str]:
    """Segments of an interval in words, with their unit; a side that leaves the grid is named so."""
    sides = [s for segment in segments for s in segment]
    scale = common_scale(sides, unit)
    parts = []
    for low, high in segments:
        left, right = scale.row([low, high])
        parts.append(f"[{'< grid' if low is None else left}, {'> grid' if high is None else right}]")
    return " or ".join(parts) or "nowhere on the grid", scale.unit


def contour_words(contour: Mapping[str, Any], lowest: float, highest: float) -> str:
    """One line about a contour: how many lines, whether they close, how exact they are."""
    lines = len(contour["lines"])
    if not lines:
        return (
            "the whole grid lies below"
            if highest < contour["delta_chi2"]
            else ("the whole grid lies above" if lowest > contour["delta_chi2"] else "no line")
        )
    shut = sum(map(bool, contour["closed"]))
    open_ = lines - shut
    parts = [f"{shut} closed"] if shut else []
    parts += [f"{open_} open: ends at the edge of the grid"] if open_ else []
    text = ", ".join(parts)
    if contour["error"] is not None:
        text += f"; within {contour['error']:.1g} of the level"
    return text
