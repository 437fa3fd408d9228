"""Coherent scattering: reference numbers, published rates, and structure in proton and neutron couplings."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivative_checks import assert_derivatives
from scipy.integrate import quad

from nmmfit.constants import SIN2_THETA_W_0, electron_charge
from nmmfit.eft.chiral import dipole_per_tensor
from nmmfit.eft.couplings import QuarkCouplings
from nmmfit.errors import UserInputError
from nmmfit.inputs import StandardModelInputs
from nmmfit.physics import cevns, nucleons
from nmmfit.physics.form_factors import helm
from nmmfit.physics.forms import NUCLEAR_FORMS
from nmmfit.physics.kinematics import max_recoil_energy, momentum_transfer
from nmmfit.physics.nuclei import nucleus

CAESIUM = nucleus("Cs133")
ROUND_CAESIUM = dataclasses.replace(CAESIUM, mass_mev=123800.0)


def total_cross_section(e, target, option="tree", flavour=0):
    t_max = float(max_recoil_energy(e, target.mass_mev))
    x, w = np.polynomial.legendre.leggauss(60)
    t = 0.5 * t_max * (1 + x)
    q = momentum_transfer(t, target.mass_mev)
    kernel = cevns.sm_kernel(e, t, target, helm(q, target.r_p_fm), helm(q, target.r_n_fm), option)
    return float(np.sum(kernel[flavour] * w) * 0.5 * t_max)


@pytest.mark.parametrize(
    ("name", "e", "expected", "digit"),
    [
        ("Cs133", 10.0, 2.33e-39, 0.01e-39),
        ("Cs133", 20.0, 8.58e-39, 0.01e-39),
        ("Cs133", 30.0, 1.687e-38, 0.001e-38),
        ("Cs133", 40.0, 2.51e-38, 0.01e-38),
        ("Cs133", 52.8, 3.35e-38, 0.01e-38),
        ("I127", 30.0, 1.527e-38, 0.001e-38),
        ("Ar40", 30.0, 1.497e-39, 0.001e-39),
    ],
)
def test_reference_totals(name, e, expected, digit):
    assert total_cross_section(e, nucleus(name)) == pytest.approx(expected, abs=digit)


def stopped_pion_average(target):
    """Mean over the three flavours of a stopped-pion source, by adaptive quadrature over the Michel spectra."""
    m_mu = 105.6583755
    prompt = total_cross_section(29.792, target)

    def spectrum(e, kind):
        x = e / m_mu
        return 64 / m_mu * x**2 * (0.75 - x) if kind == "numubar" else 192 / m_mu * x**2 * (0.5 - x)

    delayed = [
        quad(lambda e, k=kind: spectrum(e, k) * total_cross_section(e, target) * 1e40, 0.0, m_mu / 2, epsrel=1e-6)[0] * 1e-40
        for kind in ("numubar", "nue")
    ]
    return (prompt + sum(delayed)) / 3


def test_reference_stopped_pion_averages():
    """The totals above, which agree to all digits, folded with the Michel spectra give averages 0.8 to 1.1 % above these."""
    caesium, iodine, argon = (stopped_pion_average(nucleus(n)) * 1e40 for n in ("Cs133", "I127", "Ar40"))
    assert caesium == pytest.approx(189, rel=0.012)
    assert iodine == pytest.approx(172, rel=0.012)
    assert 0.5 * (caesium + iodine) == pytest.approx(181, rel=0.012)
    assert argon == pytest.approx(17.8, rel=0.012)


def test_reference_end_point():
    assert float(max_recoil_energy(30.0, CAESIUM.mass_mev)) * 1e3 == pytest.approx(14.54, abs=0.005)


@pytest.mark.parametrize(
    ("m_n", "dipole", "tensor", "scalar"),
    [(0.0, 4.29652975e-38, 4.44749392e-37, 4.22135482e-38), (20.0, 3.72234919e-38, 4.10618163e-37, 5.07380934e-38)],
)
def test_reference_numbers_beyond_the_standard_model(m_n, dipole, tensor, scalar):
    """Spin-1/2 "Cs", M = 123.8 GeV, F = 1, E = 30 MeV, T = 8 keV; nuclear couplings d = 1e-7, t = 1e-4, S_1 = S_2 = 1e-4."""
    k = cevns.kernels(30.0, 8e-3, ROUND_CAESIUM, 1.0, 0.0, m_n_mev=m_n)
    z = ROUND_CAESIUM.z
    found = [k["dipole"] * 1e-14, k["tensor_pp"] * (1e-4 / z) ** 2, k["scalar_pp"] * (1e-4 / z) ** 2]
    assert np.allclose(found, [dipole, tensor, scalar], rtol=1.2e-8, atol=0)
    if m_n == 0.0:
        together = found[0] + found[1] + k["dipole_tensor_p"] * 1e-7 * 1e-4 / z
        assert float(together) == pytest.approx(4.87737406e-37, rel=1.2e-8)


def test_exactly_the_nuclear_forms():
    for option in cevns.TENSOR_COHERENCE:
        assert tuple(cevns.kernels(30.0, 5e-3, CAESIUM, 0.9, 0.85, tensor_coherence=option)) == NUCLEAR_FORMS


@pytest.mark.parametrize("antineutrino", [False, True])
@pytest.mark.parametrize("option", cevns.TENSOR_COHERENCE)
def test_contraction_depends_on_coherent_sums_only(option, antineutrino):
    """sum_k Re(x y*) K_k depends on n_p s_p + n_n s_n and n_p t_p + n_n t_n alone (equal nucleon masses to 0.14 % if shifted)."""
    rng = np.random.default_rng(3)
    k = cevns.kernels(30.0, 5e-3, CAESIUM, 0.9, 0.85, antineutrino, option)
    n_p, n_n = 0.9 * CAESIUM.z, 0.85 * CAESIUM.n
    d, s_p, s_n, t_p, t_n = rng.normal(size=5) + 1j * rng.normal(size=5)
    d *= 1e-3

    def rate(d, s_p, s_n, t_p, t_n):
        def re(x, y):
            return (x * np.conj(y)).real

        return float(
            k["dipole"] * abs(d) ** 2
            + k["tensor_pp"] * abs(t_p) ** 2
            + k["tensor_pn"] * re(t_p, t_n)
            + k["tensor_nn"] * abs(t_n) ** 2
            + k["dipole_tensor_p"] * re(d, t_p)
            + k["dipole_tensor_n"] * re(d, t_n)
            + k["scalar_pp"] * abs(s_p) ** 2
            + k["scalar_pn"] * re(s_p, s_n)
            + k["scalar_nn"] * abs(s_n) ** 2
            + k["scalar_tensor_pp"] * re(s_p, t_p)
            + k["scalar_tensor_pn"] * re(s_p, t_n)
            + k["scalar_tensor_np"] * re(s_n, t_p)
            + k["scalar_tensor_nn"] * re(s_n, t_n)
            + k["dipole_scalar_p"] * re(d, s_p)
            + k["dipole_scalar_n"] * re(d, s_n)
        )

    total = rate(d, s_p, s_n, t_p, t_n)
    moved = rate(d, 0.0, s_n + s_p * n_p / n_n, t_p + t_n * n_n / n_p, 0.0)
    assert total == pytest.approx(moved, rel=1e-12 if option == "coherent" else 5e-3)
    assert total > 0


@pytest.mark.parametrize("spin", [0, 0.5])
def test_nonrelativistic_tensor_is_a_shift_of_the_dipole(spin):
    """With t alone, the rate is that of a dipole d = M T / (e Z F_p) sum_X n_X t_X / m_X (arXiv:2007.08529)."""
    t_mev, f_p, f_n, t_p, t_n = 6e-3, 0.9, 0.85, 2e-4, 1e-4
    k = cevns.kernels(30.0, t_mev, CAESIUM, f_p, f_n, tensor_coherence="nonrelativistic", spin=spin)
    n_p, n_n = CAESIUM.z * f_p, CAESIUM.n * f_n
    mt_gev2 = CAESIUM.mass_mev * t_mev * 1e-6
    shift = mt_gev2 / (electron_charge() * n_p) * (n_p * t_p / 0.93827208943 + n_n * t_n / 0.93956542194)
    from_tensor = k["tensor_pp"] * t_p**2 + k["tensor_pn"] * t_p * t_n + k["tensor_nn"] * t_n**2
    assert float(from_tensor) == pytest.approx(float(k["dipole"]) * shift**2, rel=1e-12)
    d = 3e-7
    cross = k["dipole_tensor_p"] * d * t_p + k["dipole_tensor_n"] * d * t_n
    assert float(cross) == pytest.approx(2 * float(k["dipole"]) * d * shift, rel=1e-12)
    s_n = 1e-5
    mixed = k["scalar_tensor_np"] * s_n * t_p + k["scalar_tensor_nn"] * s_n * t_n
    assert float(mixed) == pytest.approx(float(k["dipole_scalar_n"]) * s_n * shift, rel=1e-12)


def test_published_sizes_of_the_direct_tensor_term():
    """|q| = 50 MeV on Cs: +0.022 GeV L_u and +0.026 GeV L_d, from F_1 - 2 F_2 - 4 F_3 = 3.4 and 1.2."""
    t_mev = 50.0**2 / (2 * CAESIUM.mass_mev)
    k = cevns.kernels(60.0, t_mev, CAESIUM, 1.0, 1.0, tensor_coherence="nonrelativistic")
    for t_p, t_n, expected in ((3.4, 1.2, 0.022), (1.2, 3.4, 0.026)):
        cross = k["dipole_tensor_p"] * t_p + k["dipole_tensor_n"] * t_n
        assert float(cross / (2 * k["dipole"])) == pytest.approx(expected, abs=5e-4)


def test_direct_tensor_term_against_the_chiral_one():
    """On Cs at |q| = 50 MeV with c_T = -3.2: +0.022 and +0.026 GeV (u, d) of one, +0.0095 and -0.0047 GeV of the other.

    The same size; they add up for u and work against each other for d. Chiral: -2 e Q_q c_T F_pi / 4 pi, by hand.
    """
    charges = nucleons.nucleon_charges("flag2021")
    t_mev = 50.0**2 / (2 * CAESIUM.mass_mev)
    k = cevns.kernels(60.0, t_mev, CAESIUM, 1.0, 1.0, tensor_coherence="nonrelativistic")
    for quark, charge, direct, chiral in (
        ("u", 2 / 3, 0.022, 0.0095),
        ("d", -1 / 3, 0.026, -0.0047),
        ("s", -1 / 3, -5e-5, -0.0047),
    ):
        unit = {f.name: jnp.zeros((3, 6)) for f in dataclasses.fields(QuarkCouplings)}
        c = nucleons.target_couplings(QuarkCouplings(**unit | {f"tensor_{quark}": jnp.ones((3, 6))}), charges, "nonrelativistic")
        cross = k["dipole_tensor_p"] * c.tensor_p[0, 0] + k["dipole_tensor_n"] * c.tensor_n[0, 0]
        assert float(cross / (2 * k["dipole"])) == pytest.approx(direct, rel=0.03, abs=1e-5)
        indirect = -2 * np.sqrt(4 * np.pi / 137.036) * charge * -3.2 * 0.0923 / (4 * np.pi)
        assert indirect == pytest.approx(chiral, abs=5e-5)
        # this is what matching adds to the dipole, per c_T
        matched = -3.2 * dipole_per_tensor(quark, np.sqrt(4 * np.pi / 137.036), StandardModelInputs())
        assert float(matched) == pytest.approx(indirect, rel=1e-6, abs=0)


def test_sm_spin_difference_is_negligible_and_known():
    e, t = 50.0, 0.02
    half = cevns.sm_kernel(e, t, CAESIUM, 0.8, 0.8)
    zero = cevns.sm_kernel(e, t, CAESIUM, 0.8, 0.8, spin=0)
    bracket = 1 - t / e - CAESIUM.mass_mev * t / (2 * e**2)
    np.testing.assert_allclose(half / zero - 1, t**2 / (2 * e**2) / bracket, rtol=1e-6)


def test_tree_level_is_the_textbook_formula():
    """G_F^2 M / 4 pi [N - (1 - 4 s_W^2) Z]^2 (1 - T/E - M T / 2E^2), arXiv:2206.13122 (3.8)-(3.9)."""
    e, t, s2 = 30.0, 8e-3, SIN2_THETA_W_0.value
    m = CAESIUM.mass_mev
    weak = CAESIUM.n - (1 - 4 * s2) * CAESIUM.z
    expected = 1.1663787e-11**2 * m / (4 * np.pi) * weak**2 * (1 - t / e - m * t / (2 * e**2)) * 197.3269804e-13**2
    np.testing.assert_allclose(cevns.sm_kernel(e, t, CAESIUM, 1.0, 1.0, "tree"), expected, rtol=1e-6)


def test_radiative_weak_charges_from_their_formulae():
    """Erler and Su, arXiv:1303.5522, evaluated here from the box and penguin terms, to the four digits in use."""
    alpha_hat, alpha_s, s2_z, s2_0 = 1 / 127.95, 0.117, 0.23121, SIN2_THETA_W_0.value
    rho, m_w, alpha = 1.00063, 80.379, 1 / 137.036
    c2_z = 1 - s2_z
    square_ww = -alpha_hat / (2 * np.pi * s2_z) * (1 - alpha_s / (2 * np.pi))
    cross_ww = alpha_hat / (8 * np.pi * s2_z) * (1 + alpha_s / np.pi)

    def cross_zz(g):
        return -3 * alpha_hat / (8 * np.pi * s2_z * c2_z) * g**2 * (1 - alpha_s / np.pi)

    u_l, u_r, d_l, d_r = (cross_zz(g) for g in (0.5 - 2 / 3 * s2_z, -2 / 3 * s2_z, -0.5 + 1 / 3 * s2_z, 1 / 3 * s2_z))
    g_n = -rho / 2 + 2 * square_ww + cross_ww + rho * (2 * d_l + u_l - 2 * d_r - u_r)
    charges = cevns.WEAK_CHARGES["radiative"]
    assert charges.g_n == pytest.approx(g_n, abs=1.5e-4)
    for g_p, m_lepton in zip(charges.g_p, (0.00051099895, 0.1056583755, 1.77686), strict=True):
        phi = -alpha / (6 * np.pi) * (np.log(m_w**2 / m_lepton**2) + 1.5)
        expected = rho * (0.5 - 2 * s2_0) + 2 * cross_ww + square_ww - 2 * phi + rho * (2 * u_l + d_l - 2 * u_r - d_r)
        assert g_p == pytest.approx(expected, abs=1.5e-4)


def test_zero_above_the_end_point_and_finite_below():
    t_max = float(max_recoil_energy(30.0, CAESIUM.mass_mev))
    t = jnp.asarray([1e-9, 0.5 * t_max, t_max, 1.001 * t_max])
    for spin, option in ((0.5, "coherent"), (0.5, "nonrelativistic"), (0, "nonrelativistic")):
        k = cevns.kernels(30.0, t, CAESIUM, 1.0, 1.0, tensor_coherence=option, spin=spin)
        assert all(np.all(np.isfinite(v)) and v.shape == (4,) and float(v[3]) == 0.0 for v in k.values())
    sm = cevns.sm_kernel(30.0, t, CAESIUM, 1.0, 1.0)
    assert sm.shape == (3, 4)
    assert np.all(sm[:, 3] == 0.0)
    assert np.allclose(sm[:, 2] / sm[:, 0], 0.0, atol=1e-6)


def test_at_rest_only_the_dipole_diverges():
    k = cevns.kernels(30.0, 0.0, CAESIUM, 1.0, 1.0, tensor_coherence="nonrelativistic")
    assert float(k["dipole"]) == np.inf
    assert all(np.isfinite(float(v)) for name, v in k.items() if name != "dipole")


@pytest.mark.parametrize(("spin", "option"), [(0, "nonrelativistic"), (0.5, "nonrelativistic"), (0.5, "coherent")])
def test_gradients_in_energies_and_form_factors(spin, option):
    """In ln E and ln T, so that one step suits soft recoils as well; every kernel in units of its own size."""
    t = jnp.asarray([1e-4, 8e-3])
    size = jnp.stack([*cevns.kernels(30.0, 1e-3, CAESIUM, 0.9, 0.8, True, option, spin).values()])[:, None]

    def scaled(x):
        k = cevns.kernels(30.0 * jnp.exp(x[0]), t * jnp.exp(x[1]), CAESIUM, x[2], x[3], True, option, spin)
        return jnp.stack([*k.values()]) / size

    assert_derivatives(scaled, [0.0, 0.0, 0.9, 0.8])


def test_outside_values_leave_finite_gradients():
    for t in (1e-3, 0.1):
        gradient = jax.grad(lambda x: jnp.sum(cevns.sm_kernel(10.0, x, CAESIUM, 1.0, 1.0)))(t)
        assert np.isfinite(float(gradient))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tensor_coherence": "coherently"}, "did you mean 'coherent'"),
        ({"spin": 1.5}, "spin: 1.5 is not implemented"),
        ({"spin": 0}, "no coherent tensor coupling"),
    ],
)
def test_wrong_options(arguments, message):
    with pytest.raises(UserInputError, match=message):
        cevns.kernels(30.0, 8e-3, CAESIUM, 1.0, 1.0, **arguments)


def test_unknown_weak_charges():
    with pytest.raises(UserInputError, match="did you mean 'radiative'"):
        cevns.sm_kernel(30.0, 8e-3, CAESIUM, 1.0, 1.0, "radiativ")
