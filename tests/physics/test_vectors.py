"""Vector couplings in rates: traces, density matrices, interference with the Standard Model, symmetries, published formulae."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path

import dirac
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivative_checks import assert_derivatives

from nmmfit.eft.amplitudes import quark_couplings
from nmmfit.eft.chiral import ChiralInputs
from nmmfit.inputs import StandardModelInputs
from nmmfit.physics import cevns, electron, forms, spin_half, spin_zero
from nmmfit.physics.folded import fold_cevns
from nmmfit.physics.forms import TargetCouplings, quadratic_forms
from nmmfit.physics.kinematics import recoil_limits
from nmmfit.physics.nuclei import nucleus
from nmmfit.physics.nucleons import nucleon_charges, target_couplings
from nmmfit.physics.rates import SourceNodes, recoil_spectrum

G_F = 1.1663787e-5
NORM = -2.0 * math.sqrt(2.0) * G_F
E, T = 0.8618, 0.3
M_E = 0.51099895
CS = nucleus("Cs133")
RECOILS = np.array([1e-4, 2e-3, 9e-3])
VECTORS = ("vector_p", "vector_n", "electron_left", "electron_right")


def hermitian(rng, size):
    """A random Hermitian matrix for the columns that meet the Standard Model, anything in the others: (3, 6)."""
    a = rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3))
    b = rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3))
    return size * np.concatenate([0.5 * (a + a.conj().T), b], axis=1)


def random_couplings(seed, size=1e-5):
    rng = np.random.default_rng(seed)
    return dataclasses.replace(TargetCouplings.zero(), **{name: jnp.asarray(hermitian(rng, size)) for name in VECTORS})


def mixture(seed):
    rng = np.random.default_rng(seed)
    states = rng.normal(size=(2, 3)) + 1j * rng.normal(size=(2, 3))
    states /= np.linalg.norm(states, axis=1)[:, None]
    weights = np.array([0.3, 0.7])
    return weights, states, np.einsum("i,ip,iq->pq", weights, states, states.conj())


def amplitudes(state, standard, matrix, antineutrino):
    """Coupling to each of the six final states: (nubar_p gamma nu_r) annihilates nu_r or nubar_p; nubar^c gamma N with L = A*
    annihilates nu_p, its conjugate nubar_p."""
    coupling = np.diag(standard) + np.asarray(matrix)[:, :3]
    broken = np.asarray(matrix)[:, 3:]
    if antineutrino:
        return np.concatenate([state @ coupling, state @ broken])
    return np.concatenate([coupling @ state, state @ broken.conj()])


def nodes(energy, rho, antineutrino):
    return SourceNodes(jnp.asarray([energy]), jnp.asarray([1.0]), jnp.asarray(rho)[None], antineutrino)


@pytest.mark.parametrize("antineutrino", [False, True])
@pytest.mark.parametrize(
    ("e", "mass", "m"), [(0.8618, M_E, 0.3), (30.0, 123800.0, 20.0), (900.0, 700.0, 350.0), (0.8618, M_E, 0.0)]
)
def test_massive_final_state(e, mass, m, antineutrino):
    lower, upper = (float(x) for x in recoil_limits(e, mass, m))
    t = lower + 0.37 * (upper - lower)
    g_ll, g_lr = 1.3e-5, -0.4e-5
    left, right = (g_lr, g_ll) if antineutrino else (g_ll, g_lr)
    expected = dirac.spin_half_rate(e, t, mass, m, antineutrino, g_ll=g_ll, g_lr=g_lr)
    assert float(spin_half.vector(e, t, mass, left, right, m)) == pytest.approx(expected, rel=1e-10, abs=0.0)
    expected = dirac.spin_zero_rate(e, t, mass, m, antineutrino, g_v=g_ll)
    assert float(spin_zero.vector(e, t, mass, g_ll, m)) == pytest.approx(expected, rel=1e-10, abs=0.0)


@pytest.mark.parametrize("antineutrino", [False, True])
@pytest.mark.parametrize("strength", [1.0, 0.0, 0.49])
def test_electron_rate_of_a_mixed_state(antineutrino, strength):
    """Tr[rho G G^dagger] with off-diagonal rho and couplings, every final state by traces; sm scales the rate."""
    c = random_couplings(1)
    weights, states, rho = mixture(2)
    s2 = 0.23857
    g_l, g_r = np.array([s2 + 0.5, s2 - 0.5, s2 - 0.5]), np.full(3, s2)
    expected = 0.0
    for weight, state in zip(weights, states, strict=True):
        scale = NORM * math.sqrt(strength)
        left = amplitudes(state, scale * g_l, c.electron_left, antineutrino)
        right = amplitudes(state, scale * g_r, c.electron_right, antineutrino)
        for g_ll, g_lr in zip(left, right, strict=True):
            expected += weight * dirac.spin_half_rate(E, T, M_E, 0.0, antineutrino, g_ll=g_ll, g_lr=g_lr)
    sm = electron.sm_kernel(E, T, "none", antineutrino)
    kernels = electron.vector_kernels(E, T, "none", antineutrino)
    found = recoil_spectrum(quadratic_forms(c, sm=strength), nodes(E, rho, antineutrino), sm, kernels)
    assert float(found) == pytest.approx(expected, rel=1e-7, abs=0.0)


@pytest.mark.parametrize("antineutrino", [False, True])
@pytest.mark.parametrize("weak_charges", ["tree", "radiative"])
def test_nuclear_spectrum_of_a_mixed_state(antineutrino, weak_charges):
    """Form factors apart, flavour-dependent Standard Model couplings, against traces for every final state."""
    c = random_couplings(3, 1e-5)
    weights, states, rho = mixture(4)
    g_p = {"tree": np.full(3, 0.5 - 2 * 0.23857), "radiative": np.array([0.0382, 0.0300, 0.0256])}[weak_charges]
    g_n = {"tree": -0.5, "radiative": -0.5117}[weak_charges]
    f_p, f_n = 0.7, 0.4
    n_p, n_n = 55 * f_p, 78 * f_n
    standard = 0.5 * NORM * (g_p * n_p + g_n * n_n)
    matrix = n_p * np.asarray(c.vector_p) + n_n * np.asarray(c.vector_n)
    expected = np.zeros(3)
    for weight, state in zip(weights, states, strict=True):
        for g in amplitudes(state, standard, matrix, antineutrino):
            rates = [dirac.spin_half_rate(30.0, t, CS.mass_mev, 0.0, antineutrino, g_ll=g, g_lr=g) for t in RECOILS]
            expected += weight * np.asarray(rates)
    folded = fold_cevns(nodes(30.0, rho, antineutrino), RECOILS, CS, weak_charges, "coherent")
    found = folded.spectrum(quadratic_forms(c), np.full(3, f_p), np.full(3, f_n))
    np.testing.assert_allclose(found, expected, rtol=1e-7)


@pytest.mark.parametrize("spin", [0, 0.5])
def test_nuclear_kernels_of_both_spins(spin):
    v_p, v_n, f_p, f_n, t = 3e-6, -2e-6, 0.9, 0.8, 3e-2
    argon = nucleus("Ar40")
    k = cevns.vector_kernels(30.0, t, argon, f_p, f_n, "tree", spin)
    n_p, n_n = argon.z * f_p, argon.n * f_n
    g = 0.5 * NORM * ((0.5 - 2 * 0.23857) * n_p - 0.5 * n_n) + v_p * n_p + v_n * n_n
    if spin == 0:
        expected = dirac.spin_zero_rate(30.0, t, argon.mass_mev, g_v=g)
    else:
        expected = dirac.spin_half_rate(30.0, t, argon.mass_mev, g_ll=g, g_lr=g)
    found = float(cevns.sm_kernel(30.0, t, argon, f_p, f_n, "tree", spin)[1])
    found += float(k["vector_pp"] * v_p**2 + k["vector_pn"] * v_p * v_n + k["vector_nn"] * v_n**2)
    found += float((k["sm_vector_pp"] + k["sm_vector_np"])[1] * v_p + (k["sm_vector_pn"] + k["sm_vector_nn"])[1] * v_n)
    assert found == pytest.approx(expected, rel=1e-7, abs=0.0)


@pytest.mark.parametrize("antineutrino", [False, True])
@pytest.mark.parametrize("flavour", [0, 1])
def test_photonic_corrections_go_with_the_products(flavour, antineutrino):
    """astro-ph/9502003 with g_L -> g_L + epsilon_L, g_R -> g_R + epsilon_R; f_-, f_+, f_+- by an independent script."""
    f_minus, f_plus, f_mixed = -1.673690, -1.503211, -0.812582
    eps_l, eps_r = 0.21, -0.34
    g_l, g_r = (float(g[flavour]) for g in electron.couplings(T))
    # signs as at tree level: interference sees them
    assert (g_l, g_r) == pytest.approx(((0.23 + 0.5, 0.23 - 0.5)[flavour], 0.23), abs=0.015)
    left, right = g_l + eps_l, g_r + eps_r
    if antineutrino:
        left, right = right, left
    z, a = T / E, 1 / 137.036 / math.pi
    bracket = left**2 * (1 + a * f_minus) + right**2 * (1 - z) ** 2 * (1 + a * f_plus)
    bracket -= left * right * M_E * T / E**2 * (1 + a * f_mixed)
    expected = 2 * G_F**2 * M_E * 1e-3 / math.pi * bracket * 3.893793721e-28 * 1e-3
    c = TargetCouplings.zero()
    unit = np.zeros((3, 6), complex)
    unit[flavour, flavour] = NORM
    c = dataclasses.replace(c, electron_left=jnp.asarray(eps_l * unit), electron_right=jnp.asarray(eps_r * unit))
    rho = np.diag(np.eye(3)[flavour]).astype(complex)
    kernels = electron.vector_kernels(E, T, "bks", antineutrino)
    found = recoil_spectrum(
        quadratic_forms(c), nodes(E, rho, antineutrino), electron.sm_kernel(E, T, "bks", antineutrino), kernels
    )
    assert float(found) == pytest.approx(expected, rel=1e-8, abs=0.0)


def test_weak_charge_with_quark_coefficients():
    """Q_W^2 of hep-ph/0508299: [Z (g_V^p + 2 e_uu + e_dd) + N (g_V^n + e_uu + 2 e_dd)]^2 + |off-diagonal|^2, e = e^L + e^R and
    L = -2 sqrt(2) G_F epsilon; names of coefficients at 2 GeV, where the method without loops leaves them as they are."""
    eps = {"VnuuLL_1111": 0.11, "VnuuLR_1111": -0.04, "VnudLL_1111": 0.02, "VnudLR_1111": 0.05, "VnudLL_1211": 0.03 - 0.02j}
    quark = quark_couplings(
        {name: NORM * x for name, x in eps.items()} | {"VnudLL_1122": 1e-4}, 2.0, StandardModelInputs(), ChiralInputs(), "seed"
    )
    c = target_couplings(quark, nucleon_charges("flag2021"))
    u, d, off = 0.07, 0.07, 0.03 - 0.02j
    z, n, g_p, g_n = 55, 78, 0.5 - 2 * 0.23857, -0.5
    diagonal = z * (g_p + 2 * u + d) + n * (g_n + u + 2 * d)
    expected = (diagonal**2 + abs((z + 2 * n) * off) ** 2) / (z * g_p + n * g_n) ** 2
    folded = fold_cevns(nodes(30.0, np.diag([1.0, 0.0, 0.0]) + 0j, False), RECOILS, CS, "tree", "coherent")
    ones = np.ones(3)
    ratio = folded.spectrum(quadratic_forms(c), ones, ones) / folded.spectrum(quadratic_forms(TargetCouplings.zero()), ones, ones)
    np.testing.assert_allclose(ratio, expected, rtol=1e-12)


@pytest.mark.parametrize("antineutrino", [False, True])
def test_reversed_amplitude_is_degenerate(antineutrino):
    """G -> -G^*: E -> -2 D - E^* leaves every nuclear rate as it is where rho is real; tree-level D for all nuclei."""
    c = random_couplings(5)
    p, n = np.zeros((3, 6), complex), np.zeros((3, 6), complex)
    p[:, :3], n[:, :3] = 0.5 * NORM * (0.5 - 2 * 0.23857) * np.eye(3), 0.5 * NORM * -0.5 * np.eye(3)
    dark = dataclasses.replace(c, vector_p=-2.0 * p - jnp.conj(c.vector_p), vector_n=-2.0 * n - jnp.conj(c.vector_n))
    rho = mixture(6)[2].real + 0j
    f_p, f_n = np.array([0.99, 0.9, 0.7]), np.array([0.98, 0.85, 0.6])
    for name in ("Cs133", "I127", "Ar40"):
        folded = fold_cevns(nodes(30.0, rho, antineutrino), RECOILS, nucleus(name), "tree", "coherent")
        light, reversed_ = (folded.spectrum(quadratic_forms(x), f_p, f_n) for x in (c, dark))
        np.testing.assert_allclose(light, reversed_, rtol=1e-11)
        plain = folded.spectrum(quadratic_forms(TargetCouplings.zero()), f_p, f_n)
        assert np.all(np.abs(light / plain - 1.0) > 1e-3)


def test_conjugate_couplings_with_antineutrinos():
    """CP: a nucleus, whose vector coupling does not know its chirality, sees antineutrinos as neutrinos with E^*."""
    c = random_couplings(7)
    rho = mixture(8)[2]
    conjugate = dataclasses.replace(c, vector_p=jnp.conj(c.vector_p), vector_n=jnp.conj(c.vector_n))
    ones = np.ones(3)
    one = fold_cevns(nodes(30.0, rho, False), RECOILS, CS, "radiative", "coherent").spectrum(quadratic_forms(c), ones, ones)
    other = fold_cevns(nodes(30.0, rho, True), RECOILS, CS, "radiative", "coherent")
    np.testing.assert_allclose(one, other.spectrum(quadratic_forms(conjugate), ones, ones), rtol=1e-12)
    assert np.all(np.abs(one / other.spectrum(quadratic_forms(c), ones, ones) - 1.0) > 1e-4)


def test_coherences_need_off_diagonal_rho():
    """With rho diagonal the rate is the sum of the flavours' rates, P_a sigma_a; with coherences it is not."""
    c = random_couplings(9)
    rho = mixture(10)[2]
    kernels, sm = electron.vector_kernels(E, T), electron.sm_kernel(E, T)
    q = quadratic_forms(c)
    single = [float(recoil_spectrum(q, nodes(E, np.diag(np.eye(3)[a]) + 0j, False), sm, kernels)) for a in range(3)]
    populations = np.real(np.diag(rho))
    diagonal = float(recoil_spectrum(q, nodes(E, np.diag(populations) + 0j, False), sm, kernels))
    assert diagonal == pytest.approx(populations @ single, rel=1e-13, abs=0.0)
    assert abs(float(recoil_spectrum(q, nodes(E, rho, False), sm, kernels)) / diagonal - 1.0) > 1e-2


def test_rotated_flavours():
    """A unitary change of basis of rho and of all couplings together changes nothing, where the Standard Model is universal."""
    rng = np.random.default_rng(11)
    unitary, _ = np.linalg.qr(rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3)))
    c, rho = random_couplings(12), mixture(13)[2]

    def rotated(matrix):
        left = unitary @ np.asarray(matrix)
        return jnp.asarray(np.concatenate([left[:, :3] @ unitary.conj().T, left[:, 3:]], axis=1))

    turned = dataclasses.replace(c, vector_p=rotated(c.vector_p), vector_n=rotated(c.vector_n))
    ones = np.ones(3)
    one = fold_cevns(nodes(30.0, rho, False), RECOILS, CS, "tree", "coherent").spectrum(quadratic_forms(c), ones, ones)
    back = fold_cevns(nodes(30.0, unitary @ rho @ unitary.conj().T, False), RECOILS, CS, "tree", "coherent")
    np.testing.assert_allclose(one, back.spectrum(quadratic_forms(turned), ones, ones), rtol=1e-12)


def test_linear_kernels_have_a_leading_axis_of_flavours():
    e = np.array([[0.5], [0.8]])
    t = np.array([0.1, 0.2, 0.3])
    for name, kernel in electron.vector_kernels(e, t).items():
        assert kernel.shape == ((3, 2, 3) if name in forms.SM_FORMS else (2, 3))
    for name, kernel in cevns.vector_kernels(30.0, RECOILS, CS, 1.0, 1.0).items():
        assert kernel.shape == ((3, 3) if name in forms.SM_FORMS else (3,))
    assert set(electron.vector_kernels(e, t)) == set(forms.ELECTRON_VECTOR_FORMS)
    assert set(cevns.vector_kernels(30.0, 1e-3, CS, 1.0, 1.0)) == set(forms.NUCLEAR_VECTOR_FORMS)


def test_gradients_to_second_order():
    base = random_couplings(14)
    rho = mixture(15)[2]
    kernels, sm = electron.vector_kernels(E, T), electron.sm_kernel(E, T)

    def rate(point):
        x = point[0]
        c = dataclasses.replace(base, electron_left=x * base.electron_left, electron_right=(1.0 - x**2) * base.electron_right)
        return 1e45 * recoil_spectrum(quadratic_forms(c, sm=0.5 + x**2), nodes(E, rho, False), sm, kernels)[()]

    assert_derivatives(rate, [0.0], [0.7])
    assert np.isfinite(jax.grad(lambda s: jnp.real(quadratic_forms(base, sm=s)["sm_vector_pp"][0, 0]))(0.0))


TESTS = Path(__file__).resolve().parent.parent
PAGE = (TESTS.parent / "docs" / "theory" / "vectors.md").read_text(encoding="utf-8")


def test_the_page_names_tests_that_exist():
    files = (
        "eft/test_penguin.py",
        "eft/test_operators.py",
        "physics/test_vectors.py",
        "physics/test_dsigma_dt.py",
        "inference/test_vectors.py",
    )
    written = {m for f in files for m in re.findall(r"^def (test_\w+)", (TESTS / f).read_text(encoding="utf-8"), re.MULTILINE)}
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 20
    assert named <= written


@pytest.mark.parametrize("f", ["u", "c", "d", "s", "b", "e", "mu", "tau"])
def test_the_page_has_the_size_of_the_penguin(f):
    """Vector coupling of the proton per unit of V_f, from m_W and from 2 GeV, beyond that of its own quarks."""
    row = re.search(rf"^\| {f} \| (\S+) \| (\S+) \|", PAGE, re.MULTILINE)
    kind, digit = {
        "u": ("u", 1),
        "c": ("u", 2),
        "d": ("d", 1),
        "s": ("d", 2),
        "b": ("d", 3),
        "e": ("e", 1),
        "mu": ("e", 2),
        "tau": ("e", 3),
    }[f]
    own = {"u": 1.0, "d": 0.5}.get(f, 0.0)
    for printed, scale in zip(row.groups(), (80.379, 2.0), strict=True):
        if printed == "none":
            continue
        quark = quark_couplings({f"Vnu{kind}LL_11{digit}{digit}": 1.0}, scale, StandardModelInputs(), ChiralInputs())
        found = complex(target_couplings(quark, nucleon_charges("flag2021")).vector_p[0, 0]).real - own
        assert 100 * found == pytest.approx(float(printed.rstrip("%")), abs=0.006)
