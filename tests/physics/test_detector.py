"""Detector blocks against mpmath, closed forms and finite differences."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from jax.test_util import check_grads

from nmmfit.physics.detector import gaussian_bin_probabilities

EDGES = np.linspace(-12.0, 12.0, 49)


def gaussian_reference(low: float, high: float, mean: float, sigma: float) -> mp.mpf:
    """Bin probability in 60 digits."""
    with mp.workdps(60):
        a, b = ((mp.mpf(float(x)) - mp.mpf(mean)) / (mp.mpf(sigma) * mp.sqrt(2)) for x in (low, high))
        return (mp.erfc(a) - mp.erfc(b)) / 2 if a > 0 else (mp.erfc(-b) - mp.erfc(-a)) / 2


@pytest.mark.parametrize(("mean", "sigma"), [(0.0, 1.0), (0.25, 0.4), (-3.3, 0.7), (1.0, 5.0)])
def test_gaussian_bins_keep_relative_precision_in_the_tails(mean: float, sigma: float) -> None:
    probabilities = np.asarray(gaussian_bin_probabilities(mean, sigma, EDGES))
    checked = 0
    for b in range(len(EDGES) - 1):
        reference = gaussian_reference(EDGES[b], EDGES[b + 1], mean, sigma)
        if reference > 1e-290:
            assert probabilities[b] == pytest.approx(float(reference), rel=2e-12)
            checked += 1
    assert checked > 30


def test_gaussian_bins_broadcast_and_sum_to_the_contained_probability() -> None:
    mean = np.linspace(-2.0, 2.0, 6).reshape(2, 3)
    sigma = np.array([0.5, 1.0, 2.0])
    probabilities = gaussian_bin_probabilities(mean, sigma, EDGES)
    assert probabilities.shape == (2, 3, 48)
    whole = gaussian_bin_probabilities(mean, sigma, EDGES[[0, -1]])
    np.testing.assert_allclose(np.sum(probabilities, axis=-1), whole[..., 0], rtol=1e-13)


def test_gaussian_bins_accept_edges_of_their_own_per_point() -> None:
    edges = np.stack([EDGES, EDGES + 0.3])
    both = gaussian_bin_probabilities(np.array([0.1, 0.4]), np.array([1.0, 1.0]), edges)
    np.testing.assert_allclose(both[0], both[1], rtol=1e-11)


@pytest.mark.parametrize("mean", [0.0, 0.5, 0.499999, 20.0])
def test_gaussian_bin_gradients_also_where_an_edge_sits_on_the_mean(mean: float) -> None:
    edges = jnp.array([-1.0, 0.0, 0.5, 3.0])
    check_grads(lambda m, s: gaussian_bin_probabilities(m, s, edges), (mean, 1.3), order=2, rtol=1e-5, atol=1e-7)
    slope = jax.jacfwd(lambda m: gaussian_bin_probabilities(m, 1.3, edges))(mean)
    density = np.exp(-0.5 * ((np.asarray(edges) - mean) / 1.3) ** 2) / (1.3 * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(slope, density[:-1] - density[1:], rtol=1e-10, atol=1e-18)
