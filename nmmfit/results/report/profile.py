"""The report of a profile likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nmmfit.results.report.asked import asked_section, made_facts, provenance_section
from nmmfit.results.report.document import Document, Section, table
from nmmfit.results.report.figures import LEVELS, profile_figure
from nmmfit.results.report.pictures import drawn
from nmmfit.results.report.references import asked_of
from nmmfit.results.wording import common_scale, fixed, measured, quantity_words, sentence, unit_text
from nmmfit.results.written import Results, plain_unit, reading


@dataclass(frozen=True)
class _Profile:
    name: str
    unit: str
    grid: list[float]
    heights: list[float]
    converged: list[bool]
    best: float
    reason: str


def _checked(results: Results) -> _Profile:
    p = results.payload
    with reading(results):
        ((name, grid),) = p["grid"].items()
        heights = [float("nan") if v is None else float(v) for v in p["delta_chi2"]]
        fine = [bool(v) for v in p["converged"]]
        reason = str(p.get("reason") or "")
        made = _Profile(name, plain_unit(p["unit"]), [float(v) for v in grid], heights, fine, float(p["best"][name]), reason)
        if not len(made.grid) == len(heights) == len(made.converged) > 0:
            raise ValueError(f"{len(made.grid)} grid points, {len(heights)} heights, {len(made.converged)} verdicts")
    return made


def profile_document(results: Results) -> Document:
    """The report of a folder that `profile` wrote."""
    p = _checked(results)
    experiments, cited, bibtex = asked_of(results.run)
    names = ", ".join(results.run.experiments) or "the priors alone"
    failed = [f"{p.name} = {measured(x, p.unit)}" for x, fine in zip(p.grid, p.converged, strict=True) if not fine]
    question = (
        f"The profile likelihood of {p.name}: at every point of the grid all other parameters and nuisances were minimised."
    )
    checks = Section(
        "Diagnostics", ("Points that did not converge:",) if failed else ("Every point of the grid converged.",), tuple(failed)
    )
    answer = [
        f"{sentence(quantity_words(p.name))}: the best fit is {measured(p.best, p.unit)}.",
        *([p.reason] if p.reason else []),
    ]
    verdict = "Every point converged." if not failed else f"NOT converged at {len(failed)} of {len(p.grid)} points."
    sections = (
        asked_section(results, experiments, question),
        _found(p),
        checks,
        provenance_section(results, made_facts(results.payload.get("provenance"))),
        cited,
    )
    return Document("profile", f"Profile of {p.name} from {names}", tuple(answer), not failed, verdict, sections, bibtex)


def _found(p: _Profile) -> Section:
    from scipy.stats import chi2

    scale = common_scale(p.grid, p.unit)
    rows = [
        (scale.row([x])[0], fixed(y, 4), "yes" if fine else "NO")
        for x, y, fine in zip(p.grid, p.heights, p.converged, strict=True)
    ]
    made = table(f"Profile of {p.name}", (f"{p.name} [{unit_text(scale.unit)}]", "Δχ² [1]", "converged"), rows, (1,))
    known = np.isfinite(p.heights)
    reach = f"up to {np.max(np.asarray(p.heights)[known]):.2f}" if np.any(known) else "undefined everywhere"
    ends = " to ".join(measured(p.grid[k], p.unit) for k in (0, -1))
    alt = f"Δχ² of {p.name} at {len(p.grid)} points from {ends}, {reach}; the numbers are in the table."
    levels = ", ".join(f"{label} at {float(chi2.ppf(level, 1)):.2f}" for label, level in LEVELS)
    picture = drawn(
        profile_figure(p.name, p.unit, p.grid, p.heights, p.converged),
        alt,
        f"Profile of {p.name} with the levels of one parameter.",
    )
    return Section(
        "What came out", (f"Levels of one parameter, where the likelihood is Gaussian: {levels}.",), (), (made,), (picture,)
    )
