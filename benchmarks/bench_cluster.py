"""What does a cluster cost? Chunks of a profiled grid on two local workers against one, and the overhead of a chunk.

    python benchmarks/bench_cluster.py [--chunks 24] [--set KEY=VALUE] [--out FILE.json]

Every worker has one processor. What workers do once (imports, templates, compiling) is done before the clock starts, and told
apart; chunks are compared, bit by bit, with those of this process. The overhead is that of chunks that compute nothing and return
as much as real ones. `processor_ratio` compares what a chunk takes of a worker's processor between two workers and one: on a
machine with other work it says what wall time cannot. Processors that share caches, memory or their clock slow each other down
without any cluster: `efficiency_two_processes` is that of two processes bound to one processor each, which know nothing of one
another and make the same chunks, against one. What the cluster itself costs is the ratio of the two. From these figures follows
what many workers can do at most (`model`), see docs/guide/clusters.md.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from common import command_line, met, record, say, write

BARS = {"efficiency_two_workers": (">=", 0.85), "overhead_per_chunk_s": ("<=", 0.05), "same_bits": (">=", 1.0)}
PROCESSOR = "processor_s"
PASSES = 3
"""Times that all chunks are timed."""
AXES = {"L_dipole": (-3e-7, 3e-7), "L_T_u": (-6e-5, 6e-5)}


def nothing(arrays: dict[str, np.ndarray], number: int) -> dict[str, np.ndarray]:
    """A chunk that costs nothing to compute, and as much to bring as a real one."""
    return {name: values.copy() for name, values in arrays.items()}


def timed(compute: Any, number: int) -> dict[str, np.ndarray]:
    """A chunk, and the processor time that it took."""
    began = time.process_time()
    found = compute(number)
    return {**found, PROCESSOR: np.asarray(time.process_time() - began)}


def processor_s() -> float:
    """Processor time of this process so far."""
    return time.process_time()


def bare_process(core: int, sent: bytes, numbers: Sequence[int], ready: Any, seconds: Any) -> None:
    """A process bound to one processor, which makes these chunks as a worker would, and tells the seconds of every pass."""
    from nmmfit.cluster.worker import start_here

    os.sched_setaffinity(0, {core})
    start_here(None)
    compute = pickle.loads(sent)
    for number in [*numbers, *numbers]:
        compute(number)
    for _ in range(PASSES):
        ready.wait()
        began = time.perf_counter()
        for number in numbers:
            compute(number)
        seconds.put((time.perf_counter() - began) / len(numbers))


def in_processes(n: int, compute: Any, chunks: int) -> float:
    """Median wall seconds of a chunk in so many processes at once, without a cluster."""
    context = multiprocessing.get_context("spawn")
    ready, seconds = context.Barrier(n), context.SimpleQueue()
    sent, cores = pickle.dumps(compute), sorted(os.sched_getaffinity(0))
    processes = [
        context.Process(target=bare_process, args=(cores[k], sent, range(n + k, n + chunks, n), ready, seconds)) for k in range(n)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        if process.exitcode:
            raise SystemExit(f"a process ended with exit code {process.exitcode}")
    return float(np.median([seconds.get() for _ in range(PASSES * n)]))


def on_workers(n: int, compute: Any, chunks: int, empty: Any) -> dict[str, Any]:
    """Wall and processor seconds of chunks on so many workers, once all of them have begun."""
    from nmmfit.cluster.address import Local
    from nmmfit.cluster.connection import connected

    began = time.perf_counter()
    with connected(Local(n)) as engine:
        cores = sorted(os.sched_getaffinity(0))
        # One worker would have all processors.
        engine.client.run(os.sched_setaffinity, 0, cores[:1]) if n == 1 else None
        started_s = time.perf_counter() - began
        # One chunk for every worker, none of which has anything to do: each gets one.
        began, idle = time.perf_counter(), engine.client.run(processor_s)
        compute = partial(timed, compute)
        found = dict(engine(compute, range(n)))
        first_s, busy = time.perf_counter() - began, engine.client.run(processor_s)
        if min(busy[w] - idle[w] for w in busy) < 0.5:
            raise SystemExit("a worker has not begun: take more points or experiments")
        # Some chunks need programs that others do not: every worker has compiled them when it has made a few.
        found |= dict(engine(compute, range(n, n + chunks)))
        passes = []
        for _ in range(PASSES):
            began = time.perf_counter()
            found |= dict(engine(compute, range(n, n + chunks)))
            passes.append(time.perf_counter() - began)
        client, wall = time.process_time(), time.perf_counter()
        empties = sum(1 for _ in engine(empty, range(200)))
        overhead = {
            "wall": (time.perf_counter() - wall) / empties,
            "client_processor": (time.process_time() - client) / empties,
        }
    return {
        "workers": n,
        "started_s": started_s,
        "first_chunks_s": first_s,
        "wall_s_per_chunk": float(np.median(passes)) / chunks,
        "processor_s_per_chunk": float(np.median([found[i][PROCESSOR] for i in range(n, n + chunks)])),
        "overhead_s_per_chunk": overhead,
        "found": found,
    }


def measure(chunks: int, seed: int, overrides: list[str]) -> dict[str, Any]:
    """All figures of this benchmark."""
    from nmmfit.inference.axes import make_axes
    from nmmfit.inference.grid_chunks import Chunk
    from nmmfit.inference.grid_solver import CHUNK, GridSolver, _solved
    from nmmfit.inference.space import space_of
    from nmmfit.run import default_run

    joint = default_run(overrides).joint()
    space = space_of(joint)
    side = int(np.ceil(np.sqrt((chunks + 4) * CHUNK)))
    grid = {name: (*ends, side) for name, ends in AXES.items() if name in space.names}
    solver = GridSolver(space, make_axes(space, grid, {}), {}, seed=seed)
    began = time.perf_counter()
    coarse = solver.coarse()
    coarse_s = time.perf_counter() - began
    compute = Chunk(partial(_solved, solver, coarse))
    here = compute(0)
    empty = partial(nothing, here)
    say("one worker")
    one = on_workers(1, compute, chunks, empty)
    say("two workers")
    two = on_workers(2, compute, chunks, empty)
    say("processes without a cluster")
    bare = [in_processes(k, compute, chunks) for k in (1, 2)]
    same = all(
        here[name].tobytes() == found["found"][0][name].tobytes() == two["found"][0][name].tobytes()
        for name in here
        for found in (one,)
    )
    alike = all(
        one["found"][i][name].tobytes() == two["found"][i][name].tobytes()
        for i in range(chunks)
        for name in here
        if i in two["found"]
    )
    for found in (one, two):
        del found["found"]
    # Of a processor that has nothing else to do.
    chunk_s, overhead_s = one["processor_s_per_chunk"], two["overhead_s_per_chunk"]["wall"]
    efficiency = one["wall_s_per_chunk"] / (2.0 * two["wall_s_per_chunk"])
    values = {
        "efficiency_two_workers": efficiency,
        "efficiency_two_processes": bare[0] / bare[1],
        "of_what_processors_allow": efficiency * bare[1] / bare[0],
        "processor_ratio": two["processor_s_per_chunk"] / one["processor_s_per_chunk"],
        "overhead_per_chunk_s": overhead_s,
        "same_bits": float(same and alike),
    }
    return {
        "ratios": values,
        "bars": BARS,
        "met": met(values, BARS),
        "one": one,
        "two": two,
        "without_cluster_s_per_chunk": bare,
        "coarse_s": coarse_s,
        "points_per_chunk": CHUNK,
        "bytes_sent_once_per_worker": len(pickle.dumps(compute)),
        "bytes_per_chunk": sum(np.asarray(v).nbytes for v in here.values()),
        "model": {
            "workers_that_one_client_serves": chunk_s / overhead_s,
            "chunks_per_worker_for_90_percent": 9.0 * one["first_chunks_s"] / (2.0 * chunk_s),
        },
    }


def main() -> None:
    """Command line of this benchmark."""
    parser = command_line(__doc__)
    parser.add_argument("--chunks", type=int, default=24, help="chunks that are timed")
    given = parser.parse_args()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from nmmfit.devices import compile_quickly

    compile_quickly()
    figures = measure(given.chunks, given.seed, given.set)
    write(record("What does a cluster cost, a chunk and a worker?", given.seed, **figures), given.out)


if __name__ == "__main__":
    main()
