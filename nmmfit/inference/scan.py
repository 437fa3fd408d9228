"""Likelihood grids: delta chi2 over one or more parameters or identified quantities, everything else profiled or held."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from time import perf_counter
from typing import Any

import numpy as np

from nmmfit.checks import confidence_level, whole_number
from nmmfit.durable import ChunkStore, Engine
from nmmfit.errors import UserInputError
from nmmfit.inference.axes import Axis, make_axes, size_of
from nmmfit.inference.combined import Weights, combined_targets
from nmmfit.inference.contours import Contour, Evaluate, Interval, contours, intervals
from nmmfit.inference.endpoints import IMPROVED
from nmmfit.inference.grid_chunks import solved_chunks
from nmmfit.inference.grid_solver import Coarse, GridSolver
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.minimise import Progress
from nmmfit.inference.plain_grid import PlainGrid
from nmmfit.inference.solution import Cost, Solution
from nmmfit.inference.space import space_of
from nmmfit.precision import require_double_precision

LEVELS = (0.68, 0.90, 0.95)
"""Confidence levels of contours."""

ESTIMATED_ABOVE = 5000
"""Points above which a scan is timed on a small grid before it begins."""

TRIAL = {1: 600, 2: 25, 3: 9}
"""Most points along an axis of that small grid, by number of axes; 5 for more: enough to fill blocks."""

MOST_GIB = 8.0
"""Memory that the results of a scan may take, GiB."""


@dataclass(frozen=True)
class Estimate:
    """What a scan will take: its points, seconds, and the memory of its results in GiB."""

    points: int
    seconds: float
    memory_gib: float


@dataclass(frozen=True)
class ScanResult:
    """A likelihood grid.

    Arrays have the shape of the grid, one axis per scanned quantity in the order given.

    Attributes:
        grid: name -> values along its axis. `units`: name -> unit.
        delta_chi2: twice the nll above the best fit; pull and theory priors enter, coefficient priors do not; nan where
            undefined.
        converged: whether the minimiser converged; `gradient_norm` in scaled coordinates; `iterations` of the minimiser
            (quasi-Newton
            steps and Newton iterations); `retried`: whether a first attempt failed.
        slopes: (..., axis) derivatives of delta_chi2 by the scanned values; nan where not known.
        points: parameter -> values at the minima.
        profiled: whether everything else was minimised; else it was held at the best fit, or where `fixed` says.
        fixed: parameters held by the user.
        best: scanned quantities at the best fit of everything, `best_point` the parameters there.
        intervals: of one axis; contours: of two; both at `cl`.
        pairs: (name, name) -> contours of a grid of more than two axes, at the lowest point of the grid over its other axes.
        extra: points solved beside the grid, on the crossings: (point, axis + 1), scanned values and delta_chi2.
        cost: what was evaluated, and seconds.
    """

    grid: dict[str, np.ndarray]
    units: dict[str, str]
    delta_chi2: np.ndarray
    converged: np.ndarray
    gradient_norm: np.ndarray
    iterations: np.ndarray
    retried: np.ndarray
    slopes: np.ndarray
    points: dict[str, np.ndarray]
    profiled: bool
    fixed: dict[str, float]
    best: dict[str, float]
    best_point: dict[str, float]
    cl: tuple[float, ...]
    intervals: tuple[Interval, ...] = ()
    contours: tuple[Contour, ...] = ()
    pairs: dict[tuple[str, str], tuple[Contour, ...]] = field(default_factory=dict)
    extra: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    cost: dict[str, float] = field(default_factory=dict)

    @property
    def failed(self) -> list[dict[str, float]]:
        """Scanned values of the points that did not converge."""
        places = np.argwhere(~self.converged)
        return [{n: float(v[i]) for (n, v), i in zip(self.grid.items(), place, strict=True)} for place in places]

    def pair(self, first: str, second: str) -> np.ndarray:
        """(first, second): the lowest converged delta chi2 over all other axes; nan where every point failed."""
        return lowest_over_others(np.where(self.converged, self.delta_chi2, np.nan), list(self.grid), (first, second))

    def to_json(self) -> dict[str, Any]:
        """`grid.NAME`, `delta_chi2`, `converged`, `best` and the rest, for `json.dumps`; the parameters at the minima are left
        out."""
        return {
            "grid": {name: values.tolist() for name, values in self.grid.items()},
            "units": self.units,
            "delta_chi2": _numbers(self.delta_chi2),
            "converged": self.converged.tolist(),
            "gradient_norm": _numbers(self.gradient_norm),
            "iterations": self.iterations.tolist(),
            "retried": int(np.sum(self.retried)),
            "best": {**self.best, "point": self.best_point},
            "profiled": self.profiled,
            "fixed": self.fixed,
            "cl": list(self.cl),
            "intervals": [
                {
                    "cl": i.cl,
                    "delta_chi2": i.level,
                    "segments": [list(s) for s in i.segments],
                    "open": i.is_open,
                    "error": i.error,
                }
                for i in self.intervals
            ],
            "contours": [_contour(c) for c in self.contours],
            "pairs": [{"axes": list(names), "contours": [_contour(c) for c in found]} for names, found in self.pairs.items()],
            "extra_points": _numbers(self.extra),
            "cost": self.cost,
        }


def _contour(contour: Contour) -> dict[str, Any]:
    return {
        "cl": contour.cl,
        "delta_chi2": contour.level,
        "lines": [line.tolist() for line in contour.lines],
        "closed": list(contour.closed),
        "open": contour.is_open,
        "error": contour.error,
        "solved": contour.solved,
    }


def _numbers(values: np.ndarray) -> Any:
    """Nested lists; None for what is not finite."""
    plain = values.astype(object)
    plain[~np.isfinite(values)] = None
    return plain.tolist()


def lowest_over_others(heights: np.ndarray, names: Sequence[str], pair: tuple[str, str]) -> np.ndarray:
    """(first, second): the lowest known height over all other axes; nan where there is none."""
    others = tuple(k for k, name in enumerate(names) if name not in pair)
    lowest = np.min(np.where(np.isnan(heights), np.inf, heights), axis=others) if others else heights
    lowest = np.where(np.isinf(lowest), np.nan, lowest)
    return lowest if names.index(pair[0]) < names.index(pair[1]) else lowest.T


def scan(
    joint: JointLikelihood,
    grid: Mapping[str, Sequence[float]],
    *,
    cl: Sequence[float] = LEVELS,
    fixed: Mapping[str, float] | None = None,
    combinations: Weights | None = None,
    directions: Weights | None = None,
    profiled: bool = True,
    refine: bool = True,
    starts: int = 8,
    seed: int = 0,
    confirm: Callable[[Estimate], None] | None = None,
    progress: Progress | None = None,
    store: ChunkStore | None = None,
    engine: Engine | None = None,
) -> ScanResult:
    """delta chi2 on a grid, with intervals (one axis) or contours (two axes; every pair of more).

    Args:
        joint: the joint likelihood.
        grid: name of a parameter or of an identified quantity (`joint.identified`) -> (from, to, points), in its unit.
        cl: confidence levels of intervals and contours, between 0 and 1.
        fixed: parameters held at these values, in the best fit as on the grid.
        combinations, directions: linear combinations of coefficients by name, by weights or in prior widths, which may be on the
            grid, too; see `limits`.
        profiled: whether everything else is minimised at every point; else it stays at the best fit.
        refine: whether points are solved on the crossings beside the grid.
        starts: scattered starts of the best fit, >= 1.
        seed: of the scatter, >= 0.
        confirm: called with an `Estimate` before a grid of more than 5000 points begins; raise in it to stop.
        progress: called with (points done, points in all).
        store: where finished chunks of the grid are kept, and taken from; it must be of this run and these arguments.
        engine: solves several chunks of the grid at once, such as a `nmmfit.cluster.ClusterEngine`; the best fit, the coarse grid
            and what is solved beside the grid stay in this process. None: all of it does. The result is the same.
    Returns: the grid; a point that failed is shown with `converged` false.
    Raises: UserInputError for an unknown name, a grid that is empty, reversed, of one point, outside a prior's range or larger
    than
        memory, a wrong number, and a scanned parameter that is also fixed.
    """
    require_double_precision()
    began = perf_counter()
    space = space_of(joint)
    whole_number(starts, "scan: starts", 1)
    whole_number(seed, "scan: seed", 0)
    levels = tuple(sorted({confidence_level(one, "scan: cl") for one in cl}))
    held = dict(fixed or {})
    axes = make_axes(space, grid, held, combined_targets(space, combinations, directions))
    space.vector(held, "fixed")
    _distinct(space, axes, seed)
    made: _Profiled | _Plain = (_Profiled if profiled else _Plain)(space, axes, held, starts, seed)
    total = size_of(axes)
    if confirm is not None and total > ESTIMATED_ABOVE:
        confirm(Estimate(total, total * made.seconds_per_point(), _gib(space.n, axes)))
    _refuse_memory(space.n, axes)
    solution = made.solve(progress, store, engine)
    return _result(space, axes, made, solution, levels, held, refine, began)


def _gib(n: int, axes: Sequence[Axis]) -> float:
    return size_of(axes) * (n + 2 * len(axes) + 6) * 8.0 * 2.5 / 2**30


def _refuse_memory(n: int, axes: Sequence[Axis]) -> None:
    """Raises: UserInputError where the results would not fit."""
    if (needed := _gib(n, axes)) > MOST_GIB:
        raise UserInputError(
            f"scan: {size_of(axes):.3g} points take about {needed:.3g} GiB of memory (allowed: {MOST_GIB:g}); make the "
            "grid coarser: contours are refined where they run"
        )


def _distinct(space: Any, axes: Sequence[Axis], seed: int) -> None:
    """Raises: UserInputError where two quantities are the same but for a factor, whatever the coefficients."""
    from nmmfit.inference.profiling import Profiler

    sized = [a for a in axes if a.held is None]
    if len(sized) < 2:
        return
    profiler = Profiler(space, seed=seed)
    job = profiler.job(None)
    points = profiler.scattered(job, job.start, 6)
    rows = np.stack([profiler.gradient_of(a.target, points) @ job.basis for a in sized], axis=1)
    units = rows / np.maximum(np.linalg.norm(rows, axis=2, keepdims=True), 1e-300)
    for i, k in combinations(range(len(sized)), 2):
        if np.all(np.abs(np.sum(units[:, i] * units[:, k], axis=1)) > 1.0 - 1e-9):
            raise UserInputError(f"scan: {sized[i].name} and {sized[k].name} are in proportion in this run; scan one of them")


class _Profiled:
    """A grid with everything else minimised."""

    def __init__(self, space: Any, axes: Sequence[Axis], fixed: Mapping[str, float], starts: int, seed: int) -> None:
        self.axes = axes
        self.solver = GridSolver(space, axes, fixed, starts=starts, seed=seed)
        self.coarse: Coarse | None = None

    def seconds_per_point(self) -> float:
        """Measured on a small grid of the same range, after a first pass that compiles."""
        most = TRIAL.get(len(self.axes), 5)
        small = self.solver.on([a.with_points(min(a.points, most)) for a in self.axes])
        coarse = small.coarse()
        small.chunk(0, coarse)
        began = perf_counter()
        at = small.chunk(0, coarse).at
        passed = perf_counter() - began
        # coarse points were solved before
        return passed / max(1, int(np.sum(coarse.places(small.axes, at) < 0)))

    def solve(self, progress: Progress | None, store: ChunkStore | None, engine: Engine | None = None) -> Solution:
        """All points."""
        self.coarse = self.solver.coarse(progress)
        return self.solver.whole(self.coarse, progress, store, engine)

    def best(self, solution: Solution) -> tuple[float, np.ndarray]:
        """The best fit."""
        return self.solver.best(solution)

    def between(self, at: np.ndarray) -> Solution:
        """Points beside the grid."""
        assert self.coarse is not None
        return self.solver.between(at, self.coarse)

    def cost(self) -> dict[str, float]:
        """What was evaluated."""
        cost = self.solver.cost
        return {"values": cost.values, "gradients": cost.gradients, "hessians": cost.hessians, **cost.solved}


class _Plain:
    """A grid with everything else held."""

    def __init__(self, space: Any, axes: Sequence[Axis], fixed: Mapping[str, float], starts: int, seed: int) -> None:
        self.axes = axes
        self.grid = PlainGrid(space, axes, fixed, starts=starts, seed=seed)

    def seconds_per_point(self) -> float:
        """Measured on the first chunk, after a first pass that compiles."""
        self.grid.chunk(0)
        began = perf_counter()
        points = len(self.grid.chunk(0).at)
        return (perf_counter() - began) / points

    def solve(self, progress: Progress | None, store: ChunkStore | None, engine: Engine | None = None) -> Solution:
        """All points."""
        grid, total = self.grid, size_of(self.axes)
        found = solved_chunks(partial(_valued, grid), grid.chunks, grid.chunk_size, total, Cost(), progress, store, engine)
        return Solution(**found)

    def best(self, solution: Solution) -> tuple[float, np.ndarray]:
        """The best fit of everything; a point of the grid that lies lower."""
        lowest = int(np.argmin(np.where(solution.converged, solution.value, np.inf)))
        if solution.value[lowest] < self.grid.job.best_value - IMPROVED:
            return float(solution.value[lowest]), solution.x[lowest]
        return self.grid.job.best_value, self.grid.job.modes[0]

    def between(self, at: np.ndarray) -> Solution:
        """Points beside the grid."""
        return self.grid.between(at)

    def cost(self) -> dict[str, float]:
        """What was evaluated."""
        return {"values": size_of(self.axes)}


def _valued(grid: PlainGrid, number: int) -> tuple[Solution, Cost]:
    """A chunk of values, which are not counted."""
    return grid.chunk(number), Cost()


def _result(
    space: Any,
    axes: Sequence[Axis],
    made: _Profiled | _Plain,
    solution: Solution,
    cl: tuple[float, ...],
    fixed: dict[str, float],
    refine: bool,
    began: float,
) -> ScanResult:
    lowest, best = made.best(solution)
    solved = perf_counter() - began
    shape = tuple(a.points for a in axes)
    names = [a.name for a in axes]
    raw = 2.0 * (solution.value - lowest)
    heights = np.where(np.isfinite(raw), np.where(solution.converged, np.maximum(raw, 0.0), raw), np.nan).reshape(shape)
    converged, slopes = solution.converged.reshape(shape), 2.0 * solution.slopes.reshape(*shape, len(axes))
    known = np.where(converged, heights, np.nan)
    extra: list[np.ndarray] = []

    def evaluate(at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        found = made.between(at)
        beside = 2.0 * (found.value - lowest)
        extra.append(np.column_stack([at, np.where(found.converged, beside, np.nan)]))
        return beside, 2.0 * found.slopes, found.converged

    crossing: Evaluate | None = evaluate if refine and np.any(converged) else None
    lines, areas, pairs = _crossings(axes, known, slopes, cl, crossing)
    parameters = np.asarray(space.ranges.to_parameters(solution.x))
    profiler = made.solver.profiler if isinstance(made, _Profiled) else made.grid.profiler
    return ScanResult(
        grid={a.name: a.values for a in axes},
        units={a.name: a.target.unit for a in axes},
        delta_chi2=heights,
        converged=converged,
        gradient_norm=solution.gradient_norm.reshape(shape),
        iterations=solution.iterations.reshape(shape),
        retried=solution.retried.reshape(shape),
        slopes=slopes,
        points={name: parameters[:, i].reshape(shape) for i, name in enumerate(space.names)},
        profiled=isinstance(made, _Profiled),
        fixed=fixed,
        best={a.name: _value(profiler, space, a, best) for a in axes},
        best_point=space.point(best),
        cl=cl,
        intervals=lines,
        contours=areas,
        pairs=pairs,
        extra=np.concatenate(extra) if extra else np.zeros((0, len(names) + 1)),
        cost={**made.cost(), "seconds": perf_counter() - began, "seconds_grid": solved},
    )


def _value(profiler: Any, space: Any, axis: Axis, x: np.ndarray) -> float:
    if axis.held is not None:
        return float(np.asarray(space.ranges.to_parameters(x))[axis.held])
    return float(profiler.value_of(axis.target, x))


def _crossings(
    axes: Sequence[Axis], known: np.ndarray, slopes: np.ndarray, cl: tuple[float, ...], evaluate: Evaluate | None
) -> tuple[tuple[Interval, ...], tuple[Contour, ...], dict[tuple[str, str], tuple[Contour, ...]]]:
    """Intervals of one axis, contours of two, contours of the pairs of more."""
    if len(axes) == 1:
        x = axes[0].values
        slope = slopes[..., 0]
        if np.any(np.isnan(slope[np.isfinite(known)])):
            slope = np.nan_to_num(np.gradient(known, x))
        return tuple(intervals(x, known, slope, cl, evaluate)), (), {}
    if len(axes) == 2:
        exact = None if np.any(np.isnan(slopes[np.isfinite(known)])) else slopes
        return (), tuple(contours(axes[0].values, axes[1].values, known, exact, cl, evaluate)), {}
    names = [a.name for a in axes]
    pairs = {}
    for one, two in combinations(axes, 2):
        lowest = lowest_over_others(known, names, (one.name, two.name))
        pairs[one.name, two.name] = tuple(contours(one.values, two.values, lowest, None, cl))
    return (), (), pairs
