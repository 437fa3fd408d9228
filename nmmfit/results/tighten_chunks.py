"""Stages of `tighten` as chunks on disk: finished ones are not computed again."""

from __future__ import annotations

import json

import numpy as np

from nmmfit.durable import BrokenChunkError, ChunkStore
from nmmfit.inference.intervals import LimitsResult
from nmmfit.inference.tighten import Bounds
from nmmfit.results.jsonable import plain


def as_chunk(found: Bounds) -> dict[str, np.ndarray]:
    """What is kept of a stage."""
    kept = {**vars(found), "limits": found.limits.to_json(), "alone": found.limits.alone}
    return {"stage": np.asarray(json.dumps(plain(kept), allow_nan=False))}


def from_chunk(chunk: dict[str, np.ndarray]) -> Bounds:
    """The stage that was kept."""
    kept = json.loads(str(chunk["stage"]))
    limits = LimitsResult.from_json(kept["limits"], kept["alone"])
    return Bounds(kept["label"], tuple(kept["experiments"]), tuple(kept["added"]), limits)


def finished_stages(store: ChunkStore) -> list[Bounds]:
    """Stages that are kept, from the first on without a gap."""
    made: list[Bounds] = []
    try:
        while store.has(len(made)):
            made.append(from_chunk(store.read(len(made))))
    except BrokenChunkError:
        # It is named when it is computed again.
        pass
    return made
