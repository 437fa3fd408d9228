"""Writing a file so that it appears complete or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nmmfit.errors import OutputError

FULL = (errno.ENOSPC, errno.EDQUOT)
"""What the system says when there is no space left."""


@contextmanager
def failing_on(path: Path) -> Iterator[None]:
    """Turn any failure to write `path` into one clear line.

    Raises: OutputError naming the path and the system's reason (disk full, not permitted, ...).
    """
    try:
        yield
    except OSError as problem:
        reason = "the disk is full" if problem.errno in FULL else (problem.strerror or str(problem))
        raise OutputError(f"cannot write {path}: {reason}") from problem


def temporary_sibling(path: Path) -> Path:
    """Hidden name in the same folder, so that a later rename stays on one file system."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.partial")


def replace_bytes(path: Path, content: bytes) -> None:
    """Write a file under a temporary name in the same folder, then rename it to `path`.

    Raises: OSError; nothing is left behind then, and an older file of that name is untouched.
    """
    temporary = temporary_sibling(path)
    try:
        with open(temporary, "xb") as stream:
            stream.write(content)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def create_bytes(path: Path, content: bytes) -> None:
    """Write a file that must not exist yet under a temporary name in the same folder, then give it its own.

    Raises: FileExistsError if there is something of that name; OSError. Nothing is left behind then.
    """
    temporary = temporary_sibling(path)
    try:
        with open(temporary, "xb") as stream:
            stream.write(content)
        try:
            # Unlike a rename, a link fails where somebody has made a file of that name meanwhile.
            os.link(temporary, path)
        except OSError as problem:
            if problem.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
                raise
            os.rename(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
