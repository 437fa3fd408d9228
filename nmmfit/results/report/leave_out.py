"""The report of posteriors with each experiment left out in turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nmmfit.results.diagnostics import Thresholds
from nmmfit.results.leave_out import ALL, compared, label_of, leave_out_figure
from nmmfit.results.plots import distinct_quantities
from nmmfit.results.report.asked import asked_section, made_facts, provenance_section
from nmmfit.results.report.document import Document, Picture, Section, Table, table
from nmmfit.results.report.pictures import drawn
from nmmfit.results.report.references import SAMPLING, asked_of
from nmmfit.results.wording import (
    common_scale,
    fixed,
    measured,
    number,
    quantity_label,
    quantity_words,
    sentence,
    together,
    unit_text,
)
from nmmfit.results.written import Results, finite, known_or_nan, plain_unit, reading

MOST_ANSWERS = 6
"""Quantities that the answer puts into words; the rest stands in the tables."""
IN_A_PICTURE = 2
"""Quantities of one picture, so that it can be read on paper."""
NUMBERS = ("mean", "sd", "abs_upper_90")
MATTERS = 1.05
"""Standard deviation without an experiment, over that with all, from which on its loss is said to matter."""
CHECKED = ("r_hat", "ess_bulk", "ess_tail")

Fits = Mapping[str, Mapping[str, Any]]
"""Name of a fit -> its summary."""
Quantities = dict[str, tuple[str, dict[str, Mapping[str, Any]]]]
"""Name of a quantity -> its unit, and its summary in every fit that has it."""


def leave_out_document(results: Results) -> Document:
    """The report of a folder that `leave-one-out` wrote."""
    fits = _checked(results)
    experiments, cited, bibtex = asked_of(results.run, SAMPLING)
    failed = [label_of(name) for name, fit in fits.items() if not fit["converged"]]
    missing = [label_of(name) for name in (ALL, *results.run.experiments) if name not in fits]
    verdict = "Every fit converged." if not failed else f"NOT converged: {', '.join(failed)}."
    if missing:
        verdict += f" Interrupted; not fitted: {', '.join(missing)}."
    quantities = compared(fits)
    names = ", ".join(results.run.experiments)
    question = "The posterior was sampled with all experiments, and again with each one left out: what is each of them worth?"
    sections = (
        asked_section(results, experiments, question),
        _found(fits, quantities),
        _diagnostics(fits),
        provenance_section(results, made_facts(results.payload.get("provenance"))),
        cited,
    )
    answer = _answer(quantities) or ("The fits have no quantity that could be compared.",)
    return Document("leave-one-out", f"One experiment left out: {names}", answer, not failed, verdict, sections, bibtex)


def _checked(results: Results) -> Fits:
    """The summaries of all fits with every number that is shown checked."""
    made: dict[str, dict[str, Any]] = {}
    with reading(results):
        for name, fit in results.payload["fits"].items():
            found: dict[str, Any] = {
                "converged": bool(fit["converged"]),
                "problems": [str(problem) for problem in fit["problems"]],
                "coefficients": [str(n) for n in fit["coefficients"]],
                "divergences": int(finite(fit["divergences"])),
                "size": f"{int(finite(fit['chains']))} × {int(finite(fit['draws']))}",
            }
            for part in ("identified", "parameters"):
                found[part] = {str(n): _entry(entry) for n, entry in fit[part].items()}
            for n in found["coefficients"]:
                found["parameters"][n]
            made[str(name)] = found
        if not made:
            raise ValueError("there is no fit")
        for n, (unit, entries) in compared(made).items():
            if {e["unit"] for e in entries.values()} != {unit}:
                raise ValueError(f"{n} has several units")
    return made


def _entry(given: Mapping[str, Any]) -> dict[str, Any]:
    low, high = given["hdi_90"]
    return {
        "unit": plain_unit(given.get("unit")),
        "hdi_90": (finite(low), finite(high)),
        **{key: finite(given[key]) for key in NUMBERS},
        **{key: known_or_nan(given[key]) for key in CHECKED},
    }


def _distinct(quantities: Quantities) -> dict[str, tuple[str, ...]]:
    """Quantities that differ in some fit -> those that equal them in all."""
    fits = dict.fromkeys(fit for _, entries in quantities.values() for fit in entries)
    rows = {
        name: np.array([_shown(entries[fit]) if fit in entries else (-1.0,) * 5 for fit in fits])
        for name, (_, entries) in quantities.items()
    }
    return distinct_quantities(rows, {name: unit for name, (unit, _) in quantities.items()})


def _shown(entry: Mapping[str, Any]) -> tuple[float, ...]:
    return (*entry["hdi_90"], *(entry[key] for key in NUMBERS))


def _worth(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Left-out experiment -> standard deviation without it over that with all; nothing where that is unknown."""
    whole = entries[ALL]["sd"] if ALL in entries else 0.0
    return {fit: e["sd"] / whole for fit, e in entries.items() if fit != ALL} if whole > 0.0 else {}


def _answer(quantities: Quantities) -> tuple[str, ...]:
    """For every quantity its interval with all experiments, and the experiment without which it widens most."""
    lines = []
    for name, equal in _distinct(quantities).items():
        unit, entries = quantities[name]
        if ALL not in entries:
            continue
        text = f"{sentence(together(equal))}: {_interval(entries[ALL], unit)} with all experiments."
        blind = [fit for fit in _names(quantities) if fit not in entries]
        if blind:
            text += f" Without {' or '.join(blind)} it is not measured."
        worth = _worth(entries)
        if worth:
            most = max(worth, key=lambda fit: worth[fit])
            text += f" {_change(most, worth[most], entries[most], unit)}"
        lines.append(text)
    more = len(lines) - MOST_ANSWERS
    return tuple(lines[:MOST_ANSWERS]) + ((f"And {more} more in the tables.",) if more > 0 else ())


def _change(fit: str, worth: float, entry: Mapping[str, Any], unit: str) -> str:
    """What leaving out the experiment that matters most does."""
    if worth < MATTERS:
        return f"Leaving out one of the others widens it by less than {100 * (MATTERS - 1):.0f} %."
    return f"Without {fit} it is {_interval(entry, unit)}, and its standard deviation {number(worth)} times as large."


def _names(quantities: Quantities) -> list[str]:
    """All fits that have a quantity."""
    return list(dict.fromkeys(fit for _, entries in quantities.values() for fit in entries))


def _interval(entry: Mapping[str, Any], unit: str) -> str:
    """A 90 % bound where only sizes are meant, else the shortest interval."""
    low, high = entry["hdi_90"]
    if low >= 0.0:
        return f"below {measured(entry['abs_upper_90'], unit)} (90 %)"
    return f"between {measured(low, unit)} and {measured(high, unit)} (90 %)"


def _found(fits: Fits, quantities: Quantities) -> Section:
    sentences = (
        "What an experiment is worth for a quantity is how much its posterior widens without it: the last column, 1 where "
        "nothing changes.",
        "HDI: shortest interval that holds 90 % of the posterior. A fit leaves an experiment out together with the nuisances "
        "that no other one shares; a quantity that only the missing one identifies is not in its fit.",
        "Every fit has a folder of its own, named for what it leaves out, of which nmmfit report makes a page.",
    )
    distinct = _distinct(quantities)
    points = [f"{name}: {', '.join(equal[1:])} is the same in every fit." for name, equal in distinct.items() if len(equal) > 1]
    tables = tuple(_table(name, *quantities[name]) for name in distinct)
    return Section("What came out", sentences, tuple(points), tables, tuple(_pictures(fits, quantities, list(distinct))))


def _table(name: str, unit: str, entries: Mapping[str, Mapping[str, Any]]) -> Table:
    scale = common_scale([x for e in entries.values() for x in (e["sd"], e["abs_upper_90"])], unit)
    written = unit_text(scale.unit)
    heads = ["fit", *(f"{head} [{written}]" for head in ("mean", "sd", "90 % HDI", "90 % of |x| <")), "sd / sd of all [1]"]
    worth = _worth(entries)
    rows = []
    for fit, e in entries.items():
        mean, sd, upper = scale.row([e["mean"], e["sd"], e["abs_upper_90"]])
        relative = "1" if fit == ALL else fixed(worth.get(fit), 2)
        rows.append((label_of(fit), mean, sd, scale.interval(*e["hdi_90"]), upper, relative))
    words = quantity_words(name)
    return table(sentence(words) if words == name else f"{sentence(words)}: {name}", heads, rows, range(1, len(heads)))


def _pictures(fits: Fits, quantities: Quantities, names: Sequence[str]) -> list[Picture]:
    made = []
    for first in range(0, len(names), IN_A_PICTURE):
        chosen = names[first : first + IN_A_PICTURE]
        what = ", ".join(quantity_words(n) for n in chosen)
        shown = {fit: _only(summary, chosen) for fit, summary in fits.items()}
        alt = f"Shortest 90 % intervals of {what} in {len(fits)} fits, one below the other; the numbers are in the tables."
        caption = f"{sentence(what)}: shortest 90 % interval and mean; grey band: all experiments."
        made.append(drawn(leave_out_figure(shown, {n: quantity_label(n) for n in chosen}), alt, caption))
    return made


def _only(summary: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """A summary with some of its quantities only."""
    parts = {part: {n: e for n, e in summary[part].items() if n in names} for part in ("identified", "parameters")}
    return {**summary, **parts, "coefficients": [n for n in summary["coefficients"] if n in names]}


def _diagnostics(fits: Fits) -> Section:
    limit = Thresholds()
    rows = []
    for name, fit in fits.items():
        moving = [e for part in ("identified", "parameters") for e in fit[part].values() if e["sd"] != 0.0]
        # An undefined diagnostic makes all of them undefined.
        worst = float(np.max([e["r_hat"] for e in moving])) if moving else float("nan")
        bulk, tail = (float(np.min([e[k] for e in moving])) if moving else float("nan") for k in ("ess_bulk", "ess_tail"))
        done = "yes" if fit["converged"] else "NO"
        rows.append((label_of(name), done, fixed(worst, 3), fixed(bulk, 0), fixed(tail, 0), str(fit["divergences"]), fit["size"]))
    heads = (
        "fit",
        "converged",
        "largest r_hat [1]",
        "smallest bulk ESS [draws]",
        "smallest tail ESS [draws]",
        "divergent [draws]",
        "chains × draws [1]",
    )
    note = f"Wanted: r_hat below {limit.r_hat:g}, effective sample sizes of at least {limit.ess:g}."
    problems = [f"{label_of(name)}: {problem}" for name, fit in fits.items() for problem in fit["problems"]]
    told_of = "What failed:" if problems else "Every quantity of every fit passes every check."
    made = table("Diagnostics of every fit", heads, rows, range(2, 7), note)
    return Section("Diagnostics", (told_of,), tuple(problems), (made,))
