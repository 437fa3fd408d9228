"""The competitor: the same compressed templates, one point at a time, in plain numpy as one would write it by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import gammaln

from nmmfit.inference.joint import JointLikelihood

# Scales that are no exponential of their pulls, and weightings, are tabulated: linear interpolation costs less than their
# formulae, and with so many points its error does not show.
TABLE = np.linspace(-4.0, 4.0, 20001)


def numpy_likelihood(joint: JointLikelihood) -> Callable[[np.ndarray], float]:
    """Data log-likelihood of a vector (parameter,), default theory inputs and no pull held."""
    names = {name: i for i, name in enumerate(joint.names)}
    theory = {name: float(joint.start[names[name]]) for name in ("theory.c_T", "theory.c_T_s")}
    nominal = np.asarray(joint.linear_amplitudes(theory))
    slopes = {k: np.asarray(joint.linear_amplitudes(theory | {k: theory[k] + 1.0})) - nominal for k in theory}
    plans = [_channel(template, channel, names) for template in joint.templates for channel in template.channels]

    def value(x: np.ndarray) -> float:
        matrix = nominal + sum((x[names[k]] - theory[k]) * slope for k, slope in slopes.items())
        a = matrix @ x[: joint.n_coefficients]
        products = np.concatenate([[1.0], *(a[i] * a[i:] for i in range(len(a)))])
        return sum(plan(products, x) for plan in plans)

    return value


def _shape(block: Any, names: dict[str, int]) -> Callable[[np.ndarray], np.ndarray]:
    if not block.pulls:
        return lambda x: np.ones(1)
    where = np.asarray([names[p] for p in block.pulls])
    indices, half = block.basis.indices, block.basis.half_width
    columns, orders = np.arange(len(where)), np.arange(int(indices.max()) + 1)[:, None]

    def shape(x: np.ndarray) -> np.ndarray:
        table = np.cos(orders * np.arccos(np.clip(x[where] / half, -1.0, 1.0)))
        return np.prod(table[indices, columns], axis=1) @ block.compress

    return shape


def _scales(template: Any, channel: Any, names: dict[str, int]) -> Callable[[np.ndarray], np.ndarray]:
    """Scale of every component (component,): exponentials all at once, other functions of one pull from a table."""
    components = channel.channel.components
    zero = {name: jnp.asarray(0.0) for name in template.experiment.pulls}
    level = np.asarray([float(c.scale(zero)) for c in components])
    slopes = np.zeros((len(components), len(names)))
    tables = []
    for k, c in enumerate(components):
        for pull in c.scale_pulls:

            def log_scale(x: Any, c: Any = c, pull: str = pull) -> Any:
                return jnp.log(c.scale(zero | {pull: x}))

            one, two = (float(log_scale(jnp.asarray(x))) - float(np.log(level[k])) for x in (1.0, 2.0))
            if abs(two - 2.0 * one) < 1e-9:
                slopes[k, names[pull]] = one
            else:
                tables.append((k, names[pull], np.exp(np.asarray(jax.vmap(log_scale)(jnp.asarray(TABLE)))) / level[k]))

    def scales(x: np.ndarray) -> np.ndarray:
        result = level * np.exp(slopes @ x)
        for k, i, table in tables:
            result[k] *= np.interp(x[i], TABLE, table)
        return result

    return scales


def _weight(weighting: Any, names: dict[str, int]) -> Callable[[np.ndarray], np.ndarray]:
    """Weights (fine,) of a weighting with one pull."""
    (pull,) = weighting.pulls
    at = jax.jit(jax.vmap(lambda x: weighting.weight({pull: x})))
    table, where, step = np.asarray(at(jnp.asarray(TABLE))), names[pull], TABLE[1] - TABLE[0]

    def weight(x: np.ndarray) -> np.ndarray:
        position = (x[where] - TABLE[0]) / step
        below = min(int(position), len(TABLE) - 2)
        share = position - below
        return (1.0 - share) * table[below] + share * table[below + 1]

    return weight


def _channel(template: Any, channel: Any, names: dict[str, int]) -> Callable[[np.ndarray, np.ndarray], float]:
    weights, observed = template.monomials.weights, np.asarray(channel.channel.observed, dtype=float)
    scales = _scales(template, channel, names)
    shapes = [_shape(block, names) for block in channel.blocks]
    seconds = [_shape(g.second, names) if g.second is not None else None for g in channel.groups]
    members = [[np.asarray(part.members) for part in block.parts] for block in channel.blocks]
    weightings = {id(g.weighting.weight): g.weighting for g in channel.groups if g.weighting is not None}
    weights_of = {key: _weight(weighting, names) for key, weighting in weightings.items()}
    constant = float(np.sum(gammaln(observed + 1.0)))

    def value(products: np.ndarray, x: np.ndarray) -> float:
        monomials, scale = weights @ products, scales(x)
        firsts: list[Any] = [0.0] * len(channel.groups)
        for block, shape, mine in zip(channel.blocks, shapes, members, strict=True):
            u = shape(x)
            for part, inside in zip(block.parts, mine, strict=True):
                rows = np.outer(scale[inside], monomials).ravel() if block.with_monomials else scale[inside]
                firsts[part.group] = firsts[part.group] + np.outer(rows, u).ravel() @ part.matrix
        weighted = {key: weight(x) for key, weight in weights_of.items()}
        total: Any = 0.0
        for group, first, second in zip(channel.groups, firsts, seconds, strict=True):
            if group.project is not None:
                first = first @ group.project
            if group.weighting is not None:
                first = group.weighting.matrix @ (weighted[id(group.weighting.weight)] * first)
            total = total + (first if second is None else np.outer(first, second(x) @ group.second.parts[0].matrix).ravel())
        return float(observed @ np.log(total) - total.sum()) - constant

    return value
