"""Minima at points of a grid, and what they took."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Solution:
    """Minima at scanned values, arrays with a leading `point` axis.

    `at` (point, axis), `x` (point, n), `value` (point,), `slopes` (point, axis) dF/dvalue, `gradient_norm`, `converged`,
    `iterations`
    (point,): quasi-Newton steps and Newton iterations. `retried` (point,): whether a first attempt failed.
    """

    at: np.ndarray
    x: np.ndarray
    value: np.ndarray
    slopes: np.ndarray
    gradient_norm: np.ndarray
    converged: np.ndarray
    iterations: np.ndarray
    retried: np.ndarray

    @staticmethod
    def empty(at: np.ndarray, n: int) -> Solution:
        """Nothing solved yet."""
        points, axes = at.shape
        infinite = np.full(points, np.inf)
        return Solution(
            at,
            np.zeros((points, n)),
            infinite,
            np.zeros((points, axes)),
            infinite.copy(),
            np.zeros(points, dtype=bool),
            np.zeros(points, dtype=int),
            np.zeros(points, dtype=bool),
        )

    def take(self, index: Any) -> Solution:
        """The points at these places."""
        return Solution(**{name: values[index] for name, values in vars(self).items()})

    def put(self, index: np.ndarray, other: Solution) -> None:
        """Place other points here."""
        for name, values in vars(self).items():
            values[index] = getattr(other, name)

    def improve(self, index: np.ndarray, other: Solution) -> int:
        """Take those of other solutions that are lower or the only ones that converged; how many. Iterations add up."""
        mine = self.take(index)
        lower = other.converged & (~mine.converged | (other.value < mine.value - 1e-9))
        total = mine.iterations + other.iterations
        self.put(index[lower], other.take(lower))
        self.iterations[index] = total
        return int(np.sum(lower))


@dataclass
class Cost:
    """What was evaluated: values, gradients, Hessians (each with its candidate steps counted as values)."""

    values: int = 0
    gradients: int = 0
    hessians: int = 0
    solved: dict[str, int] = field(default_factory=dict)

    def count(self, stage: str, points: int) -> None:
        """Count points that went through a stage."""
        self.solved[stage] = self.solved.get(stage, 0) + points

    def add(self, more: Cost) -> None:
        """Count what something else has cost."""
        self.values += more.values
        self.gradients += more.gradients
        self.hessians += more.hessians
        for stage, points in more.solved.items():
            self.count(stage, points)
