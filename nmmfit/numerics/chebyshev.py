"""Chebyshev bases in several variables, on anisotropic total-degree index sets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit import precision as precision
from nmmfit.shapes import Array


def chebyshev_nodes(n: int) -> np.ndarray:
    """The n zeros of T_n on [-1, 1], ascending."""
    return -np.cos(np.pi * (np.arange(n) + 0.5) / n)


def derivative_matrix(degree: int) -> np.ndarray:
    """(degree + 1, degree + 1) matrix D with dT_k/dx = sum_j D[j, k] T_j."""
    columns = [np.polynomial.chebyshev.chebder(row) for row in np.eye(degree + 1)]
    return np.stack([np.pad(c, (0, degree + 1 - len(c))) for c in columns], axis=1)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def chebyshev_values(x: Array, degree: int) -> Array:
    """T_0(x) ... T_degree(x) on a new last axis; |x| <= 1, where rounding errors stay below 1e-12 up to degree 100.

    By T_(n+k) = 2 T_n T_k - T_(n-k), which doubles the number of values in each step and costs less than cosines. Derivatives of
    any order are exact, and stay small programs: the derivative of a polynomial is a polynomial, a constant matrix applied to
    the same values.
    """
    values = jnp.stack([jnp.ones_like(x), x], axis=-1)
    while (n := values.shape[-1] - 1) < degree:
        new = min(n, degree - n)
        more = 2.0 * values[..., n:] * values[..., 1 : new + 1] - values[..., n - new : n][..., ::-1]
        values = jnp.concatenate([values, more], axis=-1)
    return values[..., : degree + 1]


@chebyshev_values.defjvp
def _chebyshev_jvp(degree: int, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    values = chebyshev_values(primals[0], degree)
    return values, (values @ jnp.asarray(derivative_matrix(degree))) * tangents[0][..., None]


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def chebyshev_rows(x: Array, degrees: tuple[int, ...]) -> tuple[Array, ...]:
    """The same for several variables x (variable, point), to a degree of its own each: (degree + 1, point) of every one.

    Derivatives of first order and backwards only.
    """
    values = _rows(x, max(degrees))
    return tuple(values[: degree + 1, i] for i, degree in enumerate(degrees))


def _rows(x: Array, degree: int) -> Array:
    values = jnp.stack([jnp.ones_like(x), x])
    while (n := len(values) - 1) < degree:
        new = min(n, degree - n)
        more = 2.0 * values[n:] * values[1 : new + 1] - values[n - new : n][::-1]
        values = jnp.concatenate([values, more])
    return values


def _rows_forwards(x: Array, degrees: tuple[int, ...]) -> tuple[tuple[Array, ...], Array]:
    values = _rows(x, max(degrees))
    return tuple(values[: degree + 1, i] for i, degree in enumerate(degrees)), values


def _rows_backwards(degrees: tuple[int, ...], values: Array, above: tuple[Array, ...]) -> tuple[Array]:
    matrix = np.ascontiguousarray(derivative_matrix(len(values) - 1).T)
    slopes = jnp.tensordot(jnp.asarray(matrix), values, axes=1)
    return (jnp.stack([jnp.sum(mine * slopes[: len(mine), i], axis=0) for i, mine in enumerate(above)]),)


chebyshev_rows.defvjp(_rows_forwards, _rows_backwards)


def coefficients_1d(values: np.ndarray) -> np.ndarray:
    """Chebyshev coefficients along axis 0 of values taken at `chebyshev_nodes(n)`; shape unchanged."""
    n = values.shape[0]
    nodes = chebyshev_nodes(n)
    transform = np.cos(np.outer(np.arange(n), np.arccos(nodes))) * (2.0 / n)
    transform[0] *= 0.5
    return np.tensordot(transform, values, axes=1)


@dataclass(frozen=True)
class ChebyshevBasis:
    """Products T_k1(x1) T_k2(x2) ... with sum_i k_i / d_i <= 1: the anisotropic total-degree set of degrees d_i.

    Analytic functions of several variables need no more than this for the accuracy that degree d_i gives in each variable
    alone, up to the size of their mixed derivatives; the fits of templates check the result at random points and
    raise the degrees where it fails.
    """

    degrees: tuple[int, ...]
    half_width: float

    @cached_property
    def indices(self) -> np.ndarray:
        """(basis, variable) integer degrees, sorted; one row of nothing when there is no variable."""
        if not self.degrees:
            return np.zeros((1, 0), dtype=int)
        degrees = np.asarray(self.degrees)
        every = np.indices(tuple(degrees + 1)).reshape(len(degrees), -1).T
        rows = every[np.sum(every / np.maximum(degrees, 1), axis=1) <= 1.0 + 1e-9]
        # By total degree, then by the degrees one after the other: the last key of a lexical sort counts first.
        return np.asarray(rows[np.lexsort([*rows.T[::-1], rows.sum(axis=1)])], dtype=int)

    @property
    def size(self) -> int:
        """Number of basis functions."""
        return len(self.indices)

    def matrix(self, points: np.ndarray) -> np.ndarray:
        """Design matrix (point, basis) at points (point, variable) in pull units, numpy."""
        scaled = np.clip(points / self.half_width, -1.0, 1.0)
        result = np.ones((len(points), self.size))
        for i in range(len(self.degrees)):
            result *= np.cos(np.arccos(scaled[:, i, None]) * self.indices[None, :, i])
        return result
