"""Vector coefficients in a joint likelihood: linear monomials, templates against direct evaluation, signs, coordinates."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nmmfit
from nmmfit.inference.coordinates import amplitude_coordinates
from nmmfit.inference.symmetries import sign_symmetries
from nmmfit.physics.amplitude_basis import (
    FINAL_STATES,
    N_COORDINATES,
    SM_FINAL_STATES,
    amplitude_basis,
    couplings_to_vector,
    merged_monomials,
)
from nmmfit.physics.forms import ALL_FORMS, TargetCouplings, forms_to_vector, quadratic_forms
from nmmfit.run import Run

RUN = """
scale_gev = 80.379
experiments = ["coherent_csi_2021"]
[parameters.u_e]
coefficients = { VnuuLL_1111 = 1 }
prior = { normal = [0.0, 1e-5] }
[parameters.d_e_mu]
coefficients = { VnudLR_1211 = [0.6, 0.8] }
prior = { normal = [0.0, 1e-5] }
[parameters.q_mu]
coefficients = { nucharge_22 = 1 }
prior = { normal = [0.0, 1e-7] }
[parameters.broken]
coefficients = { VnuNuRL_2211 = 1 }
prior = { normal = [0.0, 1e-5] }
[parameters.dipole]
coefficients = { nuNgamma_11 = 1 }
prior = { normal = [0.0, 1e-8] }
[theory]
c_T = -2.9
c_T_s = -3.6
"""


@pytest.fixture(scope="module")
def run() -> Run:
    return nmmfit.parse_run(RUN)


@pytest.fixture(scope="module")
def direct(run):
    return run.joint("direct")


@pytest.fixture(scope="module")
def templates(run):
    return run.joint()


def points(joint, n, seed=0):
    """Couplings up to those that reverse the Standard Model's amplitude, nuisances within two sigma."""
    random = np.random.default_rng(seed)
    x = np.tile(joint.start, (n, 1))
    size = np.array([p.scale for p in joint.of_kind("coefficient")])
    k = joint.n_coefficients
    x[1:, :k] = 2.0 * size * random.normal(size=(n - 1, k))
    x[1:, k:] += random.uniform(-1.0, 1.0, size=(n - 1, x.shape[1] - k))
    return joint.unpack(jnp.asarray(x))


def vector(name, value, entry=(0, 0)):
    matrix = np.zeros((3, 6), complex)
    matrix[entry] = value
    return np.asarray(couplings_to_vector(dataclasses.replace(TargetCouplings.zero(), **{name: jnp.asarray(matrix)})))


def test_linear_monomials_are_those_that_meet_the_standard_model():
    """Vector amplitudes, unless they break lepton number, and mixtures with them; nothing else."""
    samples = [vector("dipole", 1e-9), vector("vector_p", 1e-6), vector("electron_left", 1e-6, (0, 3)), vector("scalar_p", 1e-6)]
    for rows, n_linear in ((samples[:1], 0), (samples, 1), ([samples[0] + samples[1]], 1), ([samples[2]], 0)):
        basis = amplitude_basis(np.asarray(rows))
        assert len(basis.linear) == n_linear
        assert basis.n_products == basis.size * (basis.size + 1) // 2 + n_linear
        amplitudes = np.random.default_rng(1).normal(size=basis.size)
        products = np.asarray(basis.products(jnp.asarray(amplitudes)))
        assert products.shape == (basis.n_products,)
        assert len(basis.form_columns()) == 1 + basis.n_products
        np.testing.assert_array_equal(products[len(basis.pairs) :], amplitudes[basis.linear])


def test_monomials_of_interfering_amplitudes_make_the_forms():
    random = np.random.default_rng(2)
    samples = []
    sizes = {"dipole": 1e-9, "charge": 1e-10}
    for name in ("vector_p", "vector_n", "electron_left", "electron_right", "charge", "dipole"):
        a = random.normal(size=(3, 3)) + 1j * random.normal(size=(3, 3))
        matrix = np.concatenate([a + a.conj().T, np.zeros((3, 3))], axis=1) * sizes.get(name, 1e-6)
        samples.append(
            np.asarray(couplings_to_vector(dataclasses.replace(TargetCouplings.zero(), **{name: jnp.asarray(matrix)})))
        )
    basis = amplitude_basis(np.asarray(samples))
    assert len(basis.linear) == 5
    merged = merged_monomials(basis, np.ones(1 + 9 * len(ALL_FORMS), dtype=bool))
    amplitudes = random.normal(size=basis.size)
    monomials = merged.weights @ np.concatenate([[1.0], basis.products(amplitudes)])
    full = forms_to_vector(quadratic_forms(basis.couplings(jnp.asarray(amplitudes))), ALL_FORMS)
    parts = {name: jnp.tensordot(monomials, f, axes=1) for name, f in merged.forms.items()}
    scale = np.abs(full).max()
    np.testing.assert_allclose(forms_to_vector(parts, ALL_FORMS), full, rtol=1e-10, atol=1e-12 * scale)


def test_final_states():
    assert FINAL_STATES.shape == (N_COORDINATES,)
    assert set(FINAL_STATES) == set(range(12))
    for name, entry, final in (
        ("dipole", (0, 1), 1),
        ("electron_tensor", (2, 4), 4),
        ("vector_p", (0, 1), 7),
        ("electron_right", (1, 5), 11),
    ):
        assert set(FINAL_STATES[vector(name, 1.0 + 1.0j, entry) != 0.0]) == {final}
    assert {6, 7, 8} == SM_FINAL_STATES


def test_signs_are_fixed_by_interference(direct):
    """The dipole and the vector that breaks lepton number keep their signs free, each on its own."""
    assert sorted(s.names for s in sign_symmetries(direct)) == [("broken",), ("dipole",)]
    plus, minus = (direct.log_likelihood({"u_e": s * 5e-6, "broken": 4e-6, "dipole": 1e-7}) for s in (1, -1))
    assert abs(float(plus - minus)) > 0.1
    same = [float(direct.log_likelihood({"u_e": 5e-6, "broken": b * 4e-6, "dipole": d * 1e-7})) for b in (1, -1) for d in (1, -1)]
    np.testing.assert_allclose(same, same[0], rtol=1e-13)


def test_templates_agree_with_the_direct_path(direct, templates):
    """Far from the Standard Model too, where the likelihood is in the thousands, to what templates promise at 30 sigma."""
    both = points(direct, 12)
    reference, found = np.asarray(direct.log_likelihood(both)), np.asarray(templates.log_likelihood(both))
    assert abs(found[0] - reference[0]) < 2e-5
    np.testing.assert_allclose(found, reference, rtol=2e-7)
    assert np.ptp(reference) > 50.0
    for counts in templates.expected(both).values():
        assert np.all(np.asarray(counts) > 0.0)


def test_reversed_amplitude_in_the_experiment(direct, templates):
    """Caesium and iodine have nearly the same N / Z: one real coupling has a second solution far from zero that fits as well."""
    grid = {"u_e": np.linspace(-2e-5, 4e-5, 121)}
    for joint in (direct, templates):
        value = np.asarray(joint.log_likelihood(grid))
        peaks = [k for k in range(1, 120) if value[k] > value[k - 1] and value[k] > value[k + 1]]
        assert len(peaks) == 2
        assert abs(value[peaks[0]] - value[peaks[1]]) < 1.0


def test_products_give_the_counts(direct, templates):
    x = jnp.asarray(templates.pack({"u_e": 3e-6, "d_e_mu": -2e-6}))
    coefficients, theory, _ = templates.split(x)
    products = templates.amplitudes.products(templates.linear_amplitudes(theory) @ coefficients)
    found = templates.counts_of_products(x, products)
    expected = jnp.concatenate(list(templates.expected_vector(x).values()))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert direct.amplitudes.n_products == templates.amplitudes.n_products == len(products)


@pytest.mark.slow
def test_sampling_coordinates_are_a_bijection(templates):
    coordinates = amplitude_coordinates(templates)
    z = 0.5 * np.random.default_rng(4).normal(size=len(templates.names))
    x, log_det = coordinates.to_parameters(jnp.asarray(z))
    np.testing.assert_allclose(coordinates.from_parameters(x), z, rtol=1e-8, atol=1e-8)
    jacobian = jax.jacfwd(lambda y: coordinates.to_parameters(y)[0])(jnp.asarray(z))
    assert float(log_det) == pytest.approx(np.linalg.slogdet(np.asarray(jacobian))[1], abs=1e-6)
    # one unit of an amplitude that interferes is about a standard deviation
    start = np.asarray(coordinates.from_parameters(jnp.asarray(templates.start)))
    for k in coordinates.linear:
        moved = jnp.asarray(start).at[k].add(1.0)
        change = coordinates.log_density(moved) - coordinates.log_density(jnp.asarray(start))
        assert abs(float(change)) < 30.0


def test_weak_charge_shift_by_hand(direct):
    """Z (2 u + d) + N (u + 2 d) of L / (-2 sqrt(2) G_F), to the penguin's 2 per cent; off-diagonal entries for both flavours."""
    unit = 2.0 * np.sqrt(2.0) * 1.1663787e-5
    found = direct.identified_values({"u_e": 1e-6})
    assert float(found["weak_charge_shift_e_cs133"]) == pytest.approx((2 * 55 + 78) * 1e-6 / unit, rel=0.02)
    assert float(found["weak_charge_shift_mu_cs133"]) == 0.0
    found = direct.identified_values({"d_e_mu": 1e-6})
    for flavour in ("e", "mu"):
        assert float(found[f"weak_charge_shift_{flavour}_i127"]) == pytest.approx((53 + 2 * 74) * 1e-6 / unit, rel=0.02)
