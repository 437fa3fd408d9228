"""The competitor: the same compressed templates, one point at a time, in plain numpy as one would write it by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import gammaln

from nmmfit.inference.joint import JointLikelihood
from nmmfit.templates import HALF_WIDTH
from nmmfit.templates.shapes import Leaf, LongLeaf

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


def _table(degrees: dict[str, int], names: dict[str, int]) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """Chebyshev polynomials of every shape pull by name: those of low degree at once, others one by one."""
    sets = [[p for p, d in degrees.items() if d <= 16], *([p] for p, d in degrees.items() if d > 16)]
    plans = [(s, np.asarray([names[p] for p in s]), np.arange(max(degrees[p] for p in s) + 1.0)) for s in sets if s]

    def table(x: np.ndarray) -> dict[str, np.ndarray]:
        result = {}
        for pulls, where, orders in plans:
            values = np.cos(np.arccos(np.clip(x[where] / HALF_WIDTH, -1.0, 1.0))[:, None] * orders)
            result.update(zip(pulls, values, strict=True))
        return result

    return table


def _functions(tree: Any, table: dict[str, np.ndarray]) -> np.ndarray:
    if tree is None:
        return np.ones(1)
    if isinstance(tree, Leaf):
        values = table[tree.pull][: tree.degree + 1]
        return values if tree.compress is None else values @ tree.compress
    if isinstance(tree, LongLeaf):
        short = table[tree.pull]
        blocks = np.cos(np.arccos(np.clip(short[tree.m], -1.0, 1.0)) * np.arange(tree.blocks))
        return np.outer(blocks, short[: tree.m]).ravel()
    products = np.outer(_functions(tree.left, table), _functions(tree.right, table)).ravel()
    return products if tree.transfer is None else products @ tree.transfer


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


def _weight(weighting: Any, places: np.ndarray, names: dict[str, int]) -> Callable[[np.ndarray], np.ndarray]:
    """Weights (place,) of a weighting with one pull."""
    (pull,) = weighting.pulls
    at = jax.jit(jax.vmap(lambda x: weighting.weight(jnp.asarray(places), {pull: x})))
    table, where, step = np.asarray(at(jnp.asarray(TABLE))), names[pull], TABLE[1] - TABLE[0]

    def weight(x: np.ndarray) -> np.ndarray:
        position = (x[where] - TABLE[0]) / step
        below = min(int(position), len(TABLE) - 2)
        share = position - below
        return (1.0 - share) * table[below] + share * table[below + 1]

    return weight


def _part(part: Any, scale: np.ndarray, merged: list[Any], functions: list[tuple[np.ndarray, ...]]) -> np.ndarray:
    """Features of a part, or what it adds to the compressed first axis."""
    strengths = scale[list(part.members)]
    if merged[part.block] is not None:
        strengths = np.outer(strengths, merged[part.block]).ravel()
    *stages, outer = functions[part.block]
    for mixture, stage in zip(part.strengths, stages, strict=True):
        if mixture.spread is None:
            strengths = np.outer(strengths, stage).ravel() @ mixture.mix
        else:
            strengths = (stage @ mixture.mix) * (strengths @ mixture.spread)
    if part.narrow is None:
        return np.outer(strengths, outer).ravel()
    rows = outer @ part.narrow
    return strengths @ rows.reshape(len(strengths), -1) if part.is_whole else rows * (strengths @ part.repeat)


def _channel(template: Any, channel: Any, names: dict[str, int]) -> Callable[[np.ndarray, np.ndarray], float]:
    weights, observed, plan = template.monomials.weights, np.asarray(channel.channel.observed, dtype=float), channel.plan
    scales, table_of = _scales(template, channel, names), _table(plan.degrees, names)
    weights_of = {}
    for g in plan.groups:
        if g.weighted is not None:
            weighting = channel.channel.components[g.first_component].factors[0].weighting
            weights_of[id(g.weighted.places)] = _weight(weighting, g.weighted.places, names)
    constant = float(np.sum(gammaln(observed + 1.0)))

    def first_axis(group: Any, scale: np.ndarray, merged: list[Any], functions: list[tuple[np.ndarray, ...]]) -> np.ndarray:
        found = [(p, _part(p, scale, merged, functions)) for p in group.parts]
        features = [values for p, values in found if not p.is_whole]
        first = np.concatenate(features) @ group.matrix if features else np.zeros(group.matrix.shape[1])
        return sum((values for p, values in found if p.is_whole), first)

    def value(products: np.ndarray, x: np.ndarray) -> float:
        monomials, scale, table = weights @ products, scales(x), table_of(x)
        functions = [tuple(_functions(tree, table) for tree in b.stages) for b in plan.blocks]
        merged = [None if b.monomials is None else monomials @ b.monomials for b in plan.blocks]
        weighted = {key: weight(x) for key, weight in weights_of.items()}
        total: Any = 0.0
        for group in plan.groups:
            first = first_axis(group, scale, merged, functions)
            if group.segments:
                pieces = np.split(first, np.cumsum([len(s) for s in group.segments])[:-1])
                first = np.concatenate([piece @ s for piece, s in zip(pieces, group.segments, strict=True)])
            if group.weighted is not None:
                first = (weighted[id(group.weighted.places)] * (first @ group.weighted.before)) @ group.weighted.after
            if group.second is not None:
                first = np.outer(first, _functions(group.second.block.stages[-1], table) @ group.second.matrix).ravel()
            total = total + first
        return float(observed @ np.log(total) - total.sum()) - constant

    return value
