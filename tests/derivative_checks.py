"""First and second derivatives against finite differences, with two compilations in all."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np


def assert_derivatives(function, *points, rtol=1e-6, atol=1e-7, step=1e-4):
    """Forward- and reverse-mode Jacobian and the Hessian of `function` at each point (vectors) against five-point differences."""
    value_and_jacobian = jax.jit(lambda x: (jnp.ravel(function(x)), jax.jacfwd(lambda y: jnp.ravel(function(y)))(x)))

    @jax.jit
    def second(x):
        reverse = jax.jacrev(lambda y: jnp.ravel(function(y)))
        return reverse(x), jax.jacfwd(reverse)(x)

    for point in points:
        point = jnp.asarray(point, dtype=float)
        jacobian = np.asarray(value_and_jacobian(point)[1])
        reverse, hessian = (np.asarray(a) for a in second(point))
        np.testing.assert_allclose(reverse, jacobian, rtol=1e-9, atol=1e-3 * atol)
        for k in range(point.size):
            shift = step * jnp.eye(point.size)[k]
            at = {n: [np.asarray(a) for a in value_and_jacobian(point + n * shift)] for n in (-2, -1, 1, 2)}
            for i, exact in ((0, jacobian[:, k]), (1, hessian[:, :, k])):
                slope = (at[-2][i] - 8 * at[-1][i] + 8 * at[1][i] - at[2][i]) / (12 * step)
                np.testing.assert_allclose(exact, slope, rtol=rtol, atol=atol)
