"""Chunks on several processes, of which one may be lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

from nmmfit.durable.arrays import Arrays
from nmmfit.durable.chunks import Engine
from nmmfit.errors import NmmfitError


class LostWorkersError(NmmfitError):
    """Processes that compute chunks end again and again, as where there is too little memory for them."""


def on_processes(workers: int, tries: int = 3) -> Engine:
    """An engine for `run_chunks` that computes on processes of its own; chunks lost with one that dies are computed again.

    Args:
        workers: how many processes.
        tries: how often in a row processes may die without one chunk finished in between.
    Returns: the engine. What it computes must be a function of a module, which a new process can import.
    Raises (when used): LostWorkersError naming the chunks that are left; finished ones stay.
    """

    def engine(compute: Callable[[int], Arrays], numbers: Iterable[int]) -> Iterator[tuple[int, Arrays]]:
        left = list(numbers)
        deaths = 0
        while left:
            # A forked process would share the threads of JAX, which do not survive that.
            with ProcessPoolExecutor(min(workers, len(left)), mp_context=get_context("spawn")) as pool:
                futures = {pool.submit(compute, i): i for i in left}
                try:
                    for future in as_completed(futures):
                        arrays = future.result()
                        left.remove(futures[future])
                        deaths = 0
                        yield futures[future], arrays
                except BrokenProcessPool:
                    deaths += 1
                    if deaths == tries:
                        shown = ", ".join(map(str, left[:5])) + (f" and {len(left) - 5} more" if len(left) > 5 else "")
                        raise LostWorkersError(f"processes died {tries} times in a row; not computed: chunks {shown}") from None

    return engine
