"""The part of a fit's report about nuisances: their pulls, and their impact on what the data identify."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nmmfit.inference.result import SampleResult
from nmmfit.results.diagnostics import ParameterSummary
from nmmfit.results.plots import distinct_quantities
from nmmfit.results.pulls import PullBar, pulls_figure
from nmmfit.results.report.document import Section, Table, table
from nmmfit.results.report.pictures import drawn
from nmmfit.results.wording import fixed, measured, unit_text

Summaries = Mapping[str, tuple[str, ParameterSummary]]
"""Quantity -> its unit and its summary."""
MOST_IMPACTS = 15


def distinct(result: SampleResult) -> dict[str, tuple[str, ...]]:
    """Identified quantities that differ -> those that equal them in every draw."""
    return distinct_quantities(result.identified, result.identified_units)


def nuisances_section(result: SampleResult, summaries: Summaries, priors: Mapping[str, Any] | None = None) -> Section:
    """Nuisances and theory inputs: summaries, pulls, and what they do to the identified quantities; empty without any.

    `priors`: distributions of those whose priors the run file gives; pulls without one are centred at 0.
    """
    names = result.nuisance_names()
    if not names:
        return Section("Nuisances and theory inputs")
    rows = []
    for name in names:
        unit, s = summaries[name]
        rows.append(
            (
                name,
                unit_text(unit),
                measured(s.mean, "1"),
                measured(s.sd, "1"),
                fixed(s.r_hat, 3),
                fixed(s.ess_bulk, 0),
                fixed(s.contraction, 2),
            )
        )
    heads = ("name", "unit", "mean [unit of its row]", "sd [unit of its row]", "r_hat [1]", "ESS bulk [draws]", "contraction [1]")
    tables = [table("Nuisances and theory inputs", heads, rows, range(2, 7)), *_impacts(result)]
    pictures = []
    bars = [bar for n in names if (bar := _bar(n, summaries[n][1], (priors or {}).get(n))) is not None]
    if bars:
        far = max(bars, key=lambda bar: abs(bar.pull))
        narrow = min(bars, key=lambda bar: bar.width)
        alt = (
            f"Pulls of {len(bars)} nuisances and theory inputs, posterior against prior: the farthest from its prior mean is "
            f"{far.name} at {far.pull:.2f} prior standard deviations; the data narrow {narrow.name} most, to "
            f"{narrow.width:.2f} of its prior width."
        )
        caption = "Posterior against prior of every nuisance in units of the prior's width, and how much of that width is left."
        pictures.append(drawn(pulls_figure(bars), alt, caption))
    meaning = (
        "Nuisances are in units of their own published uncertainty, 0 is nominal; a free normalisation has a wider prior, and a "
        "contraction near 1."
    )
    return Section("Nuisances and theory inputs", (meaning,), tables=tuple(tables), pictures=tuple(pictures))


def _bar(name: str, summary: ParameterSummary, prior: Any) -> PullBar | None:
    """A nuisance before and after the fit; None where its prior is not known to have a width."""
    if prior is not None:
        mean, width = float(prior.mean), float(prior.variance) ** 0.5
    elif name.startswith("theory.") or not summary.contraction < 1.0:
        return None
    else:
        mean, width = 0.0, summary.sd / (1.0 - summary.contraction) ** 0.5
    bar = PullBar(name, summary.mean, summary.sd, mean, width)
    return bar if bar.is_known else None


def _impacts(result: SampleResult) -> list[Table]:
    """How far each identified quantity moves with one posterior standard deviation of a nuisance: correlation times its own."""
    quantities = [n for n in distinct(result) if np.ptp(result.identified[n]) > 0.0]
    nuisances = [n for n in result.nuisance_names() if np.ptp(result.draws[n]) > 0.0]
    if not quantities or not nuisances:
        return []
    correlation = np.array(
        [[np.corrcoef(result.draws[n].ravel(), result.identified[q].ravel())[0, 1] for q in quantities] for n in nuisances]
    )
    order = np.argsort(-np.max(np.abs(correlation), axis=1), kind="stable")[:MOST_IMPACTS]
    widths = [float(np.std(result.identified[q])) for q in quantities]
    heads = ["nuisance", *(f"{q} [{unit_text(result.unit(q))}]" for q in quantities)]
    rows = [
        (
            nuisances[i],
            *(f"{measured(correlation[i, k] * widths[k], '1', 2)} ({correlation[i, k]:+.2f})" for k in range(len(quantities))),
        )
        for i in order
    ]
    note = "Change of the quantity with one posterior standard deviation of the nuisance, in brackets their correlation" + (
        f"; the {MOST_IMPACTS} largest of {len(nuisances)}." if len(nuisances) > MOST_IMPACTS else "."
    )
    return [table("Impacts of nuisances on what the data identify", heads, rows, range(1, len(heads)), note)]
