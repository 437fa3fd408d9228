"""A cluster opened, its workers checked, and everything that was started for it ended in the end."""

from __future__ import annotations

import importlib.metadata
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from nmmfit.cluster.address import Local, Place, Remote
from nmmfit.errors import UserInputError

if TYPE_CHECKING:
    from nmmfit.cluster.engine import ClusterEngine

TIMEOUT_S = 10.0
"""Seconds after which nobody is at an address."""


@contextmanager
def connected(
    place: Place,
    experiments: Sequence[str] = (),
    *,
    device: str | None = None,
    timeout_s: float | None = None,
    say: Callable[[str], None] | None = None,
) -> Iterator[ClusterEngine]:
    """An engine on a cluster.

    Args:
        place: where it is, from `nmmfit.cluster.address.given`.
        experiments: whose code and tables must be the same on the workers.
        device: that of the workers, "cpu" or "gpu"; None: what JAX finds there.
        timeout_s: how long to wait for an answer of a scheduler; None: `TIMEOUT_S`.
        say: told what one may have to wait for.
    Raises: UserInputError if dask.distributed is missing, nobody answers, a file asks for what does not exist, or a worker has
        another nmmfit, other libraries or other tables, saying both versions.
    """
    try:
        import distributed
    except ImportError:
        raise UserInputError("--cluster needs dask.distributed: pip install 'nmmfit[cluster]'") from None
    from nmmfit.cluster.engine import ClusterEngine
    from nmmfit.cluster.worker import OwnCores, made_here

    tell = say or (lambda _: None)
    made = made_here(list(experiments))
    # What is worth knowing is raised; what dask reports on its way is for its own developers.
    for name in ("distributed", "distributed.client", "distributed.scheduler", "distributed.nanny", "distributed.core"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        # No client is the default one: whatever else uses dask in this process (xarray, for its files) stays in it.
        if isinstance(place, Remote):
            client = _client(stack, place.address, TIMEOUT_S if timeout_s is None else timeout_s)
        elif isinstance(place, Local):
            cluster = stack.enter_context(
                distributed.LocalCluster(
                    n_workers=place.workers,
                    threads_per_worker=1,
                    host="127.0.0.1",
                    dashboard_address=None,
                    silence_logs=logging.CRITICAL,
                )
            )
            client = stack.enter_context(distributed.Client(cluster, set_as_default=False))
            client.register_plugin(OwnCores(_cores(), place.workers), name="nmmfit-own-cores")
        else:
            from nmmfit.cluster.queue import start_jobs

            cluster = stack.enter_context(start_jobs(place))
            client = stack.enter_context(distributed.Client(cluster, set_as_default=False))
            tell(f"{place.jobs} jobs of {place.kind} asked for")
        if not client.nthreads():
            tell("no worker is there yet; waiting for the first one")
            client.wait_for_workers(1)
        check_workers(client, made)
        tell(f"{len(client.nthreads())} workers")
        yield ClusterEngine(client, made, device)


def _client(stack: ExitStack, address: str, timeout_s: float) -> Any:
    import distributed

    try:
        return stack.enter_context(distributed.Client(address, timeout=timeout_s, set_as_default=False))
    except (OSError, TimeoutError):
        raise UserInputError(
            f"--cluster {address}: nobody answers there within {timeout_s:g} s; is a dask scheduler running, and its port open?"
        ) from None


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def check_workers(client: Any, made: Any) -> None:
    """Refuse workers that would compute something else. Raises: UserInputError on the first of them."""
    from nmmfit.cluster.worker import made_here, refusal, said_differences

    ours = made["versions"]["nmmfit"]
    # A function that is there whatever version of nmmfit is, or none.
    for address, theirs in client.run(importlib.metadata.version, "nmmfit", on_error="return").items():
        if theirs != ours:
            found = f"nmmfit {theirs} there, {ours} here" if isinstance(theirs, str) else f"no nmmfit there, {ours} here"
            raise UserInputError(refusal(address, [found]))
    for address, theirs in client.run(made_here, made["experiments"], on_error="return").items():
        if isinstance(theirs, Exception):
            raise UserInputError(f"worker {address} is refused: {' '.join(str(theirs).split())}")
        differing = said_differences(made, theirs)
        if differing:
            raise UserInputError(refusal(address, differing))
