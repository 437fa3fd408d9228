"""Which arguments a function depends on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
from jax.extend.core import Var

from nmmfit.shapes import Array


def inputs_used(function: Callable[[Mapping[str, Array]], Any], arguments: Mapping[str, Array]) -> set[str]:
    """Names of the arguments that a function's value may depend on, from its program: none that matters is left out.

    Args:
        function: of arrays by name.
        arguments: of such shapes.
    """
    program = jax.make_jaxpr(function)(dict(arguments)).jaxpr
    needed = {v for v in program.outvars if isinstance(v, Var)}
    for step in reversed(program.eqns):
        if needed.intersection(step.outvars):
            needed.update(v for v in step.invars if isinstance(v, Var))
    # A dictionary's leaves are in the order of its sorted keys.
    return {name for name, v in zip(sorted(arguments), program.invars, strict=True) if v in needed}
