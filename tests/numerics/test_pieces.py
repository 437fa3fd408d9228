"""Derivatives in pieces, against one dense matrix of numpy."""

from __future__ import annotations

import numpy as np
import pytest

from nmmfit.numerics.pieces import Piece, is_worth, square, weighted


def test_sums_of_pieces() -> None:
    rng = np.random.default_rng(1)
    expand = rng.normal(size=(2, 5))
    rows = [rng.normal(size=(3, k)) for k in (2, 4)]
    pieces = (Piece(rows[0], expand), Piece(rows[1]))
    assert [piece.bins for piece in pieces] == [5, 4]
    dense, weights = np.concatenate([rows[0] @ expand, rows[1]], axis=1), rng.normal(size=9)
    np.testing.assert_allclose(weighted(pieces, weights), dense @ weights, rtol=1e-13)
    np.testing.assert_allclose(square(pieces, weights), dense @ np.diag(weights) @ dense.T, rtol=1e-12, atol=1e-13)
    factors = rng.normal(size=3)
    np.testing.assert_allclose(weighted([p.scaled(factors) for p in pieces], weights), factors * (dense @ weights), rtol=1e-13)


@pytest.mark.parametrize(("directions", "shape", "worth"), [(24, (29, 151), True), (24, (2, 600), True), (2, (29, 151), False)])
def test_when_it_is_worth(directions: int, shape: tuple[int, int], worth: bool) -> None:
    """By multiplications: with (k, bin) matrices in between, and bin by bin."""
    k, bins = shape
    through = k * k * bins + directions * k * (k + directions)
    assert is_worth(directions, shape) == worth == (through < directions * k * bins + directions**2 * bins)
