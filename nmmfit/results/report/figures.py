"""Figures that only a report draws: a profile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nmmfit.results.figure import BLUE, GREY, VERMILLION, new_figure, style
from nmmfit.results.wording import axis_label, quantity_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEVELS = (("68.3 %", 0.6826894921370859), ("90 %", 0.90), ("95 %", 0.95))
"""Confidence levels of one parameter that a profile shows."""


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
