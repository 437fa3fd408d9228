"""From the direct evaluation of an experiment to compressed tensors: the path that samplers and profiles use.

Every component of an experiment is linear in the quadratic forms, hence in the merged monomials m (physics/amplitude_basis.py),
and smooth in its shape pulls. Its direct evaluation is therefore sampled once, at Chebyshev-distributed points in the box of
+-HALF_WIDTH sigma, and fitted by T[m, b, bin] on an anisotropic total-degree basis b. The degrees are found from the decay of
one-dimensional coefficients and confirmed at random points; b is then compressed by SVD in the metric 1/sqrt(expected counts).
A likelihood value is basis functions -> few amplitudes u -> (scale m) x u -> one matrix product -> counts. A factor's
weighting (an efficiency) is no matter of interpolation: it is applied as it is.

Beyond the box a shape freezes at its edge. The interpolation error is measured when templates are built and is kept in `error`.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import qmc

from nmmfit.errors import NotConvergedError
from nmmfit.experiment import BinnedExperiment, Channel, Component, Factor, Pulls, Weighting
from nmmfit.numerics.chebyshev import ChebyshevBasis, chebyshev_nodes, coefficients_1d
from nmmfit.physics.amplitude_basis import AmplitudeBasis, MergedMonomials, merged_monomials
from nmmfit.physics.forms import ALL_FORMS, Forms, vector_to_forms
from nmmfit.shapes import Array

HALF_WIDTH = 4.0
DEFAULT_TOLERANCE = 1e-6
# Strength, in standard deviations of the data, at which a new-physics row has to meet the tolerance.
REFERENCE_SIGNIFICANCE = 30.0
_PROBE_NODES = 25
_CHECKS = 24
_CHUNK = 8
_SLACK = 10.0
MAX_BASIS = 3000


@dataclass(frozen=True)
class _Part:
    """The rows of a block that end in one group."""

    group: int
    members: tuple[int, ...]
    """Indices of the channel's components, in the order of the feature rows."""
    matrix: np.ndarray
    """(member * monomial * rank, bin of the first axis)."""


@dataclass(frozen=True)
class _Block:
    """Components that share one set of shape pulls, hence one set of basis functions, compressed together."""

    pulls: tuple[str, ...]
    basis: ChebyshevBasis
    compress: np.ndarray
    """(basis, rank)."""
    with_monomials: bool
    parts: tuple[_Part, ...]

    @property
    def rank(self) -> int:
        """Number of compressed basis functions."""
        return self.compress.shape[1]

    def n_monomials(self, part: _Part) -> int | None:
        """Monomials per member of a part; None if its components read no forms."""
        return len(part.matrix) // (len(part.members) * self.rank) if self.with_monomials else None

    def shape(self, pulls: Pulls) -> Array:
        """Compressed basis functions (rank,) at the pulls."""
        if not self.pulls:
            return jnp.ones((1,))
        x = jnp.stack([pulls[name] for name in self.pulls])
        return self.basis.evaluate(x) @ jnp.asarray(self.compress)

    @property
    def multiplies(self) -> int:
        """Multiplications of its matrix products."""
        return (self.compress.size if self.pulls else 0) + sum(p.matrix.size for p in self.parts)


@dataclass(frozen=True)
class _Group:
    """Components with a common weighting and a common second factor.

    The rows of their first factors are added, lifted to the first axis by `project`, weighted, then multiplied by `second`.
    """

    project: np.ndarray | None
    """(rank, fine or bin): undoes the compression of the first axis; None where it is not compressed."""
    weighting: Weighting | None
    second: _Block | None

    def counts(self, first: Array, pulls: Pulls) -> Array:
        """Counts (bin,) from the sum of rows (rank,)."""
        if self.project is not None:
            first = first @ jnp.asarray(self.project)
        if self.weighting is not None:
            first = self.weighting.apply(first, pulls)
        if self.second is None:
            return first
        second = self.second.shape(pulls) @ jnp.asarray(self.second.parts[0].matrix)
        return jnp.ravel(first[:, None] * second[None, :])

    @property
    def multiplies(self) -> int:
        """Multiplications of its matrix products."""
        weighted = self.weighting.matrix.size if self.weighting is not None else 0
        second = self.second.multiplies if self.second is not None else 0
        return (self.project.size if self.project is not None else 0) + weighted + second


@dataclass(frozen=True)
class ChannelTemplate:
    """Compressed templates of one channel."""

    channel: Channel
    blocks: tuple[_Block, ...]
    groups: tuple[_Group, ...]
    error: float

    def expected(self, monomials: Array, pulls: Pulls) -> Array:
        """Expected counts (bin,) from monomials (monomial,) and pulls."""
        firsts: list[Array | None] = [None] * len(self.groups)
        for block in self.blocks:
            u = block.shape(pulls)
            for part in block.parts:
                scales = jnp.stack([self.channel.components[k].scale(pulls) for k in part.members])
                rows = (scales[:, None] * monomials[None, :]).ravel() if block.with_monomials else scales
                counts = (rows[:, None] * u[None, :]).ravel() @ jnp.asarray(part.matrix)
                before = firsts[part.group]
                firsts[part.group] = counts if before is None else before + counts
        parts = [g.counts(first, pulls) for g, first in zip(self.groups, firsts, strict=True) if first is not None]
        return functools.reduce(operator.add, parts)

    @property
    def multiplies(self) -> int:
        """Multiplications of the matrix products of one evaluation."""
        return sum(b.multiplies for b in self.blocks) + sum(g.multiplies for g in self.groups)

    @property
    def ranks(self) -> list[tuple[str, int, int]]:
        """(shape pulls, basis size, rank) of every block."""
        blocks = [*self.blocks, *(g.second for g in self.groups if g.second is not None)]
        return [(" ".join(b.pulls) or "-", b.basis.size, b.rank) for b in blocks]


@dataclass(frozen=True)
class ExperimentTemplate:
    """Compressed templates of one experiment, for one amplitude basis."""

    experiment: BinnedExperiment
    basis: AmplitudeBasis
    monomials: MergedMonomials
    channels: tuple[ChannelTemplate, ...]
    errors: Mapping[str, float] = field(default_factory=dict)

    def expected(self, products: Array, pulls: Pulls) -> dict[str, Array]:
        """Expected counts, channel name -> (bin,), from the products a_i a_j (pair,) and pulls."""
        monomials = jnp.asarray(self.monomials.weights) @ jnp.concatenate([jnp.ones((1,)), products])
        return {t.channel.name: t.expected(monomials, pulls) for t in self.channels}


def relevant_coordinates(experiment: BinnedExperiment) -> np.ndarray:
    """(form coordinate,) True where some rate of the experiment depends on that real coordinate of ALL_FORMS."""
    size = 1 + 9 * len(ALL_FORMS)
    pulls = experiment.nominal_pulls()
    functions = [f.function for ch in experiment.channels for c in ch.components for f in c.factors if f.forms is not None]
    # Rates are linear in the forms: one coordinate at a time against none shows what they depend on.
    points = jnp.concatenate([jnp.zeros((1, size)), jnp.eye(size)])

    def rates(vector: Array) -> list[Array]:
        forms = vector_to_forms(vector, ALL_FORMS)
        return [function(forms, pulls) for function in functions]

    # All factors in one program: what they have in common, a response matrix say, is compiled once.
    values = [np.asarray(v) for v in jax.jit(jax.vmap(rates))(points)]
    return np.any([np.any(v[1:] != v[0], axis=1) for v in values], axis=0) if values else np.zeros(size, dtype=bool)


@dataclass(frozen=True)
class _Sampler:
    """Direct evaluation of several factors with the same shape pulls, one compilation for all points.

    Rows are (factor, monomial) for factors that read forms, (factor, 1) for those that do not.
    """

    factors: tuple[Factor, ...]
    evaluate: Callable[[Array], Array]

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """(point, row, bin) at shape-pull values (point, pull)."""
        n = len(points)
        padded = np.concatenate([points, np.zeros((-n % _CHUNK, points.shape[1]))])
        chunks = [np.asarray(self.evaluate(jnp.asarray(c))) for c in np.split(padded, len(padded) // _CHUNK)]
        return np.concatenate(chunks)[:n]


def _sampler(factors: list[Factor], directions: Forms, nominal: Pulls) -> _Sampler:
    pulls = factors[0].shape_pulls
    nothing = vector_to_forms(jnp.zeros(1 + 9 * len(ALL_FORMS)), ALL_FORMS)

    def rows(factor: Factor, moved: Pulls) -> Array:
        if factor.forms is None:
            return factor.function(nothing, moved)[None, :]
        return jax.vmap(lambda forms: factor.function(forms, moved))(directions)

    def at(x: Array) -> Array:
        moved = dict(nominal) | {name: x[i] for i, name in enumerate(pulls)}
        return jnp.concatenate([rows(factor, moved) for factor in factors])

    return _Sampler(tuple(factors), jax.jit(lambda xs: jax.lax.map(at, xs)))


def _lift(rows: np.ndarray, n_monomials: int | None) -> np.ndarray:
    """(row,) factors that bring each new-physics monomial to the reference significance.

    Args:
        rows: (factor * monomial, ...) values in the metric of the data.
        n_monomials: monomials per factor; None for rows without, which are left as they are.
    """
    if n_monomials is None:
        return np.ones(len(rows))
    # What counts is the monomial's strength in all components together.
    strength = np.sqrt((rows.reshape(-1, n_monomials, rows[0].size) ** 2).sum(axis=(0, 2)))
    lift = np.maximum(1.0, REFERENCE_SIGNIFICANCE / np.where(strength > 0, strength, REFERENCE_SIGNIFICANCE))
    return np.tile(lift, len(rows) // n_monomials)


def _degrees(sample: _Sampler, weight: np.ndarray, n_pulls: int, tol: float) -> list[int]:
    """Degree that each shape pull needs on its own, others at nominal."""
    degrees = []
    for i in range(n_pulls):
        points = np.zeros((_PROBE_NODES, n_pulls))
        points[:, i] = HALF_WIDTH * chebyshev_nodes(_PROBE_NODES)
        size = np.sqrt((coefficients_1d(sample(points) * weight) ** 2).sum(axis=2)).max(axis=1)
        above = np.flatnonzero(np.cumsum(size[::-1])[::-1] > tol)
        degrees.append(int(above[-1]) if len(above) else 0)
    return degrees


def _chebyshev_points(n: int, dimension: int) -> np.ndarray:
    """Quasi-random points of Chebyshev density: they make the least-squares problem well conditioned."""
    uniform = qmc.Sobol(dimension, seed=11).random_base2(math.ceil(math.log2(n)))[:n]
    return HALF_WIDTH * np.cos(np.pi * uniform)


def _fit(
    sample: _Sampler, weight: np.ndarray, tol: float, max_basis: int = MAX_BASIS
) -> tuple[ChebyshevBasis, np.ndarray, float]:
    """Polynomial fit (basis, row, bin); raises the degrees until random points agree to the tolerance.

    `weight` (row, bin) is the metric, 1/sqrt(expected) times the row's lift.
    """
    pulls = sample.factors[0].shape_pulls
    degrees = _degrees(sample, weight, len(pulls), 0.3 * tol)
    check = np.random.default_rng(7).uniform(-HALF_WIDTH, HALF_WIDTH, (_CHECKS, len(pulls)))
    truth = sample(check)
    values = np.zeros((0, *truth.shape[1:]))
    while True:
        basis = ChebyshevBasis(tuple(degrees), HALF_WIDTH)
        if basis.size > max_basis:
            raise NotConvergedError(
                f"templates: shape pulls {', '.join(pulls)} need more than {max_basis} basis functions "
                f"(degrees {degrees}); use the direct evaluation"
            )
        points = _chebyshev_points(int(1.6 * basis.size) + 8, len(pulls))
        # The sequence of points only grows: what was sampled for lower degrees serves again.
        values = np.concatenate([values, sample(points[len(values) :])])
        # Points of Chebyshev density make the columns nearly orthogonal, so that QR without pivoting is safe.
        q, r = np.linalg.qr(basis.matrix(points))
        solution = np.linalg.solve(r, q.T @ values.reshape(len(points), -1))
        coefficients = solution.reshape(basis.size, *values.shape[1:])
        guess = np.tensordot(basis.matrix(check), coefficients, axes=1)
        error = float(np.sqrt((((guess - truth) * weight) ** 2).sum(axis=-1)).max())
        if error < _SLACK * tol:
            return basis, coefficients, error
        degrees = [d + max(1, round(0.2 * d)) if d > 0 or not any(degrees) else 0 for d in degrees]


def _right_singular_vectors(matrix: np.ndarray, tol: float) -> np.ndarray:
    """(rank, column): right singular vectors of (row, column), so many that what they leave out is below `tol` in norm."""
    # The triangular factor of QR has the same ones, and is smaller.
    _, singular, right = np.linalg.svd(np.linalg.qr(matrix, mode="r"), full_matrices=False)
    return right[: max(1, int(np.sum(np.sqrt(np.cumsum(singular[::-1] ** 2)[::-1]) > tol)))]


def _block(
    factors: list[Factor],
    members: list[int],
    groups: list[int],
    directions: Forms,
    nominal: Pulls,
    metrics: list[np.ndarray],
    tol: float,
) -> tuple[_Block, float]:
    """Fit factors with common shape pulls on one basis and compress its functions by SVD in the metric of the data.

    `groups` and `metrics` (bin,) belong to the factors one by one, as does `members`.
    """
    pulls, with_monomials = factors[0].shape_pulls, factors[0].forms is not None
    sample = _sampler(factors, directions, nominal)
    base = sample(np.zeros((1, len(pulls))))[0]
    per_factor = len(base) // len(factors)
    metric = np.repeat(np.asarray(metrics), per_factor, axis=0)
    weight = metric * _lift(base * metric, per_factor if with_monomials else None)[:, None]
    basis, compress, core, error = ChebyshevBasis((), HALF_WIDTH), np.ones((1, 1)), base[:, None, :], 0.0
    if pulls:
        basis, coefficients, error = _fit(sample, weight, tol)
        compress = _right_singular_vectors((coefficients * weight).reshape(basis.size, -1).T, tol).T
        core = np.swapaxes(np.tensordot(compress, coefficients, axes=(0, 0)), 0, 1)
    core = core.reshape(len(factors), -1, core.shape[-1])
    parts = []
    for group in sorted(set(groups)):
        inside = [n for n, g in enumerate(groups) if g == group]
        parts.append(_Part(group, tuple(members[n] for n in inside), core[inside].reshape(-1, core.shape[-1])))
    return _Block(pulls, basis, compress, with_monomials, tuple(parts)), error


def _compress_first_axis(
    blocks: list[_Block], group: int, metric: np.ndarray, tol: float
) -> tuple[list[_Block], np.ndarray | None]:
    """SVD over the first axis of the rows that end in one group, where it saves multiplications."""
    mine = [(b, p) for b in blocks for p in b.parts if p.group == group]
    stacked = np.concatenate([p.matrix for _, p in mine]) * metric
    # A row here is one basis amplitude of a (member, monomial); all amplitudes of one such pair are lifted together.
    lift = np.concatenate(
        [
            np.repeat(
                _lift((p.matrix * metric).reshape(-1, b.rank, stacked.shape[1]), b.n_monomials(p)),
                b.rank,
            )
            for b, p in mine
        ]
    )
    right = _right_singular_vectors(stacked * lift[:, None], tol)
    n_rows, n_first = stacked.shape
    if len(right) * (n_rows + n_first) > 0.8 * n_rows * n_first:
        return blocks, None

    def lowered(part: _Part) -> _Part:
        return replace(part, matrix=(part.matrix * metric) @ right.T) if part.group == group else part

    return [replace(b, parts=tuple(lowered(p) for p in b.parts)) for b in blocks], right / metric


def _group_key(component: Component) -> tuple[int, ...]:
    """Components with the same key share their weighting and their second factor."""
    weighting = component.factors[0].weighting
    return (id(weighting.weight) if weighting is not None else 0, *(id(f.function) for f in component.factors[1:]))


def _fine_metric(metric: np.ndarray, weighting: Weighting | None, nominal: Pulls) -> np.ndarray:
    """Metric of the first axis before weighting: what a unit there can do to the bins, at the largest weight within the box."""
    if weighting is None:
        return metric
    moved = [dict(nominal) | dict.fromkeys(weighting.pulls, jnp.asarray(x)) for x in (-HALF_WIDTH, 0.0, HALF_WIDTH)]
    largest = np.max([np.asarray(weighting.weight(pulls)) for pulls in moved], axis=0)
    return np.maximum((metric @ np.abs(weighting.matrix)) * largest, 1e-300)


def _channel_template(channel: Channel, directions: Forms, nominal: Pulls, tol: float) -> ChannelTemplate:
    components = channel.components
    if any(len(c.factors) > 2 or any(f.forms is not None or f.weighting is not None for f in c.factors[1:]) for c in components):
        raise NotConvergedError(
            f"{channel.name}: templates take one factor with forms or weighting, then at most one plain factor"
        )
    sm = vector_to_forms(jnp.zeros(1 + 9 * len(ALL_FORMS)).at[0].set(1.0), ALL_FORMS)
    level = np.maximum(np.abs(np.asarray(jax.jit(lambda: channel.expected(sm, nominal))())), 1e-12)
    keys = [_group_key(c) for c in components]
    order = list(dict.fromkeys(keys))
    index = [order.index(key) for key in keys]
    groups: list[_Group] = []
    metrics: list[np.ndarray] = []
    worst = 0.0
    for g in range(len(order)):
        first, *others = components[index.index(g)].factors
        second, n_second = None, 1
        if others:
            n_second = len(np.asarray(others[0].function(sm, nominal)))
            # As a distribution over the second axis it is compared with one part in the size of the data.
            flat = np.full(n_second, math.sqrt(level.sum()))
            second, error = _block(others, [index.index(g)], [g], directions, nominal, [flat], tol)
            worst = max(worst, error)
        groups.append(_Group(None, first.weighting, second))
        metrics.append(_fine_metric(1.0 / np.sqrt(level.reshape(-1, n_second).sum(axis=1)), first.weighting, nominal))
    kinds: dict[tuple[tuple[str, ...], bool, int], list[int]] = {}
    for k, component in enumerate(components):
        first = component.factors[0]
        kinds.setdefault((first.shape_pulls, first.forms is not None, len(metrics[index[k]])), []).append(k)
    blocks = []
    for inside in kinds.values():
        factors, mine = [components[k].factors[0] for k in inside], [index[k] for k in inside]
        block, error = _block(factors, inside, mine, directions, nominal, [metrics[g] for g in mine], tol)
        blocks.append(block)
        worst = max(worst, error)
    for g, group in enumerate(groups):
        blocks, project = _compress_first_axis(blocks, g, metrics[g], tol)
        groups[g] = replace(group, project=project)
    return ChannelTemplate(channel, tuple(blocks), tuple(groups), worst)


def build_templates(
    experiment: BinnedExperiment, basis: AmplitudeBasis, tolerance: float = DEFAULT_TOLERANCE
) -> ExperimentTemplate:
    """Templates of an experiment for the amplitudes of a fit.

    Args:
        experiment: the experiment, with its direct evaluation.
        basis: real amplitudes that the fit can excite.
        tolerance: error in expected counts, in units of their statistical standard deviation, per bin and row (with
            new-physics rows at 30 standard deviations); the worst error at random points is kept per channel.
    Returns: templates whose `expected` agrees with the direct path.
    Raises: NotConvergedError if a shape needs an unreasonably large basis.
    """
    monomials = merged_monomials(basis, relevant_coordinates(experiment))
    nominal = experiment.nominal_pulls()
    channels = tuple(_channel_template(c, monomials.forms, nominal, tolerance) for c in experiment.channels)
    return ExperimentTemplate(experiment, basis, monomials, channels, {c.channel.name: c.error for c in channels})
