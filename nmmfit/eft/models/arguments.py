"""Checks of what models are given: couplings, masses, scales, generations. What is being traced is not looked at."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit import precision as precision
from nmmfit.eft.operators import FERMION_NAMES, GENERATIONS
from nmmfit.errors import UserInputError, unknown
from nmmfit.inputs import StandardModelInputs
from nmmfit.shapes import Array, ArrayLike

LEPTONS = FERMION_NAMES["e"]


def lepton_mass(where: str, lepton: str, inputs: StandardModelInputs | None) -> Array:
    if lepton not in LEPTONS:
        raise unknown("charged lepton", lepton, LEPTONS, where)
    return jnp.asarray(getattr(StandardModelInputs() if inputs is None else inputs, f"m_{lepton}_gev"), dtype=float)


def neutrino_pair(where: str, given: tuple[int, int]) -> tuple[int, int]:
    if not isinstance(given, tuple | list) or len(given) != 2 or any(k not in GENERATIONS["nu"] for k in given):
        raise UserInputError(f"{where}: neutrinos: expected two generations from 1 to 3, such as (1, 1), got {given!r}")
    p, r = given
    return p, r


def concrete(where: str, name: str, value: ArrayLike, kind: str) -> np.ndarray | None:
    """The value as numbers, None while it is being traced. Raises: UserInputError for what is no number."""
    if isinstance(value, jax.core.Tracer):
        return None
    try:
        return np.asarray(value, dtype=kind)
    except (TypeError, ValueError):
        raise UserInputError(f"{where}: {name}: expected numbers, got {value!r}") from None


def check_couplings(where: str, **couplings: ArrayLike) -> None:
    for name, value in couplings.items():
        numbers = concrete(where, name, value, "complex128")
        if numbers is not None and not np.all(np.isfinite(numbers)):
            raise UserInputError(f"{where}: {name}: expected finite couplings, got {numbers[~np.isfinite(numbers)].flat[0]}")


def check_masses(where: str, **masses: ArrayLike) -> None:
    for name, value in masses.items():
        numbers = concrete(where, name, value, "float64")
        if numbers is None:
            continue
        wrong = ~(np.isfinite(numbers) & (numbers > 0.0))
        if np.any(wrong):
            raise UserInputError(f"{where}: {name}: expected finite and above 0 GeV, got {numbers[wrong].flat[0]:g}")


def check_threshold(
    where: str,
    name: str,
    mass: ArrayLike,
    scale: ArrayLike,
    meaning: str = "the scale asked for,",
    reason: str = "it is not integrated out there",
) -> None:
    """Refuse a heavy mass below the scale; what is being traced is not looked at."""
    heavy, low = concrete(where, name, mass, "float64"), concrete(where, "scale_gev", scale, "float64")
    if heavy is None or low is None:
        return
    below = heavy < low
    if np.any(below):
        shown, limit = np.broadcast_to(heavy, below.shape)[below].flat[0], np.broadcast_to(low, below.shape)[below].flat[0]
        raise UserInputError(f"{where}: {name} = {shown:g} GeV is below {meaning} {limit:g} GeV: {reason}")
