"""Arrival times behind a Gaussian pulse against numerical convolution, and their limits."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy import integrate, stats

from nmmfit.errors import UserInputError
from nmmfit.physics.pulse import decay_cdf, pulse_arrival_cdf, pulse_arrival_fraction

PION_US, MUON_US = 0.026033, 2.1969811


@pytest.mark.parametrize(("mean", "width", "lifetime"), [(0.44, 0.15, MUON_US), (0.44, 0.15, PION_US), (-0.3, 0.02, 0.5)])
@pytest.mark.parametrize("time", [-0.6, 0.1, 0.44, 1.3, 4.9])
def test_one_decay_against_scipy(mean: float, width: float, lifetime: float, time: float) -> None:
    """Exponentially modified Gaussian, K = tau / w."""
    expected = stats.exponnorm.cdf(time, lifetime / width, loc=mean, scale=width)
    assert float(decay_cdf(time, mean, width, lifetime)) == pytest.approx(expected, rel=1e-9, abs=1e-14)


@pytest.mark.parametrize("time", [0.2, 0.7, 1.9, 4.9])
def test_two_decays_against_a_convolution(time: float) -> None:
    """Pion decay, then muon decay: the distribution of one convolved with the density of the other."""
    expected = integrate.quad(
        lambda d: np.exp(-d / MUON_US) / MUON_US * stats.exponnorm.cdf(time - d, PION_US / 0.15, loc=0.45, scale=0.15), 0.0, 12.0,
        points=(max(time - 0.45, 0.01),), epsabs=1e-12, limit=400,
    )[0]  # fmt: skip
    assert float(pulse_arrival_cdf("delayed_nu_e", time, 0.45, 0.15)) == pytest.approx(expected, rel=1e-8)


def test_limits() -> None:
    """Nothing long before the pulse, everything long after, no overflow; electron and muon neutrinos of a muon come together."""
    edges = np.array([-1e3, -0.1, 0.4, 0.9, 1e3])
    for source in ("prompt_nu_mu", "delayed_nu_mu_bar"):
        shares = np.asarray(pulse_arrival_fraction(source, edges, 0.45, 0.15))
        assert np.all(np.isfinite(shares))
        assert np.all(shares >= 0.0)
        assert shares.sum() == pytest.approx(1.0, rel=1e-12)
    late = [np.asarray(pulse_arrival_fraction(s, edges, 0.45, 0.15)) for s in ("delayed_nu_mu_bar", "delayed_nu_e")]
    np.testing.assert_array_equal(*late)
    # a narrow pulse: decay times alone
    assert float(pulse_arrival_cdf("prompt_nu_mu", 0.1, 0.0, 1e-4)) == pytest.approx(1.0 - np.exp(-0.1 / PION_US), rel=1e-4)
    with pytest.raises(UserInputError, match="SNS source"):
        pulse_arrival_cdf("prompt_nu_e", 0.1, 0.0, 0.1)


def test_a_shift_of_the_pulse_is_a_shift_of_time() -> None:
    edges = np.linspace(-0.1, 4.9, 11)
    moved = pulse_arrival_fraction("delayed_nu_e", edges + 0.2, 0.65, 0.15)
    np.testing.assert_allclose(moved, pulse_arrival_fraction("delayed_nu_e", edges, 0.45, 0.15), rtol=1e-12)


@pytest.mark.parametrize("mean", [-0.4, 0.4, 1.2])
def test_gradient_in_the_mean(mean: float) -> None:
    edges = jnp.linspace(-0.1, 4.9, 11)
    check_grads(lambda m: pulse_arrival_fraction("delayed_nu_e", edges, m, 0.15), (mean,), order=2, rtol=1e-5, atol=1e-7)
    assert np.all(np.isfinite(jax.jacfwd(lambda w: pulse_arrival_fraction("prompt_nu_mu", edges, mean, w))(0.15)))
