"""Plasmon decay with a massive N against the trace of explicit Dirac matrices and two-body phase space."""

from __future__ import annotations

import dirac
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivative_checks import assert_derivatives

from nmmfit.moments import effective_moments
from nmmfit.physics.plasmon import plasmon_mass_factor

G = np.diag([1.0, -1.0, -1.0, -1.0])


def slash(p):
    return np.einsum("m,mij->ij", G @ p, dirac.GAMMA)


def width(mu, k_mass, m_n, cosine):
    """Gamma of a plasmon at rest into nu Nbar and nubar N, averaged over polarisations, from traces at one angle.

    The amplitude of 1/2 mu nubar sigma^{mn} P_R N F_{mn} is mu ubar(p) sigma^{mn} q_m eps_n P_R v(k) up to a phase.
    """
    energy = (k_mass**2 - m_n**2) / (2 * k_mass)
    direction = np.array([np.sqrt(1 - cosine**2), 0.0, cosine])
    p = np.concatenate([[energy], energy * direction])
    k = np.concatenate([[k_mass - energy], -energy * direction])
    q = np.array([k_mass, 0.0, 0.0, 0.0])
    vertex = np.einsum("m,mnij->nij", G @ q, dirac.SIGMA) @ dirac.P_R
    bar = np.einsum("ij,njk,kl->nil", dirac.GAMMA[0], vertex.conj().transpose(0, 2, 1), dirac.GAMMA[0])
    massive = slash(k) - m_n * np.eye(4)
    polarisations = -G + np.outer(q, q) / k_mass**2
    summed = np.einsum("mn,ij,mjk,kl,nli->", G @ polarisations @ G, slash(p), vertex, massive, bar).real
    return 2 * mu**2 * summed / 3 * energy / (8 * np.pi * k_mass**2)


@pytest.mark.parametrize("m_n", [0.0, 0.004, 0.012, 0.0179])
def test_width_from_traces(m_n):
    """mu^2 K^3 / 24 pi f at rest (omega = K), whatever the angle."""
    mu, k_mass = 0.7, 0.018
    f = float(plasmon_mass_factor(m_n, k_mass))
    for cosine in (-0.8, 0.1, 0.6):
        assert width(mu, k_mass, m_n, cosine) == pytest.approx(mu**2 * k_mass**3 / (24 * np.pi) * f, rel=1e-10)


def test_threshold():
    """Above its threshold N does not come out at all, and the moment goes to zero with (1 - m_N^2 / K^2)."""
    assert float(plasmon_mass_factor(0.0, 0.02)) == 1.0
    np.testing.assert_array_equal(plasmon_mass_factor(np.array([0.02, 0.021, 5.0]), 0.02), 0.0)
    near = plasmon_mass_factor(0.02 * np.sqrt(1 - 1e-6), 0.02)
    assert float(near) == pytest.approx(3e-12, rel=1e-5)
    # only the N below the threshold count
    mu = np.array([[1e-11, 2e-11, 0], [0, 3e-11, 0], [0, 0, 4e-11]])
    found = effective_moments(mu, "dirac", m_n_mev=[0.01, 0.03, 0.0], plasmon_mass_mev=0.02)["plasmon"]
    f = 0.75**2 * 1.5
    assert float(found) == pytest.approx(np.sqrt(f * 1e-22 + 16e-22), rel=1e-12)


def test_masses_of_zero_change_nothing_and_other_moments_do_not_know_masses():
    mu = np.arange(9).reshape(3, 3) * 1e-12 * (1 + 0.3j)
    light, zero, heavy = (
        effective_moments(mu, "dirac", m_n_mev=m, plasmon_mass_mev=0.02) for m in (0.0, np.zeros(3), [0.015, 0.0, 0.1])
    )
    assert float(light["plasmon"]) == pytest.approx(float(zero["plasmon"]), rel=1e-14)
    assert float(heavy["plasmon"]) < float(light["plasmon"])
    for name in ("reactor_e", "sns_mu", "sns_e", "solar"):
        assert float(heavy[name]) == float(light[name])


def test_derivatives_and_batches():
    def seen(x):
        mu = jnp.asarray([[1.0, 0.5, 0.2], [0.1, 2.0, 0.0], [0.3, 0.0, 1.5]])
        return effective_moments(mu * x[0], "dirac", m_n_mev=x[1:4], plasmon_mass_mev=x[4])["plasmon"]

    assert_derivatives(seen, [1.2, 0.3, 0.5, 1.7, 1.1], [0.8, 0.0, 0.2, 0.9, 1.4], rtol=1e-5)
    masses = jnp.linspace(0.0, 0.03, 7)
    mapped = jax.vmap(lambda m: effective_moments(np.eye(3), "dirac", m_n_mev=m, plasmon_mass_mev=0.02)["plasmon"])(masses)
    np.testing.assert_allclose(mapped, np.sqrt(3 * plasmon_mass_factor(masses, 0.02)), rtol=1e-13)
