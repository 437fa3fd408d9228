"""Priors as the run file writes them: one family with its numbers, checked, and described without JAX."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, model_serializer, model_validator
from pydantic_core import CoreSchema

from nmmfit.errors import unknown
from nmmfit.validation import refuse

# Numbers beyond these overflow or vanish when they are squared; no coefficient of this theory is near them.
LARGEST_NUMBER, SMALLEST_WIDTH = 1e100, 1e-100
# A truncation window that holds less of the normal than this is taken for a slip: its density is dominated by rounding.
SMALLEST_TRUNCATED_MASS = 1e-9


@dataclass(frozen=True)
class Family:
    """A family of priors: the names of its numbers in order, and those that must be positive."""

    numbers: tuple[str, ...]
    positive: tuple[str, ...] = ()


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "normal": Family(("mean", "width"), ("width",)),
        "half_normal": Family(("width",), ("width",)),
        "uniform": Family(("low", "high")),
        "log_uniform": Family(("low", "high"), ("low", "high")),
        "student_t": Family(("degrees of freedom", "centre", "width"), ("degrees of freedom", "width")),
        "truncated_normal": Family(("mean", "width", "low", "high"), ("width",)),
        "delta": Family(("value",)),
    }
)


class PriorSpec(BaseModel):
    """Prior of one real parameter: `family` and its `numbers`, in the order of `FAMILIES[family].numbers`.

    In a run file: `{ normal = [mean, width] }`, `{ half_normal = width }`, `{ uniform = [low, high] }`,
    `{ log_uniform = [low, high] }`, `{ student_t = [degrees_of_freedom, centre, width] }`,
    `{ truncated_normal = [mean, width, low, high] }`, `{ delta = value }`; a bare number is a delta.
    Numbers carry the unit of what they are the prior of.
    """

    model_config = ConfigDict(frozen=True)

    family: str
    numbers: tuple[float, ...]

    @model_validator(mode="before")
    @classmethod
    def _from_run_file(cls, given: Any) -> Any:
        if isinstance(given, PriorSpec):
            return given
        if _is_number(given):
            given = {"delta": given}
        if not isinstance(given, dict):
            raise refuse(f"expected a number or a prior such as {{ normal = [0.0, 1.0] }}, got {given!r}")
        if len(given) != 1:
            raise refuse(f"a prior is exactly one family, got {len(given)}: {', '.join(map(str, given)) or 'none'}")
        (family, numbers) = next(iter(given.items()))
        if family not in FAMILIES:
            raise refuse(str(unknown("prior family", str(family), FAMILIES)))
        values = tuple(numbers) if isinstance(numbers, list | tuple) else (numbers,)
        return {"family": family, "numbers": _checked(family, values)}

    @model_serializer
    def _to_run_file(self) -> dict[str, float | list[float]]:
        return {self.family: self.numbers[0] if len(self.numbers) == 1 else list(self.numbers)}

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Schema of what the run file holds: a number, or a table with exactly one family."""
        return prior_schema()

    @property
    def is_fixed(self) -> bool:
        """Whether the parameter has one value only."""
        return self.family == "delta"

    @property
    def support(self) -> tuple[float, float]:
        """Lowest and highest value with a density, infinite where there is no end."""
        match self.family:
            case "half_normal":
                return 0.0, math.inf
            case "uniform" | "log_uniform":
                return self.numbers[0], self.numbers[1]
            case "truncated_normal":
                return self.numbers[2], self.numbers[3]
            case "delta":
                return self.numbers[0], self.numbers[0]
        return -math.inf, math.inf

    @property
    def centre(self) -> float:
        """Median of the prior."""
        match self.family:
            case "half_normal":
                return self.numbers[0] * NormalDist().inv_cdf(0.75)
            case "uniform":
                return 0.5 * (self.numbers[0] + self.numbers[1])
            case "log_uniform":
                return math.sqrt(self.numbers[0]) * math.sqrt(self.numbers[1])
            case "student_t":
                return self.numbers[1]
            case "truncated_normal":
                mean, width, low, high = self.numbers
                parent = NormalDist(mean, width)
                return parent.inv_cdf(0.5 * (parent.cdf(low) + parent.cdf(high)))
        return self.numbers[0]

    @property
    def width(self) -> float:
        """A typical distance from the centre: the width of normal families, a quarter of a range, 0 for a delta."""
        match self.family:
            case "normal" | "truncated_normal":
                return self.numbers[1]
            case "half_normal":
                return self.numbers[0]
            case "student_t":
                return self.numbers[2]
            case "uniform" | "log_uniform":
                return 0.25 * (self.numbers[1] - self.numbers[0])
        return 0.0

    @property
    def symmetric_about_zero(self) -> bool:
        """Whether the density is the same at x and -x."""
        match self.family:
            case "normal" | "delta":
                return self.numbers[0] == 0.0
            case "uniform":
                return self.numbers[0] == -self.numbers[1]
            case "student_t":
                return self.numbers[1] == 0.0
            case "truncated_normal":
                return self.numbers[0] == 0.0 and self.numbers[2] == -self.numbers[3]
        return False

    def __str__(self) -> str:
        if self.is_fixed:
            return f"{self.numbers[0]:g}"
        return f"{self.family}({', '.join(f'{x:g}' for x in self.numbers)})"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _checked(family: str, values: tuple[Any, ...]) -> tuple[float, ...]:
    """The numbers of a prior as floats, or the reason why they are none."""
    names = FAMILIES[family].numbers
    if len(values) != len(names):
        raise refuse(f"{family} takes {len(names)} number{'s' * (len(names) > 1)} ({', '.join(names)}), got {len(values)}")
    for name, value in zip(names, values, strict=True):
        if not _is_number(value):
            raise refuse(f"{name} of {family} must be a number, got {value!r}")
        if not math.isfinite(value):
            raise refuse(f"{name} of {family} must be finite, got {value}")
        if abs(value) > LARGEST_NUMBER:
            raise refuse(f"{name} of {family} must lie within +-{LARGEST_NUMBER:g}, got {value}")
        if name in FAMILIES[family].positive and value <= 0:
            raise refuse(f"{name} of {family} must be > 0, got {value}")
        if name in FAMILIES[family].positive and value < SMALLEST_WIDTH:
            raise refuse(f"{name} of {family} must be at least {SMALLEST_WIDTH:g}, got {value}")
    numbers = tuple(float(value) for value in values)
    if "low" in names:
        low, high = numbers[names.index("low")], numbers[names.index("high")]
        if low >= high:
            raise refuse(f"low of {family} must be below high, got {low} and {high}")
        if high - low < SMALLEST_WIDTH:
            raise refuse(f"high of {family} must be at least {SMALLEST_WIDTH:g} above low, got {low} and {high}")
    if family == "truncated_normal":
        parent = NormalDist(numbers[0], numbers[1])
        if parent.cdf(numbers[3]) - parent.cdf(numbers[2]) < SMALLEST_TRUNCATED_MASS:
            raise refuse(f"[{numbers[2]}, {numbers[3]}] holds almost nothing of a normal({numbers[0]}, {numbers[1]})")
    return numbers


def prior_schema(presets: tuple[str, ...] = ()) -> dict[str, Any]:
    """JSON schema of a prior in a run file: a number, a table with exactly one family, or one of the named presets."""
    named = [{"type": "string", "enum": list(presets)}] if presets else []
    return {"title": "Prior", "oneOf": [{"type": "number"}, *named, *map(_family_schema, FAMILIES)]}


def _family_schema(family: str) -> dict[str, Any]:
    names = FAMILIES[family].numbers
    items = [
        {"title": name, "type": "number", **({"exclusiveMinimum": 0} if name in FAMILIES[family].positive else {})}
        for name in names
    ]
    several = {"type": "array", "prefixItems": items, "minItems": len(names), "maxItems": len(names)}
    return {
        "type": "object",
        "properties": {family: items[0] if len(names) == 1 else several},
        "required": [family],
        "additionalProperties": False,
    }
