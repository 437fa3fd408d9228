"""Where delta chi2 on a grid crosses levels: intervals in one dimension, lines in two, with points solved on the crossings.

Between grid points delta chi2 is interpolated by cubic Hermite polynomials, whose slopes are exact where a scan knows them.
Crossings
of the interpolation are then moved onto the level with values and gradients solved there, and points half-way between, which
have not been used, say how far the result is off.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from nmmfit.numerics.quantiles import chi_square_quantile

Evaluate = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
"""Scanned values (point, axis) -> delta chi2 (point,), its slopes (point, axis), and whether each point converged."""

FINER = 8
"""Interpolated points per spacing of the grid; fewer where there would be more than MOST of them."""

MOST = 4_000_000

STRIDE = 4
"""Of the vertices of a line every so many are solved in a first round."""

PRECISION = 2e-3
"""Error of delta chi2, in units of the level, below which crossings are not moved further."""

ROUNDS = 4


def levels_of(levels: Sequence[float], dimensions: int) -> list[float]:
    """delta chi2 at confidence levels: quantiles of the chi-square distribution with as many degrees of freedom as dimensions."""
    return [chi_square_quantile(cl, dimensions) for cl in levels]


@dataclass(frozen=True)
class Interval:
    """Where delta chi2 stays below a level along one axis.

    `segments`: (lower, upper) each; None where the grid ends before the level is reached. `error`: largest distance of delta
    chi2 from the
    level at the ends; None where there is none, or where it was not measured.
    """

    cl: float
    level: float
    segments: tuple[tuple[float | None, float | None], ...]
    error: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether some side leaves the grid."""
        return any(side is None for segment in self.segments for side in segment)


@dataclass(frozen=True)
class Contour:
    """Lines on which delta chi2 of two axes equals a level.

    `lines`: arrays (vertex, 2), closed ones ending where they begin. `closed`: one flag each; a line that is not closed leaves
    the grid, or ends
    at points that failed. `error`: largest distance of delta chi2 from the level at points of the lines; None: not measured.
    `solved`: how
    many points were solved on the lines.
    """

    cl: float
    level: float
    lines: tuple[np.ndarray, ...]
    closed: tuple[bool, ...]
    error: float | None = None
    solved: int = 0

    @property
    def is_open(self) -> bool:
        """Whether some line does not close."""
        return not all(self.closed)


# -- one dimension --------------------------------------------------------------------------------------------------------


def intervals(
    x: np.ndarray,
    heights: np.ndarray,
    slopes: np.ndarray,
    cls: Sequence[float],
    evaluate: Evaluate | None = None,
) -> list[Interval]:
    """Intervals of one axis.

    Args:
        x: (point,) ascending. heights: (point,) delta chi2, nan where a point failed. slopes: (point,) its derivatives.
        cls: confidence levels.
        evaluate: solves points; None: the interpolation has to do.
    """
    return [_interval(x, heights, slopes, cl, level, evaluate) for cl, level in zip(cls, levels_of(cls, 1), strict=True)]


def _interval(
    x: np.ndarray, heights: np.ndarray, slopes: np.ndarray, cl: float, level: float, evaluate: Evaluate | None
) -> Interval:
    roots = np.sort(np.concatenate([_roots(x[p], heights[p], slopes[p], level) for p in _stretches(heights)] or [np.zeros(0)]))
    error = None
    if evaluate is not None and len(roots):
        roots, error = _moved_roots(roots, level, evaluate, float(np.min(np.diff(x))), (x[0], x[-1]))
    edges = np.concatenate([[x[0]], roots, [x[-1]]])
    segments: list[tuple[float | None, float | None]] = []
    for left, right in pairwise(edges):
        if right <= left or not _below(x, heights, slopes, 0.5 * (left + right), level):
            continue
        low = None if left == x[0] else float(left)
        high = None if right == x[-1] else float(right)
        if segments and segments[-1][1] is not None and low is not None and segments[-1][1] == low:
            segments[-1] = (segments[-1][0], high)
        else:
            segments.append((low, high))
    return Interval(cl, level, tuple(segments), error)


def _stretches(heights: np.ndarray) -> list[slice]:
    """Runs of at least two points that are known."""
    known = np.concatenate([[False], np.isfinite(heights), [False]])
    starts, ends = np.flatnonzero(~known[:-1] & known[1:]), np.flatnonzero(known[:-1] & ~known[1:])
    return [slice(a, b) for a, b in zip(starts, ends, strict=True) if b - a > 1]


def _spline(x: np.ndarray, heights: np.ndarray, slopes: np.ndarray) -> Any:
    from scipy.interpolate import CubicHermiteSpline

    return CubicHermiteSpline(x, heights, slopes)


def _roots(x: np.ndarray, heights: np.ndarray, slopes: np.ndarray, level: float) -> np.ndarray:
    found = np.asarray(_spline(x, heights, slopes).solve(level, extrapolate=False), dtype=float)
    return np.unique(found[np.isfinite(found) & (found > x[0]) & (found < x[-1])])


def _below(x: np.ndarray, heights: np.ndarray, slopes: np.ndarray, at: float, level: float) -> bool:
    """Whether the interpolation lies below the level; between points that failed there is none."""
    for part in _stretches(heights):
        if x[part][0] <= at <= x[part][-1]:
            return bool(_spline(x[part], heights[part], slopes[part])(at) < level)
    return False


def _moved_roots(
    roots: np.ndarray, level: float, evaluate: Evaluate, spacing: float, ends: tuple[float, float]
) -> tuple[np.ndarray, float | None]:
    """Roots moved onto the level, and the largest error that is left, of those that could be solved."""
    now = roots.copy()
    off = np.full(len(now), np.inf)
    for turn in range(ROUNDS):
        heights, slopes, fine = evaluate(now[:, None])
        off = np.where(fine, np.abs(heights - level), np.inf)
        usable = fine & (slopes[:, 0] != 0)
        if turn == ROUNDS - 1 or np.all(off[usable] < 1e-2 * PRECISION * level):
            break
        step = np.where(usable, (level - heights) / np.where(usable, slopes[:, 0], 1.0), 0.0)
        now = np.clip(now + np.clip(step, -spacing, spacing), *ends)
    measured = off[np.isfinite(off)]
    return np.sort(now), float(np.max(measured)) if len(measured) else None


# -- two dimensions -------------------------------------------------------------------------------------------------------


def finer(
    x: np.ndarray, y: np.ndarray, heights: np.ndarray, slopes: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A map interpolated between its points by bicubic Hermite polynomials.

    Args:
        x, y: the axes. heights: (x, y), nan where a point failed. slopes: (x, y, 2), or None: taken from differences.
    Returns: finer axes, and heights on them; the given points are among them.
    """
    from scipy.interpolate import CubicHermiteSpline

    factor = FINER
    while factor > 1 and factor**2 * heights.size > MOST:
        factor //= 2
    known = np.isfinite(heights)
    heights = _filled(heights, known)
    slopes = np.stack(np.gradient(heights, x, y), axis=-1) if slopes is None else np.where(known[..., None], slopes, 0.0)
    fine_x, fine_y = (np.interp(np.arange((len(a) - 1) * factor + 1) / factor, np.arange(len(a)), a) for a in (x, y))
    mixed = 0.5 * (np.gradient(slopes[..., 1], x, axis=0) + np.gradient(slopes[..., 0], y, axis=1))
    rows = CubicHermiteSpline(x, heights, slopes[..., 0], axis=0)(fine_x)
    across = CubicHermiteSpline(x, slopes[..., 1], mixed, axis=0)(fine_x)
    fine = CubicHermiteSpline(y, rows, across, axis=1)(fine_y)
    return fine_x, fine_y, np.where(_within_known_cells(known, factor), fine, np.nan)


def _filled(heights: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Unknown heights as the nearest known one, for the interpolation to go through."""
    if np.all(known) or not np.any(known):
        return np.where(known, heights, 0.0)
    from scipy.ndimage import distance_transform_edt

    nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
    filled: np.ndarray = heights[tuple(nearest)]
    return filled


def _within_known_cells(known: np.ndarray, factor: int) -> np.ndarray:
    """Of finer points those in, or on the edge of, a cell with four known corners."""
    cells = known[:-1, :-1] & known[1:, :-1] & known[:-1, 1:] & known[1:, 1:]
    within = np.zeros([factor * (size - 1) + 1 for size in known.shape], dtype=bool)
    for i, k in np.argwhere(cells):
        within[i * factor : (i + 1) * factor + 1, k * factor : (k + 1) * factor + 1] = True
    return within


def contours(
    x: np.ndarray,
    y: np.ndarray,
    heights: np.ndarray,
    slopes: np.ndarray | None,
    cls: Sequence[float],
    evaluate: Evaluate | None = None,
) -> list[Contour]:
    """Contours of two axes.

    Args:
        x, y: ascending. heights: (x, y) delta chi2, nan where a point failed. slopes: (x, y, 2) its derivatives, or None.
        cls: confidence levels.
        evaluate: solves points; None: the interpolation has to do.
    """
    import contourpy

    fine_x, fine_y, fine = finer(x, y, heights, slopes)
    generator = contourpy.contour_generator(fine_x, fine_y, np.ma.masked_invalid(fine.T), name="serial")
    box = np.array([[x[0], x[-1]], [y[0], y[-1]]])
    spacing = np.array([np.min(np.diff(x)), np.min(np.diff(y))])
    out = []
    for cl, level in zip(cls, levels_of(cls, 2), strict=True):
        lines = [np.array(line) for line in generator.lines(level) if len(line) > 1]
        closed = [bool(np.array_equal(line[0], line[-1])) for line in lines]
        error, solved = None, 0
        if evaluate is not None and lines:
            lines, error, solved = _moved_lines(lines, closed, level, evaluate, box, spacing)
        out.append(Contour(cl, level, tuple(lines), tuple(closed), error, solved))
    return out


def _moved_lines(
    lines: list[np.ndarray], closed: list[bool], level: float, evaluate: Evaluate, box: np.ndarray, spacing: np.ndarray
) -> tuple[list[np.ndarray], float | None, int]:
    """Lines moved onto the level; every round solves points half-way between those that were solved before."""
    stride, solved, error = STRIDE, 0, None
    done: list[np.ndarray] = [np.zeros(0, dtype=int) for _ in lines]
    for _ in range(ROUNDS):
        fresh = [
            np.setdiff1d(np.append(np.arange(0, len(line) - 1, stride), [] if shut else len(line) - 1).astype(int), old)
            for line, shut, old in zip(lines, closed, done, strict=True)
        ]
        if not any(map(len, fresh)):
            break
        at = np.concatenate([line[new] for line, new in zip(lines, fresh, strict=True)])
        heights, slopes, fine = evaluate(at)
        solved += len(at)
        off = np.abs(heights - level)[fine]
        error = float(np.max(off)) if len(off) else error
        shift = _onto(at, heights, slopes, fine, level, box, spacing)
        first = 0
        for k, new in enumerate(fresh):
            mine = shift[first : first + len(new)]
            first += len(new)
            lines[k] = _shifted(lines[k], closed[k], new, mine, done[k], spacing, box)
            done[k] = np.union1d(done[k], new)
        if error is not None and stride < STRIDE and error < PRECISION * level:
            break
        if stride == 1:
            break
        stride //= 2
    return lines, error, solved


def _onto(
    at: np.ndarray,
    heights: np.ndarray,
    slopes: np.ndarray,
    fine: np.ndarray,
    level: float,
    box: np.ndarray,
    spacing: np.ndarray,
) -> np.ndarray:
    """Steps (point, 2) along the gradient onto the level, at most half a cell; points on an edge stay there."""
    scaled = slopes * spacing
    on_edge = (at <= box[:, 0]) | (at >= box[:, 1])
    scaled = np.where(on_edge, 0.0, scaled)
    size2 = np.sum(scaled**2, axis=1)
    usable = fine & (size2 > 0)
    factor = np.where(usable, (level - heights) / np.where(usable, size2, 1.0), 0.0)
    step = np.where(usable[:, None], factor[:, None] * scaled, 0.0)
    length = np.linalg.norm(step, axis=1)
    step = step * np.minimum(1.0, 0.5 / np.maximum(length, 1e-300))[:, None]
    moved: np.ndarray = step * spacing
    return moved


def _shifted(
    line: np.ndarray, closed: bool, new: np.ndarray, shift: np.ndarray, old: np.ndarray, spacing: np.ndarray, box: np.ndarray
) -> np.ndarray:
    """A line whose vertices `new` are shifted, those `old` are not, and all others by what lies between."""
    if not len(new):
        return line
    places = np.concatenate([new, old])
    shifts = np.concatenate([shift, np.zeros((len(old), 2))])
    order = np.argsort(places)
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line / spacing, axis=0), axis=1))])
    period = length[-1] if closed else None
    moved = line.copy()
    for axis in range(2):
        moved[:, axis] += np.interp(length, length[places[order]], shifts[order, axis], period=period)
    if closed:
        moved[-1] = moved[0]
    return np.clip(moved, box[:, 0], box[:, 1])
