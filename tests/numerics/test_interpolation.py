"""Piecewise cubics: scipy's own evaluation as reference, table edges, gradients."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy import interpolate

from nmmfit.errors import DataError
from nmmfit.numerics.interpolation import cubic_spline, pchip

X = np.array([0.0, 0.3, 1.0, 1.5, 4.0])
Y = np.array([0.0, 0.2, 0.1, 2.0, 2.5])


@pytest.mark.parametrize("boundary", ["not-a-knot", "natural", "clamped"])
def test_agrees_with_scipy_and_derivatives(boundary: str) -> None:
    ours, reference = cubic_spline(X, Y, boundary), interpolate.CubicSpline(X, Y, bc_type=boundary)
    x = np.linspace(0.0, 4.0, 41)
    np.testing.assert_allclose(jax.jit(ours)(x), reference(x), rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(jax.vmap(jax.grad(ours))(x), reference(x, 1), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(jax.vmap(jax.hessian(ours))(x[1:-1]), reference(x[1:-1], 2), rtol=1e-10, atol=1e-10)


def test_pchip_is_monotone_where_the_points_are() -> None:
    curve = pchip([0.0, 1.0, 2.0, 3.0], [0.0, 0.01, 0.99, 1.0])
    values = np.asarray(curve(np.linspace(0.0, 3.0, 500)))
    assert np.all(np.diff(values) >= 0)
    np.testing.assert_allclose(curve(np.array([0.0, 1.0, 2.0, 3.0])), [0.0, 0.01, 0.99, 1.0], atol=1e-15)


def test_outside_the_table() -> None:
    curve = cubic_spline(X, Y)
    assert np.isnan(curve(-1e-9))
    assert np.isnan(curve(4.0 + 1e-9))
    assert np.isfinite(curve(jnp.array([0.0, 4.0]))).all()
    curve.check_range(0.0, 4.0, "here")
    with pytest.raises(DataError, match=r"here: asked for \[-1, 2\], the table covers \[0, 4\]"):
        curve.check_range(-1.0, 2.0, "here")


def test_gradients_at_a_knot_and_at_the_edges() -> None:
    curve = cubic_spline(X, Y, "clamped")
    for x in (0.3, 0.7, 1.5):
        check_grads(curve, (x,), order=1, modes=("fwd", "rev"), rtol=1e-5, atol=1e-5)
    assert float(jax.grad(curve)(0.0)) == pytest.approx(0.0, abs=1e-14)


@pytest.mark.parametrize("make", [cubic_spline, pchip])
@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([0.0, 1.0, 1.0], [0.0, 1.0, 2.0], "knots must increase"),
        ([0.0, 1.0], [0.0, np.nan], "finite"),
        ([0.0, 1.0], [0.0], "equally long"),
        ([0.0], [0.0], "at least two"),
    ],
)
def test_broken_points_are_refused(make, x, y, message) -> None:
    with pytest.raises(DataError, match=message):
        make(x, y)
