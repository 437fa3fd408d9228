"""Picture and tables of limits that tighten as experiments are added."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.text import Text

from nmmfit.catalogue import digitised
from nmmfit.inference.intervals import Interval
from nmmfit.inference.tighten import Bounds, Tightening
from nmmfit.results.figure import CYCLE, GREY, new_figure, save, style
from nmmfit.results.plots import common_label, wrapped_label
from nmmfit.results.tables import LIMIT_KINDS, plain_table
from nmmfit.results.wording import axis_label, common_scale, heading, literal, number, symbol

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 2
LABEL_WIDTH = 20
"""Letters of a line of a quantity's label."""

NAMED = 60
"""Letters of a stage's label in the picture; the table has all."""
WRITTEN = 0.2
"""Part of the width of a panel that is kept for the numbers behind the longest bar."""


def interval_of(found: Tightening, stage: int, name: str, kind: str) -> Interval | None:
    """The interval of a quantity in a stage (from 0 on), `kind` "profiled" or "one_at_a_time"; None where there is none."""
    limits = found.stages[stage].of(name)
    return None if limits is None else limits.profiled if kind == "profiled" else limits.one_at_a_time


def size_of(interval: Interval | None) -> float | None:
    """Bound on the absolute value: the farther end; None where a side is open, or without an interval."""
    if interval is None or interval.lower is None or interval.upper is None:
        return None
    return max(abs(interval.lower), abs(interval.upper))


def tighten_tables(found: Tightening) -> RenderableType:
    """For every quantity the intervals of all stages, for the terminal."""
    parts: list[RenderableType] = []
    reasons: dict[str, None] = {}
    stages = range(len(found.stages))
    listed = plain_table(f"Stages ({100 * found.cl:g} % CL below)")
    for column in ("stage", "experiments added"):
        listed.add_column(column)
    for k, stage in enumerate(found.stages, 1):
        listed.add_row(*map(escape, (f"{k}: {stage.label}", ", ".join(stage.added))))
    parts.append(listed)
    for name in (*found.identified, *found.parameters):
        unit = found.unit(name)
        sizes = [size_of(interval_of(found, k, name, kind)) for k in stages for kind in ("one_at_a_time", "profiled")]
        scale = common_scale(sizes, unit)
        made = plain_table(escape(name))
        made.add_column("stage")
        for kind in ("one_at_a_time", "profiled"):
            made.add_column(escape(heading(LIMIT_KINDS[kind], scale.unit)), justify="right")
        for k in stages:
            cells = []
            for kind in ("one_at_a_time", "profiled"):
                interval = interval_of(found, k, name, kind)
                cells.append("-" if interval is None else scale.interval(interval.lower, interval.upper))
                if interval is not None and interval.reason:
                    reasons[f"{name}, {LIMIT_KINDS[kind]}, stage {k + 1}: {interval.reason}"] = None
            made.add_row(*map(escape, (f"{k + 1}: {found.stages[k].label}", *cells)))
        parts.append(made)
    if reasons:
        parts.append(Text("Open sides:\n" + "\n".join(f"  {r}" for r in reasons)))
    return Group(*parts)


def tighten_figure(found: Tightening, labels: Mapping[str, str] | None = None) -> Figure:
    """Bounds on absolute values, a bar per stage and quantity on a logarithmic axis; arrows where a side is open.

    Filled bars end at the profiled bound, lines with a dot at the one-at-a-time bound; the numbers are these two, one where they
    agree or the first is open. Quantities of one unit share an axis.

    Args:
        found: limits of all stages.
        labels: how quantities are written; missing: the name, as a symbol where it is short.
    """
    panels = panels_of(found)
    if not panels:
        raise ValueError("a picture of limits needs at least one quantity")
    written = labels or {}
    count = len(found.stages)
    rows = sum(len(names) for _, names in panels)
    with style():
        figure = new_figure(6.6, picture_height(count, rows, len(panels)))
        heights = [len(names) + 0.3 for _, names in panels]
        grid = figure.subplots(len(panels), 1, squeeze=False, gridspec_kw={"height_ratios": heights})
        for axes, (unit, names) in zip(grid[:, 0], panels, strict=True):
            scale = common_scale(_sizes(found, names), unit)
            _draw_panel(axes, found, names, [_label(found, n, written) for n in names], scale.factor)
            axes.set_xlabel(axis_label("bound on the absolute value", scale.unit), fontsize=10)
        _legend(figure, found)
    return figure


def picture_height(stages: int, rows: int, panels: int) -> float:
    """Height in inches of the picture of so many stages, of quantities in so many rows, and panels."""
    return 0.2 * (stages + 1) * rows + 0.8 * panels + 0.75 + 0.17 * stages


def _label(found: Tightening, name: str, written: Mapping[str, str]) -> str:
    equal = distinct_bounds(found).get(name, (name,))
    return wrapped_label(common_label([written.get(n) or symbol(n) for n in equal]), LABEL_WIDTH)


def panels_of(found: Tightening) -> list[tuple[str, list[str]]]:
    """(unit, names) of each panel, identified quantities first; of those that are equal in all stages only one."""
    panels: list[tuple[str, list[str]]] = []
    for section in (list(distinct_bounds(found)), found.parameters):
        groups: dict[str, list[str]] = {}
        for name in section:
            groups.setdefault(found.unit(name), []).append(name)
        panels += list(groups.items())
    return panels


def distinct_bounds(found: Tightening) -> dict[str, tuple[str, ...]]:
    """Identified quantities that differ -> those that have the same bounds wherever both are known, themselves first.

    Flavour-universal couplings give all sources the same effective moment. The name is that of the one known to most stages.
    """
    known = {n: [k for k, s in enumerate(found.stages) if s.of(n) is not None] for n in found.identified}
    groups: dict[str, tuple[str, ...]] = {}
    for name in sorted(found.identified, key=lambda n: (-len(known[n]), found.identified.index(n))):
        same = (n for n in groups if found.unit(n) == found.unit(name) and _equal(found, n, name, known[name]))
        first = next(same, name)
        groups[first] = (*groups.get(first, ()), name)
    return groups


def _equal(found: Tightening, one: str, other: str, stages: Sequence[int]) -> bool:
    for k in stages:
        for kind in ("one_at_a_time", "profiled"):
            a, b = (size_of(interval_of(found, k, name, kind)) for name in (one, other))
            if (a is None) != (b is None) or (a is not None and b is not None and abs(a - b) > 2e-3 * abs(a)):
                return False
    return True


def _sizes(found: Tightening, names: Sequence[str]) -> list[float]:
    """All bounds of some quantities; at least one number."""
    stages = range(len(found.stages))
    kinds = ("profiled", "one_at_a_time")
    return [s for n in names for k in stages for kind in kinds if (s := size_of(interval_of(found, k, n, kind)))] or [1.0]


def _draw_panel(axes: Any, found: Tightening, names: Sequence[str], written: Sequence[str], unit: float) -> None:
    count = len(found.stages)
    kinds = ("profiled", "one_at_a_time")
    sizes = [size / unit for size in _sizes(found, names)]
    low, high = (
        10.0 ** (math.floor(math.log10(min(sizes)) * 2 - 0.6) / 2),
        10.0 ** (math.ceil(math.log10(max(sizes)) * 2 + 0.6) / 2),
    )
    # Room for what is written behind the longest bar.
    high = max(high, low * (max(sizes) / low) ** (1.0 / (1.0 - WRITTEN)))
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    step = 0.84 / count
    for row, name in enumerate(names):
        for k in range(count):
            y = row - 0.42 + (k + 0.5) * step
            colour = CYCLE[k % len(CYCLE)]
            profiled, alone = (interval_of(found, k, name, kind) for kind in kinds)
            if profiled is None and alone is None:
                axes.text(low * (high / low) ** 0.01, y, "not seen", va="center", fontsize=6.5, color=GREY, style="italic")
                continue
            ends = [None if (size := size_of(interval)) is None else size / unit for interval in (profiled, alone)]
            bound = ends[0]
            if bound:
                axes.barh(y, bound - low, left=low, height=0.8 * step, color=colour, alpha=0.45, linewidth=0)
            elif profiled is not None and bound is None:
                axes.barh(y, high - low, left=low, height=0.8 * step, color=colour, alpha=0.14, linewidth=0)
                beyond = high * (low / high) ** 0.035
                axes.annotate("", xy=(high, y), xytext=(beyond, y), arrowprops={"arrowstyle": "-|>", "color": colour})
            bound = ends[1]
            if bound:
                axes.plot((low, bound), (y, y), color=colour, linewidth=1.2, solid_capstyle="butt")
                axes.plot(bound, y, marker="o", markersize=3.6, color=colour)
            told = [b for b in ends if b]
            if told:
                at = max(told) * (high / low) ** 0.012
                axes.text(at, y, " / ".join(dict.fromkeys(number(b) for b in told)), va="center", fontsize=6.5)
    _plain_ticks(axes, high / low)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), written, fontsize=9.5)
    axes.tick_params(axis="y", which="both", left=False, right=False)
    axes.grid(axis="x", which="major", color=GREY, alpha=0.25, linewidth=0.6)
    for row in range(1, len(names)):
        axes.axhline(row - 0.5, color=GREY, alpha=0.4, linewidth=0.6)


def _plain_ticks(axes: Any, span: float) -> None:
    """Plain numbers on a logarithmic axis; between powers of ten where there are hardly any of these."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    plain = FuncFormatter(lambda x, _: f"{x:g}")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if span < 50.0 else (1.0,)))
    axes.xaxis.set_major_formatter(plain)
    axes.xaxis.set_minor_formatter(NullFormatter())


def _legend(figure: Figure, found: Tightening) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Patch(color=CYCLE[k % len(CYCLE)], alpha=0.6, label=_stage_label(s)) for k, s in enumerate(found.stages)
    ]
    handles += [
        Patch(color=GREY, alpha=0.45, label="profiled (pale with an arrow: unbounded)"),
        Line2D([], [], color=GREY, marker="o", markersize=3.6, linewidth=1.2, label="one at a time"),
    ]
    title = f"{100 * found.cl:g} % CL"
    figure.legend(handles=handles, loc="outside upper center", ncols=2, title=title, fontsize=8)


def _stage_label(stage: Bounds) -> str:
    """Label of a stage, cut short where it is long; digitised data among what it adds are called so."""
    label = literal(stage.label if len(stage.label) <= NAMED else f"{stage.label[: NAMED - 3]}...")
    read = digitised(stage.added)
    return f"{label} ({'' if len(read) == len(stage.added) else 'partly '}digitised)" if read else label


def write_tighten(folder: Path, found: Tightening, labels: Mapping[str, str] | None = None) -> list[Path]:
    """Draw and save the picture as tighten.png and tighten.pdf. Raises: OutputError."""
    return save(tighten_figure(found, labels), folder / "tighten")
