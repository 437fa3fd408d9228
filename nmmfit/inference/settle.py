"""Minimisations that start near their end: quasi-Newton steps from an inverse Hessian that a neighbour has, gradients only.

A grid's points lie so close that the Hessian of one serves the next: the best of a few starts, then steps that cost a gradient
each until the estimated distance to the minimum is small. What does not settle is for `minimise`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit import precision as precision
from nmmfit.inference.batches import Program, in_batches
from nmmfit.inference.constrained import Constrained, Objective, Problems, Quantities
from nmmfit.inference.minimise import TOLERANCE, Chord, chord, chord_start, rounding_of
from nmmfit.shapes import Array

BLOCK = 64
"""Points in one compiled call; they step until the slowest of them has settled."""

MOST_STEPS = 30

SETTLED = 0.02
"""Estimated distance to the minimum, in tolerances, at which a point has settled: the Hessian is a neighbour's."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Settled:
    """Where points ended, one entry each.

    `slope` is dF/dtarget, with an axis of constraints where the problems have one; `pull` (n,) the gradient in x with the
    constraints' part taken out, hence dF/dx of what is
    held. `gradients`: how many were made. `predicted` (start,): the function at
    every start.
    """

    x: Any
    value: Any
    slope: Any
    pull: Any
    gradient_norm: Any
    distance: Any
    converged: Any
    gradients: Any
    predicted: Any

    def take(self, index: Any) -> Settled:
        """The entries at these places."""
        picked: Settled = jax.tree.map(lambda leaf: leaf[index], self)
        return picked


def settle_point(
    objective: Objective,
    quantities: Quantities,
    problem: Problems,
    starts: Array,
    inverses: Array,
    owners: Array,
    limit: Array,
    tolerance: Array,
) -> Settled:
    """One point, pure and traceable; vmap it over points.

    Args:
        objective: x (n,) -> scalar.
        quantities: x (n,) -> (q,), what constraints may use.
        problem: what to minimise; its own start does not matter.
        starts: (start, n), of which the lowest is taken.
        inverses: (anchor, n, n) inverse Hessians in z, along the constraints.
        owners: (start,) which of them belongs to each start.
        limit: most gradients to make.
        tolerance: distance to the minimum.
    Returns: the end, without the `point` axis.
    """
    point = Constrained(objective, quantities, problem, None)
    placed = jax.vmap(point.feasible)(starts)
    values = jax.vmap(point.value)(placed)
    best = jnp.argmin(jnp.where(jnp.isfinite(values), values, jnp.inf))
    x, inverse = placed[best], inverses[owners[best]]
    rounding = rounding_of(values[best])
    nothing = jnp.zeros(point.n)
    _, frame = point.frame(x)
    enough = SETTLED * tolerance

    def going(state: tuple[Chord, Array]) -> Array:
        now, count = state
        return (now.good.distance > enough) & (count < limit) & (now.shorten > 1e-3)

    def on(state: tuple[Chord, Array]) -> tuple[Chord, Array]:
        return chord(point, rounding, state[0], downhill=True), state[1] + 1

    # the first gradient is measured with a step of zero, from which nothing is learned
    begin = chord_start(point, x, nothing, inverse, frame, jnp.zeros(point.k), nothing)
    end, count = jax.lax.while_loop(going, on, (begin, jnp.asarray(0)))
    good = end.good
    done = jnp.isfinite(good.value) & (good.frame.off < 1e-7) & (good.distance <= enough)
    slope = good.slope if jnp.ndim(problem.target) else good.slope[0]
    return Settled(good.x, good.value, slope, good.pull, jnp.linalg.norm(good.gradient), good.distance, done, count, values)


@partial(jax.jit, static_argnames=("objective", "quantities"))
def settle_block(
    objective: Objective,
    quantities: Quantities,
    problems: Problems,
    starts: Array,
    inverses: Array,
    owners: Array,
    limit: Array,
    tolerance: Array,
) -> Settled:
    """`settle_point` over the points of one block, compiled once per objective, quantities, and number of starts and anchors."""
    return jax.vmap(lambda p, s, o: settle_point(objective, quantities, p, s, inverses, o, limit, tolerance))(
        problems, starts, owners
    )


def _settle(
    objective: Objective, quantities: Quantities, batch: tuple[Problems, Any, Any], shared: tuple[Any, Any, Any]
) -> Settled:
    problems, starts, owners = batch
    inverses, limit, tolerance = shared
    return settle_block(objective, quantities, problems, starts, inverses, owners, limit, tolerance)


def settle(
    objective: Objective,
    quantities: Quantities,
    problems: Problems,
    starts: np.ndarray,
    inverses: np.ndarray,
    owners: np.ndarray,
    *,
    block: int = BLOCK,
    limit: int = MOST_STEPS,
    tolerance: float = TOLERANCE,
) -> Settled:
    """Settle every point, in blocks of one size.

    Args:
        objective, quantities: hashable; the same objects compile once.
        problems: the points.
        starts: (point, start, n).
        inverses: (anchor, n, n). owners: (point, start), which of them each start takes.
        block: points per compiled call. limit: most gradients a point. tolerance: distance to the minimum.
    Returns: the ends in the order of the problems, numpy arrays; those that did not settle have `converged` false.
    """
    total = len(problems)
    parts: list[Settled] = []
    in_batches(
        Program(_settle, (objective, quantities)),
        np.arange(total),
        lambda index: (problems.take(index), starts[index], owners[index]),
        (jnp.asarray(inverses), jnp.asarray(limit), jnp.asarray(tolerance)),
        lambda _, found: parts.append(found),
        block,
    )
    joined: Settled = jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)
    return replace(joined, x=np.ascontiguousarray(joined.x))
