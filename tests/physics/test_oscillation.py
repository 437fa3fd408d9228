"""Solar conversion: against the three-flavour Hamiltonian itself, published probabilities, limits, properties, gradients."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmmfit.errors import UserInputError
from nmmfit.physics.oscillation import (
    OSCILLATION_PRESETS,
    OSCILLATION_PULLS,
    OscillationParameters,
    ProductionRegion,
    matter_cos_2theta,
    matter_potential_ev,
    oscillation_from_pulls,
    oscillation_preset,
    oscillation_pull_priors,
    pmns_matrix,
    solar_density_matrix,
    solar_mass_probabilities,
    survival_probability,
)
from nmmfit.physics.solar import production_region

NUFIT = oscillation_preset("nufit60_nosk")


def at_density(n_e: float) -> ProductionRegion:
    return ProductionRegion(np.array([n_e]), np.array([1.0]))


def rotation(i: int, j: int, s_squared: float) -> np.ndarray:
    r = np.eye(3)
    s, c = np.sqrt(s_squared), np.sqrt(1 - s_squared)
    r[i, i] = r[j, j] = c
    r[i, j], r[j, i] = s, -s
    return r


def mixing(p: OscillationParameters) -> np.ndarray:
    """R23 diag(1, 1, e^{i delta}) R13 diag(1, 1, e^{-i delta}) R12, built from rotations."""
    phase = np.diag([1.0, 1.0, np.exp(1j * p.delta_cp)])
    return rotation(1, 2, p.s23sq) @ phase @ rotation(0, 2, p.s13sq) @ phase.conj() @ rotation(0, 1, p.s12sq)


def adiabatic_density(p: OscillationParameters, e_mev: float, n_e: float) -> np.ndarray:
    """The direct construction: eigenstates of the Hamiltonian at birth, followed adiabatically, mixed incoherently.

    Amplitudes psi_a of the flavours obey i d psi / dt = H psi with H = U diag(m^2) U^dagger / 2E + diag(V, 0, 0).
    """
    u = mixing(p)
    # sqrt(2) G_F N_A (hbar c)^3 in eV cm^3 / mol, from the constants of the PDG.
    v = np.sqrt(2) * 1.1663787e-5 * 6.02214076e23 * (1.973269804e-14) ** 3 * 1e9 * n_e
    h = u @ np.diag([0.0, p.dm21, p.dm31]) @ u.conj().T / (2e6 * e_mev) + np.diag([v, 0, 0])
    _, states = np.linalg.eigh(h)
    probability = np.abs(states[0]) ** 2  # levels do not cross, so order is kept down to vacuum
    return sum(probability[i] * np.outer(u[:, i], u[:, i].conj()) for i in range(3))


@pytest.mark.parametrize("delta", [0.0, 0.7, 2.9, 4.5])
@pytest.mark.parametrize(("energy", "n_e"), [(0.05, 60.0), (0.862, 80.0), (3.0, 50.0), (10.0, 95.0)])
def test_density_matrix_is_the_adiabatic_construction(delta: float, energy: float, n_e: float) -> None:
    p = dataclasses.replace(NUFIT, delta_cp=delta)
    # The matter effect on theta_13, of order V E / dm31, is what the two-flavour reduction leaves out.
    left_out = 2.0 * 7.63e-14 * n_e * energy * 1e6 / p.dm31
    actual = np.asarray(solar_density_matrix(p, energy, at_density(n_e)))
    np.testing.assert_allclose(actual, adiabatic_density(p, energy, n_e), atol=0.06 * left_out + 1e-6)
    decoupled = dataclasses.replace(p, dm31=p.dm31 * 1e5)
    np.testing.assert_allclose(actual, adiabatic_density(decoupled, energy, n_e), atol=2e-6)
    if delta > 0:
        assert np.abs(actual - actual.T).max() > 1e-3  # the phase is there, and its sign was tested above


def test_agrees_with_the_published_decomposition_in_its_own_basis() -> None:
    """arXiv:2204.03011, appendix A: rho = c13^2 [P_osc A + P_int B + i P_ext C] + D in the basis where delta sits in R12."""
    p, energy, n_e = dataclasses.replace(NUFIT, delta_cp=1.1), 2.0, 85.0
    s12, c12 = np.sqrt(p.s12sq), np.sqrt(1 - p.s12sq)
    beta = 2 * 7.6324e-14 * n_e * (1 - p.s13sq) * energy * 1e6 / p.dm21
    cos2 = 1 - 2 * p.s12sq
    mean = (cos2 - beta) / np.hypot(cos2 - beta, 2 * s12 * c12)
    o = rotation(1, 2, p.s23sq) @ rotation(0, 2, p.s13sq)
    o1, o2 = o[:, 0], o[:, 1]
    p_osc = 1 - 0.5 * (1 + cos2 * mean)
    p_int, p_ext = -s12 * c12 * mean * np.cos(p.delta_cp), -s12 * c12 * mean * np.sin(p.delta_cp)
    a = np.outer(o2, o2) - np.outer(o1, o1)
    b, c = np.outer(o1, o2) + np.outer(o2, o1), np.outer(o1, o2) - np.outer(o2, o1)
    d = sum(o[0, i] ** 2 * np.outer(o[:, i], o[:, i]) for i in range(3))
    published = (1 - p.s13sq) * (p_osc * a + p_int * b + 1j * p_ext * c) + d
    rephase = np.diag([np.exp(-1j * p.delta_cp), 1.0, 1.0])
    actual = np.asarray(solar_density_matrix(p, energy, at_density(n_e)))
    np.testing.assert_allclose(actual, rephase @ published @ rephase.conj(), atol=1e-5)


def test_mixing_matrix() -> None:
    for preset in OSCILLATION_PRESETS.values():
        u = np.asarray(pmns_matrix(preset.parameters))
        np.testing.assert_allclose(u, mixing(preset.parameters), atol=1e-15)
        np.testing.assert_allclose(u @ u.conj().T, np.eye(3), atol=1e-15)


@settings(max_examples=60, deadline=None)
@given(
    st.floats(0.1, 0.6), st.floats(0.0, 0.1), st.floats(0.2, 0.8), st.floats(-4.0, 8.0),
    st.floats(0.0, 20.0), st.floats(0.0, 150.0),
)  # fmt: skip
def test_density_is_a_state(s12sq: float, s13sq: float, s23sq: float, delta: float, energy: float, n_e: float) -> None:
    p = OscillationParameters(s12sq, s13sq, s23sq, delta)
    rho = np.asarray(solar_density_matrix(p, energy, at_density(n_e)))
    np.testing.assert_allclose(rho, rho.conj().T, atol=1e-15)
    np.testing.assert_allclose(np.trace(rho), 1.0, atol=1e-14)
    assert np.linalg.eigvalsh(rho).min() > -1e-14
    assert float(solar_mass_probabilities(p, energy, at_density(n_e)).sum()) == pytest.approx(1.0, abs=1e-14)


# Independent evaluation with the B16-GS98 production regions and NuFIT 6.0 without SK data; four digits.
@pytest.mark.parametrize(
    ("component", "energy", "expected"),
    [("pp", 0.267, 0.5449), ("be7", 0.384, 0.5401), ("be7", 0.862, 0.5269), ("pep", 1.442, 0.5167), ("b8", 8.1, 0.3421)],
)
def test_survival_probabilities(component: str, energy: float, expected: float) -> None:
    assert float(survival_probability(NUFIT, energy, production_region(component))) == pytest.approx(expected, abs=1e-3)


def test_mass_probabilities() -> None:
    for component, energy, expected in (("pp", 0.267, (0.664, 0.314, 0.022)), ("be7", 0.862, (0.616, 0.362, 0.022))):
        actual = solar_mass_probabilities(NUFIT, energy, production_region(component))
        np.testing.assert_allclose(actual, expected, atol=1e-3)


def test_limits_of_density() -> None:
    p = NUFIT
    u2 = np.abs(mixing(p)) ** 2
    # Vacuum: averaged oscillation, P_ee = sum_i |U_ei|^4.
    assert float(survival_probability(p, 5.0, at_density(0.0))) == pytest.approx((u2[0] ** 2).sum(), abs=1e-14)
    assert float(survival_probability(p, 0.0, at_density(90.0))) == pytest.approx((u2[0] ** 2).sum(), abs=1e-14)
    # High density: born as nu_2 (apart from theta_13), P_ee = c13^4 s12^2 + s13^4.
    c13sq = 1 - p.s13sq
    assert float(survival_probability(p, 20.0, at_density(1e9))) == pytest.approx(c13sq**2 * p.s12sq + p.s13sq**2, abs=1e-9)
    # Resonance: cos 2 theta_m = 0.
    resonant = (1 - 2 * p.s12sq) * p.dm21 / (2 * 7.63247e-14 * c13sq * 2e6)
    assert float(matter_cos_2theta(p, 2.0, resonant)) == pytest.approx(0.0, abs=1e-5)
    assert float(matter_potential_ev(1.0)) == pytest.approx(7.6324e-14, rel=1e-5)


def test_vmap_over_energies_is_elementwise() -> None:
    region, energies = production_region("b8"), jnp.linspace(0.1, 15.0, 7)
    together = solar_density_matrix(NUFIT, energies[:, None], region)
    assert together.shape == (7, 1, 3, 3)
    apart = jax.vmap(lambda e: solar_density_matrix(NUFIT, e, region))(energies)
    np.testing.assert_allclose(together[:, 0], apart, atol=1e-15)


def test_gradients_in_all_parameters() -> None:
    """First and second derivatives of every element, from zero energy to above resonance, against central differences."""
    region, energies = production_region("b8"), jnp.array([0.0, 0.3, 1.8, 12.0])
    scales = jnp.array([1.0, 1.0, 1.0, 1.0, 1e-5])

    def elements(x: jnp.ndarray) -> jnp.ndarray:
        s12, s13, s23, delta, dm21 = x * scales
        rho = solar_density_matrix(OscillationParameters(s12, s13, s23, delta, dm21), energies, region)
        return jnp.stack([jnp.real(rho), jnp.imag(rho)])

    value, slope, curvature = (jax.jit(f) for f in (elements, jax.jacrev(elements), jax.jacfwd(jax.jacrev(elements))))
    x, h = np.array([0.31, 0.022, 0.47, 3.7, 7.5]), 1e-4
    for k, step in enumerate(h * np.eye(5)):
        np.testing.assert_allclose(slope(x)[..., k], (value(x + step) - value(x - step)) / (2 * h), atol=1e-5)
        np.testing.assert_allclose(curvature(x)[..., k], (slope(x + step) - slope(x - step)) / (2 * h), atol=2e-3, rtol=1e-4)


def test_pulls_reproduce_the_published_covariance() -> None:
    """The Jacobian of (s12sq, dm21) in independent unit normals gives the errors and the correlation of arXiv:2511.21650."""
    zero = {name: jnp.asarray(0.0) for name in OSCILLATION_PULLS}
    nominal = oscillation_from_pulls(zero)
    assert float(nominal.s12sq) == 0.3085
    assert float(nominal.dm21) == pytest.approx(7.48e-5, rel=1e-14)
    jacobian = jax.jacobian(lambda p: jnp.stack([oscillation_from_pulls(p).s12sq, oscillation_from_pulls(p).dm21]))(zero)
    j = np.stack([np.asarray(jacobian[name]) for name in OSCILLATION_PULLS], axis=1)
    covariance = j @ j.T
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), [0.0073, 0.10e-5], rtol=1e-12)
    assert covariance[0, 1] / (0.0073 * 0.10e-5) == pytest.approx(-0.20, abs=1e-12)
    assert float(oscillation_from_pulls({"oscillation.s13sq": jnp.asarray(1.0)}).s13sq) == pytest.approx(0.02215 + 0.00057)
    assert set(oscillation_pull_priors()) == set(OSCILLATION_PULLS)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UserInputError, match="did you mean 'nufit60_sk'"):
        oscillation_preset("nufit_60_sk")
    with pytest.raises(UserInputError, match=r"did you mean 'oscillation\.dm21'"):
        oscillation_pull_priors(("oscillation.dm12",))


def test_every_preset_says_where_it_comes_from() -> None:
    for name, preset in OSCILLATION_PRESETS.items():
        assert "arXiv" in preset.source or "www." in preset.source, name
        assert preset.status
        assert 0.25 < preset.parameters.s12sq < 0.35
