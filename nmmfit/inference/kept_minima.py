"""Minimisations that are finished, kept on disk: a computation that is made of them goes on where it ended.

Limits, profiles and impacts are sequences of minimisations, each of many points at once, and each following from those before.
Begun again, they ask for the same ones bit by bit, and those that are there are not made again: what is kept is found by
everything that it was asked for, whatever else was done before. Other steps of such a sequence are kept in the same way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from nmmfit.durable import BrokenChunkError, ChunkStore
from nmmfit.durable.arrays import Arrays
from nmmfit.inference.minimise import Minima
from nmmfit.kept import digest

Stores = Callable[[str, Mapping[str, Any]], ChunkStore]
"""Opens a store by its name and what determines its chunks beside run file, program and tables, as `ResumableFolder.store`."""

_OF = "of"
_log = logging.getLogger(__name__)


def store_of_minima(stores: Stores | None) -> ChunkStore | None:
    """The store of a computation's minimisations of the likelihood; None where nothing is kept."""
    # Each says itself what it was asked for.
    return None if stores is None else stores("minima", {})


def kept_or_found(store: ChunkStore | None, asked: Any, settings: Any, find: Callable[[], Minima]) -> Minima:
    """The minima that a store keeps, or newly found and put there.

    Args:
        store: of one objective function; None: nothing is kept.
        asked: tree of arrays, all that is given to the minimiser. `settings`: numbers and texts that matter beside these.
        find: finds them.
    Raises: OutputError if they cannot be written.
    """
    return Minima(**kept_arrays(store, asked, settings, lambda: vars(find())))


def kept_arrays(store: ChunkStore | None, asked: Any, settings: Any, find: Callable[[], Arrays]) -> dict[str, Any]:
    """As `kept_or_found`, for any step whose result is a few arrays, by name."""
    if store is None:
        return dict(find())
    parts: list[bytes | str] = [repr(settings)]
    for leaf in map(np.asarray, jax.tree.leaves(asked)):
        parts += [f"{leaf.dtype} {leaf.shape}", leaf.tobytes()]
    of = digest(parts)
    # A chunk has a number of nine digits; should two agree in it, the later one takes the place of the other.
    number = int(of[:7], 16)
    if store.has(number):
        try:
            arrays = store.read(number)
            if str(arrays.pop(_OF)) == of:
                return dict(arrays)
        except BrokenChunkError as problem:
            _log.warning("%s; it is computed again", problem)
    found = find()
    store.write(number, {**found, _OF: np.asarray(of)})
    return dict(found)
