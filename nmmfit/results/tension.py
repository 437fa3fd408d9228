"""Picture and table of a tension between experiments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from nmmfit.inference.tension import Tension
from nmmfit.results.figure import BLACK, GREY, SKY, VERMILLION, new_figure, save, style
from nmmfit.results.tables import plain_table
from nmmfit.results.wording import heading, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure


COLUMNS = 4
"""Quantities of one table."""

ALIKE = 1e-3
"""Relative difference below which two quantities are the same, to the precision of fits."""


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
    parts = plain_table("Where it comes from")
    parts.add_column("experiment", no_wrap=True)
    parts.add_column("combinations seen", justify="right")
    parts.add_column("chi2, joint - own", justify="right")
    for experiment, part in found.experiments.items():
        parts.add_row(escape(experiment), str(part.rank), f"{part.chi2:.3f}")
    parts.add_row("constraints", "", f"{found.constraints:.3f}")
    groups = list(distinct_quantities(found).items())
    tables = [_own_table(found, dict(groups[i : i + COLUMNS])) for i in range(0, len(groups), COLUMNS)]
    alike = [f"{name} also stands for {', '.join(others)}" for name, (_, *others) in groups if others]
    return Group(summary, parts, *tables, *map(Text, alike))


def distinct_quantities(found: Tension) -> dict[str, tuple[str, ...]]:
    """Identified quantities that differ -> those that are the same at every best fit, themselves first.

    Flavour-universal couplings give all sources the same effective moment.
    """
    names = dict.fromkeys(name for part in found.experiments.values() for name in part.identified)

    def values(name: str) -> list[float | None]:
        return [found.identified[name], *(part.identified.get(name) for part in found.experiments.values())]

    def same(a: float | None, b: float | None) -> bool:
        return a == b or (a is not None and b is not None and abs(a - b) <= ALIKE * max(abs(a), abs(b)))

    groups: dict[str, tuple[str, ...]] = {}
    for name in names:
        first = next(
            (n for n in groups if found.units[n] == found.units[name] and all(map(same, values(n), values(name)))),
            name,
        )
        groups[first] = (*groups.get(first, ()), name)
    return groups


def _own_table(found: Tension, groups: Mapping[str, Sequence[str]]) -> Table:
    """Some quantities at the best fit of every experiment that sees one of them, and at the joint one."""
    table = plain_table("Where each experiment alone has its best fit")
    table.add_column("experiment", no_wrap=True)
    for name, members in groups.items():
        head = heading(name, found.units[name])
        table.add_column(escape(f"{head} (+{len(members) - 1} alike)" if len(members) > 1 else head), justify="right")
    for experiment, part in found.experiments.items():
        if any(name in part.identified for name in groups):
            table.add_row(escape(experiment), *(number(part.identified.get(name)) for name in groups))
    table.add_row("joint fit", *(number(found.identified[name]) for name in groups))
    return table


def write_tension(folder: Path, found: Tension) -> list[Path]:
    """Draw and save the picture as tension.png and tension.pdf. Raises: OutputError."""
    return save(tension_figure(found), folder / "tension")
