"""Finished chunks of a long computation, each a file of its own, and a driver that computes only those that are missing.

    store = ChunkStore(folder / "points", {"run": run.hash, "tables": tables, "program": program_digest(), "grid": spec})
    found = run_chunks(store, n, lambda i: {"delta_chi2": scan_block(i)}, progress=advance)

A chunk is named by its number and by a digest of everything that determines it, so that chunks of another run file, data table,
version or setting are never taken for those of this one. It appears complete or not at all, and carries its checksum: one that
was cut short or altered is named and computed again. Two processes on one store are kept apart by `FolderLock`.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nmmfit.atomic import failing_on, replace_bytes
from nmmfit.durable.arrays import Arrays, decoded, encoded
from nmmfit.errors import DataError, UserInputError
from nmmfit.kept import digest

ABOUT = "about.json"
_NAME = re.compile(r"(\d{9})-([0-9a-f]{16})\.chunk")
_log = logging.getLogger(__name__)

Engine = Callable[[Callable[[int], Arrays], Iterable[int]], Iterable[tuple[int, Arrays]]]
"""(compute, numbers) -> finished (number, arrays), in any order; what it raises ends the computation, finished chunks stay."""


class BrokenChunkError(DataError):
    """A chunk that is missing, cut short or altered; the message names its file."""


class ChunkStore:
    """A folder of finished chunks of one computation."""

    def __init__(self, folder: Path | str, determined_by: Mapping[str, Any]) -> None:
        """Open a store, or begin one.

        Args:
            folder: where chunks lie; made if it does not exist.
            determined_by: all that the numbers depend on, but for the number of the chunk: JSON values, such as the hash of the
                run file, checksums of data, `nmmfit.kept.program_digest()`, settings and seed.
        Raises: UserInputError if the folder holds chunks that something else determined, naming what differs; OutputError if it
            cannot be written.
        """
        self.folder = Path(folder)
        self.determined_by: dict[str, Any] = json.loads(json.dumps(dict(determined_by), sort_keys=True, allow_nan=False))
        self._digest = digest([json.dumps(self.determined_by, sort_keys=True)])
        about = self.folder / ABOUT
        with failing_on(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        if about.exists():
            self._compare(about)
        else:
            with failing_on(about):
                replace_bytes(about, (json.dumps(self.determined_by, indent=1, sort_keys=True) + "\n").encode())

    def _compare(self, about: Path) -> None:
        try:
            known = json.loads(about.read_text(encoding="utf-8"))
            if not isinstance(known, dict):
                raise ValueError
        except (OSError, ValueError):
            # Names of the chunks alone say whose they are.
            return
        changed = sorted(k for k in {*known, *self.determined_by} if known.get(k) != self.determined_by.get(k))
        if changed:
            shown = ", ".join(f"{k} was {_short(known.get(k))}, is {_short(self.determined_by.get(k))}" for k in changed[:3])
            more = f", and {len(changed) - 3} more" if len(changed) > 3 else ""
            raise UserInputError(f"{self.folder}: holds the chunks of another computation: {shown}{more}")

    def path(self, i: int) -> Path:
        """File of chunk `i`, whether it is there or not."""
        return self.folder / f"{i:09d}-{self._key(i)[:16]}.chunk"

    def _key(self, i: int) -> str:
        return digest([self._digest, str(i)])

    def has(self, i: int) -> bool:
        """Whether there is a file of chunk `i`; reading it may still find it broken."""
        return self.path(i).is_file()

    def numbers(self) -> list[int]:
        """Numbers of the chunks of this computation that are there, in order."""
        found = (_NAME.fullmatch(p.name) for p in self.folder.iterdir())
        return sorted(int(m[1]) for m in found if m and m[2] == self._key(int(m[1]))[:16])

    def read(self, i: int) -> dict[str, np.ndarray]:
        """Arrays of chunk `i`, bit by bit as they were written.

        Raises: BrokenChunkError naming the file, which is missing, cut short or altered.
        """
        path = self.path(i)
        try:
            return decoded(path.read_bytes(), self._key(i))
        except OSError as problem:
            missing = isinstance(problem, FileNotFoundError)
            raise BrokenChunkError(f"{path}: {'there is no such file' if missing else problem.strerror}") from None
        except ValueError as problem:
            raise BrokenChunkError(f"{path}: {problem}") from None

    def write(self, i: int, arrays: Arrays) -> None:
        """Write chunk `i`, complete or not at all; an older file of it is replaced.

        Raises: OutputError if it cannot be written; nothing else in the store changes then.
        """
        path = self.path(i)
        content = encoded(arrays, self._key(i))
        with failing_on(path):
            replace_bytes(path, content)

    def remove(self, i: int) -> None:
        """Remove chunk `i` if it is there."""
        self.path(i).unlink(missing_ok=True)


def run_chunks(
    store: ChunkStore | None,
    n: int,
    compute: Callable[[int], Arrays],
    progress: Callable[[int, int], None] | None = None,
    engine: Engine | None = None,
    say: Callable[[str], None] | None = None,
) -> list[dict[str, np.ndarray]]:
    """Chunks 0 to n - 1 of a store; those that are not there are computed, and written as soon as they are finished.

    Args:
        store: where they are kept; None: nowhere.
        n: how many there are.
        compute: arrays of a chunk from its number alone, the same whenever and wherever it is called.
        progress: called with (chunks done, n), at the beginning and after every chunk.
        engine: computes several at once, such as `nmmfit.durable.workers.on_processes`, which computes again what was lost with
            a worker; None: one after another.
        say: told about every broken chunk, which is computed again; None: the log, as a warning.
    Returns: arrays of all chunks, in order.
    Raises: OutputError if a chunk cannot be written. Whatever stops it, finished chunks stay.
    """
    tell = say or _log.warning
    done: dict[int, dict[str, np.ndarray]] = {}
    for i in range(n):
        if store is not None and store.has(i):
            try:
                done[i] = store.read(i)
            except BrokenChunkError as problem:
                tell(f"{problem}; it is computed again")
    if progress is not None:
        progress(len(done), n)
    for i, arrays in (engine or _in_turn)(compute, [i for i in range(n) if i not in done]):
        if store is not None:
            store.write(i, arrays)
        done[i] = {name: np.asarray(values) for name, values in arrays.items()}
        if progress is not None:
            progress(len(done), n)
    return [done[i] for i in range(n)]


def _in_turn(compute: Callable[[int], Arrays], numbers: Iterable[int]) -> Iterator[tuple[int, Arrays]]:
    for i in numbers:
        yield i, compute(i)


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
