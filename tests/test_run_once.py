"""Programs compiled quickly give what others give."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit import precision as precision
from nmmfit.run_once import jit_once


def test_values_and_derivatives_in_closed_form() -> None:
    x = np.linspace(0.1, 3.0, 7)
    hessian = np.asarray(jit_once(jax.hessian(lambda v: jnp.sum(jnp.sin(v) * jnp.exp(v))))(x))
    np.testing.assert_allclose(hessian, np.diag(2.0 * np.cos(x) * np.exp(x)), rtol=1e-14, atol=1e-13)


def test_a_second_call_compiles_nothing() -> None:
    traces = []

    def function(x: jax.Array) -> jax.Array:
        traces.append(1)
        return x + 1.0

    quick = jit_once(function)
    assert [float(quick(1.0)), float(quick(2.0))] == [2.0, 3.0]
    assert len(traces) == 1
