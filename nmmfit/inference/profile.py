"""Likelihood profiles: delta chi2 along one parameter or one identified quantity, everything else at its best."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmmfit.checks import finite_number, whole_number
from nmmfit.errors import UserInputError
from nmmfit.inference.axes import Axis
from nmmfit.inference.combined import Weights, combined_targets, target_of
from nmmfit.inference.endpoints import IMPROVED, NEAR_EDGE, regions
from nmmfit.inference.fit import flat_reason
from nmmfit.inference.flatness import exactly_flat
from nmmfit.inference.grid_solver import GridSolver
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.kept_minima import Stores, store_of_minima
from nmmfit.inference.minimise import Progress
from nmmfit.inference.profiling import Job, Profiler
from nmmfit.inference.space import compensators, space_of
from nmmfit.kept import digest
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
        converged: (point,) whether the minimiser converged; `gradient_norm` (point,) in scaled coordinates; `iterations` (point,)
            of the minimiser: quasi-Newton steps and Newton iterations.
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
    iterations: np.ndarray
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
            "iterations": self.iterations.tolist(),
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
    combinations: Weights | None = None,
    directions: Weights | None = None,
    starts: int = 8,
    seed: int = 0,
    progress: Progress | None = None,
    stores: Stores | None = None,
) -> ProfileResult:
    """Profile of a parameter, an identified quantity or a linear combination of coefficients.

    Args:
        joint: the joint likelihood.
        parameter: name of a parameter, of an identified quantity (`joint.identified`), or of one of the next.
        combinations, directions: linear combinations of coefficients by name, by weights or in prior widths; see `limits`.
        points: number of grid points, >= 2.
        low, high: ends of the grid, in the unit of the parameter; where not given, delta chi2 about 9.
        fixed: parameters held at these values, in the best fit as in the profile.
        starts: scattered starts of the best fit, >= 1.
        seed: of the scatter, >= 0.
        progress: called with (points done, points in all).
        stores: where finished minimisations and chunks of the grid are kept, and taken from; None: nowhere.
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
    combined = combined_targets(space, combinations, directions)
    target = target_of(space, parameter, combined)
    store = store_of_minima(stores)
    profiler = Profiler(space, seed=seed, store=store)
    if target.positive and not len(space.own):
        raise UserInputError(f"profile: no coefficient is free that could change {parameter}")
    start = space.vector(fixed or {}, "fixed")
    held = [space.index(name, "fixed") for name in (fixed or {})]
    if parameter in (fixed or {}):
        raise UserInputError(f"profile: {parameter} is both profiled and held fixed")
    free = np.setdiff1d(np.arange(space.n), held)
    job = profiler.job(target, start=start, free=free, label=parameter)
    profiler.find_modes([job], starts)
    reason = ""
    if parameter in combined:
        reason = exactly_flat(profiler, job) or ""
    elif parameter in space.names and (flat := compensators(space, job.modes[0], parameter, list(free))) is not None:
        reason = flat_reason(parameter, flat[1])
    grid = _grid(profiler, job, points, low, high, bounded=not reason)
    place = space.names.index(parameter) if parameter in space.names else None
    axis = Axis(parameter, target, float(grid[0]), float(grid[-1]), points, place)
    solver = GridSolver(space, [axis], fixed, seed=seed, like=job, store=store)
    known = {"profiled": parameter, "grid": grid.tolist(), "held": dict(fixed or {}), "starts": starts, "seed": seed}
    # Ends of the grid that were found may differ in their last digits on another machine, which then solves all points.
    name = f"grid-{digest([json.dumps(known, sort_keys=True)])[:16]}"
    solved = solver.whole(solver.coarse(progress), progress, None if stores is None else stores(name, known))
    x, values, converged = solved.x, solved.value, solved.converged
    parameters = np.asarray(space.ranges.to_parameters(x))
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
        gradient_norm=solved.gradient_norm,
        iterations=solved.iterations,
        points={name: parameters[:, i] for i, name in enumerate(space.names)},
        best=profiler.value_of(target, best),
        best_point=space.point(best),
        reason=reason,
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
