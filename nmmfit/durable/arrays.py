"""Arrays in a file that says itself whether it is whole: a line with length and checksum, then numpy's own format."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping

import numpy as np

Arrays = Mapping[str, np.ndarray]

_FORMAT = "nmmfit arrays 1"


def encoded(arrays: Arrays, key: str) -> bytes:
    """Content of a file with named arrays, which come back bit by bit.

    Args:
        arrays: name -> numbers, truth values or texts of fixed length; no Python objects.
        key: what the file is of, to be asked for when it is read.
    Raises: ValueError for arrays of Python objects.
    """
    buffer = io.BytesIO()
    np.savez(buffer, *(np.asarray(values) for values in arrays.values()), allow_pickle=False)
    payload = buffer.getvalue()
    head = {"format": _FORMAT, "key": key, "names": list(arrays), "bytes": len(payload)}
    head["sha256"] = _sum(head, payload)
    return json.dumps(head).encode() + b"\n" + payload


def decoded(raw: bytes, key: str) -> dict[str, np.ndarray]:
    """The arrays of `encoded`.

    Raises: ValueError that says what is wrong: cut short, altered, of another format or another key.
    """
    line, newline, payload = raw.partition(b"\n")
    if not newline:
        raise ValueError(f"cut short (only {len(raw)} bytes are left)")
    try:
        head = json.loads(line)
        form, found, names, size, known = (head[k] for k in ("format", "key", "names", "bytes", "sha256"))
    except (ValueError, LookupError, TypeError):
        raise ValueError("altered (its first line is not what nmmfit writes)") from None
    if form != _FORMAT:
        raise ValueError(f"written in another format ({str(form)[:40]!r}, not {_FORMAT!r})")
    if isinstance(size, int) and len(payload) < size:
        raise ValueError(f"cut short ({len(payload)} of {size} bytes are left)")
    if _sum({"format": form, "key": found, "names": names, "bytes": size}, payload) != known:
        raise ValueError("altered (its content does not have the checksum that was written with it)")
    if found != key:
        raise ValueError("of another computation (its key differs)")
    with np.load(io.BytesIO(payload), allow_pickle=False) as stored:
        return {name: stored[f"arr_{i}"] for i, name in enumerate(names)}


def _sum(head: Mapping[str, object], payload: bytes) -> str:
    total = hashlib.sha256(json.dumps(dict(head), sort_keys=True).encode())
    total.update(payload)
    return total.hexdigest()
