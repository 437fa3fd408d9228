"""Templates against the direct evaluation they are made from, and merged monomials against the full forms."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpyro import distributions as dist
from synthetic import couplings, nuclear_like

from nmmfit.errors import DataError, NotConvergedError
from nmmfit.experiment import BinnedExperiment, Channel, Component, Factor, Weighting
from nmmfit.physics.amplitude_basis import (
    N_COORDINATES,
    amplitude_basis,
    couplings_to_vector,
    independent_rows,
    merged_monomials,
    vector_to_couplings,
)
from nmmfit.physics.forms import ALL_FORMS, TargetCouplings, forms_to_vector, quadratic_forms
from nmmfit.templates import build_templates
from nmmfit.templates.fit import fit, sampler


def random_points(joint, n, seed=0):
    """Points with all nuisances moved together within +-3 sigma and couplings of a few times the sensitivity."""
    random = np.random.default_rng(seed)
    scale = np.asarray([p.scale for p in joint.parameters])
    x = joint.start + random.uniform(-3, 3, (n, len(joint.names))) * scale
    x[:, : joint.n_coefficients] = random.normal(size=(n, joint.n_coefficients)) * 2.0
    return joint.unpack(jnp.asarray(x))


def test_templates_agree_with_direct_evaluation(joint, direct_joint):
    points = random_points(joint, 200)
    difference = joint.log_likelihood(points) - direct_joint.log_likelihood(points)
    assert np.abs(difference).max() < 1e-4


def test_template_errors_are_recorded(joint):
    for template in joint.templates:
        assert set(template.errors) == {c.channel.name for c in template.channels}
        assert all(0.0 <= e < 1e-4 for e in template.errors.values())


def test_coupling_vector_round_trip():
    vector = np.random.default_rng(3).normal(size=N_COORDINATES)
    np.testing.assert_allclose(couplings_to_vector(vector_to_couplings(jnp.asarray(vector))), vector, rtol=1e-14)


@given(st.integers(0, 2**31), st.integers(1, 4))
@settings(max_examples=15, deadline=None)
def test_merged_monomials_reproduce_every_form(seed, n_directions):
    random = np.random.default_rng(seed)
    samples = random.normal(size=(n_directions, N_COORDINATES)) * (random.uniform(size=N_COORDINATES) < 0.1)
    basis = amplitude_basis(samples)
    assert basis.size == np.linalg.matrix_rank(samples)
    everything = np.ones(1 + 9 * len(ALL_FORMS), dtype=bool)
    merged = merged_monomials(basis, everything)
    mix = random.normal(size=n_directions) @ samples
    amplitudes = jnp.asarray(mix[basis.rows])
    np.testing.assert_allclose(couplings_to_vector(basis.couplings(amplitudes)), mix, atol=1e-9)
    monomials = merged.weights @ np.concatenate([[1.0], basis.products(amplitudes)])
    full = forms_to_vector(quadratic_forms(vector_to_couplings(jnp.asarray(mix))), ALL_FORMS)
    summed = {name: jnp.tensordot(jnp.asarray(monomials), merged.forms[name], axes=1) for name in merged.forms}
    got = forms_to_vector(summed, ALL_FORMS)
    for k in range(len(ALL_FORMS)):
        block = slice(1 + 9 * k, 10 + 9 * k)
        size = max(float(jnp.abs(full[block]).max()), 1e-300)
        np.testing.assert_allclose(got[block], full[block], atol=1e-8 * size)


def test_universal_dipole_and_tensors_need_seven_monomials():
    units = [couplings(1e-9), couplings(tensor_p=1e-6), couplings(tensor_n=1e-6)]
    basis = amplitude_basis(np.asarray([couplings_to_vector(c) for c in units]))
    everything = np.ones(1 + 9 * len(ALL_FORMS), dtype=bool)
    assert merged_monomials(basis, everything).size == 7
    dipole_only = np.zeros_like(everything)
    dipole_only[:10] = True
    assert merged_monomials(basis, dipole_only).size == 2


def test_no_coefficient_leaves_the_standard_model():
    basis = amplitude_basis(np.zeros((2, N_COORDINATES)))
    merged = merged_monomials(basis, np.ones(1 + 9 * len(ALL_FORMS), dtype=bool))
    assert (basis.size, merged.size) == (0, 1)
    np.testing.assert_array_equal(merged.weights @ np.ones(1), [1.0])


def test_an_experiment_out_of_reach_is_a_constant():
    """Neither the amplitudes nor the Standard Model change its rate."""
    basis = amplitude_basis(np.asarray([couplings_to_vector(couplings(1e-9))]))
    merged = merged_monomials(basis, np.zeros(1 + 9 * len(ALL_FORMS), dtype=bool))
    assert merged.size == 1
    np.testing.assert_array_equal(merged.weights @ np.array([1.0, 7.0]), [1.0])
    assert all(not np.any(form) for name, form in merged.forms.items() if name != "sm")


def test_independent_rows_of_a_zero_matrix():
    assert independent_rows(np.zeros((3, 4))).size == 0


def test_a_shape_with_a_kink_is_refused():
    kinked = Factor(lambda forms, pulls: jnp.abs(pulls["k"] - 0.123) * jnp.ones(3), ("k",))
    sample = sampler([kinked], quadratic_forms(TargetCouplings.zero()), {"k": jnp.asarray(0.0)})
    with pytest.raises(NotConvergedError, match="k need more than"):
        fit(sample, np.ones((1, 3)), 1e-10, max_basis=60)


_X = np.array([1.0, 2.0, 3.0])


def _bent(forms, pulls):
    """exp(0.1 a) / (1 + 0.02 x b + 0.002 x a b), in three bins x, times the Standard Model and a dipole."""
    shape = jnp.exp(0.1 * pulls["a"]) / (1.0 + _X * pulls["b"] * (0.02 + 0.002 * pulls["a"]))
    return shape * (forms["sm"] + forms["dipole"][0, 0].real)


@pytest.mark.parametrize("light", [(), ("b",), ("a", "b")])
def test_light_pulls_change_the_way_of_sampling_alone(light):
    factor = Factor(_bent, ("a", "b"), ("dipole",), light_pulls=light)
    forms = quadratic_forms(TargetCouplings.zero())
    directions = {name: jnp.stack([value, 2.0 * value]) for name, value in forms.items()}
    sample = sampler([factor], directions, {name: jnp.asarray(0.0) for name in ("a", "b")})
    basis, coefficients, error = fit(sample, np.ones((2, 3)), 1e-8)
    assert error < 1e-7
    a, b = points = np.random.default_rng(1).uniform(-4.0, 4.0, (2, 50))
    closed = np.exp(0.1 * a) / (1.0 + _X[:, None] * b * (0.02 + 0.002 * a))
    fitted = np.tensordot(basis.matrix(points.T), coefficients, axes=1)
    np.testing.assert_allclose(fitted, np.stack([closed.T, 2.0 * closed.T], axis=1), atol=2e-7)


def test_only_what_is_light_for_all_factors_is_light():
    pulls = {name: jnp.asarray(0.0) for name in ("a", "b")}
    forms = quadratic_forms(TargetCouplings.zero())
    factors = [Factor(_bent, ("a", "b"), ("dipole",), light_pulls=light) for light in (("a", "b"), ("b",))]
    one = {name: value[None] for name, value in forms.items()}
    np.testing.assert_array_equal(sampler(factors, one, pulls).light, [False, True])


def test_zero_couplings_give_the_background_and_standard_model_only():
    experiment = nuclear_like()
    pulls = experiment.nominal_pulls()
    sm = experiment.expected(quadratic_forms(TargetCouplings.zero()), pulls)["beam_on"]
    assert np.all(np.asarray(sm) > 0.0)
    flipped = experiment.expected(quadratic_forms(couplings(-1e-9, -1e-6, -2e-6)), pulls)["beam_on"]
    straight = experiment.expected(quadratic_forms(couplings(1e-9, 1e-6, 2e-6)), pulls)["beam_on"]
    np.testing.assert_allclose(flipped, straight, rtol=1e-14)


def test_a_weighting_is_applied_exactly_however_it_bends():
    nodes = np.linspace(0.0, 1.0, 12)
    matrix = np.kron(np.eye(3), np.full(4, 0.25))

    def weight(x, pulls):
        # A kink that no polynomial follows.
        return 1.0 + jnp.abs(pulls["e"] - 0.37) * x

    def fine(forms, pulls):
        shape = jnp.exp(-jnp.asarray(nodes) * (1.0 + 0.1 * pulls["s"]))
        return 50.0 * shape * (forms["sm"] + jnp.real(forms["dipole"][0, 0]) / 1e-18)

    weighting = Weighting(weight, nodes, matrix, ("e",))
    component = Component("signal", (Factor(fine, ("s",), ("dipole",), weighting),))
    steady = Component("steady", (Factor(lambda forms, pulls: jnp.full(3, 7.0)),))
    channel = Channel("c", np.ones(3), (component, steady), {"x": np.arange(4.0)})
    pulls = {name: dist.Normal(0.0, 1.0) for name in ("e", "s")}
    experiment = BinnedExperiment("weighted", "Weighted", (channel,), pulls)
    basis = amplitude_basis(np.asarray([couplings_to_vector(couplings(1e-9))]))
    template = build_templates(experiment, basis)
    for e, s, a in [(-3.0, 2.0, 0.5), (0.37, -1.0, 0.0), (3.9, 3.9, 2.0)]:
        point = {"e": jnp.asarray(e), "s": jnp.asarray(s)}
        amplitude = jnp.asarray([a])
        fast = template.expected(basis.products(amplitude), point)["c"]
        direct = experiment.expected(quadratic_forms(basis.couplings(amplitude)), point)["c"]
        value = 50.0 * np.exp(-nodes * (1.0 + 0.1 * s)) * (1.0 + a**2) * (1.0 + abs(e - 0.37) * nodes)
        np.testing.assert_allclose(direct, matrix @ value + 7.0, rtol=1e-12)
        np.testing.assert_allclose(fast, direct, rtol=1e-6)


def test_pulls_of_a_weighting_need_a_prior():
    weighting = Weighting(lambda x, pulls: jnp.exp(pulls["e"]) * x, np.ones(1), np.ones((1, 1)), ("e",))
    factor = Factor(lambda forms, pulls: jnp.ones(1), weighting=weighting)
    channel = Channel("c", np.ones(1), (Component("signal", (factor,)),), {"x": np.arange(2.0)})
    with pytest.raises(DataError, match="pulls without a prior"):
        BinnedExperiment("weighted", "Weighted", (channel,), {})
