"""Pictures inside a page: figures as vector graphics, files of the folder as they are."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING

from nmmfit.errors import UserInputError
from nmmfit.results.figure import rendered
from nmmfit.results.report.document import Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MEDIA = {".svg": "image/svg+xml", ".png": "image/png"}
_BEGINNINGS = {".svg": (b"<?xml", b"<svg"), ".png": (b"\x89PNG\r\n\x1a\n",)}


def _uri(content: bytes, suffix: str) -> str:
    return f"data:{_MEDIA[suffix]};base64,{base64.b64encode(content).decode('ascii')}"


def drawn(figure: Figure, alt: str, caption: str) -> Picture:
    """A figure as vector graphics."""
    return Picture(_uri(rendered(figure, "svg"), ".svg"), alt, caption)


def stored(folder: Path, stem: str, alt: str, caption: str) -> Picture | None:
    """A picture of the folder, as vector graphics where there is such a file, else as PNG; None where there is neither.

    Raises: UserInputError if the file cannot be read, or is no picture of the kind that its name says.
    """
    for suffix in _MEDIA:
        path = folder / f"{stem}{suffix}"
        if not path.exists():
            continue
        try:
            content = path.read_bytes()
        except OSError as problem:
            raise UserInputError(f"{path}: cannot be read ({problem.strerror})") from None
        if not content.startswith(_BEGINNINGS[suffix]):
            raise UserInputError(f"{path}: this is no {suffix[1:].upper()} picture; it is broken or was cut short")
        return Picture(_uri(content, suffix), alt, caption)
    return None
