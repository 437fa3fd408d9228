"""Adaptive tempered sequential Monte Carlo: particles from the prior to the posterior, the likelihood raised step by step.

An independent check of the chains of `nuts` and `ensemble`, and the evidence, which chains do not give. Particles drawn from the
prior are weighted by L^(b - b'), resampled and moved by HMC, for powers b from 0 to 1 that keep the effective number of particles
at a share of all; the product of the mean weights estimates the evidence (Del Moral, Doucet and Jasra, J. R. Stat. Soc. B 68,
411). Powers, weights and moves are those of `blackjax.adaptive_tempered_smc` (blackjax, an optional dependency). Momenta have the
covariance of the particles for their metric at every power; the step size follows the acceptance at the power before, and
differs between particles, since trajectories of one length return to where they began in some directions.

Particles move in the coordinates of the other methods (`nmmfit.inference.coordinates`), of which the density of the prior has
the Jacobian; they start from draws of the prior, whatever the data are, and nothing of the other methods' starts or metrics is
used. Several runs are made, independent of each other: their spread is the error of the evidence.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.errors import NotConvergedError, UserInputError
from nmmfit.inference.coordinates import Coordinates
from nmmfit.inference.machine import parameters_of
from nmmfit.inference.parameters import Winding
from nmmfit.inference.settings import SamplerSettings
from nmmfit.inference.simulations import PriorDraws
from nmmfit.shapes import Array

TARGET_ESS = 0.5
"""Effective number of particles that a power leaves, as a share of all."""

STEPS = 10
"""Leapfrog steps of a trajectory."""

FIRST_STEP = 0.05
"""Step size at the prior, in units of the particles' width."""

JITTER = 0.5
"""Share by which step sizes of particles differ to either side."""

PACE = 2.5
"""How fast the logarithm of the step size follows the acceptance."""

LAST = 5
"""Rounds of trajectories at the posterior itself, after the last weights."""

BLOCK = 250
"""Particles side by side."""

MOST_TEMPERATURES = 2000
"""Powers after which a run has failed."""

LOWEST = -1e30
"""Log likelihood of particles where it is no number."""


def require_blackjax() -> Any:
    """The package blackjax. Raises: UserInputError saying what to install if it is missing."""
    if importlib.util.find_spec("blackjax") is None:
        raise UserInputError("sampler smc: needs the package blackjax, which is not installed; pip install 'nmmfit[smc]'")
    return importlib.import_module("blackjax")


class TemperedRuns:
    """Independent runs of one likelihood, compiled once.

    Args:
        coordinates: in which particles move.
        settings: `draws` particles, `warmup` trajectories of each at every power; `target_accept` is what steps are adapted to.
    """

    def __init__(self, coordinates: Coordinates, settings: SamplerSettings) -> None:
        blackjax = require_blackjax()
        self.coordinates, self.settings = coordinates, settings
        joint = coordinates.joint

        def log_prior(z: Array) -> Array:
            x, log_det = coordinates.to_parameters(z)
            return joint.own_prior_vector(x) + joint.constraint_vector(x) + log_det

        def log_likelihood(z: Array) -> Array:
            value = joint.data_vector(coordinates.to_parameters(z)[0])
            return jnp.where(jnp.isfinite(value), value, LOWEST)

        kernel = blackjax.smc.adaptive_tempered.build_kernel(
            log_prior,
            log_likelihood,
            partial(_trajectory, blackjax.hmc.build_kernel()),
            blackjax.hmc.init,
            blackjax.smc.resampling.systematic,
            TARGET_ESS,
            batch_size=min(BLOCK, settings.draws),
        )

        def step(key: Array, state: Any, step_size: Array) -> tuple[Any, dict[str, Array], Array]:
            for_sizes, for_step = jax.random.split(key)
            particles = state.particles
            weights = state.weights / jnp.sum(state.weights)
            centred = particles - weights @ particles
            covariance = (centred * weights[:, None]).T @ centred
            # Enough of a width in every direction, for particles that are fewer than it takes to know all of them.
            covariance = covariance + 1e-6 * jnp.diag(jnp.diag(covariance)) + 1e-12 * jnp.eye(particles.shape[1])
            spread = 1.0 + JITTER * jax.random.uniform(for_sizes, (particles.shape[0],), minval=-1.0, maxval=1.0)
            parameters = {"step_size": step_size * spread, "inverse_mass_matrix": covariance[None]}
            state, info = kernel(for_step, state, settings.warmup, parameters)
            accepted = jnp.mean(info.update_info.acceptance_rate)
            told = {
                "log_increment": info.log_likelihood_increment,
                "acceptance": accepted,
                "accept_prob": jnp.mean(info.update_info.acceptance_rate, axis=1),
                "diverging": jnp.all(info.update_info.is_divergent, axis=1),
            }
            return state, told, step_size * jnp.exp(PACE * (accepted - settings.target_accept))

        self._start = blackjax.smc.adaptive_tempered.init
        self._step = jax.jit(step)
        self._log_prob = jax.jit(lambda zs: jax.lax.map(coordinates.log_density, zs, batch_size=min(BLOCK, settings.draws)))
        self.to_parameters = parameters_of(coordinates)
        self._priors = PriorDraws(joint, settings.seed)
        self._to_z = jax.jit(lambda xs: jax.lax.map(coordinates.from_parameters, xs, batch_size=min(BLOCK, settings.draws)))

    def prior_particles(self, key: Array) -> Array:
        """(particle, parameter) in the sampled coordinates, drawn from the prior."""
        for_draws, for_windings = jax.random.split(key)
        x = self._priors.many(for_draws, self.settings.draws)
        wound = {}
        random = np.random.default_rng(np.asarray(jax.random.key_data(for_windings)).ravel())
        for i, bijection in self.coordinates.bounded:
            if isinstance(bijection, Winding):
                # Its density on the line, see `Winding`; the circle has one point for all of its windings.
                wound[i] = random.uniform(size=len(x)) + random.normal(size=len(x))
                x[:, i] = np.asarray(bijection(jnp.asarray(wound[i])))
        z = np.array(self._to_z(jnp.asarray(x)))
        for i, values in wound.items():
            z[:, i] = values
        return jnp.asarray(z)

    def run(self, number: int, told: Callable[[float, int], None] | None = None) -> dict[str, np.ndarray]:
        """One run, a pure function of the seed and its number.

        Args:
            number: of the run.
            told: called after every power with the share of the way that is done, from 0 to 1, and trajectories so far.
        Returns: "z" (particle, parameter), "lp", "accept_prob", "step_size" and "diverging" (particle,) at the posterior,
            "log_evidence", "powers" (power,), "increments" (power,) of the log evidence, "acceptance" (power,). A particle counts
            as diverging if every trajectory of its last round did, so that it did not move.
        Raises: NotConvergedError if the posterior is not reached.
        """
        key = jax.random.fold_in(jax.random.PRNGKey(self.settings.seed), number)
        key, begin = jax.random.split(key)
        state = self._start(self.prior_particles(begin))
        state = state._replace(tempering_param=jnp.asarray(0.0))
        size = jnp.asarray(FIRST_STEP)
        powers: list[float] = []
        increments: list[float] = []
        acceptance: list[float] = []
        last: dict[str, Any] = {}
        left, first = LAST, 0.0
        while left and len(powers) < MOST_TEMPERATURES:
            if float(state.tempering_param) >= 1.0:
                left -= 1
            key, now = jax.random.split(key)
            used = size
            state, happened, size = self._step(now, state, size)
            powers.append(float(state.tempering_param))
            increments.append(float(happened["log_increment"]))
            acceptance.append(float(happened["acceptance"]))
            last = {**{name: np.asarray(happened[name]) for name in ("accept_prob", "diverging")}, "step_size": np.asarray(used)}
            first = first or max(powers[0], 1e-12)
            if told is not None:
                share = 1.0 if first >= 1.0 else 1.0 - np.log(max(powers[-1], first)) / np.log(first)
                told(float(share), len(powers) * self.settings.draws * self.settings.warmup)
        if left:
            raise NotConvergedError(f"sampler smc: {MOST_TEMPERATURES} powers of the likelihood do not lead to the posterior")
        return {
            "z": np.asarray(state.particles),
            "lp": np.asarray(self._log_prob(state.particles)),
            **{name: np.broadcast_to(values, len(state.weights)) for name, values in last.items()},
            "log_evidence": np.asarray(sum(increments)),
            "powers": np.asarray(powers),
            "increments": np.asarray(increments),
            "acceptance": np.asarray(acceptance),
        }


def _trajectory(kernel: Any, key: Array, state: Any, log_density: Any, step_size: Array, inverse_mass_matrix: Array) -> Any:
    """One trajectory of a particle."""
    return kernel(key, state, log_density, step_size, inverse_mass_matrix, STEPS)
