"""YAML and JSON of WCxf files as plain data, strictly: what could be misread is refused.

Numbers are those of YAML 1.2 (and JSON), so that `1e-6` is a number and `1:30` or `0x10` are not; `yes` is text. A key that
stands twice, anchors, tags, several documents and numbers that are not finite are errors.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable
from typing import Any

import yaml

from nmmfit.errors import UserInputError

LARGEST_CHARACTERS = 20_000_000
"""The largest basis of WCxf is a hundredth of this."""

_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


class _Loader(yaml.SafeLoader):
    """Mappings, sequences, text, numbers, true, false and null, each key once."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (the library's own form)

    def compose_node(self, parent: Any, index: Any) -> Any:
        """As the library does, without anchors and aliases."""
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise yaml.constructor.ConstructorError(None, None, "anchors and aliases are no part of WCxf", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        """As the library does, each key once."""
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(None, None, "a key is text or a number", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _number(loader: yaml.SafeLoader, node: Any) -> int | float:
    text = str(loader.construct_scalar(node))
    return int(text) if re.fullmatch(r"[-+]?[0-9]{1,18}", text) else float(text)


def _infinite(loader: yaml.SafeLoader, node: Any) -> float:
    raise yaml.constructor.ConstructorError(None, None, f"{node.value} is not finite", node.start_mark)


for _tag, _pattern, _first in (
    ("null", re.compile(r"~|null|Null|NULL|"), ["~", "n", "N", ""]),
    ("bool", re.compile(r"true|True|TRUE|false|False|FALSE"), list("tTfF")),
    ("nmmfit-infinite", _INFINITE, list("-+.")),
    ("float", _FLOAT, list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern.pattern})\Z"), _first)
_Loader.add_constructor("tag:yaml.org,2002:float", _number)
_Loader.add_constructor("tag:yaml.org,2002:nmmfit-infinite", _infinite)


def parse(text: str, where: str, as_json: bool = False) -> Any:
    """Plain data of a YAML or JSON text.

    Args:
        text: the file.
        where: what errors call it.
        as_json: whether it must be JSON; else YAML, of which JSON is a part.
    Raises: UserInputError, one line with the place in the text.
    """
    if len(text) > LARGEST_CHARACTERS:
        raise UserInputError(
            f"{where}: {len(text)} characters are too many for a file of coefficients (at most {LARGEST_CHARACTERS})"
        )
    try:
        return _parse_json(text) if as_json else yaml.load(text, Loader=_Loader)
    except json.JSONDecodeError as problem:
        raise UserInputError(f"{where}: line {problem.lineno}, column {problem.colno}: no JSON: {problem.msg}") from None
    except yaml.MarkedYAMLError as problem:
        raise UserInputError(f"{where}: {_described(problem)}") from None
    except yaml.YAMLError as problem:
        raise UserInputError(f"{where}: no YAML: {' '.join(str(problem).split())}") from None
    except RecursionError:
        raise UserInputError(f"{where}: nested too deeply for a file of coefficients") from None
    except ValueError as problem:
        raise UserInputError(f"{where}: {problem}") from None


def _described(problem: yaml.MarkedYAMLError) -> str:
    mark = problem.problem_mark or problem.context_mark
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
    own = isinstance(problem, yaml.constructor.ConstructorError) and problem.context is None
    words = " ".join(" ".join(str(part) for part in (problem.context, problem.problem) if part).split()) or "it ends too early"
    return f"{place}{'' if own else 'no YAML: '}{words}"


def _parse_json(text: str) -> Any:
    def pairs(given: list[tuple[str, Any]]) -> dict[str, Any]:
        table: dict[str, Any] = {}
        for key, value in given:
            if key in table:
                raise ValueError(f"the key {key!r} stands twice")
            table[key] = value
        return table

    def constant(name: str) -> Any:
        raise ValueError(f"{name} is not finite")

    def whole(digits: str) -> int | float:
        return int(digits) if len(digits) <= 19 else float(digits)

    return json.loads(text, object_pairs_hook=pairs, parse_constant=constant, parse_int=whole)


class _Dumper(yaml.SafeDumper):
    """Block style, numbers so that every reader of YAML sees numbers."""

    def ignore_aliases(self, data: Any) -> bool:
        """No anchors: equal parts are written out."""
        return True


def _float(dumper: yaml.SafeDumper, value: float) -> Any:
    text = repr(value)
    # YAML 1.1 takes 1e-06 for text: it wants a point, and a sign in the exponent
    mantissa, _, exponent = text.partition("e")
    if exponent:
        text = f"{mantissa if '.' in mantissa else mantissa + '.0'}e{exponent if exponent[0] in '+-' else '+' + exponent}"
    return dumper.represent_scalar("tag:yaml.org,2002:float", text)


_Dumper.add_representer(float, _float)
# Text that YAML 1.2 takes for a number and YAML 1.1 does not (0E0) is quoted too.
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(rf"(?:{_FLOAT.pattern})\Z"), list("-+.0123456789"))


def render(table: Any, as_json: bool = False) -> str:
    """A text that `parse` reads back, to the last digit; JSON or YAML."""
    if as_json:
        return json.dumps(table, indent=1, allow_nan=False) + "\n"
    return str(yaml.dump(table, Dumper=_Dumper, sort_keys=False, allow_unicode=False, width=120, default_flow_style=False))
