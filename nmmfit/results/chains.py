"""Trace and rank plots, from folded draws: do the chains agree?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nmmfit.inference.result import SampleResult
from nmmfit.results.diagnostics import FitSummary
from nmmfit.results.figure import CYCLE, GREY, VERMILLION, new_figure, style
from nmmfit.results.wording import axis_label, common_scale, symbol

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RANK_BINS = 20


def rank_histograms(draws: np.ndarray, bins: int = RANK_BINS) -> np.ndarray:
    """Per chain, how many of its draws fall into each of `bins` equal slices of the pooled ranks; (chain, draw) -> (chain, bins).

    Chains that agree are uniform (arXiv:1903.08008). Ties (repeated draws) get their average rank.
    """
    from scipy.stats import rankdata

    ranks = (rankdata(draws.ravel(), method="average") - 0.5) / draws.size
    return np.stack([np.histogram(r, bins=bins, range=(0.0, 1.0))[0] for r in ranks.reshape(draws.shape)])


def plot_label(result: SampleResult, name: str) -> str:
    """How plots write a quantity: its label if it has one, otherwise its name as a symbol."""
    return result.labels.get(name) or symbol(name)


def worst_names(result: SampleResult, summary: FitSummary, nuisances: int = 6) -> list[str]:
    """Identified quantities, coefficients, and the `nuisances` nuisances that mix worst (smallest bulk ESS)."""
    order = sorted(result.nuisance_names(), key=lambda n: np.nan_to_num(summary.parameters[n].ess_bulk, nan=0.0))
    return [*result.identified, *result.coefficient_names(), *order[:nuisances]]


def trace_figure(result: SampleResult, names: Sequence[str]) -> Figure:
    """Trace (left) and rank plot (right) of each quantity, one colour per chain, divergent draws marked below the trace.

    Args:
        result: the run.
        names: parameters or identified quantities.
    """
    pool = result.for_diagnostics() | result.identified_for_diagnostics()
    with style():
        height = 0.95 * len(names) + 0.7
        figure = new_figure(8.6, height, layout=None)
        figure.subplots_adjust(0.24, 0.5 / height, 0.985, 1.0 - 0.25 / height, wspace=0.1, hspace=0.12)
        grid = figure.subplots(len(names), 2, squeeze=False, gridspec_kw={"width_ratios": [3, 2]})
        for (left, right), name in zip(grid, names, strict=True):
            _trace(
                left,
                np.asarray(pool[name], dtype=float),
                result.unit(name),
                result.label(name),
                result.sample_stats.get("diverging"),
            )
            _ranks(right, np.asarray(pool[name], dtype=float))
        for row in grid[:-1]:
            for axes in row:
                axes.set_xticklabels([])
        grid[-1, 0].set_xlabel("draw after warm-up")
        grid[-1, 1].set_xlabel("rank among all draws [fraction]")
        grid[0, 1].set_title("share of each rank, per chain [1 if chains agree]", fontsize=9)
    return figure


def _trace(axes: Any, draws: np.ndarray, unit: str, label: str, diverging: np.ndarray | None) -> None:
    scale = common_scale(np.quantile(np.abs(draws), [0.5, 0.99]).tolist(), unit)
    for chain, values in enumerate(draws):
        axes.plot(values / scale.factor, color=CYCLE[chain % len(CYCLE)], linewidth=0.4, alpha=0.8, rasterized=True)
    if diverging is not None:
        where = np.flatnonzero(np.any(diverging, axis=0))
        if where.size:
            axes.plot(where, np.zeros(where.size), "|", color=VERMILLION, transform=axes.get_xaxis_transform(), markersize=8)
    axes.set_xlim(0, draws.shape[1] - 1 or 1)
    axes.set_ylabel(axis_label(label, scale.unit, "\n"), rotation=0, ha="right", va="center")
    axes.yaxis.set_label_coords(-0.11, 0.5)
    axes.minorticks_off()


def _ranks(axes: Any, draws: np.ndarray) -> None:
    histograms = rank_histograms(draws)
    expected = draws.shape[1] / RANK_BINS
    # 95 % of bins of a uniform chain; draws are correlated, so that a little more than that is no alarm.
    width = 1.96 * np.sqrt(expected * (1.0 - 1.0 / RANK_BINS))
    axes.axhspan((expected - width) / expected, (expected + width) / expected, color=GREY, alpha=0.2, linewidth=0)
    edges = np.linspace(0.0, 1.0, RANK_BINS + 1)
    for chain, counts in enumerate(histograms):
        axes.stairs(counts / expected, edges, color=CYCLE[chain % len(CYCLE)], linewidth=0.9)
    axes.set_xlim(0.0, 1.0)
    axes.set_ylim(0.0, max(2.0, 1.05 * float(histograms.max()) / expected))
    axes.minorticks_off()
