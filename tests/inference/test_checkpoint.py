"""A sampling that is stopped anywhere and gone on with gives bit by bit the draws of one that is not."""

from __future__ import annotations

import dataclasses
import errno
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import small_joint

from nmmfit.durable import ChunkStore
from nmmfit.errors import OutputError, UserInputError
from nmmfit.inference.checkpoint import Checkpoint
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.result import SampleResult
from nmmfit.inference.sampling import SamplerSettings, sample

# Several compiled calls in every window of the warm-up and after it.
METHODS = {
    "nuts": SamplerSettings(chains=2, warmup=40, draws=12, seed=3, max_tree_depth=4),
    "ensemble": SamplerSettings(method="ensemble", chains=4, warmup=100, draws=50, seed=3),
}


@pytest.fixture(scope="module")
def joint() -> JointLikelihood:
    """A posterior that compiles quickly."""
    return small_joint.quick_joint()


class KilledError(Exception):
    """The process is gone: nothing is saved on the way out."""


# The ensemble goes on in the tests of `nmmfit resume`, too, which are quick.
@pytest.fixture(scope="module", params=["nuts", pytest.param("ensemble", marks=pytest.mark.slow)])
def whole(request, joint) -> tuple[SamplerSettings, SampleResult, int]:
    """Settings, the sampling that nothing stops, and its number of compiled calls."""
    calls: list[object] = []
    result = sample(joint, METHODS[request.param], calls.append)
    return METHODS[request.param], result, len(calls)


def checkpoint(folder: Path, said: Callable[[str], None] | None = None, least_s: float = 0.0) -> Checkpoint:
    """A checkpoint that saves after every call, unless more seconds have to pass."""
    made = Checkpoint(lambda name, about: ChunkStore(folder / name, about), said, least_s)
    if not least_s:
        made.due = lambda: True
    return made


def stopping(after: int, how: type[BaseException]) -> Callable[[object], None]:
    """A progress callback that stops after so many calls."""
    calls = 0

    def progress(_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == after:
            raise how

    return progress


def assert_same(found: SampleResult, wanted: SampleResult) -> None:
    for part in ("draws", "folded", "identified", "sample_stats"):
        mine, theirs = getattr(found, part), getattr(wanted, part)
        assert list(mine) == list(theirs)
        for name in theirs:
            assert mine[name].tobytes() == theirs[name].tobytes(), (part, name)
    assert (found.divergences(), found.draws_per_chain, found.interrupted) == (
        wanted.divergences(),
        wanted.draws_per_chain,
        False,
    )


def run(joint, settings: SamplerSettings, kept: Checkpoint, progress=None) -> SampleResult | None:
    """A sampling; None where it was stopped before its first draw."""
    try:
        return sample(joint, settings, progress, kept)
    except (KilledError, KeyboardInterrupt):
        return None


@pytest.mark.parametrize("how", [KilledError, KeyboardInterrupt])
def test_stopped_after_any_call_it_goes_on_to_the_same_draws(how, whole, joint, tmp_path):
    settings, wanted, calls = whole
    for after in range(1, calls + 1):
        folder = tmp_path / str(after)
        run(joint, settings, checkpoint(folder), stopping(after, how))
        left: list[object] = []
        assert_same(sample(joint, settings, left.append, checkpoint(folder)), wanted)
        assert len(left) == calls - after


def test_states_that_are_rarely_saved_lose_some_draws_and_no_digit(whole, joint, tmp_path):
    settings, wanted, calls = whole
    run(joint, settings, checkpoint(tmp_path, least_s=1e9), stopping(calls - 1, KilledError))
    left: list[object] = []
    assert_same(sample(joint, settings, left.append, checkpoint(tmp_path)), wanted)
    assert len(left) == calls - 1


def test_stopped_again_and_again(whole, joint, tmp_path):
    settings, wanted, calls = whole
    for _ in range(calls):
        run(joint, settings, checkpoint(tmp_path), stopping(1, KilledError))
    assert len(list((tmp_path / "states").glob("*.chunk"))) == 2
    assert_same(sample(joint, settings, None, checkpoint(tmp_path)), wanted)


def test_what_an_interruption_leaves_is_the_beginning_of_the_draws(whole, joint, tmp_path):
    settings, wanted, calls = whole
    part = sample(joint, settings, stopping(calls - 1, KeyboardInterrupt), checkpoint(tmp_path))
    assert part.interrupted
    for name, values in part.sample_stats.items():
        assert np.array_equal(values, wanted.sample_stats[name][:, : part.draws_per_chain])


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def alter(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-40] ^= 1
    path.write_bytes(bytes(raw))


@pytest.mark.parametrize("damage", [cut, alter, Path.unlink])
@pytest.mark.parametrize(("store", "which"), [("draws", 0), ("draws", -1), ("states", -1), ("states", 0)])
def test_a_damaged_file_is_named_and_made_again(damage, store, which, whole, joint, tmp_path):
    settings, wanted, calls = whole
    run(joint, settings, checkpoint(tmp_path), stopping(calls - 1, KilledError))
    path = sorted((tmp_path / store).glob("*.chunk"))[which]
    damage(path)
    said: list[str] = []
    assert_same(sample(joint, settings, None, checkpoint(tmp_path, said.append)), wanted)
    # A state that is not the last one is not needed; one that is gone without a trace is not missed.
    if damage is not Path.unlink and (store, which) != ("states", 0):
        assert str(path) in said[0]
        assert "cut short" in said[0] or "altered" in said[0]


def test_both_states_damaged_it_begins_again(whole, joint, tmp_path):
    settings, wanted, calls = whole
    run(joint, settings, checkpoint(tmp_path), stopping(calls - 1, KilledError))
    for path in (tmp_path / "states").glob("*.chunk"):
        cut(path)
    said: list[str] = []
    left: list[object] = []
    assert_same(sample(joint, settings, left.append, checkpoint(tmp_path, said.append)), wanted)
    assert len(left) == calls
    assert said[-1] == "no state of the sampler fits the draws that are there; it begins again, with the same result"


@pytest.mark.parametrize("store", ["draws", "states"])
def test_a_full_disk_stops_it_and_loses_nothing(store, whole, joint, tmp_path, monkeypatch):
    settings, wanted, calls = whole
    run(joint, settings, checkpoint(tmp_path), stopping(2, KilledError))
    write = ChunkStore.write

    def full(self, i, arrays):
        with monkeypatch.context() as patch:
            if self.folder.name == store:
                patch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
            write(self, i, arrays)

    with monkeypatch.context() as patch:
        patch.setattr(ChunkStore, "write", full)
        with pytest.raises(OutputError, match=rf"^cannot write {tmp_path / store}\S+: the disk is full$"):
            sample(joint, settings, None, checkpoint(tmp_path))
    left: list[object] = []
    assert_same(sample(joint, settings, left.append, checkpoint(tmp_path)), wanted)
    assert len(left) == calls - 2


def test_another_sampling_does_not_go_on_from_it(whole, joint, tmp_path):
    settings, _, _ = whole
    run(joint, settings, checkpoint(tmp_path), stopping(1, KilledError))
    with pytest.raises(UserInputError, match="holds the chunks of another computation: settings was"):
        sample(joint, dataclasses.replace(settings, seed=4), None, checkpoint(tmp_path))


def test_a_checkpoint_for_python_is_of_one_likelihood(whole, joint, tmp_path, monkeypatch):
    settings, wanted, calls = whole
    run(joint, settings, Checkpoint.in_folder(tmp_path), stopping(calls - 1, KeyboardInterrupt))
    with monkeypatch.context() as patch:
        patch.setattr("nmmfit.inference.sampling._numbers_of", lambda machine: "other")
        with pytest.raises(UserInputError, match="holds the chunks of another computation: numbers was"):
            sample(joint, settings, None, Checkpoint.in_folder(tmp_path))
    left: list[object] = []
    kept = Checkpoint.in_folder(tmp_path)
    assert_same(sample(joint, settings, left.append, kept), wanted)
    assert len(left) == 1
    assert kept.spent_s > 0.0


def test_numbers_that_came_out_differently_are_told(whole, joint, tmp_path, monkeypatch):
    settings, _, _ = whole
    run(joint, settings, checkpoint(tmp_path), stopping(1, KilledError))
    monkeypatch.setattr("nmmfit.inference.sampling._numbers_of", lambda machine: "other")
    said: list[str] = []
    sample(joint, settings, None, checkpoint(tmp_path, said.append))
    assert said == ["numbers of the likelihood differ in their last digits from those it was begun with, so may the draws"]
