"""Parameters drawn from the prior, and data simulated from them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.errors import NotConvergedError
from nmmfit.experiment import constraints
from nmmfit.inference.joint import JointLikelihood
from nmmfit.shapes import Array

BATCH = 1024
"""Draws of the priors of which one is to obey the constraints."""

BATCHES = 16
"""Batches in which the largest density of the constraints is looked for, and most that are made for one draw."""

_NOTHING_LEFT = "the constraints of the experiments leave next to nothing of the priors of the nuisances"


class PriorDraws:
    """Draws from the prior of a likelihood, priors of all parameters times the constraints that experiments add.

    Where there are such constraints, a draw of the priors is accepted with a probability in proportion to their density; the
    largest one is that of all draws so far (empirical supremum rejection sampling, Caffo, Booth and Davis, Biometrika 89, 745).
    """

    def __init__(self, joint: JointLikelihood, seed: int) -> None:
        self.joint = joint
        self.constrained = bool(constraints(joint.experiments))
        self._batch = jax.jit(self._drawn, static_argnums=1)
        self._most = -np.inf
        if self.constrained:
            keys = jax.random.split(jax.random.fold_in(jax.random.PRNGKey(seed), 1), BATCHES)
            self._most = max(float(np.max(self._batch(key, BATCH)[1])) for key in keys)

    def _drawn(self, key: Array, number: int) -> tuple[Array, Array]:
        """(draw, parameter) of the priors alone, and the log density of the constraints (draw,)."""
        keys = jax.random.split(key, len(self.joint.parameters))
        columns = [p.prior.sample(k, (number,)) for p, k in zip(self.joint.parameters, keys, strict=True)]
        x = jnp.stack([jnp.asarray(c, dtype=jnp.float64) for c in columns], axis=1)
        return x, jax.vmap(self.joint.own_constraints_vector)(x) if self.constrained else jnp.zeros(number)

    def __call__(self, key: Array) -> np.ndarray:
        """One draw (parameter,). Raises: NotConvergedError if the constraints leave next to nothing of the priors."""
        return np.asarray(self.many(key, 1)[0])

    def many(self, key: Array, number: int) -> np.ndarray:
        """Draws (draw, parameter), independent of each other."""
        if not self.constrained:
            return np.array(self._batch(key, number)[0])
        parts: list[np.ndarray] = []
        for k in jax.random.split(key, BATCHES * (1 + number // BATCHES)):
            draws, choice = jax.random.split(k)
            x, log_density = self._batch(draws, BATCH)
            accepted = np.log(np.asarray(jax.random.uniform(choice, (BATCH,)))) < np.asarray(log_density) - self._most
            parts.append(np.asarray(x)[accepted])
            if sum(map(len, parts)) >= number:
                return np.concatenate(parts)[:number]
        raise NotConvergedError(_NOTHING_LEFT)


class SimulatedData:
    """Data of all channels as their distributions make them."""

    def __init__(self, joint: JointLikelihood) -> None:
        self.channels = joint.channels
        self._draw = jax.jit(lambda x, key: self._drawn(joint.expected_vector(x), key))

    def _drawn(self, expected: dict[str, Array], key: Array) -> dict[str, Array]:
        keys = jax.random.split(key, max(1, len(self.channels)))
        return {
            name: jnp.asarray(channel.distribution(expected[name]).sample(k), dtype=jnp.float64)
            for (name, channel), k in zip(self.channels.items(), keys, strict=False)
        }

    def __call__(self, x: np.ndarray, key: Array) -> dict[str, np.ndarray]:
        """`experiment.channel` -> counts (bin,), at parameters (parameter,)."""
        return {name: np.asarray(counts) for name, counts in self._draw(jnp.asarray(x), key).items()}
