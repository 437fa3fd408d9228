"""Vector couplings in the real experiments, evaluated directly: exact cancellations, and off-diagonal entries in the Sun."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmmfit import catalogue
from nmmfit.experiment import TheoryChoices
from nmmfit.physics import forms
from nmmfit.physics.forms import TargetCouplings, quadratic_forms

NORM = -2.0 * math.sqrt(2.0) * 1.1663787e-5
S2 = 0.23857
STANDARD = {
    "electron_left": np.diag([S2 + 0.5, S2 - 0.5, S2 - 0.5]),
    "electron_right": S2 * np.eye(3),
    "vector_p": 0.5 * (0.5 - 2.0 * S2) * np.eye(3),
    "vector_n": 0.5 * -0.5 * np.eye(3),
}


def couplings(factor, extra=None):
    """Vectors that are `factor` times the tree-level Standard Model's couplings, and further matrices (3, 3)."""
    made = {name: factor * NORM * matrix.astype(complex) for name, matrix in STANDARD.items()}
    for name, matrix in (extra or {}).items():
        made[name] = made[name] + matrix
    nil = np.zeros((3, 3))
    return dataclasses.replace(
        TargetCouplings.zero(), **{name: jnp.asarray(np.concatenate([m, nil], axis=1)) for name, m in made.items()}
    )


@pytest.fixture(scope="module", params=["borexino_phase2", "coherent_csi_2021"])
def counts(request):
    """Signal counts (bin,) of all channels as a function of couplings and of the Standard Model's strength."""
    experiment = catalogue.build(request.param, TheoryChoices(electron_radiative="none", weak_charges="tree"))
    pulls = experiment.nominal_pulls()

    @jax.jit
    def everything(c, strength):
        return jnp.concatenate(list(experiment.expected(quadratic_forms(c, sm=strength), pulls).values()))

    background = everything(TargetCouplings.zero(), 0.0)
    return lambda c, strength=1.0: np.asarray(everything(c, strength) - background)


def test_reversed_and_cancelled_amplitudes(counts):
    """(1 + x)^2 times the Standard Model for couplings x times its own, at any x; nothing is left at -1."""
    standard = counts(TargetCouplings.zero())
    size = np.abs(standard).max()
    for x in (-2.0, -1.0, 0.3):
        np.testing.assert_allclose(counts(couplings(x)), (1.0 + x) ** 2 * standard, rtol=1e-6, atol=3e-7 * size)
    np.testing.assert_allclose(counts(couplings(0.3), 0.25), (0.5 + 0.3) ** 2 * standard, rtol=1e-6, atol=3e-7 * size)


def test_no_rate_is_negative(counts):
    """|G|^2 for random Hermitian couplings of the size of the Standard Model's."""
    random = np.random.default_rng(3)
    for _ in range(8):
        a = random.normal(size=(4, 3, 3)) + 1j * random.normal(size=(4, 3, 3))
        hermitian = 0.2 * NORM * (a + a.conj().swapaxes(-1, -2))
        signal = counts(couplings(0.0, dict(zip(STANDARD, hermitian, strict=True))))
        assert np.all(signal > -1e-9 * np.abs(signal).max())
        assert signal.sum() > 0.0


def test_off_diagonal_couplings(counts, request):
    """Pure flavours see an off-diagonal entry by its square only; the Sun's mass states also to first order.

    sum_k P_k U_ek U_muk* is near 0.66 (-0.23) + 0.31 (0.33) < 0 for delta near 180 degrees, so that a positive epsilon_L lowers
    the rate: Tr[rho (D E + E D)] = 2 rho_emu epsilon (g_L^e + g_L^mu) with g_L^e + g_L^mu = 2 sin^2 theta_W.
    """
    entry = np.zeros((3, 3), complex)
    entry[0, 1] = entry[1, 0] = 0.005 * NORM
    standard = counts(TargetCouplings.zero())
    moved = [counts(couplings(0.0, {"electron_left": s * entry, "vector_p": s * entry})) - standard for s in (1.0, -1.0)]
    odd, even = (0.5 * (moved[0] + s * moved[1]).sum() for s in (-1.0, 1.0))
    assert even > 0.0
    if "borexino" in request.node.name:
        assert odd < -3.0 * even
    else:
        assert abs(odd) < 1e-9 * standard.sum()


@pytest.mark.parametrize("name", [entry.name for entry in catalogue.entries()])
def test_what_scatters_by_vectors_scatters_by_charges(name):
    """A coefficient must not be ignored by an experiment that it moves: whoever reads forms of vectors reads those of charges."""
    experiment = catalogue.build(name)
    factors = [f for channel in experiment.channels for c in channel.components for f in c.factors]
    for read in (set(f.forms or ()) for f in factors):
        if "vector_pp" in read:
            assert read >= set(forms.MASSLESS_NUCLEAR_FORMS)
        if "electron_left_left" in read:
            assert read >= set(forms.MASSLESS_ELECTRON_FORMS)
