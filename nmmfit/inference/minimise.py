"""Many minimisations at once: exact Hessians, saddle-free steps, an optional equality constraint, one compiled function for all.

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
from nmmfit.numerics.saddle_free import (
    RELATIVE_FLOOR,
    bfgs_update,
    candidate_steps,
    distance_to_minimum,
    inverse_of,
    spectrum,
)
from nmmfit.shapes import Array

Objective = Callable[..., Array]
Quantities = Callable[[Array], Array]
Progress = Callable[[int, int], None]

TOLERANCE = 1e-8
"""Estimated distance to the minimum, in units of the function (half of a chi-square), below which a point has converged."""

BLOCK = 8
"""Points in one compiled call; a Hessian is itself a batch over parameters, larger blocks fall out of the cache."""


CHORDS = 6
"""Quasi-Newton steps between two Hessians; each costs a gradient."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Problems:
    """A batch of minimisations; every field has a leading `point` axis.

    `weights` (point, n + q) define the constraint weights[:n] . x + weights[n:] . quantities(x) = target; all zero: none.
    `quadratic` and `linear` (point, n) add sum(quadratic x^2) / 2 + linear . x to the function: they replace one normal prior by
    another without compiling anything.
    """

    start: Any
    basis: Any
    weights: Any
    target: Any
    quadratic: Any
    linear: Any

    @staticmethod
    def make(
        start: np.ndarray,
        basis: np.ndarray,
        *,
        n_quantities: int = 0,
        weights: np.ndarray | None = None,
        target: np.ndarray | None = None,
        quadratic: np.ndarray | None = None,
        linear: np.ndarray | None = None,
    ) -> Problems:
        """Problems from arrays that broadcast against the points of `start` (point, n); what is not given is absent."""
        start = np.atleast_2d(np.asarray(start, dtype=float))
        points, n = start.shape

        def full(value: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
            given = np.zeros(shape) if value is None else np.asarray(value, dtype=float)
            return np.ascontiguousarray(np.broadcast_to(given, (points, *shape)))

        return Problems(
            start,
            full(basis, (n, n)),
            full(weights, (n + n_quantities,)),
            full(target, ()),
            full(quadratic, (n,)),
            full(linear, (n,)),
        )

    def __len__(self) -> int:
        return len(self.start)

    def take(self, index: np.ndarray) -> Problems:
        """The problems at these places."""
        picked: Problems = jax.tree.map(lambda leaf: leaf[index], self)
        return picked


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Minima:
    """What came out, one entry per point; a point that failed has `converged` false.

    `slope` is dF/d(target) of the constrained minimum, by the multiplier; `gradient_norm` is that of the gradient along the
    constraint in the scaled coordinates; `distance` estimates F minus its minimum (half g^T |H|^-1 g).
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


class _Point:
    """One problem while it is traced: function, constraint and their derivatives in the coordinates z."""

    def __init__(self, objective: Objective, quantities: Quantities, problem: Problems, data: Any) -> None:
        self.objective, self.quantities, self.data = objective, quantities, data
        self.p = problem
        self.n = problem.start.shape[0]
        self.on_x, self.on_q = problem.weights[: self.n], problem.weights[self.n :]
        self.uses_q = jnp.any(self.on_q != 0) if self.on_q.size else jnp.asarray(False)
        self.constrained = jnp.any(problem.weights != 0)

    def value(self, x: Array) -> Array:
        base = self.objective(x) if self.data is None else self.objective(x, self.data)
        return base + 0.5 * jnp.sum(self.p.quadratic * x * x) + self.p.linear @ x

    def _quantity(self, x: Array) -> Array:
        return self.on_q @ self.quantities(x)

    def residual(self, x: Array) -> Array:
        total = self.on_x @ x
        if self.on_q.size:
            total = total + jnp.where(self.uses_q, self._quantity(x), 0.0)
        return jnp.where(self.constrained, total - self.p.target, 0.0)

    def normal(self, x: Array) -> tuple[Array, Array]:
        """The constraint's residual and its gradient in z."""
        off, slope = jax.value_and_grad(self.residual)(x)
        return off, self.p.basis.T @ slope

    def bent(self, x: Array) -> Array:
        """Second derivative of the constraint in x."""
        if not self.on_q.size:
            return jnp.zeros((self.n, self.n))
        return jax.hessian(self.residual)(x)

    def tangent(self, x: Array, gradient: Array) -> tuple[Array, Array, Array, Array]:
        """Unit normal, gradient along the constraint, multiplier dF/dtarget, and |c| in units of natural steps; all in z."""
        off, normal = self.normal(x)
        size2 = jnp.sum(normal**2)
        safe = jnp.where(size2 > 0, size2, 1.0)
        unit = normal / jnp.sqrt(safe)
        down = self.p.basis.T @ gradient
        return unit, down - unit * (unit @ down), (down @ normal) / safe, jnp.abs(off) / jnp.sqrt(safe)

    def back(self, x: Array, along: Array, steps: int = 5) -> tuple[Array, Array]:
        """x moved along a fixed direction onto the constraint, by Newton in one variable; and |c| before the last step."""

        def body(_: int, now: tuple[Array, Array]) -> tuple[Array, Array]:
            off, rate = jax.jvp(self.residual, (now[0],), (along,))
            return now[0] - jnp.where(rate != 0, off / jnp.where(rate != 0, rate, 1.0), 0.0) * along, jnp.abs(off)

        return jax.lax.fori_loop(0, steps, body, (x, jnp.zeros(())))

    def feasible(self, x: Array, steps: int = 12) -> Array:
        """A near point on the constraint, by Gauss-Newton steps along its gradient."""

        def body(_: int, y: Array) -> Array:
            off, normal = self.normal(y)
            size2 = jnp.sum(normal**2)
            return y - self.p.basis @ (normal * off / jnp.where(size2 > 0, size2, 1.0))

        return jax.lax.fori_loop(0, steps, body, x)


def _second_order(point: _Point, x: Array) -> tuple[Array, Array, Array]:
    """Value, gradient (n,) and Hessian (n, n) in x: the objective's own `second_order`, else exact from one linearisation."""
    own = getattr(point.objective, "second_order", None)
    if own is not None:
        f, g, curved = own(x) if point.data is None else own(x, point.data)
        added, linear = point.p.quadratic, point.p.linear
        return f + 0.5 * jnp.sum(added * x * x) + linear @ x, g + added * x + linear, curved + jnp.diag(added)
    (f, g), push = jax.linearize(jax.value_and_grad(point.value), x)
    return f, g, jax.vmap(lambda direction: push(direction)[1])(jnp.eye(point.n))


def _iteration(point: _Point, chords: int, tolerance: Array, state: tuple[Array, ...]) -> tuple[Array, ...]:
    """One Hessian, the best of the candidate steps, then quasi-Newton steps from the same factorisation."""
    start, count = state[0], state[-1]
    basis = point.p.basis
    f, g, curved = _second_order(point, start)
    rounding = 4.0 * jnp.finfo(start.dtype).eps * jnp.maximum(jnp.abs(f), 1.0)
    unit, gradient, slope, _ = point.tangent(start, g)
    along = basis @ unit

    inside = basis.T @ (curved - slope * point.bent(start)) @ basis
    across = inside @ unit
    inside = inside - jnp.outer(unit, across) - jnp.outer(across, unit) + jnp.outer(unit, unit) * (unit @ across)
    spec = spectrum(inside)
    before = distance_to_minimum(spec, gradient)

    steps = candidate_steps(spec, gradient, rounding)
    steps = steps - jnp.outer(steps @ unit, unit)
    trials, off = jax.vmap(lambda step: point.back(start + basis @ step, along))(steps)
    values = jax.vmap(point.value)(trials)
    # Newton's last step at least squares what it started from
    reached = off <= 1e-4 * jnp.abs(point.p.target) + 1e-6 * jnp.linalg.norm(unit)
    values = jnp.where(jnp.isfinite(values) & reached, values, jnp.inf)
    best = jnp.argmin(values)
    improved = values[best] < f
    gain = jnp.where(improved, f - values[best], 0.0)

    # the first round measures the point that the candidates gave, every further one a quasi-Newton step from the last good point
    def quasi_newton(_: int, now: tuple[Array, ...]) -> tuple[Array, ...]:
        y, step, shorten, inverse, held = *now[:4], now[4:]
        f_new, g_new = jax.value_and_grad(point.value)(y)
        unit, gradient, slope, off = point.tangent(y, g_new)
        inverse = bfgs_update(inverse, step, gradient - held[6])
        distance = 0.5 * gradient @ inverse @ gradient
        better = (f_new <= held[1] + rounding) & (distance < held[7])
        new = (y, f_new, slope, jnp.linalg.norm(gradient), off, unit, gradient, distance)
        held = tuple(jnp.where(better, a, b) for a, b in zip(new, held, strict=True))
        shorten = jnp.where(better, 1.0, 0.3 * shorten)
        unit, gradient = held[5], held[6]
        step = -shorten * (inverse @ gradient)
        step = step - unit * (unit @ step)
        return point.back(held[0] + basis @ step, basis @ unit)[0], step, shorten, inverse, *held

    first, taken = jnp.where(improved, trials[best], start), jnp.where(improved, steps[best], 0.0)
    infinite, one = jnp.full((), jnp.inf), jnp.ones(())
    held = (first, infinite, slope, infinite, infinite, unit, gradient, infinite)
    result = jax.lax.fori_loop(0, chords + 1, quasi_newton, (first, taken, one, inverse_of(spec), *held))
    x, f, slope, norm, off, _, _, after = result[4:]
    lowest = spec.values[0]
    convex = -lowest <= RELATIVE_FLOOR * jnp.maximum(jnp.max(jnp.abs(spec.values)), 1.0)
    # judged with this iteration's own Hessian, or with the same one a short, convex way on
    settled = (before < tolerance) & (gain < tolerance)
    short = (before < 0.1) & convex & (after < 0.1 * tolerance)
    good = jnp.isfinite(f) & (off < 1e-7) & (settled | short)
    stuck = ~good & ~improved & ~(after < before)
    distance = jnp.where(settled, jnp.minimum(before, after), after)
    return x, f, slope, norm, distance, good, stuck, count + 1


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
    point = _Point(objective, quantities, problem, data)
    infinite, no = jnp.full((), jnp.inf), jnp.asarray(False)
    state: tuple[Array, ...] = (
        point.feasible(problem.start),
        infinite,
        jnp.zeros(()),
        infinite,
        infinite,
        no,
        no,
        jnp.asarray(0),
    )

    def going(state: tuple[Array, ...]) -> Array:
        return ~state[5] & ~state[6] & (state[7] < limit)

    x, f, slope, norm, distance, good, _, count = jax.lax.while_loop(going, partial(_iteration, point, chords, tolerance), state)
    return Minima(x, f, slope, norm, distance, good, count)


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
            `second_order` giving value, gradient and a Hessian (close to exact is enough) is used where there is one.
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
        np.zeros(total),
        np.full(total, np.inf),
        np.full(total, np.inf),
        np.zeros(total, dtype=bool),
        np.zeros(total, dtype=int),
    )
    current = replace(problems, start=np.array(problems.start))
    waiting = np.arange(total)
    rounds = 4
    while len(waiting):
        again = []
        for first in range(0, len(waiting), block):
            index = waiting[first : first + block]
            padded = np.resize(index, block)
            batch = current.take(padded)
            extra = None if data is None else jax.tree.map(lambda leaf, padded=padded: leaf[padded], data)
            raw = solve_block(objective, quantities, chords, batch, extra, jnp.asarray(rounds), jnp.asarray(tolerance))
            out = jax.tree.map(np.asarray, raw)
            for name in ("x", "value", "slope", "gradient_norm", "distance", "converged"):
                getattr(found, name)[index] = getattr(out, name)[: len(index)]
            found.iterations[index] += out.iterations[: len(index)]
            open_ = ~out.converged[: len(index)] & (out.iterations[: len(index)] >= rounds)
            again.append(index[open_ & (found.iterations[index] < max_iterations)])
            current.start[index] = out.x[: len(index)]
            if progress is not None:
                progress(total - len(waiting) + first + int(np.sum(~open_)), total)
        waiting = np.concatenate(again)
        rounds = 8
    return found
