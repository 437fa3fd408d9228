"""The unitary 3 x 3 matrix of the PDG review, which quarks and neutrinos share."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from nmmfit import precision as precision
from nmmfit.shapes import Array


def standard_mixing_matrix(first: tuple[Any, Any], second: tuple[Any, Any], third: tuple[Any, Any]) -> Array:
    """R23 diag(1, 1, e^{i delta}) R13 diag(1, 1, e^{-i delta}) R12.

    Args:
        first: sine and cosine of theta_12; second: of theta_23.
        third: w = sin(theta_13) e^{i delta}, complex, and the cosine of theta_13. All broadcast.
    Returns: (..., 3, 3), complex; unitary if sines and cosines belong to each other.
    """
    (s12, c12), (s23, c23), (w, c13) = first, second, third
    rows = (
        (c12 * c13, s12 * c13, jnp.conj(w)),
        (-s12 * c23 - c12 * s23 * w, c12 * c23 - s12 * s23 * w, s23 * c13),
        (s12 * s23 - c12 * c23 * w, -c12 * s23 - s12 * c23 * w, c23 * c13),
    )
    entries = jnp.broadcast_arrays(*(jnp.asarray(x, dtype=jnp.complex128) for row in rows for x in row))
    return jnp.stack(entries, axis=-1).reshape(*entries[0].shape, 3, 3)
