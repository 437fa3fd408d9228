"""Stages of strengths and nodes of weightings against closed forms."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import distributions as dist
from synthetic import couplings

from nmmfit.experiment import BinnedExperiment, Channel, Component, Factor, Weighting
from nmmfit.physics.amplitude_basis import amplitude_basis, couplings_to_vector
from nmmfit.templates import build_templates
from nmmfit.templates.nodes import empirical_nodes
from nmmfit.templates.shapes import left_singular_vectors
from nmmfit.templates.stages import cheapest_way

X = np.linspace(0.0, 1.0, 60)


def spectrum(xp, mixing, tilt, stretch, amplitude):
    """Two lines of a source, mixed and tilted, seen through a response that stretches the axis; a moment adds to it."""
    x = X * (1.0 + 0.02 * stretch)
    survival = 0.5 + 0.05 * mixing + 0.01 * tilt * mixing
    lines = survival * xp.exp(-3.0 * x) + (1.0 - survival) * xp.exp(-((x - 0.4) ** 2) * (8.0 + 0.4 * tilt))
    return 400.0 * lines + 60.0 * amplitude**2 * xp.exp(-6.0 * x)


def mixed_source() -> BinnedExperiment:
    def function(forms, pulls):
        square = jnp.real(forms["dipole"][0, 0]) / 1e-18
        plain = spectrum(jnp, pulls["mixing"], pulls["tilt"], pulls["stretch"], 0.0)
        moment = spectrum(jnp, pulls["mixing"], pulls["tilt"], pulls["stretch"], 1.0) - plain
        return forms["sm"] * plain + square * moment

    component = Component("source", (Factor(function, ("mixing", "tilt", "stretch"), ("dipole",)),))
    flat = Component(
        "flat", (Factor(lambda forms, pulls: jnp.full(6, 2.0)), Factor(lambda forms, pulls: jnp.arange(1.0, 11.0) / 55.0))
    )
    channel = Channel("c", np.full(60, 100.0), (component, flat), {"x": np.linspace(0.0, 1.0, 61)})
    pulls = {name: dist.Normal(0.0, 1.0) for name in ("mixing", "tilt", "stretch")}
    return BinnedExperiment("mixed", "Mixed", (channel,), pulls)


def test_stages_give_the_counts_of_a_closed_form():
    basis = amplitude_basis(np.asarray([couplings_to_vector(couplings(1e-9))]))
    template = build_templates(mixed_source(), basis)
    plan = template.channels[0].plan
    background = np.outer(np.full(6, 2.0), np.arange(1.0, 11.0) / 55.0).ravel()
    random = np.random.default_rng(2)
    for _ in range(40):
        mixing, tilt, stretch = random.uniform(-3.0, 3.0, 3)
        a = random.normal()
        point = {"mixing": jnp.asarray(mixing), "tilt": jnp.asarray(tilt), "stretch": jnp.asarray(stretch)}
        exact = spectrum(np, mixing, tilt, stretch, a) + background
        fast = np.asarray(template.expected(basis.products(jnp.asarray([a])), point)["c"])
        # The tolerance is an error in lnL for residuals of one standard deviation in each of 60 bins.
        assert np.linalg.norm((fast - exact) / np.sqrt(exact)) < 4e-5
    # A background that depends on nothing is one constant part, its two axes multiplied out.
    assert all(group.second is None for group in plan.groups)


def rows_of(inner: np.ndarray, outer: np.ndarray, seed: int) -> np.ndarray:
    """(basis, weight, bin) of two spectra of one inner function each, through outer functions of the bin."""
    random = np.random.default_rng(seed)
    weights = random.normal(size=(2, inner.shape[1], 3))
    kernels = random.normal(size=(3, outer.shape[1], 40))
    return np.einsum("bi,bo,wis,sox->bwx", inner, outer, weights, kernels, optimize=True)


def test_pulls_that_factorise_come_in_one_after_the_other():
    indices = np.asarray([(i, j) for i in range(12) for j in range(12)])
    random = np.random.default_rng(5)
    inner, outer = random.normal(size=(12, 6))[indices[:, 0]], random.normal(size=(12, 6))[indices[:, 1]]
    rows = rows_of(inner, outer, seed=6)
    way = cheapest_way(("first", "last"), indices, [rows], [np.eye(40)], 1e-9)
    assert way.stages == ((0,), (1,))
    # Three spectra are all that the weights and the functions of the first pull make.
    (features,) = way.groups
    assert [s.mix.shape[-1] for s in features.strengths] == [3]
    # Without stages as many functions as both pulls make together would be needed.
    together = left_singular_vectors(rows.reshape(len(rows), -1), 1e-9)[0].shape[1]
    assert together == 36


def test_a_block_without_pulls_has_nothing_to_choose():
    rows = np.random.default_rng(1).normal(size=(1, 3, 4))
    way = cheapest_way((), np.zeros((1, 0), dtype=int), [rows], [np.eye(4)], 1e-12)
    assert all(tree is None for tree in way.trees)
    (features,) = way.groups
    assert features.rows is not None


EDGES = np.linspace(0.0, 3.0, 4)
FINE = np.linspace(0.05, 2.95, 30)
QUADRATURE = np.where((EDGES[:-1, None] <= FINE) & (EDGES[1:, None] > FINE), 0.1, 0.0)


def turn_on(x, pulls):
    """A logistic efficiency whose threshold and slope move."""
    return 1.0 / (1.0 + jnp.exp(-(2.0 + 0.1 * pulls["slope"]) * (x - 1.0 - 0.1 * pulls["threshold"])))


def test_few_nodes_replace_a_sum_over_many_places():
    weighting = Weighting(turn_on, FINE, QUADRATURE, ("slope", "threshold"))
    nominal = {"slope": jnp.asarray(0.0), "threshold": jnp.asarray(0.0)}
    nodes = empirical_nodes(weighting, np.full(30, 30.0), nominal, 1e-5)
    assert len(nodes.places) < 30
    assert nodes.error < 1e-5
    random = np.random.default_rng(9)
    for _ in range(20):
        slope, threshold = random.uniform(-4.0, 4.0, 2)
        fine = random.uniform(0.0, 2.0, 30)
        exact = QUADRATURE @ (fine / (1.0 + np.exp(-(2.0 + 0.1 * slope) * (FINE - 1.0 - 0.1 * threshold))))
        weights = turn_on(jnp.asarray(nodes.places), {"slope": slope, "threshold": threshold})
        got = nodes.owner @ (np.asarray(weights) * (fine @ nodes.gathered))
        np.testing.assert_allclose(got, exact, atol=1e-5)


@pytest.mark.parametrize("smeared", [np.full((3, 30), 0.1), QUADRATURE + 0.01])
def test_bins_that_share_places_keep_them_all(smeared):
    weighting = Weighting(turn_on, FINE, smeared, ("slope", "threshold"))
    nodes = empirical_nodes(weighting, np.ones(30), {"slope": jnp.asarray(0.0), "threshold": jnp.asarray(0.0)}, 1e-5)
    fine = np.linspace(1.0, 2.0, 30)
    np.testing.assert_allclose(nodes.owner @ (fine @ nodes.gathered), smeared @ fine, rtol=1e-13)
