"""From the direct evaluation of an experiment to compressed tensors: the path that samplers and profiles use.

Every component of an experiment is linear in the quadratic forms, hence in the merged monomials m (physics/amplitude_basis.py),
and smooth in its shape pulls. Its direct evaluation is therefore sampled once, at Chebyshev-distributed points in the box of
+-HALF_WIDTH sigma, and fitted by T[m, b, bin] on an anisotropic total-degree basis b. The degrees are found from the decay of
one-dimensional coefficients and confirmed at random points; b is then compressed by SVD in the metric 1/sqrt(expected counts).
A likelihood value is basis functions -> few amplitudes u -> (scale m) x u -> one matrix product -> counts.

Beyond the box a shape freezes at its edge. The interpolation error is measured when templates are built and is kept in `error`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import qmc

from nmmfit.errors import NotConvergedError
from nmmfit.experiment import BinnedExperiment, Channel, Factor, Pulls
from nmmfit.numerics.chebyshev import ChebyshevBasis, chebyshev_nodes, coefficients_1d
from nmmfit.physics.amplitude_basis import AmplitudeBasis, MergedMonomials, merged_monomials
from nmmfit.physics.forms import ALL_FORMS, Forms, forms_to_vector, vector_to_forms
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
class _Block:
    """Rows that share one set of shape pulls and one place in the outer product."""

    pulls: tuple[str, ...]
    basis: ChebyshevBasis
    compress: np.ndarray
    """(basis, rank)."""
    members: tuple[int, ...]
    """Indices of the channel's components, in the order of the feature rows."""
    with_monomials: bool
    matrix: np.ndarray
    """(member * monomial * rank, bin of the first axis)."""


@dataclass(frozen=True)
class _Group:
    """Components with one common second factor: sum over blocks, then the outer product with `second`."""

    blocks: tuple[_Block, ...]
    second: _Block | None


@dataclass(frozen=True)
class ChannelTemplate:
    """Compressed templates of one channel."""

    channel: Channel
    groups: tuple[_Group, ...]
    error: float
    project: np.ndarray | None = None
    """(rank, bin): the last matrix product, where the bins are compressed too."""

    def expected(self, monomials: Array, pulls: Pulls) -> Array:
        """Expected counts (bin,) from monomials (monomial,) and pulls."""
        total = jnp.asarray(0.0)
        for group in self.groups:
            first = jnp.asarray(0.0)
            for block in group.blocks:
                first = first + _features(self.channel, block, monomials, pulls) @ jnp.asarray(block.matrix)
            if group.second is not None:
                u = _shape(group.second, pulls)
                second = u @ jnp.asarray(group.second.matrix)
                first = jnp.ravel(first[:, None] * second[None, :])
            total = total + first
        return total @ jnp.asarray(self.project) if self.project is not None else total

    @property
    def multiplies(self) -> int:
        """Multiplications of the matrix products of one evaluation."""
        count = 0
        for group in self.groups:
            for block in (*group.blocks, *([group.second] if group.second else [])):
                count += block.compress.size * (len(block.pulls) > 0) + block.matrix.size
        return count + (self.project.size if self.project is not None else 0)

    @property
    def ranks(self) -> list[tuple[str, int, int]]:
        """(shape pulls, basis size, rank) of every block."""
        blocks = [b for g in self.groups for b in (*g.blocks, *([g.second] if g.second else []))]
        return [(" ".join(b.pulls) or "-", b.basis.size, b.compress.shape[1]) for b in blocks]


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


def _shape(block: _Block, pulls: Pulls) -> Array:
    if not block.pulls:
        return jnp.ones((1,))
    x = jnp.stack([pulls[name] for name in block.pulls])
    return block.basis.evaluate(x) @ jnp.asarray(block.compress)


def _features(channel: Channel, block: _Block, monomials: Array, pulls: Pulls) -> Array:
    scales = jnp.stack([channel.components[k].scale(pulls) for k in block.members])
    amplitudes = (scales[:, None] * monomials[None, :]).ravel() if block.with_monomials else scales
    if not block.pulls:
        return amplitudes
    return (amplitudes[:, None] * _shape(block, pulls)[None, :]).ravel()


def relevant_coordinates(experiment: BinnedExperiment) -> np.ndarray:
    """(form coordinate,) True where some rate of the experiment depends on that real coordinate of ALL_FORMS."""
    size = 1 + 9 * len(ALL_FORMS)
    relevant = np.zeros(size, dtype=bool)
    pulls = experiment.nominal_pulls()
    for channel in experiment.channels:
        for component in channel.components:
            for factor in component.factors:
                if factor.forms is None:
                    continue

                def counts(vector: Array, factor: Factor = factor) -> Array:
                    return factor.function(vector_to_forms(vector, ALL_FORMS), pulls)

                zero = forms_to_vector(vector_to_forms(jnp.zeros(size), ALL_FORMS), ALL_FORMS)
                slopes = np.asarray(jax.jit(jax.jacfwd(counts))(zero))
                relevant |= np.any(slopes != 0.0, axis=0)
    return relevant


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


def _lift(rows: np.ndarray, with_monomials: bool) -> np.ndarray:
    """Factor per row that brings a weaker new-physics row (row, bin in the metric) to the reference significance."""
    strength = np.sqrt((rows**2).sum(axis=-1))
    if not with_monomials:
        return np.ones_like(strength)
    return np.maximum(1.0, REFERENCE_SIGNIFICANCE / np.where(strength > 0, strength, REFERENCE_SIGNIFICANCE))


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
    while True:
        basis = ChebyshevBasis(tuple(degrees), HALF_WIDTH)
        if basis.size > max_basis:
            raise NotConvergedError(
                f"templates: shape pulls {', '.join(pulls)} need more than {max_basis} basis functions "
                f"(degrees {degrees}); use the direct evaluation"
            )
        points = _chebyshev_points(int(1.6 * basis.size) + 8, len(pulls))
        values = sample(points)
        solution, *_ = np.linalg.lstsq(basis.matrix(points), values.reshape(len(points), -1), rcond=None)
        coefficients = solution.reshape(basis.size, *values.shape[1:])
        guess = np.tensordot(basis.matrix(check), coefficients, axes=1)
        error = float(np.sqrt((((guess - truth) * weight) ** 2).sum(axis=-1)).max())
        if error < _SLACK * tol:
            return basis, coefficients, error
        degrees = [d + max(1, round(0.2 * d)) if d > 0 else 0 for d in degrees]


def _block(
    factors: list[Factor], members: list[int], directions: Forms, nominal: Pulls, metric: np.ndarray, tol: float
) -> tuple[_Block, float]:
    """Fit factors with common shape pulls on one basis and compress its functions by SVD in the metric of the data."""
    pulls, with_monomials = factors[0].shape_pulls, factors[0].forms is not None
    sample = _sampler(factors, directions, nominal)
    base = sample(np.zeros((1, len(pulls))))[0]
    weight = metric * _lift(base * metric, with_monomials)[:, None]
    if not pulls:
        return _Block(pulls, ChebyshevBasis((), HALF_WIDTH), np.ones((1, 1)), tuple(members), with_monomials, base), 0.0
    basis, coefficients, error = _fit(sample, weight, tol)
    left, singular, _ = np.linalg.svd((coefficients * weight).reshape(basis.size, -1), full_matrices=False)
    rank = max(1, int(np.sum(np.sqrt(np.cumsum(singular[::-1] ** 2)[::-1]) > tol)))
    compress = left[:, :rank]
    core = np.einsum("bni,br->nri", coefficients, compress)
    return _Block(pulls, basis, compress, tuple(members), with_monomials, core.reshape(-1, core.shape[-1])), error


def _blocks(
    channel: Channel, members: list[int], directions: Forms, nominal: Pulls, metric: np.ndarray, tol: float
) -> tuple[tuple[_Block, ...], float]:
    """Blocks of the first factors of the components `members`."""
    kinds: dict[tuple[tuple[str, ...], bool], list[int]] = {}
    for k in members:
        factor = channel.components[k].factors[0]
        kinds.setdefault((factor.shape_pulls, factor.forms is not None), []).append(k)
    built = [
        _block([channel.components[k].factors[0] for k in inside], inside, directions, nominal, metric, tol)
        for inside in kinds.values()
    ]
    return tuple(b for b, _ in built), max(error for _, error in built)


def _compress_bins(groups: tuple[_Group, ...], metric: np.ndarray, tol: float) -> tuple[tuple[_Group, ...], np.ndarray | None]:
    """SVD over the bins of a channel with a single group, where it saves multiplications."""
    if len(groups) != 1 or groups[0].second is not None:
        return groups, None
    blocks = groups[0].blocks
    stacked = np.concatenate([b.matrix for b in blocks]) * metric
    # A row here is one basis amplitude of a (member, monomial); all amplitudes of one such pair are lifted together.
    lift = np.concatenate(
        [
            np.repeat(
                _lift((b.matrix * metric).reshape(-1, b.compress.shape[1] * stacked.shape[1]), b.with_monomials),
                b.compress.shape[1],
            )
            for b in blocks
        ]
    )
    _, singular, right = np.linalg.svd(stacked * lift[:, None], full_matrices=False)
    tails = np.sqrt(np.cumsum(singular[::-1] ** 2)[::-1])
    rank = max(1, int(np.sum(tails > tol)))
    n_rows, n_bins = stacked.shape
    if rank * (n_rows + n_bins) > 0.8 * n_rows * n_bins:
        return groups, None
    project = right[:rank] / metric
    lowered = []
    for block in blocks:
        matrix = (block.matrix * metric) @ right[:rank].T
        lowered.append(_Block(block.pulls, block.basis, block.compress, block.members, block.with_monomials, matrix))
    return (_Group(tuple(lowered), None),), project


def _channel_template(channel: Channel, directions: Forms, nominal: Pulls, tol: float) -> ChannelTemplate:
    if any(len(c.factors) > 2 or (len(c.factors) == 2 and c.factors[1].forms is not None) for c in channel.components):
        raise NotConvergedError(f"{channel.name}: templates take one factor with forms, then at most one without")
    sm = vector_to_forms(jnp.zeros(1 + 9 * len(ALL_FORMS)).at[0].set(1.0), ALL_FORMS)
    level = np.asarray(jax.jit(lambda: channel.expected(sm, nominal))())
    seconds: dict[tuple[int, ...], list[int]] = {}
    for k, component in enumerate(channel.components):
        key = tuple(id(f.function) for f in component.factors[1:])
        seconds.setdefault(key, []).append(k)
    groups, worst = [], 0.0
    for members in seconds.values():
        second = None
        component = channel.components[members[0]]
        n_first = len(np.asarray(component.factors[0].function(sm, nominal)))
        projected = level.reshape(n_first, -1).sum(axis=1)
        metric = 1.0 / np.sqrt(np.maximum(np.abs(projected), 1e-12))
        if len(component.factors) == 2:
            other = component.factors[1]
            # As a distribution over the second axis it is compared with one part in the size of the data.
            flat = np.full(level.size // n_first, math.sqrt(level.sum()))
            second, error = _block([other], [members[0]], directions, nominal, flat, tol)
            worst = max(worst, error)
        blocks, error = _blocks(channel, members, directions, nominal, metric, tol)
        worst = max(worst, error)
        groups.append(_Group(blocks, second))
    compressed, project = _compress_bins(tuple(groups), 1.0 / np.sqrt(np.maximum(np.abs(level), 1e-12)), tol)
    return ChannelTemplate(channel, compressed, worst, project)


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
