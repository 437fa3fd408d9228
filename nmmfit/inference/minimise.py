"""Many minimisations at once: exact Hessians, saddle-free steps, optional equality constraints, one compiled function for all.

A problem is: minimise F(x) over x = start + basis z, where c(x) = target if there is a constraint. The basis (columns scaled by
natural steps, zero columns for what is held fixed) and the constraint's weights are data, so that fits, one-at-a-time
profiles, profiles of any parameter and of any identified quantity run through the same compiled code. The path of iterates
stays on the constraint: every trial is brought back to it before it is judged, hence any accepted point lowers F itself.

Each iteration makes one exact Hessian, tries a family of steps from its eigenvalues, takes the lowest and then goes on with
the factorised Hessian for a few quasi-Newton steps, which cost a gradient each and follow the curvature into a quartic valley.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit import precision as precision
from nmmfit.inference.batches import Program, in_batches
from nmmfit.inference.constrained import Constrained, Frame, Objective, Problems, Quantities
from nmmfit.numerics.saddle_free import (
    RELATIVE_FLOOR,
    bfgs_update,
    candidate_steps,
    distance_to_minimum,
    inverse_of,
    spectrum,
)
from nmmfit.shapes import Array

Progress = Callable[[int, int], None]

TOLERANCE = 1e-8
"""Estimated distance to the minimum, in units of the function (half of a chi-square), below which a point has converged."""

BLOCK = 8
"""Points in one compiled call; a Hessian is itself a batch over parameters, larger blocks fall out of the cache."""


CHORDS = 6
"""Quasi-Newton steps between two Hessians; each costs a gradient."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Minima:
    """What came out, one entry per point; a point that failed has `converged` false.

    `slope` is dF/d(target) of the constrained minimum, by the multiplier; `gradient_norm` is that of the gradient along the
    constraint in the scaled coordinates; `distance` estimates F minus its minimum (half g^T |H|^-1 g). `iterations` counts
    Hessians.
    """

    x: Any
    value: Any
    slope: Any
    gradient_norm: Any
    distance: Any
    converged: Any
    iterations: Any

    def take(self, index: Any) -> Minima:
        """The entries at these places."""
        picked: Minima = jax.tree.map(lambda leaf: leaf[index], self)
        return picked


def no_quantities(x: Array) -> Array:
    """The empty list of constrained functions."""
    return jnp.zeros(0)


def _second_order(point: Constrained, y: Array) -> tuple[Array, Array, Array]:
    """Value, gradient (n,) and Hessian (n, n): the objective's own `second_order`, else exact from one linearisation."""
    own = getattr(point.objective, "second_order", None)
    if own is None:
        (f, g), push = jax.linearize(jax.value_and_grad(point.value), y)
        return f, g, jax.vmap(lambda direction: push(direction)[1])(jnp.eye(point.n))
    x = point.x_of(y)
    f, g, curved = own(x) if point.data is None else own(x, point.data)
    added, linear = point.p.quadratic, point.p.linear
    f, g, curved = f + 0.5 * jnp.sum(added * x * x) + linear @ x, g + added * x + linear, curved + jnp.diag(added)
    if point.p.shear is None:
        return f, g, curved
    # Only the first entries, coefficients and theory inputs, take part in a shear.
    few: int = point.objective.curved

    def moved(first: Array) -> Array:
        return point.x_of(jnp.concatenate([first, y[few:]]))[:few]

    turn = jnp.eye(point.n).at[:few, :few].set(jax.jacfwd(moved)(y[:few]))
    bent = jax.hessian(lambda first: g[:few] @ moved(first))(y[:few])
    return f, turn.T @ g, (turn.T @ curved @ turn).at[:few, :few].add(bent)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Good:
    """The best point of a run of quasi-Newton steps: where, value, multipliers, gradient along the constraints in z, its
    estimated
    distance to the minimum, the directions there, and the gradient in x with the constraints' part taken out."""

    x: Array
    value: Array
    slope: Array
    gradient: Array
    distance: Array
    frame: Frame
    pull: Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Chord:
    """A run of quasi-Newton steps: the point to measure next, the step that led there, its length, inverse Hessian, best so
    far."""

    y: Array
    step: Array
    shorten: Array
    inverse: Array
    good: Good


def rounding_of(f: Array) -> Array:
    """How far two values of the function differ by rounding."""
    return 4.0 * jnp.finfo(f.dtype).eps * jnp.maximum(jnp.abs(f), 1.0)


def chord_start(point: Constrained, x: Array, step: Array, inverse: Array, frame: Frame, slope: Array, gradient: Array) -> Chord:
    """A run that begins by measuring x, a `step` away from a point of known gradient; nothing is good yet."""
    infinite = jnp.full((), jnp.inf)
    good = Good(x, infinite, slope, gradient, infinite, replace(frame, off=infinite), jnp.zeros(point.n))
    return Chord(x, step, jnp.ones(()), inverse, good)


def chord(point: Constrained, rounding: Array, now: Chord, downhill: bool = False) -> Chord:
    """Measure a point, learn from it (BFGS), keep it if it is better, and step on from the best one: one gradient.

    `downhill`: a clearly lower point is better even if the estimated distance to the minimum has grown.
    """
    f, g = jax.value_and_grad(point.value)(now.y)
    _, frame = point.frame(now.y)
    down = point.p.basis.T @ g
    gradient, slope = frame.along(down), frame.multipliers(down)
    inverse = bfgs_update(now.inverse, now.step, gradient - now.good.gradient)
    distance = 0.5 * gradient @ inverse @ gradient
    better = (f <= now.good.value + rounding) & (distance < now.good.distance)
    if downhill:
        better = better | (f < now.good.value - 1e-2 * now.good.distance - rounding)
    new = Good(now.y, f, slope, gradient, distance, frame, g - slope @ frame.rows)
    good: Good = jax.tree.map(lambda a, b: jnp.where(better, a, b), new, now.good)
    shorten = jnp.where(better, 1.0, 0.3 * now.shorten)
    step = good.frame.along(-shorten * (inverse @ good.gradient))
    y = point.back(good.x + point.p.basis @ step, point.p.basis @ good.frame.unit.T)[0]
    return Chord(y, step, shorten, inverse, good)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _State:
    """A minimisation under way."""

    x: Array
    value: Array
    slope: Array
    norm: Array
    distance: Array
    good: Array
    stuck: Array
    count: Array


def _iteration(point: Constrained, chords: int, tolerance: Array, state: _State) -> _State:
    """One Hessian, the best of the candidate steps, then quasi-Newton steps from the same factorisation."""
    start, basis = state.x, point.p.basis
    f, g, curved = _second_order(point, start)
    rounding = rounding_of(f)
    _, frame = point.frame(start)
    down = basis.T @ g
    gradient, slope = frame.along(down), frame.multipliers(down)
    along = basis @ frame.unit.T

    curved = curved - point.bent(start, slope)
    spec = spectrum(frame.along_both(basis.T @ curved @ basis))
    before = distance_to_minimum(spec, gradient)

    steps = jax.vmap(frame.along)(candidate_steps(spec, gradient, rounding))
    trials, off = jax.vmap(lambda step: point.back(start + basis @ step, along))(steps)
    values = jax.vmap(point.value)(trials)
    # Newton's last step at least squares what it started from
    reached = jnp.all(off <= 1e-4 * jnp.abs(point.target) + 1e-6 * jnp.linalg.norm(frame.unit, axis=1), axis=1)
    values = jnp.where(jnp.isfinite(values) & reached, values, jnp.inf)
    best = jnp.argmin(values)
    improved = values[best] < f
    gain = jnp.where(improved, f - values[best], 0.0)

    # the first round measures the point that the candidates gave, every further one a quasi-Newton step from the last good point
    first, taken = jnp.where(improved, trials[best], start), jnp.where(improved, steps[best], 0.0)
    begin = chord_start(point, first, taken, inverse_of(spec), frame, slope, gradient)
    end = jax.lax.fori_loop(0, chords + 1, lambda _, now: chord(point, rounding, now), begin).good
    lowest = spec.values[0]
    convex = -lowest <= RELATIVE_FLOOR * jnp.maximum(jnp.max(jnp.abs(spec.values)), 1.0)
    # judged with this iteration's own Hessian, or with the same one a short, convex way on
    settled = (before < tolerance) & (gain < tolerance)
    short = (before < 0.1) & convex & (end.distance < 0.1 * tolerance)
    good = jnp.isfinite(end.value) & (end.frame.off < 1e-7) & (settled | short)
    stuck = ~good & ~improved & ~(end.distance < before)
    distance = jnp.where(settled, jnp.minimum(before, end.distance), end.distance)
    norm = jnp.where(jnp.isfinite(end.value), jnp.linalg.norm(end.gradient), jnp.inf)
    return _State(end.x, end.value, end.slope, norm, distance, good, stuck, state.count + 1)


def solve_point(
    objective: Objective,
    quantities: Quantities,
    chords: int,
    problem: Problems,
    data: Any,
    limit: Array,
    tolerance: Array,
) -> Minima:
    """One minimisation (fields of `problem` without the `point` axis), pure and traceable; vmap it over points.

    Args:
        objective: x (n,) -> scalar, or (x, data) -> scalar where `data` is given; twice differentiable.
        quantities: x (n,) -> (q,), what constraints may use.
        chords: quasi-Newton steps per Hessian.
        problem: what to minimise.
        data: None, or a pytree that reaches the objective.
        limit: most Hessians to make.
        tolerance: distance to the minimum at which to stop.
    Returns: the minimum, scalars without the `point` axis.
    """
    point = Constrained(objective, quantities, problem, data)
    infinite, no = jnp.full((), jnp.inf), jnp.asarray(False)
    state = _State(
        point.feasible(point.point_of(problem.start)),
        infinite,
        jnp.zeros(point.k),
        infinite,
        infinite,
        no,
        no,
        jnp.asarray(0),
    )

    def going(state: _State) -> Array:
        return ~state.good & ~state.stuck & (state.count < limit)

    end = jax.lax.while_loop(going, partial(_iteration, point, chords, tolerance), state)
    slope = end.slope if jnp.ndim(problem.target) else end.slope[0]
    return Minima(point.x_of(end.x), end.value, slope, end.norm, end.distance, end.good, end.count)


@partial(jax.jit, static_argnames=("objective", "quantities", "chords"))
def solve_block(
    objective: Objective,
    quantities: Quantities,
    chords: int,
    problems: Problems,
    data: Any,
    limit: Array,
    tolerance: Array,
) -> Minima:
    """`solve_point` over the points of one block, compiled once per objective, quantities and block size."""
    one = partial(solve_point, objective, quantities, chords)
    return jax.vmap(lambda p, d: one(p, d, limit, tolerance))(problems, data)


def _solve(
    objective: Objective, quantities: Quantities, chords: int, batch: tuple[Problems, Any], shared: tuple[Any, Any]
) -> Any:
    return solve_block(objective, quantities, chords, *batch, *shared)


def minimise(
    objective: Objective,
    problems: Problems,
    *,
    quantities: Quantities = no_quantities,
    data: Any = None,
    block: int = BLOCK,
    chords: int = CHORDS,
    max_iterations: int = 40,
    tolerance: float = TOLERANCE,
    progress: Progress | None = None,
) -> Minima:
    """Minimise every problem; points that need long are collected into full blocks, so that none waits for another.

    Args:
        objective: x (n,) -> scalar (or (x, data)); pure, twice differentiable, hashable: the same object compiles once. A method
            `second_order` giving value, gradient and a Hessian (close to exact is enough) is used where there is one; problems
            with a shear need its `sheared`, `unsheared` and `curved`, the number of leading entries that a shear may involve.
        problems: the batch.
        quantities: functions that constraints use, x (n,) -> (q,), hashable.
        data: pytree with leading `point` axis that reaches the objective, such as toy counts; or None.
        block: points per compiled call.
        chords: quasi-Newton steps per Hessian.
        max_iterations: Hessians per point before it counts as failed.
        tolerance: estimated distance to the minimum, in units of the objective.
        progress: called with (points done, points in all).
    Returns: minima in the order of the problems, numpy arrays.
    """
    total = len(problems)
    found = Minima(
        np.array(problems.start),
        np.full(total, np.inf),
        np.zeros(problems.target.shape),
        np.full(total, np.inf),
        np.full(total, np.inf),
        np.zeros(total, dtype=bool),
        np.zeros(total, dtype=int),
    )
    current = replace(problems, start=np.array(problems.start))
    program = Program(_solve, (objective, quantities, chords))

    def take(index: np.ndarray) -> tuple[Problems, Any]:
        return current.take(index), None if data is None else jax.tree.map(lambda leaf: leaf[index], data)

    waiting = np.arange(total)
    rounds = 4
    while len(waiting):
        again: list[np.ndarray] = []
        seen = total - len(waiting)

        def put(index: np.ndarray, out: Minima, rounds: int = rounds, again: list[np.ndarray] = again) -> None:
            nonlocal seen
            for name in ("x", "value", "slope", "gradient_norm", "distance", "converged"):
                getattr(found, name)[index] = getattr(out, name)
            found.iterations[index] += out.iterations
            open_ = ~out.converged & (out.iterations >= rounds)
            again.append(index[open_ & (found.iterations[index] < max_iterations)])
            current.start[index] = out.x
            if progress is not None:
                progress(seen + int(np.sum(~open_)), total)
            seen += len(index)

        in_batches(program, waiting, take, (jnp.asarray(rounds), jnp.asarray(tolerance)), put, block)
        waiting = np.concatenate(again)
        rounds = 8
    return found
