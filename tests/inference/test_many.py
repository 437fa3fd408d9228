"""A scalar function with a second form for points side by side: derivatives in closed form, and who sees which form."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmmfit.inference.many import in_blocks
from nmmfit.shapes import Array

POINTS = np.random.default_rng(2).normal(size=(4, 3))
WEIGHTS = np.array([1.0, -2.0, 0.5])
MANY_WEIGHTS = WEIGHTS * np.array([1.0, 0.0, 2.0, -1.0])[:, None]


def value(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    return np.sum(w * np.sin(x), axis=-1)


def slope(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    return w * np.cos(x)


@pytest.fixture
def seen() -> list[str]:
    """Forms of the function that were traced."""
    return []


@pytest.fixture
def function(seen: list[str]) -> Callable[[Array, Array], Array]:
    def one(x: Array, w: Array) -> Array:
        return jnp.sum(w * jnp.sin(x))

    def many(x: Array, w: Array) -> Array:
        seen.append(f"{x.shape} {w.shape}")
        return jnp.sum(w * jnp.sin(x), axis=0)

    return in_blocks(one, many)


def test_one_point_takes_the_first_form(function: Callable, seen: list[str]) -> None:
    x, w = POINTS[0], WEIGHTS
    np.testing.assert_allclose(function(jnp.asarray(x), jnp.asarray(w)), value(x, w), rtol=1e-14)
    np.testing.assert_allclose(jax.grad(function)(jnp.asarray(x), jnp.asarray(w)), slope(x, w), rtol=1e-14)
    np.testing.assert_allclose(jax.vmap(function)(jnp.asarray(x[None]), jnp.asarray(w[None])), [value(x, w)], rtol=1e-14)
    assert seen == []


@pytest.mark.parametrize("w", [WEIGHTS, MANY_WEIGHTS])
def test_points_take_the_second_form(function: Callable, seen: list[str], w: np.ndarray) -> None:
    mapped = jax.vmap(jax.value_and_grad(function), in_axes=(0, 0 if w.ndim > 1 else None))
    found, slopes = jax.jit(mapped)(jnp.asarray(POINTS), jnp.asarray(w))
    np.testing.assert_allclose(found, value(POINTS, w), rtol=1e-14)
    np.testing.assert_allclose(slopes, slope(POINTS, w), rtol=1e-14, atol=1e-15)
    assert set(seen) == {f"(3, 4) (3, {w.size // 3})" if w.ndim > 1 else "(3, 4) (3, 1)"}


def test_mapped_over_the_other_argument_alone(function: Callable, seen: list[str]) -> None:
    x = POINTS[0]
    found, slopes = jax.vmap(jax.value_and_grad(function), in_axes=(None, 0))(jnp.asarray(x), jnp.asarray(MANY_WEIGHTS))
    np.testing.assert_allclose(found, value(x, MANY_WEIGHTS), rtol=1e-14)
    np.testing.assert_allclose(slopes, slope(x, MANY_WEIGHTS), rtol=1e-14, atol=1e-15)
    assert seen == []


def test_blocks_of_blocks(function: Callable) -> None:
    x = jnp.asarray(POINTS.reshape(2, 2, 3))
    found = jax.vmap(jax.vmap(jax.grad(function), in_axes=(0, None)), in_axes=(0, None))(x, jnp.asarray(WEIGHTS))
    np.testing.assert_allclose(found.reshape(4, 3), slope(POINTS, WEIGHTS), rtol=1e-14)


def test_second_and_third_derivatives(function: Callable) -> None:
    x, w = jnp.asarray(POINTS), jnp.asarray(WEIGHTS)
    exact = np.stack([np.diag(-WEIGHTS * np.sin(p)) for p in POINTS])
    for hessian in (jax.hessian(function), jax.jacrev(jax.grad(function)), jax.jacfwd(jax.jacfwd(function))):
        np.testing.assert_allclose(jax.vmap(hessian, in_axes=(0, None))(x, w), exact, rtol=1e-14, atol=1e-15)
    third = jax.jacfwd(jax.hessian(function))(x[0], w)
    np.testing.assert_allclose(np.einsum("iii->i", third), -WEIGHTS * np.cos(POINTS[0]), rtol=1e-13)


def test_forward_derivatives_and_those_in_the_other_argument(function: Callable) -> None:
    x, w = jnp.asarray(POINTS[0]), jnp.asarray(WEIGHTS)
    np.testing.assert_allclose(jax.jacfwd(function)(x, w), slope(POINTS[0], WEIGHTS), rtol=1e-14)
    np.testing.assert_allclose(jax.grad(function, argnums=1)(x, w), np.sin(POINTS[0]), rtol=1e-14)
    both = jax.grad(function, argnums=(0, 1))(x, w)
    np.testing.assert_allclose(both[0], slope(POINTS[0], WEIGHTS), rtol=1e-14)
    np.testing.assert_allclose(both[1], np.sin(POINTS[0]), rtol=1e-14)
