"""Polynomials and integrals of their ratios, where one program evaluates them very many times."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from numpy.polynomial import Chebyshev
from numpy.polynomial.chebyshev import cheb2poly
from numpy.polynomial.polynomial import polyval

from nmmfit import precision as precision
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
    """u -> integral of numerator(a) / denominator(a) over a from 0 to 1/u, for u >= 1/largest.

    A polynomial of degree 21 in a stands for it, so that there is neither a node of a quadrature nor a logarithm. Its error falls as
    rho^-21 with the ellipse of foci 0 and `largest` that reaches the nearest zero of the denominator; beyond `largest` it grows fast.
    Derivatives of any order are those of the ratio itself.

    Args:
        numerator, denominator: coefficients in the last axis, from the constant; their other axes are the same, broadcast
            against u, and may not be empty of zeros of the denominator outside [0, largest] only.
        largest: upper end of a.
    """
    fitted = []
    for top, bottom in zip(_rows(numerator), _rows(denominator), strict=True):
        whole = Chebyshev.interpolate(lambda a, p=top, q=bottom: polyval(a, p) / polyval(a, q), _DEGREE, [0.0, largest]).integ(lbnd=0.0)
        over_a = Chebyshev.interpolate(lambda a, f=whole: f(a) / a, _DEGREE, [0.0, largest])
        fitted.append(cheb2poly(over_a.coef))
    coefficients = np.reshape(fitted, (*numerator.shape[:-1], _DEGREE + 1))

    def integral(u: Array) -> Array:
        # Not times a: XLA repeats a chain of products and sums in every loop that needs it, one that ends in a division it keeps.
        return polynomial(coefficients, (2.0 / largest) / u - 1.0) / u

    return integral


def _rows(coefficients: np.ndarray) -> np.ndarray:
    return coefficients.reshape(-1, coefficients.shape[-1])
