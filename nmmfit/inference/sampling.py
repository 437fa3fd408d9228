"""Sampling the joint posterior: compiled kernels in windows of warm-up, then draws, and what they mean."""

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

from nmmfit.errors import UserInputError
from nmmfit.inference import ensemble, nuts
from nmmfit.inference.coordinates import amplitude_coordinates, natural_coordinates
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.machine import Machine, pooled_metric
from nmmfit.inference.result import SampleResult
from nmmfit.inference.settings import SamplerSettings
from nmmfit.inference.symmetries import folded, sign_symmetries, symmetrised
from nmmfit.memory import hand_back
from nmmfit.precision import require_double_precision
from nmmfit.processors import processors

_METHODS: dict[str, Any] = {"nuts": nuts, "ensemble": ensemble}


@dataclass(frozen=True)
class Progress:
    """Where a sampler stands; handed to the `progress` callback after every compiled call."""

    done: int
    total: int
    warmup: int
    divergences: int
    leapfrogs: int
    seconds: float


def _machine(joint: JointLikelihood, settings: SamplerSettings) -> Machine:
    method = _METHODS[settings.method]
    size = method.lane_size(settings.chains), method.warmup_windows(settings.warmup)
    key = (settings.method, *size, settings.target_accept, settings.max_tree_depth, settings.coordinates)
    if key not in joint.compiled:
        make = amplitude_coordinates if settings.coordinates == "amplitudes" else natural_coordinates
        coordinates = make(joint)
        # Compiling takes more memory than anything else.
        hand_back()
        joint.compiled[key] = method.compiled_machine(coordinates, settings)
    machine: Machine = joint.compiled[key]
    return machine


def sample(
    joint: JointLikelihood,
    settings: SamplerSettings | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> SampleResult:
    """Sample the joint posterior, with NUTS or ensemble HMC.

    Args:
        joint: the joint likelihood.
        settings: method, chains, warm-up, draws, seed, coordinates.
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
    warmup, windows = machine.warmup, dict(zip(itertools.accumulate((0, *machine.windows)), machine.windows, strict=False))
    total = warmup + settings.draws
    keys = jax.random.split(jax.random.PRNGKey(settings.seed), len(windows) * settings.chains)
    keys_of = dict(zip(windows, keys.reshape(len(windows), settings.chains, -1), strict=True))
    z, metric = jnp.asarray(machine.laplace.scattered(settings.chains, settings.seed)), machine.laplace.covariance
    kept: list[dict[str, np.ndarray]] = []
    warmup_s, interrupted, divergences, leapfrogs, last = 0.0, False, 0, 0, 0
    states: list[Any] = []
    try:
        with ThreadPoolExecutor(min(settings.chains, processors())) as pool:
            for first in range(0, total, machine.chunk):
                if first in windows:
                    if first:
                        recent = np.concatenate([c["z"] for c in kept[-(last // machine.chunk) :]])
                        metric = pooled_metric(recent[len(recent) // 2 :], metric, machine.old_metric_weight)
                    last = windows[first]
                    lanes = machine.lanes(keys_of[first]), states or machine.lanes(z)
                    window = itertools.repeat(jnp.asarray(metric)), itertools.repeat(jnp.asarray(last))
                    states = list(pool.map(machine.renew if first else machine.begin, *lanes, *window))
                advanced = list(pool.map(machine.advance, states))
                states = [state for state, _ in advanced]
                chunk = {name: np.concatenate([out[name] for _, out in advanced], axis=1) for name in advanced[0][1]}
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
    machine: Machine,
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
        warmup=machine.warmup,
        draws_per_chain=z.shape[1],
        wall_s=wall_s,
        warmup_s=warmup_s,
        interrupted=interrupted,
        symmetries=tuple(str(s) for s in symmetries),
        units={p.name: p.unit for p in joint.parameters},
        labels={q.name: q.label for q in joint.identified},
        prior_sd={p.name: p.prior_sd for p in joint.parameters},
        coefficients=tuple(p.name for p in joint.own),
    )
