"""Table, pictures and the netCDF file of a simulation-based calibration."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.text import Text

from nmmfit.inference.calibration import LEVEL, Calibration, Ranked
from nmmfit.inference.calibration_chunks import LOG_LIKELIHOOD
from nmmfit.results import adapter
from nmmfit.results.adapter import Variable
from nmmfit.results.figure import BLUE, GREY, SKY, VERMILLION, new_figure, save, style
from nmmfit.results.files import CALIBRATION_FILE, RunFolder
from nmmfit.results.tables import plain_table
from nmmfit.results.wording import quantity_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BAND = 0.95
"""Probability with which a calibrated quantity stays in the band of the pictures, everywhere."""

MOST_PANELS = 24
"""Quantities in a picture: all but nuisances, and of these the ones with the smallest p-values."""

BINS = 16


def shown(found: Calibration) -> list[Ranked]:
    """Quantities in the pictures and at the top of the table."""
    first = [q for q in found.quantities.values() if q.kind not in ("nuisance", "theory")]
    rest = sorted((q for q in found.quantities.values() if q.kind in ("nuisance", "theory")), key=lambda q: q.p_value)
    return [*first, *rest[: max(0, MOST_PANELS - len(first))]]


def calibration_tables(found: Calibration) -> RenderableType:
    """The results in numbers, for the terminal."""
    table = plain_table(f"Ranks of the truth among {found.draws} posterior draws")
    for column, justify in (("quantity", "left"), ("ranked", "left"), ("p", "right"), ("p, corrected", "right"), ("", "left")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    everything = [*shown(found), *(q for q in found.quantities.values() if q not in shown(found))]
    for q in everything:
        row = [q.name, "|x|" if q.folded else "x", f"{q.p_value:.3g}", f"{q.p_adjusted:.3g}", q.shape]
        table.add_row(*map(escape, row))
    s = found.settings
    where = (
        "the prior" if found.truths == "prior" else "the posterior of the observed data, which are data of every simulation too"
    )
    text = Text(
        f"truths drawn from {where}; {s.method}, {s.chains} chains x {s.draws} draws after {s.warmup} warm-up, "
        f"seed {found.seed}; "
        f"{found.failed} of {found.simulations} posteriors left out, {found.divergences} divergences, "
        f"{np.median(found.seconds):.1f} processor seconds a simulation"
    )
    text.append(f"\n{found.verdict}", style="green" if found.calibrated else "bold red")
    for problem in found.problems:
        text.append(f"\n  {problem}")
    return Group(table, text)


def _grid(found: Calibration, draw: Callable[[Any, Ranked], None], bottom: str, left: str) -> Figure:
    """One small picture a quantity."""
    quantities = shown(found)
    columns = min(6, len(quantities))
    rows = -(-len(quantities) // columns)
    with style():
        width, height = 1.55 * columns + 0.6, 1.25 * rows + 0.55
        figure = new_figure(width, height, layout=None)
        figure.subplots_adjust(0.6 / width, 0.5 / height, 1.0 - 0.1 / width, 1.0 - 0.25 / height, wspace=0.12, hspace=0.42)
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for axes in grid.ravel()[len(quantities) :]:
            axes.set_visible(False)
        for axes, q in zip(grid.ravel(), quantities, strict=False):
            draw(axes, q)
            label = "log likelihood" if q.name == LOG_LIKELIHOOD else quantity_label(q.name)
            axes.set_title(
                f"|{label}|" if q.folded else label, fontsize=7.5, pad=3, color="black" if q.calibrated else VERMILLION
            )
            axes.minorticks_off()
            axes.tick_params(labelsize=6.5)
            axes.set_xticks([0.0, 0.5, 1.0], ["0", "0.5", "1"])
        figure.supxlabel(bottom, fontsize=9, y=0.12 / height)
        figure.supylabel(left, fontsize=9, x=0.12 / width)
    return figure


def ecdf_figure(found: Calibration) -> Figure:
    """Share of ranks below each, less what is expected, with the band that a calibrated quantity leaves with 5 %."""
    uniform = found.uniform
    low, high = uniform.band(BAND)
    at, expected = np.concatenate([[0.0], uniform.expected, [1.0]]), uniform.expected

    def draw(axes: Any, q: Ranked) -> None:
        axes.fill_between(at, _ended(low - expected), _ended(high - expected), color=SKY, alpha=0.35, linewidth=0)
        axes.axhline(0.0, color=GREY, linewidth=0.6)
        share = uniform.counts(q.ranks) / uniform.simulations
        axes.plot(at, _ended(share - expected), color=BLUE if q.calibrated else VERMILLION, linewidth=1.0)

    return _grid(found, draw, "rank of the truth [fraction of the draws]", "ECDF of ranks, less the uniform one")


def _ended(values: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], values, [0.0]])


def rank_figure(found: Calibration) -> Figure:
    """Histograms of ranks; 95 % of the bins of a calibrated quantity are in the grey band."""
    from scipy.stats import binom

    # Whole numbers of ranks in every bin, nearly: else equal ranks would make bins unequal.
    edges = np.unique(np.round(np.linspace(0, found.draws + 1, BINS + 1)).astype(int))
    share = np.diff(edges) / (found.draws + 1.0)
    low, high = binom.interval(0.95, found.uniform.simulations, share)

    def draw(axes: Any, q: Ranked) -> None:
        x = edges / (found.draws + 1.0)
        expected = found.uniform.simulations * share
        axes.fill_between(
            x, np.append(low / expected, 1.0), np.append(high / expected, 1.0), step="post", color=GREY, alpha=0.25, linewidth=0
        )
        heights = np.histogram(q.ranks, bins=edges - 0.5)[0] / expected
        axes.stairs(heights, x, color=BLUE if q.calibrated else VERMILLION, linewidth=0.9)
        axes.set_ylim(0.0, max(2.5, axes.get_ylim()[1]))

    return _grid(found, draw, "rank of the truth [fraction of the draws]", "simulations, of those expected")


def calibration_data(found: Calibration) -> dict[str, dict[str, Variable]]:
    """Ranks and truths of every quantity, (simulation,), in groups of their own."""
    about = {name: {"unit": q.unit, "folded": str(q.folded).lower()} for name, q in found.quantities.items()}
    ranks = {name: Variable(q.ranks, ("simulation",), about[name]) for name, q in found.quantities.items()}
    truths = {
        name: Variable(values, ("simulation",), about[name]) for name, values in zip(found.quantities, found.truth.T, strict=True)
    }
    return {"ranks": ranks, "truths": truths}


def write_calibration(folder: RunFolder, found: Calibration) -> None:
    """Write ranks and truths as calibration.nc, and the pictures, into an open run folder. Raises: OutputError."""
    attrs = {"ranked_draws": str(found.draws), "level": str(LEVEL), "truths_from": found.truths, "seed": str(found.seed)}
    folder.write_bytes(CALIBRATION_FILE, adapter.netcdf_bytes(adapter.tree(calibration_data(found), attrs)))
    save(ecdf_figure(found), folder.path / "ecdf")
    save(rank_figure(found), folder.path / "ranks")
