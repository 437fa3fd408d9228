"""Likelihood profiles: delta chi2 along one parameter or one identified quantity, everything else at its best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from nmmfit.checks import finite_number, whole_number
from nmmfit.errors import UserInputError
from nmmfit.inference.endpoints import IMPROVED, NEAR_EDGE, SMALLEST, regions
from nmmfit.inference.fit import flat_reason
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.minimise import Progress
from nmmfit.inference.profiling import Job, Profiler, Request, Solved
from nmmfit.inference.space import compensators, space_of
from nmmfit.precision import require_double_precision

DEFAULT_REACH = 9.0
"""delta chi2 that the ends of the default grid reach."""


@dataclass(frozen=True)
class ProfileResult:
    """A profile.

    Attributes:
        name, unit: what is profiled.
        grid: (point,) its values.
        delta_chi2: (point,) twice the profiled nll above the best fit; pull and theory priors enter, coefficient priors do not.
        converged: (point,) whether the minimiser converged; `gradient_norm` (point,) in scaled coordinates.
        points: parameter name -> (point,), the profiled parameters.
        best: value of the profiled quantity at the best fit, `best_point` the parameters there.
        reason: why the profile is exactly flat, in words; empty if it is not.
    """

    name: str
    unit: str
    grid: np.ndarray
    delta_chi2: np.ndarray
    converged: np.ndarray
    gradient_norm: np.ndarray
    points: dict[str, np.ndarray]
    best: float
    best_point: dict[str, float]
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """`grid.NAME`, `delta_chi2`, `converged`, `best` and the rest, for `json.dumps`."""
        return {
            "grid": {self.name: self.grid.tolist()},
            "unit": self.unit,
            "delta_chi2": [float(v) if np.isfinite(v) else None for v in self.delta_chi2],
            "converged": self.converged.tolist(),
            "gradient_norm": [float(v) if np.isfinite(v) else None for v in self.gradient_norm],
            "best": {self.name: self.best, "point": self.best_point},
            "reason": self.reason or None,
            "points": {name: values.tolist() for name, values in self.points.items()},
        }


def profile(
    joint: JointLikelihood,
    parameter: str,
    *,
    points: int = 41,
    low: float | None = None,
    high: float | None = None,
    fixed: Mapping[str, float] | None = None,
    starts: int = 8,
    seed: int = 0,
    progress: Progress | None = None,
) -> ProfileResult:
    """Profile of a parameter or an identified quantity.

    Args:
        joint: the joint likelihood.
        parameter: name of a parameter or of an identified quantity (`joint.identified`).
        points: number of grid points, >= 2.
        low, high: ends of the grid, in the unit of the parameter; where not given, delta chi2 about 9.
        fixed: parameters held at these values, in the best fit as in the profile.
        starts: scattered starts of the best fit, >= 1.
        seed: of the scatter, >= 0.
        progress: called with (points done, points in all).
    Returns: the profile; a point that failed is shown with `converged` false.
    Raises: UserInputError for an unknown name, a number that is wrong or not finite, an empty grid, or a profiled parameter that
        is also fixed.
    """
    require_double_precision()
    space = space_of(joint)
    whole_number(points, "profile: points", 2)
    whole_number(starts, "profile: starts", 1)
    whole_number(seed, "profile: seed", 0)
    low = None if low is None else finite_number(low, "profile: low")
    high = None if high is None else finite_number(high, "profile: high")
    target = space.target(parameter)
    profiler = Profiler(space, seed=seed)
    if target.positive and not len(space.own):
        raise UserInputError(f"profile: no coefficient is free that could change {parameter}")
    start = space.vector(fixed or {}, "fixed")
    held = [space.index(name, "fixed") for name in (fixed or {})]
    if parameter in (fixed or {}):
        raise UserInputError(f"profile: {parameter} is both profiled and held fixed")
    free = np.setdiff1d(np.arange(space.n), held)
    job = profiler.job(target, start=start, free=free, label=parameter)
    profiler.find_modes([job], starts)
    flat = compensators(space, job.modes[0], parameter, list(free)) if parameter in space.names else None
    grid = _grid(profiler, job, points, low, high, bounded=flat is None)
    profiler.progress = progress
    solved = _solve_grid(profiler, job, grid, progress)
    x = np.stack([s.x for s in solved])
    parameters = np.asarray(space.ranges.to_parameters(x))
    values = np.array([s.value for s in solved])
    converged = np.array([s.converged for s in solved])
    # a profiled point below the fit is a better fit
    lowest, best = job.best_value, job.modes[0]
    if np.any(converged) and np.min(values[converged]) < lowest - IMPROVED:
        lowest = float(np.min(values[converged]))
        best = x[int(np.argmin(np.where(converged, values, np.inf)))]
    return ProfileResult(
        name=parameter,
        unit=target.unit,
        grid=grid,
        delta_chi2=np.where(converged, np.maximum(2.0 * (values - lowest), 0.0), 2.0 * (values - lowest)),
        converged=converged,
        gradient_norm=np.array([s.gradient_norm for s in solved]),
        points={name: parameters[:, i] for i, name in enumerate(space.names)},
        best=profiler.value_of(target, best),
        best_point=space.point(best),
        reason=flat_reason(parameter, flat[1]) if flat is not None else "",
    )


def _grid(profiler: Profiler, job: Job, points: int, low: float | None, high: float | None, bounded: bool) -> np.ndarray:
    """The grid, its open ends found from the profile itself."""
    target = job.target
    assert target is not None
    if target.positive and low is not None and low < 0:
        raise UserInputError(f"profile: {target.name} is a size and cannot be {low:g}; the grid must start at 0 or above")
    requested = low is not None and high is not None
    if low is None or high is None:
        center = profiler.value_of(target, job.modes[0])
        reach = 3.0 * job.step
        ends = [center - reach, center + reach]
        if bounded:
            region = regions(profiler, [job], DEFAULT_REACH, tolerance=0.03)[0]
            found = [region.lower.value, region.upper.value]
            widest = max((abs(v - center) for v in found if v is not None), default=reach)
            ends = [found[0] if found[0] is not None else center - widest, found[1] if found[1] is not None else center + widest]
        low, high = (ends[0] if low is None else low), (ends[1] if high is None else high)
        if target.positive:
            low = max(low, 0.0)
    lowest, highest = target.range
    if low < lowest or high > highest:
        if requested:
            raise UserInputError(
                f"profile: {target.name} lies between {lowest:g} and {highest:g}; the grid goes from {low:g} to {high:g}"
            )
        low, high = max(low, lowest), min(high, highest)
    # Ends of a range are at infinity for a minimiser.
    low, high = (min(max(x, lowest + NEAR_EDGE * (high - low)), highest - NEAR_EDGE * (high - low)) for x in (low, high))
    if not high > low:
        raise UserInputError(f"profile: the grid of {target.name} must end above its start ({low:g} to {high:g})")
    return np.linspace(low, high, points)


def _solve_grid(profiler: Profiler, job: Job, grid: np.ndarray, progress: Progress | None) -> list[Solved]:
    """All grid points; where two neighbours do not fit together, both are solved again from each other's solution."""
    assert job.target is not None
    smallest = SMALLEST * job.step if job.target.positive else -np.inf
    requests = [Request(job, max(float(t), smallest)) for t in grid]
    solved: list[Solved] = []
    chunk = 2 * profiler.block
    for first in range(0, len(requests), chunk):
        solved += profiler.solve(requests[first : first + chunk])
        if progress is not None:
            progress(len(solved), len(requests))
    for _ in range(3):
        doubtful = _jumps(solved)
        if not doubtful:
            break
        again = profiler.solve_from(
            [requests[i] for i in doubtful],
            [np.stack([solved[k].x for k in (i - 1, i + 1) if 0 <= k < len(solved)]) for i in doubtful],
        )
        changed = False
        for i, new in zip(doubtful, again, strict=True):
            if new.converged and (not solved[i].converged or new.value < solved[i].value - 1e-9):
                solved[i] = new
                changed = True
        if not changed:
            break
    return solved


def _jumps(solved: list[Solved]) -> list[int]:
    """Points that failed, and neighbours whose difference their slopes do not explain."""
    out = {i for i, s in enumerate(solved) if not s.converged}
    for i, (a, b) in enumerate(pairwise(solved)):
        by_slope = 0.5 * (a.slope + b.slope) * (b.at - a.at)
        if abs(b.value - a.value - by_slope) > 0.02 + 0.1 * abs(b.value - a.value):
            out |= {i, i + 1}
    return sorted(out)
