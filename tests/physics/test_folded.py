"""Folded kernels: which form factors each kernel carries, and that floating them afterwards changes nothing."""

from __future__ import annotations

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from nmmfit.physics import cevns
from nmmfit.physics.folded import fold_cevns, form_factor_product
from nmmfit.physics.forms import NUCLEAR_FORMS, TargetCouplings, quadratic_forms
from nmmfit.physics.nuclei import nucleus
from nmmfit.physics.rates import SourceNodes

CS = nucleus("Cs133")
T_MEV = np.array([1e-4, 2e-3, 9e-3])
POWERS = {"pp": (2, 0), "pn": (1, 1), "nn": (0, 2)}


def line(antineutrino: bool = False) -> SourceNodes:
    """A line of 30 MeV in a superposition of nu_e and nu_mu, so that off-diagonal forms count too."""
    state = np.array([0.6, 0.8j, 0.0])
    density = jnp.asarray(np.outer(state, state.conj()))[None]
    return SourceNodes(jnp.array([30.0]), jnp.array([1.0]), density, antineutrino)


@pytest.mark.parametrize("coherence", cevns.TENSOR_COHERENCE)
@pytest.mark.parametrize("form", NUCLEAR_FORMS)
def test_every_kernel_scales_with_the_form_factors_it_is_said_to_carry(form: str, coherence: str) -> None:
    kernel = [cevns.kernels(30.0, 5e-3, CS, f_p, f_n, tensor_coherence=coherence)[form] for f_p, f_n in ((1, 1), (3, 1), (1, 5))]
    p, n = POWERS[form_factor_product(form)]
    assert float(kernel[1]) == pytest.approx(3.0**p * float(kernel[0]), rel=1e-13)
    assert float(kernel[2]) == pytest.approx(5.0**n * float(kernel[0]), rel=1e-13)


@pytest.mark.parametrize("antineutrino", [False, True])
def test_spectrum_is_the_quadratic_form_of_the_amplitudes(antineutrino: bool) -> None:
    """|sum_p c_p A_pr|^2 by hand for a superposition, with form factors 0.7 and 0.4: neutrinos see A*, antineutrinos A."""
    rng = np.random.default_rng(2)
    tensor_p, tensor_n = 1e-6 * (rng.normal(size=(2, 3, 6)) + 1j * rng.normal(size=(2, 3, 6)))
    couplings = replace(TargetCouplings.zero(), tensor_p=jnp.asarray(tensor_p), tensor_n=jnp.asarray(tensor_n))
    folded = fold_cevns(line(antineutrino), T_MEV, CS, "tree", "coherent")
    got = folded.spectrum(quadratic_forms(couplings, sm=0.0), np.full(3, 0.7), np.full(3, 0.4))

    amplitude = 55 * 0.7 * tensor_p + 78 * 0.4 * tensor_n
    state = np.array([0.6, 0.8j, 0.0])
    strength = np.sum(np.abs(state @ (amplitude if antineutrino else amplitude.conj())) ** 2)
    shape = (1 - T_MEV / 60) ** 2 - CS.mass_mev * T_MEV / (4 * 30.0**2)
    expected = 4 * CS.mass_mev * 1e-3 / np.pi * strength * shape * 3.893793721e-28 * 1e-3
    np.testing.assert_allclose(got, expected, rtol=1e-8)


def test_standard_model_spectrum_with_floating_form_factors() -> None:
    """G_F^2 M / pi Q_W^2 (1 - T/E - M T / 2E^2 + T^2 / 2E^2), tree level, where all flavours scatter alike."""
    folded = fold_cevns(line(), T_MEV, CS, "tree", "coherent")
    got = folded.spectrum(quadratic_forms(TargetCouplings.zero()), np.full(3, 0.9), np.full(3, 0.8))
    weak = (0.5 - 2 * 0.23857) * 55 * 0.9 - 0.5 * 78 * 0.8
    kinematics = 1 - T_MEV / 30 - CS.mass_mev * T_MEV / (2 * 30.0**2) + T_MEV**2 / (2 * 30.0**2)
    expected = (1.1663787e-11) ** 2 * CS.mass_mev / np.pi * weak**2 * kinematics * 3.893793721e-22
    np.testing.assert_allclose(got, expected, rtol=1e-8)
