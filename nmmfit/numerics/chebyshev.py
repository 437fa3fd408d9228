"""Chebyshev bases in several variables, on anisotropic total-degree index sets."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import jax.numpy as jnp
import numpy as np

from nmmfit import precision as precision
from nmmfit.shapes import Array


def chebyshev_nodes(n: int) -> np.ndarray:
    """The n zeros of T_n on [-1, 1], ascending."""
    return -np.cos(np.pi * (np.arange(n) + 0.5) / n)


def chebyshev_values(x: Array, degree: int) -> Array:
    """T_0(x) ... T_degree(x) on a new last axis, by the three-term recurrence (exact derivatives of any order)."""
    values = [jnp.ones_like(x), x]
    for _ in range(degree - 1):
        values.append(2.0 * x * values[-1] - values[-2])
    return jnp.stack(values[: degree + 1], axis=-1)


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
    alone, up to the size of their mixed derivatives; `templates.py` checks the result at random points and raises the degrees
    where it fails.
    """

    degrees: tuple[int, ...]
    half_width: float

    @property
    def indices(self) -> np.ndarray:
        """(basis, variable) integer degrees, sorted; one row of nothing when there is no variable."""
        if not self.degrees:
            return np.zeros((1, 0), dtype=int)
        rows = [
            k
            for k in product(*(range(d + 1) for d in self.degrees))
            if sum(ki / d for ki, d in zip(k, self.degrees, strict=True) if d > 0) <= 1.0 + 1e-9
        ]
        return np.asarray(sorted(rows, key=lambda k: (sum(k), k)), dtype=int)

    @property
    def size(self) -> int:
        """Number of basis functions."""
        return len(self.indices)

    def selectors(self) -> list[np.ndarray]:
        """One 0/1 matrix (degree + 1, basis) per variable: a matrix product is kinder to gradients than a gather."""
        return [np.eye(d + 1)[:, self.indices[:, i]] if d > 0 else np.ones((1, self.size)) for i, d in enumerate(self.degrees)]

    def evaluate(self, x: Array) -> Array:
        """Basis functions at x (variable,) in pull units; (basis,).

        Outside +-half_width the value at the edge is used: the shape freezes there, and its derivative is zero.
        """
        result = jnp.ones((self.size,))
        scaled = jnp.clip(x / self.half_width, -1.0, 1.0)
        for i, (d, select) in enumerate(zip(self.degrees, self.selectors(), strict=True)):
            if d > 0:
                result = result * (chebyshev_values(scaled[i], d) @ jnp.asarray(select))
        return result

    def matrix(self, points: np.ndarray) -> np.ndarray:
        """Design matrix (point, basis) at points (point, variable) in pull units, numpy."""
        scaled = np.clip(points / self.half_width, -1.0, 1.0)
        result = np.ones((len(points), self.size))
        for i in range(len(self.degrees)):
            result *= np.cos(np.arccos(scaled[:, i, None]) * self.indices[None, :, i])
        return result
