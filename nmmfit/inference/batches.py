"""Many points through one compiled program: so many in a call as fit, on all devices of this machine, fewer where memory ends.

On a CPU a call takes a fixed number of points, few enough for its caches. A device that says how much memory it has gets as many
as that holds, by what the compiled program says it needs. Several devices share the points of a call; each point is computed as
on one. A program that uses LAPACK stays on one device where the devices are parts of a CPU: batches of LAPACK calls of two
devices wait for threads of the pool that they share, and can wait for each other for ever.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from types import FunctionType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from nmmfit import precision as precision
from nmmfit.kept import digest
from nmmfit.kept_programs import remembered_program
from nmmfit.processors import processors
from nmmfit.shapes import Array

WIDER = 64
"""How many times as many points a chunk has on an accelerator, which is idle with few."""

SHARE = 0.5
"""Fraction of a device's free memory that a call may take."""

SHARE_BLOCKS = 16
"""Blocks of points that are worth a thread of their own: some milliseconds."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Program:
    """A compiled function of (batch, shared) with its static arguments before them; equal ones share what is compiled.

    `batch`: a tree of arrays with a leading axis of points; `shared`: a tree that all points share. It returns a tree of arrays
    with a leading axis of points, each from its own entry of the batch alone.
    """

    function: Callable[..., Any]
    static: tuple[Any, ...] = ()

    def __call__(self, batch: Any, shared: Any) -> Any:
        return self.function(*self.static, batch, shared)

    @property
    def fingerprint(self) -> str | None:
        """Digest of the function and of its static arguments, None where one of these does not tell on what it depends.

        One of them at least has a fingerprint, which is of the source of nmmfit too.
        """
        told = [_told(part) for part in (self.function, *self.static)]
        known = [part for part in told if part is not None]
        whole = len(known) == len(told) and any(hasattr(part, "fingerprint") for part in self.static)
        return digest(known) if whole else None

    def run(self, batch: Any, shared: Any) -> Any:
        """The same on one device, by a compiled program that is kept between processes where there is a fingerprint."""
        if self.fingerprint is None:
            return self(batch, shared)
        return remembered_program(self, (batch, shared), self.fingerprint)(batch, shared)

    def ready(self, batch: Any, shared: Any) -> None:
        """Compile what `run` will call for arguments of these shapes, or find it, where there is a fingerprint."""
        if self.fingerprint is not None:
            remembered_program(self, (batch, shared), self.fingerprint)


def _told(part: Any) -> str | None:
    """What tells a function of a module, a plain value or an object with a fingerprint from others."""
    if part is None or isinstance(part, (bool, int, float, str)):
        return repr(part)
    if isinstance(part, FunctionType):
        ours = part.__module__.startswith("nmmfit.") and "<" not in part.__qualname__
        return f"{part.__module__}.{part.__qualname__}" if ours else None
    return getattr(part, "fingerprint", None)


def wider(points: int) -> int:
    """Points of a chunk, from those that suit a CPU."""
    return points if jax.default_backend() == "cpu" else WIDER * points


def in_batches(
    program: Program,
    index: np.ndarray,
    take: Callable[[np.ndarray], Any],
    shared: Any,
    put: Callable[[np.ndarray, Any], None],
    block: int,
) -> None:
    """Compute points, a batch at a time; the last one is filled up with points that are computed twice.

    Args:
        program: what computes.
        index: places of the points, (point,).
        take: the batch at some places.
        shared: what all points share.
        put: is given places and the results there, numpy arrays.
        block: points in a call on one device, where nothing is known of its memory.
    Raises: what the program raises; where memory ends even with one point, that.
    """
    if not len(index):
        return
    devices = devices_for(program, take(np.resize(index, block)), shared)
    block = fitting(program, take(np.resize(index, block)), shared, block, -(-len(index) // len(devices)), devices[0])
    # A few points are shared by all devices, and not filled up to whole blocks for one.
    while len(devices) > 1 and (block // 2) * len(devices) >= len(index):
        block //= 2
    first = 0
    while first < len(index):
        size = block * len(devices)
        here = index[first : first + size]
        try:
            run = program.run if len(devices) == 1 else spread(program, devices)
            found = jax.tree.map(np.asarray, run(take(np.resize(here, size)), shared))
        except (MemoryError, jax.errors.JaxRuntimeError) as problem:
            if block == 1 or not is_out_of_memory(problem):
                raise
            block //= 2
            _log.warning("%d points at a time do not fit into memory; going on with %d", size, block * len(devices))
            continue
        kept = slice(len(here))
        put(here, jax.tree.map(lambda leaf, kept=kept: leaf[kept], found))
        first += size


def over_processors(function: Callable[[Array], Any], block: int) -> Callable[[Array], Any]:
    """A compiled function of points (point, ...) that gives large batches to all processors of this process, a thread each.

    XLA runs a program on a CPU in one thread but for its largest matrix products. The function must not call LAPACK, whose
    batches in two threads can wait for each other for ever.

    Args:
        function: returns a tree of arrays with a leading axis of points; may be called inside another trace, too.
        block: points that it has side by side; a share of less than SHARE_BLOCKS of them is not worth a thread.
    """

    def call(points: Array) -> Any:
        here = jax.default_backend() == "cpu" and jax.local_device_count() == 1 and not isinstance(points, jax.core.Tracer)
        shares = min(processors(), len(points) // (SHARE_BLOCKS * block)) if here else 1
        if shares < 2:
            return function(points)
        # Shares of one size, the last overlapping the one before it, so that one program serves all.
        size = -(-len(points) // shares)
        begins = [min(k * size, len(points) - size) for k in range(shares)]
        with ThreadPoolExecutor(shares) as pool:
            parts = list(pool.map(lambda begin: jax.block_until_ready(function(points[begin : begin + size])), begins))
        new = [k * size - begin for k, begin in enumerate(begins)]
        kept = [jax.tree.map(lambda leaf, first=first: leaf[first:], part) for first, part in zip(new, parts, strict=True)]
        return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *kept)

    return call


def is_out_of_memory(problem: Exception) -> bool:
    """Whether memory ended, of this process or of a device."""
    return isinstance(problem, MemoryError) or "RESOURCE_EXHAUSTED" in str(problem)


def devices_for(program: Program, batch: Any, shared: Any) -> tuple[jax.Device, ...]:
    """The devices that a program may be spread over."""
    devices = tuple(jax.local_devices())
    if len(devices) > 1 and devices[0].platform == "cpu" and calls_lapack(program, batch, shared):
        return devices[:1]
    return devices


def calls_lapack(program: Callable[..., Any], *arguments: Any) -> bool:
    """Whether a program calls LAPACK for arguments of these shapes, which is seen from what it is lowered to on a CPU."""
    return "lapack_" in jax.jit(program).lower(*arguments).as_text()


@lru_cache(maxsize=32)
def spread(program: Callable[..., Any], devices: tuple[jax.Device, ...]) -> Callable[..., Any]:
    """The program on several devices: the first argument's leading axis is shared among them, the second goes to all."""
    points, everywhere = PartitionSpec("points"), PartitionSpec()
    mesh = Mesh(np.asarray(devices), ("points",))
    # Nothing passes between devices, which is what the check is about.
    spread_out = jax.shard_map(program, mesh=mesh, in_specs=(points, everywhere), out_specs=points, check_vma=False)
    return jax.jit(spread_out)


def fitting(program: Program, batch: Any, shared: Any, block: int, most: int, device: Any) -> int:
    """Points in a call on one device.

    Args:
        program, batch, shared: as they will be called, with a batch of `block` points.
        block: what suits a device of whose memory nothing is known.
        most: more are not wanted.
        device: that it runs on.
    Returns: `block`, or, where the device says how much memory it has, a power of two times that, at most as many as fit into a
        share of what is free by the needs of the compiled program, and as are wanted.
    """
    known = device.memory_stats() or {}
    if "bytes_limit" not in known:
        return block
    needs = bytes_needed(program, batch, shared)
    free = SHARE * (known["bytes_limit"] - known.get("bytes_in_use", 0))
    while 2 * block * needs / len(jax.tree.leaves(batch)[0]) <= free and block < most:
        block *= 2
    return block


def bytes_needed(program: Program, batch: Any, shared: Any) -> int:
    """Bytes that a compiled program needs for arguments of these shapes: arguments, results and all that is in between."""
    found: Any = jax.jit(program).lower(batch, shared).compile().memory_analysis()
    return int(found.temp_size_in_bytes + found.argument_size_in_bytes + found.output_size_in_bytes)
