"""Matrices of moments: mixing, coefficients, fields on a Fock space, electric moments, bases; against numpy and scipy."""

from __future__ import annotations

import dirac
import jax.numpy as jnp
import numpy as np
import pytest
from derivative_checks import assert_derivatives
from moment_matrices import (
    ANGLES,
    MU_B,
    TO_ZERO_MOMENTUM,
    P,
    density,
    incoherent,
    random_majorana,
    random_matrix,
    random_unitary,
    rng,
    rotations,
)

from nmmfit.eft.chiral import ChiralInputs
from nmmfit.evolution import evolve
from nmmfit.inputs import StandardModelInputs
from nmmfit.physics import dipole_matrix as dm
from nmmfit.physics.oscillation import OSCILLATION_PRESETS, pmns_matrix

# Mixing matrix


@pytest.mark.parametrize("phases", [(0.0, 0.0, 0.0), (3.7, 0.4, -1.9)])
def test_mixing_matrix_is_the_product_of_rotations_and_unitary(phases):
    u = np.asarray(dm.mixing_matrix(*ANGLES, *phases))
    np.testing.assert_allclose(u, rotations(*ANGLES, *phases), atol=1e-14)
    np.testing.assert_allclose(u @ u.conj().T, np.eye(3), atol=1e-14)


@pytest.mark.parametrize("preset", OSCILLATION_PRESETS)
def test_mixing_matrix_is_that_of_the_density_matrices(preset):
    p = OSCILLATION_PRESETS[preset].parameters
    angles = [np.arcsin(np.sqrt(x)) for x in (p.s12sq, p.s13sq, p.s23sq)]
    np.testing.assert_allclose(dm.mixing_matrix(*angles, p.delta_cp), pmns_matrix(p), atol=1e-14)


def test_mixing_matrices_batch_and_vanish():
    t = np.linspace(0.0, 1.0, 5)
    u = dm.mixing_matrix(t, 0.1, 0.2, delta=t)
    assert u.shape == (5, 3, 3)
    np.testing.assert_allclose(u[3], dm.mixing_matrix(t[3], 0.1, 0.2, t[3]), atol=1e-15)
    np.testing.assert_allclose(dm.mixing_matrix(0.0, 0.0, 0.0), np.eye(3), atol=0)


# Coefficients


def test_dirac_coefficients():
    """mu_pr = 2 L_pr, arXiv:2206.13122, eq. (3.7)."""
    mu = dm.matrix_from_coefficients({"nuNgamma_12": 1e-9 + 2e-9j, "nuNgamma_31": -3e-9}, "dirac")
    expected = np.zeros((3, 3), complex)
    expected[0, 1], expected[2, 0] = 2 * (1e-9 + 2e-9j) / MU_B, -6e-9 / MU_B
    np.testing.assert_allclose(mu, expected, rtol=1e-8)


def test_majorana_coefficients():
    """|mu_pr| = 4 |L_pr|; mu = 4 L^dagger, so that nugamma_21 is minus nugamma_12 and conjugation appears."""
    mu = dm.matrix_from_coefficients({"nugamma_21": 1e-9 + 2e-9j, "nugamma_13": 3e-9j}, "majorana")
    coefficient = np.zeros((3, 3), complex)
    coefficient[1, 0], coefficient[0, 1] = 1e-9 + 2e-9j, -1e-9 - 2e-9j
    coefficient[0, 2], coefficient[2, 0] = 3e-9j, -3e-9j
    np.testing.assert_allclose(mu, 4 * coefficient.conj().T / MU_B, rtol=1e-8)


@pytest.mark.parametrize("kind", dm.KINDS)
def test_coefficients_there_and_back(kind):
    mu = random_matrix(1) if kind == "dirac" else random_majorana(1)
    coefficients = dm.coefficients_from_matrix(mu, kind)
    assert len(coefficients) == (9 if kind == "dirac" else 3)
    np.testing.assert_allclose(dm.matrix_from_coefficients(coefficients, kind), mu, rtol=1e-14)


def test_coefficients_batch():
    mu = dm.matrix_from_coefficients({"nugamma_12": np.array([1e-9, 2e-9]), "nugamma_23": 1e-9j}, "majorana")
    assert mu.shape == (2, 3, 3)
    assert dm.coefficients_from_matrix(mu, "majorana")["nugamma_12"].shape == (2,)


@pytest.mark.parametrize("kind", dm.KINDS)
def test_matrix_is_the_one_that_enters_rates(kind):
    """Phases included: the solar moment of a generic matrix equals what the linear map of the package and its rates give."""
    r = rng(7)
    names = ["nuNgamma_11", "nuNgamma_12", "nuNgamma_21", "nuNgamma_33"] if kind == "dirac" else ["nugamma_12", "nugamma_13"]
    names += [] if kind == "dirac" else ["nugamma_23"]
    values = {name: complex(*r.normal(size=2)) * 1e-9 for name in names}
    rho = density(rotations(*ANGLES, 3.7, 0, 0))
    found = evolve(values, 2.0, inputs=StandardModelInputs(), chiral=ChiralInputs(-2.9, -3.6), rho_solar=rho).moments_mub
    mu = np.asarray(dm.matrix_from_coefficients(values, kind)) * TO_ZERO_MOMENTUM
    expected = incoherent(mu, rotations(*ANGLES, 3.7, 0, 0), P)
    assert found["solar"] ** 2 == pytest.approx(expected, rel=1e-6, abs=0)
    # The other reading, mu = 4 L, is the complex conjugate and gives another number.
    if kind == "majorana":
        assert abs(incoherent(mu.conj(), rotations(*ANGLES, 3.7, 0, 0), P) / expected - 1) > 1e-3
    assert found["plasmon"] ** 2 == pytest.approx(float(dm.plasmon_squared(mu, kind)), rel=1e-6, abs=0)


# Fields written out as operators on a Fock space


def fock_modes(number):
    """Annihilation operators of fermion modes (Jordan-Wigner)."""
    lower, sign, one = np.array([[0, 1], [0, 0]]), np.diag([1, -1]), np.eye(2)
    modes = []
    for k in range(number):
        matrix = np.eye(1)
        for j in range(number):
            matrix = np.kron(matrix, sign if j < k else lower if j == k else one)
        modes.append(matrix)
    return modes


def charge_conjugated_sigma():
    """C sigma^{mu nu} contracted with a random field, C = i gamma^2 gamma^0; nubar^c Gamma nu = nu^T C Gamma nu up to a sign."""
    field = rng(40).normal(size=(4, 4))
    return np.einsum("ij,mnjk,mn->ik", 1j * dirac.GAMMA[2] @ dirac.GAMMA[0], dirac.SIGMA, field - field.T)


def test_two_identical_fields_contract_in_two_ways():
    """sum_pr L_pr nubar^c_p sigma nu_r F between Fock states: an arriving neutrino, and a pair from a plasmon.

    Its matrix elements are those of sum_pr (mu_pr / 2) nubar_p sigma N_r F with mu = 4 L^dagger, up to spinors common to all.
    """
    coefficient = random_majorana(41)
    mu = 2 * (2 * coefficient.conj().T)
    s = charge_conjugated_sigma()
    np.testing.assert_allclose(s, s.T, atol=1e-14)  # so that the two contractions add where L is antisymmetric
    modes = fock_modes(6)
    a, b = modes[:3], modes[3:]
    u, v = (rng(seed).normal(size=4) + 1j * rng(seed + 1).normal(size=4) for seed in (42, 44))
    fields = [[a[p] * u[i] + b[p].T * v[i] for i in range(4)] for p in range(3)]
    operator = sum(
        coefficient[p, r] * s[i, j] * fields[p][i] @ fields[r][j]
        for p in range(3)
        for r in range(3)
        if p != r
        for i in range(4)
        for j in range(4)
    )
    vacuum = np.eye(64)[0]
    for p in range(3):
        for r in range(3):
            scattered = vacuum @ b[r] @ operator @ a[p].T @ vacuum
            assert scattered == pytest.approx(mu[p, r].conj() / 2 * (v @ s @ u), abs=1e-12)
    # Pairs: one state {p, r}, not two; its probability is that of one Dirac entry of the same moment.
    pairs = [(p, r) for p in range(3) for r in range(p + 1, 3)]
    made = [abs(vacuum @ b[r] @ b[p] @ operator @ vacuum / (v @ s @ v)) ** 2 for p, r in pairs]
    np.testing.assert_allclose(made, [abs(mu[p, r] / 2) ** 2 for p, r in pairs], rtol=1e-12)
    assert 4 * sum(made) == pytest.approx(float(dm.plasmon_squared(mu, "majorana")), rel=1e-12, abs=0)


def test_a_dirac_neutrino_is_annihilated_by_the_conjugate_operator():
    coefficient = random_matrix(44)
    modes = fock_modes(6)
    nu, sterile = modes[:3], modes[3:]
    operator = sum(coefficient[p, r] * nu[p].T @ sterile[r] for p in range(3) for r in range(3))
    vacuum = np.eye(64)[0]
    for p in range(3):
        for r in range(3):
            found = vacuum @ sterile[r] @ operator.conj().T @ nu[p].T @ vacuum
            assert found == pytest.approx(coefficient[p, r].conj(), abs=1e-13)


# Magnetic and electric moments, Lambda


def test_sign_of_the_electric_moment():
    """-1/2 psibar sigma (m + i eps gamma_5) psi F is m sigma.B + eps sigma.E for a spin at rest, m + i eps from R to L."""
    m, eps = 1.3, 0.7
    electric, magnetic = rng(45).normal(size=(2, 3))
    field = np.zeros((4, 4))
    field[0, 1:] = electric  # F_0i = E_i, F_ij = -eps_ijk B_k
    field[1:, 0] = -electric
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        field[1 + i, 1 + j], field[1 + j, 1 + i] = -magnetic[k], magnetic[k]
    vertex = m * np.eye(4) + 1j * eps * dirac.GAMMA5
    lagrangian = -0.5 * np.einsum("ij,mnjk,kl,mn->il", dirac.GAMMA[0], dirac.SIGMA, vertex, field)[:2, :2]
    pauli = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
    expected = m * np.einsum("k,kij->ij", magnetic, pauli) + eps * np.einsum("k,kij->ij", electric, pauli)
    np.testing.assert_allclose(lagrangian, expected, atol=1e-13)
    mu = complex(dm.dirac_matrix(m * np.eye(3), eps * np.eye(3))[0, 0])
    np.testing.assert_allclose(vertex @ dirac.P_R, mu * dirac.P_R, atol=1e-14)


def test_electric_moments_are_the_imaginary_part():
    m, eps = (x + x.conj().T for x in (random_matrix(2), random_matrix(3)))
    mu = dm.dirac_matrix(m, eps)
    np.testing.assert_allclose(mu, m + 1j * eps, rtol=1e-14)
    back = dm.magnetic_and_electric(mu)
    np.testing.assert_allclose(back[0], m, atol=1e-14)
    np.testing.assert_allclose(back[1], eps, atol=1e-14)


def test_scattering_sees_magnetic_minus_i_electric():
    """arXiv:1403.6344: mu_eff^2 = sum_j |sum_k (m - i eps)_jk psi_k|^2, j final and k initial."""
    m, eps = (x + x.conj().T for x in (random_matrix(4), random_matrix(5)))
    psi = np.array([0.6, 0.48 + 0.36j, -0.528j])
    literature = np.sum(np.abs((m - 1j * eps) @ psi) ** 2)
    found = dm.moment_squared(dm.dirac_matrix(m, eps), jnp.asarray(np.outer(psi, psi.conj())))
    assert float(found) == pytest.approx(literature, rel=1e-13, abs=0)
    # A single state: only |m - i eps| counts.
    alone = dm.moment_squared(dm.dirac_matrix(np.diag([3.0, 0, 0]), np.diag([4.0, 0, 0])), jnp.diag(jnp.array([1.0, 0, 0])))
    assert float(alone) == pytest.approx(25.0, rel=1e-14, abs=0)


def test_lambda_by_components():
    mu = random_majorana(6)
    vector = np.asarray(dm.majorana_vector(mu))
    np.testing.assert_allclose(vector, [mu[1, 2], mu[2, 0], mu[0, 1]], rtol=1e-15)
    np.testing.assert_allclose(dm.majorana_matrix(vector), mu, rtol=1e-15)
    assert dm.majorana_matrix(np.ones((4, 2, 3))).shape == (4, 2, 3, 3)


# Bases


@pytest.mark.parametrize("kind", dm.KINDS)
def test_mass_basis_element_by_element(kind):
    u, right = rotations(*ANGLES, 3.7, 0.4, -1.9), random_unitary(8)
    mu = random_matrix(9) if kind == "dirac" else random_majorana(9)
    other = right if kind == "dirac" else u.conj()
    expected = np.zeros((3, 3), complex)
    for i in range(3):
        for j in range(3):
            expected[i, j] = sum(u[a, i].conj() * mu[a, b] * other[b, j] for a in range(3) for b in range(3))
    extra = {"u_right": right} if kind == "dirac" else {}
    mass = dm.to_mass_basis(mu, u, kind, **extra)
    np.testing.assert_allclose(mass, expected, atol=1e-13)
    np.testing.assert_allclose(dm.to_flavour_basis(mass, u, kind, **extra), mu, atol=1e-13)


def test_lambda_in_the_mass_basis():
    """A cross product turns with the cofactors: Lambda~ = conj(det U) U^T Lambda."""
    u, mu = random_unitary(10), random_majorana(11)
    closed = np.linalg.det(u).conj() * u.T @ np.asarray(dm.majorana_vector(mu))
    np.testing.assert_allclose(dm.majorana_vector(dm.to_mass_basis(mu, u, "majorana")), closed, atol=1e-13)


def test_derivatives_through_mixing_and_bases():
    mu = jnp.asarray(random_majorana(35))

    def squared(x):
        u = dm.mixing_matrix(*x)
        return dm.mass_state_moment_squared(dm.to_mass_basis(mu * (1 + x[5]), u, "majorana"), jnp.asarray(P))

    assert_derivatives(squared, [0.0] * 6, [*ANGLES, 3.7, 0.4, -1.9])
