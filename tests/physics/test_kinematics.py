"""Recoil limits against two-body kinematics solved with explicit four-vectors."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivative_checks import assert_derivatives

from nmmfit.physics import kinematics as kin


def recoil_at_angle(e, mass, m, cosine):
    """Recoil energy for centre-of-mass scattering angle, by boosting the recoiling target to the laboratory."""
    s = mass**2 + 2 * mass * e
    root = np.sqrt(s)
    momentum = np.sqrt((s - (mass + m) ** 2) * (s - (mass - m) ** 2)) / (2 * root)
    energy = (s + mass**2 - m**2) / (2 * root)
    gamma, beta = (e + mass) / root, e / (e + mass)
    return gamma * (energy - beta * momentum * cosine) - mass


@pytest.mark.parametrize(
    ("e", "mass", "m"), [(0.8618, 0.511, 0.0), (0.8618, 0.511, 0.3), (30.0, 123800.0, 20.0), (5.0, 40.0, 4.0)]
)
def test_limits_are_forward_and_backward_scattering(e, mass, m):
    lower, upper = (float(x) for x in kin.recoil_limits(e, mass, m))
    assert upper == pytest.approx(recoil_at_angle(e, mass, m, -1.0), rel=1e-9, abs=1e-9)
    assert lower == pytest.approx(recoil_at_angle(e, mass, m, 1.0), rel=1e-6, abs=1e-9)
    inside = recoil_at_angle(e, mass, m, 0.3)
    assert bool(kin.is_allowed(e, inside, mass, m))
    assert not bool(kin.is_allowed(e, 1.001 * upper, mass, m))


@pytest.mark.parametrize(("mass", "m"), [(0.511, 0.3), (100.0, 20.0)])
def test_threshold(mass, m):
    threshold = float(kin.threshold_energy(mass, m))
    assert (mass + m) ** 2 == pytest.approx(mass**2 + 2 * mass * threshold, rel=1e-14)
    lower, upper = kin.recoil_limits(threshold * (1 + 1e-9), mass, m)
    assert float(lower) == pytest.approx(float(upper), rel=1e-3)
    assert not bool(kin.is_allowed(0.999 * threshold, float(upper), mass, m))


def test_massless_limit():
    e = np.asarray([0.1, 1.0, 30.0])
    lower, upper = kin.recoil_limits(e, 0.511)
    assert np.all(lower == 0.0)
    np.testing.assert_allclose(upper, kin.max_recoil_energy(e, 0.511), rtol=1e-15)
    assert float(kin.max_recoil_energy(0.0, 0.511)) == 0.0


def test_smallest_recoil_does_not_cancel():
    """T_- tends to m^4 / (8 M E^2) for a light final state; the textbook difference loses it altogether."""
    lower, _ = kin.recoil_limits(30.0, 123800.0, 1e-3)
    assert float(lower) == pytest.approx(1e-12 / (8 * 123800.0 * 900.0), rel=1e-3)


@pytest.mark.parametrize("m", [0.0, 0.2])
def test_min_energy_inverts_the_limits(m):
    t = np.asarray([0.05, 0.3, 2.0])
    e = kin.min_neutrino_energy(t, 0.511, m)
    lower, upper = kin.recoil_limits(e, 0.511, m)
    on_edge = np.minimum(np.abs(np.asarray(lower) - t), np.abs(np.asarray(upper) - t))
    assert np.all(on_edge < 1e-7 * t)


def test_edges_at_zero_recoil():
    assert float(kin.min_neutrino_energy(0.0, 0.511)) == 0.0
    assert float(kin.min_neutrino_energy(0.0, 0.511, 0.1)) == np.inf
    assert float(kin.momentum_transfer(0.0, 0.511)) == 0.0
    assert np.isfinite(float(jax.grad(kin.momentum_transfer)(0.0, 0.511)))
    assert np.isfinite(float(jax.grad(kin.min_neutrino_energy)(0.0, 0.511)))


def test_gradients():
    assert_derivatives(lambda x: jnp.stack(kin.recoil_limits(x[0], 0.511, x[1])), [0.8618, 0.0], [0.8618, 0.3])
    assert_derivatives(lambda x: kin.min_neutrino_energy(x[0], 0.511, x[1]), [0.3, 0.0], [0.3, 0.3])
    assert np.isfinite(float(jax.grad(lambda e: kin.recoil_limits(e, 0.511, 0.3)[1])(0.1)))
