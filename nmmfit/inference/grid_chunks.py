"""Chunks of a likelihood grid, those that an earlier process finished not solved again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import numpy as np

from nmmfit.durable import ChunkStore, run_chunks
from nmmfit.inference.minimise import Progress
from nmmfit.inference.solution import Cost

_COST = "cost"


def solved_chunks(
    chunk: Callable[[int], Mapping[str, np.ndarray]],
    chunks: int,
    size: int,
    points: int,
    cost: Cost,
    progress: Progress | None = None,
    store: ChunkStore | None = None,
) -> dict[str, np.ndarray]:
    """Arrays of all points of a grid, in order.

    Args:
        chunk: solves a chunk by its number, whatever was solved before: arrays with a leading axis of points.
        chunks, size, points: how many chunks, points of each but the last, and points in all.
        cost: what `chunk` counts in; what chunks of an earlier process have cost is added.
        progress: called with (points done, points in all).
        store: where finished chunks are kept; None: nowhere.
    Raises: OutputError if a chunk cannot be written.
    """
    fresh: set[int] = set()

    def compute(i: int) -> dict[str, np.ndarray]:
        before = cost.copy()
        found = dict(chunk(i))
        fresh.add(i)
        return {**found, _COST: np.asarray(json.dumps(vars(cost.since(before))))}

    def advance(done: int, _: int) -> None:
        if progress is not None and done:
            progress(min(done * size, points), points)

    parts = run_chunks(store, chunks, compute, advance)
    for i, part in enumerate(parts):
        spent = str(part.pop(_COST))
        if i not in fresh:
            cost.add(Cost(**json.loads(spent)))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
