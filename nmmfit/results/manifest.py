"""`manifest.json` of a folder of results: its files with their checksums, and how they were made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmmfit.errors import UserInputError
from nmmfit.results.provenance import package_versions

MANIFEST = "manifest.json"
CHECKPOINT = "checkpoint"
"""Folder, in a folder of results, of what an unfinished computation keeps."""
FORMAT = 1
_BLOCK = 1 << 20


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, 64 hexadecimal digits."""
    total = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(_BLOCK):
            total.update(block)
    return total.hexdigest()


def files_in(folder: Path) -> dict[str, Path]:
    """Files of a folder of results and the folders in it, relative name -> path; without manifest and checkpoint."""
    found = {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()}
    return {name: p for name, p in found.items() if name != MANIFEST and name.partition("/")[0] != CHECKPOINT}


def manifest_text(folder: Path, origin: Mapping[str, Any] | None, unfinished: bool = False) -> str:
    """Content of `manifest.json` for what is in a folder now.

    Args:
        folder: with all files written.
        origin: how they were made, as JSON values (verb, arguments, run, versions, program, tables); None: not known, versions
            alone are noted.
        unfinished: whether the results are those of a part of the computation, which can be resumed.
    """
    files = {name: {"sha256": sha256_of(path), "bytes": path.stat().st_size} for name, path in files_in(folder).items()}
    about: dict[str, Any] = {"format": FORMAT, **(origin or {"versions": package_versions()}), "unfinished": unfinished}
    about["files"] = files
    return json.dumps({**about, "manifest_sha256": _sum(about)}, indent=1, sort_keys=True, allow_nan=False) + "\n"


def _sum(about: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in about.items() if key != "manifest_sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a folder of results.

    Raises: UserInputError, one line: no such folder, no manifest in it, or one that is broken or was altered.
    """
    if not folder.is_dir():
        raise UserInputError(f"{folder}: " + ("this is a file, not a folder" if folder.exists() else "there is no such folder"))
    path = folder / MANIFEST
    if not path.is_file():
        if (folder / CHECKPOINT).is_dir():
            raise UserInputError(f"{folder}: unfinished; nmmfit resume {folder} goes on with it")
        raise UserInputError(
            f"{folder}: holds no {MANIFEST}, so that its files cannot be checked; nmmfit writes one with all results"
        )
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(about, dict) or not isinstance(about["files"], dict):
            raise ValueError("not an object with files")
        whole = about["manifest_sha256"] == _sum(about)
    except (OSError, ValueError, LookupError) as problem:
        reason = f"{problem} is missing" if isinstance(problem, KeyError) else str(problem)
        raise UserInputError(f"{path}: broken or cut short ({' '.join(reason.split())})") from None
    if not whole:
        raise UserInputError(f"{path}: altered (its content does not have the checksum that was written with it)")
    return about


@dataclass(frozen=True)
class Found:
    """Files of a folder against its manifest, each by name; `altered` ones have the size that they should have."""

    intact: tuple[str, ...]
    missing: tuple[str, ...]
    truncated: tuple[str, ...]
    altered: tuple[str, ...]
    extra: tuple[str, ...]

    @property
    def problems(self) -> list[str]:
        """What is wrong, in words, file by file; extra files are not."""
        words = (("missing", self.missing), ("truncated", self.truncated), ("altered", self.altered))
        return [f"{name} is {word}" for word, names in words for name in names]


def check_files(folder: Path, about: Mapping[str, Any]) -> Found:
    """Compare a folder's files with its manifest. Raises: UserInputError if a file cannot be read."""
    here = files_in(folder)
    kinds: dict[str, list[str]] = {kind: [] for kind in ("intact", "missing", "truncated", "altered")}
    for name, known in about["files"].items():
        if name not in here:
            kinds["missing"].append(name)
            continue
        try:
            size, now = here[name].stat().st_size, sha256_of(here[name])
        except OSError as problem:
            raise UserInputError(f"{folder / name}: {problem.strerror}") from None
        if now == known["sha256"]:
            kinds["intact"].append(name)
        else:
            kinds["truncated" if size < known["bytes"] else "altered"].append(name)
    extra = tuple(name for name in here if name not in about["files"])
    return Found(**{kind: tuple(names) for kind, names in kinds.items()}, extra=extra)
