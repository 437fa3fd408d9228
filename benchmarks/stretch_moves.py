"""The competitor: emcee with its default moves, in the run's own parameters, on the same compiled posterior density."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import emcee
import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.inference.coordinates import amplitude_coordinates
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.laplace import laplace_start
from nmmfit.inference.symmetries import folded, sign_symmetries
from nmmfit.shapes import Array

# Steps kept of a chain, evenly spaced; autocorrelation times are far longer than what lies between two of them.
KEPT = 2000


def guarded_log_prob(joint: JointLikelihood) -> Callable[[Array], Array]:
    """Log posterior density of a vector (parameter,), -inf outside the support of a bounded prior."""
    bounded = [(i, p.prior.support) for i, p in enumerate(joint.parameters) if not p.is_unbounded]

    def log_prob(x: Array) -> Array:
        inside = jnp.asarray(True)
        for i, support in bounded:
            inside &= support(x[i])
        value = joint.log_prob_vector(jnp.where(inside, x, jnp.asarray(joint.start)))
        return jnp.where(inside & jnp.isfinite(value), value, -jnp.inf)

    return log_prob


@dataclass(frozen=True)
class Walkers:
    """An ensemble before its first step: positions (walker, parameter), their log densities, and the compiled density.

    `log_prob` takes half an ensemble, which is what a stretch move asks for, so that one program serves all calls.
    """

    positions: np.ndarray
    log_probs: np.ndarray
    log_prob: Callable[[np.ndarray], np.ndarray]


def walkers(joint: JointLikelihood, per_parameter: int, seed: int) -> Walkers:
    """Walkers scattered as the chains of `nmmfit.sample` are: 1.5 standard deviations about its start.

    Raises: ValueError if too few of those places have a finite density.
    """
    n = len(joint.names)
    half = -(-per_parameter * n // 2)
    program: Any = jax.jit(jax.vmap(guarded_log_prob(joint))).lower(jnp.zeros((half, n))).compile()

    def log_prob(xs: np.ndarray) -> np.ndarray:
        return np.asarray(program(xs))

    coordinates = amplitude_coordinates(joint)
    scattered = laplace_start(coordinates).scattered(4 * half, seed)
    xs = np.asarray(jax.jit(jax.vmap(lambda z: coordinates.to_parameters(z)[0]))(jnp.asarray(scattered)))
    values = np.concatenate([log_prob(part) for part in np.split(xs, 4)])
    good = np.flatnonzero(np.isfinite(values))[: 2 * half]
    if len(good) < 2 * half:
        raise ValueError(f"only {len(good)} of {4 * half} places to start from have a finite density")
    return Walkers(xs[good], values[good], log_prob)


def stretch(ensemble: Walkers, steps: int, seed: int) -> emcee.EnsembleSampler:
    """`steps` steps of emcee's default move; every (steps / KEPT)-th is stored."""
    count, n = ensemble.positions.shape
    sampler = emcee.EnsembleSampler(count, n, ensemble.log_prob, vectorize=True)
    state = emcee.State(ensemble.positions, log_prob=ensemble.log_probs)
    state.random_state = np.random.RandomState(seed).get_state()
    thin = max(1, steps // KEPT)
    sampler.run_mcmc(state, steps // thin, thin_by=thin)
    return sampler


def folded_quantities(joint: JointLikelihood, chain: np.ndarray) -> dict[str, np.ndarray]:
    """Name -> (walker, draw) of all parameters, folded, and identified quantities of a chain (draw, walker, parameter)."""
    xs = np.swapaxes(chain, 0, 1)
    identified = joint.identified_values(joint.unpack(jnp.asarray(xs)))
    fold = folded(xs, sign_symmetries(joint))
    return {name: fold[..., i] for i, name in enumerate(joint.names)} | {k: np.asarray(v) for k, v in identified.items()}


def autocorrelation_steps(quantities: dict[str, np.ndarray], thin: int) -> dict[str, float]:
    """emcee's integrated autocorrelation time of every quantity (walker, draw), in steps, however short the chain."""
    stacked = np.stack([np.swapaxes(values, 0, 1) for values in quantities.values()], axis=-1)
    times = thin * emcee.autocorr.integrated_time(stacked, tol=0)
    return dict(zip(quantities, map(float, times), strict=True))
