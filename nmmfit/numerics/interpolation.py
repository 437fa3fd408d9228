"""Piecewise cubic interpolation: coefficients are made once, with scipy; evaluation is traceable and differentiable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from nmmfit import precision as precision
from nmmfit.errors import DataError
from nmmfit.shapes import Array, Points

Boundary = Literal["not-a-knot", "natural", "clamped"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class PiecewiseCubic:
    """A piecewise cubic: `knots` (n + 1,), increasing; `coefficients` (4, n), highest power first, in x - knots[i]."""

    knots: Array | np.ndarray
    coefficients: Array | np.ndarray

    def __call__(self, x: Points) -> Points:
        """Value at x, any shape; nan outside the table (call `check_range` first, with numbers)."""
        x = jnp.asarray(x, dtype=jnp.float64)
        knots = jnp.asarray(self.knots)
        index = jnp.clip(jnp.searchsorted(knots, x, side="right") - 1, 0, len(self.knots) - 2)
        c3, c2, c1, c0 = jnp.asarray(self.coefficients)[:, index]
        d = x - knots[index]
        value = c0 + d * (c1 + d * (c2 + d * c3))
        return jnp.where((x < knots[0]) | (x > knots[-1]), jnp.nan, value)

    def check_range(self, lower: float, upper: float, where: str) -> None:
        """Refuse arguments outside the table. Raises: DataError naming the range asked for and the table's."""
        first, last = float(self.knots[0]), float(self.knots[-1])
        if not (first <= lower <= upper <= last):
            raise DataError(f"{where}: asked for [{lower:g}, {upper:g}], the table covers [{first:g}, {last:g}]")


def cubic_spline(x: ArrayLike, y: ArrayLike, boundary: Boundary = "not-a-knot", where: str = "cubic_spline") -> PiecewiseCubic:
    """Interpolating cubic spline, twice continuously differentiable.

    Args:
        x: (n,) knots, increasing.
        y: (n,) values.
        boundary: end conditions; "clamped" means zero slope, "natural" zero curvature.
        where: what to name in an error.
    Raises: DataError if the knots do not increase or something is not finite.
    """
    # Imported here and below: a tenth of a second, which a process that finds its templates on disk does not need.
    from scipy.interpolate import CubicSpline

    xs, ys = _checked(x, y, where)
    return PiecewiseCubic(xs, CubicSpline(xs, ys, bc_type=boundary).c)


def pchip(x: ArrayLike, y: ArrayLike, where: str = "pchip") -> PiecewiseCubic:
    """Monotone piecewise cubic (Fritsch-Carlson), once continuously differentiable: no overshoot between the points.

    Args and errors as `cubic_spline`.
    """
    from scipy.interpolate import PchipInterpolator

    xs, ys = _checked(x, y, where)
    return PiecewiseCubic(xs, PchipInterpolator(xs, ys).c)


def _checked(x: ArrayLike, y: ArrayLike, where: str) -> tuple[np.ndarray, np.ndarray]:
    xs, ys = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if xs.ndim != 1 or xs.shape != ys.shape or len(xs) < 2:
        raise DataError(f"{where}: needs two equally long columns with at least two points, got shapes {xs.shape} and {ys.shape}")
    if not (np.all(np.isfinite(xs)) and np.all(np.isfinite(ys))):
        raise DataError(f"{where}: points must be finite")
    if not np.all(np.diff(xs) > 0):
        raise DataError(f"{where}: knots must increase (first break at point {int(np.flatnonzero(np.diff(xs) <= 0)[0]) + 1})")
    return xs, ys


def lagrange_matrix(nodes: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Values at x of the Lagrange polynomials of distinct nodes (node,): shape of x plus (node,)."""
    # Distances in units of a quarter of the range keep the barycentric weights near 1.
    unit = 4.0 / (nodes.max() - nodes.min()) if len(nodes) > 1 else 1.0
    weights = 1.0 / np.prod((nodes[:, None] - nodes[None, :]) * unit + np.eye(len(nodes)), axis=1)
    distance = x[..., None] - nodes
    exact = distance == 0.0
    terms = weights / np.where(exact, 1.0, distance)
    ratio = terms / terms.sum(axis=-1, keepdims=True)
    return np.where(exact.any(axis=-1, keepdims=True), exact.astype(float), ratio)
