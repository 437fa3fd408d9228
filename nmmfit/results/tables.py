"""Tables for the terminal (rich), with the unit in every heading."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from nmmfit.inference.intervals import KINDS
from nmmfit.inference.result import SampleResult
from nmmfit.results.diagnostics import FitSummary, ParameterSummary, correlations
from nmmfit.results.wording import common_scale, fixed, heading, number

LIMIT_KINDS = KINDS
"""Kinds of limits in the order in which they are shown: key of the JSON object -> how it is written."""


MIN_WIDTH = 120


def console(stream: TextIO) -> Console:
    """Console for these tables on a stream; at least as wide as they are, because a number cut short would mislead."""
    detected = Console(file=stream)
    return detected if detected.width >= MIN_WIDTH else Console(file=stream, width=MIN_WIDTH)


def plain_table(title: str) -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
    )


def _column(table: Table, name: str, unit: str) -> None:
    table.add_column(escape(heading(name, unit)), justify="right", no_wrap=True)


def by_unit(names: Iterable[str], result: SampleResult) -> dict[str, list[str]]:
    """Names grouped by their unit, both in order of first appearance."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(result.unit(name), []).append(name)
    return groups


def _summary_table(title: str, names: list[str], unit: str, summaries: Mapping[str, ParameterSummary], prior: bool) -> Table:
    table = plain_table(title)
    scale = common_scale([x for n in names for x in (summaries[n].sd, summaries[n].abs_upper_90)], unit)
    table.add_column("name", no_wrap=True)
    for column in ("mean", "sd", "90 % HDI", "90 % of |x| <"):
        _column(table, column, scale.unit)
    for column in ("r_hat", "ESS bulk, tail") + (("contraction",) if prior else ()):
        _column(table, column, "1")
    for name in names:
        s = summaries[name]
        mean, sd, low, high, upper = scale.row([s.mean, s.sd, *s.hdi_90, s.abs_upper_90])
        sizes = f"{fixed(s.ess_bulk, 0)}, {fixed(s.ess_tail, 0)}"
        row = [name, mean, sd, f"[{low}, {high}]", upper, fixed(s.r_hat, 3), sizes]
        if prior:
            row.append(f"{'prior-limited ' if s.prior_limited else ''}{fixed(s.contraction, 2)}")
        table.add_row(*map(escape, row))
    return table


def _nuisance_table(names: list[str], summaries: Mapping[str, ParameterSummary], result: SampleResult) -> Table:
    table = plain_table("Nuisances (pulls: 0 is nominal, 1 a standard deviation or, of free ones, a natural step)")
    for column in ("name", "unit"):
        table.add_column(column, no_wrap=True)
    for column in ("mean", "sd"):
        _column(table, column, "unit")
    for column in ("r_hat", "ESS bulk", "contraction"):
        _column(table, column, "1")
    for name in names:
        s = summaries[name]
        values = common_scale([s.sd], "1", digits=2).row([s.mean, s.sd]) if 1e-2 <= s.sd < 1e3 else [number(s.mean), number(s.sd)]
        row = [name, result.unit(name), *values, fixed(s.r_hat, 3), fixed(s.ess_bulk, 0), fixed(s.contraction, 2)]
        table.add_row(*map(escape, row))
    return table


MOST_CORRELATED = 8
"""Up to this many coefficients the table of their correlations fits a terminal; the JSON object has all."""


def _correlation_table(result: SampleResult) -> Table:
    names, matrix = result.coefficient_names(), correlations(result)
    table = plain_table("Correlations of coefficients")
    table.add_column("name", no_wrap=True)
    for name in names[:-1]:
        _column(table, name, "1")
    for i, name in enumerate(names[1:], 1):
        table.add_row(escape(name), *(fixed(float(rho), 2) for rho in matrix[i, :i]))
    return table


def fit_tables(
    result: SampleResult, summary: FitSummary, choices: Mapping[str, Any], landscape: Sequence[str] = ()
) -> RenderableType:
    """What a fit found: identified quantities first, then coefficients with their contraction, then nuisances, then the verdict.

    Args:
        result, summary: the run and its summaries.
        choices: choices of theory to be named, such as {"tensor_coherence": "coherent"}.
        landscape: ridges and modes, in words.
    """
    parts: list[RenderableType] = []
    for unit, names in by_unit(result.identified, result).items():
        parts.append(_summary_table("Identified by the data", names, unit, summary.identified, prior=False))
    for unit, names in by_unit(result.coefficient_names(), result).items():
        parts.append(_summary_table("Coefficients", names, unit, summary.parameters, prior=True))
    if 2 <= len(result.coefficient_names()) <= MOST_CORRELATED:
        parts.append(_correlation_table(result))
    if result.nuisance_names():
        parts.append(_nuisance_table(list(result.nuisance_names()), summary.parameters, result))
    if any(summary.parameters[name].prior_limited for name in result.coefficient_names()):
        parts.append(Text("prior-limited: contraction below 0.1; the interval tells about the prior, not about the data."))
    if choices:
        parts.append(Text("Theory: " + ", ".join(f"{k} = {v}" for k, v in choices.items())))
    parts += [Text(said[0].upper() + said[1:]) for said in landscape]
    if result.symmetries and not landscape:
        parts.append(Text("Sign symmetries (draws symmetrised, diagnostics from folded draws): " + "; ".join(result.symmetries)))
    parts.append(verdict_text(result, summary))
    return Group(*parts)


def verdict_text(result: SampleResult, summary: FitSummary) -> Text:
    """How much was sampled, and whether it converged; one line per problem."""
    v = summary.convergence
    made = f"{result.chains} chains x {result.draws_per_chain} draws after {result.warmup} warm-up"
    if result.evidence is not None:
        powers = sorted(result.evidence.powers)
        made = (
            f"log evidence {result.evidence.value:.2f} +- {result.evidence.error:.2f}\n{result.chains} independent runs x "
            f"{result.draws_per_chain} particles, {powers[0]} to {powers[-1]} powers, {result.warmup} trajectories at each"
        )
    text = Text(
        f"{made} in {result.wall_s:.1f} s, "
        f"seed {result.seed}; "
        f"{v.divergences} divergences ({v.divergence_fraction:.2%}), r_hat <= {fixed(v.max_r_hat, 3)}, "
        f"ESS >= {fixed(v.min_ess_bulk, 0)} (bulk), {fixed(v.min_ess_tail, 0)} (tail)"
    )
    if result.interrupted:
        text.append("\ninterrupted: these are the draws made until then", style="yellow")
    if v.converged:
        text.append("\nconverged", style="green")
    else:
        text.append("\nNOT converged:", style="bold red")
        for problem in v.problems:
            text.append(f"\n  {problem}")
    return text


def limits_table(limits: Mapping[str, Any]) -> RenderableType:
    """The three kinds of limits side by side, identified quantities first.

    Args:
        limits: the object of `limits --json`: `cl`, and `identified.NAME`, `parameters.NAME` with `unit`, `contraction` and per
            kind `lower`, `upper`, `reason` (null for an open side) or nothing if that kind was not computed.
    """
    level = f"{100 * float(limits['cl']):g} % CL"
    parts: list[RenderableType] = []
    reasons: dict[str, None] = {}
    kinds = shown_kinds(limits)
    for section, title in LIMIT_SECTIONS.items():
        groups: dict[str, list[str]] = {}
        for name, entry in limits.get(section, {}).items():
            groups.setdefault(entry.get("unit") or "1", []).append(name)
        for unit, names in groups.items():
            table = plain_table(f"{title}, {level}")
            table.add_column("name", no_wrap=True)
            scale = common_scale([side for name in names for side in _sides(limits[section][name])], unit)
            for kind in kinds.values():
                _column(table, kind, scale.unit)
            if section != "identified":
                _column(table, "contraction", "1")
            for name in names:
                entry = limits[section][name]
                row = [escape(name)]
                for kind in kinds:
                    found = entry.get(kind)
                    row.append(escape(scale.interval(found.get("lower"), found.get("upper"))) if found else "-")
                    if found and found.get("reason"):
                        reasons[f"{name}, {LIMIT_KINDS[kind]}: {found['reason']}"] = None
                if section != "identified":
                    row.append(fixed(_float(entry.get("contraction")), 2))
                table.add_row(*row)
            parts.append(table)
    if reasons:
        parts.append(Text("Open sides:\n" + "\n".join(f"  {r}" for r in reasons)))
    if limits.get("warnings"):
        parts.append(Text("Methods that disagree by more than 30 %:\n" + "\n".join(f"  {w['text']}" for w in limits["warnings"])))
    return Group(*parts)


LIMIT_SECTIONS = {"identified": "Identified by the data", "parameters": "Coefficients", "combinations": "Combinations"}
"""Sections of the object of `limits --json` that hold limits, and their titles."""


def shown_kinds(limits: Mapping[str, Any]) -> dict[str, str]:
    """Kinds of limits that have a column: Feldman-Cousins only where toys were made."""
    entries = [entry for section in LIMIT_SECTIONS for entry in limits.get(section, {}).values()]
    made = any(entry.get("feldman_cousins") for entry in entries)
    return {kind: written for kind, written in LIMIT_KINDS.items() if made or kind != "feldman_cousins"}


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


def _sides(entry: Mapping[str, Any]) -> list[float | None]:
    """All finite sides of an entry's limits."""
    return [_float(found.get(side)) for kind in LIMIT_KINDS if (found := entry.get(kind)) for side in ("lower", "upper")]
