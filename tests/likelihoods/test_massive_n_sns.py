"""A massive N in the experiments at the SNS that share their signal: limits, thresholds, and a floated mass."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmmfit import catalogue
from nmmfit.experiment import BinnedExperiment, TheoryChoices
from nmmfit.physics.forms import TargetCouplings
from nmmfit.shapes import Array

NAMES = ("coherent_lar_2020", "coherent_csi_2017", "coherent_ge_2026")
UNIVERSAL = np.hstack([np.eye(3), np.zeros((3, 3))]).astype(complex)
MAJORANA = np.zeros((3, 6), dtype=complex)
MAJORANA[0, 4], MAJORANA[1, 3], MAJORANA[1, 5], MAJORANA[2, 4] = 1.0, -1.0, 0.5j, -0.5j


def couplings(dipole: np.ndarray, size: float = 1e-7) -> TargetCouplings:
    d = jnp.asarray(dipole * size)
    return replace(TargetCouplings.zero(), dipole=d, tensor_p=10.0 * d, scalar_n=3.0 * d)


def evaluator(experiment: BinnedExperiment) -> Any:
    """(couplings, m) -> what they add to the first channel."""
    pulls = experiment.nominal_pulls()

    def counts(c: TargetCouplings, m: Array) -> Array:
        channel, nothing = experiment.channels[0], TargetCouplings.zero()
        return channel.expected(experiment.forms(c, m), pulls) - channel.expected(experiment.forms(nothing, m), pulls)

    return jax.jit(counts)


def built(name: str, m: float | tuple[float, float]) -> BinnedExperiment:
    return catalogue.build(name, TheoryChoices(m_n_mev=m))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_tiny_mass_changes_nothing_and_a_large_one_leaves_massless_neutrinos(name: str) -> None:
    massless = evaluator(built(name, 0.0))
    both, light = (np.asarray(massless(couplings(c), 0.0)) for c in (UNIVERSAL + MAJORANA, MAJORANA))
    tiny = np.asarray(evaluator(built(name, 1e-4))(couplings(UNIVERSAL + MAJORANA), 1e-4))
    np.testing.assert_allclose(tiny, both, rtol=0, atol=2e-6 * np.abs(both).max())
    heavy = built(name, 53.0)
    left = np.asarray(evaluator(heavy)(couplings(UNIVERSAL + MAJORANA), 53.0))
    np.testing.assert_allclose(left, light, rtol=0, atol=2e-7 * light.max())
    assert "above every threshold" in heavy.choices["m_N"]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_floated_mass_is_the_fixed_one(name: str) -> None:
    floated = np.asarray(evaluator(built(name, (0.0, 60.0)))(couplings(UNIVERSAL), 21.3))
    fixed = np.asarray(evaluator(built(name, 21.3))(couplings(UNIVERSAL), 21.3))
    np.testing.assert_allclose(floated, fixed, rtol=0, atol=3e-6 * np.abs(fixed).max())
    assert fixed.sum() > 0.0
