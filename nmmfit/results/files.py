"""Writing without leaving halves: a file or a run folder appears complete or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from nmmfit.atomic import create_bytes, failing_on, replace_bytes, temporary_sibling
from nmmfit.durable import ChunkStore
from nmmfit.errors import OutputError, UserInputError
from nmmfit.results.manifest import CHECKPOINT, MANIFEST, manifest_text

RUNS_FOLDER = "nmmfit-runs"
POSTERIOR = "posterior.nc"
TOYS_FILE = "toys.nc"
CALIBRATION_FILE = "calibration.nc"
SUMMARY = "summary.json"
RUN_FILE = "run.toml"
BEGUN = "begun.json"
"""In the checkpoint of an unfinished computation: what was begun."""


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file under a temporary name in the same folder, then rename it to `path`.

    Raises: OutputError; nothing is left behind then, and an older file of that name is untouched.
    """
    with failing_on(path):
        replace_bytes(path, content)


def write_text(path: Path, content: str) -> None:
    """As `write_bytes`, for text in UTF-8."""
    write_bytes(path, content.encode("utf-8"))


def write_new_text(path: Path, content: str) -> None:
    """Write a text file that must not exist yet, complete or not at all.

    Raises: OutputError if there is something of that name, or the file cannot be written.
    """
    with failing_on(path):
        if path.exists() or path.is_symlink() or not path.name:
            raise OutputError(f"{path}: this {'folder' if path.is_dir() else 'file'} exists; it is not overwritten")
        try:
            create_bytes(path, content.encode("utf-8"))
        except FileExistsError:
            raise OutputError(f"{path}: this file exists; it is not overwritten") from None


def default_run_path(now: datetime | None = None) -> Path:
    """`nmmfit-runs/YYYYMMDD-HHMMSS` in the working folder, local time; with "-2", "-3", ... if that name is taken."""
    stamp = (now or datetime.now()).strftime("%Y%m%d-%H%M%S")
    path, number = Path(RUNS_FOLDER) / stamp, 1
    while path.exists():
        number += 1
        path = Path(RUNS_FOLDER) / f"{stamp}-{number}"
    return path


def is_begun(folder: Path) -> bool:
    """Whether a folder is of a computation that is not finished: one that runs, was interrupted, or ended before its time."""
    return (folder / CHECKPOINT / BEGUN).is_file()


def refuse_unfinished(folder: Path) -> None:
    """Refuse to take what lies in the folder of an unfinished computation for its results.

    What Ctrl-C left is complete in itself, says so, and passes.

    Raises: UserInputError.
    """
    if is_begun(folder) and not (folder / MANIFEST).is_file():
        raise UserInputError(f"{folder}: unfinished, holds no results yet; nmmfit resume {folder} goes on with it")


def refuse_in_use(path: Path) -> None:
    """Refuse a folder that is in use, that cannot be replaced, or that lies below a file. Raises: OutputError, OSError."""
    advice = "name a new or empty folder"
    if is_begun(path):
        raise OutputError(f"--out {path}: holds an unfinished computation; nmmfit resume {path} goes on with it, or {advice}")
    if path.is_dir():
        first = next(iter(sorted(p.name for p in path.iterdir())), None)
        if first is not None:
            raise OutputError(f"--out {path}: the folder is not empty (it holds {first!r}); {advice}")
        if path.resolve() in (Path.cwd(), *Path.cwd().parents):
            raise OutputError(f"--out {path}: this is the folder in which the program runs; {advice}")
    elif path.exists() or path.is_symlink():
        raise OutputError(f"--out {path}: there is a file of that name; {advice}")
    for above in path.parents:
        if above.exists() and not above.is_dir():
            raise OutputError(f"--out {path}: {above} is a file, not a folder; {advice}")


class RunFolder:
    """A folder of results in the making, complete or not there at all.

    Files go into a hidden sibling; `publish` gives it its name; leaving without that removes it.

    Open it before the computation, so that a folder that cannot be written is found at once:

        with RunFolder(out) as folder:
            result = ...
            folder.write_text("summary.json", text)
            folder.publish()

    Attributes:
        final: the folder that `publish` makes.
        path: the folder to write to; the hidden one until published, then `final`.
    """

    def __init__(self, out: Path | str | None = None, origin: Mapping[str, Any] | None = None) -> None:
        """Make the hidden folder.

        Args:
            out: the folder to make; it must not exist or be empty. None: a fresh one named by time in `nmmfit-runs`.
            origin: how the results are made, for the manifest; see `nmmfit.results.manifest`.
        Raises: OutputError if `out` is in use, or if nothing can be written there.
        """
        self.origin = origin
        self.final = Path(out) if out is not None else default_run_path()
        with failing_on(self.final):
            refuse_in_use(self.final)
            if self.final.is_symlink():
                # A link to an empty folder: the folder is filled, the link stays.
                self.final = self.final.resolve()
            parent = self.final.parent
            self._made = [folder for folder in (parent, *parent.parents) if not folder.exists()]
            parent.mkdir(parents=True, exist_ok=True)
            self.path = temporary_sibling(self.final)
            self.path.mkdir()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.path == self.final:
            return
        if isinstance(error, OutputError):
            # Plots are written straight into the hidden folder, whose name means nothing to the user.
            error.args = (str(error).replace(str(self.path), str(self.final)),)
        if kind is not None and issubclass(kind, KeyboardInterrupt) and (self.path / POSTERIOR).exists():
            # Interrupted while drawing plots: the posterior is complete, and what was done is kept.
            self.publish()
        else:
            shutil.rmtree(self.path, ignore_errors=True)
            self._remove_made()

    def _remove_made(self) -> None:
        """Remove the parent folders that were made for this run, if nothing else has come into them."""
        for folder in self._made:
            try:
                folder.rmdir()
            except OSError:
                return

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write one file, complete or not at all; errors name the folder the user asked for. Raises: OutputError."""
        with failing_on(self.final / name):
            replace_bytes(self.path / name, content)

    def write_text(self, name: str, content: str) -> None:
        """Write one text file in UTF-8. Raises: OutputError."""
        self.write_bytes(name, content.encode("utf-8"))

    @property
    def resumable(self) -> bool:
        """Whether the folder outlives the process, so that it has stores of finished chunks; see `ResumableFolder`."""
        return False

    def store(self, name: str, determined_by: Mapping[str, Any]) -> ChunkStore:
        """A store of finished chunks, if the folder is resumable."""
        raise NotImplementedError

    def publish(self, finished: bool = True) -> Path:
        """Write the manifest, give the folder its name and return it; with "-2", "-3", ... if somebody took that meanwhile.

        Args:
            finished: whether the computation is; only a `ResumableFolder` can go on where it is not.
        Raises: OutputError if the folder cannot be renamed.
        """
        self.write_text(MANIFEST, manifest_text(self.path, self.origin))
        target, number = self.final, 1
        with failing_on(self.final):
            while True:
                try:
                    # Onto an empty folder a rename succeeds, onto any other it fails: an earlier run is never overwritten.
                    os.rename(self.path, target)
                    break
                except OSError as problem:
                    if problem.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                        raise
                    number += 1
                    target = self.final.with_name(f"{self.final.name}-{number}")
        self.path = self.final = target
        return target

    def sub(self, name: str) -> SubFolder:
        """A folder inside, of the results of one of several computations. Raises: OutputError if it cannot be made."""
        with failing_on(self.final / name):
            return SubFolder(self, name)


class SubFolder(RunFolder):
    """A folder inside a run folder in the making; it is published with that."""

    def __init__(self, parent: RunFolder, name: str) -> None:
        self.path, self.final, self.origin, self._made = parent.path / name, parent.final / name, None, []
        self._parent = parent
        self.path.mkdir()

    @property
    def resumable(self) -> bool:
        """Whether the folder that this one lies in is."""
        return self._parent.resumable

    def store(self, name: str, determined_by: Mapping[str, Any]) -> ChunkStore:
        """A store of the folder that this one lies in."""
        return self._parent.store(f"{self.path.name}/{name}", determined_by)

    def remove(self) -> None:
        """Remove what was written so far."""
        shutil.rmtree(self.path, ignore_errors=True)
