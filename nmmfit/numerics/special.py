"""Special functions whose limits and first two derivatives are right: dilogarithm, sphere form factor, hyperbolic ratios.

Functions of an even variable take its square, so that they are analytic at zero. Every branch of a `jnp.where` is evaluated
at an argument where it is finite ("guard the argument, not the result").
"""

from __future__ import annotations

import math
from fractions import Fraction

import jax
import jax.numpy as jnp

from nmmfit import precision as precision
from nmmfit.shapes import Array, ArrayLike


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    """Sum of coefficients[k] x^k, by Horner's rule."""
    total = jnp.full_like(x, coefficients[-1])
    for c in coefficients[-2::-1]:
        total = total * x + c
    return total


def _bernoulli(count: int) -> list[Fraction]:
    """Bernoulli numbers B_0 .. B_{count-1} with B_1 = -1/2, exact."""
    numbers = [Fraction(1)]
    for m in range(1, count):
        numbers.append(-sum(math.comb(m + 1, k) * numbers[k] for k in range(m)) / Fraction(m + 1))
    return numbers


_B = _bernoulli(28)
_DILOG = tuple(float(_B[n] / math.factorial(n + 1)) for n in range(2, 20, 2))
# 3 j_1(x) / x = sum_k 6 (-1)^k (k + 1) x^(2k) / (2k + 3)!
_SPHERE = tuple(6.0 * (-1) ** k * (k + 1) / math.factorial(2 * k + 3) for k in range(11))
_SINC = tuple((-1.0) ** k / math.factorial(2 * k + 1) for k in range(11))
# x / sinh x = sum_k 2 (1 - 2^(2k-1)) B_2k x^(2k) / (2k)!, (x coth x - 1) / x^2 = sum_k 2^(2k) B_2k x^(2k-2) / (2k)!
_X_OVER_SINH = tuple(float(2 * (1 - Fraction(2) ** (2 * k - 1)) * _B[2 * k] / math.factorial(2 * k)) for k in range(14))
_COTH_EXCESS = tuple(float(Fraction(2) ** (2 * k) * _B[2 * k] / math.factorial(2 * k)) for k in range(1, 14))
_ATANH_EXCESS = tuple([0.0] + [1.0 / (2 * k + 1) for k in range(1, 32)])


def _dilogarithm_below_half(x: Array) -> Array:
    """Li_2 for -1 <= x <= 1/2: sum_n B_n u^(n+1) / (n+1)!, u = -ln(1 - x), where B_n = 0 for odd n > 1."""
    u = -jnp.log1p(-x)
    return u - 0.25 * u**2 + u**3 * _polynomial(_DILOG, u**2)


def dilogarithm(x: ArrayLike) -> Array:
    """Dilogarithm Li_2(x) = -int_0^x ln(1 - t) / t dt for real -1 <= x <= 1; nan outside.

    Args:
        x: real, any shape.
    Returns: shape of `x`; Li_2(1) = pi^2 / 6, where the derivative, which diverges there, is given as 0. Relative error below
        1e-14; first and second derivatives are those of the function elsewhere.
    """
    x = jnp.asarray(x, dtype=float)
    inside = (x >= -1.0) & (x < 1.0)
    upper = inside & (x > 0.5)
    low = _dilogarithm_below_half(jnp.where(inside & ~upper, x, 0.0))
    safe = jnp.where(upper, x, 0.75)
    high = math.pi**2 / 6.0 - jnp.log(safe) * jnp.log1p(-safe) - _dilogarithm_below_half(1.0 - safe)
    edge = jnp.where(x == 1.0, math.pi**2 / 6.0, jnp.nan)
    return jnp.where(inside, jnp.where(upper, high, low), edge)


def sphere_form_factor(x_squared: ArrayLike) -> Array:
    """3 j_1(x) / x = 3 (sin x - x cos x) / x^3 as a function of x^2 >= 0: transform of a uniform sphere; 1 at 0."""
    y = jnp.asarray(x_squared, dtype=float)
    small = y < 1.0
    x = jnp.sqrt(jnp.where(small, 4.0, y))
    exact = 3.0 * (jnp.sin(x) - x * jnp.cos(x)) / x**3
    return jnp.where(small, _polynomial(_SPHERE, jnp.where(small, y, 0.0)), exact)


def sinc(x_squared: ArrayLike) -> Array:
    """sin(x) / x as a function of x^2 >= 0; 1 at 0."""
    y = jnp.asarray(x_squared, dtype=float)
    small = y < 1.0
    x = jnp.sqrt(jnp.where(small, 4.0, y))
    return jnp.where(small, _polynomial(_SINC, jnp.where(small, y, 0.0)), jnp.sin(x) / x)


def x_over_sinh(x_squared: ArrayLike) -> Array:
    """x / sinh(x) as a function of x^2 >= 0; 1 at 0, falls as 2 x exp(-x)."""
    y = jnp.asarray(x_squared, dtype=float)
    small = y < 0.5
    x = jnp.sqrt(jnp.where(small, 4.0, y))
    decay = jnp.exp(-x)
    return jnp.where(small, _polynomial(_X_OVER_SINH, jnp.where(small, y, 0.0)), 2.0 * x * decay / (1.0 - decay**2))


def coth_excess(x_squared: ArrayLike) -> Array:
    """(x coth(x) - 1) / x^2 as a function of x^2 >= 0; 1/3 at 0."""
    y = jnp.asarray(x_squared, dtype=float)
    small = y < 0.5
    safe = jnp.where(small, 4.0, y)
    x = jnp.sqrt(safe)
    return jnp.where(small, _polynomial(_COTH_EXCESS, jnp.where(small, y, 0.0)), (x / jnp.tanh(x) - 1.0) / safe)


def atanh_excess(x_squared: ArrayLike) -> Array:
    """artanh(x) / x - 1 as a function of 0 <= x^2 < 1; x^2 / 3 near 0."""
    y = jnp.asarray(x_squared, dtype=float)
    small = y < 0.25
    safe = jnp.where(small, 0.5, y)
    x = jnp.sqrt(safe)
    # artanh x = ln[(1 + x) / sqrt(1 - x^2)]: exact in 1 - x^2, where 1 - x would cancel
    artanh = jnp.log1p(x) - 0.5 * jnp.log1p(-safe)
    return jnp.where(small, _polynomial(_ATANH_EXCESS, jnp.where(small, y, 0.0)), artanh / x - 1.0)


@jax.custom_jvp
def log1p_small(x: Array) -> Array:
    """ln(1 + x) for |x| <= 0.3, relative error below 1e-15: 2 artanh(x / (2 + x)) by its series.

    For inner loops: the compiled ln(1 + x) takes five times as long.
    """
    # The division last: see `rational.ratio_integral`.
    return 2.0 * x * (1.0 + _polynomial(_ATANH_EXCESS[:9], (x / (2.0 + x)) ** 2)) / (2.0 + x)


@log1p_small.defjvp
def _log1p_small_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return log1p_small(primals[0]), tangents[0] / (1.0 + primals[0])
