"""How a channel's expected counts are computed from compressed templates: arrays only, no function of an experiment.

Chebyshev polynomials of the pulls -> few functions of each set of pulls (shapes.py) -> strengths, the functions of some pulls
times scales and monomials -> features, strengths times the functions of the other pulls -> one matrix product per group of
components -> counts along the first axis, in segments -> weighting and second axis. All of it at one point, or at a block of
points side by side, with one more axis, the last, for points (numerics/side_by_side.py).
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.experiment import Component, Pulls
from nmmfit.numerics.side_by_side import is_block, outer, sum_over, times
from nmmfit.shapes import Array
from nmmfit.templates.shapes import Tree

Table = Mapping[str, Array]


@dataclass(frozen=True)
class Scales:
    """Scales of a channel's components: exponentials of linear functions of pulls all at once, others by their own function.

    Component k of `exponential` has the scale exp(constant + slopes @ pulls).
    """

    n: int
    exponential: tuple[int, ...]
    pulls: tuple[str, ...]
    constants: np.ndarray
    """(exponential,)."""
    slopes: np.ndarray
    """(exponential, pull)."""

    def evaluate(self, components: tuple[Component, ...], pulls: Pulls) -> Array:
        """Scales (component,) at one point."""
        others = [k for k in range(self.n) if k not in self.exponential]
        parts: list[Array] = []
        if self.exponential:
            exponents = jnp.asarray(self.constants)
            if self.pulls:
                # The barrier keeps the compiler from taking the product apart into one sum per pull.
                values = jax.lax.optimization_barrier(jnp.stack([pulls[name] for name in self.pulls]))
                exponents = exponents + values @ jnp.asarray(self.slopes.T)
            parts.append(jnp.exp(exponents))
        if others:
            parts.append(jnp.stack([components[k].scale(pulls) for k in others]))
        order = [*self.exponential, *others]
        found = jnp.concatenate(parts)
        # A permutation as a matrix product: kinder to gradients than a gather.
        return found if order == sorted(order) else found @ jnp.asarray(np.eye(self.n)[order])

    def evaluate_block(self, components: tuple[Component, ...], pulls: Pulls, points: int) -> list[Array]:
        """Scales (point,) of every component, of a block of so many points; pulls that all points share have no axis."""
        found: dict[int, Array] = {}
        if self.exponential:
            exponents = jnp.asarray(self.constants)[:, None]
            if self.pulls:
                values = jnp.stack([jnp.broadcast_to(pulls[name], (points,)) for name in self.pulls])
                exponents = exponents + times(values, self.slopes.T)
            exponentials = jnp.broadcast_to(jnp.exp(exponents), (len(self.exponential), points))
            found = dict(zip(self.exponential, jnp.unstack(exponentials), strict=True))
        for k, component in enumerate(components):
            if k not in found:
                scale = at_every_point(component.scale, pulls, component.scale_pulls)
                found[k] = jnp.broadcast_to(scale, (points,))
        return [found[k] for k in range(self.n)]


@dataclass(frozen=True)
class Block:
    """Components that share one set of shape pulls, which come in in stages.

    What the first pulls bend is mixed with the monomials first (mixing parameters and a spectrum, say); the functions of later
    pulls (a detector's response) act on few mixtures then.
    """

    stages: tuple[Tree | None, ...]
    """Functions of the pulls of every stage, the outer pulls' last; None for a stage without pulls."""
    monomials: np.ndarray | None
    """(monomial, merged): what the block sees of the experiment's monomials; None if its components read no forms."""
    basis_size: int

    @property
    def trees(self) -> tuple[Tree, ...]:
        """Trees of functions, those that there are."""
        return tuple(tree for tree in self.stages if tree is not None)

    @property
    def matrices(self) -> tuple[np.ndarray, ...]:
        """Matrices that an evaluation multiplies by."""
        found = tuple(m for tree in self.trees for m in tree.matrices)
        return found if self.monomials is None else (*found, self.monomials)

    def functions(self, table: Table, points: tuple[int, ...] = ()) -> tuple[Array, ...]:
        """Functions of the pulls of every stage, (function, *points); a single 1 for a stage without pulls."""
        return tuple(jnp.ones((1, *points)) if tree is None else tree.evaluate(table) for tree in self.stages)


@dataclass(frozen=True)
class Strengths:
    """Mixtures of weights (scales times merged monomials, or earlier strengths) and the functions of a stage.

    Together: (weights x functions) @ mix, all products; or apart, every weight with mixtures of its own:
    (functions @ mix) * (weights @ spread).
    """

    mix: np.ndarray
    """(weight * function, strength) together, (function, strength) apart."""
    spread: np.ndarray | None = None
    """(weight, strength), ones and zeros; None together."""

    def evaluate(self, weights: Array, functions: Array) -> Array:
        """(strength,) from weights (weight,) and functions (function,)."""
        if self.spread is None:
            return times(outer(weights, functions), self.mix)
        return times(functions, self.mix) * times(weights, self.spread)

    @property
    def matrices(self) -> tuple[np.ndarray, ...]:
        """Matrices that an evaluation multiplies by."""
        return (self.mix,) if self.spread is None else (self.mix, self.spread)


@dataclass(frozen=True)
class Part:
    """The rows of one block that end in one group.

    Strengths are made from weights stage by stage. Features are all products of the last strengths and the outer functions; or,
    with `narrow`, only those combinations of functions that a strength needs, (outer @ narrow) times the strengths `repeat`ed
    over them; or, with `narrow` alone, (outer @ narrow) holds what each strength adds to the compressed first axis,
    (strength * first axis), and no features are left.
    """

    block: int
    members: tuple[int, ...]
    strengths: tuple[Strengths, ...]
    narrow: np.ndarray | None = None
    """(outer, feature) or (outer, strength * first axis)."""
    repeat: np.ndarray | None = None
    """(strength, feature), ones and zeros."""

    @property
    def is_whole(self) -> bool:
        """Whether the part gives the compressed first axis itself rather than features."""
        return self.narrow is not None and self.repeat is None

    def evaluate(self, scales: Array | list[Array], merged: Array | None, functions: tuple[Array, ...]) -> Array:
        """Features (feature,), or the compressed first axis, from the scales of all components, the merged monomials (merged,)
        and the functions of the block's stages."""
        first, last = self.members[0], self.members[-1]
        in_a_row = self.members == tuple(range(first, last + 1))
        if in_a_row and not isinstance(scales, list):
            weights = scales[first : last + 1]
        else:
            weights = jnp.stack([scales[k] for k in self.members])
        if merged is not None:
            weights = outer(weights, merged)
        *stages, last_functions = functions
        strengths = weights
        for mixture, stage in zip(self.strengths, stages, strict=True):
            strengths = mixture.evaluate(strengths, stage)
        if self.narrow is None:
            return outer(strengths, last_functions)
        rows = times(last_functions, self.narrow)
        if self.repeat is not None:
            return rows * times(strengths, self.repeat)
        terms = rows.reshape(len(strengths), -1, *strengths.shape[1:]) * strengths[:, None]
        return sum_over(terms, 0) if is_block(strengths) else jnp.sum(terms, axis=0)

    @property
    def matrices(self) -> tuple[np.ndarray, ...]:
        """Matrices that an evaluation multiplies by."""
        return (
            *(m for mixture in self.strengths for m in mixture.matrices),
            *(m for m in (self.narrow, self.repeat) if m is not None),
        )


@dataclass(frozen=True)
class Second:
    """The second axis of a group, a distribution with shape pulls of its own: functions @ matrix."""

    block: Block
    matrix: np.ndarray
    """(function, bin)."""

    def functions(self, table: Table, points: tuple[int, ...] = ()) -> Array:
        """Functions (function, *points) that the distribution is made of."""
        return self.block.functions(table, points)[-1]


@dataclass(frozen=True)
class Weighted:
    """A weighting and what comes before and after it: (weights at nodes * (compressed first axis @ before)) @ after."""

    places: np.ndarray
    """(node,) where the weight is evaluated (nodes.py)."""
    before: np.ndarray
    """(compressed first axis, node)."""
    after: np.ndarray
    """(node, bin)."""


@dataclass(frozen=True)
class Group:
    """Components with a common weighting and a common second factor; their rows are added, then these are applied."""

    parts: tuple[Part, ...]
    matrix: np.ndarray
    """(feature, compressed first axis), or (feature, first axis) without segments; features of all parts that have some."""
    segments: tuple[np.ndarray, ...]
    """(rank, bin) of consecutive pieces of the first axis: undo its compression. A weighting does it too."""
    weighted: Weighted | None
    second: Second | None
    first_component: int
    """A component of the group, whose weighting is everybody's."""

    def first_axis(self, scales: Array | list[Array], merged: list[Array | None], functions: list[tuple[Array, ...]]) -> Array:
        """Rows of all parts, added, along the first axis (fine or bin,).

        Args:
            scales: of all components (component,), or a list of them, (point,) each.
            merged: merged monomials of every block.
            functions: of the stages of every block.
        """
        features: list[Array] = []
        terms: list[Array] = []
        for p in self.parts:
            (terms if p.is_whole else features).append(p.evaluate(scales, merged[p.block], functions[p.block]))
        if features:
            terms.append(times(features[0] if len(features) == 1 else jnp.concatenate(features), self.matrix))
        return self.decompressed(functools.reduce(operator.add, terms))

    @property
    def is_linear(self) -> bool:
        """Whether counts are the decompressed first axis, and that was compressed."""
        return bool(self.segments) and self.weighted is None and self.second is None

    def decompressed(self, values: Array) -> Array:
        """The first axis (fine or bin,) of a compressed one."""
        if not self.segments:
            return values
        ends = np.cumsum([len(segment) for segment in self.segments])
        pieces = jnp.split(values, ends[:-1])
        return jnp.concatenate([times(piece, segment) for piece, segment in zip(pieces, self.segments, strict=True)])

    def counts(self, first: Array, weights: Weights, component: Component, table: Table) -> Array:
        """Counts (bin,) of the group from its first axis.

        Args:
            first: what `first_axis` gives.
            weights: weightings at the point.
            component: the group's first component.
            table: polynomials of the shape pulls.
        """
        at_nodes = None if self.weighted is None else weights.at(component, self.weighted.places)
        second = None if self.second is None else self.second.functions(table, first.shape[1:])
        return self.counts_of(first, at_nodes, second)

    def counts_of(self, first: Array, at_nodes: Array | None, second: Array | None) -> Array:
        """Counts (bin,) from the first axis, the weight at its nodes (node,) and the functions (function,) of the second axis."""
        if self.weighted is not None:
            assert at_nodes is not None
            if at_nodes.ndim < first.ndim:
                at_nodes = at_nodes[:, None]
            first = times(at_nodes * times(first, self.weighted.before), self.weighted.after)
        if self.second is None:
            return first
        assert second is not None
        return outer(first, times(second, self.second.matrix))

    @property
    def matrices(self) -> tuple[np.ndarray, ...]:
        """Matrices that an evaluation multiplies by."""
        parts = tuple(m for part in self.parts for m in part.matrices)
        weighted = () if self.weighted is None else (self.weighted.before, self.weighted.after)
        second = () if self.second is None else (*self.second.block.matrices, self.second.matrix)
        return (*parts, *([self.matrix] if len(self.matrix) else []), *self.segments, *weighted, *second)


@dataclass(frozen=True)
class ChannelPlan:
    """Everything about a channel's templates that can be kept in a file."""

    scales: Scales
    blocks: tuple[Block, ...]
    groups: tuple[Group, ...]
    error: float

    @property
    def degrees(self) -> dict[str, int]:
        """Highest degree in each shape pull."""
        blocks = [*self.blocks, *(g.second.block for g in self.groups if g.second is not None)]
        result: dict[str, int] = {}
        for tree in (tree for block in blocks for tree in block.trees):
            for pull, degree in tree.degrees.items():
                result[pull] = max(degree, result.get(pull, 0))
        return result

    def expected(self, components: tuple[Component, ...], monomials: Array, table: Table, pulls: Pulls) -> Array:
        """Expected counts (bin,) from monomials (monomial,), the polynomials of the shape pulls, and the pulls.

        Of a block of points: (bin, point) from monomials (monomial, point) and the others (..., point), those that all share
        without that axis.
        """
        points, scales = monomials.shape[1:], self.scales
        own = scales.evaluate_block(components, pulls, *points) if points else scales.evaluate(components, pulls)
        functions = [b.functions(table, points) for b in self.blocks]
        merged = [None if b.monomials is None else times(monomials, b.monomials) for b in self.blocks]
        weights = Weights(pulls)
        groups = [
            g.counts(g.first_axis(own, merged, functions), weights, components[g.first_component], table) for g in self.groups
        ]
        return functools.reduce(operator.add, groups)


class Weights:
    """Weightings at a point or a block of points; those with the same weight function at the same places evaluate it once."""

    def __init__(self, pulls: Pulls) -> None:
        self.pulls = pulls
        self.known: dict[tuple[int, bytes], Array] = {}

    def at(self, component: Component, places: np.ndarray) -> Array:
        """Weights (place,) of a component's weighting, or (place, point)."""
        weighting = component.factors[0].weighting
        assert weighting is not None
        key = id(weighting.weight), places.tobytes()
        if key not in self.known:
            self.known[key] = at_every_point(lambda p: weighting.weight(jnp.asarray(places), p), self.pulls, weighting.pulls)
        return self.known[key]


def at_every_point(function: Callable[[Pulls], Array], pulls: Pulls, names: tuple[str, ...]) -> Array:
    """A function (...) of one point's pulls `names` at a block of points: (..., point), or (...) where all points share them."""
    own = {name: pulls[name] for name in names if jnp.ndim(pulls[name])}
    return jax.vmap(lambda mine: function({**pulls, **mine}), out_axes=-1)(own) if own else function(pulls)
