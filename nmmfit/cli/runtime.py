"""What a verb does before it computes: refuse single precision, and keep compiled programs between processes."""

from __future__ import annotations

import os

from nmmfit.cli.output import note
from nmmfit.errors import UserInputError

_FALSE = {"0", "false", "f", "no", "n", "off"}


def start_computing() -> None:
    """Check the environment and start JAX.

    Raises: UserInputError if single precision is forced from outside.
    """
    asked = os.environ.get("JAX_ENABLE_X64", "").strip().lower()
    if asked in _FALSE:
        raise UserInputError(
            f"JAX_ENABLE_X64={asked} asks for 32-bit numbers, where cross sections near 1e-45 cm^2 vanish; "
            "nmmfit needs 64-bit: unset it"
        )
    from nmmfit.compilation_cache import enable
    from nmmfit.precision import require_double_precision

    require_double_precision()
    problem = enable()
    if problem:
        note(f"nmmfit: warning: {problem}")
