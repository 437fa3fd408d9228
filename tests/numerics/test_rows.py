"""Rows in other places, against numpy's assignment to them."""

from __future__ import annotations

import numpy as np
import pytest

from nmmfit.numerics.rows import aligned, aligned_both_ways

CASES = [
    ((0, 1, 2), (0, 1, 2)),
    ((0, 1, 4), range(6)),
    ((4, 0, 1), range(5)),
    ((3, 5, 6, 7), (5, 6)),
    ((3, 5, 6, 7), (7, 3, 4, 6)),
    ((2,), (0, 1)),
    ((), (0, 1)),
    ((0, 1), ()),
]


@pytest.mark.parametrize(("have", "want"), CASES)
def test_aligned(have, want) -> None:
    rows = np.random.default_rng(1).normal(size=(len(have), 3))
    everything = np.zeros((9, 3))
    everything[list(have)] = rows
    np.testing.assert_array_equal(aligned(rows, have, want), everything[list(want)])


@pytest.mark.parametrize(("have", "want"), CASES)
def test_aligned_both_ways(have, want) -> None:
    matrix = np.random.default_rng(2).normal(size=(len(have), len(have)))
    matrix = matrix + matrix.T
    everything = np.zeros((9, 9))
    everything[np.ix_(list(have), list(have))] = matrix
    np.testing.assert_array_equal(aligned_both_ways(matrix, have, want), everything[np.ix_(list(want), list(want))])
