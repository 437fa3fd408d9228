"""Compressed functions of shape pulls, scales and plans, against the functions they stand for."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import distributions as dist
from synthetic import couplings

from nmmfit.experiment import BinnedExperiment, Channel, Component, Factor
from nmmfit.numerics.chebyshev import ChebyshevBasis
from nmmfit.physics.amplitude_basis import amplitude_basis, couplings_to_vector
from nmmfit.physics.forms import quadratic_forms
from nmmfit.templates import HALF_WIDTH, build_templates
from nmmfit.templates.build import exponential_scales
from nmmfit.templates.shapes import Leaf, LongLeaf, Node, compressed_tree, left_singular_vectors, polynomial_table

PULLS = ("a", "b", "c", "d")


def low_rank(indices: np.ndarray, columns: int, seed: int) -> np.ndarray:
    """Coefficients (basis, column) of products of smooth functions of each pull: three terms."""
    random = np.random.default_rng(seed)
    total = np.zeros((len(indices), columns))
    for _ in range(3):
        decay = [random.normal(size=indices[:, i].max() + 1) * 0.3 ** np.arange(indices[:, i].max() + 1) for i in range(4)]
        product = np.prod([decay[i][indices[:, i]] for i in range(4)], axis=0)
        total += np.outer(product, random.normal(size=columns))
    return total


@pytest.mark.parametrize("columns", [1, 40])
def test_a_tree_gives_the_polynomials_it_was_made_from(columns):
    basis = ChebyshevBasis((6, 5, 4, 3), HALF_WIDTH)
    coefficients = low_rank(basis.indices, columns, seed=2)
    tree, q = compressed_tree(PULLS, basis.indices, coefficients, 1e-10, columns)
    x = np.random.default_rng(3).uniform(-HALF_WIDTH, HALF_WIDTH, (20, 4))
    expected = basis.matrix(x) @ coefficients

    def functions(values):
        return tree.evaluate(polynomial_table(dict(zip(PULLS, values, strict=True)), tree.degrees, HALF_WIDTH))

    got = np.asarray(jax.vmap(functions)(jnp.asarray(x))) @ (q.T @ coefficients)
    # Every basis function is at most 1 in size, so that errors in norm of the coefficients carry over.
    np.testing.assert_allclose(got, expected, atol=1e-8)
    assert tree.degrees == dict(zip(PULLS, basis.degrees, strict=True))
    assert tree.rank < basis.size
    assert sum(m.size for m in tree.matrices) < basis.size * max(columns, 10)


def test_what_a_cut_leaves_out_is_below_the_tolerance():
    random = np.random.default_rng(1)
    matrix = random.normal(size=(30, 200)) * 10.0 ** -np.arange(0.0, 7.5, 0.25)[:, None]
    for tol in (1e-2, 1e-4, 1e-6):
        left, singular = left_singular_vectors(matrix, tol)
        np.testing.assert_allclose(left.T @ left, np.eye(left.shape[1]), atol=1e-12)
        assert np.linalg.norm(matrix - left @ (left.T @ matrix)) < tol
        assert left.shape[1] == len(singular) < 30


def test_a_single_pull_is_a_leaf():
    basis = ChebyshevBasis((4,), HALF_WIDTH)
    tree, q = compressed_tree(("a",), basis.indices, np.eye(5), 1e-12, 5)
    assert isinstance(tree, Leaf)
    table = polynomial_table({"a": jnp.asarray(1.0)}, {"a": 4}, HALF_WIDTH)
    np.testing.assert_allclose(tree.evaluate(table) @ q.T, np.cos(np.arange(5) * np.arccos(0.25)), atol=1e-14)


@pytest.mark.parametrize("degree", [17, 72, 80, 200])
def test_a_long_leaf_spans_all_polynomials_up_to_its_degree(degree):
    basis = ChebyshevBasis((degree,), HALF_WIDTH)
    tree, q = compressed_tree(("a",), basis.indices, np.eye(degree + 1), 1e-12, 5)
    assert isinstance(tree, LongLeaf)
    assert max(tree.degrees.values()) <= 16
    for x in (-4.0, -1.3, 0.0, 0.7, 3.9, 4.0):
        table = polynomial_table({"a": jnp.asarray(x)}, tree.degrees, HALF_WIDTH)
        exact = np.cos(np.arange(degree + 1) * np.arccos(x / HALF_WIDTH))
        np.testing.assert_allclose(tree.evaluate(table) @ q.T, exact, atol=1e-11)

        def value(x):
            return jnp.sum(tree.evaluate(polynomial_table({"a": x}, tree.degrees, HALF_WIDTH)) @ q.T[:, degree])

        if abs(x) < HALF_WIDTH:
            slope = degree * np.sin(degree * np.arccos(x / 4.0)) / np.sin(np.arccos(x / 4.0)) / 4.0
            assert jax.grad(value)(jnp.asarray(x)) == pytest.approx(slope, rel=1e-8, abs=1e-8)


def test_a_pull_that_does_nothing_costs_nothing():
    basis = ChebyshevBasis((3, 0), HALF_WIDTH)
    tree, q = compressed_tree(("a", "b"), basis.indices, np.eye(4), 1e-12, 4)
    assert isinstance(tree, Node)
    table = polynomial_table({"a": jnp.asarray(2.0), "b": jnp.asarray(3.0)}, tree.degrees, HALF_WIDTH)
    np.testing.assert_allclose(tree.evaluate(table) @ q.T, np.cos(np.arange(4) * np.arccos(0.5)), atol=1e-14)


def test_polynomials_freeze_beyond_the_box_whatever_their_degree():
    degrees = {"a": 3, "b": 40}
    table = polynomial_table({"a": jnp.asarray(9.0), "b": jnp.asarray(-9.0)}, degrees, HALF_WIDTH)
    np.testing.assert_array_equal(table["a"][:4], np.ones(4))
    np.testing.assert_array_equal(table["b"][:41], (-1.0) ** np.arange(41))
    slope = jax.grad(lambda x: jnp.sum(polynomial_table({"a": x}, {"a": 3}, HALF_WIDTH)["a"]))(jnp.asarray(9.0))
    assert slope == 0.0


def constant(n: int) -> tuple[Factor, ...]:
    return (Factor(lambda forms, pulls: jnp.ones(n)),)


SCALES = {
    "one": (lambda p: jnp.asarray(1.0), ()),
    "exponential": (lambda p: 3.0 * jnp.exp(0.3 * p["a"]), ("a",)),
    "product": (lambda p: jnp.exp(0.3 * p["a"]) * 1.2 ** p["b"], ("a", "b")),
    "softplus": (lambda p: jax.nn.softplus(1.0 + p["b"]), ("b",)),
    "bent": (lambda p: jnp.exp(0.3 * p["a"] + 1e-6 * p["a"] ** 2), ("a",)),
    "negative": (lambda p: 1.0 + 0.5 * p["a"], ("a",)),
}


def test_exponential_scales_are_recognised_and_others_left_as_they_are():
    components = tuple(Component(name, constant(2), scale, pulls) for name, (scale, pulls) in SCALES.items())
    nominal = {"a": jnp.asarray(0.0), "b": jnp.asarray(0.0)}
    scales = exponential_scales(components, nominal)
    assert [components[k].name for k in scales.exponential] == ["one", "exponential", "product"]
    for a, b in ((0.0, 0.0), (1.3, -2.0), (-6.0, 5.0)):
        pulls = {"a": jnp.asarray(a), "b": jnp.asarray(b)}
        expected = [3.0 * np.exp(0.3 * a), np.exp(0.3 * a) * 1.2**b]
        got = np.asarray(scales.evaluate(components, pulls))
        np.testing.assert_allclose(got[1:3], expected, rtol=1e-12)
        np.testing.assert_allclose(got[3:], [float(SCALES[n][0](pulls)) for n in ("softplus", "bent", "negative")], rtol=1e-15)


def test_order_of_scales_is_that_of_components():
    names = ("softplus", "one", "negative", "exponential")
    components = tuple(Component(n, constant(1), *SCALES[n]) for n in names)
    pulls = {"a": jnp.asarray(0.7), "b": jnp.asarray(-0.4)}
    scales = exponential_scales(components, {"a": jnp.asarray(0.0), "b": jnp.asarray(0.0)})
    expected = [float(SCALES[n][0](pulls)) for n in names]
    np.testing.assert_allclose(scales.evaluate(components, pulls), expected, rtol=1e-13)


def test_a_long_axis_is_cut_into_segments_and_agrees_with_closed_forms():
    """Peaks that move, each in its own stretch of 200 bins, over a bending continuum with a dipole on it."""
    x = np.linspace(0.0, 1.0, 200)

    def peak(where):
        return lambda forms, pulls: 50.0 * jnp.exp(-0.5 * ((x - where - 0.004 * pulls["shift"]) / 0.03) ** 2)

    def continuum(forms, pulls):
        strength = forms["sm"] + jnp.real(forms["dipole"][0, 0]) / 1e-18 / (0.1 + jnp.asarray(x))
        return 100.0 * jnp.exp(-jnp.asarray(x) * (1.0 + 0.1 * pulls["slope"] + 0.02 * pulls["shift"])) * strength

    components = (
        Component(
            "continuum", (Factor(continuum, ("slope", "shift"), ("dipole",)),), lambda p: jnp.exp(0.1 * p["norm"]), ("norm",)
        ),
        *(Component(f"peak_{k}", (Factor(peak(0.1 + 0.2 * k), ("shift",)),)) for k in range(5)),
    )
    channel = Channel("c", np.full(200, 100.0), components, {"x": np.linspace(0.0, 1.0, 201)})
    pulls = {name: dist.Normal(0.0, 1.0) for name in ("shift", "slope", "norm")}
    experiment = BinnedExperiment("peaks", "Peaks", (channel,), pulls)
    basis = amplitude_basis(np.asarray([couplings_to_vector(couplings(1e-9))]))
    template = build_templates(experiment, basis)
    (group,) = template.channels[0].plan.groups
    assert len(group.segments) > 1
    assert sum(s.shape[1] for s in group.segments) == 200
    random = np.random.default_rng(4)
    for _ in range(20):
        shift, slope, norm = random.uniform(-3.0, 3.0, 3)
        a = random.normal()
        point = {"shift": jnp.asarray(shift), "slope": jnp.asarray(slope), "norm": jnp.asarray(norm)}
        fast = template.expected(basis.products(jnp.asarray([a])), point)["c"]
        exact = 100.0 * np.exp(-x * (1.0 + 0.1 * slope + 0.02 * shift)) * (1.0 + a**2 / (0.1 + x)) * np.exp(0.1 * norm)
        exact += sum(50.0 * np.exp(-0.5 * ((x - 0.1 - 0.2 * k - 0.004 * shift) / 0.03) ** 2) for k in range(5))
        np.testing.assert_allclose(fast, exact, atol=1e-4 * np.sqrt(exact.min()))
        direct = experiment.expected(quadratic_forms(basis.couplings(jnp.asarray([a]))), point)["c"]
        np.testing.assert_allclose(direct, exact, rtol=1e-10)
