"""The electric charge of neutrinos in rates: explicit traces for every final state, published formulae, signs, edges."""

from __future__ import annotations

import dataclasses
import math

import dirac
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmmfit import dsigma_dt
from nmmfit.eft.amplitudes import quark_couplings
from nmmfit.eft.chiral import ChiralInputs
from nmmfit.errors import UserInputError
from nmmfit.inputs import StandardModelInputs
from nmmfit.physics import cevns, electron, forms, photon
from nmmfit.physics.folded import fold_cevns
from nmmfit.physics.forms import TargetCouplings, quadratic_forms
from nmmfit.physics.nuclei import nucleus
from nmmfit.physics.nucleons import nucleon_charges, target_couplings
from nmmfit.physics.rates import SourceNodes, recoil_spectrum

G_F = 1.1663787e-5
NORM = -2.0 * math.sqrt(2.0) * G_F
ALPHA = 1 / 137.035999177
E, T, M_E = 0.8618, 0.3, 0.51099895
CS = nucleus("Cs133")
RECOILS = np.array([1e-4, 2e-3, 9e-3])
F_P, F_N = np.array([0.99, 0.9, 0.7]), np.array([0.98, 0.85, 0.6])
G_P, G_N = np.array([0.0382, 0.0300, 0.0256]), -0.5117
FIELDS = ("charge", "vector_p", "vector_n", "electron_left", "electron_right")


def photon_exchange(mass, t):
    """e^2 / q^2, GeV^-2, per unit of both charges."""
    return 4 * math.pi * ALPHA / (-2 * mass * np.asarray(t) * 1e-6)


def hermitian(rng):
    a = rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3))
    return np.concatenate([0.5 * (a + a.conj().T), np.zeros((3, 3))], axis=1)


def random_couplings(seed, charge):
    """Charges and vectors, all of the size of the Standard Model's coupling at the recoil asked for."""
    rng = np.random.default_rng(seed)
    sizes = {name: charge if name == "charge" else 1e-5 for name in FIELDS}
    made = {name: jnp.asarray(size * hermitian(rng)) for name, size in sizes.items()}
    return dataclasses.replace(TargetCouplings.zero(), **made)


def mixture(seed):
    rng = np.random.default_rng(seed)
    states = rng.normal(size=(2, 3)) + 1j * rng.normal(size=(2, 3))
    states /= np.linalg.norm(states, axis=1)[:, None]
    weights = np.array([0.3, 0.7])
    return weights, states, np.einsum("i,ip,iq->pq", weights, states, states.conj())


def nodes(energy, rho, antineutrino):
    return SourceNodes(jnp.asarray([energy]), jnp.asarray([1.0]), jnp.asarray(rho)[None], antineutrino)


def electron_rate(c, rho, antineutrino, radiative="none", strength=1.0):
    vectors = electron.vector_kernels(E, T, radiative, antineutrino)
    kernels = vectors | photon.electron_kernels(vectors, T)
    sm = electron.sm_kernel(E, T, radiative, antineutrino)
    return float(recoil_spectrum(quadratic_forms(c, sm=strength), nodes(E, rho, antineutrino), sm, kernels))


def nuclear_rate(c, rho, antineutrino, name="Cs133"):
    folded = fold_cevns(nodes(30.0, rho, antineutrino), RECOILS, nucleus(name), "radiative", "coherent")
    return np.asarray(folded.spectrum(quadratic_forms(c), F_P, F_N))


@pytest.mark.parametrize("antineutrino", [False, True])
@pytest.mark.parametrize("strength", [1.0, 0.0, 0.49])
def test_electron_rate_of_a_mixed_state(antineutrino, strength):
    """Tr[rho G G^dagger] with G = Standard Model + vectors - e^2 q / q^2, every final state by traces."""
    c = random_couplings(1, 1e-10)
    weights, states, rho = mixture(2)
    s2 = 0.23857
    shift = -photon_exchange(M_E, T) * np.asarray(c.charge)[:, :3]
    scale = NORM * math.sqrt(strength)
    left = scale * np.diag([s2 + 0.5, s2 - 0.5, s2 - 0.5]) + np.asarray(c.electron_left)[:, :3] + shift
    right = scale * s2 * np.eye(3) + np.asarray(c.electron_right)[:, :3] + shift
    assert 0.1 < np.abs(shift).max() / np.abs(NORM) < 10.0
    expected = 0.0
    for weight, state in zip(weights, states, strict=True):
        amplitudes = [state @ g if antineutrino else g @ state for g in (left, right)]
        for g_ll, g_lr in zip(*amplitudes, strict=True):
            expected += weight * dirac.spin_half_rate(E, T, M_E, 0.0, antineutrino, g_ll=g_ll, g_lr=g_lr)
    assert electron_rate(c, rho, antineutrino, strength=strength) == pytest.approx(expected, rel=1e-7, abs=0.0)


@pytest.mark.parametrize("antineutrino", [False, True])
def test_nuclear_spectrum_of_a_mixed_state(antineutrino):
    """G = -sqrt(2) G_F Q_W + vectors + Z F_p e^2 q / q^2 in flavour space, form factors apart, every final state by traces."""
    c = random_couplings(3, 1e-7)
    weights, states, rho = mixture(4)
    expected = np.zeros(3)
    for k, t in enumerate(RECOILS):
        n_p, n_n = CS.z * F_P[k], CS.n * F_N[k]
        matrix = 0.5 * NORM * np.diag(G_P * n_p + G_N * n_n) + n_p * photon_exchange(CS.mass_mev, t) * np.asarray(c.charge)[:, :3]
        matrix = matrix + n_p * np.asarray(c.vector_p)[:, :3] + n_n * np.asarray(c.vector_n)[:, :3]
        for weight, state in zip(weights, states, strict=True):
            for g in state @ matrix if antineutrino else matrix @ state:
                expected[k] += weight * dirac.spin_half_rate(30.0, t, CS.mass_mev, 0.0, antineutrino, g_ll=g, g_lr=g)
    np.testing.assert_allclose(nuclear_rate(c, rho, antineutrino), expected, rtol=1e-7)


@pytest.mark.parametrize("spin", [0, 0.5])
def test_nuclear_kernels_of_both_spins(spin):
    q, v_p, v_n, f_p, f_n, t = 3e-8, 3e-6, -2e-6, 0.9, 0.8, 3e-2
    argon = nucleus("Ar40")
    vectors = cevns.vector_kernels(30.0, t, argon, f_p, f_n, "tree", spin)
    k = photon.nuclear_kernels(vectors, t, argon.mass_mev)
    assert set(k) == set(forms.NUCLEAR_CHARGE_FORMS)
    n_p, n_n = argon.z * f_p, argon.n * f_n
    standard = 0.5 * NORM * ((0.5 - 2 * 0.23857) * n_p - 0.5 * n_n)
    rate = dirac.spin_zero_rate if spin == 0 else dirac.spin_half_rate

    def of(charge, vector):
        g = standard + n_p * photon_exchange(argon.mass_mev, t) * charge + vector * (v_p * n_p + v_n * n_n)
        couplings = {"g_v": g} if spin == 0 else {"g_ll": g, "g_lr": g}
        return rate(30.0, t, argon.mass_mev, **couplings)

    found = k["charge"] * q**2 + k["charge_vector_p"] * q * v_p + k["charge_vector_n"] * q * v_n
    found += (k["sm_charge_p"] + k["sm_charge_n"])[1] * q
    assert float(found) == pytest.approx(of(q, 1.0) - of(0.0, 1.0), rel=1e-7, abs=0.0)


@pytest.mark.parametrize(("antineutrino", "flavour"), [(False, 0), (True, 1)])
def test_shift_of_g_v_with_photonic_corrections(flavour, antineutrino):
    """g_V -> g_V + 2 sqrt(2) pi alpha q / (G_F q^2) = g_V - sqrt(2) pi alpha q / (G_F m_e T) for electrons (arXiv:2205.09484 in
    form; q is in units of +e), with f_-, f_+ and f_+- of astro-ph/9502003 by an independent script."""
    f_minus, f_plus, f_mixed = -1.673690, -1.503211, -0.812582
    q = 1e-11
    shift = -math.sqrt(2.0) * math.pi * ALPHA * q / (G_F * M_E * T * 1e-6)
    left, right = (float(g[flavour]) + 0.5 * shift for g in electron.couplings(T))
    if antineutrino:
        left, right = right, left
    z, a = T / E, ALPHA / math.pi
    bracket = left**2 * (1 + a * f_minus) + right**2 * (1 - z) ** 2 * (1 + a * f_plus)
    bracket -= left * right * M_E * T / E**2 * (1 + a * f_mixed)
    expected = 2 * G_F**2 * M_E * 1e-3 / math.pi * bracket * 3.893793721e-28 * 1e-3
    c = dataclasses.replace(
        TargetCouplings.zero(), charge=jnp.asarray(q * np.eye(3, 6)[flavour] * np.eye(3)[flavour][:, None] + 0j)
    )
    found = electron_rate(c, np.diag(np.eye(3)[flavour]) + 0j, antineutrino, "bks")
    assert found == pytest.approx(expected, rel=1e-7, abs=0.0)


def test_sign_of_the_charge():
    """A positive charge is repelled by nuclei and attracted by electrons: opposite to, and against, what the weak force does.

    The weak potential repels nu_e from electrons (positive) and attracts every neutrino to neutrons (negative).
    """
    for target, size, t in (("Cs133", 1e-9, 8e-3), ("e", 1e-13, 0.3)):
        energy = 30.0 if target == "Cs133" else E
        plus, zero, minus = (float(dsigma_dt(target, energy, t, millicharge=s * size)) for s in (1.0, 0.0, -1.0))
        assert plus < zero < minus
        # Rates are those of the antineutrino on nuclei, and not on electrons.
        anti = [float(dsigma_dt(target, energy, t, millicharge=s * size, antineutrino=True)) for s in (1.0, -1.0)]
        if target == "Cs133":
            assert anti == pytest.approx([plus, minus], rel=1e-12, abs=0.0)
    # nu_mu has g_V < 0 for electrons: there the positive charge adds.
    assert float(dsigma_dt("e", E, T, flavour="mu", millicharge=1e-13)) > float(dsigma_dt("e", E, T, flavour="mu"))


def test_conjugate_charges_with_antineutrinos():
    """CP: nuclei see antineutrinos as neutrinos with q^* and E^*."""
    c = random_couplings(7, 1e-7)
    conjugate = dataclasses.replace(c, **{name: jnp.conj(getattr(c, name)) for name in FIELDS})
    rho = mixture(8)[2]
    np.testing.assert_allclose(nuclear_rate(c, rho, False), nuclear_rate(conjugate, rho, True), rtol=1e-12)
    assert np.all(np.abs(nuclear_rate(c, rho, False) / nuclear_rate(c, rho, True) - 1.0) > 1e-4)


def test_zero_charge_is_the_standard_model():
    zero = quadratic_forms(TargetCouplings.zero())
    for name in (*forms.NUCLEAR_CHARGE_FORMS, *forms.ELECTRON_CHARGE_FORMS):
        assert np.all(np.asarray(zero[name]) == 0)
    plain = dsigma_dt("e", E, T)
    assert float(dsigma_dt("e", E, T, millicharge=0.0, transition_millicharge=0.0)) == float(plain)
    assert not set(forms.MASSIVE_NUCLEAR_FORMS + forms.MASSIVE_ELECTRON_FORMS) & set(forms.NUCLEAR_CHARGE_FORMS)


def test_kernels_have_a_leading_axis_of_flavours_where_linear():
    e, t = np.array([[0.5], [0.8]]), np.array([0.1, 0.2, 0.3])
    kernels = photon.electron_kernels(electron.vector_kernels(e, t, "none"), t)
    assert set(kernels) == set(forms.ELECTRON_CHARGE_FORMS)
    for name, kernel in kernels.items():
        assert kernel.shape == ((3, 2, 3) if name in forms.SM_FORMS else (2, 3))


@pytest.mark.parametrize("scale", [2.0, 80.379])
@pytest.mark.parametrize("method", ["exact", "seed"])
def test_the_coefficient_is_the_charge_at_any_scale(scale, method):
    values = {"nucharge_11": 1e-9, "nucharge_32": 2e-9 + 1e-9j}
    quark = quark_couplings(values, scale, StandardModelInputs(), ChiralInputs(), method)
    target = target_couplings(quark, nucleon_charges("flag2021"))
    expected = np.zeros((3, 6), complex)
    expected[0, 0], expected[2, 1], expected[1, 2] = 1e-9, 2e-9 + 1e-9j, 2e-9 - 1e-9j
    np.testing.assert_allclose(target.charge, expected, rtol=1e-12)
    others = [f.name for f in dataclasses.fields(target) if f.name != "charge"]
    assert not any(np.any(np.asarray(getattr(target, name))) for name in others)
    with pytest.raises(UserInputError, match=r"'nucharge_11' is real, as the operator is Hermitian"):
        quark_couplings({"nucharge_11": 1e-9j}, scale, StandardModelInputs(), ChiralInputs(), method)


@pytest.mark.parametrize("antineutrino", [False, True])
@pytest.mark.parametrize(("target", "spin"), [("e", None), ("Cs133", None), ("Ar40", 0)])
def test_transitions_add_in_quadrature(target, spin, antineutrino):
    """One final state of another flavour, in which radius and charge interfere, by traces; beside everything else."""
    q, radius = (1 - 2j) * 1e-8, (0.5 + 1j) * 1e-31
    energy, t, form_factor = (E, T, None) if target == "e" else (30.0, 8e-3, 0.8)
    if target == "e":
        q, mass, charge = q * 1e-3, M_E, -1.0
    else:
        mass, charge = nucleus(target).mass_mev, nucleus(target).z * 0.8
    g = charge * (photon_exchange(mass, t) * q + 4 * math.pi * ALPHA / 6 * radius / 3.893793721e-28)
    if spin == 0:
        expected = dirac.spin_zero_rate(energy, t, mass, 0.0, antineutrino, g_v=g)
    else:
        expected = dirac.spin_half_rate(energy, t, mass, 0.0, antineutrino, g_ll=g, g_lr=g)
    options = {"antineutrino": antineutrino, "spin": spin, "form_factor": form_factor, "radiative": "none"}
    transition = {"transition_millicharge": q, "transition_radius_cm2": radius}
    alone = float(dsigma_dt(target, energy, t, sm=False, **transition, **options))
    assert alone == pytest.approx(expected, rel=1e-7, abs=0.0)
    rest = {"millicharge": 1e-11, "charge_radius_cm2": 1e-32, "vector_left": 1e-6, "dipole": 1e-9}
    without = float(dsigma_dt(target, energy, t, **rest, **options))
    together = float(dsigma_dt(target, energy, t, **rest, **transition, **options))
    assert together == pytest.approx(without + expected, rel=1e-7, abs=0.0)
    assert float(dsigma_dt(target, energy, 0.0, transition_millicharge=q, **options)) == np.inf
    assert np.isfinite(float(dsigma_dt(target, energy, 0.0, transition_radius_cm2=radius, **options)))


def test_transitions_in_elements_and_under_differentiation():
    natural = float(dsigma_dt("Cs", 30.0, 8e-3, sm=False, transition_millicharge=1e-8))
    assert natural == pytest.approx(float(dsigma_dt("Cs133", 30.0, 8e-3, sm=False, transition_millicharge=1e-8)), rel=1e-12)

    def rate(q):
        return dsigma_dt("Cs133", 30.0, 8e-3, millicharge=q, transition_millicharge=2.0 * q) * 1e38

    one, two = jax.grad(rate)(1e-8), (rate(1.01e-8) - rate(0.99e-8)) / 0.02e-8
    assert float(one) == pytest.approx(float(two), rel=1e-8)
    with pytest.raises(UserInputError, match="transition_millicharge: must be a finite number"):
        dsigma_dt("e", E, T, transition_millicharge=float("nan"))
    with pytest.raises(UserInputError, match=r"do not broadcast: .*transition_radius_cm2 \(3,\)"):
        dsigma_dt("e", [E, E], T, transition_radius_cm2=np.ones(3))
