"""The text of run files: reading TOML, `KEY=VALUE` overrides of its keys, and writing it."""

from __future__ import annotations

import copy
import json
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from nmmfit.errors import UserInputError, unknown
from nmmfit.priors import FAMILIES

_BARE_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.\-]*")


def read_toml(text: str, source: str = "run file") -> dict[str, Any]:
    """Parse a run file.

    Raises: UserInputError with the source, and the line and column of a syntax error.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise UserInputError(f"{source}: not valid TOML: {problem}") from None


def with_overrides(table: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """A copy of a parsed run file with `KEY=VALUE` overrides applied in order.

    KEY is a dotted path (`theory.alpha_s_mz`, `parameters.L_T_u.prior.normal`), VALUE is TOML; a bare word is taken as a string.
    A prior is replaced as a whole.

    Raises: UserInputError if an override is not of that form, or its path runs through something that is no table.
    """
    result = copy.deepcopy(dict(table))
    changes = [] if isinstance(overrides, str | Mapping) else list(overrides)
    if isinstance(overrides, str | Mapping) or not all(isinstance(change, str) for change in changes):
        raise UserInputError(f"overrides: expected a list of texts KEY=VALUE, such as ['sampler.draws=500'], got {overrides!r}")
    for override in changes:
        key, equals, value = override.partition("=")
        if not equals or not key.strip():
            raise UserInputError(f"--set {override}: expected KEY=VALUE, such as theory.alpha_s_mz=0.1179")
        text = value.strip()
        if _BARE_WORD.fullmatch(text) and text not in ("true", "false", "inf", "nan"):
            text = f'"{text}"'
        try:
            _merge(result, tomllib.loads(f"{key.strip()} = {text}"), override, "")
        except tomllib.TOMLDecodeError:
            raise UserInputError(f"--set {override}: the value {value.strip()!r} or the key is not valid TOML") from None
    return result


def _merge(into: dict[str, Any], new: Mapping[str, Any], override: str, path: str) -> None:
    for key, value in new.items():
        place = f"{path}.{key}" if path else key
        old = into.get(key)
        is_prior = isinstance(value, dict) and bool(value) and set(value) <= set(FAMILIES)
        if path == "parameters" and old is None and isinstance(value, dict) and "coefficients" not in value:
            raise unknown("parameter", key, into, f"--set {override}")
        if not isinstance(value, dict) or is_prior or old is None:
            into[key] = value
        elif isinstance(old, dict):
            # A prior that is spelt wrong still replaces the old one, so that the error names it and not their sum.
            if old and set(old) <= set(FAMILIES):
                into[key] = value
            else:
                _merge(old, value, override, place)
        else:
            raise UserInputError(f"--set {override}: {place} is {old!r}, not a table")


def write_toml(table: Mapping[str, Any]) -> str:
    """TOML text of a table of tables, lists, strings, booleans and numbers; reading it gives the table back.

    Plain values come first, then sub-tables as [headed.sections]; tables inside those, such as priors, stay on one line.
    """
    lines = [f"{_key(name)} = {_value(inner)}" for name, inner in table.items() if not isinstance(inner, dict)]
    for name, inner in table.items():
        if isinstance(inner, dict):
            lines += _section(_key(name), inner)
    return "\n".join(lines) + "\n"


def _section(heading: str, table: Mapping[str, Any]) -> list[str]:
    """A headed section; one whose entries are all tables, and no priors, is split into sections of its own."""
    nested = [inner for inner in table.values() if isinstance(inner, dict) and not set(inner) <= set(FAMILIES)]
    if table and len(nested) == len(table):
        return [line for name, inner in table.items() for line in _section(f"{heading}.{_key(name)}", inner)]
    return ["", f"[{heading}]", *(f"{_key(name)} = {_value(inner)}" for name, inner in table.items())]


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _string(name)


def _string(text: str) -> str:
    # A JSON string is a TOML basic string, once DEL, the one control character that JSON leaves as it is, is escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + " }" if value else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    raise TypeError(f"TOML has no value of type {type(value).__name__}")
