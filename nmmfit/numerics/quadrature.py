"""Gauss-Legendre quadrature on intervals: nodes and weights are numpy arrays, made once when a model is built."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from nmmfit.errors import UserInputError


@lru_cache(maxsize=64)
def unit_gauss_legendre(order: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on [0, 1], each (order,), read-only; exact for polynomials of degree 2 order - 1.

    Raises: UserInputError if order < 1.
    """
    if order < 1:
        raise UserInputError(f"quadrature order must be >= 1, got {order}")
    x, w = np.polynomial.legendre.leggauss(order)
    nodes, weights = 0.5 * (x + 1.0), 0.5 * w
    nodes.flags.writeable = weights.flags.writeable = False
    return nodes, weights


def gauss_legendre(order: int, lower: ArrayLike, upper: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre rule on [lower, upper].

    Args:
        order: number of nodes, >= 1.
        lower, upper: ends, any broadcastable shape (...); where upper < lower the weights are negative, as in an integral.
    Returns: (nodes, weights), each (..., order).
    """
    x, w = unit_gauss_legendre(order)
    a, b = np.broadcast_arrays(np.asarray(lower, dtype=float), np.asarray(upper, dtype=float))
    length = (b - a)[..., None]
    return a[..., None] + length * x, length * w


def gauss_legendre_smooth_ends(order: int, lower: ArrayLike, upper: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre rule after x = lower + (upper - lower) sin^2(pi s / 2): for integrands with square-root or logarithmic ends.

    A beta spectrum ends like the square root of the distance to its endpoint and a radiative correction begins like the
    logarithm of the distance to threshold; both are smooth, or nearly so, in s.

    Args and returns: as `gauss_legendre`.
    """
    s, w = unit_gauss_legendre(order)
    # The distance to the nearer end is kept free of cancellation by the half angle.
    fraction = np.sin(0.5 * np.pi * s) ** 2
    jacobian = 0.5 * np.pi * np.sin(np.pi * s)
    a, b = np.broadcast_arrays(np.asarray(lower, dtype=float), np.asarray(upper, dtype=float))
    length = (b - a)[..., None]
    return a[..., None] + length * fraction, length * (w * jacobian)


def composite_gauss_legendre(order: int, edges: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre rule on every interval between consecutive edges.

    Args:
        order: nodes per interval.
        edges: (n + 1,), increasing.
    Returns: (nodes, weights), each (n, order); ravel them for one rule on [edges[0], edges[-1]].
    Raises: UserInputError if the edges do not increase.
    """
    e = np.asarray(edges, dtype=float)
    if e.ndim != 1 or len(e) < 2 or not np.all(np.diff(e) > 0):
        raise UserInputError(f"quadrature edges must be at least two increasing numbers, got {e.tolist()}")
    return gauss_legendre(order, e[:-1], e[1:])


def measure_gauss(order: int, points: ArrayLike, masses: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Gauss rule of a discrete measure: few nodes that stand for many weighted points.

    sum_k w_k f(x_k) equals sum_i masses_i f(points_i) for every polynomial f of degree 2 order - 1. Lanczos on the diagonal
    matrix of the points (W. Gautschi, Orthogonal Polynomials, 2004, section 2.2.3), with full reorthogonalisation.

    Args:
        order: number of nodes, at most the number of distinct points with mass.
        points, masses: (n,), masses >= 0.
    Returns: (nodes, weights), each (order,), nodes increasing, inside the range of the points; weights sum to the total mass.
    Raises: UserInputError if the measure has fewer points than `order`, or negative mass.
    """
    x, m = np.asarray(points, dtype=float), np.asarray(masses, dtype=float)
    if x.shape != m.shape or x.ndim != 1 or np.any(m < 0):
        raise UserInputError("measure_gauss: points and masses must be equally long, masses >= 0")
    if len(np.unique(x[m > 0])) < order:
        raise UserInputError(f"measure_gauss: {order} nodes need at least as many distinct points with mass")
    centre, half = 0.5 * (x.max() + x.min()), max(0.5 * (x.max() - x.min()), np.finfo(float).tiny)
    t = (x - centre) / half
    basis = [np.sqrt(m / m.sum())]
    alpha, beta = [], []
    for k in range(order):
        v = t * basis[-1]
        alpha.append(float(v @ basis[-1]))
        for _ in range(2):
            for q in basis:
                v = v - (v @ q) * q
        if k < order - 1:
            beta.append(float(np.linalg.norm(v)))
            basis.append(v / beta[-1])
    values, vectors = np.linalg.eigh(np.diag(alpha) + np.diag(beta, 1) + np.diag(beta, -1))
    return centre + half * values, m.sum() * vectors[0] ** 2
