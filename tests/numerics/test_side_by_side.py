"""Operations on one point and on points side by side, against numpy and finite differences."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from nmmfit.numerics.side_by_side import outer, sum_over, times

RANDOM = np.random.default_rng(4)
LEFT, RIGHT, MATRIX = RANDOM.normal(size=(3, 5)), RANDOM.normal(size=(12, 5)), RANDOM.normal(size=(3, 4))


def test_products_of_a_point_and_of_a_block() -> None:
    np.testing.assert_allclose(times(jnp.asarray(LEFT), MATRIX), MATRIX.T @ LEFT, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(outer(jnp.asarray(LEFT), jnp.asarray(RIGHT))[:, 2], np.outer(LEFT[:, 2], RIGHT[:, 2]).ravel())
    np.testing.assert_allclose(times(jnp.asarray(LEFT[:, 1]), MATRIX), LEFT[:, 1] @ MATRIX, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(
        outer(jnp.asarray(LEFT[:, 0]), jnp.asarray(RIGHT[:, 0])), np.outer(LEFT[:, 0], RIGHT[:, 0]).ravel()
    )


def test_derivatives_of_a_block_backwards() -> None:
    check_grads(lambda v: times(v, MATRIX), (jnp.asarray(LEFT),), order=1, modes=("rev",))
    check_grads(outer, (jnp.asarray(LEFT), jnp.asarray(RIGHT)), order=1, modes=("rev",))
    # inside a compiled function, where constants belong to a trace
    jax.jit(jax.grad(lambda v: jnp.sum(times(v, MATRIX) ** 2)))(jnp.asarray(LEFT))


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 9, 10, 31])
def test_sums_of_any_length(n: int) -> None:
    values = np.random.default_rng(n).normal(size=(n, 3, n, 2))
    for axis in (0, 2):
        np.testing.assert_allclose(sum_over(jnp.asarray(values), axis), values.sum(axis=axis), rtol=1e-13, atol=1e-14)
