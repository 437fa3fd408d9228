"""A function on equality constraints, while it is traced: values, tangents and ways back onto the constraints.

A problem is: minimise F(x) over x = start + basis z, where c_i(x) = target_i for every constraint i. Steps and gradients are in
the coordinates z; a constraint without weights is none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit import precision as precision
from nmmfit.shapes import Array

Objective = Callable[..., Array]
Quantities = Callable[[Array], Array]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Problems:
    """A batch of minimisations; every field has a leading `point` axis.

    `weights` (point, n + q) define the constraint weights[:n] . x + weights[n:] . quantities(x) = target; all zero: none. Several
    constraints have weights (point, constraint, n + q) and targets (point, constraint).
    `quadratic` and `linear` (point, n) add sum(quadratic x^2) / 2 + linear . x to the function: they replace one normal prior by
    another without compiling anything.
    `shear`: arguments of the objective's own `sheared` and `unsheared`, x -> y and back; the basis then spans y, in which the
    objective's valleys are straighter. None: y is x.
    """

    start: Any
    basis: Any
    weights: Any
    target: Any
    quadratic: Any
    linear: Any
    shear: Any = None

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
        constraints: int | None = None,
        shear: Any = None,
    ) -> Problems:
        """Problems from arrays that broadcast against the points of `start` (point, n); what is not given is absent.

        `constraints`: how many there are, for weights and targets with an axis of constraints; None: one, without that axis.
        """
        start = np.atleast_2d(np.asarray(start, dtype=float))
        points, n = start.shape
        several = () if constraints is None else (constraints,)

        def full(value: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
            given = np.zeros(shape) if value is None else np.asarray(value, dtype=float)
            return np.ascontiguousarray(np.broadcast_to(given, (points, *shape)))

        return Problems(
            start,
            full(basis, (n, n)),
            full(weights, (*several, n + n_quantities)),
            full(target, several),
            full(quadratic, (n,)),
            full(linear, (n,)),
            shear,
        )

    def __len__(self) -> int:
        return len(self.start)

    def take(self, index: np.ndarray) -> Problems:
        """The problems at these places."""
        picked: Problems = jax.tree.map(lambda leaf: leaf[index], self)
        return picked


def solve_small(matrix: Array, vector: Array) -> Array:
    """Solution (k,) of a small system; 0 where one of one or two equations is singular."""
    if len(vector) == 1:
        pivot = matrix[0, 0]
        return jnp.where(pivot != 0, vector / jnp.where(pivot != 0, pivot, 1.0), 0.0)
    if len(vector) == 2:
        (a, b), (c, d) = matrix
        det = a * d - b * c
        solved = jnp.stack([d * vector[0] - b * vector[1], a * vector[1] - c * vector[0]])
        return jnp.where(det != 0, solved / jnp.where(det != 0, det, 1.0), 0.0)
    return jnp.linalg.solve(matrix, vector)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Frame:
    """Directions at a point, in z: unit normals (constraint, n) of the constraints, zero for absent ones.

    `gram` (constraint, constraint): their products, 1 on the diagonal. `rows` (constraint, n): gradients of the constraints in x.
    `lengths` (constraint,): of the gradients in z. `off`: norm of the residuals in units of natural steps.
    """

    unit: Array
    gram: Array
    rows: Array
    lengths: Array
    off: Array

    def along(self, vector: Array) -> Array:
        """Part (n,) of a vector (n,) that keeps the constraints, to first order."""
        return vector - self.unit.T @ solve_small(self.gram, self.unit @ vector)

    def along_both(self, matrix: Array) -> Array:
        """The same for both sides of a symmetric matrix (n, n)."""
        half = jax.vmap(self.along)(matrix)
        return jax.vmap(self.along)(half.T)

    def multipliers(self, vector: Array) -> Array:
        """(constraint,): dF/dtarget of a gradient (n,) in z."""
        return solve_small(self.gram, self.unit @ vector) / self.lengths


class Constrained:
    """One problem while it is traced: function, constraints and their derivatives in the coordinates z.

    Points are y, that is x where nothing is sheared.
    """

    def __init__(self, objective: Objective, quantities: Quantities, problem: Problems, data: Any) -> None:
        self.objective: Any = objective
        self.quantities, self.data = quantities, data
        self.p = problem
        self.n = problem.start.shape[0]
        weights = jnp.atleast_2d(problem.weights)
        self.k = weights.shape[0]
        self.target = jnp.atleast_1d(problem.target)
        self.on_x, self.on_q = weights[:, : self.n], weights[:, self.n :]
        self.uses_q = jnp.any(self.on_q != 0, axis=1) if self.on_q.size else jnp.zeros(self.k, dtype=bool)
        self.active = jnp.any(weights != 0, axis=1)

    def x_of(self, y: Array) -> Array:
        """The vector x of a point."""
        moved: Array = y if self.p.shear is None else self.objective.unsheared(y, self.p.shear)
        return moved

    def point_of(self, x: Array) -> Array:
        """The point of a vector x."""
        moved: Array = x if self.p.shear is None else self.objective.sheared(x, self.p.shear)
        return moved

    def value(self, y: Array) -> Array:
        """The function with the added terms."""
        x = self.x_of(y)
        base = self.objective(x) if self.data is None else self.objective(x, self.data)
        return base + 0.5 * jnp.sum(self.p.quadratic * x * x) + self.p.linear @ x

    def residual(self, y: Array) -> Array:
        """c - target, (constraint,); 0 for what is none."""
        x = self.x_of(y)
        total = self.on_x @ x
        if self.on_q.size:
            total = total + jnp.where(self.uses_q, self.on_q @ self.quantities(x), 0.0)
        return jnp.where(self.active, total - self.target, 0.0)

    def frame(self, x: Array) -> tuple[Array, Frame]:
        """The residuals (constraint,) and the directions at a point."""
        off, pull = jax.vjp(self.residual, x)
        rows = jax.vmap(lambda weight: pull(weight)[0])(jnp.eye(self.k))
        normals = rows @ self.p.basis
        size2 = jnp.sum(normals**2, axis=1)
        there = size2 > 0
        lengths = jnp.sqrt(jnp.where(there, size2, 1.0))
        unit = normals / lengths[:, None]
        gram = unit @ unit.T
        if self.k > 1:
            gram = jnp.where(jnp.eye(self.k, dtype=bool), 1.0 + 1e-13, gram)
        return off, Frame(unit, gram, rows, lengths, jnp.sqrt(jnp.sum((off / lengths) ** 2)))

    def bent(self, x: Array, multipliers: Array) -> Array:
        """Second derivative in x (n, n) of multipliers . constraints."""
        if not self.on_q.size and self.p.shear is None:
            return jnp.zeros((self.n, self.n))
        return jax.hessian(lambda y: multipliers @ self.residual(y))(x)

    def back(self, x: Array, along: Array, steps: int = 5) -> tuple[Array, Array]:
        """x moved along fixed directions (n, constraint) onto the constraints, by Newton; and |c| (constraint,) before the
        last step."""

        def body(_: int, now: tuple[Array, Array]) -> tuple[Array, Array]:
            off, push = jax.linearize(self.residual, now[0])
            rates = jax.vmap(push, in_axes=1, out_axes=1)(along)
            if self.k > 1:
                rates = rates + jnp.diag(jnp.where(self.active, 0.0, 1.0))
            return now[0] - along @ solve_small(rates, off), jnp.abs(off)

        return jax.lax.fori_loop(0, steps, body, (x, jnp.zeros(self.k)))

    def feasible(self, x: Array, steps: int = 12) -> Array:
        """A near point on the constraints, by Gauss-Newton steps along their gradients."""

        def body(_: int, y: Array) -> Array:
            off, frame = self.frame(y)
            return y - self.p.basis @ (frame.unit.T @ solve_small(frame.gram, off / frame.lengths))

        return jax.lax.fori_loop(0, steps, body, x)
