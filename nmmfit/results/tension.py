"""Picture and table of a tension between experiments."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Group, RenderableType
from rich.markup import escape

from nmmfit.inference.tension import Tension
from nmmfit.results.figure import BLACK, GREY, SKY, VERMILLION, new_figure, save, style
from nmmfit.results.tables import plain_table
from nmmfit.results.wording import heading, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def tension_figure(found: Tension) -> Figure:
    """Distribution of the statistic in toys, the nominal chi-square, and the data."""
    from scipy.stats import chi2

    values = found.toy_values
    top = 1.1 * max(found.chi2, float(np.max(values, initial=0.0)), float(chi2.ppf(0.99, found.dof)))
    edges = np.linspace(0.0, top, 31)
    with style():
        figure = new_figure(5.0, 3.4)
        axes = figure.subplots()
        if len(values):
            weights = np.full(len(values), 1.0 / (len(values) * (edges[1] - edges[0])))
            axes.hist(
                values, edges.tolist(), weights=weights, color=SKY, alpha=0.7, label=f"{len(values)} toys at the joint best fit"
            )
        nominal = np.diff(chi2.cdf(edges, found.dof)) / np.diff(edges)
        freedom = "degree of freedom" if found.dof == 1 else "degrees of freedom"
        axes.stairs(nominal, edges, color=BLACK, linestyle="--", label=rf"$\chi^2$, {found.dof} {freedom}")
        axes.axvline(found.chi2, color=VERMILLION, linewidth=1.8, label=f"data: {found.chi2:.2f}, p = {found.p_value:.3g}")
        axes.set_xlim(0.0, top)
        axes.set_xlabel(r"$\chi^2_{\rm PG}$")
        axes.set_ylabel("density per bin")
        axes.grid(axis="y", color=GREY, alpha=0.2, linewidth=0.6)
        axes.legend()
    return figure


def tension_tables(found: Tension) -> RenderableType:
    """The test in numbers, and every experiment's part, for the terminal."""
    summary = plain_table("Parameter goodness of fit")
    summary.add_column("quantity")
    summary.add_column("value", justify="right")
    failed = f", {found.failed} failed" if found.failed else ""
    for quantity, value in (
        ("chi2_PG", f"{found.chi2:.3f}"),
        ("nominal degrees of freedom", str(found.dof)),
        ("nominal p-value", number(found.nominal_p_value)),
        (f"p-value ({found.toys} toys{failed})", f"{found.p_value:.3g} +- {found.p_error:.2g}"),
    ):
        summary.add_row(quantity, value)
    names = list(dict.fromkeys(name for part in found.experiments.values() for name in part.identified))
    parts = plain_table("Where it comes from")
    parts.add_column("experiment")
    parts.add_column("combinations seen", justify="right")
    parts.add_column("chi2, joint - own", justify="right")
    for name in names:
        parts.add_column(escape(heading(name, found.units[name])), justify="right")
    for experiment, part in found.experiments.items():
        own = [number(part.identified.get(name)) for name in names]
        parts.add_row(escape(experiment), str(part.rank), f"{part.chi2:.3f}", *own)
    parts.add_row("constraints", "", f"{found.constraints:.3f}", *("" for _ in names))
    parts.add_row("joint fit", "", "", *(number(found.identified[name]) for name in names))
    return Group(summary, parts)


def write_tension(folder: Path, found: Tension) -> list[Path]:
    """Draw and save the picture as tension.png and tension.pdf. Raises: OutputError."""
    return save(tension_figure(found), folder / "tension")
