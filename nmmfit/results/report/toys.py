"""The report of toy experiments."""

from __future__ import annotations

from collections.abc import Sequence

from nmmfit.inference.toy_intervals import Coverage, FeldmanCousins, ToysAtValue
from nmmfit.inference.toys import ToysResult
from nmmfit.results.report.asked import asked_section, made_facts, provenance_section
from nmmfit.results.report.document import Document, Picture, Section, Table, table
from nmmfit.results.report.pictures import drawn
from nmmfit.results.report.references import asked_of
from nmmfit.results.report.stored_toys import stored_toys
from nmmfit.results.toys import belt_figure, coverage_figure, q_figure, samples
from nmmfit.results.wording import common_scale, fixed, measured, number, quantity_words, sentence, unit_text
from nmmfit.results.written import Results

METHOD = (
    ("physics/9711021", "intervals of Feldman and Cousins"),
    ("arXiv:1007.1727", "Asimov data, one-sided test statistic and CL_s"),
)
AGREES = 2.0
"""Errors of the toys within which a coverage agrees with the nominal one."""
Ends = tuple[float | None, float | None]


def toys_document(results: Results) -> Document:
    """The report of a folder that `toys` wrote."""
    found = stored_toys(results)
    experiments, cited, bibtex = asked_of(results.run, METHOD)
    level = f"{100 * found.cl:g} %"
    question = (
        f"Data were made at known values of {found.name} and fitted like the real ones: how often does the asymptotic {level} "
        "interval hold the true value, and which interval do the toys give?"
    )
    made, failed = _counts(found)
    problems = list(found.warnings)
    if found.asimov is not None and not found.asimov.converged:
        problems.append("expected interval of Asimov data")
    verdict = f"NOT converged: {'; '.join(problems)}." if problems else _fitted(made, failed)
    sections = (
        asked_section(results, experiments, question),
        Section("What came out", _points_made_at(results, found), _notes(found), _tables(found), _pictures(found)),
        _conventions(found),
        _diagnostics(found, problems),
        provenance_section(results, made_facts(results.payload.get("provenance"))),
        cited,
    )
    names = ", ".join(results.run.experiments) or "the priors alone"
    title = f"Toy experiments of {found.name} from {names}"
    return Document("toys", title, _answer(found), not problems, verdict, sections, bibtex)


def _fitted(made: int, failed: int) -> str:
    if not made:
        return "No toys were asked for; the fits behind the intervals converged."
    if not failed:
        return f"All {made} toys were fitted."
    return f"{failed} of {made} toys did not converge; results are of the others."


def _sets(found: ToysResult) -> list[tuple[str, int, int]]:
    """Toys by what they are for: words, how many were fitted, how many were not."""
    sets = [(f"coverage, {c.where}", c.toys, c.failed) for c in found.coverage]
    fc = found.feldman_cousins
    if fc is not None:
        sets.append((f"Feldman-Cousins, {len(fc.tested)} values", sum(t.toys for t in fc.tested), fc.failed))
    if found.cls is not None:
        # One set of toys at every value, and one without a signal, each of which is tested at all values.
        made = found.cls.toys * (1 + len(found.cls.values))
        sets.append((f"CL_s, {len(found.cls.values)} values", made - found.cls.failed, found.cls.failed))
    if found.p_values:
        sets.append(
            (f"p-values, {len(found.p_values)}", sum(t.toys for t in found.p_values), sum(t.failed for t in found.p_values))
        )
    return sets


def _counts(found: ToysResult) -> tuple[int, int]:
    """Toys that were made, and those that did not converge."""
    sets = _sets(found)
    return sum(good + bad for _, good, bad in sets), sum(bad for *_, bad in sets)


def _interval_words(ends: Ends, unit: str) -> str:
    """An interval in a sentence; one from exactly 0 is a bound on a size."""
    lower, upper = ends
    if lower is None and upper is None:
        return "open on both sides"
    if lower is None:
        return f"up to {measured(upper, unit)}, open below"
    if upper is None:
        return f"from {measured(lower, unit)} on, open above"
    return f"below {measured(upper, unit)}" if lower == 0.0 else f"between {measured(lower, unit)} and {measured(upper, unit)}"


def _answer(found: ToysResult) -> tuple[str, ...]:
    """The intervals, by method; the coverage; the p-values."""
    level, unit, name = f"{100 * found.cl:g} %", found.unit, sentence(quantity_words(found.name))
    asymptotic = _interval_words(found.asymptotic, unit)
    fc, cls = found.feldman_cousins, found.cls
    if fc is None:
        lines = [f"{name}: {asymptotic} at {level} confidence by the asymptotic profile likelihood."]
    else:
        by_toys = _interval_words((fc.lower, fc.upper), unit)
        lines = [f"{name}: {by_toys} at {level} confidence by Feldman and Cousins; asymptotically {asymptotic}."]
    if cls is not None:
        lines.append(
            f"CL_s: {f'below {measured(cls.upper, unit)}' if cls.upper is not None else 'no limit'} at {level} confidence."
        )
    if found.asimov is not None:
        told = [f"{_interval_words((end.lower, end.upper), unit)}" for end in found.asimov.expected.values()]
        lines += [f"Expected, from Asimov data: {text}." for text in told]
    lines += [_coverage_words(c) for c in found.coverage]
    lines += [f"{found.name} = {measured(t.value, unit)}: p-value {t.p_value:.2g} ± {t.p_error:.1g}." for t in found.p_values]
    return tuple(lines)


def _coverage_words(c: Coverage) -> str:
    level = f"{100 * c.cl:g} %"
    text = f"Toys made at {_place(c.where)}: the asymptotic {level} interval holds the true value in "
    text += f"{100 * c.coverage:.1f} ± {100 * c.error:.1f} % of them; "
    if abs(c.coverage - c.cl) <= AGREES * c.error:
        return f"{text}that agrees with {level}."
    return f"{text}it is {'wider' if c.coverage > c.cl else 'NARROWER'} than it should be."


def _place(where: str) -> str:
    return where if "=" in where else f"the {where}"


def _points_made_at(results: Results, found: ToysResult) -> tuple[str, ...]:
    """Where the Asimov data lie, as far as the run's own coefficients say."""
    if found.asimov is None:
        return ()
    units = {name: spec.unit for name, spec in results.run.parameters.items()}
    values = [f"{n} = {measured(v, units.get(n, '1'))}" for n, v in found.asimov.point.items() if n in units]
    where = ", ".join(values) or "the nominal point"
    return (f"Asimov data are the counts expected at {where}; all else is fitted to the data there.",)


def _notes(found: ToysResult) -> tuple[str, ...]:
    fc, cls = found.feldman_cousins, found.cls
    said = [
        f"Feldman-Cousins interval: {text}."
        for text in (None if fc is None else fc.reason, None if fc is None else fc.note)
        if text
    ]
    return (*said, *([f"CL_s: {cls.reason}."] if cls is not None and cls.reason else []))


def _tables(found: ToysResult) -> tuple[Table, ...]:
    tables = [_intervals(found)]
    if found.coverage:
        tables.append(_coverage(found))
    fc, cls = found.feldman_cousins, found.cls
    if fc is not None:
        tables.append(_tested(found, "Belt of Feldman and Cousins", fc.tested))
    if found.p_values:
        tables.append(_tested(found, "Tested values", found.p_values))
    if cls is not None:
        scale = common_scale(cls.values, found.unit)
        rows = [
            (scale.row([v])[0], *(number(x) for x in cells))
            for v, *cells in zip(cls.values, cls.cls, cls.cls_error, cls.p, cls.p_background, strict=True)
        ]
        heads = (f"{found.name} [{unit_text(scale.unit)}]", "CL_s [1]", "its error [1]", "p with the signal [1]", "p without [1]")
        tables.append(table("CL_s", heads, rows, range(5)))
    return tuple(tables)


def _intervals(found: ToysResult) -> Table:
    fc, cls = found.feldman_cousins, found.cls
    kinds: list[tuple[str, Ends, Ends]] = [("asymptotic profile likelihood", found.asymptotic, (None, None))]
    if fc is not None:
        kinds.append(("Feldman-Cousins", (fc.lower, fc.upper), (fc.lower_error, fc.upper_error)))
    if cls is not None:
        kinds.append(("CL_s", (0.0 if cls.upper is not None else None, cls.upper), (None, cls.upper_error)))
    if found.asimov is not None:
        kinds += [("expected, Asimov data", (e.lower, e.upper), (None, None)) for e in found.asimov.expected.values()]
    scale = common_scale([found.best, *(x for _, ends, _ in kinds for x in ends)], found.unit)
    rows: list[tuple[str, ...]] = [("best fit", scale.row([found.best])[0], "-", "-")]
    for words, ends, errors in kinds:
        shown = (
            number(None if e is None else e / scale.factor, 2) if x is not None else "-"
            for e, x in zip(errors, ends, strict=True)
        )
        rows.append((words, scale.interval(*ends), *shown))
    unit = unit_text(scale.unit)
    heads = ("interval", f"{found.name} [{unit}]", f"error of the lower end [{unit}]", f"error of the upper end [{unit}]")
    note = "Errors of the ends come from the finite number of toys; -: none."
    return table(f"Intervals at {100 * found.cl:g} % confidence", heads, rows, range(1, 4), note)


def _coverage(found: ToysResult) -> Table:
    scale = common_scale([c.truth for c in found.coverage], found.unit)
    rows = [
        (
            *(c.where, scale.row([c.truth])[0], fixed(100 * c.coverage, 1), fixed(100 * c.error, 1)),
            *(fixed(c.critical, 2), fixed(c.critical_error, 2), str(c.toys), str(c.failed)),
        )
        for c in found.coverage
    ]
    level = f"{100 * found.cl:g} %"
    heads = (
        *("toys made at", f"true value [{unit_text(scale.unit)}]", "coverage [%]", "its error [%]"),
        *(f"Δχ² that holds {level} [1]", "its error [1]", "toys [1]", "failed [1]"),
    )
    note = f"The asymptotic interval ends at Δχ² = {found.coverage[0].level:.3f}."
    return table(f"Coverage of the asymptotic {level} interval", heads, rows, range(1, 8), note)


def _tested(found: ToysResult, caption: str, tested: Sequence[ToysAtValue]) -> Table:
    scale = common_scale([x for t in tested for x in (t.value, *t.accepted)], found.unit)
    rows = [
        (
            *(scale.row([t.value])[0], fixed(t.q, 3), f"{fixed(t.critical, 2)} ± {fixed(t.critical_error, 2)}"),
            *(f"{t.p_value:.2g} ± {t.p_error:.1g}", scale.interval(*t.accepted), str(t.toys), str(t.failed)),
        )
        for t in tested
    ]
    unit = unit_text(scale.unit)
    heads = (
        *(f"{found.name} [{unit}]", "q of the data [1]", "q_c [1]", "p-value [1]", f"best fits accepted [{unit}]"),
        *("toys [1]", "failed [1]"),
    )
    return table(caption, heads, rows, range(7))


def _pictures(found: ToysResult) -> tuple[Picture, ...]:
    made = []
    level = f"{100 * found.cl:g} %"
    if samples(found):
        alt = f"Fractions of toys with q above a value, with that of chi-square, and q of the data: {', '.join(samples(found))}."
        made.append(drawn(q_figure(found), alt, "q of the toys beside chi-square with one degree of freedom."))
    fc = found.feldman_cousins
    if fc is not None:
        alt = f"Critical values of q and accepted best fits at {len(fc.tested)} values; the numbers are in the table."
        made.append(drawn(belt_figure(found), alt, f"Critical values with q of the data (left) and the {level} belt (right)."))
    if found.coverage:
        alt = "Coverage: " + ", ".join(f"{100 * c.coverage:.1f} % at {_place(c.where)}" for c in found.coverage) + "."
        made.append(drawn(coverage_figure(found), alt, f"Coverage of the asymptotic interval; dashed: {level}."))
    return tuple(made)


def _conventions(found: ToysResult) -> Section:
    fc: FeldmanCousins | None = found.feldman_cousins
    points = [f"Construction: {found.construction}.", "q: χ² of the best fit at the tested value, minus that of the best fit."]
    if fc is not None:
        points.append(
            f"q_c: what {100 * fc.cl:g} % of the toys made at a value do not exceed; values whose q stays below it are accepted."
        )
    if found.cls is not None:
        points.append(
            "CL_s: probability of q at least as large as in the data with the signal, over that without it; q is one-sided."
        )
    if fc is not None or found.p_values:
        points.append("p-value: fraction of toys with q at least as large as in the data, the data counted as one.")
    return Section("Conventions", ("What the toys are, and what is made of them.",), tuple(points))


def _diagnostics(found: ToysResult, problems: Sequence[str]) -> Section:
    rows = [(words, str(good + bad), str(bad)) for words, good, bad in _sets(found)]
    told_of = "What to know:" if problems else "At most one toy in a hundred did not converge."
    tables = (table("Toys", ("made for", "toys [1]", "of these NOT converged [1]"), rows, (1, 2)),) if rows else ()
    return Section("Diagnostics", (told_of if rows or problems else "There are no toys.",), tuple(problems), tables)
