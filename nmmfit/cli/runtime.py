"""What a verb does before it computes: refuse single precision, and keep compiled programs between processes."""

from __future__ import annotations

import logging
import os
from importlib.metadata import version

from nmmfit.cli.output import note
from nmmfit.errors import UserInputError

_EMITTERS = "xla_cpu_use_fusion_emitters"
_FALSE = {"0", "false", "f", "no", "n", "off"}
_TRUE = {"1", "true", "t", "yes", "y", "on"}


def start_computing() -> None:
    """Check the environment and start JAX.

    Raises: UserInputError if single precision is forced from outside, or JAX cannot start on the platform that is asked for.
    """
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
    _require_platform()
    # matplotlib reports every folder that it cannot keep its fonts in, which costs time only.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    problem = enable()
    if problem:
        note(f"nmmfit: warning: {problem}")


def compile_quickly() -> None:
    """Ask XLA, before it starts, not to use its newer emitters of fused loops on the CPU, where XLA_FLAGS says nothing of them.

    A default fit without kept programs takes a quarter less of processor time with the older ones, and is as fast once compiled.
    A flag that XLA does not know ends the process, so that it is set for versions only that are known to have it.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if version("jaxlib").startswith("0.10.") and _EMITTERS not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --{_EMITTERS}=false".strip()


def _require_platform() -> None:
    """Start JAX's backend. Raises: UserInputError if JAX_PLATFORMS names one that does not exist or does not start."""
    import jax

    try:
        jax.devices()
    except RuntimeError as problem:
        asked = os.environ.get("JAX_PLATFORMS", "")
        reason = " ".join(str(problem).split()) or "no device"
        raise UserInputError(f"JAX cannot start (JAX_PLATFORMS={asked!r}): {reason}") from None
    except AssertionError:
        raise UserInputError(
            f"JAX cannot start: JAX_PLATFORMS={os.environ.get('JAX_PLATFORMS', '')!r} has no device here"
        ) from None
