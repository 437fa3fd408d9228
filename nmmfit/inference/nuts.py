"""NUTS: numpyro's kernel, driven in one compiled scan."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from numpyro.infer import NUTS

from nmmfit.inference.coordinates import Coordinates
from nmmfit.inference.data import Counts
from nmmfit.inference.laplace import laplace_start
from nmmfit.inference.machine import (
    Machine,
    Outcome,
    compiled_together,
    in_lock_step,
    lane_shapes,
    named,
    parameters_of,
    program_fingerprint,
)
from nmmfit.inference.settings import SamplerSettings
from nmmfit.kept_programs import results_of
from nmmfit.shapes import Array

# Iterations per compiled call: long enough that its overhead does not show, short enough for a live progress bar and a
# quick Ctrl-C.
CHUNKS = (50, 5)
# Warm-up is cut into windows; after each the metric becomes the pooled covariance of its second half.
WINDOWS = 4
OLD_METRIC_WEIGHT = 20.0


class State(NamedTuple):
    """A lane of chains: numpyro's state of its chain, or of all of them, and data in place of what was observed."""

    hmc: Any
    data: Counts | None = None


def warmup_windows(warmup: int) -> tuple[int, ...]:
    """Iterations of each window of a warm-up, rounded up."""
    return (-(-warmup // (WINDOWS * CHUNKS[-1])) * CHUNKS[-1],) * WINDOWS


def lane_size(chains: int) -> int:
    """Chains of a lane.

    On a CPU every chain is a lane of its own, because a tree is as long as it is and a vectorised tree is no cheaper than its
    parts; on an accelerator all chains are one lane.
    """
    return chains if in_lock_step() else 1


def compiled_machine(coordinates: Coordinates, settings: SamplerSettings, data: Counts | None = None) -> Machine:
    """Compile NUTS; for data as an argument if some of their shape are given."""
    windows = warmup_windows(settings.warmup)
    window = windows[0]
    chunk = next(c for c in CHUNKS if window % c == 0)
    together = in_lock_step()
    lane = lane_size(settings.chains)
    # The kernel differentiates it in several places; compiled on its own it is traced once for all of them.
    potential = jax.jit(lambda z, d: -coordinates.log_density(z, d))

    def kernel(data: Counts | None, metric: Array | None = None) -> NUTS:
        return NUTS(
            potential_fn=lambda z: potential(z, data),
            inverse_mass_matrix=metric,
            dense_mass=True,
            adapt_mass_matrix=False,
            target_accept_prob=settings.target_accept,
            max_tree_depth=settings.max_tree_depth,
        )

    def start(key: Array, z: Array, metric: Array, data: Counts | None) -> Any:
        return kernel(data, metric).init(key, window, z)

    def move(state: Any, data: Counts | None) -> tuple[Any, Outcome]:
        nuts = kernel(data)
        # `init` gives the kernel the functions that `sample` needs; its state is not used.
        nuts.init(state.rng_key, window, state.z)

        def step(state: Any, _: None) -> tuple[Any, Outcome]:
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

    def begin(keys: Array, z: Array, metric: Array, length: Array, data: Counts | None) -> State:
        # Vectorised, a single chain would go through both branches of every decision.
        if together:
            return State(jax.vmap(start, in_axes=(0, 0, None, None))(keys, z, metric, data), data)
        return State(start(keys[0], z[0], metric, data), data)

    def advance(state: State) -> tuple[State, Outcome]:
        if together:
            hmc, happened = jax.vmap(move, in_axes=(0, None), out_axes=(0, 1))(*state)
            return State(hmc, state.data), happened
        hmc, happened = move(*state)
        return State(hmc, state.data), {name: values[:, None] for name, values in happened.items()}

    given = (*lane_shapes(lane, len(coordinates.loc)), data)
    told = "nuts", window, chunk, together, settings.target_accept, settings.max_tree_depth
    fingerprint = program_fingerprint(coordinates, data, *told)
    shape = results_of(begin, given, named(fingerprint, "begin"))
    programs, laplace = compiled_together(
        {"advance": (advance, (shape,)), "begin": (begin, given)}, lambda: laplace_start(coordinates), fingerprint
    )

    def renew(keys: Array, state: State, metric: Array, length: Array) -> Any:
        return programs["begin"](keys, jnp.atleast_2d(state.hmc.z), metric, length, state.data)

    return Machine(
        coordinates,
        laplace,
        programs["begin"],
        renew,
        programs["advance"],
        parameters_of(coordinates),
        lane,
        windows,
        chunk,
        OLD_METRIC_WEIGHT,
        jax.tree.structure(shape),
    )
