"""A folder of results that can be gone on with: visible from the start, with a checkpoint in it until the computation is done."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from nmmfit.atomic import failing_on, replace_bytes, temporary_sibling
from nmmfit.durable import ChunkStore, FolderLock
from nmmfit.errors import OutputError, UserInputError
from nmmfit.results.files import (
    BEGUN,
    POSTERIOR,
    RUN_FILE,
    RunFolder,
    default_run_path,
    is_begun,
    refuse_in_use,
)
from nmmfit.results.manifest import CHECKPOINT, MANIFEST, files_in, manifest_text

RESULTS, STORES = "results", "chunks"


class ResumableFolder(RunFolder):
    """A folder that is there from the beginning, so that a computation which ends too early is found under the user's name.

    Until results are published it holds a folder `checkpoint` alone: `begun.json` and `run.toml`, what was begun; `chunks`,
    stores of finished ones; `results`, the files in the making; and the lock that keeps a second process out. Results come into
    the folder together, the manifest last: a checkpoint without a manifest beside it is an unfinished computation, which every
    reader refuses. The checkpoint goes when the computation is done.

    Left by an error or a kill it stays if any chunk was finished; `nmmfit resume` opens it again with `reopen`.
    """

    origin: dict[str, Any]

    def __init__(
        self, out: Path | str | None, origin: Mapping[str, Any], run_toml: str | None, begun: Mapping[str, Any] | None = None
    ) -> None:
        """Begin a computation.

        Args:
            out: as for `RunFolder`.
            origin: how the results are made, for the manifest: JSON values.
            run_toml: the run file as it is used; None: the computation has none.
            begun: what else is needed to go on, JSON values.
        Raises: OutputError if `out` is in use or cannot be written.
        """
        self.origin = dict(origin)
        self.begun: dict[str, Any] = {"origin": self.origin, **(begun or {})}
        self.final = Path(out) if out is not None else default_run_path()
        with failing_on(self.final):
            _refuse(self.final)
            if self.final.is_symlink():
                self.final = self.final.resolve()
            parent = self.final.parent
            self._made = [folder for folder in (parent, *parent.parents) if not folder.exists()]
            parent.mkdir(parents=True, exist_ok=True)
            draft = temporary_sibling(self.final)
            try:
                (draft / CHECKPOINT).mkdir(parents=True)
                replace_bytes(draft / CHECKPOINT / BEGUN, (json.dumps(self.begun, indent=1) + "\n").encode())
                if run_toml is not None:
                    replace_bytes(draft / CHECKPOINT / RUN_FILE, run_toml.encode())
                self._take_name(draft, is_given=out is not None)
            except BaseException:
                shutil.rmtree(draft, ignore_errors=True)
                self._remove_made()
                raise
        self._reopened = False
        self._open()

    def _take_name(self, draft: Path, is_given: bool) -> None:
        """Give the folder its name, or the next one by time if another process took that of this second meanwhile."""
        while True:
            try:
                # Onto an empty folder a rename succeeds, onto any other it fails.
                os.rename(draft, self.final)
                return
            except OSError:
                if is_given:
                    _refuse(self.final)
                if is_given or not self.final.exists():
                    raise
                self.final = default_run_path()

    @classmethod
    def reopen(cls, folder: Path) -> ResumableFolder:
        """Open the folder of an unfinished computation, which goes on.

        Raises: UserInputError if it is none, or its record is broken; OutputError if another process works in it.
        """
        again = cls.__new__(cls)
        again.final, again._made, again._reopened = folder, [], True
        again.begun = read_begun(folder)
        again.origin = again.begun["origin"]
        again._open()
        if not is_begun(folder):
            # Another process finished it, and took the checkpoint away, while this one came for the lock.
            again._lock.release()
            shutil.rmtree(again.checkpoint, ignore_errors=True)
            raise UserInputError(f"{folder}: finished meanwhile; there is nothing to go on with")
        return again

    def _open(self) -> None:
        self.checkpoint = self.final / CHECKPOINT
        self._lock = FolderLock(self.checkpoint, self.final)
        self._lock.acquire()
        self.path = self.checkpoint / RESULTS
        with failing_on(self.path):
            shutil.rmtree(self.path, ignore_errors=True)
            self.path.mkdir(exist_ok=True)

    @property
    def run_toml(self) -> str | None:
        """The run file as it was when the computation began; None if it has none. Raises: UserInputError if it is broken."""
        path = self.checkpoint / RUN_FILE
        try:
            return path.read_text(encoding="utf-8") if path.exists() else None
        except (OSError, UnicodeDecodeError) as problem:
            raise UserInputError(f"{path}: {getattr(problem, 'strerror', None) or 'not UTF-8 text'}") from None

    @property
    def resumable(self) -> bool:
        """True."""
        return True

    def store(self, name: str, determined_by: Mapping[str, Any]) -> ChunkStore:
        """A store of finished chunks in the checkpoint.

        Args:
            name: of the store; several of one computation have different names.
            determined_by: what determines the chunks beside run file, program and tables, which count in any case.
        Raises: as `ChunkStore`.
        """
        made = {key: self.origin.get(key) for key in ("run", "program", "tables")}
        return ChunkStore(self.checkpoint / STORES / name, {**made, **determined_by})

    def is_kept(self) -> bool:
        """Whether the checkpoint outlives an error: if it was there before, or something was finished or published."""
        return self._reopened or self.path == self.final or any(True for _ in self.checkpoint.rglob("*.chunk"))

    def forget(self) -> None:
        """Remove what is finished: the input turned out wrong, so that going on would end like this again."""
        shutil.rmtree(self.checkpoint / STORES, ignore_errors=True)

    def said_to_go_on(self) -> str:
        """For messages: how to go on after what has happened, or that nothing is left."""
        return f"nmmfit resume {self.final} goes on" if self.is_kept() else "nothing was written"

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if self.path == self.final:
                return
            if kind is not None and issubclass(kind, KeyboardInterrupt) and (self.path / POSTERIOR).exists():
                # Interrupted while drawing plots: the posterior is complete; going on draws them.
                self.publish(finished=False)
            elif self.is_kept():
                shutil.rmtree(self.path, ignore_errors=True)
                if isinstance(error, OutputError):
                    said = str(error).replace(str(self.path), str(self.final))
                    error.args = (f"{said}; {self.said_to_go_on()}",)
            else:
                if isinstance(error, OutputError):
                    error.args = (str(error).replace(str(self.path), str(self.final)),)
                self._give_up()
        finally:
            self._lock.release()

    def _give_up(self) -> None:
        """Remove the checkpoint, and the folder if it holds nothing else."""
        shutil.rmtree(self.checkpoint, ignore_errors=True)
        try:
            self.final.rmdir()
        except OSError:
            return
        self._remove_made()

    def _published(self) -> set[str]:
        """Files that an interruption left; those that somebody else put there do not count."""
        try:
            return set(json.loads((self.final / MANIFEST).read_text(encoding="utf-8"))["files"])
        except (OSError, ValueError, LookupError, TypeError):
            return set()

    def publish(self, finished: bool = True) -> Path:
        """Let the results come into the folder, in place of those that an interruption left there; return it.

        Args:
            finished: whether that is all, so that the checkpoint goes; else the computation can be gone on with.
        Raises: OutputError if anything cannot be moved; the computation is unfinished then.
        """
        self.write_text(MANIFEST, manifest_text(self.path, self.origin, unfinished=not finished))
        with failing_on(self.final):
            older = self._published()
            (self.final / MANIFEST).unlink(missing_ok=True)
            new = files_in(self.path)
            for name, path in new.items():
                (self.final / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(path, self.final / name)
            for name in older - new.keys():
                (self.final / name).unlink(missing_ok=True)
            os.replace(self.path / MANIFEST, self.final / MANIFEST)
            shutil.rmtree(self.path, ignore_errors=True)
            self.path = self.final
            if finished:
                # With this the folder is one of finished results; what else is in the checkpoint is rubbish from here on.
                (self.checkpoint / BEGUN).unlink()
                shutil.rmtree(self.checkpoint, ignore_errors=True)
        return self.final


def _refuse(path: Path) -> None:
    """As `refuse_in_use`, which also says whether a process works in a folder that was begun."""
    if is_begun(path):
        lock = FolderLock(path / CHECKPOINT, f"--out {path}")
        lock.acquire()
        lock.release()
    refuse_in_use(path)


def read_begun(folder: Path) -> dict[str, Any]:
    """What was begun in a folder: its `begun.json`.

    Raises: UserInputError, one line: no such folder, finished, none of nmmfit's, or the record is broken.
    """
    path = folder / CHECKPOINT / BEGUN
    if not folder.is_dir():
        raise UserInputError(f"{folder}: " + ("this is a file, not a folder" if folder.exists() else "there is no such folder"))
    if not path.is_file():
        raise UserInputError(f"{folder}: holds no unfinished computation (no {CHECKPOINT}/{BEGUN}); there is nothing to resume")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict) or not isinstance(found["origin"], dict):
            raise ValueError("not what nmmfit writes")
    except (OSError, ValueError, LookupError) as problem:
        raise UserInputError(f"{path}: broken or altered ({' '.join(str(problem).split())})") from None
    return found
