"""Reading the files of a public release, for scripts that make an experiment's own tables."""

from __future__ import annotations

import functools
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import numpy as np

from nmmfit.errors import DataError, NmmfitError
from nmmfit.tables import sha256

P = ParamSpec("P")
T = TypeVar("T")


def release_reader(read: Callable[Concatenate[Path, P], T]) -> Callable[Concatenate[Path, P], T]:
    """A function whose first argument is a release file: whatever it stumbles over becomes a DataError that names the file."""

    @functools.wraps(read)
    def reading(path: Path, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return read(path, *args, **kwargs)
        except NmmfitError:
            raise
        except (ValueError, LookupError, EOFError, zipfile.BadZipFile) as problem:
            said = " ".join(str(problem).split())
            raise DataError(f"{path}: not what this release holds ({said})") from None

    return reading


def release_numbers(path: Path, width: int, delimiter: str | None = None) -> np.ndarray:
    """Rows of numbers of a release file, (row, width); lines that begin with # are left out.

    Raises: DataError if the file is missing, or is not a table of `width` finite numbers a row.
    """
    try:
        values = np.loadtxt(path, ndmin=2, delimiter=delimiter)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a table of numbers ({error})") from None
    if values.shape[1] != width or not np.all(np.isfinite(values)):
        raise DataError(f"{path}: expected {width} finite numbers a row")
    return values


def checksums(release: Path, files: Iterable[str]) -> dict[str, str]:
    """Entries of a table's header: the SHA-256 of each release file that it was made from ("+" is no character of a key)."""
    return {f"release_sha256.{name}".replace("+", "plus_"): sha256(release / name) for name in files}
