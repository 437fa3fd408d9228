"""What functions depend on, where one can see it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.numerics.dependence import inputs_used

ARGUMENTS = {name: np.asarray(1.0) for name in ("zeta", "alpha", "mid", "B")}


def test_inputs_used() -> None:
    assert inputs_used(lambda a: a["alpha"] * jnp.exp(a["zeta"]), ARGUMENTS) == {"alpha", "zeta"}
    assert inputs_used(lambda a: jnp.asarray(2.0), ARGUMENTS) == set()
    assert inputs_used(lambda a: a["mid"], ARGUMENTS) == {"mid"}
    # What is computed and not used does not count; a value through a compiled function and a branch does.
    assert inputs_used(lambda a: (jnp.sin(a["alpha"]), a["B"] + 1.0)[1], ARGUMENTS) == {"B"}
    inner = jax.jit(lambda x, y: jnp.where(x > 0, y, 0.0))
    assert inputs_used(lambda a: inner(a["zeta"], a["mid"]), ARGUMENTS) == {"zeta", "mid"}
