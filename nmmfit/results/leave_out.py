"""Posteriors of all experiments and of all but one, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.markup import escape

from nmmfit.results.figure import BLACK, BLUE, GREY, new_figure, save, style
from nmmfit.results.tables import plain_table
from nmmfit.results.wording import axis_label, common_scale, heading, literal, symbol

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ALL = "all"
"""Name of the fit of all experiments; the others bear the name of the experiment that is left out."""

COLUMNS = 3


def compared(fits: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, dict[str, Mapping[str, Any]]]]:
    """Identified quantities, then coefficients, of any of the fits: name -> its unit, and fit -> its summary there.

    Args:
        fits: name -> the object in the fit's summary.json.
    """
    found: dict[str, tuple[str, dict[str, Mapping[str, Any]]]] = {}
    for section in ("identified", "parameters"):
        for fit, summary in fits.items():
            kept = summary["coefficients"] if section == "parameters" else summary[section]
            for name in kept:
                entry = summary[section][name]
                found.setdefault(name, (entry["unit"], {}))[1][fit] = entry
    return found


def label_of(fit: str) -> str:
    """How a fit is written."""
    return "all experiments" if fit == ALL else f"without {fit}"


def leave_out_tables(fits: Mapping[str, Mapping[str, Any]]) -> RenderableType:
    """Mean, standard deviation and 90 % bound of every quantity in every fit, for the terminal."""
    parts: list[RenderableType] = []
    for name, (unit, entries) in compared(fits).items():
        scale = common_scale([x for e in entries.values() for x in (e["sd"], e["abs_upper_90"])], unit)
        made = plain_table(escape(name))
        made.add_column("fit")
        for column in ("mean", "sd", "90 % HDI", "90 % of |x| <"):
            made.add_column(escape(heading(column, scale.unit)), justify="right")
        made.add_column("converged")
        for fit, e in entries.items():
            mean, sd, upper = scale.row([e["mean"], e["sd"], e["abs_upper_90"]])
            done = "yes" if fits[fit]["converged"] else "NO"
            made.add_row(*map(escape, (label_of(fit), mean, sd, scale.interval(*e["hdi_90"]), upper, done)))
        parts.append(made)
    return Group(*parts)


def leave_out_figure(fits: Mapping[str, Mapping[str, Any]], labels: Mapping[str, str] | None = None) -> Figure:
    """Shortest 90 % interval and mean of every quantity in every fit; the grey band is that of all experiments.

    Args:
        fits: name -> the object in the fit's summary.json.
        labels: how quantities are written; missing: the name, as a symbol where it is short.
    """
    quantities = compared(fits)
    if not quantities:
        raise ValueError("a comparison of fits needs at least one quantity")
    written = labels or {}
    names = list(fits)
    columns = min(COLUMNS, len(quantities))
    rows = -(-len(quantities) // columns)
    with style():
        figure = new_figure(1.8 + 2.4 * columns, rows * (0.26 * len(names) + 0.9))
        grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
        for axes, (name, (unit, entries)) in zip(grid.flat, quantities.items(), strict=False):
            scale = common_scale([e["abs_upper_90"] for e in entries.values()], unit)
            for row, fit in enumerate(names):
                if fit not in entries:
                    continue
                low, high = (end / scale.factor for end in entries[fit]["hdi_90"])
                if fit == ALL:
                    axes.axvspan(low, high, color=GREY, alpha=0.2, linewidth=0)
                colour = BLACK if fit == ALL else BLUE
                axes.plot((low, high), (row, row), color=colour, linewidth=1.8, solid_capstyle="butt")
                axes.plot(entries[fit]["mean"] / scale.factor, row, marker="o", markersize=4, color=colour)
            axes.set_yticks(range(len(names)), [literal(label_of(fit)) for fit in names], fontsize=8)
            axes.set_ylim(len(names) - 0.5, -0.5)
            axes.tick_params(axis="y", which="both", left=False, right=False)
            axes.set_xlabel(axis_label(written.get(name) or symbol(name), scale.unit), fontsize=9)
        for axes in grid.flat[len(quantities) :]:
            axes.set_visible(False)
    return figure


def write_leave_out(folder: Path, fits: Mapping[str, Mapping[str, Any]], labels: Mapping[str, str] | None = None) -> list[Path]:
    """Draw and save the picture as leave_one_out.png and leave_one_out.pdf. Raises: OutputError."""
    return save(leave_out_figure(fits, labels), folder / "leave_one_out")
