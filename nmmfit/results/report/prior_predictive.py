"""The report of what the priors predict for the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nmmfit.results.prior_predictive import (
    LEVELS,
    MEDIAN,
    RARE,
    PriorPrediction,
    prediction_words,
    prior_predictive_figure,
)
from nmmfit.results.report.asked import asked_section, made_facts, provenance_section
from nmmfit.results.report.document import Document, Picture, Section, Table, table
from nmmfit.results.report.pictures import drawn
from nmmfit.results.report.references import asked_of
from nmmfit.results.wording import fixed, number
from nmmfit.results.written import Results, finite, reading

MOST_ANSWERS = 6
"""Sentences at the top; the others stand below."""
IN_A_PICTURE = 3
"""Channels in one picture, so that it fits on paper."""
Found = Mapping[str, PriorPrediction]


def prior_predictive_document(results: Results) -> Document:
    """The report of a folder that `fit --prior-predictive` wrote."""
    found = _checked(results)
    experiments, cited, bibtex = asked_of(results.run, ())
    question = (
        f"{results.payload['draws']} draws of all parameters from their priors alone: do these priors allow the data, and how "
        "much else?"
    )
    lines = [f"{text[:1].upper()}{text[1:]}" for text in (prediction_words(name, p) for name, p in found.items())]
    more = lines[MOST_ANSWERS:]
    answer = (*lines[:MOST_ANSWERS], *([f"And {len(more)} more below."] if more else []))
    sections = (
        asked_section(results, experiments, question),
        Section("What came out", (_meaning(),), tuple(more), (_totals(found), _deviances(found)), _pictures(found)),
        _conventions(),
        _diagnostics(found),
        provenance_section(results, made_facts(results.payload.get("provenance"))),
        cited,
    )
    title = f"What the priors predict for {', '.join(results.run.experiments) or 'the data'}"
    return Document("fit --prior-predictive", title, answer, True, _verdict(found), sections, bibtex)


def _checked(results: Results) -> dict[str, PriorPrediction]:
    """What `fit --prior-predictive` wrote, as the objects it comes from."""
    p = results.payload
    with reading(results):
        levels = tuple(finite(x) for x in p["quantiles"])
        if levels != LEVELS:
            raise ValueError(f"quantiles at {', '.join(f'{x:g}' for x in levels)}, not at {', '.join(f'{x:g}' for x in LEVELS)}")
        if not p["channels"]:
            raise ValueError("there is no channel")
        return {str(name): _prediction(given) for name, given in p["channels"].items()}


def _prediction(given: Mapping[str, Any]) -> PriorPrediction:
    observed = np.array([finite(x) for x in given["observed"]])
    counts = np.array([[finite(x) for x in row] for row in given["counts"]])
    if not len(observed) or counts.shape != (len(LEVELS), len(observed)):
        raise ValueError(f"{len(observed)} bins, quantiles of shape {counts.shape}")
    draws, undefined = int(finite(given["draws"])), int(finite(given["undefined"]))
    if draws < 1 or undefined < 0:
        raise ValueError(f"{draws} draws, {undefined} left out")
    return PriorPrediction(
        observed=observed,
        counts=counts,
        total=_quantiles([finite(x) for x in given["total"]]),
        above=_fraction(given["above"]),
        deviance=_quantiles([_or_infinite(x) for x in given["deviance"]]),
        predicted=_quantiles([_or_infinite(x) for x in given["predicted"]]),
        p_value=_fraction(given["p_value"]),
        draws=draws,
        undefined=undefined,
    )


def _quantiles(values: list[float]) -> np.ndarray:
    if len(values) != len(LEVELS) or values != sorted(values):
        raise ValueError(f"{len(values)} quantiles, of {len(LEVELS)} that rise")
    return np.array(values)


def _or_infinite(given: object) -> float:
    """A deviance; JSON has no infinities, which stand there as null."""
    return np.inf if given is None else finite(given)


def _fraction(given: object) -> float:
    value = finite(given)
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{value:g} is no fraction")
    return value


def _verdict(found: Found) -> str:
    outside = [
        f"{name} ({'more' if p.above < RARE else 'fewer'} counts than predicted)"
        for name, p in found.items()
        if not RARE <= p.above <= 1.0 - RARE
    ]
    channels = f"{len(found)} channels" if len(found) > 1 else "the only channel"
    if outside:
        where = f"OUTSIDE of what the priors predict in {len(outside)} of {channels}: {', '.join(outside)}"
    else:
        where = f"within what the priors predict in {'all ' if len(found) > 1 else ''}{channels}"
    return f"No posterior was sampled. The data lie {where}."


def _meaning() -> str:
    return (
        "A prior that predicts more counts than were observed is wide, and no fault: it lets the data decide. It is too narrow "
        "where the data have more counts than it predicts."
    )


def _percent(level: float) -> str:
    return f"{100 * level:g} %"


def _totals(found: Found) -> Table:
    rows = [
        (name, number(float(np.sum(p.observed))), *(number(float(x)) for x in p.total), fixed(100.0 * p.above, 1))
        for name, p in found.items()
    ]
    heads = (
        *("channel", "observed [counts]", *(f"predicted, {_percent(x)} [counts]" for x in LEVELS)),
        "predictions above the data [%]",
    )
    return table("Totals of counts", heads, rows, range(1, len(heads)))


def _deviances(found: Found) -> Table:
    rows = [(name, str(len(p.observed)), *_of(p.deviance), *_of(p.predicted), fixed(p.p_value, 2)) for name, p in found.items()]
    middle, ends = _percent(LEVELS[MEDIAN]), f"{_percent(LEVELS[0])} to {_percent(LEVELS[-1])}"
    heads = (
        *("channel", "bins [1]", f"of the data, {middle} [1]", f"of the data, {ends} [1]"),
        *(f"of predicted counts, {middle} [1]", f"of predicted counts, {ends} [1]", "p [1]"),
    )
    return table("Deviances from the predictions", heads, rows, range(1, len(heads)))


def _of(quantiles: np.ndarray) -> tuple[str, str]:
    low, middle, high = ("infinite" if np.isinf(x) else number(float(x)) for x in quantiles[[0, MEDIAN, -1]])
    return middle, f"{low} to {high}"


def _pictures(found: Found) -> tuple[Picture, ...]:
    names, made = list(found), []
    for first in range(0, len(names), IN_A_PICTURE):
        chosen = {name: found[name] for name in names[first : first + IN_A_PICTURE]}
        what = ", ".join(chosen)
        alt = f"Counts that the priors predict in every bin of {what}, and the data; deviances of both; totals are in the tables."
        caption = f"{what}: predictions of the priors bin by bin with the data (left), deviances of both (right)."
        made.append(drawn(prior_predictive_figure(chosen), alt, caption))
    return tuple(made)


def _conventions() -> Section:
    points = (
        "Predictions: counts drawn from the distribution of the data at draws of all parameters from their priors, constraints "
        "of experiments included. Rates are quadratic in most couplings: quantiles are given, for means follow the largest ones.",
        "Deviance: twice the log likelihood of counts that are just what is expected, less twice that of the counts at what a "
        "draw expects; infinite where it holds them to be impossible.",
        "p: fraction of draws whose own counts have a deviance at least as large as that of the data.",
    )
    return Section("Conventions", ("What is predicted, and what it is compared with.",), points)


def _diagnostics(found: Found) -> Section:
    rows = [(name, str(p.draws), str(p.undefined)) for name, p in found.items()]
    undefined = any(p.undefined for p in found.values())
    told = "Draws that predict no finite number of counts are left out." if undefined else "Every draw predicts finite counts."
    return Section("Diagnostics", (told,), tables=(table("Draws", ("channel", "draws [1]", "left out [1]"), rows, (1, 2)),))
