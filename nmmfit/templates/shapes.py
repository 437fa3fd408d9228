"""Functions of the shape pulls: Chebyshev polynomials of each, joined two by two to a few compressed basis functions.

A fit of several pulls needs hundreds of basis functions T_k1(x1) T_k2(x2) ... but very few combinations of them matter, and these
are few at every stage: of one pull, of a pair, of all (a hierarchical Tucker decomposition). A tree evaluates them from the
leaves up, at one point or at a block of points side by side (numerics/side_by_side.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias

import jax.numpy as jnp
import numpy as np

from nmmfit.numerics.chebyshev import chebyshev_rows, chebyshev_values
from nmmfit.numerics.side_by_side import is_block, outer, times
from nmmfit.shapes import Array

# Pulls with degrees up to this share one table of polynomials; a few of higher degree have their own.
_SHARED_DEGREE = 16

# Numbers that processors multiply side by side.
_LANES = 8

OVERHEAD = 400
"""What one more matrix product costs, however small, in multiplications."""


@dataclass(frozen=True)
class Leaf:
    """One pull: T_0 ... T_degree, or combinations of them, `compress` (degree + 1, rank)."""

    pull: str
    degree: int
    compress: np.ndarray | None = None

    @property
    def rank(self) -> int:
        """Number of functions."""
        return self.degree + 1 if self.compress is None else self.compress.shape[1]

    @property
    def matrices(self) -> tuple[np.ndarray, ...]:
        """Matrices that an evaluation multiplies by."""
        return () if self.compress is None else (self.compress,)

    @property
    def degrees(self) -> dict[str, int]:
        """Degree in each pull."""
        return {self.pull: self.degree}

    def evaluate(self, table: Mapping[str, Array]) -> Array:
        """Functions (rank,), or (rank, point), from the polynomials of every pull."""
        values = table[self.pull][: self.degree + 1]
        return values if self.compress is None else times(values, self.compress)


@dataclass(frozen=True)
class LongLeaf:
    """One pull in many degrees: products T_(m i)(x) T_j(x), i < blocks and j < m, which span all polynomials below m * blocks.

    T_(m i)(x) = T_i(T_m(x)), so that two short sets of polynomials make a long one.
    """

    pull: str
    m: int
    blocks: int

    @property
    def rank(self) -> int:
        """Number of functions."""
        return self.m * self.blocks

    @property
    def matrices(self) -> tuple[np.ndarray, ...]:
        """Matrices that an evaluation multiplies by: none."""
        return ()

    @property
    def degrees(self) -> dict[str, int]:
        """Degree in the pull that its polynomials are needed to."""
        return {self.pull: self.m}

    def evaluate(self, table: Mapping[str, Array]) -> Array:
        """Functions (rank,), or (rank, point), from the polynomials of every pull."""
        short = table[self.pull]
        if is_block(short):
            (blocks,) = chebyshev_rows(short[self.m : self.m + 1], (self.blocks - 1,))
        else:
            blocks = chebyshev_values(short[self.m], self.blocks - 1)
        return outer(blocks, short[: self.m])

    def basis(self, n: int) -> np.ndarray:
        """(n, rank): T_0 ... T_(n-1) in terms of the products, by T_(mi+j) = 2 T_(mi) T_j - T_(mi-j)."""
        rows = np.eye(self.rank)
        for k in range(self.m, self.rank):
            i, j = divmod(k, self.m)
            if j:
                rows[k] = 2.0 * np.eye(self.rank)[k] - rows[self.m * i - j]
        return rows[:n]


@dataclass(frozen=True)
class Node:
    """Products of the functions of two sets of pulls, or combinations of them, `transfer` (product, rank)."""

    left: Tree
    right: Tree
    transfer: np.ndarray | None = None

    @property
    def rank(self) -> int:
        """Number of functions."""
        return self.left.rank * self.right.rank if self.transfer is None else self.transfer.shape[1]

    @property
    def matrices(self) -> tuple[np.ndarray, ...]:
        """Matrices that an evaluation multiplies by."""
        own = () if self.transfer is None else (self.transfer,)
        return (*self.left.matrices, *self.right.matrices, *own)

    @property
    def degrees(self) -> dict[str, int]:
        """Degree in each pull."""
        return self.left.degrees | self.right.degrees

    def evaluate(self, table: Mapping[str, Array]) -> Array:
        """Functions (rank,), or (rank, point), from the polynomials of every pull."""
        products = outer(self.left.evaluate(table), self.right.evaluate(table))
        return products if self.transfer is None else times(products, self.transfer)


Tree: TypeAlias = Leaf | LongLeaf | Node


def polynomial_table(pulls: Mapping[str, Array], degrees: Mapping[str, int], half_width: float) -> dict[str, Array]:
    """T_0 ... T_n of every pull in `degrees`, at least as many as it needs, (n + 1,), or (n + 1, point) of pulls (point,).

    Outside +-half_width the value at the edge is used: the shape freezes there, and its derivative is zero.
    """
    table: dict[str, Array] = {}
    shared = [name for name, degree in degrees.items() if degree <= _SHARED_DEGREE]
    alone = [[name] for name in degrees if name not in shared]
    for names in ([shared] if shared else []) + alone:
        x = jnp.clip(jnp.stack([pulls[name] for name in names]) / half_width, -1.0, 1.0)
        own = tuple(degrees[name] for name in names)
        rows = chebyshev_rows(x, own) if is_block(x) else chebyshev_values(x, max(own))
        table.update({name: rows[i] for i, name in enumerate(names)})
    return table


def left_singular_vectors(matrix: np.ndarray, tol: float) -> tuple[np.ndarray, np.ndarray]:
    """Left singular vectors (row, rank) and values of (row, column), so many that what they leave out is below `tol` in norm."""
    return left_singular_vectors_of_each(matrix[None], tol)[0]


def left_singular_vectors_of_each(matrices: np.ndarray, tol: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """`left_singular_vectors` of every matrix of (matrix, row, column), all in one call, which costs more than a small matrix."""
    # The triangular factor of QR has the same ones, and is smaller.
    triangular = np.asarray(np.linalg.qr(np.swapaxes(matrices, 1, 2), mode="r"))
    left, singular, _ = np.linalg.svd(np.swapaxes(triangular, 1, 2), full_matrices=False)
    rest = np.sqrt(np.cumsum(singular[:, ::-1] ** 2, axis=1)[:, ::-1])
    ranks = np.maximum(1, np.sum(rest > tol, axis=1))
    return [(u[:, :rank], s[:rank]) for u, s, rank in zip(left, singular, ranks, strict=True)]


def in_lanes(matrix: np.ndarray, tol: float) -> tuple[np.ndarray, np.ndarray]:
    """`left_singular_vectors`, as many as fill whole lanes if they fill two: products with these take a fraction of the time of
    others, and the more of them are accuracy for nothing."""
    left, singular = left_singular_vectors(matrix, 0.0)
    least = int(np.sum(np.sqrt(np.cumsum(singular[::-1] ** 2)[::-1]) > tol))
    rank = max(1, least if least <= 2 * _LANES else min(-(-least // _LANES) * _LANES, len(singular)))
    return left[:, :rank], singular[:rank]


_Cut: TypeAlias = tuple[np.ndarray, np.ndarray]
"""Left singular vectors (tuple, rank) and values (rank,)."""


@dataclass(frozen=True)
class Subset:
    """Some of the pulls of a total-degree set: their distinct degree tuples, and which of them every basis function has."""

    columns: tuple[int, ...]
    tuples: np.ndarray
    """(tuple, pull of the subset) degrees."""
    of: np.ndarray
    """(basis,) the tuple of every basis function."""

    @classmethod
    def make(cls, indices: np.ndarray, columns: tuple[int, ...]) -> Subset:
        if not columns:
            return cls(columns, np.zeros((1, 0), dtype=int), np.zeros(len(indices), dtype=int))
        tuples, of = np.unique(indices[:, list(columns)], axis=0, return_inverse=True)
        return cls(columns, tuples, of.ravel())


def _unfolded(mine: Subset, other: Subset, weighted: np.ndarray) -> np.ndarray:
    """(tuple of mine, tuple of other * column) of weighted (basis, column)."""
    result = np.zeros((len(mine.tuples), len(other.tuples), weighted.shape[1]))
    result[mine.of, other.of] = weighted
    return result.reshape(len(mine.tuples), -1)


def _bipartitions(columns: tuple[int, ...]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    first, *rest = columns
    return [((first, *some), tuple(c for c in rest if c not in some)) for n in range(len(rest)) for some in combinations(rest, n)]


def compressed_tree(
    pulls: tuple[str, ...], indices: np.ndarray, weighted: np.ndarray, tol: float, columns: int
) -> tuple[Tree, np.ndarray]:
    """The functions of shape pulls that matter.

    Args:
        pulls: their names, at least one.
        indices: (basis, pull) degrees of the basis functions, a total-degree set.
        weighted: (basis, column) coefficients in the metric of the data.
        tol: what may be left out, in norm, per cut.
        columns: numbers made from each function afterwards, for the choice of the cheapest tree.
    Returns: tree and matrix Q (basis, rank): a quantity with coefficients C (basis, ...) is (the tree's functions) @ Q^T C, with
        an error of a few `tol` in norm for the columns of `weighted`.
    """
    left, singular = in_lanes(weighted, tol)
    whole = Subset.make(indices, tuple(range(len(pulls))))
    # The rows of `indices` are distinct, but np.unique sorts them.
    sorted_left = np.zeros_like(left)
    sorted_left[whole.of] = left
    tree, basis = _tree(pulls, whole.tuples, whole.columns, sorted_left, singular, tol, columns, root=True)
    return tree, basis[whole.of]


def _tree(
    pulls: tuple[str, ...],
    tuples: np.ndarray,
    columns: tuple[int, ...],
    basis: np.ndarray,
    singular: np.ndarray,
    tol: float,
    after: int,
    root: bool = False,
) -> tuple[Tree, np.ndarray]:
    """Tree of the pulls `columns` for the functions `basis` (tuple, rank), and the functions it really gives (tuple, rank')."""
    n, rank = basis.shape
    if len(columns) == 1:
        degree = int(tuples.max(initial=0))
        is_long = degree > _SHARED_DEGREE and n == degree + 1
        m = math.ceil(math.sqrt(degree + 1))
        long = LongLeaf(pulls[columns[0]], m, -(-(degree + 1) // m))
        if n * rank + rank * after + OVERHEAD < (long.rank if is_long else n) * after:
            return Leaf(pulls[columns[0]], degree, basis), basis
        if is_long:
            return long, long.basis(n)[tuples.ravel()]
        return Leaf(pulls[columns[0]], degree), np.eye(n)
    position = {c: i for i, c in enumerate(columns)}
    best: tuple[float, tuple[Subset, Subset], tuple[_Cut, _Cut]] | None = None
    for halves in _bipartitions(columns):
        a, b = (Subset.make(tuples, tuple(position[c] for c in half)) for half in halves)
        cuts = tuple(left_singular_vectors(_unfolded(s, o, basis * singular), tol) for s, o in ((a, b), (b, a)))
        product = cuts[0][0].shape[1] * cuts[1][0].shape[1]
        down = min(product * after, product * rank + rank * after + OVERHEAD) if root else product * rank
        cost = float(cuts[0][0].size + cuts[1][0].size + down)
        if best is None or cost < best[0]:
            best = cost, (a, b), (cuts[0], cuts[1])
    assert best is not None
    (a, b), (cut_a, cut_b) = best[1], best[2]
    further = after if root else rank

    def below(side: Subset, cut: _Cut, other: _Cut) -> tuple[Tree, np.ndarray]:
        mine = tuple(columns[i] for i in side.columns)
        return _tree(pulls, side.tuples, mine, *cut, tol, other[0].shape[1] * further)

    (left, ua), (right, ub) = below(a, cut_a, cut_b), below(b, cut_b, cut_a)
    kron = (ua[a.of][:, :, None] * ub[b.of][:, None, :]).reshape(n, -1)
    product = kron.shape[1]
    if root and product * after <= product * rank + rank * after + OVERHEAD:
        return Node(left, right), kron
    return Node(left, right, kron.T @ basis), basis
