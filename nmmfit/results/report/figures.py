"""Figures that only a report draws: pulls of nuisances, and a profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from nmmfit.results.figure import BLUE, GREY, VERMILLION, new_figure, style
from nmmfit.results.wording import axis_label, literal, quantity_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEVELS = (("68.3 %", 0.6826894921370859), ("90 %", 0.90), ("95 %", 0.95))
"""Confidence levels of one parameter that a profile shows."""


def pulls_figure(values: Mapping[str, tuple[float, float]]) -> Figure:
    """Mean and standard deviation of every nuisance in its own unit, with a band from -1 to 1, one below the other."""
    names = list(values)[::-1]
    height = 0.21 * len(names) + 1.0
    with style():
        figure = new_figure(6.4, height)
        axes = figure.subplots()
        axes.axvspan(-1.0, 1.0, color=GREY, alpha=0.2, linewidth=0)
        axes.axvline(0.0, color=GREY, linewidth=0.8)
        means, widths = (np.array([values[n][k] for n in names]) for k in (0, 1))
        axes.errorbar(means, np.arange(len(names)), xerr=widths, fmt="o", color=BLUE, markersize=4, linewidth=0, elinewidth=1.3)
        axes.set_yticks(range(len(names)), [literal(n) for n in names], fontsize=8)
        axes.tick_params(axis="y", which="both", left=False, right=False)
        axes.set_ylim(-0.7, len(names) - 0.3)
        reach = max(2.0, 1.05 * float(np.max(np.abs(means) + widths)))
        axes.set_xlim(-reach, reach)
        axes.set_xlabel("pull [its own unit]")
    return figure


def profile_figure(name: str, unit: str, grid: Sequence[float], heights: Sequence[float], converged: Sequence[bool]) -> Figure:
    """delta chi2 along a grid with the levels of one parameter; failed points as crosses, undefined ones left out."""
    from scipy.stats import chi2

    x, y, fine = np.asarray(grid, float), np.asarray(heights, float), np.asarray(converged, bool)
    with style():
        figure = new_figure(6.4, 4.2)
        axes = figure.subplots()
        good = fine & np.isfinite(y)
        axes.plot(x[good], y[good], color=BLUE, marker="o", markersize=3)
        bad = ~fine & np.isfinite(y)
        if np.any(bad):
            axes.plot(x[bad], y[bad], "x", color=VERMILLION, label="not converged")
            axes.legend()
        top = max(1.1 * float(np.max(y[np.isfinite(y)], initial=0.0)), 0.1)
        for label, level in LEVELS:
            height = float(chi2.ppf(level, 1))
            if height < top:
                axes.axhline(height, color=GREY, linestyle="--", linewidth=0.9)
                axes.annotate(label, (0.99, height), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8)
        axes.set_ylim(min(0.0, 1.05 * float(np.min(y[np.isfinite(y)], initial=0.0))), top)
        axes.set_xlabel(axis_label(quantity_label(name), unit))
        axes.set_ylabel(r"$\Delta\chi^2$")
    return figure
