"""Derivatives of counts experiment by experiment, against finite differences of the counts of everything in everything."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nmmfit
from nmmfit import catalogue
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.slopes import (
    Slopes,
    gradient_and_curvature,
    n_curved,
    places_seen,
    products_at,
    slopes_of,
    slopes_of_all,
    weights_of_products,
)
from nmmfit.inference.space import space_of
from nmmfit.inference.toy_fits import ToyLikelihood
from nmmfit.numerics.pieces import Piece


def differences(function, x: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """(parameter, bin) derivatives by fourth-order central differences."""
    rows = []
    for i, size in enumerate(sizes):
        step = np.zeros(len(x))
        step[i] = 1e-3 * size
        near, far = (np.asarray(function(x + k * step)) - np.asarray(function(x - k * step)) for k in (1.0, 2.0))
        rows.append((8.0 * near - far) / (12.0 * step[i]))
    return np.asarray(rows)


def somewhere(joint: JointLikelihood) -> tuple[np.ndarray, np.ndarray]:
    """A vector where nothing vanishes, and sizes of steps of its entries."""
    space = space_of(joint)
    rng = np.random.default_rng(5)
    rows = space.basis(space.start)
    sizes = space.scale.copy()
    # Tensors along which nothing is seen have steps as long as their priors: many sensitivities of a dipole.
    sizes[: joint.n_own] = np.min(np.where(np.abs(rows) > 0, np.abs(rows), np.inf), axis=0)[: joint.n_own]
    return space.start + 0.3 * rows @ rng.normal(size=space.n), sizes


def check(joint: JointLikelihood) -> None:
    """All derivatives of all experiments, those that are taken for zero included."""
    space = space_of(joint)
    z, sizes = somewhere(joint)
    expected = differences(jax.jit(space.nll.counts), z, sizes)

    def jacobians(at):
        parts = slopes_of_all(joint, space.ranges.to_parameters, at)
        return [jax.vmap(part.gradient)(jnp.eye(len(part.counts))).T for part in parts]

    found, first = np.zeros_like(expected), 0
    for k, jacobian in enumerate(jax.jit(jacobians)(jnp.asarray(z))):
        last = first + jacobian.shape[1]
        found[places_seen(joint, k), first:last] = jacobian
        first = last
    assert first == expected.shape[1]
    scale = np.maximum(np.max(np.abs(expected) * sizes[:, None], axis=0), 1e-30)
    np.testing.assert_allclose(found * sizes[:, None] / scale, expected * sizes[:, None] / scale, atol=1e-6)


def test_slopes_are_differences(joint: JointLikelihood) -> None:
    check(joint)


@pytest.mark.parametrize("floated", ["theory.sm_strength={ uniform = [0.0, 20.0] }", "theory.m_N_mev={ uniform = [0.1, 5.0] }"])
def test_slopes_in_what_is_no_coefficient(floated: str) -> None:
    """The strength of the Standard Model's rates, which templates take, and a mass, which only the integrals do."""
    overrides = ['experiments=["coherent_ge_2026"]', "theory.c_T=-2.9", "theory.c_T_s=-3.6", floated]
    model = nmmfit.parse_run(nmmfit.default_run().to_toml(), overrides=overrides).joint()
    assert any(p.name in floated for p in model.own + model.of_kind("theory"))
    check(model)


@pytest.mark.slow
def test_slopes_of_all_experiments() -> None:
    names = ", ".join(f'"{name}"' for name in catalogue.names_in_all())
    check(nmmfit.parse_run(nmmfit.default_run().to_toml(), overrides=[f"experiments=[{names}]"]).joint())


def test_what_is_not_declared_is_not_seen(joint: JointLikelihood) -> None:
    names, few = joint.names, n_curved(joint)
    seen = [{names[i] for i in places_seen(joint, k)} for k in range(len(joint.experiments))]
    assert all(set(names[:few]) <= one for one in seen)
    # Each nuisance belongs to somebody, own ones to one alone.
    assert set().union(*seen) == set(names)
    for name, own in ((e.name, {n for n in names if n.startswith(f"{e.name}.")}) for e in joint.experiments):
        assert [own <= one for one in seen] == [e.name == name for e in joint.experiments]


def test_sums_over_bins() -> None:
    """Against one dense Jacobian."""
    rng = np.random.default_rng(1)

    # Two first places; one experiment reads three numbers of them, one reads one, one has no nuisances. The first has five bins,
    # in two pieces, one of which is made from fewer numbers.
    def normal(*size: int) -> jax.Array:
        return jnp.asarray(rng.normal(size=size))

    pieces = [
        (Piece(normal(4, 1), np.asarray(normal(1, 3))), Piece(normal(4, 2))),
        (Piece(normal(3, 1)),),
        (Piece(normal(2, 3)),),
    ]
    jacobians = [np.concatenate([p.rows if p.expand is None else p.rows @ p.expand for p in some], axis=1) for some in pieces]
    parts = [
        Slopes(np.array(places), normal(jacobian.shape[1]), some, normal(2, read), None)
        for places, some, jacobian, read in zip(((0, 1, 4), (0, 1, 2, 3), (0, 1)), pieces, jacobians, (3, 1, 2), strict=True)
    ]
    dense = np.zeros((5, 9))
    dense[:2, :5], dense[4, :5] = parts[0].spread @ jacobians[0][:3], jacobians[0][3]
    dense[:2, 5:6], dense[2:4, 5:6] = parts[1].spread @ jacobians[1][:1], jacobians[1][1:]
    dense[:2, 6:] = parts[2].spread @ jacobians[2]
    residual, bend = rng.normal(size=9), rng.normal(size=9)
    gradient, curvature = gradient_and_curvature(5, parts, jnp.asarray(residual), jnp.asarray(bend))
    np.testing.assert_allclose(gradient, dense @ residual, rtol=1e-13)
    np.testing.assert_allclose(curvature, dense @ np.diag(bend) @ dense.T, rtol=1e-12, atol=1e-14)


def test_weights_of_products(joint: JointLikelihood) -> None:
    """Against differences of the counts in the products, where an experiment reads fewer numbers than there are coefficients."""
    space = space_of(joint)
    z, _ = somewhere(joint)
    to_parameters = space.ranges.to_parameters
    x = to_parameters(z)
    products = jax.jit(lambda at: products_at(joint, to_parameters, at))(jnp.asarray(z))
    at = np.asarray(products.values)
    slopes = [jax.jit(lambda at, k=k: slopes_of(joint, to_parameters, at, k, products))(z) for k in range(len(joint.experiments))]
    k = next(k for k, part in enumerate(slopes) if part.of_products is not None)
    found = slopes[k]
    residual = np.random.default_rng(4).normal(size=len(found.counts))
    # Counts are linear in the products: a step of any size will do.
    counts = jax.jit(lambda p: joint.counts_of_experiment(k, x, p))
    step = np.max(np.abs(at))
    expected = [float(residual @ (counts(at + d) - counts(at - d)) / (2.0 * step)) for d in step * np.eye(len(at))]
    weights = found.weights_of_products(jnp.asarray(residual))
    assert weights is not None
    assert np.any(np.abs(weights) > 0)
    np.testing.assert_allclose(weights, expected, rtol=1e-8, atol=1e-10 * np.max(np.abs(expected)))
    np.testing.assert_allclose(weights_of_products([found], jnp.asarray(residual)), weights, rtol=1e-12)
    # One that is not known leaves the sum unknown.
    assert weights_of_products([found, found._replace(of_products=None)], jnp.zeros(2 * len(residual))) is None
    assert weights_of_products([], jnp.zeros(0)) is None


def test_slopes_of_direct_evaluation(direct_joint: JointLikelihood, joint: JointLikelihood) -> None:
    """Templates against the quadrature, differentiated as a whole."""
    z, sizes = somewhere(joint)
    to_parameters = space_of(joint).ranges.to_parameters

    def all_slopes(model):
        return jax.jit(lambda at: slopes_of_all(model, to_parameters, at))(jnp.asarray(z))

    for mine, other in zip(all_slopes(joint), all_slopes(direct_joint), strict=True):
        np.testing.assert_array_equal(mine.places, other.places)
        found, expected = (jax.vmap(p.gradient)(jnp.eye(len(p.counts))) * sizes[p.places] for p in (mine, other))
        np.testing.assert_allclose(mine.counts, other.counts, rtol=1e-3)
        np.testing.assert_allclose(found, expected, atol=1e-3 * float(jnp.max(jnp.abs(expected))))


@pytest.mark.parametrize("apart", [False, True])
def test_second_order_of_toys(joint: JointLikelihood, apart: bool) -> None:
    """Gradient against finite differences of the value, also where every experiment has its own coefficients."""
    likelihood = ToyLikelihood(joint, apart=apart)
    z, sizes = somewhere(joint)
    z, sizes = likelihood.spread(z), likelihood.spread(sizes)
    if apart:
        z[: joint.n_own] *= 0.7
    data = likelihood.observed
    _, gradient, _ = jax.jit(likelihood.second_order)(jnp.asarray(z), data)
    expected = differences(jax.jit(lambda at: likelihood(at, data)[None]), z, 1e-2 * sizes)[:, 0]
    np.testing.assert_allclose(
        np.asarray(gradient) * sizes, expected * sizes, rtol=1e-5, atol=1e-5 * np.max(np.abs(expected * sizes))
    )


def test_shear_of_copies(joint: JointLikelihood) -> None:
    """Back is the inverse, every copy is moved as it would be alone, and what is no dipole stays."""
    one, many = ToyLikelihood(joint), ToyLikelihood(joint, apart=True)
    shear = many.shear()
    assert shear is not None
    rng = np.random.default_rng(3)
    z = many.spread(one.space.start) + many.basis() @ rng.normal(size=many.n)
    y = np.asarray(many.sheared(jnp.asarray(z), shear))
    np.testing.assert_allclose(many.unsheared(jnp.asarray(y), shear), z, rtol=1e-10, atol=1e-22)
    for k in range(many.copies):
        alone = one.sheared(jnp.asarray(z[many.places(k)]), shear)
        np.testing.assert_allclose(y[many.places(k)], alone, rtol=1e-12, atol=1e-22)
    assert np.any(y != z)
    dipole = [joint.names.index("L_dipole") + k * joint.n_own for k in range(many.copies)]
    np.testing.assert_array_equal(np.delete(y, dipole), np.delete(z, dipole))
