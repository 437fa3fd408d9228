"""From coefficients to couplings: where each operator goes, with which factor, phase and charge."""

from __future__ import annotations

from dataclasses import fields

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmmfit.eft.amplitudes import linear_map, quark_couplings
from nmmfit.eft.chiral import ChiralInputs
from nmmfit.eft.couplings import QuarkCouplings
from nmmfit.errors import UserInputError
from nmmfit.inputs import StandardModelInputs
from nmmfit.physics.forms import hermitian_product

INPUTS = StandardModelInputs()
CHIRAL = ChiralInputs(-2.9, -3.6)
NAMES = tuple(f.name for f in fields(QuarkCouplings))
M_W = 80.379


def _couplings(coefficients, scale=2.0, chiral=CHIRAL, inputs=INPUTS, method="exact"):
    return quark_couplings(coefficients, scale, inputs, chiral, method)


def _nonzero(couplings):
    return {n: np.asarray(getattr(couplings, n)) for n in NAMES if np.any(getattr(couplings, n) != 0.0)}


def test_no_coefficients_is_the_standard_model():
    assert _nonzero(_couplings({})) == {}
    assert all(getattr(_couplings({}), n).shape == (3, 6) for n in NAMES)


@pytest.mark.parametrize(
    ("name", "field", "entry"),
    [
        ("SnuNuRR_1211", "scalar_u", (0, 1)), ("SnuNuRL_1211", "scalar_u", (0, 1)), ("SnuNdRR_3211", "scalar_d", (2, 1)),
        ("SnuNdRL_1122", "scalar_s", (0, 0)), ("SnuNeRR_1211", "electron_s1", (0, 1)), ("SnuNeRL_2311", "electron_s2", (1, 2)),
        ("TnuNuRR_1211", "tensor_u", (0, 1)), ("TnuNdRR_1211", "tensor_d", (0, 1)), ("TnuNdRR_1222", "tensor_s", (0, 1)),
        ("TnuNeRR_1211", "electron_tensor", (0, 1)),
    ],
)  # fmt: skip
def test_conserving_operators_at_2_gev(name, field, entry):
    found = _nonzero(_couplings({name: 2e-6 + 1e-6j}))
    found.pop("dipole", None)
    assert set(found) == {field}
    expected = np.zeros((3, 6), complex)
    expected[entry] = 2e-6 + 1e-6j
    np.testing.assert_allclose(found[field], expected, rtol=1e-14)


@pytest.mark.parametrize(
    ("name", "field", "sign"),
    [
        ("SnuuLL_1211", "scalar_u", 1), ("SnuuLR_1211", "scalar_u", 1), ("SnudLL_1222", "scalar_s", 1),
        ("TnuuLL_1211", "tensor_u", -1), ("TnudLL_1211", "tensor_d", -1), ("SnueLL_1211", "electron_s1", 1),
        ("SnueLR_1211", "electron_s2", 1), ("TnueLL_1211", "electron_tensor", -1),
    ],
)  # fmt: skip
def test_violating_operators_are_twice_the_hermitian_conjugate(name, field, sign):
    value = 2e-6 + 1e-6j
    matrix = np.zeros((3, 3), complex)
    matrix[0, 1], matrix[1, 0] = value, sign * value
    found = _nonzero(_couplings({name: value}))
    np.testing.assert_allclose(found[field][:, 3:], 2.0 * matrix.conj().T, rtol=1e-14)
    np.testing.assert_array_equal(found[field][:, :3], 0.0)
    swapped = name[:-4] + "2" + "1" + name[-2:]
    np.testing.assert_allclose(_nonzero(_couplings({swapped: sign * value}))[field], found[field], rtol=1e-14)


def test_diagonal_violating_scalar_counts_both_fields():
    found = _nonzero(_couplings({"SnuuLL_2211": 1e-6}))["scalar_u"]
    assert found[1, 4] == pytest.approx(2e-6)
    assert np.count_nonzero(found) == 1


def test_violating_amplitude_from_majorana_contractions():
    """An independent evaluation of <nubar_j| nubar^c Gamma nu |nu_i> with explicit spinors, against conj(A[i, j]).

    Both contractions of the two identical fields are summed; N with the coupling A^T stands for nu^c, whose spinor is C vbar^T.
    """
    eye, zero = np.eye(2), np.zeros((2, 2))
    pauli = [np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.array([[1, 0], [0, -1]])]
    gamma = [np.block([[zero, eye], [eye, zero]])] + [np.block([[zero, s], [-s, zero]]) for s in pauli]
    gamma5 = np.diag([-1, -1, 1, 1])
    left = (np.eye(4) - gamma5) / 2
    c = 1j * gamma[2] @ gamma[0]
    c_inv = np.linalg.inv(c)
    sigma = 0.5j * (gamma[1] @ gamma[2] - gamma[2] @ gamma[1])
    rng = np.random.default_rng(1)
    u = left @ (rng.normal(size=4) + 1j * rng.normal(size=4))
    # Field nu = sum u a + v b^dagger, with v chosen left-handed; nubar^c = -nu^T C^-1.
    v = left @ (rng.normal(size=4) + 1j * rng.normal(size=4))
    for structure, sign in ((np.eye(4), 1), (sigma, -1)):
        lagrangian = rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3))
        lagrangian = lagrangian + sign * lagrangian.T
        i, j = 0, 2
        kernel = -c_inv @ structure
        # First field creates the antineutrino j, second annihilates i; and the reverse, with the sign of an exchange of fermions.
        amplitude = lagrangian[j, i] * (v @ kernel @ u) - lagrangian[i, j] * (u @ kernel @ v)
        single = v @ kernel @ u
        name = {1: "SnuuLL", -1: "TnuuLL"}[sign]
        coefficients = {
            f"{name}_{p + 1}{r + 1}11": lagrangian[p, r] for p in range(3) for r in range(p, 3) if sign == 1 or p != r
        }
        couplings = _couplings(coefficients)
        matrix = couplings.scalar_u if sign == 1 else couplings.tensor_u
        np.testing.assert_allclose(amplitude / single, np.conj(matrix[i, 3 + j]), rtol=1e-12)


def test_moment_of_the_dipoles():
    # mu = 2 |L| (LNC) and 4 |L| (LNV), eq. (3.7), at zero momentum transfer: times e(0) / e(2 GeV).
    ratio = np.sqrt(133.3037279 / 137.035999177)
    conserving = _couplings({"nuNgamma_12": 1e-9j}).dipole
    np.testing.assert_allclose(2 * abs(conserving[0, 1]), 2e-9 * ratio, rtol=1e-9)
    violating = _couplings({"nugamma_12": 1e-9}).dipole
    np.testing.assert_allclose(2 * np.abs(violating[[0, 1], [4, 3]]), 4e-9 * ratio, rtol=1e-9)
    np.testing.assert_allclose(violating[0, 4], -violating[1, 3], rtol=1e-15)


def test_moment_from_m_w_does_not_know_the_way():
    # L_gamma / e is invariant: L(0) = L(m_W) e(0) / e(m_W), with 1/alpha(m_W) by one loop from m_Z.
    inverse_m_w = 127.952 - 80.0 / 9.0 / (2 * np.pi) * np.log(M_W / 91.1876)
    dipole = _couplings({"nuNgamma_11": 1e-9}, M_W).dipole[0, 0]
    np.testing.assert_allclose(dipole, 1e-9 * np.sqrt(inverse_m_w / 137.035999177), rtol=1e-12)


@pytest.mark.parametrize(
    ("quark", "name", "charge"), [("u", "TnuNuRR_1111", 2 / 3), ("d", "TnuNdRR_1111", -1 / 3), ("s", "TnuNdRR_1122", -1 / 3)]
)
def test_chiral_matching_at_2_gev(quark, name, charge):
    # eq. (2.17): e c_T F_pi^2 / Lambda_chi times -4/3 for u, +2/3 for d and s; F_pi^2 / Lambda_chi = 7.345 MeV.
    e = 0.30282212
    for chiral in (CHIRAL, ChiralInputs(-3.2, -1.0)):
        c_t = chiral.c_T_s if quark == "s" else chiral.c_T
        found = _couplings({name: 1e-6}, chiral=chiral).dipole[0, 0]
        np.testing.assert_allclose(found, -2.0 * e * charge * c_t * 7.345e-3 * 1e-6, rtol=1e-4)


def test_perturbative_and_confined_parts_add():
    for name in ("TnuNuRR_1111", "TnuNdRR_1111", "TnuNdRR_1122"):
        both = _couplings({name: 1e-6}, M_W).dipole[0, 0].real
        perturbative = _couplings({name: 1e-6}, M_W, ChiralInputs(0.0, 0.0)).dipole[0, 0].real
        assert abs(both) > abs(perturbative) > 0.0
        assert both * perturbative > 0.0


def test_sterile_and_off_diagonal_operators_scatter_nothing():
    quiet = {
        "SNuRR_1111": 1e-6,
        "TNdRR_1222": 1e-6,
        "Ngamma_12": 1e-9,
        "SuNLR_1112": 1e-6,
        "SnuNdRR_1112": 1e-6,
        "SnuNeRR_1122": 1e-6,
    }
    assert _nonzero(_couplings(quiet, M_W)) == {}


def test_heavy_fermions_reach_the_dipole_only():
    heavy = {"TnuNuRR_1122": 1e-6, "TnuNdRR_1133": 1e-6, "TnuNeRR_1133": 1e-6}
    for name in heavy:
        assert set(_nonzero(_couplings({name: 1e-6}, M_W))) == {"dipole"}


@pytest.mark.parametrize("method", ["exact", "seed"])
def test_linear_map_gives_the_couplings(method):
    coefficients = {
        "nuNgamma_12": 1e-9 + 2e-9j,
        "TnuNdRR_2122": 3e-6j,
        "TnudLL_1211": 2e-6 - 1e-6j,
        "TnuNuRR_1111": 1e-6,
        "SnuNuRR_3311": 1e-6,
    }
    mapping = linear_map(tuple(coefficients), 30.0, INPUTS, method)
    direct = _couplings(coefficients, 30.0, method=method)
    for n in NAMES:
        pieces = (getattr(x, n) for x in (mapping.constant, mapping.c_t, mapping.c_t_s))
        a, b, c = pieces
        assert a.shape == (len(coefficients), 3, 6)
        total = sum(
            (np.conj(v) if conj else v) * (a[i] + CHIRAL.c_T * b[i] + CHIRAL.c_T_s * c[i])
            for i, (v, conj) in enumerate(zip(coefficients.values(), mapping.conjugated, strict=True))
        )
        np.testing.assert_allclose(getattr(direct, n), total, rtol=1e-14, atol=1e-30)
    assert mapping.conjugated == (False, False, True, False, False)


def test_map_from_real_parameters():
    names = ("TnuNdRR_1122", "TnudLL_1211", "nugamma_12")
    weights = np.array([[1.0, 2.0j, 0.0], [0.5, 1.0, 1.0 + 1.0j]])
    theta = np.array([1.5e-6, -0.5e-6])
    mapping = linear_map(names, 30.0, INPUTS)
    through = mapping.for_parameters(("a", "b"), weights).couplings(theta, CHIRAL)
    direct = mapping.couplings(theta @ weights, CHIRAL)
    for n in NAMES:
        np.testing.assert_allclose(getattr(through, n), getattr(direct, n), rtol=1e-13, atol=1e-30)


def test_traces_and_gradients():
    def total(value, alpha_s_mz, c_t, scale):
        inputs = StandardModelInputs(alpha_s_mz=alpha_s_mz)
        couplings = quark_couplings({"TnuNdRR_1122": value, "TnuuLL_1211": 1j * value}, scale, inputs, ChiralInputs(c_t, -3.6))
        return jnp.real(jnp.trace(hermitian_product(couplings.dipole, couplings.dipole))) * 1e18

    point = (1e-6, 0.118, -2.9, 50.0)
    gradient = jax.jit(jax.grad(total, argnums=(0, 1, 2, 3)))(*point)
    value = jax.jit(total)
    for k, x in enumerate(point):
        step = 1e-5 * abs(x)
        up, down = (tuple(p + s * step * (n == k) for n, p in enumerate(point)) for s in (1, -1))
        np.testing.assert_allclose(gradient[k], (value(*up) - value(*down)) / (2 * step), rtol=1e-6)


@pytest.mark.parametrize(
    ("coefficients", "scale", "method", "message"),
    [
        ({"nuNgama_11": 1.0}, 2.0, "exact", "did you mean 'nuNgamma'"),
        ({"nuNgamma_11": 1.0}, 1.0, "exact", "scale_from: 1 GeV is outside"),
        ({"nuNgamma_11": 1.0}, 100.0, "seed", "scale_from: 100 GeV is outside"),
        ({"nuNgamma_11": 1.0}, 2.0, "exakt", "unknown method 'exakt'; did you mean 'exact'"),
        ({"TnuNdRR_1133": 1.0}, 2.0, "exact", "the b quark is integrated out below"),
        ({"TnuNdRR_1133": 1.0}, 80.0, "seed", "method 'seed' knows u, d and s only"),
        ({"TnuNuRR_1122": 1.0}, 80.0, "seed", "method 'seed' knows u, d and s only"),
        ({"TnuNeRR_1111": 1.0}, 80.0, "seed", "method 'seed' knows u, d and s only"),
    ],
)
def test_bad_input(coefficients, scale, method, message):
    with pytest.raises(UserInputError, match=message):
        _couplings(coefficients, scale, method=method)
