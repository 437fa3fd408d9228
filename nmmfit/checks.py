"""Checks at the door that several entries share: numbers and levels as the user gave them. No JAX."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from nmmfit.errors import UserInputError

SMALLEST_CL = 1e-4
"""Lowest level of confidence: below it the rise of delta chi2 drowns in rounding."""


def finite_number(value: Any, where: str) -> float:
    """A real, finite number as a float.

    Args:
        value: a Python or numpy number, or an array of one element without axes.
        where: what the number is, for the message.
    Raises: UserInputError for anything else.
    """
    if isinstance(value, str | bytes | bool) or getattr(value, "shape", ()) != ():
        raise UserInputError(f"{where}: expected a number, got {_shown(value)}")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise UserInputError(f"{where}: expected a number, got {_shown(value)}") from None
    if not math.isfinite(number):
        raise UserInputError(f"{where}: expected a finite number, got {number:g}")
    return number


def whole_number(value: Any, where: str, least: int, most: int | None = None) -> int:
    """A whole number of at least `least`, and at most `most` where that is given.

    Raises: UserInputError for anything else.
    """
    allowed = f"at least {least}" if most is None else f"{least} to {most}"
    whole = hasattr(value, "__index__") and not isinstance(value, bool) and getattr(value, "shape", ()) == ()
    if not whole:
        raise UserInputError(f"{where}: expected a whole number, {allowed}, got {_shown(value)}")
    number = int(value)
    if number < least or (most is not None and number > most):
        raise UserInputError(f"{where}: {number} is out of range (allowed: {allowed})")
    return number


def confidence_level(value: Any, where: str) -> float:
    """A level of confidence between 0 and 1, not so small that it means nothing.

    Raises: UserInputError, with the fraction that a percentage probably meant.
    """
    level = finite_number(value, where)
    if 1.0 < level < 100.0:
        raise UserInputError(f"{where}: {level:g} is out of range (allowed: above 0 and below 1); did you mean {level / 100:g}?")
    if not 0.0 < level < 1.0:
        raise UserInputError(f"{where}: {level:g} is out of range (allowed: above 0 and below 1, such as 0.9)")
    if level < SMALLEST_CL:
        raise UserInputError(f"{where}: {level:g} is too small to be resolved (allowed: {SMALLEST_CL:g} and above, below 1)")
    return level


def broadcasting(given: Mapping[str, Any], where: str) -> None:
    """Refuse arrays that do not broadcast.

    Raises: UserInputError with the names and shapes of those that have axes.
    """
    # Imported here: the command line checks numbers before it needs any library for arrays.
    import numpy as np

    shapes = {name: np.shape(value) for name, value in given.items()}
    try:
        np.broadcast_shapes(*shapes.values())
    except ValueError:
        named = ", ".join(f"{name} {shape}" for name, shape in shapes.items() if shape)
        raise UserInputError(f"{where}: these shapes do not broadcast: {named}") from None


def _shown(value: Any) -> str:
    """A value on one line, cut short where it is long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."
