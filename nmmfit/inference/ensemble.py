"""Ensemble HMC: many chains in lock-step, one batched gradient per leapfrog step.

All chains of a lane take the same number of steps of the same size, so that a step is one evaluation of a batch: a point of it
costs a fraction of a point alone. Lengths follow a low-discrepancy sequence about a mean that suits a whitened posterior, since
a trajectory of one fixed length returns to where it began in some directions. Momenta have unit width in the coordinates in
which the metric is the identity. The step size is adapted to the acceptance averaged over the lane.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from numpyro.infer.hmc_util import dual_averaging

from nmmfit.inference.coordinates import Coordinates
from nmmfit.inference.data import Counts
from nmmfit.inference.laplace import laplace_start
from nmmfit.inference.machine import (
    Machine,
    Outcome,
    advanced_on,
    begun_on,
    compiled_together,
    devices_of,
    in_lock_step,
    lane_shapes,
    named,
    on_devices,
    parameters_of,
    program_fingerprint,
)
from nmmfit.inference.settings import SamplerSettings
from nmmfit.kept_programs import results_of
from nmmfit.shapes import Array

# Iterations per compiled call, and the least that the warm-up consists of: short enough for a progress bar and a quick Ctrl-C.
CHUNK = 20
# Chains of a lane: as many as make a batch cheap, so few that several processors have something to do.
LANE = 16
# Mean length of a trajectory in units of the posterior's width, and the fraction of it by which lengths vary to either side.
LENGTH, SPREAD = 2.2, 0.9
# Most steps of a trajectory in warm-up, while a metric that does not fit yet asks for short ones.
WARMUP_STEPS = 10
# Step size of the second iteration; the first takes none.
FIRST_STEP = 0.15
# Acceptance averaged over a lane is no noisy signal, and one far off asks for a small correction: dual averaging at numpyro's
# own pace (0.05) would shorten the step a hundredfold within a few iterations and need a window to come back.
PACE = 0.4
# Weight of the previous metric in the next, in draws per parameter.
OLD_METRIC_WEIGHT = 2.0
# An error of the energy of this size is a divergence, as in numpyro.
DIVERGENCE = 1000.0
_GOLDEN = 0.6180339887498949

_start_averaging, _average = dual_averaging(gamma=PACE)


class State(NamedTuple):
    """A lane of chains; (chain, ...) arrays, and numbers of the whole lane."""

    key: Array
    z: Array
    potential: Array
    """(chain,) minus log density at z; infinite before the first iteration, which evaluates it."""
    gradient: Array
    """(chain, parameter) of the potential at z."""
    factor: Array
    """(parameter, parameter) Cholesky factor of the metric."""
    step_size: Array
    averaging: Any
    """Dual averaging of the logarithm of the step size."""
    adapting: Array
    """Iterations for which the step size is still adapted."""
    done: Array
    """Iterations since the window began."""
    data: Counts | None = None
    """Data in place of what was observed, the same for the whole lane."""


def warmup_windows(warmup: int) -> tuple[int, ...]:
    """Iterations of each window of a warm-up, rounded up: each twice as long as the one before, the last what is left.

    Many chains know their covariance after few iterations. What is learned from the last window is the step size alone, so that
    it may be short.
    """
    left, size = -(-warmup // CHUNK) * CHUNK, CHUNK
    windows = []
    while 2 * (left - size) >= size:
        windows.append(size)
        left, size = left - size, 2 * size
    return (*windows, left)


def begin(keys: Array, z: Array, metric: Array, length: Array, data: Counts | None = None) -> State:
    """State of a lane at its first window; see `Machine.begin`.

    Nothing is evaluated here, so that the density is compiled once only: the first iteration takes a step of length zero.
    """
    averaging = _start_averaging(jnp.log(FIRST_STEP))
    nowhere, factor, none = jnp.full(z.shape[0], jnp.inf), jnp.linalg.cholesky(metric), jnp.zeros_like(length)
    return State(keys[0], z, nowhere, jnp.zeros_like(z), factor, jnp.asarray(0.0), averaging, length, none, data)


def renew(keys: Array, state: State, metric: Array, length: Array) -> State:
    """State of a lane at its next window; see `Machine.renew`."""
    return state._replace(
        key=keys[0],
        factor=jnp.linalg.cholesky(metric),
        averaging=_start_averaging(jnp.log(state.step_size)),
        adapting=length,
        done=jnp.zeros_like(length),
    )


def lane_size(chains: int) -> int:
    """Chains of a lane: 16 on a CPU if their number allows it; on an accelerator, on several devices, or otherwise, all."""
    together = in_lock_step() or len(devices_of(chains)) > 1
    return LANE if chains % LANE == 0 and not together else chains


def compiled_machine(coordinates: Coordinates, settings: SamplerSettings, data: Counts | None = None) -> Machine:
    """Compile ensemble HMC; for data as an argument if some of their shape are given."""
    lane = lane_size(settings.chains)
    most_steps = 2**settings.max_tree_depth - 1
    # One gradient a step: its value is there too when the trajectory ends, for less than one more evaluation would cost.
    potential_and_gradient = jax.vmap(jax.value_and_grad(lambda z, d: -coordinates.log_density(z, d)), in_axes=(0, None))

    def iterate(state: State, _: None) -> tuple[State, Outcome]:
        key, for_momentum, for_choice = jax.random.split(state.key, 3)
        step, factor = state.step_size, state.factor
        share = jnp.mod((state.done + 1) * _GOLDEN, 1.0)
        length = LENGTH * (1.0 + SPREAD * (2.0 * share - 1.0))
        most = jnp.where(state.adapting > 0, min(WARMUP_STEPS, most_steps), most_steps)
        steps = jnp.where(step > 0.0, jnp.clip(jnp.round(length / jnp.maximum(step, 1e-9)), 1, most), 1).astype(int)
        start = jax.random.normal(for_momentum, state.z.shape)

        def leapfrog(_: Array, at: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
            z, momentum, _, gradient = at
            momentum = momentum - 0.5 * step * (gradient @ factor)
            z = z + step * (momentum @ factor.T)
            potential, gradient = potential_and_gradient(z, state.data)
            return z, momentum - 0.5 * step * (gradient @ factor), potential, gradient

        trajectory = (state.z, start, state.potential, state.gradient)
        z, end, potential, gradient = jax.lax.fori_loop(0, steps, leapfrog, trajectory)
        before = state.potential + 0.5 * jnp.sum(start**2, axis=1)
        after = potential + 0.5 * jnp.sum(end**2, axis=1)
        error = jnp.where(jnp.isnan(after - before), jnp.inf, after - before)
        accept = jnp.minimum(1.0, jnp.exp(-error))
        moved = jax.random.uniform(for_choice, accept.shape) < accept

        adapting = state.adapting > 0
        adapted = _average(settings.target_accept - jnp.mean(accept), state.averaging)
        averaging = jax.tree.map(lambda new, old: jnp.where(adapting, new, old), adapted, state.averaging)
        # The last iteration of a window leaves the average behind, which then stays.
        log_step = jnp.where(state.adapting > 1, averaging[0], averaging[1])
        state = State(
            key,
            jnp.where(moved[:, None], z, state.z),
            jnp.where(moved, potential, state.potential),
            jnp.where(moved[:, None], gradient, state.gradient),
            factor,
            jnp.exp(log_step),
            averaging,
            jnp.maximum(state.adapting - 1, 0),
            state.done + 1,
            state.data,
        )
        return state, {
            "z": state.z,
            "lp": -state.potential,
            "energy": jnp.where(moved, after, before),
            "num_steps": jnp.broadcast_to(steps, accept.shape),
            "accept_prob": accept,
            "diverging": error > DIVERGENCE,
            "step_size": jnp.broadcast_to(step, accept.shape),
        }

    def advance(state: State) -> tuple[State, Outcome]:
        return jax.lax.scan(iterate, state, None, length=CHUNK)

    keys, z, metric, length = lane_shapes(lane, len(coordinates.loc))
    # Simulations share devices as they are, one after another: their chains stay together.
    devices = devices_of(lane) if data is None else devices_of(lane)[:1]
    first: Callable[..., Any] = begin
    on: Callable[..., Any] = advance
    again: Callable[..., Any] = renew
    if len(devices) > 1:
        # Every device has a lane of its own; together they are one for the driver.
        first, again = begun_on(begin, len(devices), 2), begun_on(renew, len(devices), 1)
        on = advanced_on(advance, devices)
    given = (keys, z, metric, length, data)
    told = "ensemble", most_steps, settings.target_accept
    fingerprint = program_fingerprint(coordinates, data, *told) if len(devices) == 1 else None
    shape = results_of(first, given, named(fingerprint, "begin"))
    programs, laplace = compiled_together(
        {
            "advance": (on, (shape,)),
            "begin": (first, given),
            "renew": (again, (keys, shape, metric, length)),
        },
        lambda: laplace_start(coordinates),
        fingerprint,
    )
    if len(devices) > 1:
        programs = on_devices(programs, devices)
    return Machine(
        coordinates,
        laplace,
        programs["begin"],
        programs["renew"],
        programs["advance"],
        parameters_of(coordinates),
        lane,
        warmup_windows(settings.warmup),
        CHUNK,
        OLD_METRIC_WEIGHT * len(coordinates.loc),
        jax.tree.structure(shape),
    )
