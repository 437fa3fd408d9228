"""The checks of `nmmfit.contract.model` as parameters of a test, so that an experiment's own file compiles it once for all."""

from __future__ import annotations

from typing import Any

import pytest

from nmmfit.contract import model

_WITH_GRADIENT = ("standard_model", "gradient")
"""These compile the gradient of the direct evaluation, which takes long for many components."""


def contract_parts(gradient_is_slow: bool = False) -> list[Any]:
    """Every check, by its name; those that need the gradient marked `slow` where asked for."""
    slow = _WITH_GRADIENT if gradient_is_slow else ()
    return [pytest.param(part, id=name, marks=[pytest.mark.slow] if name in slow else []) for name, part in model.PARTS.items()]
