"""Information about the vector of a joint likelihood at a point: expected (Fisher), by experiment, and observed (Hessian).

With counts mu(z) of independent bins, J their Jacobian and I_b the information of bin b about its mean (1 / mu for a Poisson
count, 1 / sigma^2 for a Gaussian), the expected information is J^T diag(I) J, a sum over experiments; constraint terms add minus
their Hessian. The observed one is the Hessian of minus the log likelihood with the data as they are. Nuisances nu are profiled
out by a Schur complement, F_oo - F_on F_nn^-1 F_no: the information about the others after a fit of the nuisances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

from nmmfit.experiment import Channel
from nmmfit.inference.fit import scaled_hessian
from nmmfit.inference.space import Space
from nmmfit.shapes import Array

SHARED = "shared constraints"
"""Name of the part of the constraint terms that belongs to no single experiment."""

SINGULAR = 1e-12
"""Eigenvalues of the nuisances' information below this fraction of the largest are those of nuisances that nothing fixes."""


@dataclass(frozen=True)
class Expected:
    """Expected information at one vector.

    Attributes:
        data: (experiment, n, n) of the data of each experiment.
        constraints: (experiment + 1, n, n) of constraint terms: of nuisances that one experiment alone has, then of all else.
    """

    data: np.ndarray
    constraints: np.ndarray

    @property
    def parts(self) -> np.ndarray:
        """(experiment + 1, n, n): what each experiment brings with its own constraints, then shared constraints."""
        parts: np.ndarray = self.constraints.copy()
        parts[:-1] += self.data
        return parts

    @property
    def total(self) -> np.ndarray:
        """(n, n): all together."""
        return np.asarray(np.sum(self.data, axis=0) + np.sum(self.constraints, axis=0))


def of_mean(channel: Channel, mean: Array) -> Array:
    """Expected information of every bin about its expected count, (bin,).

    The variance of the score: a distribution's own `information` where it has one, else 1 / variance, which is exact where the
    mean is the natural place of the distribution (Poisson; Gaussian of fixed width).
    """
    distribution: Any = channel.distribution(mean)
    known = getattr(distribution, "information", None)
    return jnp.broadcast_to(1.0 / distribution.variance if known is None else known, mean.shape)


def counts_information(space: Space, mean: Array | np.ndarray) -> Array:
    """Expected information of every bin of all channels about its expected count, (bin,)."""
    parts, first = [jnp.zeros(0)], 0
    for channel in space.joint.channels.values():
        size = len(channel.observed)
        parts.append(of_mean(channel, jnp.asarray(mean[first : first + size])))
        first += size
    return jnp.concatenate(parts)


def owners(space: Space) -> np.ndarray:
    """(n,) place of the one experiment that has a nuisance; -1 for nuisances that are shared, and for everything else."""
    experiments = space.joint.experiments
    having = [[k for k, e in enumerate(experiments) if name in e.pulls] for name in space.names]
    return np.array([found[0] if len(found) == 1 else -1 for found in having], dtype=int)


def expected_information(space: Space, z: np.ndarray) -> Expected:
    """Expected information at a vector (n,); compiled once for a likelihood."""
    joint = space.joint
    if "information" not in joint.compiled:
        joint.compiled["information"] = jax.jit(_expected(space))
    data, constraints = map(np.asarray, joint.compiled["information"](jnp.asarray(z)))
    mine = owners(space)
    owned = [constraints * np.outer(mine == k, mine == k) for k in range(len(joint.experiments))]
    rest = constraints - np.sum(owned, axis=0) if owned else constraints
    return Expected(data, np.stack([*owned, rest]))


def _expected(space: Space) -> Any:
    joint = space.joint
    bounds = np.cumsum([0, *(sum(len(c.observed) for c in e.channels) for e in joint.experiments)])

    def at(z: Array) -> tuple[Array, Array]:
        mean, push = jax.linearize(space.nll.counts, z) if joint.channels else (jnp.zeros(0), None)
        slopes = jnp.zeros((space.n, 0)) if push is None else jax.vmap(push)(jnp.eye(space.n))
        weighted = slopes * counts_information(space, mean)
        data = [weighted[:, a:b] @ slopes[:, a:b].T for a, b in pairwise(bounds)]
        stacked = jnp.stack(data) if data else jnp.zeros((0, space.n, space.n))
        return stacked, -jax.hessian(space.nll.constraint)(z)

    return at


def observed_information(space: Space, z: np.ndarray) -> np.ndarray:
    """Hessian (n, n) of minus the log likelihood with constraints at a vector (n,), by differences of exact gradients."""
    basis = space.basis(z)
    inverse = np.linalg.inv(basis)
    return np.asarray(inverse.T @ scaled_hessian(space.nll, z, basis) @ inverse)


@dataclass(frozen=True)
class Profiled:
    """Information about some entries of a vector after a fit of all others.

    Attributes:
        matrix: (kept, kept), the Schur complement.
        lift: (n, kept): a unit of each kept entry together with what the others do then, so that
            matrix = lift^T total lift, which shares it out among the parts of a total.
    """

    matrix: np.ndarray
    lift: np.ndarray


def profiled(total: np.ndarray, kept: Sequence[int] | np.ndarray, scale: np.ndarray) -> Profiled:
    """Profile out all entries but `kept`.

    Args:
        total: (n, n) symmetric.
        kept: indices of the entries that stay.
        scale: (n,) natural steps, which make entries comparable. Combinations of the others without information stay where they
            are.
    """
    n = len(total)
    keep = np.asarray(kept, dtype=int)
    out = np.setdiff1d(np.arange(n), keep)
    lift = np.zeros((n, len(keep)))
    lift[keep, np.arange(len(keep))] = 1.0
    if len(out):
        steps = scale[out]
        inner = total[np.ix_(out, out)] * np.outer(steps, steps)
        inverse = scipy.linalg.pinvh(inner, rtol=SINGULAR)
        lift[out] = -steps[:, None] * (inverse @ (steps[:, None] * total[np.ix_(out, keep)]))
    matrix = lift.T @ total @ lift
    return Profiled(0.5 * (matrix + matrix.T), lift)
