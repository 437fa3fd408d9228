"""Matrices of moments against sums written out in numpy, scipy's matrix exponentials and closed forms."""

from __future__ import annotations

import re
from pathlib import Path

import dirac
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivative_checks import assert_derivatives
from scipy.linalg import expm

from nmmfit.eft.chiral import ChiralInputs
from nmmfit.errors import UserInputError
from nmmfit.evolution import evolve
from nmmfit.inputs import StandardModelInputs
from nmmfit.physics import dipole_matrix as dm
from nmmfit.physics.oscillation import OSCILLATION_PRESETS, pmns_matrix

# e / (2 m_e) in GeV^-1, CODATA 2022
MU_B = np.sqrt(4 * np.pi / 137.035999177) / (2 * 0.51099895069e-3)
# e(0) / e(2 GeV): L_gamma / e does not run
TO_ZERO_MOMENTUM = np.sqrt(133.3037279 / 137.035999177)
P = np.array([0.616, 0.362, 0.022])  # P_e1, P_e2, P_e3 of 7Be neutrinos of 0.862 MeV
ANGLES = (0.588, 0.149, 0.755)


def rng(seed):
    return np.random.default_rng(seed)


def random_matrix(seed, columns=3, batch=()):
    r = rng(seed)
    return r.normal(size=(*batch, 3, columns)) + 1j * r.normal(size=(*batch, 3, columns))


def random_majorana(seed):
    mu = random_matrix(seed)
    return mu - mu.T


def random_unitary(seed, size=3):
    """exp(i H) of a random Hermitian generator."""
    r = rng(seed)
    h = r.normal(size=(size, size)) + 1j * r.normal(size=(size, size))
    return expm(1j * (h + h.conj().T))


def rotations(theta12, theta13, theta23, delta, alpha1, alpha2):
    """The PDG form as a product of matrix exponentials of generators."""

    def plane(i, j, theta):
        generator = np.zeros((3, 3))
        generator[i, j], generator[j, i] = theta, -theta
        return expm(generator)

    phase = np.diag([1, 1, np.exp(1j * delta)])
    majorana = np.diag(np.exp(0.5j * np.array([alpha1, alpha2, 0.0])))
    return plane(1, 2, theta23) @ phase @ plane(0, 2, theta13) @ phase.conj() @ plane(0, 1, theta12) @ majorana


def seen_by(psi, mu, antineutrino=False):
    """sum_r |sum_p psi_p conj(mu_pr)|^2, or with mu itself for an antineutrino, term by term."""
    total = 0.0
    for r in range(mu.shape[1]):
        total += abs(sum(psi[p] * (mu[p, r] if antineutrino else np.conj(mu[p, r])) for p in range(3))) ** 2
    return total


def incoherent(mu, u, probabilities, antineutrino=False):
    """Mass states with amplitudes U_ak (conjugated for antineutrinos) in the flavours, each on its own."""
    states = u.conj() if antineutrino else u
    return sum(probabilities[k] * seen_by(states[:, k], mu, antineutrino) for k in range(3))


def density(u, probabilities=P):
    return u @ np.diag(probabilities) @ u.conj().T


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


# Effective moments


@pytest.mark.parametrize("columns", [1, 2, 3, 5])
def test_density_matrix_and_mass_states_agree_with_explicit_sums(columns):
    u, mu = rotations(*ANGLES, 3.7, 0.4, -1.9), random_matrix(12, columns)
    expected = incoherent(mu, u, P)
    assert float(dm.moment_squared(jnp.asarray(mu), jnp.asarray(density(u)))) == pytest.approx(expected, rel=1e-13, abs=0)
    mass = dm.to_mass_basis(mu, u, "dirac", random_unitary(13, columns))
    assert float(dm.mass_state_moment_squared(mass, P)) == pytest.approx(expected, rel=1e-13, abs=0)
    for p in range(3):
        row = float(dm.moment_squared(jnp.asarray(mu), jnp.asarray(np.diag(np.eye(3)[p]))))
        assert row == pytest.approx(sum(abs(x) ** 2 for x in mu[p]), rel=1e-13, abs=0)


def test_majorana_formula_with_lambda():
    u, mu = rotations(*ANGLES, 3.7, 0.4, -1.9), random_majorana(14)
    expected = incoherent(mu, u, P)
    vector = dm.majorana_vector(dm.to_mass_basis(mu, u, "majorana"))
    assert float(dm.majorana_mass_state_moment_squared(vector, P)) == pytest.approx(expected, rel=1e-13, abs=0)
    assert float(dm.moment_squared(jnp.asarray(mu), jnp.asarray(density(u)))) == pytest.approx(expected, rel=1e-13, abs=0)


def test_equal_moments_of_the_mass_basis_give_two():
    """mu_sun^2 = 2 (4L)^2 whatever the phases and probabilities: the founding paper's mu_sun = 4L is too small by sqrt(2)."""
    for seed in range(5):
        phases = np.exp(2j * np.pi * rng(seed).uniform(size=3))
        weights = rng(seed).dirichlet([1, 1, 1])
        found = dm.mass_state_moment_squared(dm.majorana_matrix(3.0 * phases), weights)
        assert float(found) == pytest.approx(2 * 3.0**2, rel=1e-13, abs=0)


def test_equal_moments_of_the_flavour_basis_depend_on_phases():
    """mu_sun^2 / (4L)^2 = 3 - Lambda^T rho Lambda^*: 2 on average over phases, between 1.25 and 2.62 at the default mixing."""
    p = OSCILLATION_PRESETS["capozzi2025"].parameters
    rho = density(rotations(*(np.arcsin(np.sqrt(x)) for x in (p.s12sq, p.s13sq, p.s23sq)), p.delta_cp, 0, 0))
    grid = 2 * np.pi * np.arange(120) / 120
    a, b = np.meshgrid(grid, grid)
    vectors = np.stack([np.ones_like(a), np.exp(1j * a), np.exp(1j * b)], axis=-1)
    found = np.asarray(dm.moment_squared(dm.majorana_matrix(vectors), jnp.asarray(rho)))
    closed = 3 - np.einsum("...i,ij,...j->...", vectors, rho, vectors.conj()).real
    np.testing.assert_allclose(found, closed, rtol=1e-12)
    assert found.mean() == pytest.approx(2.0, rel=1e-12, abs=0)
    assert (found.min(), found.max()) == (pytest.approx(1.253, abs=2e-3), pytest.approx(2.621, abs=2e-3))
    equal = dm.matrix_from_coefficients({"nugamma_12": 1.0, "nugamma_13": 1.0, "nugamma_23": 1.0}, "majorana")
    ratio = float(dm.moment_squared(equal, jnp.asarray(rho))) * (MU_B / 4) ** 2
    assert ratio == pytest.approx(1.259, abs=2e-3)


@pytest.mark.parametrize("pair", [(0, 1), (0, 2), (1, 2)])
def test_one_transition_moment_is_seen_less_than_fully(pair):
    """Only mu_pr: mu_sun^2 = |mu_pr|^2 (1 - rho_ss), s the third flavour; the identity mu_sun = 4L is too large then."""
    rho = density(rotations(*ANGLES, 3.7, 0, 0))
    (third,) = {0, 1, 2} - set(pair)
    mu = dm.majorana_matrix(2.0 * np.eye(3)[third])
    found = float(dm.moment_squared(mu, jnp.asarray(rho)))
    assert found == pytest.approx(4.0 * (1 - rho[third, third].real), rel=1e-13, abs=0)
    assert found < 4.0


def test_universal_dirac_moments_forget_mixing():
    unitary = 2.0 * random_unitary(15)
    for seed in (16, 17):
        found = dm.moment_squared(jnp.asarray(unitary), jnp.asarray(density(random_unitary(seed))))
        assert float(found) == pytest.approx(4.0, rel=1e-13, abs=0)


def test_index_order_of_the_literature():
    """arXiv:1901.00482 has the arriving index first in (24) and last in (25): for our mu the last index is that of N.

    A matrix with one row, mu_er: sum_jk P_k |mu~_jk|^2 over the last index depends on the mixing of N, which nothing measures.
    """
    u, mu = rotations(*ANGLES, 3.7, 0, 0), np.zeros((3, 3), complex)
    mu[0] = [1.0, 0.0, 0.0]
    survival = float(np.sum(P * np.abs(u[0]) ** 2))
    assert incoherent(mu, u, P) == pytest.approx(survival, rel=1e-13, abs=0)
    literal = []
    for k in range(3):
        right = np.roll(np.eye(3), k, axis=1)
        mass = np.asarray(dm.to_mass_basis(mu, u, "dirac", right))
        assert float(dm.mass_state_moment_squared(mass, P)) == pytest.approx(survival, rel=1e-13, abs=0)
        literal.append(float(np.sum(P * np.sum(np.abs(mass) ** 2, axis=0))))
    np.testing.assert_allclose(sorted(literal), sorted(P), rtol=1e-12)


def test_plasmon_counts_what_opens():
    dirac, majorana = random_matrix(18, 4), random_majorana(19)
    vector = np.asarray(dm.majorana_vector(majorana))
    assert float(dm.plasmon_squared(dirac, "dirac")) == pytest.approx(np.sum(np.abs(dirac) ** 2), rel=1e-14, abs=0)
    assert float(dm.plasmon_squared(dirac, "dirac", "entries")) == pytest.approx(np.sum(np.abs(dirac) ** 2), rel=1e-14, abs=0)
    pairs = float(dm.plasmon_squared(majorana, "majorana"))
    assert pairs == pytest.approx(np.sum(np.abs(vector) ** 2), rel=1e-14, abs=0)
    assert float(dm.plasmon_squared(majorana, "majorana", "entries")) == pytest.approx(2 * pairs, rel=1e-14, abs=0)


@pytest.mark.parametrize("kind", dm.KINDS)
def test_plasmons_see_most(kind):
    for seed in range(50, 55):
        mu = random_matrix(seed) if kind == "dirac" else random_majorana(seed)
        most = float(dm.plasmon_squared(mu, kind))
        for rho in (np.diag([1.0, 0, 0]), np.diag([0, 1.0, 0]), density(random_unitary(seed), rng(seed).dirichlet([1, 1, 1]))):
            assert float(dm.moment_squared(jnp.asarray(mu), jnp.asarray(rho))) <= most * (1 + 1e-14)


# Invariances


@pytest.mark.parametrize("columns", [2, 3, 4])
def test_rotating_the_sterile_neutrinos_changes_nothing(columns):
    mu, v = random_matrix(20, columns), random_unitary(21, columns)
    for rho in (np.diag([1.0, 0, 0]), np.diag([0, 1.0, 0]), density(random_unitary(22))):
        for anti in (False, True):
            one, other = (dm.moment_squared(jnp.asarray(m), jnp.asarray(rho), anti) for m in (mu, mu @ v))
            assert float(one) == pytest.approx(float(other), rel=1e-12, abs=0)
    assert float(dm.plasmon_squared(mu, "dirac")) == pytest.approx(float(dm.plasmon_squared(mu @ v, "dirac")), rel=1e-12, abs=0)


def test_majorana_phases_drop_out_of_the_solar_moment_at_fixed_flavour_matrix():
    mu = random_majorana(23)
    reference = rotations(*ANGLES, 3.7, 0, 0)
    phased = rotations(*ANGLES, 3.7, 1.1, -2.3)
    np.testing.assert_allclose(density(phased), density(reference), atol=1e-14)
    one, other = (dm.mass_state_moment_squared(dm.to_mass_basis(mu, u, "majorana"), P) for u in (reference, phased))
    assert float(one) == pytest.approx(float(other), rel=1e-12, abs=0)


def test_all_phases_of_the_mass_basis_drop_out_of_the_solar_moment_but_not_of_the_reactor_one():
    """At fixed |Lambda~_k|; a reactor sees |Lambda~|^2 - |sum_k conj(U_ek) Lambda~_k|^2, Majorana phases included."""
    size = np.array([1.0, 2.0, 1.5])
    solar, reactor = [], []
    for seed in range(4):
        alpha1, alpha2, x, y, z = 2 * np.pi * rng(seed).uniform(size=5)
        u = rotations(*ANGLES, 3.7, alpha1, alpha2)
        vector = size * np.exp(1j * np.array([x, y, z]))
        mass = dm.majorana_matrix(vector)
        flavour = dm.to_flavour_basis(mass, u, "majorana")
        solar.append(float(dm.moment_squared(flavour, jnp.asarray(density(u)))))
        reactor.append(float(dm.moment_squared(flavour, jnp.diag(jnp.array([1.0, 0, 0])), True)))
        closed = np.sum(size**2) - abs(np.sum(u[0].conj() * vector)) ** 2
        assert reactor[-1] == pytest.approx(closed, rel=1e-12, abs=0)
    np.testing.assert_allclose(solar, np.sum(size**2) - np.sum(P * size**2), rtol=1e-12)
    assert np.ptp(reactor) > 0.1


def test_all_phases_drop_out_of_row_sums():
    mu = random_matrix(24)
    twisted = np.abs(mu) * np.exp(2j * np.pi * rng(25).uniform(size=(3, 3)))
    for p in range(3):
        one, other = (dm.moment_squared(jnp.asarray(m), jnp.asarray(np.diag(np.eye(3)[p]))) for m in (mu, twisted))
        assert float(one) == pytest.approx(float(other), rel=1e-12, abs=0)
    # The solar moment keeps the relative phases of two rows in a column.
    rho = density(rotations(*ANGLES, 3.7, 0, 0))
    one, other = (float(dm.moment_squared(jnp.asarray(m), jnp.asarray(rho))) for m in (mu, twisted))
    assert abs(one / other - 1) > 1e-3


@pytest.mark.parametrize("kind", dm.KINDS)
def test_rephasing_the_lepton_doublets(kind):
    """nu_p -> e^{i a_p} nu_p in mu and rho together."""
    mu = random_matrix(26) if kind == "dirac" else random_majorana(26)
    phases = np.diag(np.exp(1j * np.array([0.3, -1.2, 2.0])))
    rho = density(rotations(*ANGLES, 3.7, 0, 0))
    turned = phases @ mu @ (np.eye(3) if kind == "dirac" else phases)
    one = dm.moment_squared(jnp.asarray(mu), jnp.asarray(rho))
    other = dm.moment_squared(jnp.asarray(turned), jnp.asarray(phases @ rho @ phases.conj()))
    assert float(one) == pytest.approx(float(other), rel=1e-12, abs=0)


def test_cp_conjugation():
    """mu -> mu^*, U -> U^*: no moment changes, whereas one of the two alone changes the solar one."""
    mu, u = random_matrix(27), rotations(*ANGLES, 3.7, 0, 0)
    reference = incoherent(mu, u, P)
    conjugated = dm.moment_squared(jnp.asarray(mu.conj()), jnp.asarray(density(u.conj())))
    assert float(conjugated) == pytest.approx(reference, rel=1e-12, abs=0)
    half = float(dm.moment_squared(jnp.asarray(mu.conj()), jnp.asarray(density(u))))
    assert abs(half / reference - 1) > 1e-3
    assert float(dm.plasmon_squared(mu.conj(), "dirac")) == pytest.approx(
        float(dm.plasmon_squared(mu, "dirac")), rel=1e-14, abs=0
    )


def test_neutrinos_and_antineutrinos():
    """The mass states of antineutrinos have amplitudes U^* and meet mu itself: the same moment for the same probabilities."""
    mu, u = random_matrix(28), rotations(*ANGLES, 3.7, 0, 0)
    anti = dm.moment_squared(jnp.asarray(mu), jnp.asarray(density(u.conj())), True)
    assert float(anti) == pytest.approx(incoherent(mu, u, P, antineutrino=True), rel=1e-12, abs=0)
    assert float(anti) == pytest.approx(incoherent(mu, u, P), rel=1e-12, abs=0)
    # With one density matrix for both they differ, unless it is diagonal.
    one, other = (float(dm.moment_squared(jnp.asarray(mu), jnp.asarray(density(u)), a)) for a in (False, True))
    assert abs(one / other - 1) > 1e-3
    one, other = (float(dm.moment_squared(jnp.asarray(mu), jnp.asarray(np.diag(P)), a)) for a in (False, True))
    assert one == pytest.approx(other, rel=1e-14, abs=0)


# The triangular parametrisation


def hermitian_coordinates(h):
    upper = [(0, 1), (0, 2), (1, 2)]
    parts = [[jnp.real(h[i, i]) for i in range(3)], [jnp.real(h[i, j]) for i, j in upper], [jnp.imag(h[i, j]) for i, j in upper]]
    return jnp.stack([x for part in parts for x in part])


def product_coordinates(x):
    t = dm.triangular_matrix(x)
    return hermitian_coordinates(t @ jnp.conj(t.T))


def full_coordinates(x):
    mu = jnp.reshape(x[:9] + 1j * x[9:], (3, 3))
    return hermitian_coordinates(mu @ jnp.conj(mu.T))


@pytest.mark.parametrize("columns", [1, 2, 3, 5])
def test_every_matrix_has_its_triangular_one(columns):
    mu = random_matrix(29, columns, (4,))
    x = np.asarray(dm.triangular_parameters(mu))
    t = np.asarray(dm.triangular_matrix(x))
    dagger = [np.conj(np.swapaxes(m, -1, -2)) for m in (mu, t)]
    np.testing.assert_allclose(t @ dagger[1], mu @ dagger[0], atol=1e-13)
    assert np.all(x[:, :3] >= -1e-14)
    assert np.all(t[:, [0, 0, 1], [1, 2, 2]] == 0)
    if columns >= 3:
        np.testing.assert_allclose(t, np.linalg.cholesky(mu @ dagger[0]), atol=1e-12)


def test_triangular_parameters_of_nothing_and_of_themselves():
    np.testing.assert_array_equal(dm.triangular_parameters(np.zeros((3, 3))), np.zeros(9))
    x = np.array([1.0, 2.0, 0.5, 0.3, -0.4, 1.1, 0.7, -2.0, 0.1])
    np.testing.assert_allclose(dm.triangular_parameters(dm.triangular_matrix(x)), x, atol=1e-14)
    # The sign of each column is free.
    signs = dm.triangular_matrix(x) * np.array([-1.0, 1.0, -1.0])
    np.testing.assert_allclose(dm.triangular_parameters(signs), x, atol=1e-14)


def test_triangular_parameters_are_linear_in_coefficients():
    """A run file's amounts: sum_k x_k amount_k is the coefficient, 2 L = mu."""
    x = rng(30).normal(size=9)
    values: dict[str, complex] = {}
    for (name, amount), number in zip(dm.TRIANGULAR_COEFFICIENTS, x, strict=True):
        values[name] = values.get(name, 0.0) + amount * number
    mu = np.asarray(dm.matrix_from_coefficients(values, "dirac")) * MU_B / 2
    np.testing.assert_allclose(mu, dm.triangular_matrix(x), rtol=1e-8)


def test_jacobian_is_the_determinant():
    x = rng(31).normal(size=(3, 9))
    for row in x:
        determinant = np.linalg.slogdet(np.asarray(jax.jacfwd(product_coordinates)(jnp.asarray(row))))[1]
        assert float(dm.log_triangular_jacobian(row)) == pytest.approx(determinant, rel=1e-11, abs=0)
    t = np.abs(x[:, :3])
    closed = 3 * np.log(2) + 5 * np.log(t[:, 0]) + 3 * np.log(t[:, 1]) + np.log(t[:, 2])
    np.testing.assert_allclose(dm.log_triangular_jacobian(x), closed, rtol=1e-13)


@pytest.mark.parametrize("columns", [3, 4])
def test_jacobian_of_flat_entries(columns):
    """Gaussian entries of mu: T_11, T_22, T_33 are chi with 2n, 2n - 2, 2n - 4 degrees of freedom (Bartlett)."""
    x = np.asarray(dm.triangular_parameters(random_matrix(32, columns, (40_000,))))
    degrees = 2 * columns - 2 * np.arange(3)
    np.testing.assert_allclose(np.mean(x[:, :3] ** 2, axis=0), degrees, rtol=0.02)
    np.testing.assert_allclose(np.mean(x[:, 3:] ** 2, axis=0), 1.0, rtol=0.03)
    # A chi density of k degrees is t^(k-1) exp(-t^2/2): the exponents of the Jacobian.
    ones = np.array([np.e, 1, 1, 0, 0, 0, 0, 0, 0]), np.array([1, np.e, 1, 0, 0, 0, 0, 0, 0]), np.array([1, 1, np.e] + 6 * [0])
    powers = [float(dm.log_triangular_jacobian(o, columns)) - 3 * np.log(2) for o in ones]
    np.testing.assert_allclose(powers, degrees - 1, rtol=1e-12)


def test_no_direction_is_flat_by_symmetry():
    """Nine of the 18 numbers of mu change nothing; each of the nine of T changes mu mu^dagger."""
    full = np.asarray(jax.jacfwd(full_coordinates)(jnp.asarray(rng(33).normal(size=18))))
    triangular = np.asarray(jax.jacfwd(product_coordinates)(jnp.asarray(rng(34).normal(size=9))))
    assert np.linalg.matrix_rank(full) == 9
    assert np.linalg.matrix_rank(triangular) == 9
    # Where a diagonal entry vanishes, the phase of its column is free.
    singular = np.asarray(jax.jacfwd(product_coordinates)(jnp.asarray(rng(34).normal(size=9)).at[0].set(0.0)))
    assert np.linalg.matrix_rank(singular) < 9


# Derivatives


def test_derivatives_through_mixing_and_bases():
    mu = jnp.asarray(random_majorana(35))

    def squared(x):
        u = dm.mixing_matrix(*x)
        return dm.mass_state_moment_squared(dm.to_mass_basis(mu * (1 + x[5]), u, "majorana"), jnp.asarray(P))

    assert_derivatives(squared, [0.0] * 6, [*ANGLES, 3.7, 0.4, -1.9])


def test_derivatives_of_the_parametrisation():
    def squared(x):
        return dm.moment_squared(dm.triangular_matrix(x), jnp.asarray(density(rotations(*ANGLES, 3.7, 0, 0))))

    assert_derivatives(squared, [0.0] * 9, rng(36).normal(size=9))


# The page


def test_the_theory_page_names_tests_that_exist():
    root = Path(__file__).resolve().parents[2]
    named = re.findall(r"`(test_\w+)`", (root / "docs" / "theory" / "moments.md").read_text(encoding="utf-8"))
    files = (Path(__file__), root / "tests" / "test_moments.py", root / "tests" / "test_examples.py")
    defined = {name for path in files for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)}
    assert len(named) > 20
    assert set(named) <= defined


# Wrong input


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dm.checked_matrix(np.eye(3), "majorana"), "antisymmetric, got a symmetric part of 1 in entry [0, 0]"),
        (lambda: dm.checked_matrix([[0, 1, 0], [-1, 0, 0], [0, 1e-6, 0]], "majorana"), "symmetric part of 5e-07 in entry [1, 2]"),
        (lambda: dm.checked_matrix(np.zeros((3, 4)), "majorana"), "Majorana matrix of moments has shape (..., 3, 3), got (3, 4)"),
        (lambda: dm.checked_matrix(np.zeros((2, 3)), "dirac"), "Dirac matrix of moments has shape (..., 3, n), got (2, 3)"),
        (lambda: dm.checked_matrix(np.zeros(3), "dirac"), "has shape (..., 3, n), got (3,)"),
        (lambda: dm.checked_matrix(np.zeros((3, 0)), "dirac"), "has shape (..., 3, n), got (3, 0)"),
        (lambda: dm.checked_matrix(np.full((3, 3), np.nan), "dirac"), "matrix: not finite (9 of 9 numbers)"),
        (lambda: dm.checked_matrix("big", "dirac"), "matrix: expected numbers, got 'big'"),
        (lambda: dm.checked_matrix(None, "dirac"), "matrix: "),
        (lambda: dm.checked_matrix({"a": 1}, "dirac"), "matrix: expected an array of numbers, got dict"),
        (lambda: dm.checked_matrix([[1, 2], [3]], "dirac"), "matrix: expected an array of numbers, got list"),
        (lambda: dm.checked_matrix(np.eye(3), "weyl"), "unknown kind of neutrino 'weyl'"),
        (
            lambda: dm.to_mass_basis(np.eye(3), 1.001 * np.eye(3), "dirac"),
            "mixing matrix: not unitary, an entry of U U^dagger - 1",
        ),
        (lambda: dm.to_mass_basis(np.eye(3), np.eye(2), "dirac"), "mixing matrix: expected shape (..., 3, 3), got (2, 2)"),
        (lambda: dm.to_mass_basis(np.eye(3), np.diag([1, 1, np.inf]), "dirac"), "mixing matrix: not finite (1 of 9 numbers)"),
        (lambda: dm.to_mass_basis(np.ones((3, 2)), np.eye(3), "dirac", np.eye(3)), "u_right: expected shape (..., 2, 2)"),
        (lambda: dm.to_mass_basis(np.zeros((3, 3)), np.eye(3), "majorana", np.eye(3)), "one mixing matrix; leave it out"),
        (lambda: dm.dirac_matrix(np.zeros((3, 2)), np.zeros((3, 3))), "magnetic (3, 2) and electric (3, 3) moments do not"),
        (lambda: dm.magnetic_and_electric(np.zeros((3, 2))), "need a square matrix, got (3, 2)"),
        (lambda: dm.majorana_matrix([1.0, 2.0]), "Lambda: expected shape (..., 3), got (2,)"),
        (lambda: dm.majorana_matrix([1.0, 2.0, np.nan]), "Lambda: not finite (1 of 3 numbers)"),
        (lambda: dm.matrix_from_coefficients({"nugamma_12": 1.0}, "dirac"), "'nugamma_12' is no moment of Dirac neutrinos"),
        (lambda: dm.matrix_from_coefficients({"nugamma_11": 1.0}, "majorana"), "coefficient 'nugamma_11' vanishes"),
        (lambda: dm.matrix_from_coefficients({"nugamma_12": 1.0, "nugamma_21": 1.0}, "majorana"), "the same up to a sign"),
        (lambda: dm.matrix_from_coefficients({"nuNgamma_12": np.inf}, "dirac"), "coefficient 'nuNgamma_12': not finite"),
        (lambda: dm.coefficients_from_matrix(np.zeros((3, 4)), "dirac"), "the basis of operators has three N, got 4 columns"),
        (lambda: dm.plasmon_squared(np.eye(3), "dirac", "twice"), "unknown counting of pairs 'twice'"),
        (lambda: dm.triangular_matrix(np.zeros(8)), "expected shape (..., 9), got (8,)"),
        (lambda: dm.triangular_matrix(np.full(9, np.nan)), "not finite (9 of 9 numbers)"),
        (lambda: dm.log_triangular_jacobian(np.ones(9), 2), "n_sterile: 2 is out of range"),
    ],
)
def test_wrong_input_is_refused_in_one_line(call, message):
    with pytest.raises(UserInputError) as caught:
        call()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
