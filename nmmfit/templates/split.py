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
# So many of the ways that look cheapest are gone to the end.
_FINALISTS = 3


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
    """One way through: trees of outer and inner pulls, the features of every group, and their cost in multiplications."""

    chosen: tuple[int, ...]
    outer: Tree | None
    inner: Tree | None
    groups: tuple[Features, ...]
    cost: float


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
    # The first axis keeps its norm in few numbers, and so do all weights and bins together; the search works with these.
    frames = [left_singular_vectors(r.reshape(-1, r.shape[-1]).T, tol)[0] for r in rows]
    small = [r @ frame for r, frame in zip(rows, frames, strict=True)]
    n = len(indices)
    left, singular = left_singular_vectors(np.concatenate([r.reshape(n, -1) for r in small], axis=1), 0.1 * tol)
    block = _Block(pulls, indices, small, frames, lower, left * singular, tol)
    ways = sorted((block.way(outer, with_trees=False) for outer in _choices(len(pulls))), key=lambda way: way.cost)
    if len(pulls) == 0:
        return ways[0]
    return min((block.way(way.chosen, with_trees=True) for way in ways[:_FINALISTS]), key=lambda way: way.cost)


def _choices(n: int) -> Iterator[tuple[int, ...]]:
    """Sets of outer pulls; all of them first."""
    for size in range(n, 0, -1):
        yield from combinations(range(n), size)
    if n == 0:
        yield ()


@dataclass(frozen=True)
class _Block:
    """What all ways through a block start from."""

    pulls: tuple[str, ...]
    indices: np.ndarray
    rows: list[np.ndarray]
    """Of every group (basis, weight, first axis of its frame)."""
    frames: list[np.ndarray]
    """Of every group (bin, first axis), orthonormal columns."""
    lower: Sequence[np.ndarray]
    """Of every group (bin, compressed first axis)."""
    head: np.ndarray
    """(basis, column), with the norms of all rows together."""
    tol: float

    def way(self, chosen: tuple[int, ...], with_trees: bool) -> Split:
        """The way through with the outer pulls `chosen`; without trees functions come straight from the polynomials."""
        outer = Subset.make(self.indices, chosen)
        inner = Subset.make(self.indices, tuple(i for i in range(len(self.pulls)) if i not in chosen))
        head = _on_grid(outer, inner, self.head)
        outer_functions = self._functions(outer, head, with_trees)
        inner_functions = self._functions(inner, np.swapaxes(head, 0, 1), with_trees)
        features = []
        for rows, frame, low in zip(self.rows, self.frames, self.lower, strict=True):
            # (outer function, inner function, weight, first axis)
            reduced = np.tensordot(inner_functions.basis, _on_grid(outer, inner, rows), axes=(0, 1))
            core = np.tensordot(outer_functions.basis, reduced, axes=(0, 1))
            features.append(_features(core, frame, low, self.tol))
        cost = outer_functions.cost + inner_functions.cost + sum(f.cost for f in features)
        return Split(chosen, outer_functions.tree, inner_functions.tree, tuple(features), cost)

    def _functions(self, subset: Subset, grid: np.ndarray, with_tree: bool) -> _Functions:
        """Functions of some pulls, from a grid with the axis of the subset's tuples first."""
        if not subset.columns:
            return _Functions(None, np.ones((1, 1)), 0)
        left, singular = left_singular_vectors(grid.reshape(len(grid), -1), self.tol)
        if not with_tree:
            return _Functions(None, left, left.size)
        names = tuple(self.pulls[i] for i in subset.columns)
        columns = _TYPICAL_RANK * sum(r.shape[1] for r in self.rows)
        tree, basis = compressed_tree(names, subset.tuples, left * singular, self.tol, columns)
        return _Functions(tree, basis, sum(m.size + OVERHEAD for m in tree.matrices))


@dataclass(frozen=True)
class _Functions:
    """Functions of some pulls: their tree, if it was asked for, their basis (tuple, function) and what they cost."""

    tree: Tree | None
    basis: np.ndarray
    cost: float


def _on_grid(outer: Subset, inner: Subset, rows: np.ndarray) -> np.ndarray:
    """(outer tuple, inner tuple, ...) of rows (basis, ...); zero where the total-degree set has no basis function."""
    grid = np.zeros((len(outer.tuples), len(inner.tuples), *rows.shape[1:]))
    grid[outer.of, inner.of] = rows
    return grid


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
