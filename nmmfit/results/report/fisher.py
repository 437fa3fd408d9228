"""The report of directions in coefficient space, and of which experiment constrains which."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nmmfit.inference.directions import DISTANCES, Direction, listed
from nmmfit.inference.fisher import Fisher, Sensitivity
from nmmfit.inference.information import SHARED
from nmmfit.results.fisher import LEAST_SHARE, SHOWN, along, direction_words, fisher_figure
from nmmfit.results.report.asked import asked_section, made_facts, provenance_section
from nmmfit.results.report.document import Document, Picture, Section, Table, table
from nmmfit.results.report.pictures import drawn
from nmmfit.results.report.references import asked_of
from nmmfit.results.wording import common_scale, fixed, measured, number, typeset, unit_text
from nmmfit.results.written import Results, finite, finite_or_none, known_or_nan, plain_unit, reading

MOST_ANSWERS = 6
"""Directions that the answer puts into words, of those with information and of those without; the rest stands in the tables."""
MOST_NAMES = 8
"""Coefficients that the answer names."""
NAMED_SHARE = 0.1
"""Share from which on the answer names an experiment; the one with the largest is named always."""
IN_A_TABLE = 8
"""Coefficients of one table, so that it fits on paper."""
IN_A_PICTURE = 6
"""Coefficients of one picture, so that it can be read on paper."""
ROUNDING = 1e-6
"""How far squares of components, and shares, may be from adding up to 1."""


def fisher_document(results: Results) -> Document:
    """The report of a folder that `fisher` wrote."""
    found = _checked(results)
    experiments, cited, bibtex = asked_of(results.run)
    names = ", ".join(e for e in found.experiments if e != SHARED) or "the constraints alone"
    question = (
        "Which directions among the coefficients do the data constrain, how well, which experiment constrains which, and "
        f"to which are they blind? The expected information is taken at: {found.where}."
    )
    verdict = "Every fit and the region that is averaged over converged."
    if found.problems:
        verdict = f"NOT converged: {', '.join(found.problems)}."
    sections = (
        asked_section(results, experiments, question),
        _found(found),
        _without_information(found),
        _diagnostics(found),
        provenance_section(results, made_facts(results.payload.get("provenance"))),
        cited,
    )
    title = f"Directions that are constrained by {names}"
    return Document("fisher", title, _answer(found), found.converged, verdict, sections, bibtex)


def _checked(results: Results) -> Fisher:
    """What `fisher` wrote, as the object it comes from; the matrices and the point, which are not shown, are left out."""
    p = results.payload
    with reading(results):
        sensitivities = {str(n): _sensitivity(entry) for n, entry in p["parameters"].items()}
        if not sensitivities:
            raise ValueError("there is no coefficient")
        experiments = tuple(map(str, p["experiments"]))
        directions = tuple(_direction(k, entry, sensitivities, experiments) for k, entry in enumerate(p["directions"], 1))
        if len(directions) != len(sensitivities):
            raise ValueError(f"{len(directions)} directions among {len(sensitivities)} coefficients")
        problems = tuple(map(str, p["problems"]))
        if p["converged"] == bool(problems):
            raise ValueError(f"converged is {p['converged']} with {len(problems)} problems")
    return Fisher(
        names=tuple(sensitivities),
        units={n: s.unit for n, s in sensitivities.items()},
        widths={n: s.width for n, s in sensitivities.items()},
        experiments=experiments,
        point={},
        where=p["where"],
        observed_where=p["observed_where"],
        points=p["points"],
        expected=np.zeros((0, 0)),
        observed=np.zeros((0, 0)),
        directions=directions,
        sensitivities=sensitivities,
        problems=problems,
    )


def _sensitivity(entry: Mapping[str, Any]) -> Sensitivity:
    width = finite(entry["prior_width"])
    if width <= 0.0:
        raise ValueError(f"prior_width {width:g}")
    kinds = ("expected", "observed", "expected_profiled", "observed_profiled")
    return Sensitivity(plain_unit(entry["unit"]), width, *(finite_or_none(entry[kind]) for kind in kinds))


def _direction(k: int, entry: Mapping[str, Any], names: Iterable[str], experiments: Sequence[str]) -> Direction:
    composition = {n: finite(entry["composition"][n]) for n in names}
    information, blind = finite(entry["information"]), entry["blind"]
    shares = {str(e): finite(x) for e, x in entry["shares"].items()}
    if not isinstance(blind, bool):
        raise TypeError(f"blind {blind!r}")
    if abs(sum(x * x for x in composition.values()) - 1.0) > ROUNDING:
        raise ValueError(f"squares of the components of direction {k} do not add up to 1")
    if information < 0.0 or (blind and information > 0.0):
        raise ValueError(f"direction {k} has information {information:g}" + (" and is blind" if blind else ""))
    if set(shares) - set(experiments):
        raise ValueError(f"direction {k} has shares of what is no experiment of this run")
    if (abs(sum(shares.values()) - 1.0) > ROUNDING) if information > 0.0 else shares:
        raise ValueError(f"shares of direction {k} do not add up to {1 if information > 0.0 else 0}")
    changes: tuple[float, ...] = ()
    if information == 0.0:
        # A likelihood that is not finite is stored as no number.
        walked = [finite_or_none(entry["delta_chi2_along"][f"{d:g}"]) for d in DISTANCES]
        changes = tuple(math.inf if x is None else x for x in walked)
    observed = known_or_nan(entry["observed_information"])
    return Direction(composition, information, observed, shares, blind, changes, str(entry["cause"] or ""))


def _ranked(d: Direction, least: float) -> list[tuple[str, float]]:
    """Experiments with at least some share in a direction, the largest first; that one always."""
    ranked = sorted(d.shares.items(), key=lambda item: -item[1])
    return [item for k, item in enumerate(ranked) if k == 0 or item[1] >= least]


def _percent(share: float) -> str:
    return f"{fixed(100.0 * share, 0)}\N{NO-BREAK SPACE}%"


def _by(d: Direction) -> str:
    """Who constrains a direction, in words."""
    chief = _ranked(d, NAMED_SHARE)
    rest = 1.0 - sum(x for _, x in chief)
    said = [f"{name} {_percent(x)}" for name, x in chief] + ([f"all else {_percent(rest)}"] if rest >= LEAST_SHARE else [])
    return ", ".join(said)


def _verb(count: int, more: str, one: str = "is", many: str = "are") -> str:
    return f"{count or 'none'} {many if count > 1 else one} {more}"


def _answer(found: Fisher) -> tuple[str, ...]:
    """How many directions are constrained, by whom each, and which are blind and why."""
    places = list(enumerate(found.directions, 1))
    seen = [(k, d, d.sd) for k, d in places if d.sd is not None]
    weak = sum(1 for _, _, sd in seen if sd >= 1.0)
    hidden = sum(1 for _, d in places if d.sd is None and not d.blind)
    counted = [_verb(len(seen) - weak, "constrained better than by the prior")]
    counted += [_verb(weak, "constrained less well than by the prior")] if weak else []
    counted += [_verb(hidden, "no information here, though not blind", "has", "have")] if hidden else []
    counted += [_verb(len(found.blind), "blind")]
    names = listed(found.names) if len(found.names) <= MOST_NAMES else f"{len(found.names)} coefficients"
    lines = [f"Of {len(places)} direction{'s' if len(places) > 1 else ''} among {names}, {listed(counted)}."]
    told_of = [
        f"Direction {k} ({direction_words(d)}): expected error {typeset(number(sd))} prior widths; its information comes from "
        f"{_by(d)}."
        for k, d, sd in seen
    ]
    reasons = [
        f"{'Blind' if d.blind else 'No information here'}: direction {k}, {_step(found, d)}. Why: {d.cause or 'not derived'}."
        for k, d in places
        if d.sd is None
    ]
    for group in (told_of, reasons):
        more = len(group) - MOST_ANSWERS
        lines += group[:MOST_ANSWERS] + ([f"And {more} more in the tables."] if more > 0 else [])
    return tuple(lines)


def _step(found: Fisher, d: Direction) -> str:
    """A step along a direction in the units of its coefficients."""
    return ", ".join(f"{n} = {measured(x, found.units[n])}" for n, x in along(found, d).items())


def _found(found: Fisher) -> Section:
    sentences = (
        "Coefficients are counted in prior widths, nuisances and theory inputs are profiled out. Directions are the "
        "eigenvectors of the expected information, from best to worst constrained; the expected error along one is 1 / sqrt of "
        "its eigenvalue, the prior itself left out. An error above 1 means that the prior knows more than the data.",
        f"Share: what an experiment brings of the information along a direction, its own nuisances included. {SHARED}: priors of "
        "nuisances that experiments share, and of theory inputs.",
        f"The observed information is the curvature with the data as they are, taken at: {found.observed_where}. At a coupling "
        "of 0 the likelihood is quartic and has none; limits are what to quote.",
    )
    tables = (_directions(found), *_components(found), _experiments(found), _sensitivities(found))
    return Section("What came out", sentences, (), tables, tuple(_pictures(found)))


def _directions(found: Fisher) -> Table:
    rows = []
    for k, d in enumerate(found.directions, 1):
        shares = ", ".join(f"{name} {_percent(x)}" for name, x in _ranked(d, LEAST_SHARE) if x > 0.0)
        by = shares or ("nothing: blind" if d.blind else "nothing here")
        rows.append((f"{k}: {direction_words(d)}", *(typeset(number(sd)) for sd in (d.sd, d.observed_sd)), by))
    heads = ("direction", "expected error [prior widths]", "observed error [prior widths]", "constrained by (shares)")
    note = (
        f"Components below 0.05 are left out here, shares below {_percent(LEAST_SHARE)} too. -: no information, or no "
        "curvature to speak of."
    )
    return table("Directions from best to worst constrained", heads, rows, (1, 2), note)


def _components(found: Fisher) -> list[Table]:
    made = []
    for first in range(0, len(found.names), IN_A_TABLE):
        names = found.names[first : first + IN_A_TABLE]
        rows = [(str(k), *(fixed(d.composition[n], 3) for n in names)) for k, d in enumerate(found.directions, 1)]
        part = f", part {1 + first // IN_A_TABLE}" if len(found.names) > IN_A_TABLE else ""
        heads = ("direction", *(f"{n} [prior widths]" for n in names))
        made.append(table(f"Components of the directions{part}", heads, rows, range(1, len(heads))))
    return made


def _experiments(found: Fisher) -> Table:
    """What every experiment constrains: directions in which it has the largest share, and all in which it shows."""
    rows = []
    for name in found.experiments:
        places = [(k, d) for k, d in enumerate(found.directions, 1) if d.shares]
        leads = [str(k) for k, d in places if max(d.shares, key=lambda e: d.shares[e]) == name]
        shows = [f"{k}: {_percent(d.shares[name])}" for k, d in places if d.shares.get(name, 0.0) >= LEAST_SHARE]
        rows.append((name, ", ".join(leads) or "none", ", ".join(shows) or f"none of {_percent(LEAST_SHARE)} or more"))
    return table("Which experiment constrains which direction", ("experiment", "has the largest share in", "shares"), rows)


def _sensitivities(found: Fisher) -> Table:
    rows = []
    for name, s in found.sensitivities.items():
        scale = common_scale([s.width], s.unit)
        values = (s.width, s.expected, s.observed, s.expected_profiled, s.observed_profiled)
        cells = (typeset(number(None if v is None else v / scale.factor)) for v in values)
        rows.append((name, unit_text(scale.unit), *cells))
    kinds = ("prior width", "expected, others held", "observed, others held", "expected, profiled", "observed, profiled")
    heads = ("coefficient", "unit", *(f"{kind} [unit of its row]" for kind in kinds))
    note = (
        "Held: the other coefficients stay where they are. Profiled: they are free and their priors left out. -: no information, "
        "no curvature to speak of, or a direction without information in which the coefficient takes part."
    )
    return table("Standard deviation of each coefficient by itself", heads, rows, range(2, len(heads)), note)


def _pictures(found: Fisher) -> list[Picture]:
    """Composition in a few coefficients each, errors and shares."""
    made = []
    for first in range(0, len(found.names), IN_A_PICTURE):
        names = found.names[first : first + IN_A_PICTURE]
        shown = min(SHOWN, len(found.directions))
        what = ", ".join(names)
        alt = (
            f"Heat map of the components of {shown} directions in {what}, beside it the expected and observed error of each, and "
            "the shares of the experiments as bars; the numbers are in the tables."
        )
        more = f" The {SHOWN} best constrained and blind ones." if len(found.directions) > SHOWN else ""
        caption = f"Components in {what}; errors; shares of the experiments in the expected information.{more}"
        made.append(drawn(fisher_figure(replace(found, names=names)), alt, caption))
    return made


def _without_information(found: Fisher) -> Section:
    without = [(k, d) for k, d in enumerate(found.directions, 1) if d.information == 0.0]
    title = "Blind directions"
    if not without:
        return Section(title, ("There is none: every direction has information.",))
    far = f"{DISTANCES[-1]:g}"
    meaning = (
        f"No information is not blindness: each direction without any was walked along, up to {far} prior widths of its largest "
        "component, nuisances held. It is blind if χ² stays as it is."
    )
    rows = [
        (
            f"{k}: {_step(found, d)}",
            "blind" if d.blind else "not blind",
            *(typeset(number(x)) for x in d.changes),
            d.cause or "not derived",
        )
        for k, d in without
    ]
    heads = (
        "direction, as a step",
        "verdict",
        *(f"largest change of χ² at {x:g} prior widths [1]" for x in DISTANCES),
        "why there is no information",
    )
    note = "-: the likelihood is not finite there."
    return Section(title, (meaning,), (), (table("Directions without information", heads, rows, range(2, 5), note),))


def _diagnostics(found: Fisher) -> Section:
    lacking = sum(1 for d in found.directions if d.information > 0.0 and d.observed_sd is None)
    rows = [
        ("steps that did not converge [1]", str(len(found.problems)), "0"),
        ("points that the expected information is a mean over [1]", str(found.points), "at least 1"),
        ("directions with expected, but without observed information [1]", str(lacking), "0; more where couplings are 0"),
    ]
    told_of = "What did not converge:" if found.problems else "Every fit and the region that is averaged over converged."
    made = table("Diagnostics", ("check", "found", "wanted"), rows, (1,))
    return Section("Diagnostics", (told_of,), found.problems, (made,))
