"""Which device computes: chosen before JAX starts, or refused in one line; and how its compiler is set."""

from __future__ import annotations

import os
from importlib.metadata import version

from nmmfit.errors import UserInputError, unknown

DEVICES = ("cpu", "gpu")
_EMITTERS = "xla_cpu_use_fusion_emitters"


def compile_quickly() -> None:
    """Ask XLA, before it starts, not to use its newer emitters of fused loops on the CPU, where XLA_FLAGS says nothing of them.

    A default fit without kept programs takes a quarter less of processor time with the older ones, and is as fast once compiled.
    A flag that XLA does not know ends the process, so that it is set for versions only that are known to have it.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if version("jaxlib").startswith("0.10.") and _EMITTERS not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --{_EMITTERS}=false".strip()


def check_device(name: str | None, where: str = "--device") -> None:
    """Refuse a name that is no device, before anything is imported. Raises: UserInputError."""
    if name is not None and name not in DEVICES:
        raise unknown("device", name, DEVICES, where)


def use_device(name: str | None) -> str:
    """Start JAX on a device.

    Args:
        name: "cpu", "gpu", or None for JAX's own choice: a GPU where a JAX that can use it is installed, else the CPU.
    Returns: the device in words, see `device_in_words`.
    Raises: UserInputError for another name, a GPU where there is none, a device other than that on which this process has
        computed before, or a platform in JAX_PLATFORMS that does not start.
    """
    check_device(name)
    import jax

    if name == "cpu":
        # Without it JAX would start, and take the memory of, a GPU that nobody asked for.
        jax.config.update("jax_platforms", "cpu")
    asked = os.environ.get("JAX_PLATFORMS", "")
    try:
        devices = jax.devices()
    except RuntimeError as problem:
        reason = " ".join(str(problem).split()) or "no device"
        raise UserInputError(f"JAX cannot start (JAX_PLATFORMS={asked!r}): {reason}") from None
    except AssertionError:
        raise UserInputError(f"JAX cannot start: JAX_PLATFORMS={asked!r} has no device here") from None
    here = devices[0].platform
    if name == "gpu" and here != "gpu":
        hint = f"JAX_PLATFORMS={asked!r} leaves it out" if asked else "install nmmfit[gpu] on a machine with an NVIDIA GPU"
        raise UserInputError(f"--device gpu: JAX finds no GPU here, only {device_in_words()}; {hint}, or use --device cpu")
    if name == "cpu" and here != "cpu":
        raise UserInputError(f"--device cpu: this process has computed on {device_in_words()} before; start another one")
    return device_in_words()


def device_in_words() -> str:
    """The devices that JAX computes on, such as "cpu" or "2 x gpu (NVIDIA H200)"; starts JAX."""
    import jax

    devices = jax.local_devices()
    first = devices[0]
    kind = "" if first.device_kind == first.platform else f" ({first.device_kind})"
    return (f"{len(devices)} x " if len(devices) > 1 else "") + first.platform + kind
