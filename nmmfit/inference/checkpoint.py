"""What a sampler keeps while it runs, so that it can go on bit by bit where it ended: every draw, and its state."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.durable import BrokenChunkError, ChunkStore

# A state is written when this many times the seconds that writing it took have passed since, and at least so many seconds.
PATIENCE, LEAST_S = 100.0, 1.0
# States that are kept: where the last one is damaged, the one before it serves.
STATES = 2
_log = logging.getLogger(__name__)

Outcome = Mapping[str, np.ndarray]
"""(iteration, chain, ...) arrays of what happened in some iterations."""


@dataclass(frozen=True)
class Position:
    """Where a sampler stands between two compiled calls: with the draws before it, all that its continuation depends on.

    Attributes:
        done: iterations of every chain.
        states: state of every lane.
        metric: (parameter, parameter) of the current window.
        divergences, leapfrogs: counted so far, divergences after warm-up.
        seconds, warmup_s: spent so far, and in warm-up.
    """

    done: int
    states: tuple[Any, ...]
    metric: np.ndarray
    divergences: int = 0
    leapfrogs: int = 0
    seconds: float = 0.0
    warmup_s: float = 0.0


class Checkpoint:
    """Draws and states of one sampling on disk, in two stores of chunks.

    The draws of the iterations from n on are chunk n of one store; the state after n iterations is chunk n of the other. Draws
    are written before the state that follows them, so that a state is never ahead of its draws.
    """

    def __init__(
        self,
        store: Callable[[str, Mapping[str, Any]], ChunkStore],
        say: Callable[[str], None] | None = None,
        least_s: float = LEAST_S,
    ) -> None:
        """`store(name, determined_by)` opens a store; `say` is told what was damaged; `least_s` seconds pass between states."""
        self._store, self._say, self._least_s = store, say or _log.warning, least_s
        self._draws: Any = None
        self._states: Any = None
        self._saved, self._due, self._numbers, self._strict = 0, 0.0, "", False
        self.spent_s = 0.0
        """Seconds that saving took."""

    @classmethod
    def in_folder(cls, folder: Path | str, say: Callable[[str], None] | None = None) -> Checkpoint:
        """A checkpoint in a folder of its own, for use from Python; one process at a time may have it.

        A sampling with other settings, or of a likelihood whose numbers differ, is refused there.
        """
        made = cls(lambda name, about: ChunkStore(Path(folder) / name, about), say)
        made._strict = True
        return made

    def open(self, settings: Mapping[str, Any], lanes: int, numbers: str) -> None:
        """Open the stores for one configuration of a sampler.

        Args:
            settings: of the sampler, JSON values.
            lanes: chains of a lane.
            numbers: digest of the numbers that the sampler begins with, which may differ in their last digits between machines.
        Raises: UserInputError if what the stores hold is of another configuration.
        """
        self._numbers = numbers
        determined_by = {**self._determined_by(settings, numbers), "lanes": lanes}
        self._draws = self._store("draws", determined_by)
        self._states = self._store("states", determined_by)

    def _determined_by(self, settings: Mapping[str, Any], numbers: str) -> dict[str, Any]:
        about: dict[str, Any] = {"settings": dict(settings), "platform": jax.default_backend()}
        return {**about, "numbers": numbers} if self._strict else about

    def runs(self, settings: Mapping[str, Any], numbers: str) -> ChunkStore:
        """The store of a method whose runs are kept as a whole, each a chunk. Arguments and errors as of `open`."""
        return self._store("runs", self._determined_by(settings, numbers))

    def load(self, structure: Any) -> tuple[Position, list[dict[str, np.ndarray]]] | None:
        """The last position that is whole, and the draws before it, in chunks of any length; None if there is none.

        Args:
            structure: of the state of a lane, a tree definition of JAX.
        """
        pieces = self._whole_draws()
        ends = dict(zip(np.cumsum([len(piece["z"]) for piece in pieces]).tolist(), range(1, len(pieces) + 1), strict=True))
        for n in reversed(self._states.numbers()):
            if n not in ends:
                continue
            try:
                arrays = self._states.read(n)
            except BrokenChunkError as problem:
                self._say(f"{problem}; the one before it serves")
                continue
            if str(arrays["numbers"]) != self._numbers:
                self._say("numbers of the likelihood differ in their last digits from those it was begun with, so may the draws")
            self._saved = n
            self._forget_after(n)
            return _position(arrays, structure), pieces[: ends[n]]
        if self._states.numbers() or pieces:
            self._say("no state of the sampler fits the draws that are there; it begins again, with the same result")
        self._forget_after(0)
        return None

    def _forget_after(self, n: int) -> None:
        for later in self._states.numbers():
            if later > n:
                self._states.remove(later)

    def _whole_draws(self) -> list[dict[str, np.ndarray]]:
        pieces: list[dict[str, np.ndarray]] = []
        at = 0
        while self._draws.has(at):
            try:
                pieces.append(self._draws.read(at))
            except BrokenChunkError as problem:
                self._say(f"{problem}; draws from there on are made again")
                break
            at += len(pieces[-1]["z"])
        return pieces

    def due(self) -> bool:
        """Whether it is time to save."""
        return time.perf_counter() >= self._due

    def save(self, position: Position, new: Callable[[int], Sequence[Outcome]]) -> None:
        """Save a position, and the draws that are not saved yet.

        Args:
            position: where the sampler stands.
            new: chunks of draws from an iteration on, up to the position.
        Raises: OutputError if it cannot be written; what was saved before is still there.
        """
        if position.done <= self._saved:
            return
        began = time.perf_counter()
        fresh = new(self._saved)
        self._draws.write(self._saved, {name: np.concatenate([c[name] for c in fresh]) for name in fresh[0]})
        self._states.write(position.done, {**_arrays(position), "numbers": np.asarray(self._numbers)})
        self._saved = position.done
        for n in self._states.numbers()[:-STATES]:
            self._states.remove(n)
        now = time.perf_counter()
        self.spent_s += now - began
        self._due = now + max(self._least_s, PATIENCE * (now - began))


def _arrays(position: Position) -> dict[str, np.ndarray]:
    numbers = {name: np.asarray(getattr(position, name)) for name in _NUMBERS}
    leaves = {
        f"state.{lane}.{i}": np.asarray(leaf)
        for lane, state in enumerate(position.states)
        for i, leaf in enumerate(jax.tree.leaves(state))
    }
    return {**numbers, "metric": np.asarray(position.metric), "lanes": np.asarray(len(position.states)), **leaves}


_NUMBERS = ("done", "divergences", "leapfrogs", "seconds", "warmup_s")


def _position(arrays: Mapping[str, np.ndarray], structure: Any) -> Position:
    def state(lane: int) -> Any:
        leaves = [jnp.asarray(arrays[f"state.{lane}.{i}"]) for i in range(structure.num_leaves)]
        return jax.tree.unflatten(structure, leaves)

    whole = Position(0, tuple(state(lane) for lane in range(int(arrays["lanes"]))), arrays["metric"])
    return replace(whole, **{name: arrays[name].item() for name in _NUMBERS})
