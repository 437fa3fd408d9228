"""What a result was made with, in a form that can be compared with what is here now: versions, program, tables of data."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import nmmfit
from nmmfit import catalogue
from nmmfit.checksums import text_sha256
from nmmfit.kept import digest, folder_digest, program_digest
from nmmfit.results.provenance import git_commit, package_versions


def tables_of(experiments: Iterable[str]) -> dict[str, str]:
    """SHA-256 of every table behind some experiments: their own, and those of sources and atoms that experiments share.

    An experiment of another distribution counts with all of its module's folder, or its file.
    """
    found: dict[str, str] = {}
    names = list(dict.fromkeys(experiments))
    for name in names:
        folder = catalogue.folder_of(name)
        if folder is None:
            found[f"{name} ({catalogue.distribution_of(name)})"] = _of_module(catalogue.load(name))
        else:
            found |= _tables(f"likelihoods/{name}", folder)
    return found | (_tables("nmmfit/physics", Path(nmmfit.__file__).resolve().parent / "physics") if names else {})


def _of_module(module: ModuleType) -> str:
    """Digest of a module's folder, or of its file; empty for one that came from nowhere."""
    path = Path(getattr(module, "__file__", None) or "")
    if path.name == "__init__.py":
        return folder_digest(path.parent)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _tables(shown: str, folder: Path) -> dict[str, str]:
    return {f"{shown}/data/{p.name}": text_sha256(p.read_text(encoding="utf-8")) for p in sorted(folder.glob("data/*.csv"))}


def made_with(experiments: Iterable[str] = ()) -> dict[str, Any]:
    """Versions, program and tables behind a result of some experiments, as JSON values.

    "program" is a digest of the source of nmmfit, of the numerical libraries' versions and of the experiments' code and tables.
    """
    names = list(dict.fromkeys(experiments))
    folders = [folder for folder in map(catalogue.folder_of, names) if folder is not None]
    tables = tables_of(names)
    parts = [program_digest(), *(folder_digest(folder) for folder in folders), *tables.values()]
    return {
        "experiments": names,
        "versions": package_versions(),
        "commit": git_commit(),
        "program": digest(parts),
        "tables": tables,
    }


def differences(then: Mapping[str, Any], now: Mapping[str, Any], words: tuple[str, str] = ("then", "now")) -> list[str]:
    """What differs between two answers of `made_with`, in words, the most important first; empty if nothing does.

    `words`: what distinguishes the first from the second, in the answer.
    """
    first, second = words
    old, new = then.get("versions") or {}, now["versions"]
    found = [
        f"{p} {old.get(p, 'unknown')} {first}, {new.get(p, 'none')} {second}" for p in ("nmmfit",) if old.get(p) != new.get(p)
    ]
    before, after = then.get("tables") or {}, now["tables"]
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            how = f"has other content {second}" if name in before and name in after else "is new" if name in after else "is gone"
            found.append(f"the table {name} {how}")
    found += [f"{p} {old.get(p, 'unknown')} {first}, {v} {second}" for p, v in new.items() if p != "nmmfit" and old.get(p) != v]
    if not found and then.get("program") != now["program"]:
        found = ["the source of nmmfit or of an experiment has changed"]
    return found
