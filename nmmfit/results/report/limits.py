"""The report of limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nmmfit.results.forest import forest_figure
from nmmfit.results.report.asked import asked_section, made_facts, provenance_section
from nmmfit.results.report.document import Document, Section, Table, table
from nmmfit.results.report.pictures import drawn
from nmmfit.results.report.references import SAMPLING, asked_of
from nmmfit.results.tables import LIMIT_KINDS, LIMIT_SECTIONS
from nmmfit.results.wording import common_scale, fixed, measured, quantity_label, quantity_words, sentence, unit_text
from nmmfit.results.written import Results, plain_unit, reading

MOST_ANSWERS = 8
SECTIONS = tuple(LIMIT_SECTIONS.items())


def limits_document(results: Results) -> Document:
    """The report of a folder that `limits` wrote."""
    limits = _checked(results)
    converged = results.payload["converged"]
    sampled = any(entry["marginalised"] for part, _ in SECTIONS for entry in limits[part].values())
    experiments, cited, bibtex = asked_of(results.run, SAMPLING if sampled else ())
    level = f"{100 * limits['cl']:g} %"
    names = ", ".join(results.run.experiments) or "the priors alone"
    question = f"Intervals at {level} confidence or credible level: one at a time, profiled and marginalised where sampled."
    return Document(
        "limits",
        f"Limits from {names}",
        _answer(limits, level),
        converged,
        "Every limit was found." if converged else "NOT converged: some of these limits cannot be trusted.",
        (
            asked_section(results, experiments, question),
            _found(limits, level),
            _presets(results, limits),
            _diagnostics(results),
            provenance_section(results, made_facts(results.payload.get("provenance"))),
            cited,
        ),
        bibtex,
    )


def _side(value: Any) -> float | None:
    return None if value is None else float(value)


def _checked(results: Results) -> dict[str, Any]:
    """What plots and tables take, every number a float or None. Raises: UserInputError."""
    found: dict[str, Any] = {}
    with reading(results):
        found["cl"] = float(results.payload["cl"])
        if not 0.0 < found["cl"] < 1.0:
            raise ValueError(f"cl is {found['cl']:g}, not between 0 and 1")
        for part, _ in SECTIONS:
            found[part] = {}
            for name, entry in (results.payload.get(part) or {}).items():
                made: dict[str, Any] = {"unit": plain_unit(entry.get("unit")), "contraction": _side(entry.get("contraction"))}
                for kind in LIMIT_KINDS:
                    made[kind] = _interval(entry.get(kind))
                found[part][name] = made
    return found


def _interval(given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if given is None:
        return None
    return {"lower": _side(given["lower"]), "upper": _side(given["upper"]), "reason": given.get("reason")}


def _answer(limits: Mapping[str, Any], level: str) -> tuple[str, ...]:
    """One sentence for each quantity: its profiled interval, or the first kind that there is."""
    lines = []
    for part, _ in SECTIONS:
        for name, entry in limits[part].items():
            kind = next((k for k in ("profiled", "marginalised", "one_at_a_time") if entry[k]), None)
            if kind is None:
                continue
            interval = _words(entry[kind], entry["unit"])
            lines.append(f"{sentence(quantity_words(name))}: {interval} at {level}, {LIMIT_KINDS[kind]}.")
        if lines:
            # Coefficients speak only where the data identify nothing by name.
            break
    more = len(lines) - MOST_ANSWERS
    return tuple(lines[:MOST_ANSWERS]) + ((f"And {more} more in the tables.",) if more > 0 else ())


def _words(interval: Mapping[str, Any], unit: str) -> str:
    lower, upper = interval["lower"], interval["upper"]
    if lower is None and upper is None:
        return f"no limit ({interval['reason']})" if interval["reason"] else "no limit"
    if lower is None or upper is None:
        end = f"below {measured(upper, unit)}" if lower is None else f"above {measured(lower, unit)}"
        return f"{end}, the other side open"
    return f"below {measured(upper, unit)}" if lower == 0.0 else f"between {measured(lower, unit)} and {measured(upper, unit)}"


def _found(limits: Mapping[str, Any], level: str) -> Section:
    tables, reasons, numbers = [], [], 0
    for part, title in SECTIONS:
        groups: dict[str, list[str]] = {}
        for name, entry in limits[part].items():
            groups.setdefault(entry["unit"], []).append(name)
        for unit, names in groups.items():
            caption = f"{title}, {level}" + (f", in {unit_text(unit)}" if len(groups) > 1 else "")
            tables.append(_table(caption, names, limits[part], unit, part == "parameters"))
            numbers += len(names)
        reasons += [
            f"{name}, {words}: {entry[kind]['reason']}"
            for name, entry in limits[part].items()
            for kind, words in LIMIT_KINDS.items()
            if entry[kind] and entry[kind]["reason"]
        ]
    pictures = []
    if numbers:
        kinds = ", ".join(LIMIT_KINDS.values())
        labels = {name: quantity_label(name) for part, _ in SECTIONS for name in limits[part]}
        alt = f"Forest plot of the limits on {numbers} quantities, {kinds}; the numbers are in the tables."
        pictures.append(drawn(forest_figure(limits, labels), alt, "Limits on absolute values; an arrow marks an open side."))
    meaning = "One at a time: the other coefficients are 0. Profiled and marginalised: all are free."
    return Section("What came out", (meaning,), tuple(reasons), tuple(tables), tuple(pictures))


def _table(caption: str, names: list[str], entries: Mapping[str, Any], unit: str, contraction: bool) -> Table:
    sides = [e for n in names for k in LIMIT_KINDS if (f := entries[n][k]) for e in (f["lower"], f["upper"])]
    scale = common_scale(sides, unit)
    heads = ["name", *(f"{kind} [{unit_text(scale.unit)}]" for kind in LIMIT_KINDS.values())]
    rows = []
    for name in names:
        found = [entries[name][kind] for kind in LIMIT_KINDS]
        row = [name, *("-" if f is None else scale.interval(f["lower"], f["upper"]) for f in found)]
        rows.append([*row, *([fixed(entries[name]["contraction"], 2)] if contraction else [])])
    return table(caption, [*heads, *(["contraction [1]"] if contraction else [])], rows, range(1, len(heads) + contraction))


def _presets(results: Results, limits: Mapping[str, Any]) -> Section:
    """One-at-a-time limits with other determinations of theory inputs, and how limits are meant."""
    tables: list[Table] = []
    with reading(results):
        conventions = [f"{kind.replace('_', ' ')}: {text}" for kind, text in (results.payload.get("conventions") or {}).items()]
        presets = results.payload.get("presets") or {}
        heads = ["coefficient", "unit"]
        for name, found in presets.items():
            given = ", ".join(
                f"{k.removeprefix('theory.')} = {v:g}" + (f" ± {s:g}" if s else "") for k, (v, s) in found["inputs"].items()
            )
            heads.append(f"{name.replace('_', ' ')}: {given} [unit of its row]")
        rows = []
        for name, entry in limits["parameters"].items():
            intervals = [_interval(found["one_at_a_time"].get(name)) for found in presets.values()]
            scale = common_scale([f[s] for f in intervals if f for s in ("lower", "upper")], entry["unit"])
            cells = ("-" if f is None else scale.interval(f["lower"], f["upper"]) for f in intervals)
            rows.append([name, unit_text(scale.unit), *cells])
    if presets and rows:
        tables.append(table("One at a time, by determination of the theory inputs", heads, rows, range(2, len(heads))))
    meaning = "What the kinds of limits mean, and how they change with what is known about theory inputs."
    return Section("Conventions", (meaning,), tuple(conventions), tuple(tables))


def _diagnostics(results: Results) -> Section:
    if results.payload["converged"]:
        return Section(
            "Diagnostics", ("Every minimum behind these limits converged, and so did the posterior where one was sampled.",)
        )
    return Section("Diagnostics", ("What did not converge:",), tuple(map(str, results.payload["problems"])))
