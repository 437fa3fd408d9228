"""Form factors against numerical Fourier transforms of their densities."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from derivative_checks import assert_derivatives
from scipy.integrate import quad
from scipy.special import erf

from nmmfit.errors import UserInputError
from nmmfit.physics import form_factors as ff
from nmmfit.units import HBAR_C_MEV_FM

Q_MEV = (0.5, 20.0, 60.0, 120.0, 250.0)


def transform(density, q_mev, r_max, breaks=()):
    """int rho j_0(q r) r^2 dr / int rho r^2 dr, and the rms radius, by adaptive quadrature."""
    q = q_mev / HBAR_C_MEV_FM
    options = {"epsabs": 0.0, "epsrel": 1e-11, "limit": 500, "points": breaks or None}
    norm = quad(lambda r: density(r) * r**2, 0, r_max, **options)[0]
    value = quad(lambda r: density(r) * r * np.sin(q * r) / q, 0, r_max, **(options | {"epsabs": 1e-12 * norm}))[0]
    square = quad(lambda r: density(r) * r**4, 0, r_max, **options)[0]
    return value / norm, np.sqrt(square / norm)


def sphere_with_gaussian(r, radius, s):
    """Uniform sphere folded with a Gaussian of width s per dimension, unnormalised."""
    plus, minus = (radius + r) / (np.sqrt(2) * s), (radius - r) / (np.sqrt(2) * s)
    edge = np.sqrt(2 / np.pi) * s / r * (np.exp(-(plus**2)) - np.exp(-(minus**2)))
    return erf(plus) + erf(minus) + edge


def sphere_with_yukawa(r, radius, a):
    """Uniform sphere folded with exp(-r/a)/r, unnormalised."""
    if r < radius:
        return 1.0 - (1.0 + radius / a) * np.exp(-radius / a) * np.sinh(r / a) * a / r
    return (radius / a * np.cosh(radius / a) - np.sinh(radius / a)) * np.exp(-r / a) * a / r


def fermi_density(r, c, a):
    return np.sinh(c / a) / (np.cosh(r / a) + np.cosh(c / a))


@pytest.mark.parametrize("q_mev", Q_MEV)
@pytest.mark.parametrize("radius_fm", [4.821, 3.448])
def test_helm_is_the_transform_of_a_sphere_folded_with_a_gaussian(q_mev, radius_fm):
    r0 = np.sqrt(5 / 3 * (radius_fm**2 - 3 * 0.9**2))
    value, rms = transform(lambda r: sphere_with_gaussian(r, r0, 0.9), q_mev, 16.0)
    assert np.allclose(float(ff.helm(q_mev, radius_fm)), value, rtol=1e-8, atol=1e-10)
    assert np.allclose(rms, radius_fm, rtol=1e-8)


@pytest.mark.parametrize("q_mev", Q_MEV)
def test_klein_nystrand_is_the_transform_of_a_sphere_folded_with_a_yukawa(q_mev):
    radius = 1.2 * 133 ** (1 / 3)
    value, _ = transform(lambda r: sphere_with_yukawa(r, radius, 0.7), q_mev, 30.0, (radius,))
    assert np.allclose(float(ff.klein_nystrand(q_mev, 133)), value, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("q_mev", Q_MEV)
def test_adapted_klein_nystrand_has_the_radius_asked_for(q_mev):
    radius = np.sqrt(5 / 3 * 5.01**2 - 10 * 0.7**2)
    value, rms = transform(lambda r: sphere_with_yukawa(r, radius, 0.7), q_mev, 30.0, (radius,))
    assert np.allclose(float(ff.klein_nystrand_adapted(q_mev, 5.01)), value, rtol=1e-8, atol=1e-10)
    assert np.allclose(rms, 5.01, rtol=1e-8)


@pytest.mark.parametrize("q_mev", Q_MEV)
def test_symmetrised_fermi_is_the_transform_of_its_density(q_mev):
    a = 0.523
    c = np.sqrt(5 / 3 * 4.821**2 - 7 / 3 * (np.pi * a) ** 2)
    value, rms = transform(lambda r: fermi_density(r, c, a), q_mev, 25.0)
    assert np.allclose(float(ff.symmetrised_fermi(q_mev, 4.821)), value, rtol=1e-8, atol=1e-10)
    assert np.allclose(rms, 4.821, rtol=1e-8)


def test_symmetrised_fermi_against_the_published_closed_form():
    """Sprung and Martorell's expression, term by term, in 40 digits, at a momentum where its terms cancel."""
    with mp.workdps(40):
        q, a = mp.mpf("0.05") / mp.mpf(HBAR_C_MEV_FM), mp.mpf("0.523")
        c = mp.sqrt(5 * mp.mpf("4.821") ** 2 / 3 - 7 * (mp.pi * a) ** 2 / 3)
        u, x = q * c, mp.pi * q * a
        bracket = mp.sin(u) / u**2 * x * mp.coth(x) - mp.cos(u) / u
        expected = 3 / u * bracket * x / mp.sinh(x) / (1 + (mp.pi * a / c) ** 2)
    assert np.allclose(float(ff.symmetrised_fermi(0.05, 4.821)), float(expected), rtol=1e-14)


@pytest.mark.parametrize("name", ["helm", "klein_nystrand", "fermi"])
def test_one_at_zero_and_rms_radius_from_the_second_derivative(name):
    function = ff.form_factor(name)
    assert float(function(0.0, 4.8)) == pytest.approx(1.0, abs=1e-15)
    curvature = jax.grad(jax.grad(function))(0.0, 4.8)
    assert np.sqrt(-3.0 * curvature) * HBAR_C_MEV_FM == pytest.approx(4.8, rel=1e-12)


@pytest.mark.parametrize("name", ["helm", "klein_nystrand", "fermi"])
def test_gradients_in_momentum_and_radius(name):
    # in units of 20 MeV and 1 fm, so that one step suits both
    points = [[q_mev / 20.0, 4.9] for q_mev in (0.0, 1e-3, 35.0, 120.0)]
    assert_derivatives(lambda x: ff.form_factor(name)(20.0 * x[0], x[1]), *points)


def test_point_and_shapes():
    q = jnp.linspace(0.0, 100.0, 5)
    assert ff.form_factor("point")(q, 4.0).shape == (5,)
    assert np.all(ff.form_factor("point")(q, 4.0) == 1.0)
    assert ff.helm(q[:, None], jnp.asarray([4.0, 5.0])).shape == (5, 2)


def test_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(UserInputError, match="did you mean 'helm'"):
        ff.form_factor("helmm")
