"""Programs that run once or a few times: compiled in a third of the time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

_QUICK: dict[str, bool | int] = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
"""What `JAX_DISABLE_MOST_OPTIMIZATIONS` sets for all programs of a process."""


def jit_once(function: Callable[..., Any], static: Sequence[str] = ()) -> Callable[..., Any]:
    """`jax.jit` for a function that is called once or a few times, for which most optimisations cost more than they save.

    On a CPU alone; results differ by rounding. Starts JAX, so that it is no decorator of a function of a module.

    Args:
        function: to be compiled.
        static: names of arguments that are no arrays.
    """
    import jax

    return jax.jit(function, static_argnames=static, compiler_options=quick_options())


def quick_options() -> dict[str, Any] | None:
    """Options of the compiler with which programs compile quickly; None where there are none. Starts JAX."""
    import jax

    return _QUICK if jax.default_backend() == "cpu" else None
