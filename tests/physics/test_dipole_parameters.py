"""Parametrisations without flat directions, Dirac and Majorana: every matrix, the Jacobian, the rank, derivatives."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivative_checks import assert_derivatives
from moment_matrices import ANGLES, MU_B, density, random_majorana, random_matrix, random_unitary, rng, rotations

from nmmfit.physics import dipole_matrix as dm
from nmmfit.physics import dipole_parameters as dp

# Dirac: the triangular parametrisation


def hermitian_coordinates(h):
    upper = [(0, 1), (0, 2), (1, 2)]
    parts = [[jnp.real(h[i, i]) for i in range(3)], [jnp.real(h[i, j]) for i, j in upper], [jnp.imag(h[i, j]) for i, j in upper]]
    return jnp.stack([x for part in parts for x in part])


def product_coordinates(x):
    t = dp.triangular_matrix(x)
    return hermitian_coordinates(t @ jnp.conj(t.T))


def full_coordinates(x):
    mu = jnp.reshape(x[:9] + 1j * x[9:], (3, 3))
    return hermitian_coordinates(mu @ jnp.conj(mu.T))


@pytest.mark.parametrize("columns", [1, 2, 3, 5])
def test_every_matrix_has_its_triangular_one(columns):
    mu = random_matrix(29, columns, (4,))
    x = np.asarray(dp.triangular_parameters(mu))
    t = np.asarray(dp.triangular_matrix(x))
    dagger = [np.conj(np.swapaxes(m, -1, -2)) for m in (mu, t)]
    np.testing.assert_allclose(t @ dagger[1], mu @ dagger[0], atol=1e-13)
    assert np.all(x[:, :3] >= -1e-14)
    assert np.all(t[:, [0, 0, 1], [1, 2, 2]] == 0)
    if columns >= 3:
        np.testing.assert_allclose(t, np.linalg.cholesky(mu @ dagger[0]), atol=1e-12)


def test_triangular_parameters_of_nothing_and_of_themselves():
    np.testing.assert_array_equal(dp.triangular_parameters(np.zeros((3, 3))), np.zeros(9))
    x = np.array([1.0, 2.0, 0.5, 0.3, -0.4, 1.1, 0.7, -2.0, 0.1])
    np.testing.assert_allclose(dp.triangular_parameters(dp.triangular_matrix(x)), x, atol=1e-14)
    # The sign of each column is free.
    signs = dp.triangular_matrix(x) * np.array([-1.0, 1.0, -1.0])
    np.testing.assert_allclose(dp.triangular_parameters(signs), x, atol=1e-14)


def test_triangular_parameters_are_linear_in_coefficients():
    """A run file's amounts: sum_k x_k amount_k is the coefficient, 2 L = mu."""
    x = rng(30).normal(size=9)
    values: dict[str, complex] = {}
    for (name, amount), number in zip(dp.TRIANGULAR_COEFFICIENTS, x, strict=True):
        values[name] = values.get(name, 0.0) + amount * number
    mu = np.asarray(dm.matrix_from_coefficients(values, "dirac")) * MU_B / 2
    np.testing.assert_allclose(mu, dp.triangular_matrix(x), rtol=1e-8)


def test_jacobian_is_the_determinant():
    x = rng(31).normal(size=(3, 9))
    for row in x:
        determinant = np.linalg.slogdet(np.asarray(jax.jacfwd(product_coordinates)(jnp.asarray(row))))[1]
        assert float(dp.log_triangular_jacobian(row)) == pytest.approx(determinant, rel=1e-11, abs=0)
    t = np.abs(x[:, :3])
    closed = 3 * np.log(2) + 5 * np.log(t[:, 0]) + 3 * np.log(t[:, 1]) + np.log(t[:, 2])
    np.testing.assert_allclose(dp.log_triangular_jacobian(x), closed, rtol=1e-13)


@pytest.mark.parametrize("columns", [3, 4])
def test_jacobian_of_flat_entries(columns):
    """Gaussian entries of mu: T_11, T_22, T_33 are chi with 2n, 2n - 2, 2n - 4 degrees of freedom (Bartlett)."""
    x = np.asarray(dp.triangular_parameters(random_matrix(32, columns, (40_000,))))
    degrees = 2 * columns - 2 * np.arange(3)
    np.testing.assert_allclose(np.mean(x[:, :3] ** 2, axis=0), degrees, rtol=0.02)
    np.testing.assert_allclose(np.mean(x[:, 3:] ** 2, axis=0), 1.0, rtol=0.03)
    # A chi density of k degrees is t^(k-1) exp(-t^2/2): the exponents of the Jacobian.
    ones = np.array([np.e, 1, 1, 0, 0, 0, 0, 0, 0]), np.array([1, np.e, 1, 0, 0, 0, 0, 0, 0]), np.array([1, 1, np.e] + 6 * [0])
    powers = [float(dp.log_triangular_jacobian(o, columns)) - 3 * np.log(2) for o in ones]
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


def test_derivatives_of_the_parametrisation():
    def squared(x):
        return dm.moment_squared(dp.triangular_matrix(x), jnp.asarray(density(rotations(*ANGLES, 3.7, 0, 0))))

    assert_derivatives(squared, [0.0] * 9, rng(36).normal(size=9))


# Majorana: three moments without their common phase


def outer_coordinates(vector):
    """Lambda Lambda^dagger, all that scattering knows of three moments."""
    return hermitian_coordinates(vector[:, None] * jnp.conj(vector)[None, :])


def reduced_coordinates(x):
    return outer_coordinates(dm.majorana_vector(dp.phase_free_majorana(x)))


def test_every_majorana_matrix_has_its_phase_free_one():
    mu = np.stack([random_majorana(seed) for seed in range(4)])
    x = np.asarray(dp.phase_free_parameters(mu))
    free = np.asarray(dp.phase_free_majorana(x))
    assert np.all(x[:, 0] > 0)
    np.testing.assert_allclose(free, -np.swapaxes(free, -1, -2), rtol=0, atol=0)
    # One phase per matrix turns one into the other.
    ratio = np.stack([(free[k] / np.where(mu[k] == 0, 1, mu[k]))[~np.eye(3, dtype=bool)] for k in range(4)])
    np.testing.assert_allclose(np.abs(ratio), 1.0, rtol=1e-13)
    np.testing.assert_allclose(ratio, np.repeat(ratio[:, :1], 6, axis=1), rtol=1e-12)
    for rho in (np.diag([1.0, 0, 0]), np.diag([0, 1.0, 0]), density(random_unitary(3))):
        one, other = (dm.moment_squared(jnp.asarray(m), jnp.asarray(rho)) for m in (mu, free))
        np.testing.assert_allclose(one, other, rtol=1e-12)
    np.testing.assert_allclose(dp.phase_free_parameters(free), x, rtol=1e-12)
    np.testing.assert_allclose(dp.phase_free_parameters(-free), x, rtol=1e-12)
    np.testing.assert_array_equal(dp.phase_free_parameters(np.zeros((3, 3))), np.zeros(5))


def test_majorana_parameters_are_linear_in_coefficients():
    """A run file's amounts: sum_k x_k amount_k is the coefficient L, and mu = 4 L^dagger."""
    x = rng(60).normal(size=5)
    values: dict[str, complex] = {}
    for (name, amount), number in zip(dp.MAJORANA_COEFFICIENTS, x, strict=True):
        values[name] = values.get(name, 0.0) + amount * number
    mu = np.asarray(dm.matrix_from_coefficients(values, "majorana")) * MU_B / 4
    np.testing.assert_allclose(mu, np.asarray(dp.phase_free_majorana(x)).conj().T, rtol=1e-8)


def test_no_direction_of_three_majorana_moments_is_flat_by_symmetry():
    """One of the six numbers changes nothing; each of the five does, and all are seen by densities in general position."""
    full = np.asarray(jax.jacfwd(lambda y: outer_coordinates(y[:3] + 1j * y[3:]))(jnp.asarray(rng(61).normal(size=6))))
    x = jnp.asarray(rng(62).normal(size=5))
    assert np.linalg.matrix_rank(full) == 5
    assert np.linalg.matrix_rank(np.asarray(jax.jacfwd(reduced_coordinates)(x))) == 5
    states = [density(random_unitary(seed), rng(seed).dirichlet([1, 1, 1])) for seed in range(5)]

    def seen(y):
        mu = dp.phase_free_majorana(y)
        return jnp.stack([dm.moment_squared(mu, jnp.asarray(rho)) for rho in states])

    assert np.linalg.matrix_rank(np.asarray(jax.jacfwd(seen)(x))) == 5
    # Where A_12 vanishes, the phase that the other two have in common is free.
    assert np.linalg.matrix_rank(np.asarray(jax.jacfwd(reduced_coordinates)(x.at[0].set(0.0)))) < 5


def test_flat_density_of_six_numbers_in_five():
    """The determinant of (x, common phase) -> three complex numbers is |A_12|."""

    def turned(y):
        a = dp.phase_free_majorana(y[:5]) * jnp.exp(1j * y[5])
        return jnp.stack([part(a[p, r]) for p, r in ((0, 1), (0, 2), (1, 2)) for part in (jnp.real, jnp.imag)])

    for row in rng(63).normal(size=(3, 6)):
        determinant = np.linalg.det(np.asarray(jax.jacfwd(turned)(jnp.asarray(row))))
        assert abs(determinant) == pytest.approx(abs(row[0]), rel=1e-12)


def test_derivatives_of_the_majorana_parametrisation():
    def squared(x):
        return dm.moment_squared(dp.phase_free_majorana(x), jnp.asarray(density(rotations(*ANGLES, 3.7, 0, 0))))

    assert_derivatives(squared, [0.0] * 5, rng(64).normal(size=5))
    assert dp.phase_free_majorana(np.ones((4, 2, 5))).shape == (4, 2, 3, 3)
