"""How a channel's expected counts are computed from compressed templates: arrays only, no function of an experiment.

Chebyshev polynomials of the pulls -> few functions of each set of pulls (shapes.py) -> features, these functions times scales
and monomials -> one matrix product per group of components -> counts along the first axis, in segments -> weighting and second
axis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from nmmfit.experiment import Component, Pulls, Weighting
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
        """Scales (component,)."""
        others = [k for k in range(self.n) if k not in self.exponential]
        parts: list[Array] = []
        if self.exponential:
            exponents = jnp.asarray(self.constants)
            if self.pulls:
                exponents = exponents + jnp.stack([pulls[name] for name in self.pulls]) @ jnp.asarray(self.slopes.T)
            parts.append(jnp.exp(exponents))
        if others:
            parts.append(jnp.stack([components[k].scale(pulls) for k in others]))
        order = [*self.exponential, *others]
        values = jnp.concatenate(parts)
        # A permutation as a matrix product: kinder to gradients than a gather.
        return values if order == sorted(order) else values @ jnp.asarray(np.eye(self.n)[order])


@dataclass(frozen=True)
class Block:
    """Components that share one set of shape pulls, hence one set of functions of them."""

    pulls: tuple[str, ...]
    tree: Tree | None
    """None where there are no shape pulls."""
    monomials: np.ndarray | None
    """(monomial, merged): what the block sees of the experiment's monomials; None if its components read no forms."""
    basis_size: int

    @property
    def rank(self) -> int:
        """Number of functions of the pulls."""
        return 1 if self.tree is None else self.tree.rank

    @property
    def matrices(self) -> tuple[np.ndarray, ...]:
        """Matrices that an evaluation multiplies by."""
        tree = () if self.tree is None else self.tree.matrices
        return tree if self.monomials is None else (*tree, self.monomials)

    def functions(self, table: Table) -> Array:
        """Functions of the pulls (rank,)."""
        return jnp.ones((1,)) if self.tree is None else self.tree.evaluate(table)


@dataclass(frozen=True)
class Part:
    """The rows of one block that end in one group: weights are scales times merged monomials, (member * merged,).

    Features are all products of weights and functions; or, with `narrow`, only those combinations of functions that a weight
    needs, (functions @ narrow) times the weights `spread` over them.
    """

    block: int
    members: tuple[int, ...]
    narrow: np.ndarray | None = None
    """(function, feature)."""
    spread: np.ndarray | None = None
    """(weight, feature), ones and zeros."""

    def features(self, scales: Array, merged: Array | None, functions: Array) -> Array:
        """(feature,) from the scales of all components, the merged monomials (merged,) and the functions (rank,)."""
        weights = jnp.stack([scales[k] for k in self.members])
        if merged is not None:
            weights = jnp.ravel(weights[:, None] * merged[None, :])
        if self.narrow is not None:
            return (functions @ jnp.asarray(self.narrow)) * (weights @ jnp.asarray(self.spread))
        return weights if functions.shape == (1,) else jnp.ravel(weights[:, None] * functions[None, :])

    @property
    def matrices(self) -> tuple[np.ndarray, ...]:
        """Matrices that an evaluation multiplies by."""
        return tuple(m for m in (self.narrow, self.spread) if m is not None)


@dataclass(frozen=True)
class Second:
    """The second axis of a group, a distribution with shape pulls of its own: functions @ matrix."""

    block: Block
    matrix: np.ndarray
    """(function, bin)."""

    def evaluate(self, table: Table) -> Array:
        """Distribution (bin,)."""
        return self.block.functions(table) @ jnp.asarray(self.matrix)


@dataclass(frozen=True)
class Group:
    """Components with a common weighting and a common second factor; their rows are added, then these are applied."""

    parts: tuple[Part, ...]
    matrix: np.ndarray
    """(feature, compressed first axis), or (feature, first axis) without segments."""
    segments: tuple[np.ndarray, ...]
    """(rank, bin) of consecutive pieces of the first axis: undo its compression."""
    second: Second | None
    first_component: int
    """A component of the group, whose weighting is everybody's."""

    def first_axis(self, scales: Array, merged: list[Array | None], functions: list[Array]) -> Array:
        """Rows of all parts, added, along the first axis (fine or bin,).

        Args:
            scales: of all components (component,).
            merged: merged monomials of every block.
            functions: functions of the pulls of every block.
        """
        features = [p.features(scales, merged[p.block], functions[p.block]) for p in self.parts]
        values = (features[0] if len(features) == 1 else jnp.concatenate(features)) @ jnp.asarray(self.matrix)
        if not self.segments:
            return values
        pieces, at = [], 0
        for segment in self.segments:
            pieces.append(values[at : at + len(segment)] @ jnp.asarray(segment))
            at += len(segment)
        return jnp.concatenate(pieces)

    @property
    def matrices(self) -> tuple[np.ndarray, ...]:
        """Matrices that an evaluation multiplies by, but for the weighting's."""
        parts = tuple(m for part in self.parts for m in part.matrices)
        second = () if self.second is None else (*self.second.block.matrices, self.second.matrix)
        return (*parts, self.matrix, *self.segments, *second)


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
        trees = [b.tree for b in [*self.blocks, *(g.second.block for g in self.groups if g.second is not None)]]
        result: dict[str, int] = {}
        for tree in trees:
            for pull, degree in ({} if tree is None else tree.degrees).items():
                result[pull] = max(degree, result.get(pull, 0))
        return result

    def expected(self, components: tuple[Component, ...], monomials: Array, table: Table, pulls: Pulls) -> Array:
        """Expected counts (bin,) from monomials (monomial,), the polynomials of the shape pulls, and the pulls."""
        scales = self.scales.evaluate(components, pulls)
        functions = [b.functions(table) for b in self.blocks]
        merged = [None if b.monomials is None else monomials @ jnp.asarray(b.monomials) for b in self.blocks]
        weights = _Weights(pulls)
        total: Array | None = None
        for group in self.groups:
            rows = group.first_axis(scales, merged, functions)
            first = weights.applied(components[group.first_component].factors[0].weighting, rows)
            counts = first if group.second is None else jnp.ravel(first[:, None] * group.second.evaluate(table)[None, :])
            total = counts if total is None else total + counts
        assert total is not None
        return total


class _Weights:
    """Weightings at one point; those with the same weight function evaluate it once."""

    def __init__(self, pulls: Pulls) -> None:
        self.pulls = pulls
        self.known: dict[int, Array] = {}

    def applied(self, weighting: Weighting | None, fine: Array) -> Array:
        if weighting is None:
            return fine
        key = id(weighting.weight)
        if key not in self.known:
            self.known[key] = weighting.weight(self.pulls)
        return (self.known[key] * fine) @ jnp.asarray(weighting.matrix.T)
