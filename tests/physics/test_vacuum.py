"""Oscillation in vacuum against the Schroedinger equation, and moments at a distance against eq. (3.2) term by term."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivative_checks import assert_derivatives
from moment_matrices import random_majorana, random_matrix, rotations
from scipy.linalg import expm

from nmmfit.errors import UserInputError
from nmmfit.physics import dipole_matrix as dm
from nmmfit.physics.oscillation import OscillationParameters
from nmmfit.physics.vacuum import FLAVOURS, vacuum_density_matrix

P = OscillationParameters()
HBAR_C = 197.3269804e-15  # MeV m


def mixing(alpha1=0.0, alpha2=0.0):
    return rotations(*(np.arcsin(np.sqrt(x)) for x in (P.s12sq, P.s13sq, P.s23sq)), P.delta_cp, alpha1, alpha2)


def evolved(flavour, e_mev, length_m, antineutrino):
    """exp(-i H L) on a flavour state, H = U diag(m^2) U^dagger / 2E (U* for antineutrinos)."""
    u = mixing().conj() if antineutrino else mixing()
    h = u @ np.diag([0.0, P.dm21, P.dm31]) @ u.conj().T * 1e-12 / (2 * e_mev)
    return expm(-1j * h * length_m / HBAR_C)[:, FLAVOURS.index(flavour)]


@pytest.mark.parametrize("antineutrino", [False, True])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_schroedinger_equation(flavour, antineutrino):
    for e_mev, length in ((4.0, 1700.0), (3.0, 52_500.0), (30.0, 28.0)):
        psi = evolved(flavour, e_mev, length, antineutrino)
        found = vacuum_density_matrix(P, flavour, e_mev, length, antineutrino)
        np.testing.assert_allclose(found, np.outer(psi, psi.conj()), rtol=0, atol=1e-10)


def test_survival_of_reactor_antineutrinos():
    """The textbook phase 1.267 dm^2 L / E: at 1.7 km and 4 MeV theta_13 takes sin^2(2 theta_13) sin^2(1.267 dm31 L / E)."""
    e_mev, length = 4.0, 1700.0
    found = float(vacuum_density_matrix(P, "e", e_mev, length, True)[0, 0].real)
    closed = 1 - 4 * P.s13sq * (1 - P.s13sq) * np.sin(1.26693 * P.dm31 * length / e_mev) ** 2
    assert found == pytest.approx(closed, abs=4e-3)
    assert 1 - found > 0.05


@pytest.mark.parametrize(("kind", "antineutrino"), [("dirac", False), ("dirac", True), ("majorana", True)])
def test_moment_at_a_distance_term_by_term(kind, antineutrino):
    """(3.2): sum_j |sum_k mu_jk A_k|^2 with A_k = exp(-i m_k^2 L / 2E) times the mixing of nu_e, phases of U included."""
    alpha = (0.7, -1.1) if kind == "majorana" else (0.0, 0.0)
    mu = random_matrix(70) if kind == "dirac" else random_majorana(70)
    u, e_mev, length = mixing(*alpha), 3.0, 20_000.0
    mass = np.asarray(dm.to_mass_basis(mu, u, kind))
    phase = np.exp(-0.5j * np.array([0.0, P.dm21, P.dm31]) * 1e-12 * length / (e_mev * HBAR_C))
    amplitude = (u[0] if antineutrino else u[0].conj()) * phase
    meets = mass if antineutrino else mass.conj()
    expected = sum(abs(sum(amplitude[k] * meets[k, j] for k in range(3))) ** 2 for j in range(3))
    rho = vacuum_density_matrix(P, "e", e_mev, length, antineutrino)
    assert float(dm.moment_squared(jnp.asarray(mu), rho, antineutrino)) == pytest.approx(expected, rel=1e-9)


def test_near_sources_see_their_row_and_far_ones_the_average():
    mu = random_matrix(71)
    for flavour, e_mev, length in (("e", 3.0, 10.0), ("mu", 30.0, 28.0)):
        row = np.sum(np.abs(mu[FLAVOURS.index(flavour)]) ** 2)
        rho = vacuum_density_matrix(P, flavour, e_mev, length)
        assert float(dm.moment_squared(jnp.asarray(mu), rho)) == pytest.approx(row, rel=2e-2)
        assert float(rho[FLAVOURS.index(flavour), FLAVOURS.index(flavour)].real) > 1 - 1e-3
    np.testing.assert_array_equal(vacuum_density_matrix(P, "tau", 1.0, 0.0)[2, 2].real, pytest.approx(1.0, rel=1e-14))
    # Over many wave lengths the mass states become incoherent.
    energies = 3.0 * (1 + 0.1 * np.linspace(-1, 1, 200_001))
    mean = np.mean(np.asarray(vacuum_density_matrix(P, "e", energies, 1.0e9)), axis=0)
    u = mixing()
    np.testing.assert_allclose(mean, u @ np.diag(np.abs(u[0]) ** 2) @ u.conj().T, rtol=0, atol=5e-3)


def test_pure_states_batches_and_derivatives():
    energies, lengths = jnp.asarray([2.0, 3.0, 5.0]), jnp.asarray([[500.0], [50_000.0]])
    found = vacuum_density_matrix(P, "e", energies, lengths)
    assert found.shape == (2, 3, 3, 3)
    np.testing.assert_allclose(found @ found, found, rtol=0, atol=1e-13)
    mapped = jax.vmap(lambda e: vacuum_density_matrix(P, "e", e, 500.0))(energies)
    np.testing.assert_allclose(mapped, found[0], rtol=0, atol=1e-14)
    mu = jnp.asarray(random_matrix(72))

    def seen(x):
        p = OscillationParameters(s12sq=x[0], s13sq=x[1], s23sq=x[2], delta_cp=x[3], dm21=7.5e-5 * x[4], dm31=2.5e-3 * x[5])
        return dm.moment_squared(mu, vacuum_density_matrix(p, "e", 3.0 * x[6], 20_000.0 * x[7], True), True)

    assert_derivatives(seen, [0.3, 0.02, 0.5, 3.0, 1.0, 1.0, 1.0, 1.0], rtol=1e-4, atol=1e-3)


def test_unknown_flavour():
    with pytest.raises(UserInputError, match="unknown flavour 'nu_e'"):
        vacuum_density_matrix(P, "nu_e", 3.0, 10.0)
