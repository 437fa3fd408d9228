"""What Ctrl-C does while results are computed: the first one stops, later ones do not lose what is being kept."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def one_interrupt(kept: Callable[[], bool]) -> Iterator[None]:
    """Within this, the first Ctrl-C raises KeyboardInterrupt as always; further ones are ignored until `kept()` is true.

    An impatient user presses Ctrl-C several times; the second must not end the saving that the first began. Outside the main
    thread, where Python lets nobody handle signals, nothing changes.

    Args:
        kept: whether what is worth keeping is on disk, so that another interruption costs nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    stopping = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        if stopping and not kept():
            return
        stopping = True
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
