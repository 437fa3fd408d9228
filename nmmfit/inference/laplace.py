"""Where a sampler begins: the region of high density, and a first metric, from Fisher scoring.

At vanishing new physics rates are quadratic in the amplitudes, and the Fisher information of an amplitude is zero: neither a
Hessian nor a covariance there says how wide the posterior is. Amplitude coordinates are therefore held at one unit of
sensitivity, where the information has the right size, while everything else moves to its best value.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.inference.coordinates import Coordinates
from nmmfit.shapes import Array

_STEPS = 6
# A step of more than this many standard deviations is shortened: scoring starts far from the best point.
_LONGEST_STEP = 8.0


@dataclass(frozen=True)
class LaplaceStart:
    """A point of high density in the sampled coordinates and the inverse of the information there."""

    centre: np.ndarray
    covariance: np.ndarray

    def scattered(self, chains: int, seed: int) -> np.ndarray:
        """(chain, parameter): overdispersed starts, one and a half standard deviations wide."""
        random = np.random.default_rng(seed)
        factor = np.linalg.cholesky(self.covariance)
        return self.centre + 1.5 * random.normal(size=(chains, len(self.centre))) @ factor.T


def information(coordinates: Coordinates, z: Array) -> Array:
    """(parameter, parameter) expected information of the data at z, plus the curvature of priors and constraints."""
    joint = coordinates.joint

    def expected(v: Array) -> dict[str, Array]:
        return joint.expected_vector(coordinates.to_parameters(v)[0])

    def log_prior(v: Array) -> Array:
        x, log_det = coordinates.to_parameters(v)
        return joint.log_prob_vector(x) - joint.data_vector(x) + log_det

    counts, slopes = expected(z), jax.jacfwd(expected)(z)
    total = -jax.hessian(log_prior)(z)
    for name, channel in joint.channels.items():
        total = total + slopes[name].T @ (slopes[name] / channel.distribution(counts[name]).variance[:, None])
    return total


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """Inverse of a symmetric matrix, its eigenvalues made positive and bounded away from zero."""
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    values = np.maximum(np.abs(values), 1e-4)
    return (vectors / values) @ vectors.T


def laplace_start(coordinates: Coordinates) -> LaplaceStart:
    """Fisher scoring of everything but the amplitude coordinates, which stay at one unit of sensitivity."""
    n = len(coordinates.loc)
    moving = np.ones(n, dtype=bool)
    moving[coordinates.linear] = False
    at = jax.jit(lambda z: (coordinates.log_density(z), jax.grad(coordinates.log_density)(z), information(coordinates, z)))
    z = np.array(coordinates.from_parameters(jnp.asarray(coordinates.joint.start)))
    z[coordinates.linear] = np.where(np.arange(len(coordinates.linear)) < coordinates.n_amplitudes, 1.0, 0.0)
    value, gradient, matrix = (np.asarray(part) for part in at(jnp.asarray(z)))
    for _ in range(_STEPS):
        covariance = _inverse(matrix[np.ix_(moving, moving)])
        step = covariance @ gradient[moving]
        length = float(np.sqrt(max(step @ gradient[moving], 0.0)))
        step *= min(1.0, _LONGEST_STEP / max(length, 1e-12))
        trial = z.copy()
        trial[moving] += step
        result = [np.asarray(part) for part in at(jnp.asarray(trial))]
        if not np.isfinite(result[0]) or result[0] < value:
            trial[moving] -= 0.75 * step
            result = [np.asarray(part) for part in at(jnp.asarray(trial))]
            if not np.isfinite(result[0]) or result[0] < value:
                break
        z, (value, gradient, matrix) = trial, result
        if length < 0.1:
            break
    return LaplaceStart(z, _inverse(matrix))
