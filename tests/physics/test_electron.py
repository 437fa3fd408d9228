"""Neutrino-electron scattering: published radiative corrections, reference numbers of an independent script, limits.

The reference numbers were made with constants rounded to eight or nine digits, so that their last digit is uncertain.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from derivative_checks import assert_derivatives
from scipy.integrate import quad

from nmmfit.constants import ALPHA_0, M_ELECTRON_MEV
from nmmfit.errors import UserInputError
from nmmfit.physics import electron, radiative
from nmmfit.physics.forms import ELECTRON_FORMS
from nmmfit.physics.kinematics import max_recoil_energy

M_E = M_ELECTRON_MEV.value

# E, T in MeV; d sigma / dT in cm^2/MeV: nu_e full, nu_e rho and kappa only, nu_mu full, nu_mu rho and kappa only
BKS_TABLE = [
    (0.42, 0.10, 8.679365e-45, 8.705362e-45, 2.141353e-45, 2.146214e-45),
    (0.8618, 0.30, 8.768346e-45, 8.803599e-45, 1.901976e-45, 1.908786e-45),
    (10.0, 5.0, 9.122081e-45, 9.175336e-45, 1.535966e-45, 1.546138e-45),
]


@pytest.mark.parametrize(("e", "t", "full_e", "couplings_e", "full_mu", "couplings_mu"), BKS_TABLE)
def test_reference_numbers_with_radiative_corrections(e, t, full_e, couplings_e, full_mu, couplings_mu):
    full = electron.sm_kernel(e, t, "bks")
    couplings = electron.sm_kernel(e, t, "rho_kappa")
    assert np.allclose(full, [full_e, full_mu, full_mu], rtol=3e-7, atol=0)
    assert np.allclose(couplings, [couplings_e, couplings_mu, couplings_mu], rtol=3e-7, atol=0)


def test_reference_photon_corrections():
    f_minus, f_plus_rest2, f_mixed = radiative.photon_corrections(0.8618, 0.3)
    z = 0.3 / 0.8618
    found = [float(f_minus), float(f_plus_rest2) / (1 - z) ** 2, float(f_mixed)]
    assert np.allclose(found, [-1.673690, -1.503211, -0.812582], rtol=0, atol=6e-7)


@pytest.mark.parametrize(("option", "nu_e", "nu_mu"), [("bks", 5.7837e-45, 1.2807e-45), ("none", 6.0654e-45, 1.2247e-45)])
def test_reference_totals_at_the_beryllium_line(option, nu_e, nu_mu):
    t_max = float(max_recoil_energy(0.8618, M_E))
    kernel = jax.jit(lambda t: electron.sm_kernel(0.8618, t, option))
    for flavour, expected in ((0, nu_e), (1, nu_mu)):
        total = quad(lambda t, k=flavour: 1e45 * float(kernel(t)[k]), 0.0, t_max, epsrel=1e-8)[0]
        assert total == pytest.approx(expected * 1e45, abs=5.5e-5)


def mp_photon_corrections(e, t):
    """The three functions as printed in astro-ph/9502003, with L(x) by quadrature, in 30 digits."""
    e, t, m = mp.mpf(e), mp.mpf(t), mp.mpf(M_E)
    z, ee = t / e, t + m
    length = mp.sqrt(ee**2 - m**2)
    beta = length / ee

    def spence(x):
        return mp.quad(lambda u: mp.log(abs(1 - u)) / u, [0, x / 2, x])

    a = ee / length * mp.log((ee + length) / m) - 1
    lam = mp.log(1 - z - m / (ee + length))
    f_minus = (
        a * (2 * lam - mp.log(1 - z) - mp.log(z) / 2 - mp.mpf(5) / 12)
        + (spence(z) - spence(beta)) / 2
        - mp.log(1 - z) ** 2 / 2
        - (mp.mpf(11) / 12 + z / 2) * mp.log(1 - z)
        + z * (mp.log(z) + mp.log(2 * e / m) / 2)
        - (mp.mpf(31) / 18 + mp.log(z) / 12) * beta
        - 11 * z / 12
        + z**2 / 24
    )
    f_plus = (
        a * ((1 - z) ** 2 * (2 * lam - mp.log(1 - z) - mp.log(z) / 2 - mp.mpf(2) / 3) - (z**2 * mp.log(z) + 1 - z) / 2)
        - (1 - z) ** 2 / 2 * (mp.log(1 - z) ** 2 + beta * (spence(1 - z) - mp.log(z) * mp.log(1 - z)))
        + mp.log(1 - z) * (z**2 / 2 * mp.log(z) + (1 - z) / 3 * (2 * z - mp.mpf(1) / 2))
        - z**2 / 2 * spence(1 - z)
        - z * (1 - 2 * z) / 3 * mp.log(z)
        - z * (1 - z) / 6
        - beta / 12 * (mp.log(z) + (1 - z) * (115 - 109 * z) / 6)
    )
    return float(f_minus), float(f_plus), float(2 * a * lam)


@pytest.mark.parametrize(("e", "t"), [(0.3, 1e-3), (0.8618, 0.3), (1.4, 1.1), (15.0, 0.05), (15.0, 12.0), (50.0, 49.0)])
def test_photon_corrections_in_high_precision(e, t):
    with mp.workdps(30):
        expected = mp_photon_corrections(e, t)
    assert np.allclose([float(f) for f in radiative.photon_corrections(e, t)], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("t", [1e-6, 1e-3, 0.1, 0.34, 0.36, 1.0, 20.0])
def test_loop_function_in_high_precision(t):
    with mp.workdps(40):
        x = mp.sqrt(1 + 2 * mp.mpf(M_E) / mp.mpf(t))
        expected = (mp.mpf(1) / 3 + (3 - x**2) * (x / 2 * mp.log((x + 1) / (x - 1)) - 1)) / 6
    assert float(radiative.loop_function(t)) == pytest.approx(float(expected), rel=1e-10, abs=1e-16)


def test_small_recoil_limits():
    assert float(radiative.loop_function(0.0)) == 0.0
    assert all(float(f) == 0.0 for f in radiative.photon_corrections(1.0, 0.0))
    full, couplings = electron.sm_kernel(1.0, 1e-10, "bks"), electron.sm_kernel(1.0, 1e-10, "rho_kappa")
    np.testing.assert_allclose(full, couplings, rtol=1e-6)


def test_photon_correction_size_and_sign():
    """Astro-ph/9502003 finds corrections of the order of -1 % at solar energies, growing towards the end point."""
    e, t = 10.0, np.asarray([1.0, 5.0, 9.0])
    ratio = electron.sm_kernel(e, t, "bks")[0] / electron.sm_kernel(e, t, "rho_kappa")[0] - 1.0
    assert np.all(ratio < 0)
    assert np.all(np.diff(ratio) < 0)
    assert np.all(ratio > -0.05)


@pytest.mark.parametrize("option", electron.RADIATIVE)
def test_positive_up_to_the_end_point_and_zero_beyond(option):
    e = np.asarray([0.1, 0.4, 0.8618, 3.0, 15.0, 60.0])[:, None]
    t_max = np.asarray(max_recoil_energy(e, M_E))
    fractions = np.asarray([0.0, 1e-9, 0.3, 0.999, 1.0 - 1e-13, 1.0])
    for antineutrino in (False, True):
        inside = electron.sm_kernel(e, t_max * fractions, option, antineutrino)
        assert inside.shape == (3, 6, 6)
        assert np.all(np.isfinite(inside))
        assert np.all(inside >= 0.0)
        assert np.all(electron.sm_kernel(e, t_max * 1.0001, option, antineutrino) == 0.0)


def test_tree_level_is_the_textbook_formula():
    """(G_F^2 m_e / 2 pi) [(g_V + g_A)^2 + (g_V - g_A)^2 (1 - T/E)^2 - (g_V^2 - g_A^2) m T / E^2], PDG."""
    s2, e, t = 0.23857, 2.0, 0.7
    for flavour, sign in ((0, 1.0), (1, -1.0), (2, -1.0)):
        g_v, g_a = 2 * s2 + 0.5 * sign, 0.5 * sign
        for antineutrino in (False, True):
            a = -g_a if antineutrino else g_a
            bracket = (g_v + a) ** 2 + (g_v - a) ** 2 * (1 - t / e) ** 2 - (g_v**2 - a**2) * M_E * t / e**2
            expected = 1.1663787e-11**2 * M_E / (2 * np.pi) * bracket * 197.3269804e-13**2
            found = electron.sm_kernel(e, t, "none", antineutrino)[flavour]
            assert float(found) == pytest.approx(expected, rel=1e-8)


def test_dipole_is_the_textbook_magnetic_moment_formula():
    """pi alpha^2 / m_e^2 (mu / mu_B)^2 (1/T - 1/E), arXiv:2206.13122 eq. (3.1), and the reference number for 1e-11 mu_B."""
    from nmmfit.constants import bohr_magneton_per_gev

    dipole = 0.5e-11 * bohr_magneton_per_gev()
    found = float(electron.kernels(0.42, 0.1)["dipole"]) * dipole**2
    closed = np.pi * ALPHA_0.value**2 / M_E**2 * 1e-22 * (1 / 0.1 - 1 / 0.42) * 197.3269804e-13**2
    assert found == pytest.approx(closed, rel=1e-9)
    assert found == pytest.approx(1.900702e-46, rel=3e-7)


REFERENCE_SUM = {
    # antineutrino, m_N in MeV: S, T, dipole, everything; cm^2/MeV
    (False, 0.0): (9.75190201e-48, 4.99224732e-47, 2.46974576e-47, 9.89652127e-47),
    (False, 0.3): (1.26145014e-47, 4.13374802e-47, 2.02130641e-47, 8.94206738e-47),
    (True, 0.0): (9.75190201e-48, 4.99224732e-47, 2.46974576e-47, 6.20313567e-47),
}


@pytest.mark.parametrize(("antineutrino", "m_n"), REFERENCE_SUM)
def test_reference_numbers_beyond_the_standard_model(antineutrino, m_n):
    k = electron.kernels(0.8618, 0.3, antineutrino, m_n)
    s1, s2, t, d = 1e-6, 2e-6, (0.5 - 0.25j) * 1e-6, 1e-9
    scalar = float(k["electron_s1_s1"] * s1**2 + k["electron_s2_s2"] * s2**2 + k["electron_s1_s2"] * s1 * s2)
    tensor = float(k["electron_tensor"] * abs(t) ** 2)
    dipole = float(k["dipole"] * d**2)
    mixed = float(
        k["electron_s1_tensor"] * s1 * t.real
        + k["electron_dipole_scalar"] * d * (s1 + s2)
        + k["electron_dipole_tensor"] * d * t.real
    )
    expected = REFERENCE_SUM[antineutrino, m_n]
    assert np.allclose([scalar, tensor, dipole, scalar + tensor + dipole + mixed], expected, rtol=1.2e-8, atol=0)


def test_exactly_the_electron_forms():
    assert tuple(electron.kernels(1.0, 0.5)) == ELECTRON_FORMS


@pytest.mark.parametrize("option", electron.RADIATIVE)
def test_gradients_of_the_standard_model(option):
    """In ln E and ln T, so that one step suits soft recoils as well."""

    fraction = jnp.asarray([[1.0, 0.3], [1.0, 1e-6], [5.0, 4.0], [10.0, 0.05]])

    def scaled(x):
        scale = jnp.exp(x)
        return 1e45 * electron.sm_kernel(scale[0] * fraction[:, 0], scale[1] * fraction[:, 1], option)

    assert_derivatives(scaled, [0.0, 0.0])


def test_gradients_are_finite_at_the_edges():
    @jax.jit
    def derivatives(x):
        def function(y):
            return electron.sm_kernel(y[0], y[1])[0]

        return jax.grad(function)(x), jax.hessian(function)(x)

    for t in (0.0, float(max_recoil_energy(0.8618, M_E)), 2.0):
        gradient, hessian = derivatives(jnp.asarray([0.8618, t]))
        assert np.all(np.isfinite(gradient))
        assert np.all(np.isfinite(hessian))


def test_unknown_option():
    with pytest.raises(UserInputError, match="did you mean 'bks'"):
        electron.sm_kernel(1.0, 0.5, "bkss")
