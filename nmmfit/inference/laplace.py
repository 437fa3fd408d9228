"""Where a sampler begins: the region of high density, and a first metric, from Fisher scoring.

At vanishing new physics rates are quadratic in the amplitudes, and the Fisher information of an amplitude is zero: neither a
Hessian nor a covariance there says how wide the posterior is. Amplitude coordinates are therefore held at one unit of
sensitivity, where the information has the right size, and couplings of a model where the density begins to fall, while everything
else moves to its best value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.experiment import Channel
from nmmfit.inference.coordinates import Coordinates
from nmmfit.inference.data import Counts
from nmmfit.kept import kept_or_made
from nmmfit.shapes import Array

_STEPS = 6
# A step of more than this many standard deviations is shortened: scoring starts far from the best point.
_LONGEST_STEP = 8.0
# Couplings of a model start where the log density has fallen by less than this, in steps that are halved so often.
_FALL, _HALVINGS = 2.0, 30


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


@dataclass(frozen=True)
class _Local:
    """The posterior density around one point: its logarithm, gradient and expected information, in the sampled coordinates."""

    value: float
    gradient: np.ndarray
    information: np.ndarray


Local = Callable[[np.ndarray, Counts | None], _Local]
"""Evaluation of `_Local` at z (parameter,), of data in place of what was observed."""


def local_density(coordinates: Coordinates) -> Local:
    """Compiled evaluation, once for all data of one shape.

    All of the data part comes from one Jacobian of the expected counts, which compiles much faster than derivatives of the
    density.
    """
    joint = coordinates.joint

    def expected(z: Array) -> dict[str, Array]:
        return joint.expected_vector(coordinates.to_parameters(z)[0])

    def prior(z: Array) -> Array:
        x, log_det = coordinates.to_parameters(z)
        return joint.own_prior_vector(x) + joint.constraint_vector(x) + log_det

    def at(z: Array, data: Counts | None) -> tuple[Array, Array, Array]:
        counts, slopes = expected(z), jax.jacfwd(expected)(z)
        value, gradient, information = prior(z), jax.grad(prior)(z), -jax.hessian(prior)(z)
        for name, channel in joint.channels.items():
            for one in (joint.observed,) if data is None else data.sets:
                observed = jnp.asarray(one[name])

                def density(c: Array, channel: Channel = channel, observed: Array = observed) -> Array:
                    return jnp.sum(channel.distribution(c).log_prob(observed))

                per_count, pull = jax.value_and_grad(density)(counts[name])
                value, gradient = value + per_count, gradient + slopes[name].T @ pull
                variance = channel.distribution(counts[name]).variance
                information = information + slopes[name].T @ (slopes[name] / variance[:, None])
        return value, gradient, information

    compiled = joint.jit_once(at)

    def evaluate(z: np.ndarray, data: Counts | None) -> _Local:
        value, gradient, information = compiled(jnp.asarray(z), data)
        return _Local(float(value), np.asarray(gradient), np.asarray(information))

    return evaluate


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """Inverse of a symmetric matrix, its eigenvalues made positive and bounded away from zero."""
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    values = np.maximum(np.abs(values), 1e-4)
    return (vectors / values) @ vectors.T


def laplace_start(coordinates: Coordinates) -> LaplaceStart:
    """Fisher scoring of everything but the amplitude coordinates, which stay at one unit of sensitivity.

    Kept between processes where the likelihood has a fingerprint.
    """
    return kept_or_made("starts", coordinates.fingerprint, lambda: scored(coordinates, local_density(coordinates)))


def _off_zero(at: Callable[[np.ndarray], _Local], z: np.ndarray, model: np.ndarray) -> np.ndarray:
    """z with the couplings of a model as far from 0 as the density allows: at 0 the information of products of them vanishes."""
    nominal = at(z).value
    for power in range(_HALVINGS):
        trial = z + model * 0.5**power
        if at(trial).value > nominal - _FALL:
            return trial
    return z


def scored(coordinates: Coordinates, local: Local, data: Counts | None = None) -> LaplaceStart:
    """As `laplace_start`, of data in place of what was observed, and not kept."""

    def at(z: np.ndarray) -> _Local:
        return local(z, data)

    n = len(coordinates.loc)
    moving = np.ones(n, dtype=bool)
    moving[coordinates.linear] = False
    z = np.array(coordinates.from_parameters(jnp.asarray(coordinates.joint.start)))
    z[coordinates.linear] = np.where(np.arange(len(coordinates.linear)) < coordinates.n_amplitudes, 1.0, 0.0)
    model = np.asarray([p.kind == "model" and p.is_unbounded for p in coordinates.joint.parameters])
    if np.any(model):
        moving &= ~model
        z = _off_zero(at, z, model)
    here = at(z)
    for _ in range(_STEPS):
        step = _inverse(here.information[np.ix_(moving, moving)]) @ here.gradient[moving]
        length = float(np.sqrt(max(step @ here.gradient[moving], 0.0)))
        step *= min(1.0, _LONGEST_STEP / max(length, 1e-12))
        for fraction in (1.0, 0.25):
            trial = z.copy()
            trial[moving] += fraction * step
            there = at(trial)
            if np.isfinite(there.value) and there.value >= here.value:
                break
        else:
            break
        z, here = trial, there
        if length < 0.1:
            break
    return LaplaceStart(z, _inverse(here.information))
