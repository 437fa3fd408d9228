"""Sampling an experiment's factors over the box of their shape pulls, and polynomial fits to what comes out."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

from nmmfit.errors import NotConvergedError
from nmmfit.experiment import Factor, Pulls
from nmmfit.numerics.chebyshev import ChebyshevBasis, chebyshev_nodes, coefficients_1d
from nmmfit.physics.forms import ALL_FORMS, Forms, vector_to_forms
from nmmfit.processors import processors
from nmmfit.shapes import Array

HALF_WIDTH = 4.0
"""Half the side of the box of shape pulls, in standard deviations."""

MAX_BASIS = 5000
_PROBE_NODES = 25
_CHECKS = 24
_CHUNK = 8
_SLACK = 10.0
# Values of the light pulls that share an evaluation of what depends on the others.
_TOGETHER = 8


@dataclass(frozen=True)
class Sampler:
    """Direct evaluation of several factors with the same shape pulls, one compilation for all points.

    Rows are (factor, monomial) for factors that read forms, (factor, 1) for those that do not. Points come in bundles, which
    differ in the light pulls alone: what depends on the others is computed once for a bundle.
    """

    factors: tuple[Factor, ...]
    light: np.ndarray
    """(pull,) which shape pulls are light."""
    evaluate: Callable[[Array], Array]
    """(bundle, point, pull) -> (bundle, point, row, bin)."""

    @property
    def together(self) -> int:
        """Points in a bundle."""
        return _TOGETHER if self.light.any() else 1

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """(point, row, bin) at shape-pull values (point, pull): whole bundles, one after the other."""
        bundles = points.reshape(len(points) // self.together, self.together, -1 if points.size else 0)
        n = len(bundles)
        padded = np.concatenate([bundles, np.zeros((-n % _CHUNK, *bundles.shape[1:]))])
        # One program does little side by side; several at once use all processors.
        with ThreadPoolExecutor(processors()) as pool:
            chunks = list(pool.map(lambda c: np.asarray(self.evaluate(jnp.asarray(c))), np.split(padded, len(padded) // _CHUNK)))
        values = np.concatenate(chunks)[:n]
        return values.reshape(-1, *values.shape[2:])

    def along(self, pull: int, values: np.ndarray) -> np.ndarray:
        """(value, row, bin) where one shape pull takes these values and the others are 0."""
        n, size = len(values), self.together
        if self.light[pull]:
            points = np.zeros((n + -n % size, len(self.light)))
            points[:n, pull] = values
            return self(points)[:n]
        points = np.zeros((n, size, len(self.light)))
        points[..., pull] = values[:, None]
        return self(points.reshape(-1, len(self.light)))[::size]


def sampler(factors: list[Factor], directions: Forms, nominal: Pulls) -> Sampler:
    """The direct evaluation of factors with the same shape pulls.

    Args:
        factors: at least one.
        directions: forms (leading axis monomial).
        nominal: every pull at 0.
    """
    pulls = factors[0].shape_pulls
    light = np.asarray([all(pull in factor.light_pulls for factor in factors) for pull in pulls], dtype=bool)
    nothing = vector_to_forms(jnp.zeros(1 + 9 * len(ALL_FORMS)), ALL_FORMS)

    def rows(factor: Factor, moved: Pulls) -> Array:
        if factor.forms is None:
            return factor.function(nothing, moved)[None, :]
        return jax.vmap(lambda forms: factor.function(forms, moved))(directions)

    def at(heavy: Array, x: Array) -> Array:
        moved = dict(nominal) | {name: x[i] if light[i] else heavy[i] for i, name in enumerate(pulls)}
        return jnp.concatenate([rows(factor, moved) for factor in factors])

    # What depends on the first point of a bundle alone is no batch of anything.
    bundle = jax.jit(lambda bundles: jax.lax.map(lambda b: jax.vmap(at, in_axes=(None, 0))(b[0], b), bundles))
    return Sampler(tuple(factors), light, bundle)


def _degrees(sample: Sampler, weight: np.ndarray, tol: float) -> list[int]:
    """Degree that each shape pull needs on its own, others at nominal."""
    degrees = []
    for pull in range(len(sample.light)):
        values = sample.along(pull, HALF_WIDTH * chebyshev_nodes(_PROBE_NODES))
        size = np.sqrt((coefficients_1d(values * weight) ** 2).sum(axis=2)).max(axis=1)
        above = np.flatnonzero(np.cumsum(size[::-1])[::-1] > tol)
        degrees.append(int(above[-1]) if len(above) else 0)
    return degrees


def _chebyshev_points(n: int, sample: Sampler) -> np.ndarray:
    """n bundles (point, pull) of quasi-random points of Chebyshev density, for a well-conditioned least-squares problem."""
    # Imported here: it takes half a second, which a process that finds its templates on disk does not need.
    from scipy.stats import qmc

    def uniform(count: int, dimension: int, seed: int) -> np.ndarray:
        return qmc.Sobol(dimension, seed=seed).random_base2(math.ceil(math.log2(count)))[:count]

    heavy, size = ~sample.light, sample.together
    points = np.empty((n * size, len(heavy)))
    if heavy.any():
        points[:, heavy] = np.repeat(uniform(n, int(heavy.sum()), 11), size, axis=0)
    if sample.light.any():
        points[:, sample.light] = uniform(n * size, int(sample.light.sum()), 12)
    return HALF_WIDTH * np.cos(np.pi * points)


def _bundles(sample: Sampler, basis: ChebyshevBasis) -> int:
    """Bundles that a fit needs: more points than functions, and more bundles than functions of the pulls that are not light."""
    of_heavy = len(np.unique(basis.indices[:, ~sample.light], axis=0))
    return max(math.ceil((1.6 * basis.size + 8) / sample.together), int(1.6 * of_heavy) + 8)


def fit(sample: Sampler, weight: np.ndarray, tol: float, max_basis: int = MAX_BASIS) -> tuple[ChebyshevBasis, np.ndarray, float]:
    """Polynomial fit (basis, row, bin); raises the degrees until random points agree to the tolerance.

    `weight` (row, bin) is the metric, 1/sqrt(expected) times the row's lift.
    """
    pulls = sample.factors[0].shape_pulls
    degrees = _degrees(sample, weight, 0.3 * tol)
    check = np.random.default_rng(7).uniform(-HALF_WIDTH, HALF_WIDTH, (_CHECKS, sample.together, len(pulls)))
    check[:, :, ~sample.light] = check[:, :1, ~sample.light]
    check = check.reshape(-1, len(pulls))
    truth = sample(check)
    values = np.zeros((0, *truth.shape[1:]))
    while True:
        basis = ChebyshevBasis(tuple(degrees), HALF_WIDTH)
        if basis.size > max_basis:
            raise NotConvergedError(
                f"templates: shape pulls {', '.join(pulls)} need more than {max_basis} basis functions "
                f"(degrees {degrees}); use the direct evaluation"
            )
        points = _chebyshev_points(_bundles(sample, basis), sample)
        # The sequence of points only grows: what was sampled for lower degrees serves again.
        if len(points) > len(values):
            values = np.concatenate([values, sample(points[len(values) :])])
        # Points of Chebyshev density make the columns nearly orthogonal, so that QR without pivoting is safe.
        q, r = np.linalg.qr(basis.matrix(points))
        solution = scipy.linalg.solve_triangular(r, q.T @ values.reshape(len(points), -1), check_finite=False)
        coefficients = solution.reshape(basis.size, *values.shape[1:])
        guess = np.tensordot(basis.matrix(check), coefficients, axes=1)
        error = float(np.sqrt((((guess - truth) * weight) ** 2).sum(axis=-1)).max())
        if error < _SLACK * tol:
            return basis, coefficients, error
        degrees = [d + max(1, round(0.2 * d)) if d > 0 or not any(degrees) else 0 for d in degrees]
