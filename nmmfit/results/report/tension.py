"""The report of a tension between experiments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.stats import norm

from nmmfit.inference.tension import Part, Tension
from nmmfit.results.plots import distinct_quantities
from nmmfit.results.report.asked import asked_section, made_facts, provenance_section
from nmmfit.results.report.document import Document, Section, Table, table
from nmmfit.results.report.pictures import drawn
from nmmfit.results.report.references import asked_of
from nmmfit.results.tension import tension_figure
from nmmfit.results.wording import fixed, measured, number, quantity_words, sentence, together, typeset, unit_text
from nmmfit.results.written import Results, finite, plain_unit, reading

AGREES_ABOVE = 0.05
"""p-value from which on the page says that experiments agree."""
MOST_QUANTITIES = 3
"""Identified quantities that the answer puts into words; the rest stands in the tables."""
MOVES_ABOVE = 1e-2
"""Difference, in units of its own uncertainty, from which on a nuisance counts as one that moves between the fits."""
MOST_MOVED = 12
"""Nuisances in the table of those that move."""
ZERO_BELOW = 1e-3
"""Size, in its own unit, below which an identified quantity is 0 to the precision of a fit."""
EQUAL_BELOW = 1e-4
"""chi2_PG below which both fits are equal to their precision, as in `inference.tension`."""
METHOD = (("hep-ph/0304176", "parameter goodness of fit"),)


def tension_document(results: Results) -> Document:
    """The report of a folder that `tension` wrote."""
    found = _checked(results)
    experiments, cited, bibtex = asked_of(results.run, METHOD)
    names = ", ".join(found.experiments)
    question = (
        "Do the experiments agree on the coefficients, whatever they say about everything else? One fit has coefficients common "
        "to all experiments, the other has every experiment's own; nuisances that experiments share are shared in both."
    )
    verdict = "Both fits of the data converged."
    if not found.converged:
        verdict = "NOT converged: a fit of the data did not reach its minimum."
    if found.failed:
        verdict += f" {_toys(found.failed)} did not, and {'does' if found.failed == 1 else 'do'} not count."
    sections = (
        asked_section(results, experiments, question),
        _result(found),
        _parts(found),
        _nuisances(found, list(results.run.parameters)),
        _diagnostics(found),
        provenance_section(results, made_facts(results.payload.get("provenance"))),
        cited,
    )
    kept = tuple(s for s in sections if s.sentences or s.tables)
    return Document("tension", f"Tension between {names}", _answer(found), found.converged, verdict, kept, bibtex)


def _checked(results: Results) -> Tension:
    """What `tension` wrote, as the object it comes from."""
    p = results.payload
    with reading(results):
        made = Tension(
            chi2=finite(p["chi2"]),
            dof=int(finite(p["dof"])),
            nominal_p_value=finite(p["nominal_p_value"]),
            p_value=finite(p["p_value"]),
            p_error=finite(p["p_error"]),
            toys=int(finite(p["toys"])),
            failed=int(finite(p["failed"])),
            constraints=finite(p["constraints"]),
            toy_values=np.array([finite(v) for v in p["toy_values"]]),
            point=_numbers(p["point"]),
            identified=_numbers(p["identified"]),
            experiments={
                str(name): Part(int(part["rank"]), finite(part["chi2"]), _numbers(part["point"]), _numbers(part["identified"]))
                for name, part in p["experiments"].items()
            },
            units={str(name): plain_unit(unit) for name, unit in p["units"].items()},
            converged=p["converged"],
        )
        for name in (*made.identified, *(n for part in made.experiments.values() for n in part.identified)):
            made.units[name], made.identified[name]
        if made.dof < 1 or made.chi2 < 0.0 or not 0.0 < made.p_value <= 1.0:
            raise ValueError(f"dof is {made.dof}, chi2 {made.chi2:g}, p_value {made.p_value:g}")
        if len(made.toy_values) != made.toys:
            raise ValueError(f"{len(made.toy_values)} toy values of {made.toys} toys")
    return made


def _numbers(given: Mapping[str, Any]) -> dict[str, float]:
    return {str(name): finite(value) for name, value in given.items()}


def _toys(count: int) -> str:
    return f"{count} toy" if count == 1 else f"{count} toys"


def _probability(found: Tension) -> str:
    return typeset(f"{number(found.p_value, 2)} +- {number(found.p_error, 1)}")


def _answer(found: Tension) -> tuple[str, ...]:
    """Whether the experiments agree, who disagrees, and what each of them wants."""
    above = int(np.sum(found.toy_values >= found.chi2 - EQUAL_BELOW))
    if found.chi2 < EQUAL_BELOW:
        first = "No sign of a tension: common coefficients describe the data as well as coefficients of every experiment's own."
    elif not found.toys:
        first = "No toy could be fitted: whether the experiments agree is not known."
    elif found.p_value >= AGREES_ABOVE:
        first = (
            f"No sign of a tension: of {_toys(found.toys)}, made where all experiments agree, {above} disagree at least as much "
            f"as the data do (p-value {_probability(found)})."
        )
    elif above:
        first = (
            f"The experiments disagree: of {_toys(found.toys)}, made where all of them agree, only {above} disagree as much as "
            f"the data do (p-value {_probability(found)}, {norm.isf(found.p_value):.1f} standard deviations, one-sided)."
        )
    else:
        first = (
            f"The experiments disagree: of {_toys(found.toys)}, made where all of them agree, none disagrees as much as the data "
            f"do. The p-value is below about {number(found.p_value, 2)}; more toys would say how far."
        )
    shares = {**{name: part.chi2 for name, part in found.experiments.items()}, "constraints": found.constraints}
    ordered = sorted(shares.items(), key=lambda entry: -entry[1])
    parts = ", ".join(f"{name} {fixed(share, 2)}" for name, share in ordered)
    lines = [first, f"χ²_PG = {fixed(found.chi2, 2)}{f', of which {parts}' if found.chi2 >= EQUAL_BELOW else ''}."]
    for equal in list(_distinct(found).values())[:MOST_QUANTITIES]:
        lines.append(_wants(found, equal))
    return tuple(lines)


def _distinct(found: Tension) -> dict[str, tuple[str, ...]]:
    """Identified quantities that differ in some fit -> those that equal them in all: the joint one, and each experiment's own."""
    rows = {
        name: np.array([value, *(part.identified.get(name, np.nan) for part in found.experiments.values())])
        for name, value in found.identified.items()
    }
    return distinct_quantities({n: np.nan_to_num(v, nan=-1.0) for n, v in rows.items()}, found.units)


def _seen(value: float, unit: str) -> str:
    """An identified quantity with its unit, 0 where a fit cannot tell."""
    return measured(value if abs(value) >= ZERO_BELOW else 0.0, unit)


def _wants(found: Tension, equal: tuple[str, ...]) -> str:
    name, unit = equal[0], found.units[equal[0]]
    own = [
        f"{experiment} alone wants {_seen(part.identified[name], unit)}"
        for experiment, part in found.experiments.items()
        if name in part.identified
    ]
    return f"{sentence(together(equal))}: {'; '.join([f'joint best fit {_seen(found.identified[name], unit)}', *own])}."


def _result(found: Tension) -> Section:
    rows = [
        ("χ²_PG of the data [1]", fixed(found.chi2, 3)),
        ("nominal degrees of freedom [1]", str(found.dof)),
        ("nominal p-value [1]", typeset(number(found.nominal_p_value))),
        (f"p-value from {_toys(found.toys)} [1]", typeset(f"{number(found.p_value)} +- {number(found.p_error, 2)}")),
    ]
    sentences = (
        "χ²_PG is -2 ln L of the fit with common coefficients minus that of the fit with every experiment's own, constraint "
        "terms included. The p-value is (1 + k) / (1 + toys), k toys having at least the χ²_PG of the data.",
        "Rates are quadratic in the couplings, so that near zero coupling the nominal p-value is no guide; that from toys is.",
    )
    reach = f"{np.min(found.toy_values):.2f} to {np.max(found.toy_values):.2f}" if found.toys else "none"
    alt = (
        f"Distribution of χ²_PG in {_toys(found.toys)} ({reach}), the nominal χ² (degrees of freedom: {found.dof}), and a line "
        f"at the {found.chi2:.2f} of the data."
    )
    caption = "χ²_PG of toys made at the joint best fit, with the data and the nominal distribution."
    return Section(
        "What came out",
        sentences,
        tables=(table("Parameter goodness of fit", ("quantity", "value [1]"), rows, (1,)),),
        pictures=(drawn(tension_figure(found), alt, caption),),
    )


def _parts(found: Tension) -> Section:
    heads = ("experiment", "combinations of coefficients seen [1]", "χ², joint minus own [1]")
    rows = [(name, str(part.rank), fixed(part.chi2, 3)) for name, part in found.experiments.items()]
    rows.append(("constraints", "", fixed(found.constraints, 3)))
    tables = [table("What each experiment adds", heads, rows, (1, 2))]
    wants = [
        (
            quantity_words(name),
            experiment,
            *(_seen(v, found.units[name]) for v in (part.identified[name], found.identified[name])),
        )
        for name in found.identified
        for experiment, part in found.experiments.items()
        if name in part.identified
    ]
    if wants:
        wanted = ("identified quantity", "experiment", "its own best fit [unit beside it]", "joint best fit [unit beside it]")
        tables.append(table("What each experiment wants", wanted, wants, (2, 3)))
    meaning = (
        "An experiment's part is χ² of its data at the joint best fit minus that in the fit with its own coefficients. What is "
        "left is in the constraint terms of nuisances and theory inputs.",
        "Single coefficients are not compared: where they share a combination, their values mean nothing.",
    )
    return Section("Where it comes from", meaning, tables=tuple(tables))


def _nuisances(found: Tension, coefficients: list[str]) -> Section:
    """Nuisances that differ most between the two fits; either fit has one value of each."""
    apart = next(iter(found.experiments.values())).point if found.experiments else {}
    # A nuisance has one owner; the user's parameters and those of models are the others.
    names = [n for n in found.point if "." in n and n in apart and n not in coefficients]
    if not names:
        return Section("Nuisances")
    far = [n for n in names if abs(found.point[n] - apart[n]) >= MOVES_ABOVE]
    moved = sorted(far, key=lambda n: -abs(found.point[n] - apart[n]))[:MOST_MOVED]
    if not moved:
        return Section("Nuisances", (f"No nuisance moves by {MOVES_ABOVE:g} or more between the two fits.",))
    made = _moved(found, apart, moved, len(names))
    return Section("Nuisances", ("What the nuisances do to bring the experiments together.",), tables=(made,))


def _moved(found: Tension, apart: Mapping[str, float], moved: list[str], of: int) -> Table:
    heads = (
        "nuisance",
        "unit",
        "common coefficients [unit of its row]",
        "own coefficients [unit of its row]",
        "difference [unit of its row]",
    )
    rows = [
        (
            name,
            unit_text(found.units.get(name, "1")),
            *(typeset(number(v)) for v in (found.point[name], apart[name], found.point[name] - apart[name])),
        )
        for name in moved
    ]
    note = "Nuisances are in units of their own published uncertainty" + (
        f"; the {len(moved)} of {of} that move most." if of > len(moved) else "."
    )
    return table("Nuisances at the best fits", heads, rows, (2, 3, 4), note)


def _diagnostics(found: Tension) -> Section:
    fits = "converged" if found.converged else "NOT converged"
    rows = [
        ("fits of the data, common and own coefficients", fits, "converged"),
        ("toys fitted [1]", str(found.toys), "enough for the error of the p-value"),
        ("toys whose fits failed [1]", str(found.failed), "few"),
        ("statistical error of the p-value [1]", typeset(number(found.p_error, 2)), "small against the p-value, or against 0.05"),
    ]
    made = table("Diagnostics", ("check", "found", "wanted"), rows, (1,))
    return Section("Diagnostics", ("Toys whose fits failed are left out of the p-value.",), tables=(made,))
