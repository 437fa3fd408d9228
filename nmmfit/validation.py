"""Strict pydantic models, and validation errors as one clear line with the path of the key."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from nmmfit.errors import UserInputError, unknown


def refuse(message: str) -> PydanticCustomError:
    """Error to raise inside a pydantic validator; the message stands as it is, the path is added when it is reported."""
    return PydanticCustomError("refused", "{text}", {"text": message})


class StrictModel(BaseModel):
    """Frozen model that converts no types and names the nearest match of a key it does not know."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, given: Any) -> Any:
        if isinstance(given, dict):
            for key in given:
                if key not in cls.model_fields:
                    raise refuse(str(unknown("key", str(key), cls.model_fields)))
        return given


def key_path(location: Sequence[int | str], where: str = "") -> str:
    """Path of a key as the user would write it: ("experiments", 1) -> "experiments[1]", below `where`."""
    path = where
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part != "[key]":
            path += f".{part}" if path else str(part)
    return path


def user_error(problem: ValidationError, where: str = "", model: type[BaseModel] | None = None) -> UserInputError:
    """The first problem that pydantic found as one line: path, what is wrong, what was given.

    Args:
        problem: what pydantic raised.
        where: path of the validated table inside the run file; empty for the file itself.
        model: the validated model, whose fields are the allowed names where a key is unknown.
    """
    # A default that depends on a key is no mistake of its own where that key is wrong.
    details = [found for found in problem.errors(include_url=False) if found["type"] != "default_factory_not_called"]
    first = details[0]
    location, kind = first["loc"], first["type"]
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    path = key_path(location, where)
    if kind == "extra_forbidden" and model is not None and len(location) == 1:
        return UserInputError(str(unknown("key", str(location[0]), model.model_fields, where)) + more)
    if kind == "literal_error":
        allowed = [word.strip("'") for word in re.split(", | or ", first["ctx"]["expected"])]
        return UserInputError(str(unknown("choice", str(first["input"]), allowed, path)) + more)
    if kind == "missing":
        return UserInputError(f"{path}: this key is required{more}")
    message = first["msg"] if kind == "refused" else _plain(first["msg"], first["input"])
    return UserInputError((f"{path}: " if path else "") + message + more)


Options = TypeVar("Options", bound=BaseModel)


def chosen_options(model: type[Options], given: Mapping[str, Any], where: str) -> Options:
    """Options as their model checks them.

    Raises: UserInputError, one line that begins with `where`.
    """
    try:
        return model(**given)
    except ValidationError as problem:
        raise user_error(problem, where, model) from None


def _plain(message: str, given: Any) -> str:
    """Pydantic's own wording with the value that was given, on one line."""
    shown = repr(given)
    if len(shown) > 60:
        shown = shown[:57] + "..."
    text = message.removeprefix("Value error, ").removeprefix("Input should be ")
    return f"expected {text}, got {shown}" if message.startswith("Input should be ") else f"{text}, got {shown}"
