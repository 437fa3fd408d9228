"""Chunks made by real worker processes: the same as in one process, whatever happens to the workers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import small_joint

import nmmfit
from nmmfit.cluster.address import Local
from nmmfit.cluster.connection import connected
from nmmfit.cluster.engine import AHEAD, ClusterEngine, LostClusterError
from nmmfit.durable import ChunkStore, run_chunks
from nmmfit.inference.scan import scan
from tests.cluster import work

SQUARES = [i * i for i in range(12)]


@pytest.fixture(scope="module")
def engine() -> Iterator[ClusterEngine]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_PLATFORMS", "cpu")
        with connected(Local(2)) as opened:
            yield opened


def squares(found: list[dict[str, np.ndarray]]) -> list[int]:
    return [int(chunk["square"]) for chunk in found]


def test_chunks_come_from_both_workers_and_leave_nothing_there(engine: ClusterEngine) -> None:
    most = 0
    found = {}
    for number, arrays in engine(work.square, range(60)):
        found[number] = arrays
        most = max(most, len(engine.client.futures))
    assert [int(found[i]["square"]) for i in range(60)] == [i * i for i in range(60)]
    assert len({int(arrays["process"]) for arrays in found.values()}) == 2
    # The client forgets what was taken a moment later.
    assert most <= 2 * AHEAD + 4
    assert not engine.client.futures
    # Workers learn a moment later that nobody wants a result any more.
    until = time.monotonic() + 10.0
    while any(engine.client.has_what().values()) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(engine.client.has_what().values())


def test_a_slow_worker_holds_up_its_own_chunk_only(engine: ClusterEngine) -> None:
    order = [number for number, _ in engine(work.slow_first, range(12))]
    assert sorted(order) == list(range(12))
    # What waited behind the slow chunk is taken from that worker, or comes right after it.
    assert order.index(0) >= 12 - AHEAD


def test_finished_chunks_are_not_made_again(engine: ClusterEngine, tmp_path: Path) -> None:
    run_chunks(ChunkStore(tmp_path, {}), 5, work.square)
    asked: list[int] = []

    def counting(compute, numbers):
        asked.extend(numbers)
        return engine(compute, asked)

    assert squares(run_chunks(ChunkStore(tmp_path, {}), 12, work.square, engine=counting)) == SQUARES
    assert asked == list(range(5, 12))
    assert squares(run_chunks(ChunkStore(tmp_path, {}), 12, work.failing)) == SQUARES


def test_what_a_chunk_raises_ends_it(engine: ClusterEngine) -> None:
    with pytest.raises(ValueError, match=r"chunk [01] cannot be made"):
        list(engine(work.failing, range(2)))
    # and the cluster is as good as before
    assert len(list(engine(work.square, range(3)))) == 3


def test_what_cannot_travel_is_refused(engine: ClusterEngine) -> None:
    with pytest.raises(TypeError, match=r"not made by Run.joint\(\)"):
        list(engine(partial(work.square_of, small_joint.quick_joint()), range(2)))


def test_a_killed_worker_costs_its_chunk_only(engine: ClusterEngine, tmp_path: Path) -> None:
    store = ChunkStore(tmp_path / "store", {})
    found = run_chunks(store, 12, partial(work.killed_once, str(tmp_path)), engine=engine)
    assert (tmp_path / "killed").exists()
    assert squares(found) == SQUARES
    assert store.numbers() == list(range(12))


@pytest.mark.slow
def test_a_chunk_that_kills_every_worker_is_named(engine: ClusterEngine, tmp_path: Path) -> None:
    store = ChunkStore(tmp_path, {})
    with pytest.raises(
        LostClusterError, match=r"chunk 1 ended tcp://.* and workers before it, as where there is too little memory"
    ):
        run_chunks(store, 2, work.always_killed, engine=engine)


def test_a_grid_is_bit_by_bit_that_of_one_process(engine: ClusterEngine) -> None:
    joint = work.quick_joint()
    axes = {"L": (-3.0, 3.0, 1500)}
    here, there = (scan(joint, axes, profiled=False, refine=False, engine=e) for e in (None, engine))
    assert here.delta_chi2.tobytes() == there.delta_chi2.tobytes()
    assert work.answers(here.points) == work.answers(there.points)


@pytest.mark.slow
def test_a_profiled_grid_is_bit_by_bit_that_of_one_process(engine: ClusterEngine) -> None:
    joint = work.quick_joint()
    here, there = (scan(joint, {"mu": (0.1, 3.0, 1500)}, refine=False, engine=e) for e in (None, engine))
    for name in ("delta_chi2", "converged", "gradient_norm", "iterations", "slopes"):
        assert getattr(here, name).tobytes() == getattr(there, name).tobytes(), name
    assert work.answers(here.points) == work.answers(there.points)
    of_clock = {"seconds", "seconds_grid"}
    assert {k: v for k, v in here.cost.items() if k not in of_clock} == {k: v for k, v in there.cost.items() if k not in of_clock}


@pytest.mark.slow
def test_toys_are_bit_by_bit_those_of_one_process(engine: ClusterEngine, tmp_path: Path) -> None:
    joint = work.quick_joint()

    def made(where: str, **how) -> tuple[dict, dict[str, bytes]]:
        def stores(name, known):
            return ChunkStore(tmp_path / where / name, known)

        found = nmmfit.toys(joint, "mu", what=["p-value"], values=[1.0], toys=600, seed=3, stores=stores, **how)
        chunks = {p.name: p.read_bytes() for p in (tmp_path / where).rglob("*.chunk")}
        return found.p_values[0].to_json(), chunks

    here = made("here")
    assert len(here[1]) == 3
    assert made("there", engine=engine) == here
    # what is lost is made by whoever goes on
    min((tmp_path / "there").rglob("*.chunk")).unlink()
    assert made("there") == here


@pytest.mark.slow
def test_a_tension_is_bit_by_bit_that_of_one_process(engine: ClusterEngine) -> None:
    joint = work.two_experiments()
    here, there = (nmmfit.tension(joint, toys=30, starts=2, seed=3, engine=e) for e in (None, engine))
    assert here.to_json() == there.to_json()
    assert here.toys > 0
