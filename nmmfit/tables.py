"""The project's own table format: a CSV of numbers under a header that says where they come from.

A file starts with lines `# key: value` (at least `title` and `source`; as a rule also `doi` or `arxiv`, `licence`, `status`,
`release_sha256` and one `unit.<column>` per column), then one row of column names, then rows of numbers:

    # title: Solar pp neutrino spectrum
    # source: J. N. Bahcall, Phys. Rev. C 56, 3391 (1997)
    # unit.energy_mev: MeV
    # unit.density_per_mev: 1/MeV
    # rows: 2
    energy_mev,density_per_mev
    0.0,0.0
    0.1,1.04

The same content always gives the same bytes (no dates, no machine names), so that a rebuild can be compared byte by byte.
Reading is strict: nothing that is missing, doubled, not a number or not finite passes, and no file that was cut short: its last
line must end, and `rows`, which `write_table` adds, must be the number of rows.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import re
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path

import numpy as np

from nmmfit.atomic import replace_bytes
from nmmfit.checksums import refuse_other_release, verify_table, write_manifest
from nmmfit.errors import DataError, NmmfitError, OutputError, UserInputError

REQUIRED_META = ("title", "source")
ROWS = "rows"
"""Header entry with the number of rows; made by `write_table`, checked and taken out by `read_table`."""
_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")
_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Table:
    """A table: `columns` name -> (row,) float64, or text where asked for; `meta` key -> value; `where` the file's name."""

    columns: Mapping[str, np.ndarray]
    meta: Mapping[str, str]
    where: str = "table"

    def __getitem__(self, name: str) -> np.ndarray:
        """Column `name`, shape (row,). Raises DataError if there is no such column."""
        if name not in self.columns:
            raise DataError(f"{self.where}: no column {name!r} (columns: {', '.join(self.columns)})")
        return self.columns[name]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def number(self, key: str) -> float:
        """Header entry `key` as a finite number. Raises DataError if it is missing or not a number."""
        if key not in self.meta:
            raise DataError(f"{self.where}: no header line '# {key}: ...'")
        return _number(self.meta[key], f"{self.where}: header line {key!r}")


def read_table(resource: Traversable | Path | str, columns: Sequence[str] = (), text: Collection[str] = ()) -> Table:
    """Read one of the project's own tables.

    Args:
        resource: a path, or an entry of `importlib.resources.files(package)`.
        columns: columns that must be there; others may be there too.
        text: columns that hold words, not numbers.
    Returns: the table; every column not in `text` is float64 and finite.
    Raises: DataError, one line naming file, line and column: no such file, no header, missing or doubled column or key, a row
        with too few or too many cells, a cell that is not a finite number, no rows, a file that was cut short, or one that is
        not what the `SHA256SUMS` beside its folder lists.
    """
    source = Path(resource) if isinstance(resource, str) else resource
    where = source.name
    try:
        content = source.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"{source}: no such table") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{source}: cannot be read as a table ({error})") from None
    verify_table(source, content)

    lines = content.splitlines()
    start = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    meta = _parse_meta(lines[:start], where)
    if start == len(lines):
        raise DataError(f"{where}: no row of column names")
    names = [cell.strip() for cell in lines[start].split(",")]
    _check_names(names, f"{where}, line {start + 1}")
    for name in (*columns, *text):
        if name not in names:
            raise DataError(f"{where}: no column {name!r} (columns: {', '.join(names)})")

    rows = [(i + 1, line.split(",")) for i, line in enumerate(lines) if i > start]
    if not rows:
        raise DataError(f"{where}: no rows")
    if not content.endswith(("\n", "\r")):
        raise DataError(f"{where}, line {len(lines)}: the last line does not end; the file was cut short")
    for line_number, cells in rows:
        if len(cells) != len(names):
            raise DataError(f"{where}, line {line_number}: {len(cells)} cells, expected {len(names)} ({', '.join(names)})")
    declared = meta.pop(ROWS, None)
    if declared is not None and declared != str(len(rows)):
        raise DataError(f"{where}: {len(rows)} rows, but the header says {declared}; the file was cut short or changed by hand")
    values: dict[str, np.ndarray] = {}
    for j, name in enumerate(names):
        if name in text:
            values[name] = np.array([cells[j].strip() for _, cells in rows])
        else:
            values[name] = np.array([_number(cells[j], f"{where}, line {n}, column {name!r}") for n, cells in rows])
    return Table(columns=values, meta=meta, where=where)


def bin_grid(table: Table, axes: Sequence[tuple[str, str]]) -> tuple[np.ndarray, ...]:
    """Edges of every axis of binned data, whose rows are all bins of a regular grid, the last axis fastest.

    Args:
        table: the table.
        axes: (column of lower edges, column of upper edges) of every axis.
    Returns: increasing edges (bin + 1,) of every axis.
    Raises: DataError if the rows are not such a grid: a bin missing, doubled, displaced or out of order.
    """
    edges = tuple(np.unique(np.concatenate([table[low], table[high]])) for low, high in axes)
    bins = np.indices([len(e) - 1 for e in edges]).reshape(len(edges), -1)
    for (low, high), e, index in zip(axes, edges, bins, strict=True):
        if len(table) != bins.shape[1]:
            raise DataError(
                f"{table.where}: {len(table)} bins, but the edges of {', '.join(a for a, _ in axes)} make {bins.shape[1]}"
            )
        wrong = np.flatnonzero((table[low] != e[index]) | (table[high] != e[index + 1]))
        if len(wrong):
            expected = f"{e[index[wrong[0]]]:g} to {e[index[wrong[0]] + 1]:g}"
            raise DataError(
                f"{table.where}: row {wrong[0] + 1} is not the bin of {low} that a regular grid has there ({expected})"
            )
    return edges


def write_table(
    path: Path | str,
    columns: Mapping[str, np.ndarray | Sequence[float] | Sequence[str]],
    meta: Mapping[str, str],
    digits: int | None = None,
) -> None:
    """Write a table; the same content gives the same bytes. Written under a temporary name, then renamed.

    Args:
        path: where to; the folder must exist.
        columns: name -> (row,) finite numbers (whole numbers are written as such) or words without comma or line break.
        meta: header, key -> one line of text; `title` and `source` are required, `rows` is added.
        digits: significant digits of non-integer numbers; None writes the shortest text that reads back the same float64.
    Raises: DataError for content that `read_table` would refuse; OutputError if the file cannot be written.
    """
    target = Path(path)
    where = target.name
    lines = []
    for key in REQUIRED_META:
        if not meta.get(key, "").strip():
            raise DataError(f"{where}: header needs {key!r}")
    for key, value in meta.items():
        if not _KEY.fullmatch(key) or "\n" in value or "\r" in value or not value.strip():
            raise DataError(f"{where}: header entry {key!r} must be a plain word with one non-empty line of text")
        if key == ROWS:
            raise DataError(f"{where}: header entry {ROWS!r} is made from the table itself")
        lines.append(f"# {key}: {value.strip()}")
    names = list(columns)
    _check_names(names, where)
    cells = [_format_column(np.asarray(columns[name]), digits, f"{where}: column {name!r}") for name in names]
    if len({len(column) for column in cells}) != 1 or not cells[0]:
        raise DataError(
            f"{where}: columns must have the same length >= 1 ({ {n: len(c) for n, c in zip(names, cells, strict=True)} })"
        )
    lines += [f"# {ROWS}: {len(cells[0])}", ",".join(names)]
    lines.extend(",".join(row) for row in zip(*cells, strict=True))
    _replace_file(target, "\n".join(lines) + "\n")


def sha256(path: Traversable | Path | str) -> str:
    """SHA-256 of a file, 64 hexadecimal digits. Raises DataError if there is no such file."""
    source = Path(path) if isinstance(path, str) else path
    digest = hashlib.sha256()
    try:
        with source.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
    except OSError as error:
        raise DataError(f"{source}: cannot be read ({error.strerror})") from None
    return digest.hexdigest()


def find_release(folder: Path | str, name: str) -> Path:
    """Folder of one public release: `folder` itself if it has that name, else its subfolder `name`.

    Raises: UserInputError if there is neither.
    """
    root = Path(folder)
    for candidate in (root / name, root):
        if candidate.is_dir() and candidate.name == name:
            return candidate
    raise UserInputError(f"--release {root}: neither the folder {name!r} nor one that contains it")


def run_maker(make: Callable[[Path, Path], None], default_out: Path, argv: Sequence[str] | None = None) -> int:
    """Command line of a script that makes tables: `--release DIR [--out DIR] [--new-release]`.

    Tables appear in the output folder when all are made, and only if the release files are those that the shipped tables were
    made from (their headers hold the checksums), unless --new-release says that they are others. Tables that are made in the
    package's own folder are listed in its `SHA256SUMS`.

    Args:
        make: function of (release folder, output folder) that writes the tables.
        default_out: output folder without `--out`, usually the package's `data`.
        argv: arguments; None takes those of the process.
    Returns: exit code: 0, or that of the nmmfit error, whose message goes to stderr as one line.
    """
    parser = argparse.ArgumentParser(description="Make this package's own tables from public data releases.")
    parser.add_argument("--release", type=Path, required=True, help="folder of the public releases, or the release's own folder")
    parser.add_argument("--out", type=Path, default=default_out, help="where the tables go")
    parser.add_argument("--new-release", action="store_true", help="the release files are others than the shipped tables' ones")
    arguments = parser.parse_args(argv)
    try:
        with tempfile.TemporaryDirectory(prefix="nmmfit-tables-") as folder:
            make(arguments.release, Path(folder))
            if not arguments.new_release:
                refuse_other_release(Path(folder), default_out)
            arguments.out.mkdir(parents=True, exist_ok=True)
            for table in sorted(Path(folder).iterdir()):
                replace_bytes(arguments.out / table.name, table.read_bytes())
        if arguments.out.resolve() == default_out.resolve():
            write_manifest(default_out)
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return OutputError.exit_code
    except NmmfitError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def _number(cell: str, where: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        raise DataError(f"{where}: {cell.strip()!r} is not a number") from None
    if not math.isfinite(value):
        raise DataError(f"{where}: {cell.strip()!r} is not finite")
    return value


def _parse_meta(lines: Sequence[str], where: str) -> dict[str, str]:
    meta: dict[str, str] = {}
    for i, line in enumerate(lines):
        key, colon, value = line[1:].partition(":")
        key, value = key.strip(), value.strip()
        if not colon or not _KEY.fullmatch(key) or not value:
            raise DataError(f"{where}, line {i + 1}: a header line reads '# key: value', got {line!r}")
        if key in meta:
            raise DataError(f"{where}, line {i + 1}: header key {key!r} given twice")
        meta[key] = value
    for key in REQUIRED_META:
        if key not in meta:
            raise DataError(f"{where}: no header line '# {key}: ...'")
    return meta


def _check_names(names: Sequence[str], where: str) -> None:
    for i, name in enumerate(names):
        if not _COLUMN.fullmatch(name):
            raise DataError(f"{where}: {name!r} is no column name (a letter, then letters, digits, '_' or '.')")
        if name in names[:i]:
            raise DataError(f"{where}: column {name!r} given twice")
    if not names:
        raise DataError(f"{where}: no columns")


def _format_column(values: np.ndarray, digits: int | None, where: str) -> list[str]:
    if values.ndim != 1:
        raise DataError(f"{where}: must be one-dimensional, has shape {values.shape}")
    if values.dtype.kind in "US":
        words = [str(v) for v in values]
        for word in words:
            if not word.strip() or any(c in word for c in ",\n\r#"):
                raise DataError(f"{where}: {word!r} must be a non-empty word without comma, '#' or line break")
        return words
    if values.dtype.kind in "iu":
        return [str(int(v)) for v in values]
    if values.dtype.kind != "f":
        raise DataError(f"{where}: holds neither numbers nor words (dtype {values.dtype})")
    if not np.all(np.isfinite(values)):
        raise DataError(f"{where}: row {int(np.flatnonzero(~np.isfinite(values))[0])} is not finite")
    # + 0.0 turns -0.0 into 0.0: two equal tables must not differ in bytes.
    numbers = [float(v) + 0.0 for v in values]
    return [repr(v) if digits is None else f"{v:.{digits}g}" for v in numbers]


def _replace_file(target: Path, content: str) -> None:
    """Write `content` beside `target`, then rename: a reader never sees half a file."""
    try:
        replace_bytes(target, content.encode("utf-8"))
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({error.strerror})") from None
