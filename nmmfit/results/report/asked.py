"""What a run asked for, and where its results come from: sections that fits, limits and profiles share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nmmfit.config import RunConfig, TemplateSpec
from nmmfit.presets import CHOICES
from nmmfit.results.report.document import Section, Table, Text, table
from nmmfit.results.report.references import Told
from nmmfit.results.wording import direction_lines, unit_text
from nmmfit.results.written import KINDS, Results


def asked_section(results: Results, experiments: Sequence[Told], question: str) -> Section:
    """Data, parameters and theory of a run.

    Args:
        results: of a kind that has a run file.
        experiments: what the run's experiments say of themselves.
        question: what the verb was to find, one sentence.
    """
    config = results.run
    names = ", ".join(config.experiments) or "none: the priors alone"
    scale = f"Coefficients live at {config.scale_gev:g} GeV."
    tables = [_experiments(experiments)] if experiments else []
    if config.parameters:
        tables.append(_parameters(config))
    tables.append(_choices(config, results.payload.get("theory")))
    tables.append(_inputs(config))
    points = []
    if config.model is not None:
        given = ", ".join(f"{name} = {prior}" for name, prior in config.model.parameters.items())
        points.append(f"Model {config.model.name}: {given or 'all parameters at their defaults'}.")
    if config.pulls:
        points.append("Priors of nuisances: " + ", ".join(f"{name} = {prior}" for name, prior in config.pulls.items()) + ".")
    if config.options:
        points += [
            f"Options of {name}: {', '.join(f'{k} = {v}' for k, v in given.items())}." for name, given in config.options.items()
        ]
    if config.templates != TemplateSpec():
        points.append("Tolerance of templates: " + ", ".join(f"{e} {config.templates.of(e):g}" for e in config.experiments) + ".")
    points += direction_lines({name: spec.model_dump() for name, spec in config.directions.items()})
    if config.allow_overlaps:
        points.append("Experiments that share data may be combined here, which counts these data twice.")
    return Section("What was asked", (question, f"Experiments: {names}.", scale), tuple(points), tuple(tables))


def _experiments(experiments: Sequence[Told]) -> Table:
    rows = [(e.name, e.title or "-", e.status or f"not available here: {e.problem}") for e in experiments]
    return table("Experiments", ("name", "what it is", "where its numbers come from"), rows)


def _parameters(config: RunConfig) -> Table:
    rows = []
    for name, spec in config.parameters.items():
        weights = ", ".join(f"{_amount(v)}{c}" for c, v in spec.coefficients.items())
        phase = "" if spec.phase is None else f"; phase {spec.phase}"
        rows.append((name, weights, f"{spec.prior}{phase}", unit_text(spec.unit)))
    return table("Parameters and their priors", ("parameter", "coefficients", "prior [unit of its row]", "unit"), rows)


def _amount(value: complex) -> str:
    number = complex(value)
    if number == 1.0:
        return ""
    return f"{number.real:g} × " if number.imag == 0.0 else f"({number:g}) × "


def _choices(config: RunConfig, stored: Any) -> Table:
    chosen: Mapping[str, Any] = stored if isinstance(stored, Mapping) and stored else config.theory.choices()
    rows = [(str(k), str(v), CHOICES.get(str(k), {}).get(str(v), "")) for k, v in chosen.items()]
    return table("Choices of theory", ("choice", "value", "what it means"), rows)


def _inputs(config: RunConfig) -> Table:
    defaults = type(config.theory)()
    rows = [
        (name, str(prior), "default" if getattr(defaults, name) == prior else "changed")
        for name, prior in config.theory.inputs().items()
    ]
    note = "Units are part of the names; c_T and c_T_s have none. Inputs that are not listed keep their default value."
    return table("Theory inputs", ("input", "prior or value [unit in the name]", "default?"), rows, note=note)


def made_facts(attrs: object) -> list[tuple[str, str]]:
    """What results say about how they were made (`nmmfit.results.provenance.made_by`), as rows; nothing where they do not."""
    if not isinstance(attrs, Mapping):
        return []
    known = {str(k): str(v) for k, v in attrs.items()}
    labels = {"created_at": "made at", "seed": "seed", "commit": "commit", "platform": "platform", "device": "device"}
    rows = [(words, known[key] or "unknown") for key, words in labels.items() if key in known]
    return rows + [
        (f"version of {key.removeprefix('version_')}", value) for key, value in known.items() if key.startswith("version_")
    ]


def provenance_section(results: Results, facts: Sequence[tuple[str, str]] = ()) -> Section:
    """Versions, seed, hash of the run and checksums of the files that the report rests on.

    Args:
        results: what was read.
        facts: (what, value) that the results store about how they were made.
    """
    rows = [*facts]
    if results.config is not None:
        if not any(what == "seed" for what, _ in rows):
            rows.append(("seed", str(results.config.sampler.seed)))
        rows.append(("run hash (SHA-256 of the checked run file)", results.config.hash))
    rows += [(f"SHA-256 of {name}", value) for name, value in results.checksums.items()]
    sentences = [f"Made by nmmfit {results.kind}; known by {KINDS[results.kind]}."]
    if not any(what.startswith("version") for what, _ in facts):
        sentences.append(f"nmmfit {results.kind} stores no versions of programs with its results.")
    sentences.append("Checksums of the experiments' tables are not stored with results.")
    texts = () if results.run_toml is None else (Text("Run file, as it was used", results.run_toml),)
    return Section("Provenance", tuple(sentences), tables=(table("Where this comes from", ("what", "value"), rows),), texts=texts)
