"""Which shape pulls of a block are bent where: the split into outer and inner pulls that costs least, and what follows from it.

What a block adds to the counts is sum over basis functions b and weights w (scales times monomials) of T_b(pulls) w X[b, w, bin].
Pulls fall into outer and inner ones: strengths mix weights with the functions of the inner pulls, features multiply strengths
with the functions of the outer pulls. Every axis is compressed by SVD on its way; all ways through are tried, and the cheapest
by number of multiplications is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from nmmfit.templates.plan import Strengths
from nmmfit.templates.shapes import OVERHEAD, Subset, Tree, compressed_tree, left_singular_vectors

# What one more number in between costs, written and read again, in multiplications.
_WRITING = 8
# Numbers made from each function of the pulls, per weight, for the choice of a tree.
_TYPICAL_RANK = 16


@dataclass(frozen=True)
class Features:
    """How strengths and outer functions become features, and the rows that these multiply.

    `narrow` and `repeat` are those of plan.Part; `rows` (feature, bin) are in the metric of the data, or None where `narrow` goes
    to the compressed first axis itself.
    """

    narrow: np.ndarray | None
    repeat: np.ndarray | None
    rows: np.ndarray | None
    strengths: Strengths
    cost: float


@dataclass(frozen=True)
class Split:
    """One way through: trees of outer and inner pulls, and the features of every group."""

    outer: Tree | None
    inner: Tree | None
    groups: tuple[Features, ...]

    @property
    def cost(self) -> float:
        """Multiplications, and what stands for the rest."""
        trees = sum(m.size + OVERHEAD for tree in (self.outer, self.inner) if tree is not None for m in tree.matrices)
        return trees + sum(g.cost for g in self.groups)


def cheapest_split(
    pulls: tuple[str, ...], indices: np.ndarray, rows: Sequence[np.ndarray], lower: Sequence[np.ndarray], tol: float
) -> Split:
    """The cheapest way through for one block.

    Args:
        pulls: shape pulls of the block.
        indices: (basis, pull) degrees of the basis functions.
        rows: for every group (basis, weight, bin) in the metric of the data.
        lower: for every group (bin, compressed first axis), from the metric.
        tol: what a cut may leave out, in norm.
    """
    # The first axis keeps its norm in few numbers; the search works with these.
    frames = [left_singular_vectors(r.reshape(-1, r.shape[-1]).T, tol)[0] for r in rows]
    small = [r @ frame for r, frame in zip(rows, frames, strict=True)]
    ways = (_split(pulls, indices, small, frames, lower, outer, tol) for outer in _choices(len(pulls)))
    return min(ways, key=lambda way: way.cost)


def _choices(n: int) -> Iterator[tuple[int, ...]]:
    """Sets of outer pulls; all of them first."""
    for size in range(n, 0, -1):
        yield from combinations(range(n), size)
    if n == 0:
        yield ()


def _split(
    pulls: tuple[str, ...],
    indices: np.ndarray,
    rows: list[np.ndarray],
    frames: list[np.ndarray],
    lower: Sequence[np.ndarray],
    chosen: tuple[int, ...],
    tol: float,
) -> Split:
    """The way through with the outer pulls `chosen`."""
    rest = tuple(i for i in range(len(pulls)) if i not in chosen)
    outer, inner = Subset.make(indices, chosen), Subset.make(indices, rest)
    grids = [_on_grid(outer, inner, r) for r in rows]
    columns = _TYPICAL_RANK * sum(r.shape[1] for r in rows)
    outer_tree, outer_basis = _functions(pulls, outer, grids, tol, columns)
    inner_tree, inner_basis = _functions(pulls, inner, [np.moveaxis(g, 1, 0) for g in grids], tol, columns)
    features = []
    for grid, frame, low in zip(grids, frames, lower, strict=True):
        # (outer function, inner function, weight, first axis)
        core = np.tensordot(outer_basis, np.tensordot(inner_basis, grid, axes=(0, 1)), axes=(0, 1))
        features.append(_features(core, frame, low, tol))
    return Split(outer_tree, inner_tree, tuple(features))


def _on_grid(outer: Subset, inner: Subset, rows: np.ndarray) -> np.ndarray:
    """(outer tuple, inner tuple, ...) of rows (basis, ...); zero where the total-degree set has no basis function."""
    grid = np.zeros((len(outer.tuples), len(inner.tuples), *rows.shape[1:]))
    grid[outer.of, inner.of] = rows
    return grid


def _functions(
    pulls: tuple[str, ...], subset: Subset, grids: list[np.ndarray], tol: float, columns: int
) -> tuple[Tree | None, np.ndarray]:
    """Tree of the functions of some pulls and its basis (tuple, function), from the axis of the subset's tuples first."""
    if not subset.columns:
        return None, np.ones((1, 1))
    n = len(subset.tuples)
    weighted = np.concatenate([g.reshape(n, -1) for g in grids], axis=1)
    left, singular = left_singular_vectors(weighted, 0.0)
    return compressed_tree(tuple(pulls[i] for i in subset.columns), subset.tuples, left * singular, tol, columns)


def _features(core: np.ndarray, frame: np.ndarray, lower: np.ndarray, tol: float) -> Features:
    """The cheapest features of one group from its core (outer, inner, weight, first axis of `frame`)."""
    ways = [_from_strengths(strengths, mixed, frame, lower, tol) for strengths, mixed in _mixtures(core, tol)]
    return min((way for found in ways for way in found), key=lambda way: way.cost)


def _mixtures(core: np.ndarray, tol: float) -> Iterator[tuple[Strengths, np.ndarray]]:
    """Ways to mix weights and inner functions, each with what the strengths multiply (strength, outer, first axis)."""
    n_outer, n_inner, n_weights, n_first = core.shape
    if n_inner == 1:
        yield Strengths(), np.moveaxis(core[:, 0], 0, 1)
    else:
        mixes, blocks = [], []
        for w in range(n_weights):
            flat = np.swapaxes(core[:, :, w], 0, 1).reshape(n_inner, -1)
            mixes.append(left_singular_vectors(flat, tol)[0])
            blocks.append((mixes[-1].T @ flat).reshape(-1, n_outer, n_first))
        spread = np.repeat(np.eye(n_weights), [len(b) for b in blocks], axis=1)
        yield Strengths(np.concatenate(mixes, axis=1), spread), np.concatenate(blocks)
    if n_weights > 1:
        flat = np.transpose(core, (2, 1, 0, 3)).reshape(n_weights * n_inner, -1)
        mix, _ = left_singular_vectors(flat, tol)
        yield Strengths(mix), (mix.T @ flat).reshape(-1, n_outer, n_first)


def _from_strengths(strengths: Strengths, mixed: np.ndarray, frame: np.ndarray, lower: np.ndarray, tol: float) -> list[Features]:
    """All ways from strengths and outer functions to features.

    Args:
        strengths: how they are made.
        mixed: (strength, outer, first axis of `frame`), what they multiply.
        frame: (bin, first axis), orthonormal columns.
        lower: (bin, compressed first axis), from the metric.
    """
    n_strengths, n_outer, _ = mixed.shape
    width = lower.shape[1]
    base = sum(m.size + OVERHEAD for m in strengths.matrices) + _WRITING * n_strengths

    def found(narrow: np.ndarray | None, repeat: np.ndarray | None, rows: np.ndarray | None, written: int) -> Features:
        own = [m.size for m in (narrow, repeat) if m is not None]
        after = 0 if rows is None else len(rows) * width
        return Features(narrow, repeat, rows, strengths, base + sum(own) + OVERHEAD * len(own) + after + _WRITING * written)

    dense = mixed.reshape(-1, mixed.shape[-1])
    ways = [found(None, None, dense @ frame.T, len(dense))]
    if n_outer > 1:
        lefts = [left_singular_vectors(one, tol)[0] for one in mixed]
        few = np.concatenate([u.T @ one for u, one in zip(lefts, mixed, strict=True)])
        repeat = np.repeat(np.eye(n_strengths), [u.shape[1] for u in lefts], axis=1)
        ways.append(found(np.concatenate(lefts, axis=1), repeat, few @ frame.T, 2 * len(few)))
        whole = np.moveaxis(mixed @ (frame.T @ lower), 0, 1).reshape(n_outer, -1)
        ways.append(found(whole, None, None, 2 * whole.shape[1]))
    return ways


__all__ = ["Features", "Split", "cheapest_split"]
