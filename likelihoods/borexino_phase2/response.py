"""From the energy of a recoil electron to the number of hits: arXiv:2204.03011, with pulls on light yield and resolution."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from likelihoods.borexino_phase2.inputs import (
    FIRST_HITS,
    LAST_HITS,
    LIGHT_YIELD_WIDTH,
    MEAN_HITS,
    RESOLUTION_WIDTH,
    SIGMA_HITS,
)
from nmmfit import precision as precision
from nmmfit.experiment import Pulls
from nmmfit.physics.detector import gaussian_bin_probabilities
from nmmfit.shapes import Array, Points

LIGHT_YIELD, RESOLUTION = "borexino_phase2.light_yield", "borexino_phase2.resolution"
SHAPE_PULLS = (LIGHT_YIELD, RESOLUTION)

# Below this energy no electron reaches the first bin: with the light yield 5 % up and the resolution 13 % worse, more than
# what 4 standard deviations of the pulls give, its probability there is below 3e-13. The polynomial is positive above 0.0165 MeV.
LOWEST_RECOIL_MEV = 0.08
# Above this energy hardly an electron is left in the last bin: a fraction of 2e-10 with the light yield 5 % down, of few.
# The polynomial rises monotonically throughout.
HIGHEST_RECOIL_MEV = 2.7


def mean_hits(t_mev: Points) -> Points:
    """Mean number of hits of an electron of kinetic energy T, MeV: cubic polynomial; negative below 0.0165 MeV."""
    t = jnp.asarray(t_mev)
    a, b, c, d = MEAN_HITS
    return a + t * (b + t * (c + t * d))


def sigma_hits(mean: Points) -> Points:
    """Standard deviation at a mean number of hits > 0: 1.21974 + 1.31394 sqrt(mean) - 0.0148585 mean."""
    a, b, c = SIGMA_HITS
    mean = jnp.asarray(mean)
    return a + b * jnp.sqrt(mean) + c * mean


def hit_edges() -> np.ndarray:
    """Bin edges: half-integers around 100, 101, ..., 700 hits."""
    return np.arange(FIRST_HITS, LAST_HITS + 2) - 0.5


def response_matrix(t_mev: Points, pulls: Pulls) -> Array:
    """Probability that an electron of energy T ends up in each bin, (bin, recoil).

    Mean N(T) exp(0.01 light_yield), standard deviation sigma(mean) exp(0.03 resolution): analytic in both pulls.

    Args:
        t_mev: (recoil,), MeV, between LOWEST_RECOIL_MEV and HIGHEST_RECOIL_MEV.
        pulls: with `light_yield` and `resolution` of this experiment.
    """
    mean = mean_hits(t_mev) * jnp.exp(LIGHT_YIELD_WIDTH * pulls[LIGHT_YIELD])
    sigma = sigma_hits(mean) * jnp.exp(RESOLUTION_WIDTH * pulls[RESOLUTION])
    return gaussian_bin_probabilities(mean, sigma, hit_edges()).T
