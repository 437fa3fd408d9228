"""Special functions against mpmath in 70 digits, values and derivatives, across every switch of branch."""

from __future__ import annotations

from fractions import Fraction

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from nmmfit.numerics import special


def reference_dilogarithm(x):
    return mp.polylog(2, x).real if x != 0 else mp.mpf(0)


def in_square(function, at_zero):
    return lambda y: function(mp.sqrt(y)) if y != 0 else mp.mpf(at_zero.numerator) / at_zero.denominator


CASES = {
    "dilogarithm": (
        special.dilogarithm,
        reference_dilogarithm,
        [-0.999, -0.3, 0.0, 1e-9, 0.2, 0.4999, 0.5, 0.5001, 0.9, 0.999999],
    ),
    "sphere": (
        special.sphere_form_factor,
        in_square(lambda x: 3 * (mp.sin(x) - x * mp.cos(x)) / x**3, 1),
        [0.0, 1e-12, 0.3, 0.9999, 1.0001, 4.0, 20.0, 60.0],
    ),
    "sinc": (special.sinc, in_square(lambda x: mp.sin(x) / x, 1), [0.0, 1e-12, 0.3, 0.9999, 1.0001, 7.0, 60.0]),
    "x_over_sinh": (special.x_over_sinh, in_square(lambda x: x / mp.sinh(x), 1), [0.0, 1e-12, 0.4999, 0.5001, 3.0, 100.0]),
    "coth_excess": (
        special.coth_excess,
        in_square(lambda x: (x * mp.coth(x) - 1) / x**2, Fraction(1, 3)),
        [0.0, 1e-12, 0.4999, 0.5001, 3.0, 100.0],
    ),
    "atanh_excess": (
        special.atanh_excess,
        in_square(lambda x: mp.atanh(x) / x - 1, 0),
        [0.0, 1e-12, 0.2499, 0.2501, 0.5, 0.99, 0.999999],
    ),
    "log1p_small": (special.log1p_small, mp.log1p, [-0.3, -0.04, -1e-12, 0.0, 1e-12, 0.04, 0.3]),
}


def reference_with_derivatives(reference, x):
    """Value and two derivatives by one-sided differences in 70 digits: the domain may end at x."""
    with mp.workdps(70):
        h = mp.mpf("1e-9")
        f = [reference(mp.mpf(x) + k * h) for k in range(6)]
        first = (-137 * f[0] / 60 + 5 * f[1] - 5 * f[2] + 10 * f[3] / 3 - 5 * f[4] / 4 + f[5] / 5) / h
        second = (15 * f[0] / 4 - 77 * f[1] / 6 + 107 * f[2] / 6 - 13 * f[3] + 61 * f[4] / 12 - 5 * f[5] / 6) / h**2
        return float(f[0]), float(first), float(second)


@pytest.mark.parametrize("name", CASES)
def test_values_and_two_derivatives(name):
    function, reference, points = CASES[name]
    value, first, second = np.array([reference_with_derivatives(reference, x) for x in points]).T
    x = jnp.asarray(points)
    forward, reverse = jax.jacfwd(jax.jacrev(function)), jax.jacrev(jax.jacfwd(function))
    found = jax.jit(jax.vmap(lambda y: (function(y), jax.grad(function)(y), forward(y), reverse(y))))(x)
    np.testing.assert_allclose(function(x), value, rtol=3e-14, atol=1e-300)
    np.testing.assert_allclose(found[0], value, rtol=3e-14, atol=1e-300)
    np.testing.assert_allclose(found[1], first, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(found[2], second, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(found[3], second, rtol=1e-9, atol=1e-11)


def test_dilogarithm_special_values():
    np.testing.assert_allclose(float(special.dilogarithm(1.0)), np.pi**2 / 6, rtol=1e-15)
    np.testing.assert_allclose(float(special.dilogarithm(-1.0)), -(np.pi**2) / 12, rtol=1e-15)
    np.testing.assert_allclose(float(special.dilogarithm(0.5)), np.pi**2 / 12 - np.log(2) ** 2 / 2, rtol=1e-15)
    assert np.isnan(float(special.dilogarithm(1.5)))
    assert np.isnan(float(special.dilogarithm(-1.5)))
    assert np.isfinite(float(jax.grad(special.dilogarithm)(1.0)))
