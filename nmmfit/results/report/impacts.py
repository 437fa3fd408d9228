"""The report of pulls and impacts at a best fit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nmmfit.inference.fit import FitResult
from nmmfit.inference.impacts import Impacts, Pull
from nmmfit.results.impacts import SHOWN, impacts_figure
from nmmfit.results.plots import distinct_quantities
from nmmfit.results.report.asked import asked_section, made_facts, provenance_section
from nmmfit.results.report.document import Document, Picture, Section, Table, table
from nmmfit.results.report.pictures import drawn
from nmmfit.results.report.references import asked_of
from nmmfit.results.wording import (
    common_scale,
    fixed,
    measured,
    number,
    quantity_label,
    quantity_words,
    sentence,
    together,
    typeset,
    unit_text,
)
from nmmfit.results.written import Results, finite, finite_or_none, known_or_nan, plain_unit, reading

MOST_ANSWERS = 6
"""Quantities that the answer puts into words; the rest stands in the tables."""
NOTHING = 1e-3
"""Share of the largest impact below which the answer calls one nothing."""
ZERO_BELOW = 1e-3
"""Size, in its own unit, below which an identified quantity is 0 to the precision of a fit."""
IN_A_TABLE = 3
"""Targets of one table, so that it fits on paper."""
IN_A_PICTURE = 2
"""Targets of one picture, so that it can be read on paper."""


def impacts_document(results: Results) -> Document:
    """The report of a folder that `impacts` wrote."""
    found = _checked(results)
    experiments, cited, bibtex = asked_of(results.run)
    names = ", ".join(results.run.experiments) or "the constraints alone"
    targets = ", ".join(quantity_words(t) for t in found.targets) or "nothing, since the data fix nothing"
    question = f"The best fit, what the data make of every nuisance there, and how much each nuisance moves: {targets}."
    converged = results.payload["converged"]
    verdict = "The best fit and every refit converged."
    if not found.best.converged:
        verdict = "NOT converged: the best fit did not reach its minimum."
    elif not converged:
        verdict = f"NOT converged: {len(found.failed)} of the refits."
    sections = (
        asked_section(results, experiments, question),
        _found(found),
        _best(found),
        _diagnostics(found),
        provenance_section(results, made_facts(results.payload.get("provenance"))),
        cited,
    )
    return Document("impacts", f"Pulls and impacts in a fit to {names}", _answer(found), converged, verdict, sections, bibtex)


def _checked(results: Results) -> Impacts:
    """What `impacts` wrote, as the object it comes from; the covariance and other minima, which are not shown, are left out."""
    p = results.payload
    with reading(results):
        given = p["fit"]
        best = FitResult(
            kind=str(given["kind"]),
            point={str(n): finite(entry["value"]) for n, entry in given["parameters"].items()},
            units={str(n): plain_unit(entry["unit"]) for n, entry in given["parameters"].items()},
            errors={str(n): finite_or_none(entry["error"]) for n, entry in given["parameters"].items()},
            identified={str(n): finite(v) for n, v in given["identified"].items()},
            value=finite(given["value"]),
            gradient_norm=finite(given["gradient_norm"]),
            distance=finite(given["distance"]),
            converged=bool(given["converged"]),
            flat={str(n): str(reason) for n, reason in given["flat"].items()},
            minima=(),
            covariance=np.zeros((0, 0)),
        )
        targets = {str(n): finite(entry["value"]) for n, entry in p["targets"].items()}
        units = {str(n): plain_unit(entry["unit"]) for n, entry in p["targets"].items()}
        pulls = tuple(_pull(str(n), entry, targets) for n, entry in p["nuisances"].items())
        failed = tuple(map(str, p["failed"]))
    return Impacts(best, targets, units, pulls, failed)


def _pull(name: str, entry: Mapping[str, Any], targets: Mapping[str, float]) -> Pull:
    width = known_or_nan(entry["prior_sd"])
    if width == 0.0:
        raise ValueError(f"the prior of {name} has no width")
    changes = {}
    for target in targets:
        below, above = (finite_or_none(v) for v in entry["impacts"][target])
        changes[target] = (below, above)
    return Pull(name, finite(entry["value"]), finite(entry["error"]), known_or_nan(entry["prior_mean"]), width, changes)


def _distinct(found: Impacts) -> dict[str, tuple[str, ...]]:
    """Targets that differ -> those that have the same value and the same impacts."""
    rows = {
        target: np.array([value, *(-1.0 if c is None else c for p in found.pulls for c in p.impacts[target])])
        for target, value in found.targets.items()
    }
    return distinct_quantities(rows, found.units)


def _value(found: Impacts, target: str) -> str:
    """The best fit of a target with its unit; an identified quantity is 0 where a fit cannot tell."""
    value = found.targets[target]
    return measured(0.0 if target in found.best.identified and abs(value) < ZERO_BELOW else value, found.units[target])


def _moved(value: float | None, unit: str, largest: float) -> str:
    """One impact in words; what is tiny beside the largest is nothing."""
    if value is None:
        return "by an unknown amount"
    if abs(value) < NOTHING * largest:
        return "not at all"
    text = measured(value, unit, 2)
    return f"by +{text}" if value > 0.0 else f"by {text}"


def _answer(found: Impacts) -> tuple[str, ...]:
    """For every target its best fit and the nuisance that moves it most; then the pull that is farthest out."""
    lines = []
    for name, equal in _distinct(found).items():
        unit = found.units[name]
        text = f"{sentence(together(equal))}: best fit {_value(found, name)}."
        first = max(found.pulls, key=lambda p: p.largest(name), default=None)
        if first is not None and first.largest(name) > 0.0:
            below, above = (_moved(change, unit, first.largest(name)) for change in first.impacts[name])
            text += (
                f" {first.name} moves it most: {below} where it is held one standard deviation below its best fit, {above} "
                f"where it is held one above."
            )
        else:
            text += " No nuisance moves it."
        lines.append(text)
    more = len(lines) - MOST_ANSWERS
    lines = lines[:MOST_ANSWERS] + ([f"And {more} more in the tables."] if more > 0 else [])
    known = [p for p in found.pulls if math.isfinite(p.pull)]
    if known:
        far = max(known, key=lambda p: abs(p.pull))
        lines.append(f"The farthest pull is that of {far.name}: {far.pull:+.2f} prior standard deviations.")
    return tuple(lines)


def _found(found: Impacts) -> Section:
    sentences = (
        "Pull: (value at the best fit - prior mean) / prior standard deviation. A standard deviation after the fit near 1 means "
        "that the data say nothing about a nuisance, near 0 that they alone fix it.",
        "Impact: change of the best fit where the nuisance is held one standard deviation (after the fit) below or above its "
        "best fit and everything else is fitted again. A refit, not a linear response: near zero coupling there is none.",
    )
    same = {name: equal[1:] for name, equal in _distinct(found).items() if len(equal) > 1}
    points = [f"Impacts on {name} are those on {', '.join(others)} too." for name, others in same.items()]
    return Section("What came out", sentences, tuple(points), tuple(_tables(found)), tuple(_pictures(found)))


def _tables(found: Impacts) -> list[Table]:
    """Pulls of all nuisances with their impacts on some targets; further targets have tables of those that move them."""
    targets = list(_distinct(found))
    first, more = targets[:IN_A_TABLE], targets[IN_A_TABLE:]
    made = [_table("Pulls and impacts", found, first, pulls=True)]
    for k in range(0, len(more), IN_A_TABLE):
        made.append(_table(f"Impacts, part {2 + k // IN_A_TABLE}", found, more[k : k + IN_A_TABLE], pulls=False))
    return made


def _table(caption: str, found: Impacts, targets: Sequence[str], pulls: bool) -> Table:
    """Those of the largest impacts first; without pulls only nuisances that move a target."""
    largest = {t: max((p.largest(t) for p in found.pulls), default=0.0) for t in targets}
    scales = {t: common_scale([largest[t]], found.units[t]) for t in targets}

    def cell(p: Pull, t: str) -> str:
        changes = [0.0 if c is not None and abs(c) < NOTHING * largest[t] else c for c in p.impacts[t]]
        return " / ".join(typeset("0" if c == 0.0 else scales[t].row([c])[0]) for c in changes)

    own = ("pull [prior sd]", "sd after the fit [prior sd]") if pulls else ()
    heads = ["nuisance", *own, *(f"{t}, held below / above [{unit_text(scales[t].unit)}]" for t in targets)]
    rows = []
    for p in found.ranked():
        cells = [cell(p, t) for t in targets]
        if pulls or set(cells) != {"0 / 0"}:
            rows.append((p.name, *((fixed(p.pull, 2), fixed(p.constraint, 2)) if pulls else ()), *cells))
    note = (
        "0: less than a thousandth of the largest. -: the prior excludes the value, the refit failed, or the prior has no width."
    )
    return table(caption, heads, rows, range(1, len(heads)), note)


def _pictures(found: Impacts) -> list[Picture]:
    """Pulls with the impacts on a few targets each."""
    targets = list(_distinct(found))
    groups: Sequence[list[str]] = [targets[k : k + IN_A_PICTURE] for k in range(0, len(targets), IN_A_PICTURE)] or [[]]
    made = []
    for group in groups if found.pulls else ():
        shown = replace(found, targets={t: found.targets[t] for t in group}, units={t: found.units[t] for t in group})
        what = ", ".join(quantity_words(t) for t in group)
        alt = (
            f"Pulls of {min(SHOWN, len(found.pulls))} nuisances with prior and posterior"
            f"{f', and their impacts on {what}' if what else ''}; the numbers are in the table."
        )
        more = f"; the {SHOWN} of the largest impacts" if len(found.pulls) > SHOWN else ""
        caption = f"Pulls{f', and impacts on {what}' if what else ''}{more}."
        made.append(drawn(impacts_figure(shown, {t: quantity_label(t) for t in group}), alt, caption))
    return made


def _best(found: Impacts) -> Section:
    """The best fit: what the data identify, and coefficients with errors or why they have none."""
    best, nuisances = found.best, {p.name for p in found.pulls}
    rows = [
        (
            name,
            measured(value, best.units[name]),
            "flat" if name in best.flat else measured(best.errors[name], best.units[name], 2),
        )
        for name, value in best.point.items()
        if name not in nuisances
    ]
    tables = []
    if best.identified:
        given = [(quantity_words(t), _value(found, t)) for t in found.targets if t in best.identified]
        if given:
            tables.append(table("What the data identify, at the best fit", ("quantity", "value [unit beside it]"), given, (1,)))
    if rows:
        heads = ("parameter", "value [unit beside it]", "error [unit beside it]")
        tables.append(table("Coefficients at the best fit", heads, rows, (1, 2)))
    meaning = (
        f"Kind of fit: {best.kind}.",
        "A coefficient without an error has no curvature there, a flat one can be anything: nmmfit limits says what is known.",
    )
    return Section("Best fit", meaning, tuple(f"{name}: {reason}" for name, reason in best.flat.items()), tuple(tables))


def _diagnostics(found: Impacts) -> Section:
    best = found.best
    rows = [
        ("best fit", "converged" if best.converged else "NOT converged", "converged"),
        ("gradient at the best fit, in scaled coordinates [1]", typeset(number(best.gradient_norm, 2)), "small"),
        ("estimated height above the minimum [1]", typeset(number(best.distance, 2)), "small"),
        ("refits that failed [1]", str(len(found.failed)), "0"),
    ]
    made = table("Diagnostics", ("check", "found", "wanted"), rows, (1,))
    told_of = "Every refit converged." if not found.failed else "Refits that did not converge, held below (-) or above (+):"
    return Section("Diagnostics", (told_of,), found.failed, (made,))
