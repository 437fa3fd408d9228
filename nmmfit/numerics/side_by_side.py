"""Operations on a vector (k,), or on the vectors of a block of points side by side, (k, point).

A vector alone takes plain JAX, which can be differentiated in any way and mapped over. A block is for values and gradients:
points last, so that processors work on several of them at once, and derivatives backwards only, written out for what compilers
make of them: products with a transposed constant laid out as it is read, and sums over products of two factors added in halves,
one loop instead of a sum for every number.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit import precision as precision
from nmmfit.shapes import Array

_AT_ONCE = 9
"""So many numbers are added in one loop; more of them are left to the compiler, whose programs grow with every one."""


def is_block(values: Array) -> bool:
    """Whether values are those of several points, (k, point)."""
    return values.ndim > 1


def times(values: Array, matrix: np.ndarray) -> Array:
    """values @ matrix of every point: (k,) -> (n,) or (k, point) -> (n, point), with a constant matrix (k, n)."""
    if not is_block(values):
        return values @ jnp.asarray(matrix)
    # Numbers, not arrays of a trace, so that either direction can be traced when it is needed.
    transposed = np.ascontiguousarray(matrix.T)

    @jax.custom_vjp
    def product(block: Array) -> Array:
        return jnp.asarray(transposed) @ block

    product.defvjp(lambda block: (jnp.asarray(transposed) @ block, None), lambda _, above: (jnp.asarray(matrix) @ above,))
    return product(values)


def outer(left: Array, right: Array) -> Array:
    """All products of two vectors (n,) and (m,), those of the first entry of `left` first: (n m,), or (n m, point)."""
    if not is_block(left):
        return jnp.ravel(left[:, None] * right[None, :])
    return _outer(left, right)


@jax.custom_vjp
def _outer(left: Array, right: Array) -> Array:
    return (left[:, None] * right[None]).reshape(-1, left.shape[1])


def _outer_backwards(factors: tuple[Array, Array], above: Array) -> tuple[Array, Array]:
    left, right = factors
    table = above.reshape(len(left), len(right), -1)
    return sum_over(table * right, 1), sum_over(table * left[:, None], 0)


_outer.defvjp(lambda left, right: (_outer(left, right), (left, right)), _outer_backwards)


def sum_over(values: Array, axis: int) -> Array:
    """Sum over an axis of any length from 1 on, which is not the last one."""
    if values.shape[axis] > _AT_ONCE:
        return jnp.sum(values, axis=axis)
    odd = []
    while (n := values.shape[axis]) > 1:
        if n % 2:
            odd.append(jax.lax.slice_in_dim(values, n - 1, n, axis=axis))
        half = n // 2
        values = jax.lax.slice_in_dim(values, 0, half, axis=axis) + jax.lax.slice_in_dim(values, half, 2 * half, axis=axis)
    return jnp.squeeze(sum(odd, values), axis)
