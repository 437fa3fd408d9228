"""Chunks on the workers of a cluster: handed out a few at a time, taken back as they are finished, lost ones made again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any
from uuid import uuid4

import cloudpickle
from distributed import Client, Future, KilledWorker, as_completed
from distributed.comm import CommClosedError

from nmmfit.cluster.worker import Work, chunk
from nmmfit.durable.arrays import Arrays
from nmmfit.errors import NmmfitError

AHEAD = 2
"""Chunks handed out for every worker: one that it makes, and one that waits, so that it never waits for the client."""


ASKED_S = 1.0
"""Seconds between two questions how many workers there are."""


class LostClusterError(NmmfitError):
    """The scheduler is gone, or workers die again and again."""


class ClusterEngine:
    """An engine for `run_chunks`, `nmmfit.scan` and `nmmfit.toys`: chunks of a computation, made by the workers of a cluster.

    What it computes must survive pickling: a function, or what scans and toys hand over, whose likelihood comes from a run. It
    travels once to every worker; then only numbers go there, and arrays come back. Results are taken from the cluster as soon as
    they are finished, and no more than two chunks per worker are on their way.
    """

    def __init__(self, client: Client, made: Mapping[str, Any], device: str | None = None) -> None:
        """`client`: of the cluster, checked (`nmmfit.cluster.connection.connected`); `made`: what this process computes with;
        `device`: that of the workers."""
        self.client, self.made, self.device = client, made, device
        self._known, self._asked = 1, -ASKED_S
        self.address = str(client.scheduler_info()["address"])

    def __call__(self, compute: Callable[[int], Arrays], numbers: Iterable[int]) -> Iterator[tuple[int, Arrays]]:
        """(number, arrays) of every chunk, in the order in which they are finished.

        Raises: LostClusterError if the scheduler is gone, or a chunk ends one worker after another; what a chunk raises.
        """
        waiting = list(numbers)
        if not waiting:
            return
        name = f"nmmfit-{uuid4()}"
        # What stands in a script or a notebook travels, too.
        work = Work(cloudpickle.dumps(compute), self.made, self.device)
        try:
            self.client.register_plugin(work, name=name)
            yield from self._made(name, waiting)
        except (CommClosedError, TimeoutError) as problem:
            raise self._lost(problem) from None
        finally:
            if self.client.status == "running":
                with suppress(OSError, TimeoutError):
                    self.client.unregister_worker_plugin(name)

    def _made(self, name: str, waiting: list[int]) -> Iterator[tuple[int, Arrays]]:
        waiting = waiting[::-1]
        flying: dict[Future, int] = {}
        finished = as_completed(loop=self.client.loop)
        try:
            self._hand_out(name, waiting, flying, finished)
            for future in finished:
                number = flying.pop(future)
                arrays = self._taken(future, number)
                future.release()
                self._hand_out(name, waiting, flying, finished)
                yield number, arrays
        finally:
            if self.client.status == "running":
                self.client.cancel(list(flying))

    def _hand_out(self, name: str, waiting: list[int], flying: dict[Future, int], finished: as_completed) -> None:
        if not waiting:
            return
        while waiting and len(flying) < AHEAD * self._workers():
            number = waiting.pop()
            # The same chunk of the same computation is never one that another client asked for.
            future = self.client.submit(chunk, name, number, key=f"{name}-{number}", pure=False)
            flying[future] = number
            finished.add(future)

    def _workers(self) -> int:
        """How many workers there are; asked for now and then, because they come and go, and may be a thousand."""
        now = time.monotonic()
        if now > self._asked + ASKED_S:
            self._known, self._asked = max(1, len(self.client.nthreads())), now
        return self._known

    def _taken(self, future: Future, number: int) -> Arrays:
        if future.status in ("cancelled", "lost"):
            raise self._lost(None)
        try:
            arrays: Arrays = future.result()
        except KilledWorker as problem:
            raise LostClusterError(
                f"chunk {number} ended {problem.last_worker.address} and workers before it, as where there is too little memory"
            ) from None
        return arrays

    def _lost(self, problem: Exception | None) -> LostClusterError:
        reason = f" ({' '.join(str(problem).split())})" if problem is not None and str(problem) else ""
        return LostClusterError(f"the scheduler at {self.address} does not answer any more{reason}")
