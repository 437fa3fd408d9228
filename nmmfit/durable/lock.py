"""One process at a time in a folder."""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

from nmmfit.atomic import failing_on, replace_bytes
from nmmfit.errors import OutputError

LOCK, OWNER = "lock", "owner.json"


class FolderLock:
    """The right to work in a folder, which one process has at a time; the operating system takes it back when that one dies."""

    def __init__(self, folder: Path | str, shown: Path | str | None = None) -> None:
        """`folder`: what is locked; `shown`: what messages call it."""
        self.folder = Path(folder)
        self.shown = Path(shown) if shown is not None else self.folder
        self._lock: Any = None

    def acquire(self) -> None:
        """Take the lock, now or not at all.

        Raises: OutputError naming process and machine of the one that has it; or if the lock cannot be written.
        """
        from filelock import FileLock, Timeout

        if not self.folder.is_dir():
            # The library would make it.
            raise OutputError(f"{self.shown}: there is no such folder")
        lock = FileLock(self.folder / LOCK)
        with failing_on(self.folder / LOCK):
            try:
                lock.acquire(blocking=False)
            except Timeout:
                raise OutputError(f"{self.shown}: in use by {self._owner()}; wait until it is done, or end it") from None
        self._lock = lock
        about = {"pid": os.getpid(), "host": socket.gethostname()}
        try:
            with failing_on(self.folder / OWNER):
                replace_bytes(self.folder / OWNER, (json.dumps(about) + "\n").encode())
        except BaseException:
            self.release()
            raise

    def _owner(self) -> str:
        try:
            about = json.loads((self.folder / OWNER).read_text(encoding="utf-8"))
            return f"process {int(about['pid'])} on {str(about['host'])[:100]!s}"
        except (OSError, ValueError, LookupError, TypeError):
            return "another process"

    def release(self) -> None:
        """Give the lock back; without effect where it is not held."""
        if self._lock is not None:
            with suppress(OSError):
                self._lock.release()
            self._lock = None
