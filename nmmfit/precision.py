"""The one place that switches JAX to 64-bit; every computing package imports it."""

from __future__ import annotations

import jax

from nmmfit.errors import UserInputError

jax.config.update("jax_enable_x64", True)


def require_double_precision() -> None:
    """Refuse to compute in 32-bit, where a cross section near 1e-45 cm^2 is exactly zero.

    Raises: UserInputError if something switched JAX's 64-bit mode off after nmmfit switched it on.
    """
    if not jax.config.read("jax_enable_x64"):
        raise UserInputError(
            "JAX runs in 32-bit (jax_enable_x64 is off), where cross sections vanish; "
            "nmmfit needs 64-bit: remove jax.config.update('jax_enable_x64', False) or JAX_ENABLE_X64=0"
        )
