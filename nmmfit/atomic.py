"""Writing a file so that it appears complete or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


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
