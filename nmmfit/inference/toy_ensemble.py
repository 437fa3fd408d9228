"""Ensembles of toys: drawn at one point, fitted freely and with one quantity held at tested values, chunk by chunk.

The statistic is q(v) = 2 [min L at target = v, minus min L], every other coefficient, theory input and nuisance profiled in every
toy, L minus the log likelihood with constraints. Data fluctuate, and so do the centres of normal constraints.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.durable import ChunkStore, Engine, run_chunks
from nmmfit.inference.batches import wider
from nmmfit.inference.core_fits import CoreFits
from nmmfit.inference.kept_minima import Stores
from nmmfit.inference.minimise import Progress
from nmmfit.inference.space import Target
from nmmfit.inference.toy_fits import Data, ToyLikelihood, lower
from nmmfit.kept import digest

CHUNK = 256
"""Toys in one chunk, on a CPU."""

NESTED = 1e-4
"""By how much a fit with something held may be lower than the free one, which is then fitted again from there."""

EQUAL = 1e-4
"""Values of q that are equal to the precision of the fits."""


@dataclass(frozen=True)
class Toys:
    """What came of an ensemble.

    Attributes:
        q: statistic (test, toy) at every tested value. `best`: tested quantity at the free fit, (test, toy).
        converged: whether both fits did, (test, toy).
    """

    q: np.ndarray
    best: np.ndarray
    converged: np.ndarray

    @property
    def failed(self) -> int:
        """Toys of which some fit did not converge."""
        return int(np.sum(~np.all(self.converged, axis=0)))

    def good(self, test: int = 0) -> np.ndarray:
        """q of the toys whose fits converged, (toy,)."""
        return np.asarray(self.q[test][self.converged[test]])


@dataclass(frozen=True)
class Ensemble:
    """Toys drawn at one vector `z` (n,), and the values at which quantities are tested in each.

    The toy of an index is the same whatever else is in the ensemble: `chunk` is a pure function of its number.
    """

    likelihood: ToyLikelihood
    z: np.ndarray
    tests: tuple[tuple[Target, float], ...]
    toys: int
    seed: int = 0
    chunk_size: int = field(default_factory=lambda: wider(CHUNK))

    def __getstate__(self) -> dict[str, Any]:
        """What travels to another process: all but the fits, which are made there."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return -(-self.toys // self.chunk_size)

    @property
    def determined_by(self) -> dict[str, Any]:
        """What its toys and their fits depend on beside the likelihood, as JSON values."""
        tests = [[target.name, target.weights.tolist(), float(value)] for target, value in self.tests]
        made = {"toys": self.toys, "seed": self.seed, "chunk": self.chunk_size}
        return {"z": np.asarray(self.z, dtype=float).tolist(), "tests": tests, **made}

    def kept_in(self, stores: Stores) -> ChunkStore:
        """Its store, of a name of its own."""
        known = self.determined_by
        return stores(f"toys-{digest([json.dumps(known, sort_keys=True)])[:16]}", known)

    def data(self, first: int, last: int) -> Data:
        """The toys of indices first to last - 1."""
        # Whole chunks, so that one program serves any number of toys.
        size = CHUNK * -(-(last - first) // CHUNK)
        drawn = self.likelihood.draw(self.z, toy_keys(jnp.asarray(self.seed), jnp.arange(first, first + size)))
        return drawn.take(np.arange(last - first))

    @cached_property
    def fits(self) -> CoreFits:
        """What fits the toys."""
        return CoreFits(self.likelihood, self.z, self.seed)

    def chunk(self, number: int) -> dict[str, np.ndarray]:
        """Arrays "q", "best" and "converged", (test, toy), of one chunk."""
        first = number * self.chunk_size
        size = min(self.chunk_size, self.toys - first)
        data = self.data(first, first + size)
        fits = self.fits
        free = fits.fit(data)
        held = [fits.fit(data, target, at, hint=free.z[:, None]) for target, at in self.tests]
        for one in held:
            # The free fit cannot be higher: it was caught in another well.
            caught = np.flatnonzero(one.converged & ~(free.value <= one.value + NESTED))
            if len(caught):
                again = fits.fit(data.take(caught), start=one.z[caught])
                better = lower(free.take(caught), again)
                for mine, theirs in zip(free, better, strict=True):
                    mine[caught] = theirs
        q = np.stack([2.0 * (one.value - free.value) for one in held])
        converged = np.stack([one.converged & free.converged for one in held])
        converged &= np.isfinite(q) & (q > -2.0 * NESTED)
        best = np.stack([_values_of(self.likelihood, target, free.z) for target, _ in self.tests])
        return {"q": np.maximum(q, 0.0), "best": best, "converged": converged}


@partial(jax.jit)
def toy_keys(seed: jax.Array, index: jax.Array) -> jax.Array:
    """One key per toy, from its index."""
    return jax.vmap(partial(jax.random.fold_in, jax.random.PRNGKey(seed)))(index)


@partial(jax.jit, static_argnums=0)
def _quantities(likelihood: ToyLikelihood, z: jax.Array) -> jax.Array:
    return jax.lax.map(lambda y: jnp.concatenate([y, likelihood.space.quantities(y)]), z)


def _values_of(likelihood: ToyLikelihood, target: Target, z: np.ndarray) -> np.ndarray:
    """A target at vectors (toy, n)."""
    filled = np.resize(np.arange(len(z)), CHUNK * -(-len(z) // CHUNK))
    return np.asarray(_quantities(likelihood, jnp.asarray(z[filled])))[: len(z)] @ target.weights


def all_chunks(
    ensemble: Ensemble, told: Callable[[int], None], store: ChunkStore | None = None, engine: Engine | None = None
) -> list[dict[str, np.ndarray]]:
    """All chunks, in order, those in the store not made again; `told` learns how many toys are done.

    By an engine or one by one, but not in threads: LAPACK calls on batches wait for threads of the pool in which they run, and
    two programs at once can then wait for each other for ever. The calls themselves use all processors.
    """

    def advance(done: int, _: int) -> None:
        if done:
            told(min(done * ensemble.chunk_size, ensemble.toys))

    return run_chunks(store, ensemble.chunks, ensemble.chunk, advance, engine)


def run(
    ensemble: Ensemble,
    progress: Progress | None = None,
    before: int = 0,
    total: int | None = None,
    stores: Stores | None = None,
    engine: Engine | None = None,
) -> Toys:
    """All toys of an ensemble.

    Args:
        ensemble: what to make.
        progress: called with (toys done, toys in all); `before` and `total` count those of other ensembles, too.
        stores: where finished chunks are kept; None: nowhere.
        engine: makes several chunks at once; None: one after another.
    Raises: OutputError if a chunk cannot be written.
    """
    whole = ensemble.toys if total is None else total

    def told(done: int) -> None:
        if progress is not None:
            progress(before + done, whole)

    chunks = all_chunks(ensemble, told, None if stores is None else ensemble.kept_in(stores), engine)
    return Toys(*(np.concatenate([chunk[name] for chunk in chunks], axis=1) for name in ("q", "best", "converged")))


def fraction(count: int, number: int) -> tuple[float, float]:
    """k / n and its binomial error, by Laplace's rule at the ends, where the plain one would be zero; nan of nothing."""
    if not number:
        return float("nan"), float("nan")
    share = count / number
    safe = (count + 1.0) / (number + 2.0)
    return share, float(np.sqrt(max(share * (1.0 - share), safe * (1.0 - safe) if count in (0, number) else 0.0) / number))


def p_value(values: np.ndarray, observed: float) -> tuple[float, float]:
    """Fraction of toys with at least as large a value, the data counted as one, and its statistical error."""
    number = len(values)
    p = (1.0 + float(np.sum(values >= observed - EQUAL))) / (1.0 + number)
    return p, float(np.sqrt(p * (1.0 - p) / max(number, 1)))


def critical(values: np.ndarray, cl: float) -> tuple[float, float]:
    """The smallest value that a fraction `cl` of the toys does not exceed, and its statistical error from order statistics."""
    ordered = np.sort(values)
    number = len(ordered)
    if not number:
        return float("nan"), float("nan")

    def ranked(rank: float) -> float:
        return float(ordered[int(np.clip(np.ceil(rank - 1e-9) - 1, 0, number - 1))])

    spread = np.sqrt(number * cl * (1.0 - cl))
    return ranked(number * cl), 0.5 * (ranked(number * cl + spread) - ranked(number * cl - spread))
