"""Models against their Lagrangians: Fierz identities with Grassmann signs, loops from explicit matrices, the running."""

from __future__ import annotations

import itertools
import math

import dirac
import jax
import jax.numpy as jnp
import numpy as np
import one_loop
import pytest
from derivative_checks import assert_derivatives
from dirac import GAMMA, GAMMA_LOWER, P_L, P_R, SIGMA, SIGMA_LOWER
from scipy.integrate import quad

from nmmfit import evolve
from nmmfit.constants import FERMI, bohr_magneton_per_gev, electron_charge
from nmmfit.eft import models
from nmmfit.eft.loop_moments import letter_scalar_moment_mub, loop_dipole_per_tensor
from nmmfit.eft.operators import parse
from nmmfit.errors import UserInputError
from nmmfit.inputs import StandardModelInputs

M_TAU, M_W = StandardModelInputs.m_tau_gev, StandardModelInputs.m_w_gev
EPSILON = np.array([[0.0, 1.0], [-1.0, 0.0]])
C = 1j * GAMMA[2] @ GAMMA[0]
LEFT_BASIS = ("Lbar", "N", "Qbar", "d")


def parity(order, wanted):
    """Sign of bringing anticommuting fields from one order into another."""
    places = [wanted.index(name) for name in order]
    return (-1) ** sum(a > b for a, b in itertools.combinations(places, 2))


def on_random_spinors(tensor, seed=0):
    """A four-index tensor (of fields in a fixed order) contracted with random complex spinors."""
    rng = np.random.default_rng(seed)
    spinors = rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4))
    return np.einsum("abcd,a,b,c,d->", tensor, *spinors)


def pair(first, second, pattern):
    """sum over Lorentz indices of two matrices, with their four indices as in `pattern`."""
    return sum(np.einsum(pattern, x, y) for x, y in zip(first, second, strict=True))


SCALAR_RR = pair([P_R], [P_R], "ab,cd->abcd")
SCALAR_RL = pair([P_R], [P_L], "ab,cd->abcd")
TENSOR_RR = pair([s @ P_R for s in SIGMA.reshape(16, 4, 4)], [s @ P_R for s in SIGMA_LOWER.reshape(16, 4, 4)], "ab,cd->abcd")


@pytest.mark.parametrize("seed", range(3))
def test_fierz_identity_of_the_charged_scalar(seed):
    """(1bar P_R 2)(3bar P_R 4) = -(1bar P_R 4)(3bar P_R 2) / 2 - (1bar sigma P_R 4)(3bar sigma P_R 2) / 8."""
    sign = parity(("1", "4", "3", "2"), ("1", "2", "3", "4"))
    assert sign == -1
    scalar = pair([P_R], [P_R], "ad,cb->abcd")
    tensor = pair([s @ P_R for s in SIGMA.reshape(16, 4, 4)], [s @ P_R for s in SIGMA_LOWER.reshape(16, 4, 4)], "ad,cb->abcd")
    left = on_random_spinors(SCALAR_RR, seed)
    right = on_random_spinors(sign * (-scalar / 2 - tensor / 8), seed)
    assert left == pytest.approx(right, rel=1e-12)
    # L = (y_c y_s / m^2) (nubar P_R l)(lbar P_R N): the coefficients of (nubar P_R N)(lbar P_R l) and of the tensors.
    found = models.charged_scalar(0.3 + 0.1j, 0.7j, 400.0, lepton="mu", neutrinos=(1, 2))
    product = (0.3 + 0.1j) * 0.7j / 400.0**2
    assert complex(found.tree["SnuNeRR_1222"]) == pytest.approx(-product / 2, rel=1e-14)
    assert complex(found.tree["TnuNeRR_1222"]) == pytest.approx(-product / 8, rel=1e-14)


def test_fierz_identity_of_left_right_mixing():
    """-(g^2 a b / 2 M^2)(nubar gamma P_L l)(lbar gamma P_R N) = +(g^2 a b / M^2)(nubar P_R N)(lbar P_L l)."""
    vectors = pair([g @ P_L for g in GAMMA], [g @ P_R for g in GAMMA_LOWER], "ad,cb->abcd")
    sign = parity(("nubar", "l", "lbar", "N"), ("nubar", "N", "lbar", "l"))
    left = on_random_spinors(sign * vectors)
    assert left == pytest.approx(on_random_spinors(-2.0 * SCALAR_RL), rel=1e-12)
    xi, m_w2 = 0.02, 900.0
    g_squared = 4 * math.sqrt(2) * FERMI.value * M_W**2
    exchange = math.sin(xi) * math.cos(xi) * (1 / M_W**2 - 1 / m_w2**2)
    found = models.left_right(xi, m_w2, lepton="mu")
    assert complex(found.tree["SnuNeRL_2222"]) == pytest.approx(-0.5 * g_squared * exchange * -2.0, rel=1e-12)


def _couplings(seed):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3)) for _ in range(2)]


def s1_exchange(y_left, y_right, mass, p, r, s, t):
    """X X^dagger / M^2 of S_1 for one set of flavours: (j, k, Lbar_j, N, Qbar_k, d), from \\bar{psi^c} = -psi^T C^{-1}."""
    inverse = np.linalg.inv(C)
    first = -np.conj(y_left[s, p]) * (GAMMA[0] @ np.conj(inverse).T @ GAMMA[0].T)  # Lbar_a Qbar_c, from the conjugate
    second = -y_right[t, r] * inverse  # d_e N_b
    sign = parity(("Lbar", "Qbar", "d", "N"), LEFT_BASIS)
    spinors = np.einsum("ac,eb->abce", first, second)
    spinors = np.einsum("abce,ax,by,cz,ew->xyzw", spinors, *projectors())
    return sign * np.einsum("kj,abce->jkabce", EPSILON, spinors) / mass**2


def r2_exchange(y_left, y_right, mass, p, r, s, t):
    """The same for R~_2: (y_right Qbar^a N) (-y_left dbar eps_ab L^b)^dagger / M^2."""
    sign = parity(("Qbar", "N", "Lbar", "d"), LEFT_BASIS)
    spinors = np.einsum("cb,ae->abce", y_right[s, r] * np.eye(4), -np.conj(y_left[t, p]) * np.eye(4))
    spinors = np.einsum("abce,ax,by,cz,ew->xyzw", spinors, *projectors())
    return sign * np.einsum("kj,abce->jkabce", EPSILON, spinors) / mass**2


def projectors():
    """Lbar and Qbar are bars of left-handed fields: Lbar = Lbar P_R; N = P_R N, d = P_R d."""
    return P_R, P_R, P_R, P_R


@pytest.mark.parametrize(("model", "exchange"), [(models.leptoquark_s1, s1_exchange), (models.leptoquark_r2_tilde, r2_exchange)])
@pytest.mark.parametrize("flavours", [(1, 1, 1, 1), (1, 2, 3, 2), (3, 1, 2, 1)])
def test_leptoquark_exchange_from_the_lagrangian(model, exchange, flavours):
    """All spinor and SU(2) components of the exchange equal C_LNQd (Lbar N) eps (Qbar d) + C_LNQd3 (tensors)."""
    y_left, y_right = _couplings(sum(flavours))
    found = model(y_left, y_right, 1300.0)
    digits = "".join(map(str, flavours))
    s, t = (complex(found.tree[f"{name}_{digits}"]) for name in ("LNQd", "LNQd3"))
    operators = np.einsum("jk,abce->jkabce", EPSILON, s * SCALAR_RR + t * TENSOR_RR)
    expected = exchange(y_left, y_right, 1300.0, *(k - 1 for k in flavours))
    np.testing.assert_allclose(operators, expected, atol=1e-12 * np.abs(expected).max())
    assert s / t == pytest.approx(-4.0 if model is models.leptoquark_s1 else 4.0, rel=1e-12)


def test_matching_at_m_w_has_the_signs_of_eps():
    """eps_12 = +1: (Lbar^j N) eps_jk (Qbar^k d) holds +(nubar N)(dbar d)."""
    y_left, y_right = _couplings(5)
    found = models.leptoquark_s1(y_left, y_right, 1300.0)
    below = models.to_lneft(found)
    assert EPSILON[0, 1] == 1.0
    assert (found.theory, below.theory) == ("SMNEFT", "LNEFT")
    assert below.tree["SnuNdRR_1232"] == found.tree["LNQd_1232"]
    assert below.tree["TnuNdRR_1232"] == found.tree["LNQd3_1232"]
    for name in below.coefficients:
        parse(name)
    assert models.to_lneft(below) is below
    # Whatever a model of somebody else makes is matched as coefficients of a run are.
    leptonic = models.to_lneft(models.Matching(jnp.asarray(M_W), {"LNLe_1211": jnp.asarray(1.0)}, {}, "SMNEFT"))
    assert {name: complex(z) for name, z in leptonic.tree.items()} == {"SnuNeRR_1211": 1.5, "TnuNeRR_1211": 0.125}
    with pytest.raises(UserInputError, match="unknown operator 'LNLx'"):
        models.to_lneft(models.Matching(jnp.asarray(M_W), {"LNLx_1111": jnp.asarray(1.0)}, {}, "SMNEFT"))


@pytest.mark.parametrize("x", [1e-8, 1.3e-5, 0.04, 0.79, 0.81, 1.0, 1.19, 1.21, 7.0])
def test_loop_functions_against_feynman_parameters(x):
    fermion = quad(lambda z: (1 - z) ** 2 / (z + (1 - z) * x), 0, 1, points=(min(1.0, 10 * x),), epsabs=1e-13, limit=200)[0]
    boson = quad(lambda z: z * (1 - z) / (1 - z + z * x), 0, 1, points=(max(0.0, 1 - 10 * x),), epsabs=1e-13, limit=200)[0]
    assert float(models.fermion_loop(x)) == pytest.approx(fermion, rel=1e-9)
    assert float(models.boson_loop(x)) == pytest.approx(boson, rel=1e-9)


def test_loop_functions_of_a_heavy_scalar():
    x = 1e-10
    assert float(models.fermion_loop(x)) == pytest.approx(-math.log(x) - 1.5, rel=1e-8)
    assert float(models.boson_loop(x)) == pytest.approx(0.5, rel=1e-8)


@pytest.mark.parametrize(("lepton", "m_phi"), [("tau", 500.0), ("tau", 6.0)])
def test_charged_scalar_loop_by_diagram_from_explicit_matrices(lepton, m_phi):
    """Size and sign of both diagrams; l^- has Q = -1, and N emits a scalar of charge +1."""
    found = models.charged_scalar_dipole(0.3, 0.7j, m_phi, lepton)
    scale = electron_charge() * 0.21j
    fermion = -scale * one_loop.scalar_loop_fermion_emits(M_TAU, m_phi)
    boson = scale * one_loop.scalar_loop_boson_emits(M_TAU, m_phi)
    assert complex(found.fermion_emits) == pytest.approx(fermion, rel=1e-7)
    assert complex(found.boson_emits) == pytest.approx(boson, rel=1e-7)
    assert complex(found.total) == pytest.approx(fermion + boson, rel=1e-7)


def test_charged_scalar_example_and_the_printed_prefactor():
    """y_c y_s = 1, tau, 500 GeV: 4.73e-10 mu_B; arXiv:1901.00482, eq. (22), gives half."""
    derived = models.charged_scalar_dipole(1.0, 1.0, 500.0)
    printed = models.charged_scalar_dipole(1.0, 1.0, 500.0, prefactor="printed")
    assert float(derived.moment_mub) == pytest.approx(4.73e-10, rel=1e-3)
    assert float(printed.moment_mub) == pytest.approx(2.36e-10, rel=2e-3)
    log = math.log(M_TAU**2 / 500.0**2)
    size = electron_charge() * M_TAU / (16 * math.pi**2 * 500.0**2) / bohr_magneton_per_gev()
    assert float(derived.moment_mub) == pytest.approx(size * abs(1 + log), rel=1e-3)
    letter = electron_charge() * M_TAU / (64 * math.pi**2 * 500.0**2) / bohr_magneton_per_gev()
    twenty, twenty_one = (2 * abs(complex(d)) / bohr_magneton_per_gev() for d in (printed.fermion_emits, printed.boson_emits))
    assert twenty == pytest.approx(letter * abs(3 + 2 * log), rel=1e-3)
    assert twenty_one == pytest.approx(letter, rel=1e-3)


@pytest.mark.parametrize("m_phi", [200.0, 2000.0, 2e5])
def test_the_logarithm_of_the_model_is_that_of_its_tensor(m_phi):
    """Whole loop = tensor at m_phi closed down to m_tau + threshold; the logarithm has no factor of two to spare."""
    full = complex(models.charged_scalar_dipole(0.4, 0.5, m_phi).total)
    tensor = -0.2 / (8 * m_phi**2)
    closed = float(loop_dipole_per_tensor("tau", M_TAU, m_phi, electron_charge())) * tensor
    inputs = StandardModelInputs(e_running="fixed")
    at_threshold = models.charged_scalar(0.4, 0.5, m_phi, scale_gev=m_phi, inputs=inputs)
    assert full.real == pytest.approx(
        closed + float(at_threshold.threshold["nuNgamma_11"].real), rel=3e-3 * (200 / m_phi) ** 2 + 1e-7
    )
    # d (m_phi^2 L) / d ln m_phi^2 = e m y_c y_s / 32 pi^2
    slope = (2 * m_phi) ** 2 * complex(models.charged_scalar_dipole(0.4, 0.5, 2 * m_phi).total).real - m_phi**2 * full.real
    per_log = electron_charge() * M_TAU * 0.2 / (32 * math.pi**2)
    assert slope / (2 * math.log(2.0)) == pytest.approx(per_log, rel=4e-3 * (200 / m_phi) ** 2 + 1e-7)


def test_the_dipole_at_lower_scales_is_the_running_of_the_tensor():
    high, low = (models.charged_scalar(1.0, 0.1, 900.0, s, inputs=StandardModelInputs(e_running="fixed")) for s in (600.0, 80.0))
    difference = complex(low.threshold["nuNgamma_11"] - high.threshold["nuNgamma_11"])
    tensor = complex(high.tree["TnuNeRR_1133"])
    closed = float(loop_dipole_per_tensor("tau", 80.0, 600.0, electron_charge())) / 80.0 * M_TAU
    assert difference == pytest.approx(closed * tensor, rel=1e-12)


def test_charged_scalar_through_the_whole_program():
    """Model at m_W, then evolve and everything below 2 GeV: the whole loop up to electromagnetic corrections of 2 %."""
    found = models.charged_scalar(1.0, 1.0, 500.0)
    moments = evolve({name: complex(z) for name, z in found.coefficients.items()}, M_W, 2.0).moments_mub
    full = float(models.charged_scalar_dipole(1.0, 1.0, 500.0).moment_mub)
    assert moments["reactor_e"] == pytest.approx(full, rel=0.02)
    assert moments["sns_mu"] == 0.0


def test_left_right_moment_is_shrocks_and_comes_from_the_loops():
    """Both W loops from explicit matrices: L_gamma = e m S_RL / 16 pi^2, half from either diagram, sign included."""
    fermion, boson = one_loop.vector_loop(1e-3, 1.0)
    per_scalar = 1e-3 / (16 * math.pi**2)  # per e S_RL, and S_RL = g^2 a b / M^2
    assert 0.5 * (fermion + boson) == pytest.approx(per_scalar, rel=3e-5)
    assert fermion == pytest.approx(boson, rel=1e-4)
    inputs = StandardModelInputs(e_running="fixed")
    xi, m_w2 = 0.01, 1500.0
    found = models.left_right(xi, m_w2, lepton="tau", inputs=inputs)
    dipole, scalar = found.threshold["nuNgamma_33"], found.tree["SnuNeRL_3333"]
    assert complex(dipole) == pytest.approx(electron_charge() * M_TAU * complex(scalar) / (16 * math.pi**2), rel=1e-12)
    shrock = electron_charge() * FERMI.value * M_TAU * (1 - M_W**2 / m_w2**2) * math.sin(2 * xi) / (2 * math.sqrt(2) * math.pi**2)
    assert 2 * abs(complex(dipole)) == pytest.approx(shrock, rel=1e-12)
    # The letter's scalar formula happens to be this one, with G = |S_RL|.
    assert float(letter_scalar_moment_mub(scalar, M_TAU)) == pytest.approx(shrock / bohr_magneton_per_gev(), rel=1e-12)


@pytest.mark.parametrize("model", [models.leptoquark_s1, models.leptoquark_r2_tilde])
def test_leptoquark_threshold_from_the_loop(model):
    """Only b_L, b_R coupled: the loop of a scalar, with the charges of what N emits, and N_c = 3."""
    y_left, y_right = np.zeros((3, 3)), np.zeros((3, 3))
    y_left[2, 0], y_right[2, 1] = 0.5, 0.8
    inputs = StandardModelInputs(e_running="fixed")
    found = model(y_left, y_right, 2000.0, scale_gev=M_W, inputs=inputs)
    from nmmfit.eft.theories import quark_mass

    m_b = float(quark_mass("b", M_W, inputs))
    # S_1: N -> (d^c, +1/3) + scalar of -1/3, product -y_left y_right; R~_2: N -> (d, -1/3) + scalar of +1/3, product +y y.
    charge, product = (1 / 3, -0.4) if model is models.leptoquark_s1 else (-1 / 3, 0.4)
    whole = charge * one_loop.scalar_loop_fermion_emits(m_b, 2000.0) - charge * one_loop.scalar_loop_boson_emits(m_b, 2000.0)
    whole *= 3 * electron_charge() * product
    below = float(loop_dipole_per_tensor("b", m_b, M_W, electron_charge())) * complex(found.tree["LNQd3_1233"])
    assert complex(found.threshold["nuNgamma_12"]) + below == pytest.approx(whole, rel=1e-5)
    assert complex(found.threshold["nuNgamma_11"]) == 0.0


def test_batches_and_derivatives():
    y, m = np.linspace(0.1, 1.0, 4)[:, None], np.array([200.0, 900.0])
    batch = models.charged_scalar(y, 0.3, m)
    assert batch.tree["TnuNeRR_1133"].shape == batch.threshold["nuNgamma_11"].shape == (4, 2)
    one = models.charged_scalar(y[2, 0], 0.3, m[1])
    assert batch.threshold["nuNgamma_11"][2, 1] == pytest.approx(complex(one.threshold["nuNgamma_11"]), rel=1e-14)
    vmapped = jax.jit(jax.vmap(lambda a: models.charged_scalar(a, 0.3, 900.0).coefficients))(y[:, 0])
    np.testing.assert_allclose(vmapped["nuNgamma_11"], batch.threshold["nuNgamma_11"][:, 1], rtol=1e-14)
    quarks = np.random.default_rng(1).normal(size=(5, 3, 3))
    many = models.leptoquark_s1(quarks, quarks[0], np.linspace(800.0, 1200.0, 5))
    assert many.tree["LNQd3_1111"].shape == many.threshold["nuNgamma_12"].shape == (5,)

    def numbers(v):
        scalar = models.charged_scalar(v[0], v[1], 100.0 * v[2], scale_gev=50.0)
        mixing = models.left_right(v[0], 500.0 * v[2])
        y_left, y_right = jnp.ones((3, 3)) * v[0], jnp.eye(3) * v[1]
        quark = models.leptoquark_r2_tilde(y_left, y_right, 1000.0 * v[2])
        whole = models.charged_scalar_dipole(v[0], v[1], M_TAU * v[2]).moment_mub
        terms = [
            *(1e6 * z.real for z in scalar.coefficients.values()),
            *(1e9 * z.real for z in mixing.coefficients.values()),
            1e6 * quark.tree["LNQd3_1111"].real,
            1e6 * whole,
        ]
        return jnp.stack(terms)

    # The third component passes m_phi = m_tau, where the closed forms of the loop are 0/0.
    assert_derivatives(numbers, [0.4, 0.7, 1.0], [0.3, -0.6, 1.7], rtol=1e-5, atol=1e-6)


def test_derivative_of_a_leptoquark_threshold():
    def dipole(mass):
        return models.leptoquark_s1(np.eye(3), np.eye(3), mass).threshold["nuNgamma_11"].real

    difference = (float(dipole(1000.1)) - float(dipole(999.9))) / 0.2
    assert float(jax.grad(dipole)(1000.0)) == pytest.approx(difference, rel=1e-6)


def test_models_below_their_threshold():
    with pytest.raises(UserInputError, match=r"charged_scalar: m_phi_gev = 50 GeV is below the scale asked for, 80\.379 GeV"):
        models.charged_scalar(1.0, 1.0, 50.0)
    with pytest.raises(UserInputError, match="leptoquark_s1: mass_gev = 900 GeV is below the scale asked for, 1000 GeV"):
        models.leptoquark_s1(np.eye(3), np.eye(3), [2000.0, 900.0], scale_gev=1000.0)
    with pytest.raises(UserInputError, match="left_right: m_w2_gev = 60 GeV is below m_W"):
        models.left_right(0.1, 60.0)
    with pytest.raises(UserInputError, match=r"left_right: m_w_gev = 80\.379 GeV is below the scale asked for, 100 GeV"):
        models.left_right(0.1, 600.0, scale_gev=100.0)
    with pytest.raises(UserInputError, match=r"leptoquark_s1: scale_gev = 10 GeV is below m_W, 80\.379 GeV: names are those"):
        models.leptoquark_s1(np.eye(3), np.eye(3), 1000.0, scale_gev=10.0)
    with pytest.raises(UserInputError, match=r"to_lneft: coefficients at 500 GeV; the theories meet at m_W = 80\.379 GeV"):
        models.to_lneft(models.leptoquark_s1(np.eye(3), np.eye(3), 1000.0, scale_gev=500.0))
    assert models.charged_scalar(1.0, 1.0, 50.0, scale_gev=50.0).theory == "LNEFT"


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: models.charged_scalar(float("nan"), 1.0, 500.0), "charged_scalar: y_c: expected finite couplings, got"),
        (lambda: models.charged_scalar_dipole(1.0, float("inf"), 500.0), "charged_scalar: y_s: expected finite couplings"),
        (lambda: models.charged_scalar(1.0, 1.0, -5.0), "charged_scalar: m_phi_gev: expected finite and above 0 GeV, got -5"),
        (
            lambda: models.charged_scalar(1.0, 1.0, float("nan")),
            "charged_scalar: m_phi_gev: expected finite and above 0 GeV, got nan",
        ),
        (lambda: models.charged_scalar(1.0, 1.0, 0.0), "m_phi_gev: expected finite and above 0 GeV, got 0"),
        (lambda: models.charged_scalar(1.0, "x", 500.0), "y_s: expected numbers, got 'x'"),
        (lambda: models.charged_scalar(1.0, 1.0, 500.0, lepton="tua"), "unknown charged lepton 'tua'; did you mean 'tau'"),
        (lambda: models.charged_scalar(1.0, 1.0, 500.0, neutrinos=(0, 1)), "expected two generations from 1 to 3"),
        (lambda: models.charged_scalar(1.0, 1.0, 500.0, neutrinos=1), "expected two generations from 1 to 3"),
        (lambda: models.charged_scalar([1.0, 2.0], [1.0, 2.0, 3.0], 500.0), "these shapes do not broadcast"),
        (lambda: models.charged_scalar_dipole(1.0, 1.0, 500.0, prefactor="print"), "unknown prefactor 'print'"),
        (lambda: models.left_right(float("nan"), 500.0), "left_right: mixing: expected finite"),
        (lambda: models.left_right(0.1, float("inf")), "left_right: m_w2_gev: expected finite"),
        (lambda: models.leptoquark_s1(np.eye(2), np.eye(3), 1e3), r"y_left: expected shape \(..., 3, 3\)"),
        (lambda: models.leptoquark_r2_tilde(np.eye(3), np.full((3, 3), np.nan), 1e3), "y_right: expected finite couplings"),
        (lambda: models.leptoquark_r2_tilde(np.eye(3), np.eye(3), -1e3), "mass_gev: expected finite and above 0 GeV, got -1000"),
        (lambda: models.leptoquark_s1(np.eye(3), np.eye(3), 1e3, scale_gev=[80.0, 90.0]), "scale_gev: expected one number"),
    ],
)
def test_wrong_input_is_one_clear_error(call, expected):
    with pytest.raises(UserInputError, match=expected) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_the_reference_has_the_conventions_of_the_other_traces():
    assert pytest.approx(electron_charge(), rel=1e-12) == dirac.E_CHARGE
    assert set(models.MODELS) == {"charged_scalar", "left_right", "leptoquark_s1", "leptoquark_r2_tilde"}
