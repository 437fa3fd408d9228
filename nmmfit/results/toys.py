"""Tables, pictures and the netCDF file of toy experiments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.text import Text

from nmmfit.inference.toys import ToysResult
from nmmfit.results import adapter
from nmmfit.results.adapter import Variable
from nmmfit.results.figure import BLACK, BLUE, GREY, SKY, VERMILLION, new_figure, save, style
from nmmfit.results.files import TOYS_FILE, RunFolder
from nmmfit.results.tables import plain_table
from nmmfit.results.wording import axis_label, literal, number, quantity_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _ends(lower: float | None, upper: float | None) -> str:
    return f"[{'-inf' if lower is None else number(lower)}, {'inf' if upper is None else number(upper)}]"


def toys_tables(found: ToysResult) -> RenderableType:
    """The results in numbers, for the terminal."""
    level = f"{100 * found.cl:g} % CL"
    unit = f" {found.unit}" if found.unit != "1" else ""
    intervals = plain_table(f"{found.name}{unit}, {level}")
    intervals.add_column("interval")
    intervals.add_column("ends", justify="right")
    intervals.add_column("error of the ends", justify="right")
    intervals.add_row("best fit", number(found.best), "")
    intervals.add_row("asymptotic (profiled)", _ends(*found.asymptotic), "")
    fc, cls = found.feldman_cousins, found.cls
    if fc is not None:
        errors = f"{number(fc.lower_error, 2)}, {number(fc.upper_error, 2)}"
        intervals.add_row(f"Feldman-Cousins ({found.toys} toys a value)", _ends(fc.lower, fc.upper), errors)
    if cls is not None:
        upper = f"< {number(cls.upper)}" if cls.upper is not None else "-"
        intervals.add_row(f"CL_s upper limit ({found.toys} toys a value)", upper, number(cls.upper_error, 2))
    if found.asimov is not None:
        for end in found.asimov.expected.values():
            intervals.add_row("expected (Asimov data)", _ends(end.lower, end.upper), "")
    parts: list[RenderableType] = [intervals]
    if found.coverage:
        made = plain_table(f"Coverage of the asymptotic {level} interval (delta chi2 < {found.coverage[0].level:.4g})")
        for column in ("toys made at", "true value", "coverage", f"delta chi2 for {100 * found.cl:g} %", "toys", "failed"):
            made.add_column(column, justify="left" if column == "toys made at" else "right")
        for c in found.coverage:
            covers = f"{100 * c.coverage:.1f} +- {100 * c.error:.1f} %"
            needed = f"{c.critical:.2f} +- {c.critical_error:.2f}"
            made.add_row(escape(c.where), number(c.truth), covers, needed, str(c.toys), str(c.failed))
        parts.append(made)
    rows = found.p_values or (fc.tested if fc is not None else ())
    if rows:
        made = plain_table("Tested values" if found.p_values else "Belt")
        for column in (
            f"value [{found.unit}]" if unit else "value",
            "q of the data",
            "q_c",
            "p-value",
            "best fits accepted",
            "toys",
        ):
            made.add_column(escape(column), justify="right")
        for t in rows:
            made.add_row(
                number(t.value),
                f"{t.q:.3f}",
                f"{t.critical:.3f} +- {t.critical_error:.3f}",
                f"{t.p_value:.3g} +- {t.p_error:.2g}",
                escape(_ends(*t.accepted)),
                str(t.toys) + (f" ({t.failed} failed)" if t.failed else ""),
            )
        parts.append(made)
    notes = [found.construction]
    for said in (fc.reason if fc else None, fc.note if fc else None, cls.reason if cls else None):
        notes += [said] if said else []
    parts.append(Text("\n".join([*notes, *found.warnings])))
    return Group(*parts)


def samples(found: ToysResult) -> dict[str, tuple[float, float | None, np.ndarray]]:
    """Label -> (tested value, q of the data, q of the toys)."""
    out: dict[str, tuple[float, float | None, np.ndarray]] = {}
    for c in found.coverage:
        out[f"made at the {c.where}" if "=" not in c.where else f"made at {c.where}"] = (c.truth, None, c.values)
    for t in found.p_values:
        out[f"{found.name} = {number(t.value)}"] = (t.value, t.q, t.values)
    fc = found.feldman_cousins
    if fc is not None and not out:
        near = min(fc.tested, key=lambda t: abs(t.critical - t.q))
        out[f"{found.name} = {number(near.value)}"] = (near.value, near.q, near.values)
    return out


def q_figure(found: ToysResult) -> Figure:
    """Distributions of q with chi-square of one degree of freedom, and the data: the fraction of toys above q."""
    from scipy.stats import chi2

    shown = samples(found)
    with style():
        figure = new_figure(5.0, 3.6)
        axes = figure.subplots()
        top = max([float(np.quantile(v, 0.999)) for _, _, v in shown.values() if len(v)] + [float(chi2.ppf(0.999, 1))])
        for (label, (_, q, values)), colour in zip(shown.items(), (BLUE, VERMILLION, SKY, GREY) * 8, strict=False):
            ordered = np.sort(values)
            tail = 1.0 - np.arange(len(ordered)) / max(len(ordered), 1)
            axes.step(ordered, tail, where="pre", color=colour, label=f"{len(ordered)} toys {literal(label)}")
            if q is not None:
                axes.axvline(q, color=colour, linestyle=":", label=f"data: {q:.2f}")
        at = np.linspace(0.0, top, 200)
        axes.plot(at, chi2.sf(at, 1), color=BLACK, linestyle="--", label=r"$\chi^2$, 1 degree of freedom")
        axes.axhline(1.0 - found.cl, color=GREY, linewidth=0.8)
        axes.set_yscale("log")
        axes.set_xlim(0.0, top)
        axes.set_ylim(1e-3, 1.2)
        axes.set_xlabel(f"q of {quantity_label(found.name)}")
        axes.set_ylabel("fraction of toys with larger q")
        axes.legend()
    return figure


def belt_figure(found: ToysResult) -> Figure:
    """The critical values with q of the data, and the belt of best fits with the data's."""
    fc = found.feldman_cousins
    assert fc is not None
    label = axis_label(quantity_label(found.name), found.unit)
    values = np.array([t.value for t in fc.tested])
    with style():
        figure = new_figure(7.0, 3.4)
        left, right = figure.subplots(1, 2)
        q_c, error = np.array([t.critical for t in fc.tested]), np.array([t.critical_error for t in fc.tested])
        left.plot(values, q_c, color=BLUE, marker="o", markersize=3, label=f"$q_c$, {100 * fc.cl:g} % of toys below")
        left.fill_between(values, q_c - error, q_c + error, color=SKY, alpha=0.4, linewidth=0)
        left.plot(values, [t.q for t in fc.tested], color=VERMILLION, marker="s", markersize=3, label="q of the data")
        if found.coverage:
            left.axhline(found.coverage[0].level, color=BLACK, linestyle="--", linewidth=0.8, label="asymptotic")
        left.set_ylim(0.0, 2.0 * float(np.nanmax(q_c)))
        left.set_xlabel(label)
        left.set_ylabel("q")
        left.legend()
        low, high = (np.array([t.accepted[i] for t in fc.tested]) for i in (0, 1))
        right.fill_betweenx(values, low, high, color=SKY, alpha=0.6, linewidth=0, label="accepted best fits")
        right.axvline(fc.best, color=VERMILLION, linewidth=1.5, label="data")
        for end in (fc.lower, fc.upper):
            if end is not None:
                right.axhline(end, color=BLACK, linestyle=":", linewidth=0.8)
        right.set_xlabel(f"best fit of {label}")
        right.set_ylabel(f"true {label}")
        right.legend()
    return figure


def coverage_figure(found: ToysResult) -> Figure:
    """Coverage at every point where it was looked at."""
    with style():
        figure = new_figure(4.6, 0.5 * len(found.coverage) + 1.3)
        axes = figure.subplots()
        for row, c in enumerate(found.coverage):
            axes.errorbar(100 * c.coverage, row, xerr=100 * c.error, color=BLUE, marker="o", markersize=5, capsize=3)
        axes.axvline(100 * found.cl, color=BLACK, linestyle="--", linewidth=0.8)
        axes.set_yticks(range(len(found.coverage)), [literal(c.where) for c in found.coverage])
        axes.set_ylim(-0.6, len(found.coverage) - 0.4)
        axes.tick_params(axis="y", which="both", left=False, right=False)
        axes.set_xlabel(f"coverage of the asymptotic {100 * found.cl:g} % interval [%]")
    return figure


def q_values(found: ToysResult) -> dict[str, dict[str, Variable]]:
    """q of every toy by group: `coverage`, `feldman_cousins` and `p_value`, with the tested values; nan for toys that failed."""
    fc = found.feldman_cousins
    cases: dict[str, tuple[list[float], list[np.ndarray], list[float]]] = {}
    if found.coverage:
        cases["coverage"] = ([c.truth for c in found.coverage], [c.values for c in found.coverage], [])
    for name, tested in (("feldman_cousins", fc.tested if fc is not None else ()), ("p_value", found.p_values)):
        if tested:
            cases[name] = ([t.value for t in tested], [t.values for t in tested], [t.q for t in tested])
    groups: dict[str, dict[str, Variable]] = {}
    for name, (values, rows, data) in cases.items():
        filled = np.full((len(values), max(map(len, rows))), np.nan)
        for filled_row, row in zip(filled, rows, strict=True):
            filled_row[: len(row)] = row
        groups[name] = {
            "value": Variable(np.array(values), ("test",), {"unit": found.unit}),
            "q": Variable(filled, ("test", "toy"), {"unit": "1"}),
        }
        if data:
            groups[name]["q_of_data"] = Variable(np.array(data), ("test",), {"unit": "1"})
    return groups


def write_toys(folder: RunFolder, found: ToysResult) -> None:
    """Write q of the toys as toys.nc, and the pictures, into an open run folder. Raises: OutputError."""
    groups = q_values(found)
    if groups:
        attrs: dict[str, Any] = {"parameter": found.name, "construction": found.construction, "seed": str(found.seed)}
        folder.write_bytes(TOYS_FILE, adapter.netcdf_bytes(adapter.tree(groups, attrs)))
    if samples(found):
        save(q_figure(found), folder.path / "q")
    if found.feldman_cousins is not None:
        save(belt_figure(found), folder.path / "belt")
    if found.coverage:
        save(coverage_figure(found), folder.path / "coverage")
