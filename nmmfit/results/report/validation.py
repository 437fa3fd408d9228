"""The report of a validation: every experiment beside what was published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from nmmfit.experiment import Published
from nmmfit.inference.goodness import Goodness
from nmmfit.inference.validate import Choice, Comparison, Validation
from nmmfit.results.report.asked import provenance_section
from nmmfit.results.report.document import Document, Picture, Section, Table, table
from nmmfit.results.report.folder import Results, reading
from nmmfit.results.report.pictures import stored
from nmmfit.results.report.references import FOUNDING, references_section
from nmmfit.results.validation import COMPARED, choices, comparisons, facts
from nmmfit.results.wording import typeset, unit_text


def _made(kind: type, given: Mapping[str, Any], **parts: Any) -> Any:
    """An object of a dataclass from the fields that a JSON object has of it."""
    return kind(**{f.name: parts.get(f.name, given[f.name]) for f in fields(kind) if f.name in given})


def _validation(given: Mapping[str, Any]) -> Validation:
    """What `Validation.to_json` wrote."""
    for key in ("references", "comparisons", "choices"):
        if not isinstance(given[key], list):
            raise TypeError(f"{key!r} is {type(given[key]).__name__}")
    goodness = given["goodness"]
    pairs = {name: None if given[name] is None else tuple(given[name]) for name in ("strength", "fitted_counts")}
    return _made(
        Validation,
        given,
        references=tuple(map(str, given["references"])),
        goodness=None if goodness is None else _made(Goodness, goodness),
        comparisons=tuple(_made(Comparison, c, published=_made(Published, c["published"])) for c in given["comparisons"]),
        choices=tuple(_made(Choice, c) for c in given["choices"]),
        **pairs,
    )


def validation_document(results: Results) -> Document:
    """The report of a folder that `validate` wrote."""
    with reading(results):
        found = [_validation(given) for given in results.payload["experiments"].values()]
        # Everything that is shown is made here, where what is wrong with the file can still be said.
        written = [(facts(v), comparisons(v), choices(v)) for v in found]
        parts = [
            _section(v, *texts, tuple(_pictures(results, v, [x.name for x in found])))
            for v, texts in zip(found, written, strict=True)
        ]
    failed = [v.name for v in found if not v.converged]
    agreed = [c.agrees for v in found for c in v.comparisons]
    answer = (
        f"Experiments: {len(found)}. Published numbers beside ours: {len(agreed)}, of which {agreed.count(True)} agree, "
        f"{agreed.count(False)} differ and {agreed.count(None)} were not computed.",
    )
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
            "A prediction agrees within 5 %, a fitted yield within half a published standard deviation, a limit within 25 %.",
        ),
        tables=(table("Choices of theory", ("choice", "value"), list(found[0].theory.items())),) if found else (),
    )
    checks = Section("Diagnostics", (verdict,))
    return Document(
        "validate",
        f"Validation of {', '.join(v.name for v in found) if len(found) <= 3 else f'{len(found)} experiments'}",
        answer,
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
    """Spectra of an experiment; a file belongs to the experiment with the longest name that it begins with."""
    made = []
    for stem in sorted({p.stem for p in results.path.iterdir() if p.suffix in (".png", ".svg")}):
        owner = max((n for n in names if stem.startswith(f"{n}_")), key=len, default=None)
        if owner == v.name:
            channel = stem.removeprefix(f"{v.name}_").replace("_", " ")
            shown = "data with errors, background, Standard Model, a moment at the limit, and residuals"
            alt = f"Spectrum of {v.name}, {channel}: {shown}."
            picture = stored(results.path, stem, alt, f"{v.name}, {channel}: data and predictions.")
            made += [picture] if picture is not None else []
    return made
