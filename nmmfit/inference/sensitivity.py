"""What data and priors can tell around the nominal point: sizes of amplitudes, answers and widths of nuisances.

Numbers only, from first derivatives of the expected counts; `coordinates` makes its units, shifts and bends of them.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.inference.bends import Knee
from nmmfit.inference.joint import BLOCK, DIRECT_BLOCK, JointLikelihood
from nmmfit.shapes import Array

# Steps on either side over which the width of a nuisance is looked at, and by what factor it must change to matter.
_KNEE_REACH = 4.0
_KNEE_LEAST = 1.5
# How many standard deviations of a nuisance, or of a signal, are worth straightening a posterior for.
_SIGMAS = 4.0
# Of an empty bin without background.
_LEAST_VARIANCE = 1e-12


def _moving(joint: JointLikelihood, bounded: tuple[tuple[int, Any], ...]) -> list[int]:
    """Indices of the unbounded nuisances."""
    held = {i for i, _ in bounded}
    return [i for i, p in enumerate(joint.parameters) if p.kind == "nuisance" and i not in held]


def _variances(joint: JointLikelihood, counts: Array) -> Array:
    """(bin,) variances of all counts (bin,): a published limit is a normal distribution around 0, no count."""
    parts, first = [jnp.zeros(0)], 0
    for name, channel in joint.channels.items():
        last = first + len(joint.observed[name])
        parts.append(jnp.broadcast_to(channel.distribution(counts[first:last]).variance, (last - first,)))
        first = last
    return jnp.maximum(jnp.abs(jnp.concatenate(parts)), _LEAST_VARIANCE)


def signal_response(joint: JointLikelihood, bounded: tuple[tuple[int, Any], ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How the unbounded nuisances answer to a signal, and how strong a signal the data then still see.

    With J the slopes of the expected counts, W their inverse variances, P the prior information and s the counts that a product
    of amplitudes makes, all at the nominal point, the change that best absorbs a unit of the product is
    -(J^T W J + P)^-1 J^T W s.
    Returns: (parameter, product) these changes, zero for everything else; (amplitude,) the size of each amplitude that
        changes what is left of the signal by one standard deviation; (parameter,) how far the nuisances get from nominal, by
        _SIGMAS of their own and by as strong a signal.
    """
    n_products, n_amplitudes = joint.amplitudes.n_products, joint.amplitudes.size
    result, unit = np.zeros((len(joint.names), n_products)), np.full(n_amplitudes, np.inf)
    reach = np.zeros(len(joint.names))
    moving = _moving(joint, bounded)
    if not moving or not n_products or not joint.experiments:
        return result, unit, reach
    start = jnp.asarray(joint.start)
    index = jnp.asarray(moving)

    def counts(values: Array, products: Array) -> Array:
        return joint.counts_of_products(start.at[index].set(values), products)

    def at(values: Array) -> tuple[Array, Array, Array, Array]:
        zero, constraint = jnp.zeros(n_products), lambda v: joint.constraint_vector(start.at[index].set(v))
        slopes = jax.jacfwd(counts, argnums=(0, 1))(values, zero)
        return 1.0 / _variances(joint, counts(values, zero)), *slopes, -jax.hessian(constraint)(values)

    weights, slopes, signal, prior = (np.asarray(part) for part in joint.jit_once(at)(start[index]))
    weighted = slopes * weights[:, None]
    information = slopes.T @ weighted + prior
    values, vectors = np.linalg.eigh(information)
    result[moving] = -(vectors / np.maximum(values, 1e-3)) @ (vectors.T @ (weighted.T @ signal))
    left = signal + slopes @ result[moving]
    seen = np.sum(signal * left * weights[:, None], axis=0)
    for k, (i, j) in enumerate(joint.amplitudes.pairs):
        if i == j and seen[k] > 0:
            unit[i] = seen[k] ** -0.25
            reach = np.maximum(reach, _SIGMAS * unit[i] ** 2 * np.abs(result[:, k]))
    # An amplitude that interferes is seen linearly before its square is.
    for k, i in enumerate(joint.amplitudes.linear, start=len(joint.amplitudes.pairs)):
        if seen[k] > 0:
            unit[i] = min(unit[i], seen[k] ** -0.5)
            reach = np.maximum(reach, _SIGMAS * unit[i] * np.abs(result[:, k]))
    reach[moving] += _SIGMAS * np.sqrt(np.sum(vectors**2 / np.maximum(values, 1e-3), axis=1))
    return result, unit, reach


def nuisance_knees(joint: JointLikelihood, bounded: tuple[tuple[int, Any], ...], reach: np.ndarray) -> Knee:
    """Where the width of an unbounded nuisance changes along it from one constant to another, as a background's does at zero.

    The width is that of the Fisher information of the nuisance alone, its prior's included, everything else at nominal.
    """
    n = len(joint.names)
    centre, width, ratio = np.zeros(n), np.ones(n), np.ones(n)
    moving = _moving(joint, bounded)
    if not moving or not joint.experiments:
        return Knee(centre, width, ratio)
    start, products = jnp.asarray(joint.start), jnp.zeros(joint.amplitudes.n_products)
    directions = jnp.asarray(np.diag([p.scale for p in joint.parameters])[moving])
    grid = np.linspace(-_KNEE_REACH, _KNEE_REACH, 8 * int(_KNEE_REACH) + 1)

    def information(direction: Array, step: Array) -> Array:
        def counts(x: Array) -> Array:
            return joint.counts_of_products(x, products)

        mean, slope = jax.jvp(counts, (start + step * direction,), (direction,))
        return jnp.sum(slope**2 / _variances(joint, mean))

    # All at once would need gigabytes where counts are evaluated directly.
    pairs = jnp.repeat(directions, len(grid), axis=0), jnp.tile(jnp.asarray(grid), len(moving))
    block = DIRECT_BLOCK if joint.floats_mass else BLOCK
    scan = joint.jit_once(lambda given: jax.lax.map(lambda pair: information(*pair), given, batch_size=block))
    data = np.asarray(scan(pairs)).reshape(len(moving), len(grid))
    for i, row in zip(moving, data, strict=True):
        prior = (joint.parameters[i].scale / joint.parameters[i].prior_sd) ** 2
        knee = _knee(grid, 1.0 / np.sqrt(row + prior))
        if knee is not None and abs(knee[0]) * joint.parameters[i].scale < reach[i]:
            centre[i], width[i], ratio[i] = knee
    return Knee(centre, width, ratio)


def _knee(grid: np.ndarray, sigma: np.ndarray) -> tuple[float, float, float] | None:
    """Centre, width and ratio of the step from one width to another along a grid; None if there is no such step."""
    left, right = float(sigma[0]), float(sigma[-1])
    share = (sigma - right) / (left - right) if left != right else np.zeros_like(sigma)
    if not np.all(np.isfinite(sigma)) or max(left, right) < _KNEE_LEAST * min(left, right) or np.any(np.abs(share - 0.5) > 0.7):
        return None
    inside = [float(grid[np.argmax(share < f)]) for f in (0.85, 0.5, 0.15)]
    return inside[1], max(0.5 * (inside[2] - inside[0]), float(grid[1] - grid[0])), left / right


def amplitude_sensitivity(joint: JointLikelihood, start: np.ndarray | None = None) -> np.ndarray:
    """(amplitude,) size of each amplitude that alone changes the counts by one standard deviation, infinite where none does.

    Everything else is at `start` (parameter,), the nominal point if left out; of `start` (point, parameter), a row for each.
    """
    values, background = _tried(joint, joint.start if start is None else start)
    found = _sizes(joint, values, background)
    return found if start is not None and np.ndim(start) == 2 else found[0]


def sensitivity_by_experiment(joint: JointLikelihood) -> np.ndarray:
    """(experiment, amplitude): the same of the counts of each experiment alone, at the nominal point."""
    values, background = _tried(joint, joint.start)
    ends = np.cumsum([0, *(sum(len(c.observed) for c in e.channels) for e in joint.experiments)])
    found = [_sizes(joint, values[..., a:b], background[..., a:b])[0] for a, b in pairwise(ends)]
    return np.stack(found) if found else np.zeros((0, joint.amplitudes.size))


def _tried(joint: JointLikelihood, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counts (point, trial, bin) without amplitudes, with a unit of each, and with minus one of those that interfere; variances
    (point, 1, bin) without."""
    n, linear = joint.amplitudes.size, list(joint.amplitudes.linear)
    tried = jnp.concatenate([jnp.zeros((1, n)), jnp.eye(n), -jnp.eye(n)[np.asarray(linear, dtype=int)]])

    def at(x: Array) -> tuple[Array, Array]:
        counts = jax.vmap(lambda a: joint.counts_of_products(x, joint.amplitudes.products(a)))(tried)
        return counts, _variances(joint, counts[0])[None]

    # One point after the other: directly evaluated counts are large inside.
    values, background = joint.jit_once(lambda xs: jax.lax.map(at, xs))(jnp.atleast_2d(jnp.asarray(start)))
    return np.asarray(values), np.asarray(background)


def _sizes(joint: JointLikelihood, values: np.ndarray, background: np.ndarray) -> np.ndarray:
    """(point, amplitude) sizes from what `_tried` gives of some bins."""
    n, linear = joint.amplitudes.size, list(joint.amplitudes.linear)
    change = values[:, 1 : n + 1] - values[:, :1]
    # An amplitude that interferes is seen linearly before its square is.
    odd = np.zeros_like(change)
    odd[:, linear] = 0.5 * (values[:, 1 : n + 1][:, linear] - values[:, n + 1 :])
    size, slope = (np.sqrt(np.sum(part**2 / background, axis=2)) for part in (change - odd, odd))
    found = np.where(size > 0, np.where(size > 0, size, 1.0) ** -0.5, np.inf)
    return np.asarray(np.minimum(found, np.where(slope > 0, 1.0 / np.where(slope > 0, slope, 1.0), np.inf)))
