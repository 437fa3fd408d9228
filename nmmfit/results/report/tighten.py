"""The report of limits that tighten as experiments are added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from nmmfit.inference.intervals import Interval, Limits, LimitsResult
from nmmfit.inference.tighten import KINDS, Bounds, Tightening
from nmmfit.results.report.asked import asked_section, made_facts, provenance_section
from nmmfit.results.report.courses import MATTERS, Course, courses
from nmmfit.results.report.document import Document, Picture, Section, Table, table
from nmmfit.results.report.pictures import drawn
from nmmfit.results.report.references import asked_of
from nmmfit.results.tables import LIMIT_KINDS
from nmmfit.results.tighten import distinct_bounds, interval_of, panels_of, picture_height, tighten_figure
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
from nmmfit.results.written import Results, finite, finite_or_none, plain_unit, reading

MOST_ANSWERS = 6
"""Quantities that the answer puts into words; the rest stands in the tables."""
PICTURE_HEIGHT_IN = 8.5
"""Height of a picture, so that it fits on paper."""


def tighten_document(results: Results) -> Document:
    """The report of a folder that `tighten` wrote."""
    found, failed, missing = _checked(results)
    experiments, cited, bibtex = asked_of(results.run)
    level = f"{100 * found.cl:g} %"
    question = (
        f"Limits at {level} confidence level for nested sets of experiments: by how much does each stage tighten them, and "
        "which stage matters most for which quantity?"
    )
    verdict = "Every limit of every stage was found." if not failed else f"NOT converged: {len(failed)} of the limits."
    if results.payload.get("interrupted"):
        verdict += f" Interrupted; not computed: {', '.join(missing) or 'later stages'}."
    sections = (
        asked_section(results, experiments, question),
        _found(found),
        _conventions(results),
        _diagnostics(found, failed),
        provenance_section(results, made_facts(results.payload.get("provenance"))),
        cited,
    )
    title = f"Limits as experiments are added: {', '.join(s.label for s in found.stages)}"
    return Document("tighten", title, _answer(found), not failed, verdict, sections, bibtex)


def _checked(results: Results) -> tuple[Tightening, tuple[str, ...], tuple[str, ...]]:
    """What `tighten` wrote as the object it comes from, what failed, and stages that were not computed."""
    p = results.payload
    with reading(results):
        cl = finite(p["cl"])
        if not 0.0 < cl < 1.0:
            raise ValueError(f"cl is {cl:g}, not between 0 and 1")
        conventions = {kind: str(p["conventions"][kind]) for kind in KINDS}
        stages = tuple(_bounds(entry, cl, conventions) for entry in p["stages"])
        if not stages:
            raise ValueError("there is no stage")
        found = Tightening(stages)
        before: tuple[str, ...] = ()
        for k, stage in enumerate(stages, 1):
            if set(before) - set(stage.experiments):
                raise ValueError(f"stage {k} lacks experiments of the stage before it")
            before = stage.experiments
        for name in (*found.identified, *found.parameters):
            if any(limits.unit != found.unit(name) for s in stages if (limits := s.of(name)) is not None):
                raise ValueError(f"{name} has several units")
        failed, missing = tuple(map(str, p["failed"])), tuple(map(str, p.get("missing") or ()))
        if set(failed) != set(found.failed) or p["converged"] == bool(failed):
            raise ValueError(
                f"converged is {p['converged']} with {len(found.failed)} limits that did not, {len(failed)} of them named"
            )
        if bool(p.get("interrupted")) < bool(missing):
            raise ValueError("stages are missing, though nothing was interrupted")
    return found, failed, missing


def _bounds(entry: Mapping[str, Any], cl: float, conventions: dict[str, str]) -> Bounds:
    parts = {part: {str(n): _limits(given) for n, given in entry[part].items()} for part in ("identified", "parameters")}
    failed = tuple(
        f"{n} ({kind})"
        for part in parts.values()
        for n, limits in part.items()
        for kind, found in (("one_at_a_time", limits.one_at_a_time), ("profiled", limits.profiled))
        if found is not None and not found.converged
    )
    result = LimitsResult(cl, float("nan"), parts["parameters"], parts["identified"], {}, {}, conventions, failed)
    return Bounds(str(entry["label"]), tuple(map(str, entry["experiments"])), tuple(map(str, entry["added"])), result)


def _limits(given: Mapping[str, Any]) -> Limits:
    return Limits(plain_unit(given["unit"]), _interval(given["one_at_a_time"]), _interval(given["profiled"]))


def _interval(given: Mapping[str, Any] | None) -> Interval | None:
    if given is None:
        return None
    lower, upper, converged = finite_or_none(given["lower"]), finite_or_none(given["upper"]), given["converged"]
    if lower is not None and upper is not None and lower > upper:
        raise ValueError(f"an interval from {lower:g} to {upper:g}")
    if not isinstance(converged, bool):
        raise TypeError(f"converged {converged!r}")
    return Interval(lower, upper, None if given["reason"] is None else str(given["reason"]), converged=converged)


def _stage(found: Tightening, k: int) -> str:
    return f"stage {k + 1} ({found.stages[k].label})"


def _answer(found: Tightening) -> tuple[str, ...]:
    """Which stage matters most for what; then for every quantity by how much its bound shrinks."""
    profiled = courses(found, "profiled")
    if not profiled:
        return ("No stage has limits on anything.",)
    bounded = [c for c in profiled if c.last is not None]
    told_of = bounded or [c for c in courses(found, "one_at_a_time") if c.last is not None]
    lines = []
    chief = {k: ", ".join(together(c.equal) for c in told_of if c.matters == k) for k in range(len(found.stages))}
    said = [f"{_stage(found, k)} for {what}" for k, what in chief.items() if what]
    if said:
        lines.append(f"What matters most: {'; '.join(said)}.")
    elif told_of and len(found.stages) > 1:
        lines.append(f"No stage tightens any bound by {100 * (MATTERS - 1):.0f} % or more.")
    lines += [_told(found, c) for c in told_of[:MOST_ANSWERS]]
    more = len(told_of) - MOST_ANSWERS
    lines += [f"And {more} more in the tables."] if more > 0 else []
    lines += _open([c for c in profiled if c.last is None])
    return tuple(lines)


def _told(found: Tightening, c: Course) -> str:
    """The last bound, and how it came about."""
    end = _stage(found, len(found.stages) - 1)
    text = f"{sentence(together(c.equal))}: below {measured(c.last, c.unit)} in size in {end}, {LIMIT_KINDS[c.kind]}."
    if c.first is None or len(found.stages) == 1:
        return text
    if c.first > 0:
        text += f" {sentence(_stage(found, c.first))} is the first that bounds it."
    if c.first == len(found.stages) - 1:
        return text
    start, total = _stage(found, c.first), c.total
    if total is None or 1.0 / MATTERS < total < MATTERS:
        text += f" That is within {100 * (MATTERS - 1):.0f} % of the bound of {start}."
    else:
        change = f"{number(total)} times tighter" if total > 1.0 else f"{number(1.0 / total)} times wider"
        text += f" That is {change} than {measured(c.sizes[c.first], c.unit)} of {start}."
    if c.most is not None and len(found.stages) - c.first > 2:
        text += f" {sentence(_stage(found, c.most[0]))} tightens it most, by a factor of {number(c.most[1])}."
    return text


def _open(profiled: Sequence[Course]) -> list[str]:
    """What is not bounded in the last stage when everything else is free."""
    if not profiled:
        return []
    names = ", ".join(together(c.equal) for c in profiled)
    which = "No stage bounds" if all(c.first is None for c in profiled) else "The last stage does not bound"
    return [f"{which}, when everything else is profiled: {names}. The reasons are below."]


def _found(found: Tightening) -> Section:
    sentences = (
        "One at a time: the other coefficients are 0. Profiled: all are free. The bound on the size is the farther end of an "
        "interval; before / after: that of the stage before over that of this one, above 1 where the stage tightens it.",
    )
    points = [
        f"{', '.join(c.equal[1:])}: the bounds of {c.name} (within 0.2 %) in every stage that knows both."
        for c in courses(found, "profiled")
        if len(c.equal) > 1
    ]
    rows = [(f"{k}: {s.label}", ", ".join(s.added)) for k, s in enumerate(found.stages, 1)]
    tables = [table("Stages", ("stage", "experiments added"), rows)]
    if found.identified or found.parameters:
        tables.append(_summary(found))
    alone = {c.name: c for c in courses(found, "one_at_a_time")}
    tables += [_table(found, alone[c.name], c) for c in courses(found, "profiled")]
    return Section("What came out", sentences, (*points, *_reasons(found)), tuple(tables), tuple(_pictures(found)))


def _summary(found: Tightening) -> Table:
    rows = []
    for pair in zip(courses(found, "profiled"), courses(found, "one_at_a_time"), strict=True):
        for c in pair:
            start = None if c.first is None else c.sizes[c.first]
            matters = "-" if c.matters is None else str(c.matters + 1)
            why = "first bound" if c.first else "-" if c.most is None else number(c.most[1])
            words = together(c.equal)
            ends = (measured(start, c.unit), measured(c.last, c.unit))
            rows.append((f"{sentence(words)}, {LIMIT_KINDS[c.kind]}", *ends, number(c.total), matters, why))
    heads = (
        "quantity",
        "first bound on its size [unit beside it]",
        "last bound on its size [unit beside it]",
        "first / last [1]",
        "stage that matters most [number]",
        "before / after that stage [1]",
    )
    note = f"-: open, or no stage tightens by {100 * (MATTERS - 1):.0f} % or more."
    return table("Which stage matters most", heads, rows, range(1, 6), note)


def _table(found: Tightening, alone: Course, profiled: Course) -> Table:
    name = profiled.name
    scale = common_scale([*alone.sizes, *profiled.sizes], profiled.unit)
    unit = unit_text(scale.unit)
    rows = []
    for k, stage in enumerate(found.stages):
        cells = []
        for c in (alone, profiled):
            interval = interval_of(found, k, name, c.kind)
            text = "-" if interval is None else scale.interval(interval.lower, interval.upper)
            cells += [text if interval is None or interval.converged else f"{text}, NOT converged", fixed(c.factor(k), 2)]
        rows.append((f"{k + 1}: {stage.label}", *cells))
    heads = ["stage"]
    for c in (alone, profiled):
        heads += [f"{LIMIT_KINDS[c.kind]} [{unit}]", f"{LIMIT_KINDS[c.kind]}, before / after [1]"]
    words = quantity_words(name)
    caption = sentence(words) if words == name else f"{sentence(words)}: {name}"
    return table(caption, heads, rows, range(1, 5), "-: not seen, or no bound to compare with.")


def _reasons(found: Tightening) -> list[str]:
    """Why sides are open, once for all stages in which the reason is the same."""
    stages: dict[tuple[str, str, str], list[int]] = {}
    for c in (*courses(found, "one_at_a_time"), *courses(found, "profiled")):
        for k in range(len(found.stages)):
            interval = interval_of(found, k, c.name, c.kind)
            if interval is not None and interval.reason:
                stages.setdefault((c.name, LIMIT_KINDS[c.kind], interval.reason), []).append(k + 1)
    return [
        f"{name}, {kind}, stage{'s' if len(places) > 1 else ''} {', '.join(map(str, places))}: {reason}"
        for (name, kind, reason), places in stages.items()
    ]


def _pieces(found: Tightening) -> list[list[str]]:
    """Quantities of each picture, as many as fit on paper; those of one unit together."""
    count = len(found.stages)
    pieces: list[list[str]] = []
    rows = panels = 0
    for _, names in panels_of(found):
        fresh = True
        for name in names:
            if pieces and picture_height(count, rows + 1, panels + fresh) <= PICTURE_HEIGHT_IN:
                pieces[-1].append(name)
                rows, panels = rows + 1, panels + fresh
            else:
                pieces.append([name])
                rows = panels = 1
            fresh = False
    return pieces


def _pictures(found: Tightening) -> list[Picture]:
    equal = distinct_bounds(found)
    made = []
    for names in _pieces(found):
        every = [n for name in names for n in equal.get(name, (name,))]
        what = ", ".join(together(equal.get(name, (name,))) for name in names)
        alt = (
            f"Bars of the bounds on the size of {what} in {len(found.stages)} stages, a bar each; the numbers are in the tables."
        )
        caption = f"{sentence(what)}: bounds on the size, stage by stage; an arrow marks one that is open."
        made.append(drawn(tighten_figure(_only(found, every), {n: quantity_label(n) for n in every}), alt, caption))
    return made


def _only(found: Tightening, names: Sequence[str]) -> Tightening:
    """All stages with some of the quantities only."""

    def some(part: Mapping[str, Limits]) -> dict[str, Limits]:
        return {n: limits for n, limits in part.items() if n in names}

    stages = []
    for stage in found.stages:
        limits = replace(stage.limits, identified=some(stage.limits.identified), parameters=some(stage.limits.parameters))
        stages.append(replace(stage, limits=limits))
    return Tightening(tuple(stages))


def _conventions(results: Results) -> Section:
    given = results.payload["conventions"]
    points = tuple(f"{LIMIT_KINDS[kind]}: {given[kind]}" for kind in KINDS)
    return Section("Conventions", ("What the kinds of limits mean.",), points)


def _diagnostics(found: Tightening, failed: Sequence[str]) -> Section:
    rows = []
    for k, stage in enumerate(found.stages, 1):
        every = (*stage.limits.identified.values(), *stage.limits.parameters.values())
        count = sum(1 for limits in every for found_there in (limits.one_at_a_time, limits.profiled) if found_there is not None)
        rows.append((f"{k}: {stage.label}", str(len(stage.experiments)), str(count), str(len(stage.limits.failed))))
    heads = ("stage", "experiments [1]", "limits [1]", "of these NOT converged [1]")
    told_of = "Limits that did not converge:" if failed else "Every minimum behind these limits converged."
    return Section("Diagnostics", (told_of,), tuple(failed), (table("Limits of every stage", heads, rows, (1, 2, 3)),))
