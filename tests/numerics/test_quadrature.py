"""Quadrature against closed forms and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate

from nmmfit.errors import UserInputError
from nmmfit.numerics.quadrature import (
    composite_gauss_legendre,
    gauss_legendre,
    gauss_legendre_smooth_ends,
    measure_gauss,
    unit_gauss_legendre,
)


@pytest.mark.parametrize("order", [1, 2, 7])
def test_exact_for_polynomials_on_any_interval(order: int) -> None:
    lower, upper = np.array([[-1.0], [2.0]]), np.array([0.5, 3.0, 7.0])
    x, w = gauss_legendre(order, lower, upper)
    assert x.shape == w.shape == (2, 3, order)
    k = 2 * order - 1
    np.testing.assert_allclose((w * x**k).sum(-1), (upper ** (k + 1) - lower ** (k + 1)) / (k + 1), rtol=1e-12, atol=1e-12)


def test_reversed_and_empty_intervals() -> None:
    x, w = gauss_legendre(5, 2.0, 1.0)
    np.testing.assert_allclose((w * x**2).sum(), -7.0 / 3.0)
    np.testing.assert_array_equal(gauss_legendre(5, 1.0, 1.0)[1], 0.0)


def test_smooth_ends_for_square_roots_and_logarithms() -> None:
    x, w = gauss_legendre_smooth_ends(24, 1.0, 3.0)
    # Beta function: integral of sqrt((x - 1)(3 - x)) is pi / 2.
    np.testing.assert_allclose((w * np.sqrt((x - 1.0) * (3.0 - x))).sum(), 0.5 * np.pi, rtol=1e-13)
    np.testing.assert_allclose((w * np.log(x - 1.0)).sum(), 2.0 * np.log(2.0) - 2.0, rtol=3e-5)
    reference = integrate.quad(lambda t: t**2 * np.exp(-t) * np.sqrt(3.0 - t), 1.0, 3.0, epsabs=0, epsrel=1e-12)[0]
    np.testing.assert_allclose((w * x**2 * np.exp(-x) * np.sqrt(3.0 - x)).sum(), reference, rtol=1e-12)
    assert np.all((x > 1.0) & (x < 3.0))


def test_composite_covers_every_interval() -> None:
    edges = np.array([0.0, 0.5, 2.0, 7.0])
    x, w = composite_gauss_legendre(4, edges)
    np.testing.assert_allclose((w * x**7).sum(-1), np.diff(edges**8) / 8.0, rtol=1e-12)
    for bad in ([1.0], [0.0, 0.0], [1.0, 0.0]):
        with pytest.raises(UserInputError, match="increasing"):
            composite_gauss_legendre(4, bad)


def test_nodes_are_shared_and_protected() -> None:
    nodes, _ = unit_gauss_legendre(8)
    with pytest.raises(ValueError, match="read-only"):
        nodes[0] = 1.0
    with pytest.raises(UserInputError, match="order"):
        unit_gauss_legendre(0)


def test_measure_gauss_keeps_moments() -> None:
    rng = np.random.default_rng(1)
    points, masses = rng.uniform(3.0, 100.0, 300), rng.uniform(0.0, 1.0, 300)
    x, w = measure_gauss(6, points, masses)
    for k in range(12):
        scaled = ((points - 50.0) / 50.0) ** k
        np.testing.assert_allclose((w * ((x - 50.0) / 50.0) ** k).sum(), (masses * scaled).sum(), rtol=1e-11, atol=1e-11)
    assert np.all(np.diff(x) > 0)
    assert x[0] > points.min()
    assert x[-1] < points.max()
    assert np.all(w > 0)


def test_measure_gauss_of_two_points_is_the_measure() -> None:
    x, w = measure_gauss(2, [5.0, 1.0, 5.0], [1.0, 2.0, 3.0])
    np.testing.assert_allclose(x, [1.0, 5.0])
    np.testing.assert_allclose(w, [2.0, 4.0])
    np.testing.assert_allclose(measure_gauss(1, [4.0], [0.5]), [[4.0], [0.5]])


def test_measure_gauss_refuses_what_is_no_measure() -> None:
    with pytest.raises(UserInputError, match="distinct points"):
        measure_gauss(3, [1.0, 2.0, 2.0], [1.0, 1.0, 1.0])
    with pytest.raises(UserInputError, match="masses >= 0"):
        measure_gauss(1, [1.0, 2.0], [1.0, -1.0])
