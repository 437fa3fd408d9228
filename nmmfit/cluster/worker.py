"""What runs on a worker: it takes a computation once, checks that it would compute the same, and makes chunks one at a time."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dask
import numpy as np
from distributed import WorkerPlugin, get_worker

from nmmfit.durable.arrays import Arrays
from nmmfit.errors import UserInputError

ONE_AT_A_TIME = threading.Lock()
"""Two threads that compute with JAX's LAPACK calls on batches at once can wait for each other for ever."""


class Work(WorkerPlugin):
    """A computation on its way to every worker of a cluster, also to those that come later."""

    def __init__(self, content: bytes, made: Mapping[str, Any], device: str | None = None) -> None:
        """`content`: the pickled function of a chunk's number; `made`: what the client computes with, see `made_here`."""
        self.content, self.made, self.device = content, dict(made), device
        self.compute: Callable[[int], Arrays] | None = None

    def chunk(self, number: int, address: str) -> dict[str, np.ndarray]:
        """Arrays of a chunk; the first one prepares all that chunks share."""
        with ONE_AT_A_TIME:
            if self.compute is None:
                differing = said_differences(self.made, made_here(self.made["experiments"]))
                if differing:
                    raise UserInputError(refusal(address, differing))
                start_here(self.device)
                self.compute = pickle.loads(self.content)
            # Files that a chunk writes are its own: xarray would ask the whole cluster for a lock of each.
            with dask.config.set(scheduler="synchronous"):
                return {name: np.asarray(values) for name, values in self.compute(number).items()}


class OwnCores(WorkerPlugin):
    """Workers on this machine share its processors evenly, and leave Ctrl-C to the client."""

    def __init__(self, cores: Sequence[int], workers: int) -> None:
        self.cores, self.workers = list(cores), workers

    def setup(self, worker: Any) -> None:
        """Bind the process, before anything in it starts threads."""
        share = max(1, len(self.cores) // self.workers)
        first = int(worker.name) * share % len(self.cores)
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, self.cores[first : first + share])
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def chunk(name: str, number: int) -> dict[str, np.ndarray]:
    """A chunk of the computation that a plug-in of this name brought."""
    worker = get_worker()
    work: Any = worker.plugins[name]
    made: dict[str, np.ndarray] = work.chunk(number, worker.address)
    return made


def start_here(device: str | None) -> None:
    """As the command line does before it computes."""
    from nmmfit.compilation_cache import enable
    from nmmfit.devices import compile_quickly, use_device
    from nmmfit.memory import keep_large_pieces
    from nmmfit.precision import require_double_precision

    keep_large_pieces()
    compile_quickly()
    require_double_precision()
    use_device(device)
    enable()


def made_here(experiments: Sequence[str]) -> dict[str, Any]:
    """What this process computes with: experiments, versions, digest of program and experiments, checksums of tables."""
    from nmmfit.results.origin import made_with

    return {name: value for name, value in made_with(experiments).items() if name != "commit"}


def said_differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """What differs between the client and a worker, in words, the most important first."""
    from nmmfit.results.origin import differences

    return differences(theirs, ours, ("there", "here"))


def refusal(address: str, differing: Sequence[str]) -> str:
    """One line on a worker that would compute something else."""
    more = f", and {len(differing) - 2} more" if len(differing) > 2 else ""
    return f"worker {address} is refused: {', '.join(differing[:2])}{more}; install the same on both"
