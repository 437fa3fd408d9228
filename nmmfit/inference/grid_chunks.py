"""Chunks of a likelihood grid, those that an earlier process finished not solved again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmmfit.durable import ChunkStore, Engine, run_chunks
from nmmfit.inference.minimise import Progress
from nmmfit.inference.solution import Cost

_COST = "cost"


@dataclass(frozen=True)
class Chunk:
    """Solves a chunk by its number, in this process or in another: arrays with a leading axis of points, and what it cost."""

    solve: Callable[[int], tuple[Any, Cost]]
    """Number -> (solution, cost), whatever was solved before."""

    def __call__(self, number: int) -> dict[str, np.ndarray]:
        solution, cost = self.solve(number)
        return {**vars(solution), _COST: np.asarray(json.dumps(vars(cost)))}


def solved_chunks(
    solve: Callable[[int], tuple[Any, Cost]],
    chunks: int,
    size: int,
    points: int,
    cost: Cost,
    progress: Progress | None = None,
    store: ChunkStore | None = None,
    engine: Engine | None = None,
) -> dict[str, np.ndarray]:
    """Arrays of all points of a grid, in order.

    Args:
        solve: solves a chunk by its number, whatever was solved before; an engine of several processes pickles it.
        chunks, size, points: how many chunks, points of each but the last, and points in all.
        cost: to which that of all chunks is added, wherever they were solved.
        progress: called with (points done, points in all).
        store: where finished chunks are kept; None: nowhere.
        engine: computes several at once, as for `run_chunks`.
    Raises: OutputError if a chunk cannot be written.
    """

    def advance(done: int, _: int) -> None:
        if progress is not None and done:
            progress(min(done * size, points), points)

    parts = run_chunks(store, chunks, Chunk(solve), advance, engine)
    for part in parts:
        cost.add(Cost(**json.loads(str(part.pop(_COST)))))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
