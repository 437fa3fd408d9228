"""What workers of tests compute: functions of a module, which every process can import."""

from __future__ import annotations

import os
import signal
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import small_joint

from nmmfit.inference.joint import JointLikelihood
from tests.synthetic import synthetic_joint


def square(i: int) -> dict[str, np.ndarray]:
    """Chunk `i`."""
    return {"square": np.asarray(i * i), "process": np.asarray(os.getpid())}


def square_of(joint: JointLikelihood, i: int) -> dict[str, np.ndarray]:
    """Chunk `i`, with a likelihood in its luggage."""
    return square(i)


def slow_first(i: int) -> dict[str, np.ndarray]:
    """Chunk `i`; the first one takes longer than all others together."""
    time.sleep(1.0 if i == 0 else 0.02)
    return square(i)


def killed_once(place: str, i: int) -> dict[str, np.ndarray]:
    """Chunk `i`; the first process that computes chunk 2 is killed in the middle of it."""
    mark = Path(place) / "killed"
    if i == 2 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return square(i)


def always_killed(i: int) -> dict[str, np.ndarray]:
    """Nothing: every process that computes chunk 1 is killed."""
    if i == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return square(i)


def failing(i: int) -> dict[str, np.ndarray]:
    """Nothing."""
    raise ValueError(f"chunk {i} cannot be made")


def waiting(place: str, i: int) -> dict[str, np.ndarray]:
    """Chunk `i`; all but the first take as long as there is a file `wait`."""
    (Path(place) / f"began-{i}").touch()
    while i and (Path(place) / "wait").exists():
        time.sleep(0.05)
    return square(i)


@lru_cache(maxsize=1)
def quick_joint() -> JointLikelihood:
    """A posterior of one coefficient, which other processes can make again."""
    made = small_joint.quick_joint()
    made.recipe = quick_joint, ()
    return made


@lru_cache(maxsize=1)
def two_experiments() -> JointLikelihood:
    """Two experiments that see common coefficients, as `quick_joint`."""
    made = synthetic_joint()
    made.recipe = two_experiments, ()
    return made


def answers(found: Any) -> dict[str, bytes]:
    """Every array of a result, bit by bit."""
    return {name: np.asarray(value).tobytes() for name, value in found.items()}
