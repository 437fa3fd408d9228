"""Detector blocks against mpmath, closed forms and finite differences."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy import integrate, stats

from nmmfit.errors import DataError
from nmmfit.physics.detector import (
    bin_nodes,
    exponential_efficiency,
    exponential_efficiency_integral,
    gamma_density,
    gaussian_bin_probabilities,
    linear_morph,
    logistic_efficiency,
    poisson_probabilities,
    polynomial_quenching,
    principal_direction,
    smooth_positive,
)

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
    check_grads(jax.jit(lambda m, s: gaussian_bin_probabilities(m, s, edges)), (mean, 1.3), order=2, rtol=1e-5, atol=1e-7)
    slope = jax.jacfwd(lambda m: gaussian_bin_probabilities(m, 1.3, edges))(mean)
    density = np.exp(-0.5 * ((np.asarray(edges) - mean) / 1.3) ** 2) / (1.3 * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(slope, density[:-1] - density[1:], rtol=1e-10, atol=1e-18)


def test_linear_morph_passes_through_its_sets() -> None:
    nominal, first, second = np.array([1.0, -2.0]), np.array([0.1, 0.3]), np.array([0.0, -0.5])
    np.testing.assert_allclose(linear_morph(nominal, (first, second), (0.0, 0.0)), nominal)
    np.testing.assert_allclose(linear_morph(nominal, (first, second), (1.0, -2.0)), [1.1, -0.7])


@pytest.mark.parametrize("t_mev", [0.0, 1e-3, 0.0145, 0.045])
def test_polynomial_quenching(t_mev: float) -> None:
    coefficients = [0.0554628, 4.30681, -111.707, 840.384]
    expected = np.polyval([*coefficients[::-1], 0.0], t_mev)
    assert float(polynomial_quenching(t_mev, np.array(coefficients))) == pytest.approx(expected, rel=1e-14, abs=0)


@pytest.mark.parametrize(("mean", "excess"), [(13.35, 9.56), (0.3, 0.2), (60.0, 43.0), (5.0, 0.0)])
def test_gamma_density_is_that_of_scipy(mean: float, excess: float) -> None:
    x = np.array([0.01, 0.4, 3.0, 12.0, 55.0])
    reference = stats.gamma.pdf(x, 1.0 + excess, scale=mean / (1.0 + excess))
    np.testing.assert_allclose(gamma_density(x, mean, excess), reference, rtol=1e-11, atol=1e-300)


def test_gamma_density_gradients() -> None:
    x = np.array([0.4, 12.0])
    check_grads(jax.jit(lambda m, b: gamma_density(x, m, b)), (13.35, 9.56), order=2, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("value", [-1.0, -0.1, -0.03, 0.0, 0.02, 0.5])
def test_smooth_positive_is_the_smeared_positive_part(value: float) -> None:
    width = 0.03
    with mp.workdps(30):
        smeared = mp.quad(lambda z: (value + width * z) * mp.npdf(z), [mp.mpf(-value) / width, mp.mpf(-value) / width + 2, 60])
    assert float(smooth_positive(value, width)) == pytest.approx(float(smeared), rel=1e-9, abs=1e-60)
    assert float(smooth_positive(value, width)) > 0 or value < -30 * width
    check_grads(jax.jit(lambda f: smooth_positive(f, width)), (value,), order=2, rtol=1e-4, atol=1e-5, eps=1e-5)


def test_logistic_efficiency_limits() -> None:
    coefficients = np.array([1.3, 0.3, 11.0, -0.33])
    far = logistic_efficiency(np.array([-200.0, 11.0, 400.0]), coefficients)
    np.testing.assert_allclose(far, [-0.33, 1.3 / 2 - 0.33, 1.3 - 0.33], rtol=1e-12)


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.3), (0.2, 1.4), (0.52, 0.52), (0.52, 6.0), (2.0, 4.0)])
def test_exponential_efficiency_and_its_integral(low: float, high: float) -> None:
    whole, _ = integrate.quad(lambda t: float(exponential_efficiency(t, 0.52, 0.0494)), low, high, points=[min(0.52, high)])
    assert float(exponential_efficiency_integral(low, high, 0.52, 0.0494)) == pytest.approx(whole, rel=1e-12, abs=1e-15)
    assert float(exponential_efficiency(0.1, 0.52, 0.0494)) == 1.0


def test_bin_nodes_integrate_polynomials_in_every_bin() -> None:
    edges = np.array([0.0, 8.0, 12.0, 60.0])
    nodes = bin_nodes(edges, np.array([1.0, 2.0, 10.0]), 3)
    assert len(nodes.x) == 3 * (8 + 2 + 5)
    assert np.all(np.diff(nodes.x) > 0)
    np.testing.assert_allclose(nodes.matrix() @ nodes.x**5, np.diff(edges**6) / 6.0, rtol=1e-13)
    np.testing.assert_allclose(nodes.matrix().sum(axis=1), np.diff(edges), rtol=1e-14)


@pytest.mark.parametrize("mean", [0.05, 1.0, 7.3, 80.0])
def test_poisson_probabilities_against_scipy(mean: float) -> None:
    n = np.arange(120)
    np.testing.assert_allclose(poisson_probabilities(n, mean), stats.poisson.pmf(n, mean), rtol=1e-11, atol=1e-300)
    several = poisson_probabilities(n, np.array([mean, 2.0 * mean]))
    assert several.shape == (120, 2)
    # dP_n / d mu = P_(n-1) - P_n
    expected = stats.poisson.pmf(n - 1, mean) - stats.poisson.pmf(n, mean)
    np.testing.assert_allclose(jax.jacfwd(lambda mu: poisson_probabilities(n, mu))(mean), expected, rtol=1e-9, atol=1e-13)


def test_a_principal_direction_is_half_the_difference() -> None:
    nominal, step = np.array([1.0, -2.0]), np.array([0.1, 0.4])
    np.testing.assert_allclose(principal_direction(nominal, nominal + step, nominal - step, "qf0"), step, rtol=1e-14)
    with pytest.raises(DataError, match="qf0: the shifted sets are not symmetric"):
        principal_direction(nominal, nominal + step, nominal, "qf0")
