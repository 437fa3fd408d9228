"""Sampling the joint posterior: numpyro's NUTS kernel, driven in one cached compiled scan."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.infer import NUTS

from nmmfit.checks import finite_number, whole_number
from nmmfit.errors import UserInputError, unknown
from nmmfit.inference.coordinates import Coordinates, amplitude_coordinates, natural_coordinates
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.laplace import LaplaceStart, laplace_start
from nmmfit.inference.result import SampleResult
from nmmfit.inference.symmetries import folded, sign_symmetries, symmetrised
from nmmfit.precision import require_double_precision
from nmmfit.processors import processors
from nmmfit.shapes import Array

# Iterations per compiled call: long enough that its overhead does not show, short enough for a live progress bar and a
# quick Ctrl-C.
CHUNKS = (50, 5)
# Warm-up is cut into windows; after each the metric becomes the pooled covariance of its second half.
WINDOWS = 4
# Weight of the previous metric in the next, in draws.
_OLD_METRIC_WEIGHT = 20.0


@dataclass(frozen=True)
class SamplerSettings:
    """How to sample: `chains` with one metric from all of them and a step size each.

    `warmup` is rounded up to a multiple of 20.
    """

    chains: int = 4
    warmup: int = 1000
    draws: int = 1000
    seed: int = 1
    target_accept: float = 0.9
    max_tree_depth: int = 10
    coordinates: str = "amplitudes"

    def __post_init__(self) -> None:
        for name, least, most in (
            ("chains", 1, 4096),
            ("warmup", 1, None),
            ("draws", 1, None),
            ("max_tree_depth", 1, 15),
            ("seed", 0, 2**32 - 1),
        ):
            whole_number(getattr(self, name), f"sampler.{name}", least, most)
        if not 0.0 < finite_number(self.target_accept, "sampler.target_accept") < 1.0:
            raise UserInputError(f"sampler.target_accept: {self.target_accept} is not between 0 and 1")
        if self.coordinates not in ("amplitudes", "natural"):
            raise unknown("coordinates", self.coordinates, ("amplitudes", "natural"), "sampler.coordinates")


@dataclass(frozen=True)
class Progress:
    """Where a sampler stands; handed to the `progress` callback after every compiled call."""

    done: int
    total: int
    warmup: int
    divergences: int
    leapfrogs: int
    seconds: float


@dataclass(frozen=True)
class _Machine:
    """Compiled functions of one sampler configuration.

    Chains come in lanes: on a CPU every chain is a lane of its own, run in a thread of its own, because a tree is as long as it
    is and a vectorised gradient is no cheaper than its parts; on an accelerator all chains are one lane and go in lock-step.
    """

    coordinates: Coordinates
    laplace: LaplaceStart
    start: Callable[[Array, Array, Array], Any]
    """(key, z, metric (parameter, parameter)) -> state of a lane at the beginning of a window."""
    advance: Callable[[Any], tuple[Any, dict[str, Array]]]
    """State of a lane -> its state after `chunk` iterations, and what happened in each of them: (iteration, ...) arrays, with
    a chain axis after the first where lanes have several chains."""
    to_parameters: Callable[[Array], Array]
    window: int
    chunk: int
    lock_step: bool

    def lanes(self, values: Any) -> list[Any]:
        """Values with a leading chain axis, by lane."""
        return [values] if self.lock_step else list(values)

    def by_chain(self, lanes: list[Any], axis: int) -> np.ndarray:
        """Arrays of all lanes as one, with the chains on `axis`."""
        return np.asarray(lanes[0]) if self.lock_step else np.stack([np.asarray(lane) for lane in lanes], axis=axis)


def _in_lock_step() -> bool:
    """Whether all chains are one batch: on an accelerator."""
    return bool(jax.default_backend() != "cpu")


def _machine(joint: JointLikelihood, settings: SamplerSettings) -> _Machine:
    window = -(-settings.warmup // (WINDOWS * CHUNKS[-1])) * CHUNKS[-1]
    chunk = next(c for c in CHUNKS if window % c == 0)
    lock_step = _in_lock_step()
    chains = settings.chains if lock_step else 1
    key = ("nuts", chains, window, settings.target_accept, settings.max_tree_depth, settings.coordinates, lock_step)
    if key in joint.compiled:
        return joint.compiled[key]
    make = amplitude_coordinates if settings.coordinates == "amplitudes" else natural_coordinates
    coordinates = make(joint)
    # The kernel differentiates it in several places; compiled on its own it is traced once for all of them.
    potential = jax.jit(lambda z: -coordinates.log_density(z))

    def kernel(metric: Array | None = None) -> NUTS:
        return NUTS(
            potential_fn=potential,
            inverse_mass_matrix=metric,
            dense_mass=True,
            adapt_mass_matrix=False,
            target_accept_prob=settings.target_accept,
            max_tree_depth=settings.max_tree_depth,
        )

    def start(key: Array, z: Array, metric: Array) -> Any:
        return kernel(metric).init(key, window, z)

    def advance(state: Any) -> tuple[Any, dict[str, Array]]:
        nuts = kernel()
        # `init` gives the kernel the functions that `sample` needs; its state is not used.
        nuts.init(state.rng_key, window, state.z)

        def step(state: Any, _: None) -> tuple[Any, dict[str, Array]]:
            state = nuts.sample(state, (), {})
            return state, {
                "z": state.z,
                "lp": -state.potential_energy,
                "energy": state.energy,
                "num_steps": state.num_steps,
                "accept_prob": state.accept_prob,
                "diverging": state.diverging,
                "step_size": state.adapt_state.step_size,
            }

        return jax.lax.scan(step, state, None, length=chunk)

    if lock_step:
        start, advance = jax.vmap(start, in_axes=(0, 0, None)), jax.vmap(advance, out_axes=(0, 1))
    lane = (settings.chains,) if lock_step else ()
    n = len(joint.names)
    given = (_shape(lane, (2,), jnp.uint32), _shape(lane, (n,)), _shape((), (n, n)))
    # Two programs that know nothing of each other are compiled side by side; the start is found meanwhile.
    with ThreadPoolExecutor(2) as pool:
        starting = pool.submit(jax.jit(start).lower(*given).compile)
        advancing = pool.submit(jax.jit(advance).lower(jax.eval_shape(start, *given)).compile)
        laplace = laplace_start(coordinates)
    machine = _Machine(
        coordinates,
        laplace,
        starting.result(),
        advancing.result(),
        jax.jit(lambda zs: jax.lax.map(lambda z: coordinates.to_parameters(z)[0], zs, batch_size=256)),
        window,
        chunk,
        lock_step,
    )
    joint.compiled[key] = machine
    return machine


def _shape(lane: tuple[int, ...], shape: tuple[int, ...], dtype: Any = jnp.float64) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((*lane, *shape), dtype)


def pooled_metric(draws: np.ndarray, previous: np.ndarray) -> np.ndarray:
    """Covariance of draws (draw, chain, parameter) about their common mean, shrunk a little towards the previous metric."""
    flat = draws.reshape(-1, draws.shape[-1])
    weight = len(flat) / (len(flat) + _OLD_METRIC_WEIGHT)
    return weight * np.cov(flat, rowvar=False, bias=True) + (1.0 - weight) * previous


def sample(
    joint: JointLikelihood,
    settings: SamplerSettings | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> SampleResult:
    """Sample the joint posterior with NUTS.

    Args:
        joint: the joint likelihood.
        settings: chains, warm-up, draws, seed, coordinates.
        progress: called after every compiled call; raising KeyboardInterrupt (Ctrl-C) stops and keeps what was drawn.
    Returns: draws (signs symmetrised), folded draws for diagnostics, identified quantities, sampler statistics. A second call
        with the same settings compiles nothing.
    Raises: KeyboardInterrupt if interrupted before the first draw after warm-up.
    """
    require_double_precision()
    if not isinstance(joint, JointLikelihood):
        raise UserInputError(f"sample: expected a JointLikelihood, got {type(joint).__name__}; call run.joint()")
    settings = settings or SamplerSettings()
    if not isinstance(settings, SamplerSettings):
        raise UserInputError(f"sample: settings: expected SamplerSettings, got {type(settings).__name__}")
    if not joint.names:
        raise UserInputError("sample: nothing to sample: every parameter, theory input and nuisance is held fixed")
    began = time.perf_counter()
    machine = _machine(joint, settings)
    warmup = WINDOWS * machine.window
    total = warmup + settings.draws
    keys = jax.random.split(jax.random.PRNGKey(settings.seed), WINDOWS * settings.chains).reshape(WINDOWS, settings.chains, -1)
    z, metric = jnp.asarray(machine.laplace.scattered(settings.chains, settings.seed)), machine.laplace.covariance
    kept: list[dict[str, np.ndarray]] = []
    warmup_s, interrupted, divergences, leapfrogs = 0.0, False, 0, 0
    states: list[Any] = []
    try:
        with ThreadPoolExecutor(min(settings.chains, processors())) as pool:
            for first in range(0, total, machine.chunk):
                if first < warmup and first % machine.window == 0:
                    if first:
                        recent = np.concatenate([c["z"] for c in kept[-(machine.window // machine.chunk) :]])
                        metric = pooled_metric(recent[len(recent) // 2 :], metric)
                        z = jnp.asarray(machine.by_chain([s.z for s in states], axis=0))
                    lanes = machine.lanes(keys[first // machine.window]), machine.lanes(z)
                    states = list(pool.map(machine.start, *lanes, itertools.repeat(jnp.asarray(metric))))
                advanced = list(pool.map(machine.advance, states))
                states = [state for state, _ in advanced]
                chunk = {name: machine.by_chain([out[name] for _, out in advanced], axis=1) for name in advanced[0][1]}
                kept.append(chunk)
                done = min(first + machine.chunk, total)
                leapfrogs += int(chunk["num_steps"].sum())
                if first >= warmup:
                    divergences += int(chunk["diverging"][: done - first].sum())
                if done == warmup:
                    warmup_s = time.perf_counter() - began
                if progress is not None:
                    progress(Progress(done, total, warmup, divergences, leapfrogs, time.perf_counter() - began))
    except KeyboardInterrupt:
        if len(kept) * machine.chunk <= warmup:
            raise
        interrupted = True
    stacked = {name: np.concatenate([c[name] for c in kept])[warmup:total] for name in kept[0]}
    return _result(joint, settings, machine, stacked, time.perf_counter() - began, warmup_s, interrupted)


def _result(
    joint: JointLikelihood,
    settings: SamplerSettings,
    machine: _Machine,
    stacked: dict[str, np.ndarray],
    wall_s: float,
    warmup_s: float,
    interrupted: bool,
) -> SampleResult:
    z = np.swapaxes(stacked.pop("z"), 0, 1)
    x = np.asarray(machine.to_parameters(jnp.asarray(z.reshape(-1, z.shape[-1])))).reshape(z.shape)
    symmetries = sign_symmetries(joint)
    fold, spread = folded(x, symmetries), symmetrised(x, symmetries, settings.seed)
    identified = joint.identified_values(joint.unpack(jnp.asarray(spread)))
    names = joint.names
    reversed_names = {name for s in symmetries for name in s.names}
    return SampleResult(
        draws={name: spread[..., i] for i, name in enumerate(names)},
        folded={name: fold[..., i] for i, name in enumerate(names) if name in reversed_names},
        identified={name: np.asarray(values) for name, values in identified.items()},
        identified_units={q.name: q.unit for q in joint.identified},
        sample_stats={name: np.swapaxes(values, 0, 1) for name, values in stacked.items()},
        seed=settings.seed,
        chains=settings.chains,
        warmup=WINDOWS * machine.window,
        draws_per_chain=z.shape[1],
        wall_s=wall_s,
        warmup_s=warmup_s,
        interrupted=interrupted,
        symmetries=tuple(str(s) for s in symmetries),
        units={p.name: p.unit for p in joint.parameters},
        labels={q.name: q.label for q in joint.identified},
        prior_sd={p.name: p.prior_sd for p in joint.parameters},
        coefficients=tuple(p.name for p in joint.of_kind("coefficient")),
    )
