"""Reading the files of a public release, for scripts that make an experiment's own tables."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from nmmfit.errors import DataError
from nmmfit.tables import sha256


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
