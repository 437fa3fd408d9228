"""What the files of WCxf hold (arXiv:1712.05298, section 2): an EFT, a basis of it, values of coefficients.

    EFT      eft, sectors {name: description or nothing}, metadata
    basis    eft, basis, sectors {name: {coefficient: {real, tex} or nothing}}, metadata, parent
    values   eft, basis, scale in GeV, values {coefficient: number or {Re, Im}}, metadata

The Lagrangian of a basis is sum_i C_i O_i over Hermitian operators plus sum_i (C_i O_i + h.c.) over the others; a coefficient
that is marked `real` belongs to the former.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError, field_validator, model_validator

from nmmfit.errors import UserInputError, unknown
from nmmfit.validation import StrictModel, refuse, user_error


class SectorNote(StrictModel):
    """What an EFT file may say about a sector."""

    tex: str | None = None
    description: str | None = None


class EftFile(StrictModel):
    """An effective theory with its sectors, each closed under renormalisation."""

    eft: str = Field(min_length=1)
    sectors: dict[str, SectorNote | None]
    metadata: dict[str, Any] = Field(default_factory=dict)

    @field_validator("sectors")
    @classmethod
    def _some(cls, given: dict[str, SectorNote | None]) -> dict[str, SectorNote | None]:
        if not given:
            raise refuse("an EFT has at least one sector")
        return given


class BasisEntry(StrictModel):
    """One coefficient of a basis: whether hermiticity makes it real, and its operator in LaTeX."""

    real: bool = False
    tex: str | None = None


class BasisFile(StrictModel):
    """A basis of operators of an effective theory, by sector."""

    eft: str = Field(min_length=1)
    basis: str = Field(min_length=1)
    metadata: dict[str, Any] = Field(default_factory=dict)
    parent: str | None = None
    sectors: dict[str, dict[str, BasisEntry | None]]

    @model_validator(mode="after")
    def _each_once(self) -> BasisFile:
        seen: dict[str, str] = {}
        for sector, entries in self.sectors.items():
            for name in entries:
                if name in seen:
                    raise refuse(f"coefficient {name!r} stands in the sectors {seen[name]!r} and {sector!r}")
                seen[name] = sector
        return self

    @property
    def coefficients(self) -> dict[str, BasisEntry]:
        """Every coefficient of every sector."""
        return {name: entry or BasisEntry() for entries in self.sectors.values() for name, entry in entries.items()}


class ValuesFile(StrictModel):
    """Values of coefficients at a scale, as they stand in a file."""

    eft: str = Field(min_length=1)
    basis: str = Field(min_length=1)
    scale: float
    values: dict[str, float | dict[str, float]]
    metadata: dict[str, Any] = Field(default_factory=dict)

    @field_validator("scale", mode="before")
    @classmethod
    def _positive(cls, given: Any) -> Any:
        number = _number(given, "")
        if number <= 0.0:
            raise refuse(f"a scale is a number of GeV above 0, got {given!r}")
        return number

    @field_validator("values", mode="before")
    @classmethod
    def _numbers(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            raise refuse(f"expected coefficients with their values, such as VnueLL_1111: 1e-6, got {_shown(given)}")
        return {_text(name): _value(name, value) for name, value in given.items()}

    @property
    def numbers(self) -> dict[str, complex]:
        """Coefficients as complex numbers."""
        return {
            n: complex(v.get("Re", 0.0), v.get("Im", 0.0)) if isinstance(v, dict) else complex(v) for n, v in self.values.items()
        }


def _shown(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."


def _text(name: object) -> str:
    if not isinstance(name, str):
        raise refuse(f"{_shown(name)} is no name of a coefficient")
    return name


def _number(given: object, where: str) -> float:
    """A finite real number; pydantic's error for anything else."""
    prefix = f"{where}: " if where else ""
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise refuse(f"{prefix}expected a number, got {_shown(given)}")
    try:
        number = float(given)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise refuse(f"{prefix}expected a finite number, got {_shown(given)}")
    return number


def _value(name: object, given: object) -> float | dict[str, float]:
    if not isinstance(given, Mapping):
        return _number(given, str(name))
    for key in given:
        if key not in ("Re", "Im"):
            raise refuse(str(unknown("part", key if isinstance(key, str) else repr(key), ("Re", "Im"), str(name))))
    if not given:
        raise refuse(f"{name}: expected a number, or Re and Im of one")
    return {str(key): _number(part, f"{name}.{key}") for key, part in given.items()}


def checked(model: type[StrictModel], table: object, where: str) -> Any:
    """A parsed file as one of the models of this module.

    Raises: UserInputError with the place and the first thing that is wrong.
    """
    if not isinstance(table, Mapping):
        raise UserInputError(f"{where}: expected keys and values ({', '.join(model.model_fields)}), got {_shown(table)}")
    try:
        return model.model_validate(dict(table))
    except ValidationError as problem:
        raise UserInputError(f"{where}: {user_error(problem, model=model)}") from None
