"""Integrals of ratios of polynomials against mpmath in 30 digits."""

from __future__ import annotations

import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from nmmfit.numerics.rational import polynomial, ratio_integral

# Zeros nearest to [0, 0.09]: -0.096 and 0.023 +- 0.101 i, those of the four-loop beta function of four flavours.
DENOMINATOR = np.array([[1.0, 6.16, 48.76222222, 964.22237037], [1.0, 0.0, 0.0, 0.0]])
NUMERATOR = np.array([[-10.8, 660.0, 5940.0], [0.0, -3.0, 2.0]])


def test_polynomial_broadcasts_over_leading_axes():
    coefficients = np.random.default_rng(1).normal(size=(2, 1, 5))
    x = np.linspace(-2.0, 2.0, 7)
    expected = [np.polyval(row[0, ::-1], x) for row in coefficients]
    np.testing.assert_allclose(polynomial(coefficients, jnp.asarray(x)), expected, rtol=1e-13)
    np.testing.assert_allclose(polynomial(coefficients[0, 0, :1], jnp.asarray(x)), np.full(7, coefficients[0, 0, 0]), rtol=0.0)


@pytest.mark.parametrize("row", [0, 1])
def test_integral_against_quadrature_in_30_digits(row):
    u = np.array([1.0 / 0.09, 13.7, 20.0, 45.0, 126.0, 1e4])
    found = ratio_integral(NUMERATOR[row], DENOMINATOR[row], 0.09)(jnp.asarray(u))
    both = ratio_integral(NUMERATOR[:, None], DENOMINATOR[:, None], 0.09)(jnp.asarray(u))[row]

    def ratio(a):
        top, bottom = (sum(mp.mpf(c) * a**i for i, c in enumerate(series[row])) for series in (NUMERATOR, DENOMINATOR))
        return top / bottom

    with mp.workdps(30):
        exact = [float(mp.quad(ratio, [0, 1 / mp.mpf(x)])) for x in u]
    np.testing.assert_allclose(found, exact, rtol=1e-14, atol=2e-15)
    np.testing.assert_allclose(both, exact, rtol=1e-14, atol=2e-15)


def test_nothing_to_integrate():
    found = ratio_integral(np.zeros(3), DENOMINATOR[0], 0.09)(jnp.array([12.0, 100.0]))
    assert np.all(np.asarray(found) == 0.0)
