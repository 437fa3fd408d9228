"""Vector couplings in experiments with a massive N: the Standard Model's neutrinos stay massless, conjugates of N do not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from likelihoods import borexino_phase2, coherent_csi_2021
from nmmfit.experiment import BinnedExperiment, TheoryChoices
from nmmfit.physics.forms import TargetCouplings

MODULES: dict[str, Any] = {"coherent_csi_2021": coherent_csi_2021, "borexino_phase2": borexino_phase2}
HERMITIAN = np.array([[0.3, 0.2 - 0.4j, 0.1j], [0.2 + 0.4j, -0.5, 0.3], [-0.1j, 0.3, 0.2]])
TO_N = np.array([[0.7, 0.2j, 0.0], [-0.3, 0.5, 0.1 + 0.2j], [0.4, 0.0, 0.6]])
SIZE = 5e-6
CHARGES = {"coherent_csi_2021": 1e-7, "borexino_phase2": 1e-10}


def built(name: str, m: float) -> BinnedExperiment:
    # At tree level: photons are corrected for with massless final states only.
    return MODULES[name].build(TheoryChoices(m_n_mev=m, electron_radiative="none"))


def couplings(light: float, heavy: float, charge: float = 0.0) -> TargetCouplings:
    """Vectors with final states nu (added to the Standard Model) and conjugate of N, each with a strength; charges in e."""
    q = jnp.asarray(charge * np.hstack([HERMITIAN, np.zeros((3, 3))]))
    v = jnp.asarray(SIZE * np.hstack([light * HERMITIAN, heavy * TO_N]))
    return replace(TargetCouplings.zero(), vector_p=v, vector_n=0.6 * v, electron_left=v, electron_right=-0.5 * v, charge=q)


def counts(experiment: BinnedExperiment, c: TargetCouplings, m: float) -> np.ndarray:
    pulls, channel = experiment.nominal_pulls(), experiment.channels[0]
    parts = (experiment.forms(x, m) for x in (c, TargetCouplings.zero()))
    with_c, without = (np.asarray(channel.expected(forms, pulls)) for forms in parts)
    return with_c - without


@pytest.mark.parametrize("name", MODULES)
def test_a_tiny_mass_changes_no_vector_rate(name: str) -> None:
    """m -> 0 against the massless path, whose quadrature is another: every bin to 1e-6 of the largest."""
    without, with_mass = built(name, 0.0), built(name, 1e-4)
    for c in (couplings(1.0, 0.0, CHARGES[name]), couplings(0.0, 1.0)):
        massless, tiny = counts(without, c, 0.0), counts(with_mass, c, 1e-4)
        np.testing.assert_allclose(tiny, massless, rtol=0, atol=1e-6 * np.abs(massless).max())
        assert np.abs(massless).max() > 1.0


@pytest.mark.parametrize(("name", "above"), [("coherent_csi_2021", 53.0), ("borexino_phase2", 16.0)])
def test_above_every_threshold_interference_with_the_standard_model_is_left(name: str, above: float) -> None:
    heavy = built(name, above)
    assert not np.any(counts(heavy, couplings(0.0, 1.0), above))
    light = counts(built(name, 0.0), couplings(1.0, 0.0, CHARGES[name]), 0.0)
    found = counts(heavy, couplings(1.0, 1.0, CHARGES[name]), above)
    np.testing.assert_allclose(found, light, rtol=0, atol=1e-6 * np.abs(light).max())
