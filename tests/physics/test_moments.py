"""Effective moments against sums over final states written out."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivative_checks import assert_derivatives

from nmmfit.errors import UserInputError
from nmmfit.physics import moments

# 1e-11 mu_B is 2.9630e-9 GeV^-1, arXiv:2206.13122; here with the digits of CODATA 2022: e / (2 m_e)
MU_B = np.sqrt(4 * np.pi / 137.035999177) / (2 * 0.51099895069e-3)


def random_dipole(seed=0):
    rng = np.random.default_rng(seed)
    return jnp.asarray((rng.normal(size=(3, 6)) + 1j * rng.normal(size=(3, 6))) * 1e-9)


def test_size_of_the_bohr_magneton():
    dipole = jnp.zeros((3, 6), dtype=complex).at[1, 0].set(0.5 * 2.9630e-9)
    density, antineutrino = moments.named_density("sns_mu")
    assert float(moments.effective_moment_mub(dipole, density, antineutrino)) == pytest.approx(1e-11, rel=1e-4, abs=0)


@pytest.mark.parametrize(("name", "row"), [("reactor_e", 0), ("sns_e", 0), ("sns_mu", 1)])
def test_pure_flavours_see_their_row(name, row):
    dipole = random_dipole()
    density, antineutrino = moments.named_density(name)
    expected = np.sqrt(np.sum(np.abs(2 * np.asarray(dipole)[row] / MU_B) ** 2))
    assert float(moments.effective_moment_mub(dipole, density, antineutrino)) == pytest.approx(expected, rel=1e-9, abs=0)


def test_superposition_and_antineutrino():
    """|nu> = sum_p psi_p |nu_p> meets conj(d), an antineutrino d itself: the two differ by the sign of every phase."""
    dipole = random_dipole(1)
    psi = np.array([0.5, 0.5 + 0.5j, -0.5j])
    rho = jnp.asarray(np.outer(psi, psi.conj()))
    for antineutrino, seen in ((False, psi.conj() @ np.asarray(dipole)), (True, psi @ np.asarray(dipole))):
        expected = 4 * np.sum(np.abs(seen) ** 2) / MU_B**2
        found = moments.effective_moment_squared_mub2(dipole, rho, antineutrino)
        assert float(found) == pytest.approx(expected, rel=1e-9, abs=0)


def test_incoherent_solar_states_and_transition_moments():
    """mu^2 = sum_k P_k sum_j |mu_jk|^2; three equal transition moments give twice the square of one (arXiv:2505.02633)."""
    weights = np.array([0.6, 0.3, 0.1])
    one = 2e-9
    antisymmetric = np.array([[0, one, one], [-one, 0, one], [-one, -one, 0]])
    dipole = jnp.concatenate([jnp.zeros((3, 3)), jnp.asarray(antisymmetric)], axis=1).astype(complex)
    found = moments.effective_moment_squared_mub2(dipole, jnp.diag(jnp.asarray(weights)).astype(complex))
    assert float(found) == pytest.approx(2 * (2 * one / MU_B) ** 2, rel=1e-9, abs=0)


def test_plasmon_counts_majorana_pairs_once():
    one = 1e-9
    dirac_entry = jnp.zeros((3, 6), dtype=complex).at[0, 1].set(one)
    majorana_pair = jnp.zeros((3, 6), dtype=complex).at[0, 4].set(one).at[1, 3].set(-one)
    assert float(moments.plasmon_moment_mub(dirac_entry)) == pytest.approx(2 * one / MU_B, rel=1e-9, abs=0)
    assert float(moments.plasmon_moment_mub(majorana_pair)) == pytest.approx(2 * one / MU_B, rel=1e-9, abs=0)


def test_gradients_at_zero_and_elsewhere():
    density, antineutrino = moments.named_density("sns_mu")

    def squared(x):
        d = (x[0] + 1j * x[1]) * random_dipole(2) * 1e2
        return 1e16 * moments.effective_moment_squared_mub2(d, density, antineutrino)

    assert_derivatives(squared, [0.0, 0.0], [0.3, -0.8])
    for function in (lambda d: moments.effective_moment_mub(d, density), moments.plasmon_moment_mub):
        gradient = jax.grad(lambda x, f=function: f(x * random_dipole(3)))(0.0)
        assert float(gradient) == 0.0
        slope = jax.grad(lambda x, f=function: f(x * random_dipole(3)))(2.0)
        assert float(slope) == pytest.approx(float(function(random_dipole(3))), rel=1e-12, abs=0)


def test_batches():
    dipoles = jnp.stack([random_dipole(4), random_dipole(5)])
    density, _ = moments.named_density("sns_e")
    found = moments.effective_moment_mub(dipoles, density)
    assert found.shape == (2,)
    assert float(found[1]) == pytest.approx(float(moments.effective_moment_mub(dipoles[1], density)), rel=1e-14, abs=0)
    assert moments.plasmon_moment_mub(dipoles).shape == (2,)


def test_unknown_name():
    with pytest.raises(UserInputError, match="did you mean 'reactor_e'"):
        moments.named_density("reactor")
