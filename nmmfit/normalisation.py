"""Normalisations of backgrounds as functions of a pull: positive, 1 at pull 0."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp

from nmmfit.errors import unknown
from nmmfit.experiment import Pulls
from nmmfit.shapes import Array

Form = Literal["exponential", "softplus"]
FORMS: tuple[Form, ...] = ("exponential", "softplus")
# Sharpness of the softplus: its slope at pull 0 differs from the linear scale's by 0.7 %.
SOFTPLUS_SHARPNESS = 5.0


def normalisation(pull: str, width: float, form: str) -> Callable[[Pulls], Array]:
    """Normalisation relative to a nominal curve.

    Args:
        pull: its name.
        width: relative change at pull 1.
        form: "exponential": (1 + width)^pull. "softplus": close to 1 + width * pull down to a fifth, then falling
            exponentially, so that a vanishing background is a few units away.
    Raises: UserInputError for an unknown form.
    """
    if form not in FORMS:
        raise unknown("form of a normalisation", form, FORMS)
    if form == "exponential":
        log_width = math.log1p(width)
        return lambda pulls: jnp.exp(log_width * pulls[pull])
    k = SOFTPLUS_SHARPNESS
    norm = math.log1p(math.exp(k))
    return lambda pulls: jax.nn.softplus(k * (1.0 + width * pulls[pull])) / norm
