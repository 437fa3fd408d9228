"""Derivatives of a channel's expected counts: every matrix meets only the directions that reach it.

The derivative of all counts in all pulls, mapped over as it is, would take a background's normalisation through the response of
the signal. Here each block of functions, each part and each group is differentiated in what it depends on, and its rows are put
among those of all directions afterwards. At one point; map over it for many.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.experiment import Component, Pulls
from nmmfit.numerics.pieces import Piece, is_worth
from nmmfit.numerics.rows import aligned
from nmmfit.shapes import Array
from nmmfit.templates.fit import HALF_WIDTH
from nmmfit.templates.plan import Block, ChannelPlan, Group, Part, Table
from nmmfit.templates.shapes import polynomial_table


@dataclass(frozen=True)
class Moving:
    """Numbers (k,) and how they move: `rows` (direction, k) of the `directions` that they move in, by number, upwards."""

    value: Array
    directions: tuple[int, ...]
    rows: Array

    def towards(self, directions: Sequence[int]) -> Array:
        """Rows of these directions (direction, k), zeros where the numbers do not move; numbered upwards, too."""
        return aligned(self.rows, self.directions, directions)


def moved(function: Callable[..., Array], *moving: Moving | None) -> Moving:
    """A function of several sets of numbers, some of which may be missing, and how its value moves with them."""
    directions = sorted({d for m in moving if m is not None for d in m.directions})
    value, push = jax.linearize(function, *(None if m is None else m.value for m in moving))
    rows = jax.vmap(push)(*(None if m is None else m.towards(directions) for m in moving))
    return Moving(value, tuple(directions), rows)


def of_pulls(function: Callable[[Pulls], Any], pulls: Pulls, names: Sequence[str], place: Mapping[str, int]) -> Any:
    """A tree of numbers made from pulls, of which it depends on `names`, and how each leaf moves."""
    own = sorted((name for name in set(names) if name in place), key=place.__getitem__)
    if not own:
        value = function(pulls)
        return jax.tree.map(lambda leaf: Moving(leaf, (), jnp.zeros((0, *leaf.shape))), value)

    def some(values: Array) -> Any:
        return function({**pulls, **dict(zip(own, jnp.unstack(values), strict=True))})

    value, push = jax.linearize(some, jnp.stack([pulls[name] for name in own]))
    rows = jax.vmap(push)(jnp.eye(len(own)))
    return jax.tree.map(lambda leaf, row: Moving(leaf, tuple(place[name] for name in own), row), value, rows)


def slopes(
    plan: ChannelPlan,
    components: tuple[Component, ...],
    monomials: Array,
    directions: Array,
    pulls: Pulls,
    names: Sequence[str],
) -> tuple[Array, tuple[Piece, ...]]:
    """Expected counts of a channel (bin,), as `ChannelPlan.expected`, and their derivatives (direction + pull, bin) in pieces.

    Args:
        plan, components: of the channel.
        monomials: (monomial,).
        directions: (direction, monomial) in which the monomials move.
        pulls: values of the pulls.
        names: those of them to differentiate in.
    """
    first = tuple(range(len(directions)))
    place = {name: len(first) + i for i, name in enumerate(names)}

    scaling = {name for component in components for name in component.scale_pulls}
    scales = of_pulls(lambda p: plan.scales.evaluate(components, p), pulls, tuple(scaling), place)
    merged = [
        None if b.monomials is None else Moving(monomials @ b.monomials, first, directions @ b.monomials) for b in plan.blocks
    ]
    functions = [_functions(block, pulls, place) for block in plan.blocks]
    at_nodes: dict[tuple[int, bytes], Moving] = {}

    def counts(group: Group, axis: Moving) -> Moving:
        component = components[group.first_component]
        weight, second = None, None
        if group.weighted is not None:
            weighting, where = component.factors[0].weighting, group.weighted.places
            assert weighting is not None
            key = id(weighting.weight), where.tobytes()
            if key not in at_nodes:
                at_nodes[key] = of_pulls(lambda p: weighting.weight(jnp.asarray(where), p), pulls, weighting.pulls, place)
            weight = at_nodes[key]
        if group.second is not None:
            second = _functions(group.second.block, pulls, place)[-1]
        return moved(lambda f, w, s: group.counts_of(group.decompressed(f), w, s), axis, weight, second)

    every = tuple(range(len(first) + len(names)))
    axes = [_compressed(group, components, scales, merged, functions, place) for group in plan.groups]
    if len(plan.groups) == 1 and plan.groups[0].is_linear:
        (group,), (axis,) = plan.groups, axes
        return group.decompressed(axis.value), _pieces(group, axis.towards(every))
    found = [counts(group, axis) for group, axis in zip(plan.groups, axes, strict=True)]
    return _sum([m.value for m in found]), (Piece(_sum([m.towards(every) for m in found])),)


def _pieces(group: Group, rows: Array) -> tuple[Piece, ...]:
    """Derivatives of the counts of a group that decompresses its first axis and nothing else, from those of that axis."""
    ends = np.cumsum([len(segment) for segment in group.segments])
    shares = zip(jnp.split(rows, ends[:-1], axis=1), group.segments, strict=True)
    return tuple(Piece(r, s) if is_worth(len(rows), s.shape) else Piece(r @ jnp.asarray(s)) for r, s in shares)


def _functions(block: Block, pulls: Pulls, place: Mapping[str, int]) -> tuple[Moving, ...]:
    """Functions of the pulls of every stage of a block."""

    def stage(k: int) -> Moving:
        tree = block.stages[k]
        degrees = {} if tree is None else tree.degrees

        def functions(p: Pulls) -> Array:
            table: Table = polynomial_table({name: p[name] for name in degrees}, degrees, HALF_WIDTH)
            return jnp.ones(1) if tree is None else tree.evaluate(table)

        found: Moving = of_pulls(functions, pulls, tuple(degrees), place)
        return found

    return tuple(stage(k) for k in range(len(block.stages)))


def _compressed(
    group: Group,
    components: tuple[Component, ...],
    scales: Moving,
    merged: Sequence[Moving | None],
    functions: Sequence[tuple[Moving, ...]],
    place: Mapping[str, int],
) -> Moving:
    """The compressed first axis of a group: the rows of all its parts, added."""
    parts, begin = [], 0
    for part in group.parts:
        scaling = {place[n] for k in part.members for n in components[k].scale_pulls if n in place}
        own = Moving(scales.value, tuple(sorted(scaling)), scales.towards(sorted(scaling)))
        if not part.is_whole:
            size = _features(part, scales, merged[part.block], functions[part.block])
            matrix = group.matrix[begin : begin + size]
            begin += size
        else:
            matrix = None

        def rows(s: Array, m: Array | None, *f: Array, part: Part = part, matrix: Any = matrix) -> Array:
            values = part.evaluate(s, m, f)
            return values if matrix is None else values @ jnp.asarray(matrix)

        parts.append(moved(rows, own, merged[part.block], *functions[part.block]))
    together = sorted({d for part in parts for d in part.directions})
    return Moving(_sum([part.value for part in parts]), tuple(together), _sum([part.towards(together) for part in parts]))


def _features(part: Part, scales: Moving, merged: Moving | None, functions: tuple[Moving, ...]) -> int:
    """Number of features of a part."""
    some = None if merged is None else merged.value
    return int(jax.eval_shape(part.evaluate, scales.value, some, tuple(m.value for m in functions)).shape[0])


def _sum(terms: Sequence[Array]) -> Array:
    return functools.reduce(operator.add, terms)
