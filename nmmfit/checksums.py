"""Checksums: of the project's own tables, which nobody should change by hand, and of the release files that they are made from.

The tables of a folder `data` are listed in the file `SHA256SUMS` beside that folder, in the format of `sha256sum` (so that
`sha256sum -c SHA256SUMS` checks them, too). `run_maker` (nmmfit/tables.py) rewrites it when it makes the tables; by hand:

    python -m nmmfit.checksums likelihoods/*/data nmmfit/physics/data

A table that no such file lists is read as it is: other people's tables need none.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Sequence
from importlib.resources.abc import Traversable
from pathlib import Path

from nmmfit.atomic import replace_bytes
from nmmfit.errors import DataError, NmmfitError

MANIFEST = "SHA256SUMS"
_ENTRY = re.compile(r"([0-9a-f]{64})  (\S.*)")
_RELEASE = re.compile(r"# ([^:]*sha256[^:]*): *([0-9a-f]{64})")


def text_sha256(content: str) -> str:
    """SHA-256 of a text with Unix line ends, 64 hexadecimal digits: that of the file, if it is written so."""
    return hashlib.sha256(content.encode("utf-8")).hexdigest()


def manifest_entries(path: Path) -> dict[str, str]:
    """Files that a `SHA256SUMS` lists, relative path -> SHA-256; empty if there is no such file.

    Raises: DataError for a line that is no entry.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    entries = {}
    for i, line in enumerate(lines):
        match = _ENTRY.fullmatch(line)
        if match is None:
            raise DataError(f"{path}, line {i + 1}: expected a SHA-256 and a file's name, got {line[:80]!r}")
        entries[match[2]] = match[1]
    return entries


def verify_table(source: Traversable | Path, content: str) -> None:
    """Refuse a table that is not the one listed in the `SHA256SUMS` beside its folder.

    Args:
        source: where the table was read from; one that is no file on disk is not checked.
        content: its text, with Unix line ends.
    Raises: DataError naming the file.
    """
    if not isinstance(source, Path):
        return
    folder = source.absolute().parent
    listed = manifest_entries(folder.parent / MANIFEST).get(f"{folder.name}/{source.name}")
    if listed is not None and listed != text_sha256(content):
        raise DataError(
            f"{source.name}: not the table whose SHA-256 is in {folder.parent / MANIFEST}: it was edited or damaged; make it "
            "anew with the folder's make_data.py, or reinstall"
        )


def write_manifest(data: Path) -> Path:
    """List all tables (*.csv) of a folder, with their checksums, in the `SHA256SUMS` beside it. Returns: that file."""
    target = data.absolute().parent / MANIFEST
    sums = {f"{data.name}/{p.name}": text_sha256(p.read_text(encoding="utf-8")) for p in sorted(data.glob("*.csv"))}
    kept = {name: old for name, old in manifest_entries(target).items() if not name.startswith(f"{data.name}/")}
    lines = [f"{value}  {name}\n" for name, value in sorted({**kept, **sums}.items())]
    replace_bytes(target, "".join(lines).encode("utf-8"))
    return target


def release_sums(table: Path) -> dict[str, str]:
    """Checksums of release files in the header of a table, header key -> SHA-256; empty if there is no such table.

    Every key with "sha256" in it names one: `release_sha256`, `release_sha256.counts.txt`, `background_sha256`.
    """
    try:
        text = table.read_text(encoding="utf-8")
    except OSError:
        return {}
    head = [line for line in text.splitlines() if line.startswith("#")]
    return {m[1]: m[2] for line in head if (m := _RELEASE.fullmatch(line))}


def refuse_other_release(made: Path, shipped: Path) -> None:
    """Refuse tables that were made from other release files than the shipped ones were.

    Args:
        made: folder of the new tables.
        shipped: folder of the package's own tables; those that are not there yet are not compared.
    Raises: DataError naming the table, the release file's header key and both checksums.
    """
    for table in sorted(made.glob("*.csv")):
        known = release_sums(shipped / table.name)
        for key, value in release_sums(table).items():
            if key in known and known[key] != value:
                raise DataError(
                    f"{table.name}: the release file of {key} has the SHA-256 {value}, the shipped table was made from "
                    f"{known[key]}; take that release, or --new-release for another one"
                )


def main(argv: Sequence[str] | None = None) -> int:
    """Write the `SHA256SUMS` of folders of tables. Returns: exit code."""
    for folder in map(Path, sys.argv[1:] if argv is None else argv):
        try:
            if not folder.is_dir():
                raise DataError(f"{folder}: no such folder")
            sys.stdout.write(f"{write_manifest(folder)}\n")
        except NmmfitError as problem:
            sys.stderr.write(f"{problem}\n")
            return problem.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
