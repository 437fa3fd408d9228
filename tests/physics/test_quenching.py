"""Quenching models: published factors, closed forms in scipy, the inverse, and smoothness."""

from __future__ import annotations

import numpy as np
import pytest
from jax.test_util import check_grads
from scipy.optimize import brentq

from nmmfit.errors import UserInputError
from nmmfit.physics.quenching import (
    GERMANIUM_Z,
    LINDHARD_GERMANIUM,
    ConstantFactor,
    Lindhard,
    germanium_quenching,
    lindhard_factor,
    lindhard_k,
    recoil_energy_mev,
)


def by_hand(t_kev: float, z: int, k: float) -> float:
    """Lewin and Smith, Astropart. Phys. 6, 87 (1996), eq. (4.14) and below, in plain floats."""
    eps = 11.5 * t_kev / z ** (7 / 3)
    g = 3 * eps**0.15 + 0.7 * eps**0.6 + eps
    return k * g / (1 + k * g)


@pytest.mark.parametrize(("z", "a", "published"), [(32, 72.63, 0.157), (54, 131.3, 0.166), (14, 28.085, 0.146)])
def test_lindhards_own_strength(z: int, a: float, published: float) -> None:
    """Values quoted in the literature for germanium, xenon and silicon."""
    assert lindhard_k(z, a) == pytest.approx(published, abs=6e-4)


def test_factor_is_the_closed_form() -> None:
    t_kev = np.array([0.05, 0.254, 1.0, 10.0, 100.0])
    expected = [by_hand(t, 32, 0.157) for t in t_kev]
    np.testing.assert_allclose(lindhard_factor(1e-3 * t_kev, 32, 0.157), expected, rtol=1e-13)


def test_published_factors_of_germanium() -> None:
    """14 % at 254 eV (abstract of arXiv:2405.10405); 0.16 to 0.23 from 0.4 to 6.3 keV (abstract of arXiv:2202.03754)."""
    assert float(lindhard_factor(0.254e-3, 32, 0.157)) == pytest.approx(0.14, abs=0.005)
    low, high = np.asarray(lindhard_factor(np.array([0.4e-3, 6.3e-3]), 32, LINDHARD_GERMANIUM["bonhomme2022"].value))
    assert low == pytest.approx(0.16, abs=0.01)
    assert high == pytest.approx(0.23, abs=0.01)


@pytest.mark.parametrize("name", LINDHARD_GERMANIUM)
def test_pull_moves_the_strength_by_its_error(name: str) -> None:
    preset, model = LINDHARD_GERMANIUM[name], germanium_quenching(name)
    t = 1e-3
    assert float(model(t)) == pytest.approx(t * by_hand(1.0, GERMANIUM_Z, preset.value), rel=1e-12)
    raised = t * by_hand(1.0, GERMANIUM_Z, preset.value + preset.uncertainty)
    assert float(model(t, 1.0)) == pytest.approx(raised, rel=1e-12)
    assert preset.source in model.describe()


@pytest.mark.parametrize("model", [germanium_quenching(), germanium_quenching(k=0.2), ConstantFactor(0.2, 0.02)])
def test_inverse_is_that_of_a_root_finder(model: Lindhard | ConstantFactor) -> None:
    seen = np.array([1e-5, 1.6e-4, 1e-3, 2e-2])
    found = recoil_energy_mev(model, seen)
    for e, t in zip(seen, found, strict=True):
        assert t == pytest.approx(brentq(lambda x, e=e: float(model(x)) - e, 1e-9, 1.0, xtol=1e-16, rtol=1e-14), rel=1e-11)
    assert float(recoil_energy_mev(model, 0.0)) == pytest.approx(0.0, abs=1e-15)


def test_constant_factor() -> None:
    model = ConstantFactor(0.0878, 0.0166)
    assert float(model(0.02)) == pytest.approx(0.0878 * 0.02, rel=1e-14)
    assert float(model(0.02, 1.0)) == pytest.approx((0.0878 + 0.0166) * 0.02, rel=1e-12)
    assert "0.0878" in model.describe()


@pytest.mark.parametrize("model", [germanium_quenching(), ConstantFactor(0.2, 0.02)])
def test_smooth_in_energy_and_pull_also_at_zero(model: Lindhard | ConstantFactor) -> None:
    check_grads(lambda t, p: 1e3 * model(1e-3 * t, p), (1.0, 0.5), order=2, modes=("fwd", "rev"), rtol=1e-5, atol=1e-6)
    assert float(model(0.0)) == pytest.approx(0.0, abs=1e-300)
    energies = np.geomspace(1e-6, 1e-1, 50)
    assert np.all(np.diff(np.asarray(model(energies))) > 0.0)


def test_bad_models_are_refused() -> None:
    with pytest.raises(UserInputError, match="quenching: unknown quenching model 'bonhome2022'; did you mean 'bonhomme2022'"):
        germanium_quenching("bonhome2022")
    for k in (0.0, -0.1, float("nan")):
        with pytest.raises(UserInputError, match="must be positive"):
            germanium_quenching(k=k)
    with pytest.raises(UserInputError, match=r"lies in \(0, 1\]"):
        ConstantFactor(1.5)
    with pytest.raises(UserInputError, match="between 0 and"):
        recoil_energy_mev(germanium_quenching(), -1.0)
