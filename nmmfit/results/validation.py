"""What `nmmfit validate` shows: tables for the terminal, a page, and a spectrum of every channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from nmmfit.inference.alone import dipole_run
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.validate import LIMIT, PREDICTION, YIELD, Comparison, Validation
from nmmfit.results.spectra import ChannelSpectrum, channel_spectra, spectrum_figure
from nmmfit.results.tables import plain_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

QUANTITIES = {
    "sm_counts": "signal events, Standard Model",
    "fitted_counts": "signal events, fitted",
    "deviance": "deviance at the best fit",
}
COUNTS = "events"


def _number(value: float | None, digits: int = 4) -> str:
    # Without an exponent up to a million.
    return "" if value is None else f"{float(f'{value:.{digits}g}'):g}"


def _with_error(value: float, error: float | None) -> str:
    return _number(value) if error is None else f"{_number(value)} +- {_number(error, 2)}"


def _published(c: Comparison) -> str:
    p = c.published
    if p.plus is None and p.minus is None:
        return _number(p.value)
    if p.plus == p.minus:
        return f"{p.value:g} +- {p.plus:g}"
    return f"{p.value:g} +{p.plus or 0:g} -{p.minus or 0:g}"


def _quantity(v: Validation, c: Comparison) -> tuple[str, str]:
    """What is compared, in words, and its unit."""
    p = c.published
    if p.quantity in QUANTITIES:
        words = f"events, {p.component}" if p.component else QUANTITIES[p.quantity]
        return words, "1" if p.quantity == "deviance" else COUNTS
    return f"{p.quantity} <, {100 * p.cl:g} % CL", v.units.get(p.quantity, "1")


def facts(v: Validation) -> list[tuple[str, str, str]]:
    """Quantity, value and unit of everything that was found, in the order in which it is shown."""
    g = v.goodness
    rows: list[tuple[str, str, str]] = []
    if v.sm_counts is not None:
        rows.append(("signal events, Standard Model", _number(v.sm_counts), COUNTS))
    if v.strength is not None:
        rows.append(("signal strength, fitted", _with_error(*v.strength), "prediction"))
    if v.fitted_counts is not None:
        rows.append(("signal events, fitted", _with_error(*v.fitted_counts), COUNTS))
    if g is not None:
        rows.append(
            (f"deviance of the Standard Model fit, {g.bins} {'bin' if g.bins == 1 else 'bins'}", f"{g.deviance:.1f}", "1")
        )
        failed = f", {g.failed} failed" if g.failed else ""
        rows.append((f"p-value ({g.toys} fitted toys{failed}: {g.toy_mean:.1f} +- {g.toy_sd:.1f})", f"{g.p_value:.3f}", "1"))
    for name, value in v.limits.items():
        rows.append((f"{name} <, one at a time, {100 * v.cl:g} % CL", _number(value) or "no limit", v.units[name]))
    return rows


def comparisons(v: Validation) -> list[tuple[str, ...]]:
    """Quantity, unit, published, ours, difference, verdict, source with status, and note of every published number.

    One row, and a second one for ours with the choices that were made there, where such are known.
    """
    rows: list[tuple[str, ...]] = []
    for c in v.comparisons:
        quantity, unit = _quantity(v, c)
        source = f"{c.published.source} [{c.published.status}]"
        shown = f"{quantity}, with {c.switch}" if c.published.only_switched else quantity
        rows.append((shown, unit, _published(c), *_ours(c.ours, c.ours_error, c.relative), verdict(c), source, c.published.note))
        if c.switch and not c.published.only_switched:
            found = _ours(c.switched, c.switched_error, c.switched_relative)
            said = "not computed" if c.switched_agrees is None else "agrees" if c.switched_agrees else "differs"
            rows.append((f"{quantity}, with {c.switch}", unit, _published(c), *found, said, source, ""))
    return rows


def verdict(c: Comparison) -> str:
    """Whether a published number agrees with ours, in words."""
    if c.agrees is None:
        return "not computed"
    if c.agrees:
        return "agrees"
    return "explained by the next row" if c.switched_agrees else "differs"


def _ours(value: float | None, error: float | None, relative: float | None) -> tuple[str, str]:
    return "" if value is None else _with_error(value, error), "" if relative is None else f"{100 * relative:+.1f} %"


def choices(v: Validation) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of what other options do."""
    moments = sorted({name for c in v.choices for name in c.limits})
    heads = ["option", "value", f"signal events, Standard Model [{COUNTS}]", *(f"{m} < [{v.units.get(m, '1')}]" for m in moments)]
    default = ["(as built)", "", _number(v.sm_counts), *(_number(v.limits.get(m)) for m in moments)]
    rows = [[c.option, c.value, _number(c.sm_counts), *(_number(c.limits.get(m)) for m in moments)] for c in v.choices]
    return heads, [default, *rows]


COMPARED = ("quantity", "unit", "published", "ours", "difference", "verdict", "source", "note")


def validation_tables(v: Validation) -> RenderableType:
    """Tables for the terminal."""
    found = _filled(plain_table(f"{v.name}: {v.title} ({v.status})"), ("quantity", "value", "unit"), facts(v), (1,))
    parts: list[RenderableType] = [found]
    if v.comparisons:
        parts.append(_filled(plain_table("Beside what was published"), COMPARED, comparisons(v), (2, 3, 4)))
    if v.choices:
        heads, rows = choices(v)
        parts.append(_filled(plain_table("What other options do"), heads, rows, tuple(range(2, len(heads)))))
    return Group(*parts)


def _filled(table: Table, heads: Sequence[str], rows: Sequence[Sequence[str]], numbers: tuple[int, ...]) -> Table:
    for k, head in enumerate(heads):
        table.add_column(escape(head), justify="right" if k in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    return table


TARGETS = (
    f"A prediction agrees within {100 * PREDICTION:g} %, a fitted yield within {YIELD:g} published standard deviations, a limit "
    f"within {100 * LIMIT:g} %."
)


def page(found: Sequence[Validation], pictures: Mapping[str, Sequence[str]], made_by: str) -> str:
    """The page of several experiments in Markdown.

    Args:
        found: what was found.
        pictures: experiment -> addresses of its pictures, relative to the page.
        made_by: how it was made, with the command line, in Markdown.
    """
    counted = [verdict(c) for v in found for c in v.comparisons]
    lines = [
        "# Validation of the experiments",
        "",
        made_by,
        "",
        "Predictions are the Standard Model's at nominal nuisances; fits float every nuisance; limits are one at a time, at 2",
        "GeV, for couplings equal for all flavours and with c_T = 0: an operator is what its name says.",
        TARGETS,
        "What differs is compared again with the choices that were made there, or has a note with the reason. The p-value is the",
        "fraction of toy experiments, fitted as the data are, with a larger deviance.",
        "",
        f"Published numbers: {len(counted)}; " + ", ".join(f"{w}: {counted.count(w)}" for w in dict.fromkeys(counted)) + ".",
        "",
    ]
    lines += _markdown(*summary(found))
    for v in found:
        lines += [f"## {v.name}", "", f"{v.title}. Status: {v.status}. References: {'; '.join(v.references) or 'none'}.", ""]
        lines += _markdown(("quantity", "value", "unit"), facts(v))
        if v.comparisons:
            lines += _markdown(COMPARED, comparisons(v))
        else:
            lines += ["No published number that could be set beside these was at hand.", ""]
        if v.choices:
            lines += ["Other options:", "", *_markdown(*choices(v))]
        built = ", ".join(f"{k} = {value}" for k, value in v.built_with.items())
        lines += [f"Built with {built}.", ""] if built else []
        lines += [line for address in pictures.get(v.name, ()) for line in (f"![{v.name}: data and predictions]({address})", "")]
    return "\n".join(lines)


def summary(found: Sequence[Validation]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Headings and a row for every experiment: prediction, strength, p-value, limit on the moment, and what was published."""
    heads = (
        "experiment",
        "Standard Model [events]",
        "strength",
        "p-value",
        "limit on the moment [1e-11 mu_B]",
        "published numbers",
    )
    rows: list[tuple[str, ...]] = []
    for v in found:
        moments = {n.removeprefix("mu_eff_"): x for n, x in v.limits.items() if n.startswith("mu_eff_")}
        limit = ", ".join(f"{n}: {_number(x, 3) or 'none'}" for n, x in moments.items())
        verdicts = [verdict(c) for c in v.comparisons]
        rows.append(
            (
                f"[{v.name}](#{v.name})",
                _number(v.sm_counts),
                "" if v.strength is None else _with_error(*v.strength),
                "" if v.goodness is None else f"{v.goodness.p_value:.2f}",
                limit,
                ", ".join(f"{w}: {verdicts.count(w)}" for w in dict.fromkeys(verdicts)) or "none",
            )
        )
    return heads, rows


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table in Markdown, and an empty line."""

    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"

    return [line(heads), line(["---"] * len(heads)), *map(line, rows), ""]


def spectra(v: Validation) -> list[ChannelSpectrum]:
    """Data, components of the Standard Model's fit, and what a moment at the limit adds, the rest unchanged; none of limits."""
    if v.sm_counts is None:
        return []
    joint = JointLikelihood.from_config(dipole_run(v.name), method="direct")
    name = next((n for n in v.limits if n.startswith("mu_eff")), None)
    point = {**v.point, "L_dipole": 0.0}
    changed, label = None, ""
    limit = v.limits[name] if name is not None else None
    if name is not None and limit:
        unit = 1e-7
        per_unit = float(joint.identified_values({**point, "L_dipole": unit})[name])
        changed = {**point, "L_dipole": unit * limit / per_unit}
        source = name.removeprefix("mu_eff_").replace("_", " ")
        label = rf"with $\mu_\nu$ ({source}) = {limit:.3g} $\times\, 10^{{-11}}\,\mu_B$"
    return [
        replace(s, best_label="Standard Model, fitted", sm_label=label, sm=s.sm if changed else None)
        for s in channel_spectra(joint, point, changed or point)
    ]


def figures(v: Validation) -> dict[str, Figure]:
    """A figure of every channel that has a prediction of the Standard Model, by `experiment.channel`."""
    return {s.name: spectrum_figure(s) for s in spectra(v)}
