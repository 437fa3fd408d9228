"""What every sampling method hands to the driver: compiled functions that start a lane of chains and move it on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from nmmfit.inference.coordinates import Coordinates
from nmmfit.inference.data import Counts
from nmmfit.inference.laplace import LaplaceStart
from nmmfit.kept import digest
from nmmfit.kept_programs import kept_program
from nmmfit.memory import hand_back
from nmmfit.processors import processors
from nmmfit.shapes import Array

Outcome = dict[str, Array]
"""What happened in each iteration of a lane: (iteration, chain, ...) arrays, "z" and the sampler's statistics."""


@dataclass(frozen=True)
class Machine:
    """Compiled functions of one configuration of a sampler, for lanes of `lane` chains; each lane may run in its own thread.

    A lane begins with a metric (parameter, parameter), the covariance that its steps are scaled by, and adapts its step size for
    as many iterations as a window of the warm-up has; then the step stays.
    """

    coordinates: Coordinates
    laplace: LaplaceStart
    begin: Callable[[Array, Array, Array, Array, Counts | None], Any]
    """(keys (chain, 2), z (chain, parameter), metric, iterations of the window, data) -> state of a lane at its first window."""
    renew: Callable[[Array, Any, Array, Array], Any]
    """(keys, state, metric, iterations of the window) -> state of a lane at its next window."""
    advance: Callable[[Any], tuple[Any, Outcome]]
    """State of a lane -> its state after `chunk` iterations, and what happened in each of them."""
    to_parameters: Callable[[Array], Array]
    lane: int
    windows: tuple[int, ...]
    """Iterations of each window of the warm-up, multiples of `chunk`."""
    chunk: int
    old_metric_weight: float
    """Weight of the previous metric in the next, in draws."""
    structure: Any
    """Tree definition of the state of a lane."""
    data: Counts | None = None
    """Data in place of what was observed, of a machine that was compiled for them as an argument."""

    @property
    def warmup(self) -> int:
        """Iterations of the whole warm-up."""
        return sum(self.windows)

    def lanes(self, values: Any) -> list[Any]:
        """Values with a leading chain axis, by lane."""
        return [values[first : first + self.lane] for first in range(0, len(values), self.lane)]


def in_lock_step() -> bool:
    """Whether all chains are one batch: on an accelerator."""
    return bool(jax.default_backend() != "cpu")


def devices_of(chains: int) -> tuple[jax.Device, ...]:
    """The devices that chains are shared among: all of this machine, or one where their number does not allow it."""
    devices = tuple(jax.local_devices())
    return devices if chains % len(devices) == 0 else devices[:1]


def begun_on(begin: Callable[..., Any], devices: int, by_chain: int) -> Callable[..., Any]:
    """`Machine.begin` or `renew` of one batch of chains, for a batch on each of so many devices: (device, ...) states.

    The first `by_chain` arguments have a leading axis of chains, which is taken apart; else the second has one of devices. It is
    computed on one device: batches of LAPACK calls on several devices of a CPU can wait for each other for ever.
    """

    def every(keys: Array, given: Any, metric: Array, length: Array, data: None = None) -> Any:
        taken = (keys, given)[:by_chain]
        apart = jax.tree.map(lambda leaf: leaf.reshape(devices, -1, *leaf.shape[1:]), taken)
        return jax.vmap(begin, in_axes=(0, 0, None, None))(*apart, *(keys, given)[by_chain:], metric, length)

    return every


def advanced_on(advance: Callable[[Any], tuple[Any, Outcome]], devices: tuple[jax.Device, ...]) -> Callable[[Any], Any]:
    """`Machine.advance` of one batch of chains, for states (device, ...) of a batch on each device; nothing passes between."""
    mesh, first = Mesh(np.asarray(devices), ("chains",)), PartitionSpec("chains")

    def alone(states: Any) -> Any:
        return jax.tree.map(lambda leaf: leaf[None], advance(jax.tree.map(lambda leaf: leaf[0], states)))

    def every(states: Any) -> Any:
        states, outcome = jax.shard_map(alone, mesh=mesh, in_specs=first, out_specs=first, check_vma=False)(states)
        # (device, iteration, chain, ...) to (iteration, chain, ...)
        joined = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, 1).reshape(leaf.shape[1], -1, *leaf.shape[3:]), outcome)
        return states, joined

    return every


def on_devices(programs: Mapping[str, Callable[..., Any]], devices: tuple[jax.Device, ...]) -> dict[str, Callable[..., Any]]:
    """Compiled programs "begin", "renew" (on the first device) and "advance" (on all), which bring what they get to where they
    run."""
    everywhere = NamedSharding(Mesh(np.asarray(devices), ("chains",)), PartitionSpec("chains"))
    places = {"begin": devices[0], "renew": devices[0], "advance": everywhere}
    return {name: partial(_brought, program, places[name]) for name, program in programs.items()}


def _brought(program: Callable[..., Any], place: Any, *given: Any) -> Any:
    return program(*jax.device_put(given, place))


def parameters_of(coordinates: Coordinates) -> Callable[[Array], Array]:
    """Compiled z (point, parameter) -> parameter vectors (point, parameter)."""
    program: Callable[[Array], Array] = jax.jit(
        lambda zs: jax.lax.map(lambda z: coordinates.to_parameters(z)[0], zs, batch_size=256)
    )
    return program


def program_fingerprint(coordinates: Coordinates, data: Counts | None, *told: object) -> str | None:
    """Of a sampler's programs.

    Args:
        coordinates: that it samples. told: all else that the programs depend on; `repr` must tell them apart.
        data: given where they are an argument of the programs, which are not kept then.
    """
    known = coordinates.fingerprint
    return None if known is None or data is not None else digest([known, repr((jax.default_backend(), *told))])


def named(fingerprint: str | None, name: str) -> str | None:
    """Fingerprint of one of several programs."""
    return None if fingerprint is None else f"{fingerprint} {name}"


def compiled_together(
    functions: Mapping[str, tuple[Callable[..., Any], tuple[Any, ...]]], meanwhile: Callable[[], Any], fingerprint: str | None
) -> tuple[dict[str, Any], Any]:
    """Functions compiled for arguments of the shapes given, and what `meanwhile` returned, side by side where processors allow.

    A compilation keeps two processors busy and takes many hundred MiB, which go back when it is done. `fingerprint`: of all
    functions, see `program_fingerprint`.
    """

    def compiled(name: str, function: Callable[..., Any], given: tuple[Any, ...]) -> Any:
        # All but the steps of a chain are called once in a window.
        program = kept_program(function, given, named(fingerprint, name), once=name != "advance")
        hand_back()
        return program

    with ThreadPoolExecutor(max(1, processors() // 2)) as pool:
        other = pool.submit(meanwhile)
        futures = {name: pool.submit(compiled, name, f, given) for name, (f, given) in functions.items()}
        return {name: future.result() for name, future in futures.items()}, other.result()


def lane_shapes(lane: int, parameters: int) -> tuple[jax.ShapeDtypeStruct, ...]:
    """Shapes of the arguments of `Machine.begin`."""
    return (
        jax.ShapeDtypeStruct((lane, 2), jnp.uint32),
        jax.ShapeDtypeStruct((lane, parameters), jnp.float64),
        jax.ShapeDtypeStruct((parameters, parameters), jnp.float64),
        jax.ShapeDtypeStruct((), jnp.int64),
    )


def pooled_metric(draws: np.ndarray, previous: np.ndarray, weight: float) -> np.ndarray:
    """Covariance of draws (draw, chain, parameter) about their common mean, to which the previous metric adds `weight` draws."""
    flat = draws.reshape(-1, draws.shape[-1])
    new = len(flat) / (len(flat) + weight)
    return new * np.cov(flat, rowvar=False, bias=True) + (1.0 - new) * previous
