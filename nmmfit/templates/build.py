"""From the direct evaluation of a channel to its plan: fits of the shapes, then compression at every stage.

Errors are measured in standard deviations of the data: a number of counts is divided by the square root of what is expected
there. New-physics rows count as if they were REFERENCE_SIGNIFICANCE standard deviations strong.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

from nmmfit.errors import NotConvergedError
from nmmfit.experiment import Channel, Component, Factor, Pulls, Weighting
from nmmfit.physics.forms import Forms
from nmmfit.run_once import jit_once
from nmmfit.templates.fit import HALF_WIDTH, fit, sampler
from nmmfit.templates.nodes import empirical_nodes
from nmmfit.templates.plan import Block, ChannelPlan, Group, Part, Scales, Second, Weighted
from nmmfit.templates.shapes import OVERHEAD, compressed_tree, left_singular_vectors
from nmmfit.templates.stages import cheapest_way

REFERENCE_SIGNIFICANCE = 30.0
"""Strength, in standard deviations of the data, at which a new-physics row has to meet the tolerance."""

FIT_SHARE = 0.05
"""Error of a fit in several pulls as a share of the tolerance: errors of fits have no structure, and what compression keeps would
otherwise be mostly these."""

# Functions of the shape pulls that a weight typically needs, for the choice of segments.
_TYPICAL_FUNCTIONS = 10
_SEGMENTS = (1, 2, 3, 4, 6, 8, 12)


@dataclass(frozen=True)
class _Fitted:
    """Fitted shapes of factors with common pulls: what each basis function adds, by factor and merged monomial."""

    pulls: tuple[str, ...]
    indices: np.ndarray
    """(basis, pull) degrees."""
    merge: np.ndarray | None
    """(monomial, merged), None for factors that read no forms."""
    core: np.ndarray
    """(basis, factor, merged or 1, bin)."""
    error: float


def lift(rows: np.ndarray, n_monomials: int | None) -> np.ndarray:
    """(row,) factors that bring each new-physics monomial to the reference significance.

    Args:
        rows: (factor * monomial, ...) values in the metric of the data.
        n_monomials: monomials per factor; None for rows without, which are left as they are.
    """
    if n_monomials is None:
        return np.ones(len(rows))
    # What counts is the monomial's strength in all components together.
    strength = np.sqrt((rows.reshape(-1, n_monomials, rows[0].size) ** 2).sum(axis=(0, 2)))
    factors = np.maximum(1.0, REFERENCE_SIGNIFICANCE / np.where(strength > 0, strength, REFERENCE_SIGNIFICANCE))
    return np.tile(factors, len(rows) // n_monomials)


def _fitted(factors: list[Factor], directions: Forms, nominal: Pulls, metrics: list[np.ndarray], tol: float) -> _Fitted:
    """Fit factors with common shape pulls, and merge monomials that they do not tell apart.

    `metrics` (bin,) belong to the factors one by one.
    """
    pulls, with_monomials = factors[0].shape_pulls, factors[0].forms is not None
    sample = sampler(factors, directions, nominal)
    base = sample(np.zeros((sample.together, len(pulls))))[0]
    n_bins = base.shape[-1]
    per_factor = len(base) // len(factors)
    metric = np.repeat(np.asarray(metrics), per_factor, axis=0)
    lifts = lift(base * metric, per_factor if with_monomials else None)
    coefficients, indices, error = base[None], np.zeros((1, 0), dtype=int), 0.0
    if pulls:
        share = FIT_SHARE if len(pulls) > 1 else 1.0
        basis, coefficients, error = fit(sample, metric * lifts[:, None], share * tol)
        indices = basis.indices
    core = coefficients.reshape(len(coefficients), len(factors), per_factor, n_bins)
    merge = None
    if with_monomials:
        weight = metric.reshape(len(factors), per_factor, n_bins)
        merge, core = _merged(core, weight[:, :1], lifts[:per_factor], tol)
    return _Fitted(pulls, indices, merge, core, error)


def _merged(core: np.ndarray, metric: np.ndarray, lifts: np.ndarray, tol: float) -> tuple[np.ndarray, np.ndarray]:
    """Combinations of monomials that the factors tell apart.

    Args:
        core: (basis, factor, monomial, bin).
        metric: (factor, 1, bin).
        lifts: (monomial,).
    Returns: (monomial, merged), which makes the merged monomials, and the core (basis, factor, merged, bin) that goes with them,
        each merged monomial at the reference significance.
    """
    lifted = core * lifts[:, None]
    left, _ = left_singular_vectors(np.moveaxis(lifted * metric, 2, 0).reshape(len(lifts), -1), tol)
    return left / lifts[:, None], np.moveaxis(np.tensordot(left, lifted, axes=(0, 2)), 0, 2)


@dataclass(frozen=True)
class _Rows:
    """Rows that a block sends to a group, (basis, weight, bin), in the metric of the group's first axis."""

    block: int
    members: tuple[int, ...]
    matrix: np.ndarray

    @property
    def dense(self) -> np.ndarray:
        """(basis * weight, bin)."""
        return self.matrix.reshape(-1, self.matrix.shape[-1])


def _segments(matrix: np.ndarray, n_features: int, tol: float) -> list[np.ndarray] | None:
    """Orthonormal rows (rank, bin) of consecutive pieces of the first axis, however many pieces are cheapest; None: no use.

    Args:
        matrix: (row, bin) in the metric of the data, rows by importance.
        n_features: features that are multiplied with the result.
    """
    n_bins = matrix.shape[1]
    # Its triangular factor has the same singular values and right vectors, of every piece too, and fewer rows.
    triangular = np.asarray(np.linalg.qr(matrix, mode="r"))
    best, cost = None, 0.8 * n_features * n_bins
    for count in _SEGMENTS:
        if count > 1 and n_bins < 16 * count:
            break
        pieces = [left_singular_vectors(p.T, tol / math.sqrt(count))[0].T for p in np.array_split(triangular, count, axis=1)]
        products = sum(len(p) * (n_features + p.shape[1]) + OVERHEAD for p in pieces)
        if products < cost:
            best, cost = pieces, products
    return best


@dataclass(frozen=True)
class _Axis:
    """The first axis of a group, compressed, and the way from there to counts."""

    lower: np.ndarray
    """(bin, compressed first axis), from the metric."""
    segments: tuple[np.ndarray, ...]
    """(rank, bin) of its pieces; none where it stays as it is, or is undone by the weighting."""
    weighted: Weighted | None = None


def _compressed_axis(rows: list[_Rows], metric: np.ndarray, tol: float) -> _Axis:
    """The first axis of all rows of a group, compressed; without segments it stays as it is and `lower` goes to counts itself."""
    dense = np.concatenate([r.dense for r in rows])
    n_features = min(len(dense), sum(r.matrix.shape[1] * min(len(r.matrix), _TYPICAL_FUNCTIONS) for r in rows))
    pieces = _segments(dense, n_features, tol)
    if pieces is None:
        return _Axis(np.diag(1.0 / metric), ())
    starts = np.cumsum([0, *(p.shape[1] for p in pieces)])
    lower = np.zeros((len(metric), sum(len(p) for p in pieces)))
    column = 0
    for piece, at in zip(pieces, starts, strict=False):
        lower[at : at + piece.shape[1], column : column + len(piece)] = piece.T
        column += len(piece)
    return _Axis(lower, tuple(p / metric[at : at + p.shape[1]] for p, at in zip(pieces, starts, strict=False)))


def _assembled(
    fitted: list[_Fitted], rows: list[list[_Rows]], axes: list[_Axis], seconds: list[Second | None], first: list[int], tol: float
) -> tuple[tuple[Block, ...], tuple[Group, ...]]:
    """Blocks and groups: compress the first axis of every group, then send every block the cheapest way.

    Args:
        fitted: block by block.
        rows: of every group, by block.
        axes: the first axis of every group.
        seconds: second factors of the groups.
        first: a component of every group.
        tol: what a cut may leave out, in norm.
    """
    blocks: list[Block] = []
    parts: list[list[Part]] = [[] for _ in rows]
    matrices: list[list[np.ndarray]] = [[np.zeros((0, axis.lower.shape[1]))] for axis in axes]
    for n, block in enumerate(fitted):
        where = [(g, r) for g, mine in enumerate(rows) for r in mine if r.block == n]
        way = cheapest_way(block.pulls, block.indices, [r.matrix for _, r in where], [axes[g].lower for g, _ in where], tol)
        blocks.append(Block(way.trees, block.merge, len(block.indices)))
        for (g, r), features in zip(where, way.groups, strict=True):
            parts[g].append(Part(n, r.members, features.strengths, features.narrow, features.repeat))
            if features.rows is not None:
                matrices[g].append(features.rows @ axes[g].lower)
    groups = [
        Group(tuple(p), np.concatenate(m), axis.segments, axis.weighted, second, component)
        for p, m, axis, second, component in zip(parts, matrices, axes, seconds, first, strict=True)
    ]
    return tuple(blocks), tuple(groups)


def _group_key(component: Component) -> tuple[int, ...]:
    """Components with the same key share their weighting and their second factor."""
    weighting = component.factors[0].weighting
    return (0 if weighting is None else id(weighting.weight), *(id(f.function) for f in component.factors[1:]))


def _constants_joined(component: Component, directions: Forms, nominal: Pulls) -> Component:
    """A component whose factors depend on nothing as one factor: a group less for each second axis of its own."""
    factors = component.factors
    if len(factors) == 1 or any(f.shape_pulls or f.forms is not None or f.weighting is not None for f in factors):
        return component
    product = np.ones(1)
    # As programs: their operations one by one would each be compiled for themselves.
    for factor in factors:
        product = np.ravel(product[:, None] * np.asarray(jit_once(factor.function)(directions, nominal))[None, :])
    return replace(component, factors=(Factor(lambda forms, pulls: jnp.asarray(product)),))


def _fine_metric(metric: np.ndarray, weighting: Weighting | None, nominal: Pulls) -> np.ndarray:
    """Metric of the first axis before weighting: what a unit there can do to the bins, at the largest weight within the box."""
    if weighting is None:
        return metric
    moved = [dict(nominal) | dict.fromkeys(weighting.pulls, jnp.asarray(x)) for x in (-HALF_WIDTH, 0.0, HALF_WIDTH)]
    largest = np.max([np.asarray(weighting.weight(jnp.asarray(weighting.at), pulls)) for pulls in moved], axis=0)
    return np.maximum((metric @ np.abs(weighting.matrix)) * largest, 1e-300)


def _through_weightings(
    axes: list[_Axis], weightings: list[Weighting | None], metrics: list[np.ndarray], nominal: Pulls, tol: float
) -> float:
    """Let the axes whose groups have a weighting go through its nodes on their way to counts; largest error that this makes.

    Args:
        axes: the compressed first axis of every group; changed in place.
        weightings: of every group.
        metrics: (bin,) of the first axis of every group after weighting.
        nominal: every pull at 0.
        tol: error in the metric of the data, in norm, of a signal at the reference significance.
    """
    error = 0.0
    kinds = {id(w.weight): w for w in weightings if w is not None}
    for key, weighting in kinds.items():
        groups = [g for g, w in enumerate(weightings) if w is not None and id(w.weight) == key]
        ups = [scipy.linalg.block_diag(*axes[g].segments) if axes[g].segments else np.eye(axes[g].lower.shape[1]) for g in groups]
        # Entries of the compressed first axis are in standard deviations, all together at the reference significance. One set
        # of nodes serves all groups, so that a weight is evaluated once.
        worth = np.max(
            [
                REFERENCE_SIGNIFICANCE
                * np.sqrt(np.mean(up**2, axis=0))
                * np.linalg.norm(metrics[g][:, None] * weighting.matrix, axis=0)
                for g, up in zip(groups, ups, strict=True)
            ],
            axis=0,
        )
        nodes = empirical_nodes(weighting, np.maximum(worth, 1e-300), nominal, tol)
        for g, up in zip(groups, ups, strict=True):
            axes[g] = _Axis(axes[g].lower, (), Weighted(nodes.places, up @ nodes.gathered, nodes.owner.T))
        error = max(error, nodes.error)
    return error


def exponential_scales(components: Sequence[Component], nominal: Pulls) -> Scales:
    """Which scales are exponentials of linear functions of their pulls, found by values at random points."""
    names = tuple(sorted({pull for c in components for pull in c.scale_pulls}))
    points = np.random.default_rng(5).uniform(-HALF_WIDTH, HALF_WIDTH, (3 * len(names) + 4, len(names)))
    points[0] = 0.0

    def scales(x: jax.Array) -> jax.Array:
        pulls = dict(nominal) | {name: x[i] for i, name in enumerate(names)}
        return jnp.stack([c.scale(pulls) for c in components])

    # Logarithms (point, component); a scale that is not positive somewhere is no exponential.
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.log(np.asarray(jit_once(jax.vmap(scales))(jnp.asarray(points))))
    design = np.concatenate([np.ones((len(points), 1)), points], axis=1)
    kept, constants, slopes = [], [], []
    for k, component in enumerate(components):
        used = np.asarray([True, *(name in component.scale_pulls for name in names)])
        if not np.all(np.isfinite(logs[:, k])):
            continue
        solution, *_ = np.linalg.lstsq(design[:, used], logs[:, k], rcond=None)
        if np.abs(design[:, used] @ solution - logs[:, k]).max() < 1e-12:
            row = np.zeros(len(used))
            row[used] = solution
            kept.append(k)
            constants.append(row[0])
            slopes.append(row[1:])
    return Scales(len(components), tuple(kept), names, np.asarray(constants), np.asarray(slopes).reshape(len(kept), len(names)))


def channel_plan(channel: Channel, directions: Forms, nominal: Pulls, tol: float) -> ChannelPlan:
    """The plan of a channel.

    Args:
        channel: with its direct evaluation.
        directions: forms (leading axis monomial) that the monomials multiply.
        nominal: every pull at 0.
        tol: error in counts, in standard deviations of the data, per row.
    Raises: NotConvergedError if its structure is not one that templates take, or a shape needs an unreasonably large basis.
    """
    components = tuple(_constants_joined(c, directions, nominal) for c in channel.components)
    if any(len(c.factors) > 2 or any(f.forms is not None or f.weighting is not None for f in c.factors[1:]) for c in components):
        raise NotConvergedError(
            f"{channel.name}: templates take one factor with forms or weighting, then at most one plain factor"
        )
    sm: Forms = {name: jnp.zeros_like(values[0]) for name, values in directions.items()} | {"sm": jnp.asarray(1.0)}
    level = np.maximum(np.abs(np.asarray(jit_once(channel.expected)(sm, nominal))), 1e-12)
    keys = [_group_key(c) for c in components]
    order = list(dict.fromkeys(keys))
    index = [order.index(key) for key in keys]
    seconds: list[Second | None] = []
    coarse: list[np.ndarray] = []
    metrics: list[np.ndarray] = []
    errors = [0.0]
    for g in range(len(order)):
        first, *others = components[index.index(g)].factors
        second, n_second = None, 1
        if others:
            (n_second,) = jax.eval_shape(others[0].function, sm, nominal).shape
            # As a distribution over the second axis it is compared with one part in the size of the data.
            flat = np.full(n_second, math.sqrt(level.sum()))
            fitted = _fitted(others, directions, nominal, [flat], tol)
            second = _second(fitted, flat, tol)
            errors.append(fitted.error)
        seconds.append(second)
        coarse.append(1.0 / np.sqrt(level.reshape(-1, n_second).sum(axis=1)))
        metrics.append(_fine_metric(coarse[-1], first.weighting, nominal))
    kinds: dict[tuple[tuple[str, ...], bool, int], list[int]] = {}
    for k, component in enumerate(components):
        first = component.factors[0]
        kinds.setdefault((first.shape_pulls, first.forms is not None, len(metrics[index[k]])), []).append(k)
    blocks: list[_Fitted] = []
    rows: list[list[_Rows]] = [[] for _ in order]
    for inside in kinds.values():
        fitted = _fitted(
            [components[k].factors[0] for k in inside], directions, nominal, [metrics[index[k]] for k in inside], tol
        )
        for g in sorted({index[k] for k in inside}):
            positions = [n for n, k in enumerate(inside) if index[k] == g]
            core = fitted.core[:, positions] * metrics[g]
            mine = tuple(inside[n] for n in positions)
            rows[g].append(_Rows(len(blocks), mine, core.reshape(len(core), -1, core.shape[-1])))
        blocks.append(fitted)
        errors.append(fitted.error)
    leading = [index.index(g) for g in range(len(order))]
    axes = [_compressed_axis(r, metric, tol) for r, metric in zip(rows, metrics, strict=True)]
    errors.append(_through_weightings(axes, [components[k].factors[0].weighting for k in leading], coarse, nominal, tol))
    made, groups = _assembled(blocks, rows, axes, seconds, leading, tol)
    return ChannelPlan(exponential_scales(components, nominal), made, groups, max(errors))


def _second(fitted: _Fitted, metric: np.ndarray, tol: float) -> Second:
    """A distribution over the second axis from its fit: one factor without monomials."""
    core = fitted.core[:, 0, 0]
    if not fitted.pulls:
        return Second(Block((None,), None, 1), core)
    tree, q = compressed_tree(fitted.pulls, fitted.indices, core * metric, tol, core.shape[1])
    return Second(Block((tree,), None, len(fitted.indices)), q.T @ core)
