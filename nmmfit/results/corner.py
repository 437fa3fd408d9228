"""Corner plots: one- and two-dimensional marginal posteriors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nmmfit.results import adapter
from nmmfit.results.figure import BLUE, GREY, SKY, new_figure, style
from nmmfit.results.wording import Scale, axis_label, common_scale, fixed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PROBABILITIES = (0.68, 0.90)
BINS = 48
BINS_2D = 40


@dataclass(frozen=True)
class CornerVariable:
    """One variable of a corner plot.

    Attributes:
        draws: posterior draws, any shape, in `unit`.
        label: name on the axes, may hold mathtext.
        unit: unit of the draws, such as "GeV^-2"; a power of ten is taken out where needed.
        prior: density of the prior at given values (same unit), drawn over the posterior; None: not drawn.
        nonnegative: whether the variable cannot be below 0 (an absolute value), so that the axis starts there.
    """

    draws: np.ndarray
    label: str
    unit: str = "1"
    prior: Callable[[np.ndarray], np.ndarray] | None = None
    nonnegative: bool = False


@dataclass(frozen=True)
class _Axis:
    """A variable in the units of its axis."""

    values: np.ndarray
    scale: Scale
    edges: np.ndarray
    variable: CornerVariable
    hdi: tuple[float, float] = field(default=(0.0, 0.0))


def _axis(variable: CornerVariable) -> _Axis:
    draws = np.ravel(np.asarray(variable.draws, dtype=float))
    low, high = np.quantile(draws, [0.001, 0.999])
    if variable.nonnegative:
        low = 0.0
    if not high > low:
        low, high = low - 0.5 * max(abs(low), 1e-300), high + 0.5 * max(abs(high), 1e-300)
    margin = 0.04 * (high - low)
    scale = common_scale([low, high], variable.unit)
    edges = np.linspace(low if variable.nonnegative else low - margin, high + margin, BINS + 1) / scale.factor
    return _Axis(draws / scale.factor, scale, edges, variable, adapter.hdi(draws / scale.factor, 0.90))


def contour_levels(density: np.ndarray, probabilities: tuple[float, ...]) -> list[float]:
    """Densities above which the given probabilities lie, in increasing order of density (the largest probability first)."""
    ordered = np.sort(density.ravel())[::-1]
    mass = np.cumsum(ordered)
    mass /= mass[-1]
    return [float(ordered[np.searchsorted(mass, p)]) for p in sorted(probabilities, reverse=True)]


def _smooth(histogram: np.ndarray, bins: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    # Mirror at the edges, so that a density that ends at 0 (an absolute value) is not pulled down there.
    return gaussian_filter(histogram, sigma=bins, mode="reflect")


def _draw_one(axes: Any, x: _Axis) -> None:
    counts, _ = np.histogram(x.values, bins=x.edges)
    density = _smooth(counts.astype(float), 1.3)
    centres = 0.5 * (x.edges[1:] + x.edges[:-1])
    density /= np.sum(density) * (x.edges[1] - x.edges[0])
    inside = (centres >= x.hdi[0]) & (centres <= x.hdi[1])
    axes.fill_between(centres, 0.0, np.where(inside, density, 0.0), step="mid", color=SKY, alpha=0.45, linewidth=0)
    axes.step(centres, density, where="mid", color=BLUE)
    top = float(density.max())
    if x.variable.prior is not None:
        prior = np.asarray(x.variable.prior(centres * x.scale.factor), dtype=float) * x.scale.factor
        axes.plot(centres, prior, color=GREY, linestyle="--", linewidth=1.1)
        top = max(top, float(np.nanmax(prior)) if np.nanmax(prior) < 3 * top else top)
    axes.set_ylim(0.0, 1.25 * top)
    width = common_scale([x.hdi[1] - x.hdi[0]], "1", digits=3 if x.variable.nonnegative else 2)
    low, high = (fixed(side, width.decimals) for side in x.hdi)
    text = rf"$< {high}$" if x.variable.nonnegative and x.hdi[0] <= x.edges[1] else rf"$[\,{{{low}}},\ {{{high}}}\,]$"
    # Inside the panel, where it cannot touch the row above.
    axes.text(0.5, 0.975, text, transform=axes.transAxes, ha="center", va="top", fontsize=8.5)


def _smoothing(x: np.ndarray, y: np.ndarray) -> float:
    """Width of the smoothing in bins: less for a strong correlation, whose ridge must stay narrow."""
    correlation = abs(float(np.corrcoef(x, y)[0, 1])) if np.ptp(x) > 0 and np.ptp(y) > 0 else 0.0
    return 0.8 + 1.2 * float(np.sqrt(max(0.0, 1.0 - correlation**2)))


def _draw_two(axes: Any, x: _Axis, y: _Axis) -> None:
    edges = [np.linspace(a.edges[0], a.edges[-1], BINS_2D + 1) for a in (x, y)]
    counts, _, _ = np.histogram2d(x.values, y.values, bins=edges)
    density = _smooth(counts, _smoothing(x.values, y.values)).T
    if not np.any(density > 0):
        return
    levels = contour_levels(density, PROBABILITIES)
    if not levels[0] < levels[1] < density.max():
        axes.plot(x.values[::10], y.values[::10], ".", color=BLUE, markersize=1)
        return
    centres = [0.5 * (e[1:] + e[:-1]) for e in edges]
    axes.contourf(*centres, density, levels=[*levels, density.max()], colors=[SKY, BLUE], alpha=0.55)
    axes.contour(*centres, density, levels=levels, colors=[BLUE], linewidths=0.8)


def corner_figure(variables: Mapping[str, CornerVariable], title: str = "") -> Figure:
    """Marginal posteriors of all pairs.

    Shaded: 68 % and 90 % regions of highest density; on the diagonal the shortest 90 % interval, written above it.

    Args:
        variables: name -> variable, in the order of the axes; at least one.
        title: line above the plot.
    """
    if not variables:
        raise ValueError("a corner plot needs at least one variable")
    axes_data = [_axis(v) for v in variables.values()]
    n = len(axes_data)
    with style():
        from matplotlib.ticker import MaxNLocator

        # Labels of several lines need room below and to the left.
        extra = 0.18 * max(v.label.count("\n") for v in variables.values())
        panel, left, bottom, top = 1.35 if n > 2 else 2.2, 0.95 + extra, 0.75 + extra, 0.55 if title else 0.3
        width, height = panel * n + left + 0.12, panel * n + bottom + top
        figure = new_figure(width, height, layout=None)
        figure.subplots_adjust(left / width, bottom / height, 1.0 - 0.12 / width, 1.0 - top / height, wspace=0.07, hspace=0.07)
        grid = figure.subplots(n, n, squeeze=False)
        for i, y in enumerate(axes_data):
            for j, x in enumerate(axes_data):
                axes = grid[i, j]
                if j > i:
                    axes.set_axis_off()
                    continue
                (_draw_one(axes, x) if i == j else _draw_two(axes, x, y))
                axes.set_xlim(x.edges[0], x.edges[-1])
                axes.xaxis.set_major_locator(MaxNLocator(4, prune="both"))
                if i == j:
                    axes.set_yticks([])
                    axes.minorticks_off()
                    axes.tick_params(which="both", left=False, right=False, top=False)
                else:
                    axes.set_ylim(y.edges[0], y.edges[-1])
                    axes.yaxis.set_major_locator(MaxNLocator(4, prune="both"))
                if i == n - 1:
                    axes.set_xlabel(axis_label(x.variable.label, x.scale.unit, "\n"), fontsize=10)
                    axes.xaxis.set_label_coords(0.5, -0.17)
                else:
                    axes.set_xticklabels([])
                if j == 0 and i > 0:
                    axes.set_ylabel(axis_label(y.variable.label, y.scale.unit, "\n"), fontsize=10)
                    axes.yaxis.set_label_coords(-0.34, 0.5)
                elif i != j:
                    axes.set_yticklabels([])
        _legend(grid, any(v.prior is not None for v in variables.values()))
        if title:
            figure.suptitle(title)
    return figure


def _legend(grid: np.ndarray, with_prior: bool) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Patch(facecolor=BLUE, alpha=0.55, label="68 % region"),
        Patch(facecolor=SKY, alpha=0.55, label="90 % region, 90 % interval"),
    ]
    if with_prior:
        handles.append(Line2D([], [], color=GREY, linestyle="--", label="prior"))
    if len(grid) > 1:
        grid[0, 1].legend(handles=handles, loc="upper left", borderaxespad=0.2)
