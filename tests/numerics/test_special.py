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
    "dilogarithm": (special.dilogarithm, reference_dilogarithm, [-1.0, -0.3, 0.0, 1e-9, 0.2, 0.4999, 0.5, 0.5001, 0.9, 0.999999]),
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
}
POINTS = [(name, x) for name, (_, _, points) in CASES.items() for x in points]


@pytest.mark.parametrize(("name", "x"), POINTS)
def test_value_and_two_derivatives(name, x):
    function, reference, _ = CASES[name]
    with mp.workdps(70):
        centre = mp.mpf(x)
        value = float(reference(centre))
        if name == "dilogarithm" and x == -1.0:
            assert np.allclose(float(function(x)), value, rtol=1e-14)
            return
        # one-sided difference steps small enough for 70 digits; forward only, since the domain may end at 0
        h = mp.mpf("1e-9")
        f = [reference(centre + k * h) for k in range(6)]
        first = float((-137 * f[0] / 60 + 5 * f[1] - 5 * f[2] + 10 * f[3] / 3 - 5 * f[4] / 4 + f[5] / 5) / h)
        second = float((15 * f[0] / 4 - 77 * f[1] / 6 + 107 * f[2] / 6 - 13 * f[3] + 61 * f[4] / 12 - 5 * f[5] / 6) / h**2)
    assert np.allclose(float(function(x)), value, rtol=3e-14, atol=1e-300)
    assert np.allclose(float(jax.grad(function)(x)), first, rtol=1e-11, atol=1e-13)
    assert np.allclose(float(jax.grad(jax.grad(function))(x)), second, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", CASES)
def test_forward_and_reverse_mode_under_jit_and_vmap(name):
    function, _, points = CASES[name]
    x = jnp.asarray([p for p in points if p > -1.0])
    forward, reverse = jax.jit(jax.vmap(lambda y: (jax.jacfwd(jax.jacrev(function))(y), jax.jacrev(jax.jacfwd(function))(y))))(x)
    assert np.all(np.isfinite(forward))
    assert np.allclose(forward, reverse, rtol=1e-11, atol=1e-12)
    assert np.allclose(jax.jit(jax.vmap(function))(x), function(x), rtol=1e-14)


def test_dilogarithm_special_values():
    assert np.allclose(float(special.dilogarithm(1.0)), np.pi**2 / 6, rtol=1e-15)
    assert np.allclose(float(special.dilogarithm(0.5)), np.pi**2 / 12 - np.log(2) ** 2 / 2, rtol=1e-15)
    assert np.isnan(float(special.dilogarithm(1.5)))
    assert np.isnan(float(special.dilogarithm(-1.5)))
    assert np.isfinite(float(jax.grad(special.dilogarithm)(1.0)))
