"""The report of how the intervals of a fit move under other priors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nmmfit.inference.prior_sensitivity import Alternative, Ends, PriorSensitivity, Reweighted
from nmmfit.priors import PriorSpec
from nmmfit.results.plots import distinct_quantities
from nmmfit.results.prior_sensitivity import picture_height, sensitivity_figure
from nmmfit.results.report.asked import asked_section, made_facts, provenance_section
from nmmfit.results.report.document import Document, Picture, Section, Table, Text, table
from nmmfit.results.report.pictures import drawn
from nmmfit.results.report.references import asked_of
from nmmfit.results.wording import common_scale, fixed, number, quantity_words, sentence, together, unit_text
from nmmfit.results.written import Results, finite, plain_unit, reading

METHOD = (("arXiv:1507.02646", "Pareto-smoothed importance sampling"),)
MOVES = 1.05
"""Width of an interval after over that before, or its inverse, from which on the prior is said to move it."""
PICTURE_HEIGHT_IN = 8.5
"""Height of a picture, so that it fits on paper."""


def prior_sensitivity_document(results: Results) -> Document:
    """The report of a folder that `prior-sensitivity` wrote."""
    found, commands = _checked(results)
    experiments, cited, bibtex = asked_of(results.run, METHOD)
    trusted = [a for a in found.alternatives if a.trusted]
    question = (
        f"The {found.draws} draws of a posterior were weighted for other priors of its coefficients: which of its "
        f"{100 * found.cl:g} % intervals are the data's, and which the prior's?"
    )
    verdict = f"{len(trusted)} of {len(found.alternatives)} alternatives can be had by weighting the draws."
    if len(trusted) == len(found.alternatives):
        verdict = "All alternatives can be had by weighting the draws."
    elif not trusted:
        verdict = "NOT to be trusted: no alternative can be had by weighting the draws; the commands below fit with them."
    facts = [("fit whose draws were weighted", str(results.payload.get("fit", "unknown")))]
    sections = (
        asked_section(results, experiments, question),
        _found(found),
        _tried(found),
        _diagnostics(found, commands, str(results.payload["why_not_flat"])),
        provenance_section(results, [*facts, *made_facts(results.payload.get("provenance"))]),
        cited,
    )
    title = f"Prior sensitivity of a fit to {', '.join(results.run.experiments) or 'nothing but the priors'}"
    return Document("prior-sensitivity", title, _answer(found), bool(trusted), verdict, sections, bibtex)


def _checked(results: Results) -> tuple[PriorSensitivity, Mapping[str, str]]:
    """What `prior-sensitivity` wrote, as the object it comes from, and the command of every alternative."""
    p = results.payload
    with reading(results):
        cl, draws = finite(p["cl"]), int(finite(p["draws"]))
        if not 0.0 < cl < 1.0:
            raise ValueError(f"cl is {cl:g}, not between 0 and 1")
        entries = {str(n): entry for part in ("parameters", "identified") for n, entry in p[part].items()}
        before = {n: _ends(entry) for n, entry in entries.items()}
        priors = {str(n): PriorSpec.model_validate(entry["prior"]) for n, entry in p["parameters"].items()}
        units = {n: plain_unit(entry["unit"]) for n, entry in entries.items()}
        if not before or not p["alternatives"]:
            raise ValueError("there is no quantity, or no alternative")
        known = {n: ends for n, ends in before.items() if ends is not None}
        if len(known) != len(before):
            raise ValueError("an interval of the fit has no ends")
        alternatives = tuple(
            _reweighted(str(label), given, list(priors), list(before)) for label, given in p["alternatives"].items()
        )
        commands = {str(label): str(given["command"]) for label, given in p["alternatives"].items()}
        return PriorSensitivity(cl, draws, known, priors, units, alternatives), commands


def _ends(given: Mapping[str, Any]) -> Ends | None:
    if given["lower"] is None and given["upper"] is None:
        return None
    lower, upper = finite(given["lower"]), finite(given["upper"])
    if lower > upper:
        raise ValueError(f"an interval from {lower:g} to {upper:g}")
    return lower, upper


def _reweighted(label: str, given: Mapping[str, Any], coefficients: Sequence[str], names: Sequence[str]) -> Reweighted:
    priors = {str(n): PriorSpec.model_validate(prior) for n, prior in given["priors"].items()}
    for name in priors:
        if name not in coefficients:
            raise ValueError(f"{label}: no coefficient {name!r}")
    ends = {n: _ends(given["parameters" if n in coefficients else "identified"][n]) for n in names}
    intervals = {n: pair for n, pair in ends.items() if pair is not None}
    if intervals and len(intervals) != len(names):
        raise ValueError(f"{label}: some intervals have no ends")
    k = math.inf if given["pareto_k"] is None else finite(given["pareto_k"])
    reason = None if given["reason"] is None else str(given["reason"])
    if not isinstance(given["trusted"], bool) or given["trusted"] != (reason is None) or (given["trusted"] and not intervals):
        raise ValueError(f"{label}: trusted is {given['trusted']}, the reason against it {reason}")
    bound, effective = finite(given["largest_k"]), finite(given["effective_draws"])
    return Reweighted(Alternative(label, priors), intervals, k, bound, effective, reason)


def _distinct(found: PriorSensitivity) -> dict[str, tuple[str, ...]]:
    """Quantities that differ under some prior -> those that equal them under all."""
    rows = {n: np.array([found.before[n], *(a.intervals[n] for a in found.alternatives if a.intervals)]) for n in found.before}
    return distinct_quantities(rows, found.units)


def _moved(found: PriorSensitivity, a: Reweighted) -> dict[str, float]:
    """Quantities whose width changes, with the ratio of widths, farthest first."""
    ratios = {n: found.ratio(a, n) for n in _distinct(found)}
    moved = {n: r for n, r in ratios.items() if math.isfinite(r) and r > 0.0 and not 1.0 / MOVES < r < MOVES}
    return dict(sorted(moved.items(), key=lambda pair: -abs(math.log(pair[1]))))


def _answer(found: PriorSensitivity) -> tuple[str, ...]:
    """What stays under all trusted alternatives; then every alternative."""
    distinct, trusted = _distinct(found), [a for a in found.alternatives if a.trusted]
    lines = []
    if trusted:
        moving = {n for a in trusted for n in _moved(found, a)}
        still = [together(equal) for n, equal in distinct.items() if n not in moving]
        labels = ", ".join(a.alternative.label for a in trusted)
        within = f"{100 * (MOVES - 1):.0f} %"
        if still:
            lines.append(
                f"The data's: the widths of {', '.join(still)} stay within {within} under every alternative that can be trusted "
                f"({labels})."
            )
        else:
            lines.append(f"No interval keeps its width within {within} under every alternative that can be trusted ({labels}).")
    for a in found.alternatives:
        if not a.trusted:
            lines.append(f"{sentence(a.alternative.label)}: NOT to be trusted: {a.reason}.")
            continue
        told = [f"{together(distinct[n])} {_change(ratio)}" for n, ratio in _moved(found, a).items()]
        lines.append(f"{sentence(a.alternative.label)}: {'; '.join(told) or 'no interval moves'} (Pareto k = {a.k:.2f}).")
    return tuple(lines)


def _change(ratio: float) -> str:
    return f"{number(ratio)} times as wide" if ratio > 1.0 else f"{number(1.0 / ratio)} times as narrow"


def _found(found: PriorSensitivity) -> Section:
    distinct = _distinct(found)
    sentences = (
        f"Shortest intervals that hold {100 * found.cl:g} % of the posterior, under the priors of the fit and under others. "
        "Where the width follows the prior, the interval says what the prior says.",
    )
    points = tuple(
        f"{', '.join(equal[1:])}: the intervals of {n} under all priors." for n, equal in distinct.items() if len(equal) > 1
    )
    return Section("What came out", sentences, points, tuple(_table(found, n) for n in distinct), tuple(_pictures(found)))


def _table(found: PriorSensitivity, name: str) -> Table:
    after = [a.intervals.get(name) for a in found.alternatives]
    scale = common_scale([x for ends in (found.before[name], *after) if ends is not None for x in ends], found.units[name])
    rows = [("priors of the fit", scale.interval(*found.before[name]), "1", "-")]
    for a, ends in zip(found.alternatives, after, strict=True):
        shown = "-" if ends is None else scale.interval(*ends)
        rows.append((a.alternative.label, shown, fixed(found.ratio(a, name), 2), "yes" if a.trusted else "NO"))
    heads = ("priors", f"{100 * found.cl:g} % interval [{unit_text(scale.unit)}]", "width / width before [1]", "to be trusted")
    words = quantity_words(name)
    return table(sentence(words) if words == name else f"{sentence(words)}: {name}", heads, rows, (1, 2))


def _pictures(found: PriorSensitivity) -> list[Picture]:
    names = list(_distinct(found))
    most = max(1, sum(picture_height(k, len(found.alternatives)) <= PICTURE_HEIGHT_IN for k in range(1, len(names) + 1)))
    made = []
    for first in range(0, len(names), most):
        chosen = names[first : first + most]
        what = ", ".join(quantity_words(n) for n in chosen)
        alt = f"Intervals of {what}, a bar for each of {1 + len(found.alternatives)} priors; the numbers are in the tables."
        caption = f"{sentence(what)}: intervals under the priors of the fit and under others; dotted: not to be trusted."
        made.append(drawn(sensitivity_figure(_only(found, chosen)), alt, caption))
    return made


def _only(found: PriorSensitivity, names: Sequence[str]) -> PriorSensitivity:
    """The same of some of the quantities."""
    some = tuple(replace(a, intervals={n: e for n, e in a.intervals.items() if n in names}) for a in found.alternatives)
    return replace(found, before={n: found.before[n] for n in names}, alternatives=some)


def _tried(found: PriorSensitivity) -> Section:
    rows = []
    for a in found.alternatives:
        rows += [
            (a.alternative.label, n, str(found.priors[n]), str(p), unit_text(found.units[n]))
            for n, p in a.alternative.priors.items()
        ]
    heads = ("alternative", "coefficient", "prior of the fit [unit of its row]", "prior instead [unit of its row]", "unit")
    sentences = ("The other priors of the run are as in the fit.",)
    return Section("Priors that were tried", sentences, tables=(table("Priors that change", heads, rows),))


def _diagnostics(found: PriorSensitivity, commands: Mapping[str, str], why_not_flat: str) -> Section:
    rows = [
        (
            *(
                a.alternative.label,
                "infinite" if math.isinf(a.k) else fixed(a.k, 2),
                fixed(a.largest_k, 2),
                fixed(a.effective, 0),
            ),
            "yes" if a.trusted else "NO",
        )
        for a in found.alternatives
    ]
    heads = ("alternative", "Pareto k [1]", "largest k to be trusted [1]", "worth [draws of equal weight]", "to be trusted")
    failed = [a for a in found.alternatives if not a.trusted]
    told_of = "What weighting cannot do:" if failed else "The weights of every alternative can be trusted."
    points = [f"{a.alternative.label}: {a.reason}." for a in failed]
    texts = tuple(Text(f"A fit with these priors instead: {a.alternative.label}", commands[a.alternative.label]) for a in failed)
    note = "k: shape of the tail of the weights; above the bound a few draws carry most of the weight."
    tables = (table("Weights", heads, rows, (1, 2, 3), note),)
    return Section("Diagnostics", (told_of, why_not_flat), tuple(points), tables, texts=texts)
