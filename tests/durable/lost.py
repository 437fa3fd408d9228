"""Chunks whose processes die, for tests; imported by processes that know nothing else."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np


def dying_once(place: str, i: int) -> dict[str, np.ndarray]:
    """Chunk `i`; the first process that computes chunk 2 is killed."""
    mark = Path(place) / "died"
    if i == 2 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"square": np.asarray(i * i)}


def dying(i: int) -> dict[str, np.ndarray]:
    """Nothing: every process that computes is killed, but for chunk 0."""
    if i:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"square": np.asarray(0)}
