"""A scalar function of a point that has a second form for many points side by side.

`jax.vmap` would make the second form from the first, and its gradient too; where that is slower than a form written for a block
of points, `in_blocks` puts the written one in its place. Whoever maps over points, differentiates, or does both, gets it without
knowing. Second derivatives are those of the first form.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jax.custom_derivatives import SymbolicZero

from nmmfit.shapes import Array

One = Callable[[Array, Any], Array]
"""(parameter,) and a tree of arrays -> ()."""
Many = Callable[[Array, Any], Array]
"""(parameter, point) and the tree, each array that is not a scalar with a last axis for points, of length 1 where they share it
-> (point,)."""


def in_blocks(one: One, many: Many) -> One:
    """The function `one`, mapped over as `many`: values and first derivatives in the first argument.

    Args:
        one: of a point and a tree of numbers, which may be None.
        many: the same of many points; its gradient backwards must exist, no other derivative need.
    Returns: a function of the same arguments, which can be differentiated in both to any order. Mapped over its second argument
        alone it is `one`, mapped over.
    """

    # Compiled on its own, so that it is traced once.
    slope_of_one = jax.jit(jax.value_and_grad(one))

    @custom_vmap
    def value(x: Array, other: Any) -> Array:
        return one(x, other)

    @value.def_vmap
    def _(size: int, mapped: Any, x: Array, other: Any) -> tuple[Array, bool]:
        if size == 1:
            return one(*_only(x, other, mapped))[None], True
        if not mapped[0]:
            return jax.vmap(one, (None, _axes(mapped[1])), axis_size=size)(x, other), True
        return many(x.T, _last(other, mapped[1])), True

    @custom_vmap
    def value_and_slope(x: Array, other: Any) -> tuple[Array, Array]:
        return slope_of_one(x, other)

    @value_and_slope.def_vmap
    def _(size: int, mapped: Any, x: Array, other: Any) -> tuple[tuple[Array, Array], tuple[bool, bool]]:
        if size == 1:
            single, slope = slope_of_one(*_only(x, other, mapped))
            return (single[None], slope[None]), (True, True)
        if not mapped[0]:
            found = jax.vmap(slope_of_one, (None, _axes(mapped[1])), axis_size=size)(x, other)
            return found, (True, True)
        shared = _last(other, mapped[1])

        def total(xs: Array) -> tuple[Array, Array]:
            values = many(xs, shared)
            return jnp.sum(values), values

        slopes, values = jax.grad(total, has_aux=True)(x.T)
        return (values, slopes.T), (True, True)

    @jax.custom_jvp
    def smooth(x: Array, other: Any) -> tuple[Array, Array]:
        return value_and_slope(x, other)

    @smooth.defjvp
    def _(primals: tuple[Array, Any], tangents: tuple[Array, Any]) -> tuple[Any, Any]:
        return jax.jvp(slope_of_one, primals, tangents)

    @jax.custom_jvp
    def function(x: Array, other: Any) -> Array:
        return value(x, other)

    @partial(function.defjvp, symbolic_zeros=True)
    def _(primals: tuple[Array, Any], tangents: tuple[Any, Any]) -> tuple[Array, Array]:
        x, other = primals
        if all(isinstance(t, SymbolicZero) for t in jax.tree.leaves(tangents[1])):
            found, slope = smooth(x, other)
            return found, slope @ tangents[0]
        whole = jax.tree.map(_instantiated, tangents, is_leaf=lambda t: isinstance(t, SymbolicZero))
        return jax.jvp(one, primals, whole)

    return function


def _instantiated(tangent: Any) -> Any:
    return jnp.zeros(tangent.shape, tangent.dtype) if isinstance(tangent, SymbolicZero) else tangent


def _only(x: Array, other: Any, mapped: Any) -> Any:
    """The arguments of the one point of a block of one."""
    return jax.tree.map(lambda leaf, is_mapped: leaf[0] if is_mapped else leaf, (x, other), tuple(mapped))


def _axes(mapped: Any) -> Any:
    """Axes to map over, from whether there is one."""
    return jax.tree.map(lambda is_mapped: 0 if is_mapped else None, mapped)


def _last(tree: Any, mapped: Any) -> Any:
    """Arrays with points last, from those mapped over with points first and those that all points share."""

    def moved(leaf: Array, is_mapped: bool) -> Array:
        if is_mapped:
            return jnp.moveaxis(leaf, 0, -1)
        return leaf[..., None] if jnp.ndim(leaf) else leaf

    return jax.tree.map(moved, tree, mapped)


__all__ = ["in_blocks"]
