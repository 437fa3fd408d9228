"""What a detector does to a deposited energy: quenching, light yield, smearing into bins, efficiencies.

Everything here is analytic in its parameters (no clip, no table look-up), so that nuisances that bend a response have smooth
first and second derivatives.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erfc, gammaln

from nmmfit import precision as precision
from nmmfit.errors import DataError
from nmmfit.shapes import Array, ArrayLike

_SQRT2 = math.sqrt(2.0)
_SQRT_2PI = math.sqrt(2.0 * math.pi)


def gaussian_bin_probabilities(mean: ArrayLike, sigma: ArrayLike, edges: ArrayLike) -> Array:
    """Probability of each bin for a Gaussian observable.

    P_b = [erf((e_{b+1} - mean) / (sqrt 2 sigma)) - erf((e_b - mean) / (sqrt 2 sigma))] / 2, taken as a difference of
    complementary error functions wherever both edges lie on one side of the mean, so that far tails keep their relative
    precision (about 1e-12 for bins of a tenth of a sigma or more) instead of cancelling to zero.

    Args:
        mean: expected observable, shape (...), in the unit of `edges`.
        sigma: standard deviation, > 0, same unit, broadcastable to `mean`.
        edges: bin edges, increasing, (bin + 1,), the same for all, or (..., bin + 1).
    Returns: probabilities, (..., bin), >= 0; their sum is the probability between the first and the last edge.
    """
    mean, sigma = jnp.asarray(mean), jnp.asarray(sigma)
    z = (jnp.asarray(edges) - mean[..., None]) / (_SQRT2 * sigma[..., None])
    # Not jnp.abs: its derivative at 0 is 0, and an edge may sit exactly on the mean.
    below = z < 0.0
    outside = 0.5 * erfc(jnp.where(below, -z, z))
    lower, upper = outside[..., :-1], outside[..., 1:]
    around_mean = below[..., :-1] & ~below[..., 1:]
    one_side = jnp.where(below[..., 1:], upper - lower, lower - upper)
    return jnp.where(around_mean, 1.0 - (lower + upper), one_side)


def linear_morph(nominal: ArrayLike, directions: Sequence[ArrayLike], pulls: Sequence[ArrayLike]) -> Array:
    """Parameters moved along principal components: nominal + sum_k pull_k direction_k.

    Args:
        nominal: parameters at pull 0, (parameter,).
        directions: change of the parameters per unit of each pull, each (parameter,).
        pulls: pulls in standard deviations, scalars, as many as directions.
    Returns: (parameter,); linear in the pulls.
    """
    moved: Array = jnp.asarray(nominal)
    for direction, pull in zip(directions, pulls, strict=True):
        moved = moved + jnp.asarray(pull) * jnp.asarray(direction)
    return moved


def principal_direction(nominal: np.ndarray, plus: np.ndarray, minus: np.ndarray, what: str) -> np.ndarray:
    """Change of parameters per standard deviation of a principal component: half the difference of its two shifted sets.

    Raises: DataError that names the component unless the sets are symmetric about the nominal, which a linear morph needs.
    """
    if not np.allclose(0.5 * (plus + minus), nominal, rtol=2e-5):
        raise DataError(f"{what}: the shifted sets are not symmetric about the nominal one")
    return 0.5 * (plus - minus)


def polynomial_quenching(t_mev: ArrayLike, coefficients: ArrayLike) -> Array:
    """Electron-equivalent energy of a nuclear recoil, MeV: sum_k c_k T^(k + 1).

    Args:
        t_mev: recoil energy, MeV, any shape, >= 0.
        coefficients: c_k in MeV^(-k), (order,).
    Returns: E_ee, MeV, shape of `t_mev`; 0 at T = 0. Nothing keeps it positive: check the range of T and of the coefficients.
    """
    t = jnp.asarray(t_mev)
    c = jnp.asarray(coefficients)
    total: Array = jnp.zeros_like(t)
    for k in range(c.shape[0] - 1, -1, -1):
        total = (total + c[k]) * t
    return total


def poisson_probabilities(counts: np.ndarray, mean: ArrayLike) -> Array:
    """Probability of whole numbers for Poisson distributions: exp(n log mu - mu - log n!).

    Args:
        counts: whole numbers n >= 0, (count,).
        mean: mu > 0, (...).
    Returns: (count, ...), analytic in the mean.
    """
    n = jnp.asarray(counts, dtype=float).reshape(-1, *(1 for _ in jnp.shape(mean)))
    mu = jnp.asarray(mean)
    return jnp.exp(n * jnp.log(mu) - mu - gammaln(n + 1.0))


def gamma_density(x: ArrayLike, mean: ArrayLike, shape_excess: ArrayLike) -> Array:
    """Density of an observable smeared by a Gamma distribution of given mean.

    f(x) = r^(1+b) x^b exp(-r x) / Gamma(1+b), r = (1+b) / mean: mean `mean`, variance mean^2 / (1+b).

    Args:
        x: observable, > 0.
        mean: expected observable, > 0, same unit; broadcasts with x.
        shape_excess: b >= 0, the excess of the shape parameter over that of an exponential.
    Returns: density per unit of x, broadcast shape. Source: the smearing of arXiv:2110.07730 with r = a (1 + b), a = 1 / mean.
    """
    x, mean, b = jnp.asarray(x), jnp.asarray(mean), jnp.asarray(shape_excess)
    shape = 1.0 + b
    rate = shape / mean
    return jnp.exp(shape * jnp.log(rate) - gammaln(shape) + b * jnp.log(x) - rate * x)


def logistic_efficiency(x: ArrayLike, coefficients: ArrayLike) -> Array:
    """Efficiency curve a / (1 + exp(-b (x - c))) + d; may be negative at small x, see `smooth_positive`.

    Args:
        x: reconstructed energy, any shape.
        coefficients: (a, b, c, d) = (1, 1 / unit of x, unit of x, 1), (4,).
    """
    a, b, c, d = (jnp.asarray(coefficients)[k] for k in range(4))
    return a / (1.0 + jnp.exp(-b * (jnp.asarray(x) - c))) + d


def smooth_positive(value: ArrayLike, width: ArrayLike) -> Array:
    """The positive part max(0, f), with its kink smeared by a Gaussian: f Phi(f/w) + w phi(f/w).

    An entire function of f, positive everywhere; above the positive part by w / sqrt(2 pi) at f = 0 and by less than 4e-4 w
    beyond |f| = 3 w.

    Args:
        value: f, any shape.
        width: w > 0, same unit.
    """
    w = jnp.asarray(width)
    z = jnp.asarray(value) / w
    return w * (z * 0.5 * erfc(-z / _SQRT2) + jnp.exp(-0.5 * z**2) / _SQRT_2PI)


def exponential_efficiency(time: ArrayLike, onset: float, rate: float) -> Array:
    """Efficiency that is 1 below `onset` and exp(-rate (time - onset)) above; any shape, continuous, with a kink at the onset."""
    return jnp.exp(-rate * jnp.maximum(jnp.asarray(time) - onset, 0.0))


def exponential_efficiency_integral(low: ArrayLike, high: ArrayLike, onset: float, rate: float) -> np.ndarray:
    """Integral over [low, high] of an efficiency that is 1 below `onset` and exp(-rate (t - onset)) above.

    Args:
        low, high: limits, same shape, low <= high.
        onset: time from which the efficiency falls.
        rate: decay rate, > 0, inverse unit of the limits.
    Returns: integral, unit of the limits.
    """

    def primitive(t: np.ndarray) -> np.ndarray:
        after = np.maximum(t - onset, 0.0)
        return np.minimum(t, onset) - np.expm1(-rate * after) / rate

    return primitive(np.asarray(high, dtype=float)) - primitive(np.asarray(low, dtype=float))


@dataclass(frozen=True)
class BinNodes:
    """Gauss-Legendre nodes inside analysis bins: positions `x` and weights `weight`, both (node,), of `bins` bins."""

    x: np.ndarray
    weight: np.ndarray
    index: np.ndarray
    """(node,): the bin that each node belongs to."""
    bins: int

    def matrix(self) -> np.ndarray:
        """(bin, node): weights such that matrix @ f(x) integrates f over every bin."""
        sums = np.zeros((self.bins, len(self.x)))
        sums[self.index, np.arange(len(self.x))] = self.weight
        return sums


def bin_nodes(edges: np.ndarray, max_width: np.ndarray | float, order: int) -> BinNodes:
    """Quadrature nodes inside bins, each bin cut into equal panels no wider than `max_width`.

    Args:
        edges: increasing bin edges, (bin + 1,).
        max_width: widest panel, unit of the edges: one number, or one per bin, (bin,).
        order: Gauss-Legendre nodes in each panel, >= 1.
    Returns: nodes for all bins, in increasing order.
    """
    edges = np.asarray(edges, dtype=float)
    widths = np.broadcast_to(np.asarray(max_width, dtype=float), (len(edges) - 1,))
    u, w = np.polynomial.legendre.leggauss(order)
    x, weight, index = [], [], []
    for k, (low, high) in enumerate(itertools.pairwise(edges)):
        panels = max(1, math.ceil((high - low) / widths[k] - 1e-9))
        cuts = np.linspace(low, high, panels + 1)
        for start, stop in itertools.pairwise(cuts):
            x.append(start + 0.5 * (stop - start) * (u + 1.0))
            weight.append(0.5 * (stop - start) * w)
            index.append(np.full(order, k))
    return BinNodes(np.concatenate(x), np.concatenate(weight), np.concatenate(index), len(edges) - 1)
