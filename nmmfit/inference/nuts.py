"""NUTS: numpyro's kernel, driven in one compiled scan."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from numpyro.infer import NUTS

from nmmfit.inference.coordinates import Coordinates
from nmmfit.inference.laplace import laplace_start
from nmmfit.inference.machine import Machine, Outcome, compiled_together, in_lock_step, lane_shapes, parameters_of
from nmmfit.inference.settings import SamplerSettings
from nmmfit.shapes import Array

# Iterations per compiled call: long enough that its overhead does not show, short enough for a live progress bar and a
# quick Ctrl-C.
CHUNKS = (50, 5)
# Warm-up is cut into windows; after each the metric becomes the pooled covariance of its second half.
WINDOWS = 4
OLD_METRIC_WEIGHT = 20.0


def warmup_windows(warmup: int) -> tuple[int, ...]:
    """Iterations of each window of a warm-up, rounded up."""
    return (-(-warmup // (WINDOWS * CHUNKS[-1])) * CHUNKS[-1],) * WINDOWS


def lane_size(chains: int) -> int:
    """Chains of a lane.

    On a CPU every chain is a lane of its own, because a tree is as long as it is and a vectorised tree is no cheaper than its
    parts; on an accelerator all chains are one lane.
    """
    return chains if in_lock_step() else 1


def compiled_machine(coordinates: Coordinates, settings: SamplerSettings) -> Machine:
    """Compile NUTS."""
    windows = warmup_windows(settings.warmup)
    window = windows[0]
    chunk = next(c for c in CHUNKS if window % c == 0)
    together = in_lock_step()
    lane = lane_size(settings.chains)
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

    def move(state: Any) -> tuple[Any, Outcome]:
        nuts = kernel()
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

    def begin(keys: Array, z: Array, metric: Array, length: Array) -> Any:
        # Vectorised, a single chain would go through both branches of every decision.
        return jax.vmap(start, in_axes=(0, 0, None))(keys, z, metric) if together else start(keys[0], z[0], metric)

    def advance(state: Any) -> tuple[Any, Outcome]:
        if together:
            return jax.vmap(move, out_axes=(0, 1))(state)
        state, happened = move(state)
        return state, {name: values[:, None] for name, values in happened.items()}

    given = lane_shapes(lane, len(coordinates.loc))
    programs, laplace = compiled_together(
        {"advance": (advance, (jax.eval_shape(begin, *given),)), "begin": (begin, given)}, lambda: laplace_start(coordinates)
    )

    def renew(keys: Array, state: Any, metric: Array, length: Array) -> Any:
        return programs["begin"](keys, jnp.atleast_2d(state.z), metric, length)

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
        programs["begin"].out_tree,
    )
