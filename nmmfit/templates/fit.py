"""Sampling an experiment's factors over the box of their shape pulls, and polynomial fits to what comes out."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.errors import NotConvergedError
from nmmfit.experiment import Factor, Pulls
from nmmfit.numerics.chebyshev import ChebyshevBasis, chebyshev_nodes, coefficients_1d
from nmmfit.physics.forms import ALL_FORMS, Forms, vector_to_forms
from nmmfit.processors import processors
from nmmfit.shapes import Array

HALF_WIDTH = 4.0
"""Half the side of the box of shape pulls, in standard deviations."""

MAX_BASIS = 3000
_PROBE_NODES = 25
_CHECKS = 24
_CHUNK = 8
_SLACK = 10.0


@dataclass(frozen=True)
class Sampler:
    """Direct evaluation of several factors with the same shape pulls, one compilation for all points.

    Rows are (factor, monomial) for factors that read forms, (factor, 1) for those that do not.
    """

    factors: tuple[Factor, ...]
    evaluate: Callable[[Array], Array]

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """(point, row, bin) at shape-pull values (point, pull)."""
        n = len(points)
        padded = np.concatenate([points, np.zeros((-n % _CHUNK, points.shape[1]))])
        # One program does little side by side; several at once use all processors.
        with ThreadPoolExecutor(processors()) as pool:
            chunks = list(pool.map(lambda c: np.asarray(self.evaluate(jnp.asarray(c))), np.split(padded, len(padded) // _CHUNK)))
        return np.concatenate(chunks)[:n]


def sampler(factors: list[Factor], directions: Forms, nominal: Pulls) -> Sampler:
    pulls = factors[0].shape_pulls
    nothing = vector_to_forms(jnp.zeros(1 + 9 * len(ALL_FORMS)), ALL_FORMS)

    def rows(factor: Factor, moved: Pulls) -> Array:
        if factor.forms is None:
            return factor.function(nothing, moved)[None, :]
        return jax.vmap(lambda forms: factor.function(forms, moved))(directions)

    def at(x: Array) -> Array:
        moved = dict(nominal) | {name: x[i] for i, name in enumerate(pulls)}
        return jnp.concatenate([rows(factor, moved) for factor in factors])

    return Sampler(tuple(factors), jax.jit(lambda xs: jax.lax.map(at, xs)))


def _degrees(sample: Sampler, weight: np.ndarray, n_pulls: int, tol: float) -> list[int]:
    """Degree that each shape pull needs on its own, others at nominal."""
    degrees = []
    for i in range(n_pulls):
        points = np.zeros((_PROBE_NODES, n_pulls))
        points[:, i] = HALF_WIDTH * chebyshev_nodes(_PROBE_NODES)
        size = np.sqrt((coefficients_1d(sample(points) * weight) ** 2).sum(axis=2)).max(axis=1)
        above = np.flatnonzero(np.cumsum(size[::-1])[::-1] > tol)
        degrees.append(int(above[-1]) if len(above) else 0)
    return degrees


def _chebyshev_points(n: int, dimension: int) -> np.ndarray:
    """Quasi-random points of Chebyshev density: they make the least-squares problem well conditioned."""
    # Imported here: it takes half a second, which a process that finds its templates on disk does not need.
    from scipy.stats import qmc

    uniform = qmc.Sobol(dimension, seed=11).random_base2(math.ceil(math.log2(n)))[:n]
    return HALF_WIDTH * np.cos(np.pi * uniform)


def fit(sample: Sampler, weight: np.ndarray, tol: float, max_basis: int = MAX_BASIS) -> tuple[ChebyshevBasis, np.ndarray, float]:
    """Polynomial fit (basis, row, bin); raises the degrees until random points agree to the tolerance.

    `weight` (row, bin) is the metric, 1/sqrt(expected) times the row's lift.
    """
    pulls = sample.factors[0].shape_pulls
    degrees = _degrees(sample, weight, len(pulls), 0.3 * tol)
    check = np.random.default_rng(7).uniform(-HALF_WIDTH, HALF_WIDTH, (_CHECKS, len(pulls)))
    truth = sample(check)
    values = np.zeros((0, *truth.shape[1:]))
    while True:
        basis = ChebyshevBasis(tuple(degrees), HALF_WIDTH)
        if basis.size > max_basis:
            raise NotConvergedError(
                f"templates: shape pulls {', '.join(pulls)} need more than {max_basis} basis functions "
                f"(degrees {degrees}); use the direct evaluation"
            )
        points = _chebyshev_points(int(1.6 * basis.size) + 8, len(pulls))
        # The sequence of points only grows: what was sampled for lower degrees serves again.
        values = np.concatenate([values, sample(points[len(values) :])])
        # Points of Chebyshev density make the columns nearly orthogonal, so that QR without pivoting is safe.
        q, r = np.linalg.qr(basis.matrix(points))
        solution = np.linalg.solve(r, q.T @ values.reshape(len(points), -1))
        coefficients = solution.reshape(basis.size, *values.shape[1:])
        guess = np.tensordot(basis.matrix(check), coefficients, axes=1)
        error = float(np.sqrt((((guess - truth) * weight) ** 2).sum(axis=-1)).max())
        if error < _SLACK * tol:
            return basis, coefficients, error
        degrees = [d + max(1, round(0.2 * d)) if d > 0 or not any(degrees) else 0 for d in degrees]
