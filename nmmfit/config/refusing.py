"""Checks of the program as checks of a run file's keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import AfterValidator

from nmmfit.errors import UserInputError
from nmmfit.validation import refuse


def refusing(check: Callable[[Any], Any]) -> AfterValidator:
    """A check whose UserInputError becomes the error of the key."""

    def checked(given: Any) -> Any:
        try:
            return check(given)
        except UserInputError as problem:
            raise refuse(str(problem)) from None

    return AfterValidator(checked)
