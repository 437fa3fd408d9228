"""Polynomials and integrals of their ratios, where one program evaluates them very many times."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from numpy.polynomial import Chebyshev
from numpy.polynomial.chebyshev import cheb2poly
from numpy.polynomial.polynomial import polyval

from nmmfit import precision as precision
from nmmfit.numerics.chebyshev import chebyshev_nodes, coefficients_1d
from nmmfit.shapes import Array

_DEGREE = 20


def polynomial(coefficients: np.ndarray | Array, x: Array) -> Array:
    """sum_i c_i x^i with c_i in the last axis of `coefficients`, whose other axes broadcast against x."""
    last = coefficients[..., -1]
    total = jnp.broadcast_to(last, jnp.broadcast_shapes(last.shape, jnp.shape(x)))
    for i in reversed(range(coefficients.shape[-1] - 1)):
        total = total * x + coefficients[..., i]
    return total


def ratio_integral(numerator: np.ndarray, denominator: np.ndarray, largest: float) -> Callable[[Array], Array]:
    """u -> integral of numerator(a) / denominator(a) over a from 0 to 1/u, for u >= 1 / largest.

    A polynomial of degree 21 stands for it: no nodes, no logarithms. Its error falls as rho^-21, with rho the sum of the half
    axes, in units of largest / 2, of the ellipse of foci 0 and `largest` through the nearest zero of the denominator; beyond
    `largest` it grows as fast. Its derivatives are for the caller, who knows them in closed form.

    Args:
        numerator, denominator: coefficients in the last axis, lowest first; the other axes are the same and broadcast against u.
        largest: upper end of a; no zero of a denominator lies between 0 and it.
    """
    ends = np.array([0.0, largest])

    def powers(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
        """Coefficients of the integral divided by a in powers of 2 a / largest - 1."""
        nodes = 0.5 * largest * (1.0 + chebyshev_nodes(_DEGREE + 1))
        ratio = Chebyshev(coefficients_1d(polyval(nodes, top) / polyval(nodes, bottom)), ends)
        found = cheb2poly(coefficients_1d(ratio.integ(lbnd=0.0)(nodes) / nodes))
        return np.pad(found, (0, _DEGREE + 1 - len(found)))

    rows = [powers(*pair) for pair in zip(_rows(numerator), _rows(denominator), strict=True)]
    coefficients = np.reshape(rows, (*numerator.shape[:-1], _DEGREE + 1))

    def integral(u: Array) -> Array:
        # Not times a: XLA repeats a chain of products and sums in every loop that reads it; what ends in a division it does once.
        return polynomial(coefficients, (2.0 / largest) / u - 1.0) / u

    return integral


def _rows(coefficients: np.ndarray) -> np.ndarray:
    return coefficients.reshape(-1, coefficients.shape[-1])
