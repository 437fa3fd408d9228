"""What a verb does before it computes: refuse single precision, and keep compiled programs between processes."""

from __future__ import annotations

import logging
import os

from nmmfit.cli.output import note
from nmmfit.devices import check_device, compile_quickly, use_device
from nmmfit.errors import UserInputError

_FALSE = {"0", "false", "f", "no", "n", "off"}
_TRUE = {"1", "true", "t", "yes", "y", "on"}


def start_computing(device: str | None = None) -> None:
    """Check the environment and start JAX.

    Args:
        device: "cpu" or "gpu"; None: JAX's own choice.
    Raises: UserInputError if single precision is forced from outside, or JAX cannot start on the device that is asked for.
    """
    check_device(device)
    asked = os.environ.get("JAX_ENABLE_X64")
    if asked is not None and asked.lower() not in _TRUE:
        if asked.lower() in _FALSE:
            raise UserInputError(
                f"JAX_ENABLE_X64={asked.lower()} asks for 32-bit numbers, where cross sections near 1e-45 cm^2 vanish; "
                "nmmfit needs 64-bit: unset it"
            )
        raise UserInputError(f"JAX_ENABLE_X64={asked!r} is neither true nor false for JAX; nmmfit needs 64-bit: unset it")
    from nmmfit.compilation_cache import enable
    from nmmfit.precision import require_double_precision

    require_double_precision()
    compile_quickly()
    on = use_device(device)
    if device is not None or not on.startswith("cpu"):
        note(f"computing on {on}")
    # matplotlib reports every folder that it cannot keep its fonts in, which costs time only.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    problem = enable()
    if problem:
        note(f"nmmfit: warning: {problem}")
