"""Files of WCxf: reading and writing values of coefficients, EFTs and bases, as YAML or JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nmmfit.eft.wcxf import models
from nmmfit.eft.wcxf.text import parse, render
from nmmfit.eft.wcxf.values import WcxfValues, from_file, made
from nmmfit.errors import UserInputError
from nmmfit.results.files import write_new_text, write_text

SUFFIXES = (".yml", ".yaml", ".json")


def read_wcxf(path: str | Path) -> WcxfValues:
    """Values of coefficients from a WCxf file of this package's theories (LNEFT, SMNEFT).

    Args:
        path: YAML, or JSON where the name ends in `.json`.
    Returns: values by representatives of their symmetry classes; names that are none are converted (`values.from_file`).
    Raises: UserInputError, one line, if the file cannot be read, is broken, is of another EFT or basis, lacks a scale or has one
        out of range, or holds a name or a value that is wrong.
    """
    return from_file(read_values_file(path), _where(path))


def write_wcxf(
    path: str | Path,
    values: Mapping[str, complex] | WcxfValues,
    scale_gev: float | None = None,
    *,
    basis: str = "nmmfit",
    metadata: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> None:
    """Write values of coefficients as a WCxf file, complete or not at all.

    Args:
        path: ends in `.yml`, `.yaml` or `.json`.
        values: coefficient -> value in GeV^(4 - dimension), or what `read_wcxf` returned.
        scale_gev: where the coefficients live; not with a `WcxfValues`, which knows.
        basis: `nmmfit`, or `nmmfit up` for coefficients above m_W whose quark doublets are aligned with up-type masses.
        metadata: whatever the file shall say about itself.
        overwrite: replace a file of that name.
    Raises: UserInputError for wrong names, values, scale or suffix; OutputError if the file exists or cannot be written.
    """
    if isinstance(values, WcxfValues):
        if scale_gev is not None or basis != "nmmfit" or metadata is not None:
            raise UserInputError("write_wcxf: scale, basis and metadata are those of the values given")
    else:
        if scale_gev is None:
            raise UserInputError("write_wcxf: scale_gev: coefficients mean nothing without their scale, GeV")
        values = made(values, scale_gev, basis, metadata, "write_wcxf")
    target = Path(path)
    text = render(values.plain(), as_json=wants_json(target))
    (write_text if overwrite else write_new_text)(target, text)


def read_values_file(path: str | Path) -> models.ValuesFile:
    """A WCxf file of values of any EFT and basis, with its names as they stand. Raises: UserInputError as `read_wcxf`."""
    file: models.ValuesFile = models.checked(models.ValuesFile, read_table(path), _where(path))
    return file


def read_table(path: str | Path) -> Any:
    """The content of a YAML or JSON file as plain data. Raises: UserInputError as `read_wcxf`."""
    place = Path(path)
    try:
        text = place.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as problem:
        reason = "not UTF-8 text" if isinstance(problem, UnicodeDecodeError) else getattr(problem, "strerror", None) or problem
        raise UserInputError(f"{_where(path)}: {reason}") from None
    table = parse(text, _where(path), as_json=place.suffix.lower() == ".json")
    if table is None:
        raise UserInputError(f"{_where(path)}: the file is empty")
    return table


def wants_json(path: Path) -> bool:
    """Whether a file's name asks for JSON. Raises: UserInputError for a suffix that is neither YAML's nor JSON's."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserInputError(f"{_where(path)}: the name must end in {', '.join(SUFFIXES)}")
    return suffix == ".json"


def _where(path: str | Path) -> str:
    """A path on one line of reasonable length."""
    text = str(path)
    return text if len(text) <= 200 else f"{text[:97]}...{text[-100:]}"
