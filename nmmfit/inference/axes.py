"""Axes of a grid: what is scanned, from where to where, in how many points; checked before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from nmmfit.checks import finite_number, whole_number
from nmmfit.errors import UserInputError
from nmmfit.inference.combined import Targets, members, target_of
from nmmfit.inference.endpoints import NEAR_EDGE
from nmmfit.inference.space import Space, Target

MOST_AXES = 6
"""A cell of a grid has 2^axes corners, each a start."""


@dataclass(frozen=True)
class Axis:
    """One axis: `points` values from `low` to `high`, evenly spaced.

    `target` is what is scanned; `held` its place in the vector where it is a parameter, None for an identified quantity or a
    combination.
    """

    name: str
    target: Target
    low: float
    high: float
    points: int
    held: int | None

    @property
    def values(self) -> np.ndarray:
        """(point,) the values."""
        return np.linspace(self.low, self.high, self.points)

    @property
    def spacing(self) -> float:
        """Distance between two values."""
        return (self.high - self.low) / (self.points - 1)

    def with_points(self, points: int) -> Axis:
        """The same range in another number of points."""
        return Axis(self.name, self.target, self.low, self.high, points, self.held)


def make_axes(
    space: Space, grid: Mapping[str, Sequence[Any]], fixed: Mapping[str, float], combined: Targets | None = None
) -> list[Axis]:
    """Axes of a grid.

    Args:
        space: of the likelihood.
        grid: name of a parameter or identified quantity -> (from, to, points).
        fixed: parameters that are held. `combined`: linear combinations of coefficients that may be scanned, too.
    Raises: UserInputError for an unknown name, fewer than two points, ends that are reversed or equal, a grid outside the
    range of
        a prior or of a size, too many axes, and for what is also held.
    """
    if not isinstance(grid, Mapping) or not grid:
        raise UserInputError("scan: the grid is empty; give at least one axis, NAME=from:to:points")
    if len(grid) > MOST_AXES:
        raise UserInputError(f"scan: {len(grid)} axes (allowed: 1 to {MOST_AXES})")
    return [_axis(space, name, given, fixed, combined or {}) for name, given in grid.items()]


def _axis(space: Space, name: str, given: Sequence[Any], fixed: Mapping[str, float], combined: Targets) -> Axis:
    where = f"grid {name}"
    target = target_of(space, name, combined)
    if name in fixed:
        raise UserInputError(f"scan: {name} is both on the grid and held fixed")
    if name in combined and set(members(space, target)) <= set(fixed):
        raise UserInputError(f"scan: {name} is on the grid, and all coefficients that it is made of are held fixed")
    if isinstance(given, str) or not hasattr(given, "__len__") or len(given) != 3:
        raise UserInputError(f"{where}: expected from, to and number of points, got {given!r}")
    low, high = finite_number(given[0], f"{where}: from"), finite_number(given[1], f"{where}: to")
    points = whole_number(given[2], f"{where}: points", 2)
    if low > high:
        raise UserInputError(f"{where}: the grid is reversed, from {low:g} to {high:g}; write {name}={high:g}:{low:g}:{points}")
    if low == high:
        raise UserInputError(f"{where}: the grid starts and ends at {low:g}; hold it there instead, or widen the grid")
    held = space.names.index(name) if name in space.names else None
    if target.positive and not len(space.own):
        raise UserInputError(f"{where}: no coefficient is free that could change {name}")
    if target.positive and low < 0.0:
        raise UserInputError(f"{where}: {name} is a size and cannot be {low:g}; the grid must start at 0 or above")
    lowest, highest = target.range if held is None else space.joint.parameters[held].range
    if low < lowest or high > highest:
        raise UserInputError(
            f"{where}: the prior of {name} allows {lowest:g} to {highest:g}; the grid goes from {low:g} to {high:g}"
        )
    return Axis(name, target, *_off_edges(name, space, low, high, lowest, highest), points, held)


def _off_edges(name: str, space: Space, low: float, high: float, lowest: float, highest: float) -> tuple[float, float]:
    """Ends of a range are at infinity for a minimiser."""
    if name not in space.bounded:
        return low, high
    margin = NEAR_EDGE * (high - low)
    return max(low, lowest + margin), min(high, highest - margin)


def size_of(axes: Sequence[Axis]) -> int:
    """Points of a grid."""
    return prod(axis.points for axis in axes)
