"""Chebyshev bases against numpy's polynomial module and closed forms."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from numpy.polynomial import chebyshev as reference

from nmmfit.numerics.chebyshev import ChebyshevBasis, chebyshev_nodes, chebyshev_values, coefficients_1d


@pytest.mark.parametrize("degree", [0, 1, 2, 3, 9, 87])
def test_values_agree_with_numpy(degree):
    x = np.linspace(-1.0, 1.0, 11)
    np.testing.assert_allclose(chebyshev_values(jnp.asarray(x), degree), reference.chebvander(x, degree), atol=1e-13)


def test_coefficients_of_a_function_agree_with_numpy_interpolation():
    expected = reference.chebinterpolate(np.exp, 12)
    np.testing.assert_allclose(coefficients_1d(np.exp(chebyshev_nodes(13))), expected, atol=1e-14)


def test_nodes_are_the_zeros_of_the_polynomial():
    zeros = reference.chebroots([0, 0, 0, 0, 0, 0, 1])
    np.testing.assert_allclose(chebyshev_nodes(6), np.sort(zeros), atol=1e-12)


def test_index_set_is_the_anisotropic_simplex():
    basis = ChebyshevBasis((4, 2, 0), 4.0)
    expected = {(i, j, 0) for i in range(5) for j in range(3) if i / 4 + j / 2 <= 1}
    assert {tuple(k) for k in basis.indices} == expected
    assert basis.size == len(expected)


def test_traced_and_numpy_evaluations_span_the_same_polynomials():
    basis = ChebyshevBasis((3, 5), 4.0)
    points = np.random.default_rng(0).uniform(-4, 4, (7, 2))
    traced = jax.vmap(basis.evaluate)(jnp.asarray(points))
    np.testing.assert_allclose(traced, basis.matrix(points), atol=1e-12)
    x, y = points.T / 4.0
    vander = reference.chebvander2d(x, y, [3, 5]).reshape(7, 4, 6)
    np.testing.assert_allclose(traced, np.stack([vander[:, i, j] for i, j in basis.indices], axis=1), atol=1e-12)


def test_shape_freezes_beyond_the_box():
    basis = ChebyshevBasis((3,), 4.0)
    at_edge, outside = basis.evaluate(jnp.asarray([4.0])), basis.evaluate(jnp.asarray([7.0]))
    np.testing.assert_array_equal(at_edge, outside)
    slope = jax.jacfwd(basis.evaluate)(jnp.asarray([7.0]))
    np.testing.assert_array_equal(slope, 0.0)


def test_gradients_to_second_order():
    basis = ChebyshevBasis((4, 3), 4.0)
    check_grads(basis.evaluate, (jnp.asarray([0.3, -2.2]),), order=2, modes=("fwd", "rev"), rtol=1e-6)
