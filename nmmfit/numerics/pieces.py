"""Derivatives of many bins in a few directions, kept as the products that they are made of."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from nmmfit import precision as precision
from nmmfit.shapes import Array


class Piece(NamedTuple):
    """Derivatives of neighbouring bins, `rows` (direction, k) @ `expand` (k, bin); None for the unit matrix.

    Where bins are many more than k, what is summed over bins is a small matrix in between, and derivatives bin by bin are
    never made.
    """

    rows: Array
    expand: np.ndarray | Array | None = None

    @property
    def bins(self) -> int:
        """Number of bins."""
        return int((self.rows if self.expand is None else self.expand).shape[1])

    def scaled(self, factors: Array) -> Piece:
        """The same with every direction (direction,) times a factor."""
        return self._replace(rows=self.rows * factors[:, None])

    def weighted(self, weights: Array) -> Array:
        """Sum over bins of weights (bin,) times the derivatives, (direction,)."""
        return self.rows @ (weights if self.expand is None else jnp.asarray(self.expand) @ weights)

    def square(self, weights: Array) -> Array:
        """Sum over bins of weights (bin,) times the outer product of the derivatives with themselves, (direction, direction)."""
        if self.expand is None:
            return (self.rows * weights) @ self.rows.T
        expand = jnp.asarray(self.expand)
        return self.rows @ ((expand * weights) @ expand.T) @ self.rows.T


def is_worth(directions: int, shape: tuple[int, int]) -> bool:
    """Whether squares of `directions` through a matrix of this shape (k, bin) cost less than with derivatives bin by bin."""
    k, bins = shape
    return k * k * (bins + directions) + directions * directions * k < directions * bins * (k + directions)


def weighted(pieces: Sequence[Piece], weights: Array) -> Array:
    """Sum over bins of weights (bin of all pieces,) times the derivatives, (direction,)."""
    return reduce(add, (piece.weighted(w) for piece, w in _shares(pieces, weights)))


def square(pieces: Sequence[Piece], weights: Array) -> Array:
    """Sum over bins of weights (bin of all pieces,) times the outer product of the derivatives with themselves."""
    return reduce(add, (piece.square(w) for piece, w in _shares(pieces, weights)))


def _shares(pieces: Sequence[Piece], weights: Array) -> list[tuple[Piece, Array]]:
    ends = np.cumsum([piece.bins for piece in pieces])
    return [(piece, weights[end - piece.bins : end]) for piece, end in zip(pieces, ends, strict=True)]
