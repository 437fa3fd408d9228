"""What a detector does to a deposited energy: quenching, light yield, smearing into bins, efficiencies.

Everything here is analytic in its parameters (no clip, no table look-up), so that nuisances that bend a response have smooth
first and second derivatives.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax.scipy.special import erfc

from nmmfit import precision as precision
from nmmfit.shapes import Array, ArrayLike

_SQRT2 = math.sqrt(2.0)


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
