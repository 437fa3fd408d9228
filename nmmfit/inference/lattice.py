"""Places on a grid: coarse sub-grids, cells and their corners, neighbours, and neighbours that do not fit together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np


def coarse_places(points: int, most: int) -> np.ndarray:
    """Places of at most `most` of the points 0 .. points - 1, first and last among them, in even steps."""
    return np.unique(np.round(np.linspace(0, points - 1, min(points, most))).astype(int))


def enclosing(knots: Sequence[np.ndarray], at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The corners of the cell around every place, and the weights of a multilinear interpolation between them.

    Args:
        knots: per axis (knot,) ascending values.
        at: (point, axis).
    Returns: flat places of the corners among all knots in C order (point, corner), and weights (point, corner).
    """
    shape = [len(k) for k in knots]
    lower, share = [], []
    for axis, knot in enumerate(knots):
        left = np.clip(np.searchsorted(knot, at[:, axis], side="right") - 1, 0, max(len(knot) - 2, 0))
        right = np.minimum(left + 1, len(knot) - 1)
        width = np.where(right > left, knot[right] - knot[left], 1.0)
        lower.append((left, right))
        share.append(np.clip((at[:, axis] - knot[left]) / width, 0.0, 1.0))
    corners, weights = [], []
    for choice in product((0, 1), repeat=len(knots)):
        corners.append(np.ravel_multi_index(tuple(lower[a][c] for a, c in enumerate(choice)), shape))
        weights.append(np.prod([share[a] if c else 1.0 - share[a] for a, c in enumerate(choice)], axis=0))
    return np.stack(corners, axis=1), np.stack(weights, axis=1)


def neighbours(shape: Sequence[int], places: np.ndarray) -> list[np.ndarray]:
    """Flat places of the neighbours along every axis, of each of some flat places."""
    index = np.stack(np.unravel_index(places, shape), axis=1)
    out = []
    for one in index:
        found = []
        for axis, count in enumerate(shape):
            for step in (-1, 1):
                if 0 <= one[axis] + step < count:
                    moved = one.copy()
                    moved[axis] += step
                    found.append(int(np.ravel_multi_index(tuple(moved), shape)))
        out.append(np.array(found, dtype=int))
    return out


def misfits(values: np.ndarray, slopes: np.ndarray, spacings: Sequence[float]) -> np.ndarray:
    """Flat places of neighbours whose difference their slopes do not explain.

    Args:
        values: (...) on the grid, nan where a point failed.
        slopes: (..., axis) derivatives by the axes.
        spacings: of the axes.
    """
    doubtful = np.zeros(values.shape, dtype=bool)
    for axis, spacing in enumerate(spacings):
        change = np.diff(values, axis=axis)
        slope = np.moveaxis(slopes[..., axis], axis, 0)
        by_slope = np.moveaxis(0.5 * (slope[1:] + slope[:-1]) * spacing, 0, axis)
        off = np.abs(change - by_slope) > 0.02 + 0.1 * np.abs(change)
        before, after = [slice(None)] * values.ndim, [slice(None)] * values.ndim
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        doubtful[tuple(before)] |= off
        doubtful[tuple(after)] |= off
    return np.flatnonzero(doubtful)
