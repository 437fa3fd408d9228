"""Effective moments of a matrix and what leaves them as they are, against sums written out in numpy."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from moment_matrices import ANGLES, MU_B, P, density, incoherent, random_majorana, random_matrix, random_unitary, rng, rotations

from nmmfit.physics import dipole_matrix as dm
from nmmfit.physics.oscillation import OSCILLATION_PRESETS

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
    assert survival == pytest.approx(0.53, abs=5e-3)
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
