"""Chunks on disk: bit by bit what was written, or named as broken and computed again; one process at a time in a folder."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as some

from nmmfit.durable import BrokenChunkError, ChunkStore, FolderLock, run_chunks
from nmmfit.durable.arrays import decoded, encoded
from nmmfit.errors import OutputError, UserInputError

ABOUT = {"run": "abc", "seed": 1, "program": "v1"}
KINDS = st.sampled_from([np.float64, np.float32, np.int64, np.uint32, np.bool_, np.complex128])


ARRAYS = KINDS.flatmap(lambda kind: some.arrays(kind, some.array_shapes(min_dims=0, max_dims=2, max_side=3)))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.text(min_size=1), ARRAYS, max_size=3))
def test_arrays_come_back_bit_by_bit(arrays):
    back = decoded(encoded(arrays, "key"), "key")
    assert list(back) == list(arrays)
    for name, values in arrays.items():
        assert (back[name].dtype, back[name].shape) == (values.dtype, values.shape)
        assert back[name].tobytes() == values.tobytes()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_cut_and_every_changed_bit_is_seen(data):
    raw = encoded({"x": np.arange(7.0), "file": np.asarray([True])}, "key")
    at = data.draw(st.integers(0, len(raw) - 1))
    with pytest.raises(ValueError, match=r"cut short|altered"):
        decoded(raw[:at], "key")
    changed = bytearray(raw)
    changed[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(ValueError, match=r"cut short|altered|another format"):
        decoded(bytes(changed), "key")


def test_python_objects_are_refused(tmp_path):
    with pytest.raises(ValueError, match="allow_pickle"):
        ChunkStore(tmp_path, ABOUT).write(0, {"x": np.asarray([{}], dtype=object)})
    assert [p.name for p in tmp_path.iterdir()] == ["about.json"]


def block(i: int) -> dict[str, np.ndarray]:
    return {"values": np.random.default_rng(i).normal(size=5), "number": np.asarray(i)}


class Counting:
    """Which chunks were computed; stops before the n-th."""

    def __init__(self, stop: int = 1000) -> None:
        self.called, self.stop = [], stop

    def __call__(self, i: int) -> dict[str, np.ndarray]:
        if len(self.called) == self.stop:
            raise KeyboardInterrupt
        self.called.append(i)
        return block(i)


def same(found, wanted) -> bool:
    return all(f[k].tobytes() == w[k].tobytes() for f, w in zip(found, wanted, strict=True) for k in w)


@pytest.mark.parametrize("stop", range(6))
def test_what_is_finished_is_not_computed_again(tmp_path, stop):
    first = Counting(stop)
    with pytest.raises(KeyboardInterrupt):
        run_chunks(ChunkStore(tmp_path, ABOUT), 6, first)
    assert ChunkStore(tmp_path, ABOUT).numbers() == list(range(stop))
    second, heard = Counting(), []
    found = run_chunks(ChunkStore(tmp_path, ABOUT), 6, second, lambda *at: heard.append(at))
    assert second.called == list(range(stop, 6))
    assert heard == [(i, 6) for i in range(stop, 7)]
    assert same(found, map(block, range(6)))


def test_an_engine_may_finish_in_any_order(tmp_path):
    found = run_chunks(ChunkStore(tmp_path, ABOUT), 5, block, engine=lambda f, todo: ((i, f(i)) for i in reversed(list(todo))))
    assert same(found, map(block, range(5)))


def damage_cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def damage_bit(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-30] ^= 4
    path.write_bytes(bytes(raw))


@pytest.mark.parametrize(("damage", "says"), [(damage_cut, "cut short"), (damage_bit, "altered"), (Path.unlink, "no such file")])
def test_a_broken_chunk_is_named_and_computed_again(tmp_path, damage, says):
    store = ChunkStore(tmp_path, ABOUT)
    run_chunks(store, 4, block)
    damage(store.path(2))
    with pytest.raises(BrokenChunkError, match=says) as error:
        store.read(2)
    assert str(store.path(2)) in str(error.value)
    again, said = Counting(), []
    found = run_chunks(ChunkStore(tmp_path, ABOUT), 4, again, say=said.append)
    assert again.called == [2]
    assert same(found, map(block, range(4)))
    if damage is not Path.unlink:
        assert len(said) == 1
        assert str(store.path(2)) in said[0]
        assert said[0].endswith("; it is computed again")


def test_a_chunk_under_the_name_of_another_is_seen(tmp_path):
    store = ChunkStore(tmp_path, ABOUT)
    run_chunks(store, 2, block)
    os.replace(store.path(0), store.path(1))
    with pytest.raises(BrokenChunkError, match="of another computation"):
        store.read(1)


def test_chunks_of_another_computation_are_refused_by_name(tmp_path):
    run_chunks(ChunkStore(tmp_path, ABOUT), 2, block)
    with pytest.raises(UserInputError, match=r"another computation: program was \"v1\", is \"v2\"$"):
        ChunkStore(tmp_path, ABOUT | {"program": "v2"})
    (tmp_path / "about.json").write_text("{")
    other = ChunkStore(tmp_path, ABOUT | {"program": "v2"})
    assert not other.has(0)
    assert other.numbers() == []


def test_a_full_disk_is_one_line_and_costs_nothing_that_was_there(tmp_path, monkeypatch):
    store = ChunkStore(tmp_path, ABOUT)
    real = os.replace

    def full(source, target):
        if str(target) == str(store.path(2)):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", full)
        with pytest.raises(OutputError, match=rf"^cannot write {store.path(2)}: the disk is full$"):
            run_chunks(store, 4, block)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["about.json", store.path(0).name, store.path(1).name])
    again = Counting()
    assert same(run_chunks(store, 4, again), map(block, range(4)))
    assert again.called == [2, 3]


HOLD = """
import sys, time
from nmmfit.durable import FolderLock
lock = FolderLock(sys.argv[1])
lock.acquire()
print("held", flush=True)
time.sleep(60)
"""


def test_the_second_process_is_refused_and_a_dead_one_loses_the_lock(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(OutputError, match=rf"^my-fit: in use by process {holder.pid} on \S+; wait until it is done") as error:
            FolderLock(tmp_path, "my-fit").acquire()
        assert "\n" not in str(error.value)
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    lock = FolderLock(tmp_path)
    lock.acquire()
    assert json.loads((tmp_path / "owner.json").read_text())["pid"] == os.getpid()
    lock.release()
    lock.release()
    again = FolderLock(tmp_path)
    again.acquire()
    again.release()


def test_a_lock_that_cannot_be_taken_is_one_line(tmp_path):
    with pytest.raises(OutputError, match="there is no such folder"):
        FolderLock(tmp_path / "missing").acquire()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "lock").mkdir()
    with pytest.raises(OutputError, match=r"^cannot write .*lock"):
        FolderLock(tmp_path).acquire()
