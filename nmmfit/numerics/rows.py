"""Rows of arrays moved to other places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import jax.numpy as jnp
import numpy as np

from nmmfit import precision as precision
from nmmfit.shapes import Array

Names: TypeAlias = Sequence[int] | np.ndarray


def aligned(rows: Array, have: Names, want: Names) -> Array:
    """Of rows (have, ...) those called `want`, (want, ...), and zeros for what there is no row for; names known beforehand.

    Runs of neighbours are copied as they are: a gather takes them apart, a scatter goes through them one by one.
    """
    if list(have) == list(want):
        return rows
    place = {name: i for i, name in enumerate(have)}
    pieces, begin = [], 0
    for end in range(1, len(want) + 1):
        last = place.get(want[end - 1])
        if end < len(want) and place.get(want[end]) == (None if last is None else last + 1):
            continue
        if last is None:
            pieces.append(jnp.zeros((end - begin, *rows.shape[1:])))
        else:
            pieces.append(rows[last + 1 - (end - begin) : last + 1])
        begin = end
    return jnp.concatenate(pieces) if pieces else jnp.zeros((0, *rows.shape[1:]))


def aligned_both_ways(matrix: Array, have: Names, want: Names) -> Array:
    """The same of the rows and columns of a symmetric matrix."""
    return aligned(aligned(matrix, have, want).T, have, want)
