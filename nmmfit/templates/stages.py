"""In which order the shape pulls of a block come in: the way from weights to counts that costs least.

What a block adds to the counts is sum over basis functions b and weights w (scales times monomials) of T_b(pulls) w X[b, w, bin].
Pulls come in stages: strengths mix weights with the functions of the first pulls, further strengths mix these with the functions
of the next ones, and features multiply the last strengths with the functions of the outer pulls. Every axis is compressed by SVD
on its way; the ways through are compared by their number of multiplications.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias

import numpy as np

from nmmfit.templates.plan import Strengths
from nmmfit.templates.shapes import (
    OVERHEAD,
    Subset,
    Tree,
    compressed_tree,
    in_lanes,
    left_singular_vectors,
    left_singular_vectors_of_each,
)

# What one more number in between costs, written and read again, in multiplications.
_WRITING = 8
# Numbers made from each function of the pulls, per weight, for the choice of a tree.
_TYPICAL_RANK = 16
# So many of the ways that look cheapest are gone to the end.
_FINALISTS = 3


Stages: TypeAlias = tuple[tuple[int, ...], ...]
"""Columns of the pulls of every stage, the outer pulls last."""


@dataclass(frozen=True)
class Features:
    """How strengths and outer functions become features, and the rows that these multiply.

    `narrow` and `repeat` are those of plan.Part; `rows` (feature, bin) are in the metric of the data, or None where `narrow` goes
    to the compressed first axis itself. `strengths` stage by stage.
    """

    narrow: np.ndarray | None
    repeat: np.ndarray | None
    rows: np.ndarray | None
    strengths: tuple[Strengths, ...]
    cost: float


@dataclass(frozen=True)
class Way:
    """One way through: trees stage by stage, the outer pulls' last, the features of every group, and the multiplications."""

    stages: Stages
    trees: tuple[Tree | None, ...]
    groups: tuple[Features, ...]
    cost: float


def cheapest_way(
    pulls: tuple[str, ...], indices: np.ndarray, rows: Sequence[np.ndarray], lower: Sequence[np.ndarray], tol: float
) -> Way:
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
    everything = tuple(range(len(pulls)))
    ways = [block.way((everything,), False), block.way(((), everything), False)]
    ways += [block.way((_others(everything, outer), outer), False) for outer in _subsets(everything)]
    # Those that look best with one stage of strengths are tried with two.
    best = sorted(ways, key=_cost)[:_FINALISTS]
    for way in best:
        inner, outer = way.stages[0], way.stages[-1]
        if len(way.stages) == 2:
            ways += [block.way((_others(inner, second), second, outer), False) for second in _subsets(inner)]
    return min((block.way(way.stages, True) for way in sorted(ways, key=_cost)[:_FINALISTS]), key=_cost)


def _cost(way: Way) -> float:
    return way.cost


def _subsets(columns: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Some of the columns, at least one and not all."""
    for size in range(1, len(columns)):
        yield from combinations(columns, size)


def _others(columns: tuple[int, ...], some: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(c for c in columns if c not in some)


@dataclass(frozen=True)
class _Functions:
    """Functions of some pulls: their tree, if it was asked for, their basis (tuple, function) and what they cost."""

    tree: Tree | None
    basis: np.ndarray
    cost: float


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

    def way(self, stages: Stages, with_trees: bool) -> Way:
        """The way through these stages; without trees functions come straight from the polynomials."""
        subsets = [Subset.make(self.indices, stage) for stage in stages]
        head = _on_grid(subsets, self.head)
        functions = [self._functions(s, np.moveaxis(head, k, 0), with_trees) for k, s in enumerate(subsets)]
        # What every basis function adds to the products of all stages' functions.
        products = np.ones((len(self.indices), 1))
        for s, f in zip(subsets, functions, strict=True):
            products = (products[:, :, None] * f.basis[s.of][:, None, :]).reshape(len(products), -1)
        features = []
        for rows, frame, low in zip(self.rows, self.frames, self.lower, strict=True):
            core = (products.T @ rows.reshape(len(rows), -1)).reshape(*(f.basis.shape[1] for f in functions), *rows.shape[1:])
            ways = _through((), np.moveaxis(core, -2, 0), 0.0, frame, low, self.tol)
            features.append(min(ways, key=lambda found: found.cost))
        cost = sum(f.cost for f in functions) + sum(f.cost for f in features)
        return Way(stages, tuple(f.tree for f in functions), tuple(features), cost)

    def _functions(self, subset: Subset, grid: np.ndarray, with_tree: bool) -> _Functions:
        """Functions of some pulls, from a grid with the axis of the subset's tuples first."""
        if not subset.columns:
            return _Functions(None, np.ones((1, 1)), 0)
        left, singular = in_lanes(grid.reshape(len(grid), -1), self.tol)
        if not with_tree:
            return _Functions(None, left, left.size)
        names = tuple(self.pulls[i] for i in subset.columns)
        columns = _TYPICAL_RANK * sum(r.shape[1] for r in self.rows)
        tree, basis = compressed_tree(names, subset.tuples, left * singular, self.tol, columns)
        return _Functions(tree, basis, sum(m.size + OVERHEAD for m in tree.matrices))


def _on_grid(subsets: list[Subset], rows: np.ndarray) -> np.ndarray:
    """(tuple of every subset ..., ...) of rows (basis, ...); zero where the total-degree set has no basis function."""
    grid = np.zeros((*(len(s.tuples) for s in subsets), *rows.shape[1:]))
    grid[tuple(s.of for s in subsets)] = rows
    return grid


def _through(
    done: tuple[Strengths, ...], core: np.ndarray, cost: float, frame: np.ndarray, lower: np.ndarray, tol: float
) -> Iterator[Features]:
    """All ways from strengths to features.

    Args:
        done: strengths of the stages so far.
        core: (strength or weight, functions of the next stages ..., first axis of `frame`).
        cost: of what is done.
        frame: (bin, first axis), orthonormal columns.
        lower: (bin, compressed first axis), from the metric.
        tol: what a cut may leave out, in norm.
    """
    if core.ndim == 3:
        yield from _features(done, core, cost, frame, lower, tol)
        return
    for strengths, mixed in _mixtures(core, tol):
        spent = sum(m.size + OVERHEAD for m in strengths.matrices) + _WRITING * (len(mixed) + core.shape[0] * core.shape[1])
        yield from _through((*done, strengths), mixed, cost + spent, frame, lower, tol)


def _mixtures(core: np.ndarray, tol: float) -> Iterator[tuple[Strengths, np.ndarray]]:
    """Ways to mix weights with the functions of a stage, and what they multiply (strength, further stages ..., first axis).

    Args:
        core: (weight, function, further stages ..., first axis).
        tol: what a cut may leave out, in norm.
    """
    n_weights, n_functions, *further = core.shape
    if n_functions > 1:
        flat = core.reshape(n_weights, n_functions, -1)
        mixes = [u for u, _ in left_singular_vectors_of_each(flat, tol)]
        spread = np.repeat(np.eye(n_weights), [m.shape[1] for m in mixes], axis=1)
        mixed = np.concatenate([m.T @ one for m, one in zip(mixes, flat, strict=True)])
        yield Strengths(np.concatenate(mixes, axis=1), spread), mixed.reshape(-1, *further)
    together = core.reshape(n_weights * n_functions, -1)
    mix, _ = left_singular_vectors(together, tol)
    yield Strengths(mix), (mix.T @ together).reshape(-1, *further)


def _features(
    done: tuple[Strengths, ...], mixed: np.ndarray, base: float, frame: np.ndarray, lower: np.ndarray, tol: float
) -> Iterator[Features]:
    """Ways from the last strengths and the outer functions to features.

    Args:
        done: strengths of all stages.
        mixed: (strength, outer, first axis of `frame`), what the last ones multiply.
        base: cost so far.
        frame: (bin, first axis), orthonormal columns.
        lower: (bin, compressed first axis), from the metric.
        tol: what a cut may leave out, in norm.
    """
    n_strengths, n_outer, _ = mixed.shape
    width = lower.shape[1]

    def found(narrow: np.ndarray | None, repeat: np.ndarray | None, rows: np.ndarray | None, written: int) -> Features:
        own = [m.size for m in (narrow, repeat) if m is not None]
        after = 0 if rows is None else len(rows) * width
        return Features(narrow, repeat, rows, done, base + sum(own) + OVERHEAD * len(own) + after + _WRITING * written)

    dense = mixed.reshape(-1, mixed.shape[-1])
    yield found(None, None, dense @ frame.T, len(dense))
    if n_outer > 1:
        lefts = [u for u, _ in left_singular_vectors_of_each(mixed, tol)]
        few = np.concatenate([u.T @ one for u, one in zip(lefts, mixed, strict=True)])
        repeat = np.repeat(np.eye(n_strengths), [u.shape[1] for u in lefts], axis=1)
        yield found(np.concatenate(lefts, axis=1), repeat, few @ frame.T, 2 * len(few))
        whole = np.moveaxis(mixed @ (frame.T @ lower), 0, 1).reshape(n_outer, -1)
        yield found(whole, None, None, 2 * whole.shape[1])


__all__ = ["Features", "Way", "cheapest_way"]
