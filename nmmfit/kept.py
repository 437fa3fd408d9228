"""Numbers kept between processes: those that take long to make and depend on code, data and a few choices only.

A file is named by a digest of everything that its content depends on: the source of nmmfit, the versions of the numerical
libraries, and what the caller adds, an experiment's fingerprint for example. Nothing is ever out of date.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from nmmfit.atomic import replace_bytes
from nmmfit.compilation_cache import cache_folder, is_wanted

T = TypeVar("T")

_LIBRARIES = ("jax", "jaxlib", "numpy", "numpyro", "scipy")


def digest(parts: Iterable[bytes | str]) -> str:
    """SHA-256 of several texts, each with its length, in order."""
    total = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        total.update(f"{len(raw)}:".encode() + raw)
    return total.hexdigest()


def numbers_digest(*parts: object) -> str:
    """Digest of this program and of numbers: arrays by what they hold, everything else (text, numbers, nuclei) by its `repr`."""

    def told(part: object) -> list[bytes | str]:
        if hasattr(part, "shape"):
            array = np.asarray(part)
            return [f"{array.dtype} {array.shape}", array.tobytes()]
        return [repr(part)]

    return digest([program_digest(), *(piece for part in parts for piece in told(part))])


@lru_cache(maxsize=8)
def folder_digest(folder: Path) -> str:
    """Digest of all files in a folder, names and contents; compiled Python files do not count."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return digest(part for p in files for part in (str(p.relative_to(folder)), p.read_bytes()))


def program_digest() -> str:
    """Digest of the source of nmmfit and of the versions of the numerical libraries."""
    return digest([folder_digest(Path(__file__).resolve().parent), *_library_versions()])


@lru_cache(maxsize=1)
def _library_versions() -> tuple[str, ...]:
    return tuple(f"{package} {version(package)}" for package in _LIBRARIES)


def experiment_fingerprint(folder: Path, name: str, choices: object, options: Mapping[str, Any]) -> str:
    """What the numbers of a built experiment depend on: code, data, libraries, choices of theory and its own options.

    Args:
        folder: the experiment's code and tables.
        name: of the experiment.
        choices: of theory; `repr` must tell them apart.
        options: the experiment's own.
    """
    return digest([name, repr(choices), repr(sorted(options.items())), program_digest(), folder_digest(folder)])


def kept_or_made(kind: str, fingerprint: str | None, make: Callable[[], T]) -> T:
    """Numbers from the user's cache folder, or newly made and put there.

    Args:
        kind: what they are, the name of a folder in the cache.
        fingerprint: of everything that they depend on; None: they are not kept.
        make: makes them; what it returns must be plain numbers, numpy arrays and classes of nmmfit.
    Returns: the numbers. A cache that cannot be read or written is no error: they are made then.
    """
    if fingerprint is None or not is_wanted():
        return make()
    path = cache_folder(kind) / f"{fingerprint}.pickle"
    content = kept_content(path)
    known: T | None = None if content is None else pickle.loads(content)
    if known is not None:
        return known
    made = make()
    keep_content(path, pickle.dumps(made, protocol=pickle.HIGHEST_PROTOCOL))
    return made


def keep_content(path: Path, content: bytes) -> None:
    """Write a file with its checksum, if it can be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_bytes(path, hashlib.sha256(content).digest() + content)
    except OSError:
        pass


def kept_content(path: Path) -> bytes | None:
    """Content of a file that `keep_content` wrote; None if there is none or it is damaged."""
    try:
        raw = path.read_bytes()
    except OSError:
        return None
    return raw[32:] if hashlib.sha256(raw[32:]).digest() == raw[:32] else None
