"""The report of a validation: every experiment beside what was published."""

from __future__ import annotations

from typing import Any

from nmmfit.inference.validate import Validation
from nmmfit.results.report.asked import provenance_section
from nmmfit.results.report.document import Document, Picture, Section, Table, table
from nmmfit.results.report.pictures import stored
from nmmfit.results.report.references import FOUNDING, references_section
from nmmfit.results.validation import COMPARED, TARGETS, choices, comparisons, facts
from nmmfit.results.validation_folder import stems_of
from nmmfit.results.wording import typeset, unit_text
from nmmfit.results.written import Results, reading


def validation_document(results: Results) -> Document:
    """The report of a folder that `validate` wrote."""
    with reading(results):
        found = [Validation.from_json(given) for given in results.payload["experiments"].values()]
        # Everything that is shown is made here, where what is wrong with the file can still be said.
        written = [(facts(v), comparisons(v), choices(v)) for v in found]
        parts = [
            _section(v, *texts, tuple(_pictures(results, v, [x.name for x in found])))
            for v, texts in zip(found, written, strict=True)
        ]
    failed = [v.name for v in found if not v.converged]
    agreed = [c.agrees for v in found for c in v.comparisons]
    explained = [c.agrees is False and c.switched_agrees is True for v in found for c in v.comparisons].count(True)
    answer = [
        f"Experiments: {len(found)}. Published numbers beside ours: {len(agreed)}, of which {agreed.count(True)} agree, "
        f"{agreed.count(False)} differ and {agreed.count(None)} were not computed."
    ]
    if explained:
        answer.append(f"Of those that differ, {explained} agree once the choices made there are made here.")
    verdict = "Every fit converged." if not failed else f"NOT converged: {', '.join(failed)}."
    named = [(text, f"data of {v.name}") for v in found for text in v.references]
    named += [(c.published.source, f"published values beside {v.name}") for v in found for c in v.comparisons]
    cited, bibtex = references_section([*FOUNDING, *named])
    asked = Section(
        "What was asked",
        (
            f"Experiments: {', '.join(v.name for v in found) or 'none'}.",
            "Predictions are the Standard Model's at nominal nuisances; fits float every nuisance; limits are one at a time, "
            "at 2 GeV, for couplings equal for all flavours and with c_T = 0.",
            TARGETS,
        ),
        tables=(table("Choices of theory", ("choice", "value"), list(found[0].theory.items())),) if found else (),
    )
    checks = Section("Diagnostics", (verdict,))
    return Document(
        "validate",
        f"Validation of {', '.join(v.name for v in found) if len(found) <= 3 else f'{len(found)} experiments'}",
        tuple(answer),
        not failed,
        verdict,
        (asked, *parts, checks, provenance_section(results), cited),
        bibtex,
    )


def _section(v: Validation, found: Any, compared: Any, others: Any, pictures: tuple[Picture, ...]) -> Section:
    tables = [
        table(
            "What was found",
            ("quantity", "value [unit of its row]", "unit"),
            [(typeset(a), typeset(b), unit_text(c)) for a, b, c in found],
            (1,),
        )
    ]
    if compared:
        rows = [(a, unit_text(b), typeset(c), typeset(d), *rest) for a, b, c, d, *rest in compared]
        tables.append(table("Beside what was published", COMPARED, rows, (2, 3, 4)))
    if v.choices:
        tables.append(_choices(*others))
    points = [f"Built with {', '.join(f'{k} = {x}' for k, x in v.built_with.items())}."] if v.built_with else []
    return Section(v.name, (f"{v.title}. Status: {v.status}.",), tuple(points), tuple(tables), pictures)


def _choices(heads: list[str], rows: list[list[str]]) -> Table:
    written = [[*row[:2], *map(typeset, row[2:])] for row in rows]
    return table("What other options do", [_head(head) for head in heads], written, range(2, len(heads)))


def _head(head: str) -> str:
    """A heading with its unit, if it has one, in plain text."""
    name, bracket, unit = head.partition(" [")
    return f"{name} [{unit_text(unit.removesuffix(']'))}]" if bracket else head


def _pictures(results: Results, v: Validation, names: list[str]) -> list[Picture]:
    """Spectra of an experiment."""
    made = []
    for stem in stems_of(results.path, v.name, names):
        channel = stem.removeprefix(f"{v.name}_").replace("_", " ")
        shown = "data with errors, background, Standard Model, a moment at the limit, and residuals"
        alt = f"Spectrum of {v.name}, {channel}: {shown}."
        picture = stored(results.path, stem, alt, f"{v.name}, {channel}: data and predictions.")
        made += [picture] if picture is not None else []
    return made
