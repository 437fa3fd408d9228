"""Chebyshev bases against numpy's polynomial module and closed forms."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from numpy.polynomial import chebyshev as reference

from nmmfit.numerics.chebyshev import ChebyshevBasis, chebyshev_nodes, chebyshev_rows, chebyshev_values, coefficients_1d


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


def test_design_matrix_holds_the_products_of_polynomials():
    basis = ChebyshevBasis((3, 5), 4.0)
    points = np.random.default_rng(0).uniform(-4, 4, (7, 2))
    x, y = points.T / 4.0
    vander = reference.chebvander2d(x, y, [3, 5]).reshape(7, 4, 6)
    np.testing.assert_allclose(basis.matrix(points), np.stack([vander[:, i, j] for i, j in basis.indices], axis=1), atol=1e-12)


@pytest.mark.parametrize("degree", [1, 4, 9, 40])
def test_gradients_to_second_order(degree):
    x = jnp.asarray([0.3, -0.55])
    check_grads(lambda v: chebyshev_values(v, degree) @ (0.5 ** jnp.arange(degree + 1.0)), (x,), order=2, modes=("fwd", "rev"))


def test_several_variables_side_by_side() -> None:
    """Each variable to a degree of its own, against numpy; derivatives backwards against finite differences."""
    x, degrees = np.array([[-1.0, 0.3, 1.0, 0.0], [0.2, -0.7, 0.9, -1.0]]), (5, 2)
    rows = chebyshev_rows(jnp.asarray(x), degrees)
    for mine, values, degree in zip(rows, x, degrees, strict=True):
        np.testing.assert_allclose(mine, reference.chebvander(values, degree).T, atol=1e-14)
    inside = jnp.asarray(0.9 * x)
    check_grads(lambda v: chebyshev_rows(v, degrees), (inside,), order=1, modes=("rev",))
