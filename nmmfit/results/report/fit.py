"""The report of a fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from types import SimpleNamespace
from typing import Any

import numpy as np

from nmmfit.errors import UserInputError
from nmmfit.inference.parameters import Parameter
from nmmfit.inference.priors import to_distribution
from nmmfit.inference.result import SampleResult
from nmmfit.results import adapter
from nmmfit.results.diagnostics import ParameterSummary, Thresholds
from nmmfit.results.files import POSTERIOR
from nmmfit.results.plots import coefficient_corner, identified_corner
from nmmfit.results.report.asked import asked_section, made_facts, provenance_section
from nmmfit.results.report.document import Document, Picture, Section, Table, table
from nmmfit.results.report.nuisances import Summaries, distinct, nuisances_section
from nmmfit.results.report.pictures import drawn, stored
from nmmfit.results.report.references import SAMPLING, asked_of
from nmmfit.results.store import KIND_ATTRIBUTE
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
"""Sentences at the top; the rest stands in the tables."""
MOST_IN_CORNER = 10
"""Variables up to which a corner plot can be read."""
SHOWN = ("mean", "sd", "90 % HDI", "90 % of |x| <")


def fit_document(results: Results) -> Document:
    """The report of a folder that `fit` wrote."""
    summaries = _summaries(results)
    result = _result(results)
    converged = results.payload["converged"]
    experiments, cited, bibtex = asked_of(results.run, SAMPLING)
    answer = _answer(result, summaries)
    names = ", ".join(results.run.experiments) or "the priors alone"
    sections = (
        asked_section(results, experiments, "The joint posterior of all parameters and nuisances was sampled."),
        _found(results, result, summaries),
        nuisances_section(result, summaries, _priors_of_nuisances(results)),
        _spectra(results),
        _diagnostics(results, summaries),
        provenance_section(results, made_facts(adapter.as_tree(results.data).attrs)),
        cited,
    )
    verdict = "Converged: the draws can be believed." if converged else "NOT converged: the numbers below cannot be trusted yet."
    if results.payload.get("interrupted"):
        verdict += " The run was interrupted; these are the draws made until then."
    return Document("fit", f"Fit to {names}", answer, converged, verdict, tuple(s for s in sections if _says(s)), bibtex)


def _says(section: Section) -> bool:
    return bool(section.sentences or section.tables or section.pictures)


def _summaries(results: Results) -> dict[str, tuple[str, ParameterSummary]]:
    """Quantity -> its unit and summary, identified quantities first."""
    known = {f.name for f in fields(ParameterSummary)}
    found = {}
    with reading(results):
        for part in ("identified", "parameters"):
            for name, entry in results.payload[part].items():
                low, high = entry["hdi_90"]
                numbers = {k: float("nan") if v is None else float(v) for k, v in entry.items() if k in known - {"hdi_90"}}
                ends = tuple(float("nan") if v is None else float(v) for v in (low, high))
                found[name] = (plain_unit(entry.get("unit")), ParameterSummary(hdi_90=ends, **numbers))  # type: ignore[arg-type]
    return found


def _result(results: Results) -> SampleResult:
    """The draws as the plots take them. Raises: UserInputError where the posterior file lacks what the summary names."""
    path = results.path / POSTERIOR
    if "posterior" not in adapter.as_tree(results.data).children:
        raise UserInputError(f"{path}: holds no posterior")
    group = adapter.group(results.data, "posterior")
    draws: dict[str, dict[str, np.ndarray]] = {"parameters": {}, "identified": {}}
    for part, found in draws.items():
        for name in results.payload[part]:
            if name not in group or set(group[name].dims) != {"chain", "draw"} or group[name].dtype.kind not in "fiu":
                raise UserInputError(f"{path}: holds no draws of {name!r}, which the summary beside it names")
            found[name] = np.asarray(group[name].transpose("chain", "draw").values, dtype=float)
    kinds = {name: str(group[name].attrs.get(KIND_ATTRIBUTE, "")) for name in draws["parameters"]}
    with reading(results):
        units = {n: plain_unit(results.payload[part][n].get("unit")) for part, found in draws.items() for n in found}
    chains, count = next((v.shape for part in draws.values() for v in part.values()), (0, 0))
    return SampleResult(
        draws=draws["parameters"], folded={}, identified=draws["identified"],
        identified_units={n: units[n] for n in draws["identified"]}, sample_stats={}, seed=0, chains=chains, warmup=0,
        draws_per_chain=count, wall_s=0.0, warmup_s=0.0, units={n: units[n] for n in draws["parameters"]},
        labels={n: quantity_label(n) for n in draws["identified"]},
        coefficients=tuple(n for n, kind in kinds.items() if kind == "coefficient"),
    )  # fmt: skip


def _answer(result: SampleResult, summaries: Summaries) -> tuple[str, ...]:
    """What came out, in words: identified quantities, or coefficients where there are none."""
    lines = []
    for name, equal in distinct(result).items():
        unit, s = summaries[name]
        what = together(equal)
        if np.all(result.identified[name] >= 0.0):
            lines.append(f"{sentence(what)}: below {measured(s.abs_upper_90, unit)} with 90 % posterior probability.")
        else:
            lines.append(f"{sentence(what)}: {_between(s, unit)}.")
    if not lines:
        for name in result.coefficient_names():
            unit, s = summaries[name]
            limited = " This tells about its prior, not about the data." if s.prior_limited else ""
            lines.append(f"{name}: {_between(s, unit)}.{limited}")
    more = len(lines) - MOST_ANSWERS
    return tuple(lines[:MOST_ANSWERS]) + ((f"And {more} more in the tables.",) if more > 0 else ())


def _between(s: ParameterSummary, unit: str) -> str:
    low, high = s.hdi_90
    return f"between {measured(low, unit)} and {measured(high, unit)} (shortest interval with 90 % of the posterior)"


def _found(results: Results, result: SampleResult, summaries: Summaries) -> Section:
    tables = _summary_tables("Identified by the data", list(result.identified), summaries, prior=False)
    tables += _summary_tables("Coefficients", list(result.coefficient_names()), summaries, prior=True)
    names = result.coefficient_names()
    tables += _directions(results)
    if len(names) > 1:
        tables.append(_correlations(results, names))
    sentences = [
        "Rates see a few combinations of coefficients: the identified quantities. Coefficients that share one are told apart by "
        "their priors alone.",
        "HDI: shortest interval that holds 90 % of the posterior. Contraction: 1 where the data decide, 0 where the prior does.",
    ]
    if any(summaries[n][1].prior_limited for n in names):
        sentences.append("Prior-limited: contraction below 0.1; the interval tells about the prior, not about the data.")
    symmetries = results.payload.get("symmetries") or ()
    points = [f"Sign symmetry, draws symmetrised: {text}" for text in symmetries]
    evidence = results.payload.get("log_evidence")
    if evidence:
        points.append(
            f"Log evidence {fixed(evidence['value'], 2)} +- {fixed(evidence['error'], 2)}, from {len(evidence['runs'])} "
            "independent runs of tempered sequential Monte Carlo; it depends on the widths of the priors."
        )
    # Folders of older versions have none.
    points += [sentence(text) for text in (results.payload.get("landscape") or {}).get("text") or ()]
    return Section("What came out", tuple(sentences), tuple(points), tuple(tables), tuple(_corners(results, result)))


def _directions(results: Results) -> list[Table]:
    """The posterior of directions, where the run has some."""
    rows = []
    with reading(results):
        for name, s in (results.payload.get("directions") or {}).items():
            low, high = (number(finite(x)) for x in s["hdi_90"])
            cells = (number(finite(s["mean"])), number(finite(s["sd"])), f"[{low}, {high}]", number(finite(s["abs_upper_90"])))
            rows.append((f"{name}{' (blind)' if s['blind'] else ''}", *cells, fixed(known_or_nan(s["contraction"]), 2)))
    heads = ("direction", *(f"{head} [prior widths]" for head in SHOWN), "contraction [1]")
    return [table("Directions", heads, rows, range(1, len(heads)))] if rows else []


def _summary_tables(title: str, names: Sequence[str], summaries: Summaries, prior: bool) -> list[Table]:
    """A table for each unit, a power of ten taken out."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(summaries[name][0], []).append(name)
    made = []
    for unit, members in groups.items():
        found = {n: summaries[n][1] for n in members}
        scale = common_scale([x for s in found.values() for x in (s.sd, s.abs_upper_90)], unit)
        heads = [
            "name",
            *(f"{head} [{unit_text(scale.unit)}]" for head in SHOWN),
            "r_hat [1]",
            "ESS bulk [draws]",
            "ESS tail [draws]",
        ]
        rows = []
        for name, s in found.items():
            mean, sd, low, high, upper = scale.row([s.mean, s.sd, *s.hdi_90, s.abs_upper_90])
            row = [name, mean, sd, f"[{low}, {high}]", upper, fixed(s.r_hat, 3), fixed(s.ess_bulk, 0), fixed(s.ess_tail, 0)]
            if prior:
                row.append(f"{'prior-limited, ' if s.prior_limited else ''}{fixed(s.contraction, 2)}")
            rows.append(row)
        made.append(
            table(
                title if len(groups) == 1 else f"{title}, in {unit_text(unit)}",
                [*heads, *(["contraction [1]"] if prior else [])],
                rows,
                range(1, len(heads) + prior),
            )
        )
    return made


def _correlations(results: Results, names: Sequence[str]) -> Table:
    with reading(results):
        stored_ones = results.payload["correlations"]
        rows = [(a, *(fixed(stored_ones[a][b], 2) for b in names)) for a in names]
    return table("Correlations of the coefficients [1]", ("coefficient", *names), rows, range(1, len(names) + 1))


def _corners(results: Results, result: SampleResult) -> list[Picture]:
    made = []
    if 0 < len(distinct(result)) <= MOST_IN_CORNER and _finite(result.identified):
        what = ", ".join(quantity_words(n) for n in distinct(result))
        alt = f"Corner plot: marginal posteriors, one and two at a time, of {what}; the numbers are in the tables."
        made.append(
            drawn(identified_corner(result), alt, "Marginal posteriors of what the data identify: 68 % and 90 % regions.")
        )
    parameters = _parameters(results, result)
    if 0 < len(parameters) <= MOST_IN_CORNER and _finite({p.name: result.draws[p.name] for p in parameters}):
        what = ", ".join(p.name for p in parameters)
        alt = f"Corner plot: marginal posteriors with priors of {what}; the numbers are in the tables."
        caption = (
            "Marginal posteriors of coefficients and floated theory inputs; dashed: their priors, where the run file gives them."
        )
        made.append(drawn(coefficient_corner(result, parameters), alt, caption))
    return made


def _priors_of_nuisances(results: Results) -> dict[str, Any]:
    """Priors of nuisances and theory inputs that the run file gives."""
    config = results.run
    priors = {**config.pulls, **{f"theory.{n}": p for n, p in config.theory.inputs().items()}}
    return {name: to_distribution(prior) for name, prior in priors.items() if not prior.is_fixed}


def _finite(draws: Mapping[str, np.ndarray]) -> bool:
    return all(v.size > 1 and bool(np.all(np.isfinite(v))) for v in draws.values())


def _parameters(results: Results, result: SampleResult) -> list[Parameter]:
    """Coefficients and floated inputs whose priors the run file gives."""
    config = results.run
    priors = {n: s.prior for n, s in config.parameters.items()} | {f"theory.{n}": p for n, p in config.theory.inputs().items()}
    return [
        Parameter(name, "coefficient", result.unit(name), to_distribution(prior), prior.centre, 1.0)
        for name, prior in priors.items()
        if name in result.draws and not prior.is_fixed and np.ptp(result.draws[name]) > 0.0
    ]


def _spectra(results: Results) -> Section:
    """Spectra as `fit` drew them, with their components."""
    stems = sorted({p.stem for p in results.path.glob("spectrum_*") if p.suffix in (".svg", ".png")})
    pictures = []
    for stem in stems:
        name = stem.removeprefix("spectrum_")
        alt = f"Spectrum of {name}: data with errors, components, best fit and Standard Model, and pulls of the data below."
        picture = stored(results.path, stem, alt, f"{name}: data and predictions.")
        if picture is not None:
            pictures.append(picture)
    if not pictures:
        sentences = ("This folder holds no spectra: the fit ran without plots.",)
        return Section("Spectra", sentences)
    meaning = "A pull is the signed square root of a bin's Poisson deviance with respect to the best fit."
    return Section("Spectra", (meaning,), pictures=tuple(pictures))


def _diagnostics(results: Results, summaries: Summaries) -> Section:
    p, limit = SimpleNamespace(**{str(k): v for k, v in results.payload.items()}), Thresholds()
    moving = [s for _, s in summaries.values() if s.sd != 0.0]
    energies = [x for x in getattr(p, "bfmi", None) or [] if x is not None]
    share = getattr(p, "divergence_fraction", None)
    rows = [
        ("largest r_hat [1]", fixed(max((s.r_hat for s in moving), default=float("nan")), 3), f"below {limit.r_hat:g}"),
        (
            "smallest bulk ESS [draws]",
            fixed(min((s.ess_bulk for s in moving), default=float("nan")), 0),
            f"at least {limit.ess:g}",
        ),
        (
            "smallest tail ESS [draws]",
            fixed(min((s.ess_tail for s in moving), default=float("nan")), 0),
            f"at least {limit.ess:g}",
        ),
        ("divergent draws [%]", "-" if share is None else f"{100 * share:.2f}", f"at most {100 * limit.divergence_fraction:g}"),
        ("smallest energy BFMI of a chain [1]", fixed(min(energies, default=None), 2), f"at least {limit.bfmi:g}"),
    ]
    how = f"{getattr(p, 'chains', '?')} chains of {getattr(p, 'draws', '?')} draws after {getattr(p, 'warmup', '?')} of warm-up."
    verdict = "Every quantity passes every check." if p.converged else "What failed:"
    alt = "Trace of every quantity, one colour per chain, and the share of each rank per chain, which is flat where chains agree."
    trace = stored(results.path, "trace_and_rank", alt, "Traces and ranks from folded draws.")
    made = table("Diagnostics", ("check", "found", "wanted"), rows, (1,))
    points = () if p.converged else tuple(map(str, p.problems))
    return Section("Diagnostics", (how, verdict), points, (made,), () if trace is None else (trace,))
