"""The competitor: emcee, with its default moves in the run's own parameters, and in its best case."""

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

# Steps kept of a chain, evenly spaced; autocorrelation times are far longer than what lies between two of them.
KEPT = 2000


Density = Callable[[np.ndarray], np.ndarray]
"""Log densities (walker,) of positions (walker, parameter)."""


def default_moves() -> Any:
    """What emcee does if nothing is said: the stretch move."""
    return None


def tuned_moves() -> Any:
    """The best found for posteriors of this kind: differential evolution, and a snooker now and then."""
    return [(emcee.moves.DEMove(), 0.8), (emcee.moves.DESnookerMove(), 0.2)]


@dataclass(frozen=True)
class Walkers:
    """An ensemble before its first step: positions (walker, coordinate), the density there, and the way to parameters."""

    positions: np.ndarray
    log_prob: Density
    to_parameters: Callable[[np.ndarray], np.ndarray]
    """(..., coordinate) -> (..., parameter)."""


def impossible(log_densities: np.ndarray) -> np.ndarray:
    """Where a density overflows there is nobody."""
    return np.where(np.isfinite(log_densities), log_densities, -np.inf)


def walkers(joint: JointLikelihood, density: Density, count: int, seed: int, amplitudes: bool) -> Walkers:
    """Walkers scattered as the chains of `nmmfit.sample` are: 1.5 standard deviations about its start.

    Args:
        joint: the likelihood.
        density: posterior of its parameters, (point, parameter) -> (point,), without bounds.
        count: walkers.
        seed: of the scatter.
        amplitudes: whether they walk in nmmfit's amplitude coordinates, or in the parameters of the run file, as users do.
    """
    coordinates = amplitude_coordinates(joint)
    scattered = np.asarray(laplace_start(coordinates).scattered(count, seed))
    change = jax.jit(lambda zs: jax.lax.map(coordinates.to_parameters, zs, batch_size=64))

    def to_parameters(zs: np.ndarray) -> np.ndarray:
        flat = np.asarray(change(jnp.asarray(zs.reshape(-1, zs.shape[-1])))[0])
        return flat.reshape(zs.shape)

    def in_amplitudes(zs: np.ndarray) -> np.ndarray:
        xs, log_det = change(jnp.asarray(zs))
        return impossible(density(np.asarray(xs)) + np.asarray(log_det))

    if amplitudes:
        return Walkers(scattered, in_amplitudes, to_parameters)
    return Walkers(to_parameters(scattered), lambda xs: impossible(density(xs)), lambda xs: xs)


def walked(ensemble: Walkers, moves: Any, steps: int, seed: int) -> emcee.EnsembleSampler:
    """`steps` steps of emcee; every (steps / KEPT)-th is stored."""
    count, n = ensemble.positions.shape
    sampler = emcee.EnsembleSampler(count, n, ensemble.log_prob, moves=moves, vectorize=True)
    state = emcee.State(ensemble.positions)
    state.random_state = np.random.RandomState(seed).get_state()
    thin = max(1, steps // KEPT)
    sampler.run_mcmc(state, steps // thin, thin_by=thin, skip_initial_state_check=True)
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
