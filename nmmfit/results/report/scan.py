"""The report of a likelihood grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmmfit.results.report.asked import asked_section, made_facts, provenance_section
from nmmfit.results.report.document import Document, Section, Table, table
from nmmfit.results.report.pictures import drawn
from nmmfit.results.report.references import asked_of
from nmmfit.results.scan import contour_words, interval_text, scan_figure
from nmmfit.results.wording import common_scale, fixed, measured, number, quantity_words, sentence, unit_text
from nmmfit.results.written import Results, finite, known_or_nan, plain_unit, reading

MOST_ROWS = 200
"""Points of a curve that the page lists."""


@dataclass(frozen=True)
class _Scan:
    grid: dict[str, list[float]]
    units: dict[str, str]
    best: dict[str, float]
    heights: np.ndarray
    converged: np.ndarray
    payload: Mapping[str, Any]

    @property
    def names(self) -> list[str]:
        return list(self.grid)

    def failed(self) -> list[str]:
        """Points that did not converge, in words."""
        return [
            ", ".join(f"{n} = {measured(v[i], self.units[n])}" for (n, v), i in zip(self.grid.items(), place, strict=True))
            for place in np.argwhere(~self.converged)
        ]


def _checked(results: Results) -> _Scan:
    p = results.payload
    with reading(results):
        grid = {str(name): [finite(v) for v in values] for name, values in p["grid"].items()}
        units = {name: plain_unit(p["units"][name]) for name in grid}
        shape = tuple(len(values) for values in grid.values())
        heights = np.asarray(p["delta_chi2"], dtype=float)
        converged = np.asarray(p["converged"], dtype=bool)
        if not grid or heights.shape != shape or converged.shape != shape:
            raise ValueError(f"a grid of {shape}, heights of {heights.shape}, verdicts of {converged.shape}")
        best = {name: finite(p["best"][name]) for name in grid}
        made = _Scan(grid, units, best, heights, converged, p)
        for contour in (*p.get("contours", ()), *(c for pair in p.get("pairs", ()) for c in pair["contours"])):
            _check_level(contour)
            if len(contour["lines"]) != len(contour["closed"]):
                raise ValueError(f"{len(contour['lines'])} lines, {len(contour['closed'])} verdicts on them")
            for line in contour["lines"]:
                vertices = np.asarray(line, dtype=float)
                if vertices.ndim != 2 or vertices.shape[1] != 2:
                    raise ValueError(f"a line of shape {vertices.shape}")
        for interval in p.get("intervals", ()):
            _check_level(interval)
            for low, high in interval["segments"]:
                known_or_nan(low), known_or_nan(high)
    return made


def _check_level(found: Mapping[str, Any]) -> None:
    """Raises: KeyError, TypeError, ValueError where a level lacks a number."""
    for key in ("cl", "delta_chi2"):
        finite(found[key])
    known_or_nan(found["error"])


def scan_document(results: Results) -> Document:
    """The report of a folder that `scan` wrote."""
    s = _checked(results)
    experiments, cited, bibtex = asked_of(results.run)
    data = ", ".join(results.run.experiments) or "the priors alone"
    failed = s.failed()
    rest = (
        "all other parameters and nuisances were minimised"
        if s.payload.get("profiled", True)
        else "everything else stayed at the best fit"
    )
    held = s.payload.get("fixed") or {}
    question = f"The likelihood on a grid of {' and '.join(s.names)}: at every point {rest}."
    if held:
        question += " Held: " + ", ".join(f"{name} = {number(value)}" for name, value in held.items()) + "."
    shown = failed[:20]
    more = f"and {len(failed) - len(shown)} more" if len(failed) > len(shown) else ""
    checks = Section(
        "Diagnostics",
        ("Points that did not converge:",) if failed else ("Every point of the grid converged.",),
        (*shown, *([more] if more else [])),
    )
    answer = [f"{sentence(quantity_words(name))}: the best fit is {measured(s.best[name], s.units[name])}." for name in s.names]
    sections = (
        asked_section(results, experiments, question),
        _found(s),
        checks,
        provenance_section(results, made_facts(results.payload.get("provenance"))),
        cited,
    )
    verdict = "Every point converged." if not failed else f"NOT converged at {len(failed)} of {s.converged.size} points."
    return Document("scan", f"Scan of {', '.join(s.names)} from {data}", tuple(answer), not failed, verdict, sections, bibtex)


def _found(s: _Scan) -> Section:
    known = s.heights[s.converged & np.isfinite(s.heights)]
    lowest, highest = (float(known.min()), float(known.max())) if len(known) else (float("nan"), float("nan"))
    rows = []
    for n in s.names:
        scale = common_scale([s.grid[n][0], s.grid[n][-1], s.best[n]], s.units[n])
        rows.append((n, unit_text(scale.unit), *scale.row([s.grid[n][0], s.grid[n][-1], s.best[n]]), str(len(s.grid[n]))))
    heads = ("axis", "unit", *(f"{what} [unit of its row]" for what in ("from", "to", "best fit")), "points [1]")
    tables: list[Table] = [table("The grid", heads, rows, range(2, 6))]
    if len(s.names) == 1:
        tables += _curve(s)
    for names, found in _of_pairs(s):
        over = "" if len(s.names) == 2 else ", at the lowest point of the grid over the rest"
        words = [(f"{100 * c['cl']:.3g} %", fixed(c["delta_chi2"], 3), contour_words(c, lowest, highest)) for c in found]
        tables.append(table(f"Contours of {' and '.join(names)}{over}", ("level", "Δχ² [1]", "lines"), words, (1,)))
    alt = (
        f"Δχ² over {' and '.join(s.names)}, {' x '.join(map(str, s.heights.shape))} points, from {lowest:.3g} to {highest:.3g}; "
        "levels and their crossings are in the tables."
    )
    caption = "Δχ² above the best fit; crosses are points that did not converge. Failed points are left out of contours."
    return Section("What came out", (), (), tuple(tables), (drawn(scan_figure(s.payload), alt, caption),))


def _of_pairs(s: _Scan) -> list[tuple[Sequence[str], Sequence[Mapping[str, Any]]]]:
    if len(s.names) == 2:
        return [(s.names, s.payload.get("contours", ()))]
    return [(p["axes"], p["contours"]) for p in s.payload.get("pairs", ())]


def _curve(s: _Scan) -> list[Table]:
    name = s.names[0]
    rows = []
    for i in s.payload.get("intervals", ()):
        text, unit = interval_text(i["segments"], s.units[name])
        rows.append((f"{100 * i['cl']:.3g} %", fixed(i["delta_chi2"], 3), text, unit_text(unit)))
    tables = [table("Intervals", ("level", "Δχ² below [1]", f"{name} [unit of its row]", "unit"), rows, (1,))]
    if len(s.grid[name]) <= MOST_ROWS:
        scale = common_scale(s.grid[name], s.units[name])
        points = [
            (scale.row([x])[0], fixed(y, 4), "yes" if fine else "NO")
            for x, y, fine in zip(s.grid[name], s.heights, s.converged, strict=True)
        ]
        heads = (f"{name} [{unit_text(scale.unit)}]", "Δχ² [1]", "converged")
        tables.append(table(f"Δχ² of {name}", heads, points, (1,)))
    return tables
