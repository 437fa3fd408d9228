"""Profiled minima on a grid, thousands at once: a coarse sub-grid from every mode, then the rest from its neighbours.

Coarse points are minimised with exact Hessians. A Hessian says where the minimum goes as the scanned values move and how
steps are to be scaled, so that all other points start near their ends and need gradients only. What does not settle
is minimised like a coarse point; what fails then is tried from scattered points; what fails again is shown as failed. Where two
neighbours do not fit together each is solved again from the other's solution.

The grid is solved in chunks: `GridSolver.chunk` is a pure function of its number and of the coarse points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nmmfit.inference.anchors import Anchors
from nmmfit.inference.axes import Axis, size_of
from nmmfit.inference.constrained import Problems
from nmmfit.inference.endpoints import IMPROVED, SMALLEST
from nmmfit.inference.fit import DIFFERENCE_STEP, gradients_of
from nmmfit.inference.lattice import coarse_places, enclosing, misfits, neighbours
from nmmfit.inference.minimise import Minima, Progress, minimise, no_quantities
from nmmfit.inference.profiling import Job, Profiler
from nmmfit.inference.settle import MOST_STEPS, settle
from nmmfit.inference.space import Space

COARSE = {1: 9, 2: 9, 3: 5, 4: 4}
"""Points along every axis of the coarse sub-grid, by number of axes; 3 for more."""

SPARSE = {1: 5, 2: 5, 3: 3}
"""The same for those coarse points that are started from every mode; 2 for more."""

CHUNK = 512
"""Points between two reports of progress."""

APART = 0.5
"""Distance, in half chi-squares, at which two predictions of one point count as different minima."""

ROUNDS = 4
"""Most rounds in which neighbours are solved from each other."""

SCATTERED = 6

MOST_NEWTON = 12
"""Newton iterations of one start before Hessians are made without approximation."""

POLISHED, MOST_POLISHING = 3, 60
"""Rounds of quasi-Newton steps from such Hessians, and the most gradients in each."""

DIFFERENCES = 256
"""Gradients for such Hessians are made so many at a time, so that one program serves all."""


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


class GridSolver:
    """Solves points of a grid of one joint likelihood."""

    def __init__(
        self,
        space: Space,
        axes: Sequence[Axis],
        fixed: Mapping[str, float] | None = None,
        *,
        starts: int = 8,
        seed: int = 0,
        like: Job | None = None,
    ) -> None:
        """Finds the best fit and the modes.

        Args:
            space: of the likelihood. axes: of the grid.
            fixed: parameters held at these values, on the grid as in the best fit.
            starts: scattered starts of the best fit. seed: of the scatter.
            like: a job with the same things held, whose modes serve; None: they are found.
        """
        self.space, self.axes = space, tuple(axes)
        self.profiler = Profiler(space, seed=seed)
        start = space.vector(fixed or {}, "fixed")
        kept = [space.index(name, "fixed") for name in (fixed or {})]
        free = np.setdiff1d(np.arange(space.n), kept)
        self.job = self.profiler.job(None, start=start, free=free)
        if like is None:
            self.profiler.find_modes([self.job], starts)
        else:
            self.job.modes, self.job.mode_values, self.job.fit = like.modes, like.mode_values, like.fit
        self.held = [(k, axis.held) for k, axis in enumerate(axes) if axis.held is not None]
        self.sized = [k for k, axis in enumerate(axes) if axis.held is None]
        self.free = np.setdiff1d(free, [h for _, h in self.held])
        self.basis = space.basis(start, self.free)
        self.weights = np.stack([axes[k].target.weights for k in self.sized] or [np.zeros(space.n + space.n_quantities)])
        self.wanted = np.zeros((len(axes), len(self.weights)))
        for i, k in enumerate(self.sized):
            self.wanted[k, i] = 1.0
        self.steps = np.array([self._step(axis) for axis in axes])
        self.cost = Cost()

    def on(self, axes: Sequence[Axis]) -> GridSolver:
        """A solver of another grid of the same quantities, which shares the best fit and the modes."""
        other = copy(self)
        other.axes, other.cost = tuple(axes), Cost()
        return other

    # -- the pieces ---------------------------------------------------------------------------------------------------

    def _step(self, axis: Axis) -> float:
        """By how much an identified quantity changes over a natural step; 1 for a parameter."""
        if axis.held is not None:
            return 1.0
        points = self.profiler.scattered(self.job, self.job.modes[0], 4)
        sizes = np.linalg.norm(self.profiler.gradient_of(axis.target, points) @ self.basis, axis=1)
        return float(np.max(sizes))

    def _targets(self, at: np.ndarray) -> np.ndarray:
        """(point, constraint): targets of identified quantities; a size is a little above 0, where its gradient exists."""
        if not self.sized:
            return np.zeros((len(at), 1))
        return np.maximum(at[:, self.sized], SMALLEST * self.steps[self.sized])

    def _images(self, at: np.ndarray) -> np.ndarray:
        """(point, held): entries of the vector for the held parameters at scanned values."""
        if not self.held:
            return np.zeros((len(at), 0))
        x = np.tile(np.asarray(self.space.ranges.to_parameters(self.space.start)), (len(at), 1))
        for k, place in self.held:
            x[:, place] = at[:, k]
        return self.space.ranges.from_parameters(x)[:, [place for _, place in self.held]]

    def _stretch(self, x: np.ndarray) -> np.ndarray:
        """(point, held): d(vector)/d(parameter) of the held parameters."""
        places = [place for _, place in self.held]
        if not any(self.space.names[p] in self.space.bounded for p in places):
            return np.ones((len(x), len(places)))
        return np.stack([1.0 / self.space.ranges.stretch(one)[places] for one in x])

    def _placed(self, at: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """Starts (point, ..., n) with the held parameters set."""
        out = np.array(starts)
        images = self._images(at)
        for i, (_, place) in enumerate(self.held):
            out[..., place] = images[:, i].reshape(-1, *[1] * (out.ndim - 2))
        return out

    def _dragged(self, at: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """Starts (point, start, n) moved to the held values along what keeps the amplitudes."""
        places = [place for _, place in self.held]
        if not places:
            return np.array(starts)
        metric = self.job.basis @ self.job.basis.T
        block = metric[np.ix_(places, places)]
        scale = np.sqrt(np.diag(block))
        carry = metric[:, places] / scale @ np.linalg.pinv(block / np.outer(scale, scale)) / scale
        missing = self._images(at)[:, None, :] - starts[..., places]
        return self._placed(at, starts + missing @ carry.T)

    def problems(self, at: np.ndarray, starts: np.ndarray) -> Problems:
        """Minimisations at scanned values (point, axis)."""
        # one constraint has no axis of its own: that is the program which fits have compiled
        several = len(self.weights) if len(self.weights) > 1 else None
        return Problems.make(
            starts,
            self.basis,
            n_quantities=self.space.n_quantities,
            weights=self.weights if several else self.weights[0],
            target=self._targets(at) if several else self._targets(at)[:, 0],
            constraints=several,
        )

    # -- stages -------------------------------------------------------------------------------------------------------

    def _rows(self, x: np.ndarray) -> np.ndarray:
        """(point, constraint, n): gradients of the constrained quantities."""
        if not self.sized:
            return np.zeros((len(x), 1, self.space.n))
        return np.stack([self.profiler.gradient_of(self.axes[k].target, x) for k in self.sized], axis=1)

    def _slopes(self, x: np.ndarray, pull: np.ndarray, multipliers: np.ndarray) -> np.ndarray:
        """(point, axis): dF/dvalue, from the gradient of what is held and the multipliers of what is constrained."""
        slopes = np.zeros((len(x), len(self.axes)))
        if self.held:
            places = [place for _, place in self.held]
            slopes[:, [k for k, _ in self.held]] = pull[:, places] * self._stretch(x)
        for i, k in enumerate(self.sized):
            slopes[:, k] = multipliers[:, i]
        return slopes

    def from_starts(self, at: np.ndarray, starts: np.ndarray, owner: np.ndarray) -> Solution:
        """The lowest converged minimum of every point from its starts, by Newton's method with exact Hessians.

        Args:
            at: (point, axis). starts: (start, n), of all points. owner: (start,) whose start it is, ascending, none left out.
        Returns: the solution; its slopes are still 0.
        """
        found = minimise(
            self.space.nll,
            self.problems(at[owner], starts),
            quantities=self.space.quantities,
            block=self.profiler.block,
            max_iterations=MOST_NEWTON,
        )
        self.cost.hessians += int(np.sum(found.iterations))
        self._polish_minima(at, owner, found)
        value = np.where(np.isfinite(found.value), found.value, np.inf)
        rank = np.where(found.converged, value, np.inf)
        chosen = np.zeros(len(at), dtype=int)
        steps = np.zeros(len(at), dtype=int)
        likeness = found.x[:, self.space.coefficients] / self.space.scale[self.space.coefficients]
        likeness = likeness @ (self.job.modes[0] / self.space.scale)[self.space.coefficients]
        for i in range(len(at)):
            mine = np.flatnonzero(owner == i)
            steps[i] = int(np.sum(found.iterations[mine]))
            if not np.any(found.converged[mine]):
                chosen[i] = mine[np.argmin(value[mine])]
                continue
            # of minima equal to rounding the one that resembles the best fit, so that neighbours choose alike
            equal = mine[rank[mine] < np.min(rank[mine]) + 1e-7]
            chosen[i] = equal[np.argmax(np.round(likeness[equal], 6))]
        picked = found.take(chosen)
        solution = Solution.empty(at, self.space.n)
        solution.x, solution.value = np.array(picked.x), np.array(picked.value)
        solution.gradient_norm, solution.converged = np.array(picked.gradient_norm), np.array(picked.converged)
        solution.iterations = steps
        return solution

    def _polish_minima(self, at: np.ndarray, owner: np.ndarray, found: Minima) -> None:
        """Polish those that Newton's method did not bring to their ends, if they may yet be the lowest of their point.

        The Hessian of Newton's method has no second derivatives of counts in the nuisances, which matter far from the data.
        """
        value = np.where(np.isfinite(found.value), found.value, np.inf)
        lowest = np.full(len(at), np.inf)
        np.minimum.at(lowest, owner, np.where(found.converged, value, np.inf))
        open_ = np.flatnonzero(~found.converged & (value < lowest[owner] + 1.0))
        if not len(open_):
            return
        better = self.polished(at[owner[open_]], found.x[open_])
        lower = better.converged | (better.value < value[open_])
        for name in ("x", "value", "gradient_norm", "converged"):
            getattr(found, name)[open_[lower]] = getattr(better, name)[lower]
        found.iterations[open_] += better.iterations

    def polished(self, at: np.ndarray, x: np.ndarray) -> Solution:
        """Points from x (point, n), by quasi-Newton steps from Hessians that leave nothing out, made anew where they do not
        suffice."""
        solution = Solution.empty(at, self.space.n)
        solution.x = np.array(x)
        for _ in range(POLISHED):
            open_ = np.flatnonzero(~solution.converged & np.all(np.isfinite(solution.x), axis=1))
            if not len(open_):
                break
            self.cost.count("polished", len(open_))
            start = solution.x[open_]
            anchors = self._anchors(at[open_], start, self.exact_curvature(start), np.ones(len(open_), dtype=bool))
            again = self.settled(at[open_], start[:, None], anchors, np.arange(len(open_))[:, None], MOST_POLISHING)
            again.iterations += solution.iterations[open_]
            lower = again.converged | (again.value < solution.value[open_])
            solution.put(open_[lower], again.take(lower))
            solution.iterations[open_] = again.iterations
        return solution

    def exact_curvature(self, x: np.ndarray) -> np.ndarray:
        """(point, n, n): Hessians in x with that of the constraints taken out, by differences of exact gradients."""
        whole = self.space.basis(self.job.start)
        back = np.linalg.inv(whole)
        n = self.space.n
        steps = DIFFERENCE_STEP * np.concatenate([whole.T, -whole.T])
        places = (x[:, None, :] + steps).reshape(-1, n)
        placed = np.concatenate([places, x])
        blocks = [placed[first : first + DIFFERENCES] for first in range(0, len(placed), DIFFERENCES)]
        made = [np.asarray(gradients_of(self.space.nll, b[np.resize(np.arange(len(b)), DIFFERENCES)]))[: len(b)] for b in blocks]
        gradients = np.concatenate(made)
        self.cost.gradients += len(placed)
        if self.sized:
            rows = self._rows(placed)
            for i in range(len(x)):
                normals, down = rows[len(places) + i] @ self.basis, self.basis.T @ gradients[len(places) + i]
                multipliers = np.linalg.lstsq(normals.T, down, rcond=None)[0]
                mine = slice(i * 2 * n, (i + 1) * 2 * n)
                gradients[mine] -= np.einsum("k,pkn->pn", multipliers, rows[mine])
        change = gradients[: len(places)].reshape(len(x), 2, n, n)
        change = (change[:, 0] - change[:, 1]) / (2.0 * DIFFERENCE_STEP)
        inside = change @ whole
        inside = 0.5 * (inside + np.swapaxes(inside, 1, 2))
        curvature: np.ndarray = back.T @ inside @ back
        return curvature

    def anchored(self, solution: Solution) -> Anchors:
        """Anchors of solved points."""
        good = np.flatnonzero(solution.converged)
        curvature = np.zeros((len(solution.x), self.space.n, self.space.n))
        if len(good):
            curvature[good] = self.exact_curvature(solution.x[good])
        return self._anchors(solution.at, solution.x, curvature, solution.converged)

    def _anchors(self, at: np.ndarray, x: np.ndarray, curvature: np.ndarray, usable: np.ndarray) -> Anchors:
        directions = np.zeros((len(x), len(self.axes), self.space.n))
        stretch = self._stretch(x)
        for i, (k, place) in enumerate(self.held):
            directions[:, k, place] = stretch[:, i]
        return Anchors.make(at, x, curvature, self.basis, directions, self._rows(x), self.wanted, usable)

    def settled(
        self, at: np.ndarray, starts: np.ndarray, anchors: Anchors, which: np.ndarray, limit: int = MOST_STEPS
    ) -> Solution:
        """Points from starts (point, start, n), the lowest of which is taken, with the inverse Hessians of anchors (point,
        start)."""
        if not len(at):
            return Solution.empty(at, self.space.n)
        quantities = self.space.quantities if self.sized else no_quantities
        problems = self.problems(at, starts[:, 0]) if self.sized else Problems.make(starts[:, 0], self.basis)
        # always the same number of starts, and a round number of anchors, so that one program serves all stages
        filled = np.resize(np.arange(starts.shape[1]), 2 ** len(self.axes) + 1)
        found = settle(self.space.nll, quantities, problems, starts[:, filled], anchors.table, which[:, filled], limit=limit)
        self.cost.values += len(at) * len(filled)
        self.cost.gradients += int(np.sum(found.gradients))
        slopes = self._slopes(found.x, found.pull, found.slope.reshape(len(at), -1))
        return Solution(
            at,
            found.x,
            np.array(found.value),
            slopes,
            np.array(found.gradient_norm),
            np.array(found.converged),
            np.array(found.gradients).astype(int),
            np.zeros(len(at), dtype=bool),
        )

    def _with_slopes(self, solution: Solution, anchors: Anchors) -> None:
        """Fill in the slopes, by a gradient at each solved point."""
        good = np.flatnonzero(solution.converged)
        again = self.settled(solution.at[good], solution.x[good][:, None], anchors, good[:, None])
        solution.slopes[good] = again.slopes
        lower = again.converged & (again.value <= solution.value[good])
        for name in ("x", "value", "gradient_norm"):
            getattr(solution, name)[good[lower]] = getattr(again, name)[lower]

    def _mode_starts(self, at: np.ndarray, scattered: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Starts from every mode, (start, n), and whose they are; a mode at which a scanned size vanishes gives scattered
        ones."""
        points: list[np.ndarray] = []
        for mode in self.job.modes:
            sizes = [self.profiler.value_of(self.axes[k].target, mode) / self.steps[k] for k in self.sized]
            if any(size < 0.1 for size in sizes):
                count = 2 * max(self.space.dimension(self.axes[k].target, self.free) for k in self.sized)
                points.extend(self.profiler.scattered(self.job, mode, count))
            else:
                points.append(mode)
        if scattered:
            points.extend(self.profiler.scattered(self.job, self.job.modes[0], scattered))
        starts = self._dragged(at, np.tile(np.stack(points), (len(at), 1, 1)))
        return starts.reshape(-1, self.space.n), np.repeat(np.arange(len(at)), len(points))

    def coarse(self) -> Coarse:
        """The coarse sub-grid: a few points from every mode, the others from those too."""
        axes = len(self.axes)
        knots = [coarse_places(a.points, COARSE.get(axes, 3)) for a in self.axes]
        few = [np.unique(k[coarse_places(len(k), SPARSE.get(axes, 2))]) for k in knots]
        values = [a.values[k] for a, k in zip(self.axes, knots, strict=True)]
        at = _mesh(values)
        first = np.flatnonzero(np.all([np.isin(m, f) for m, f in zip(_mesh(knots).T, few, strict=True)], axis=0))
        rest = np.setdiff1d(np.arange(len(at)), first)
        solution = Solution.empty(at, self.space.n)
        solution.put(first, self.from_starts(at[first], *self._mode_starts(at[first])))
        if len(rest):
            sparse = self.anchored(solution.take(first))
            corners, _ = enclosing([a.values[f] for a, f in zip(self.axes, few, strict=True)], at[rest])
            solution.put(rest, self.from_starts(at[rest], *self._lowest_starts(at[rest], sparse, corners)))
        self._retry(solution)
        anchors = self.anchored(solution)
        if np.any(solution.converged):
            self._with_slopes(solution, anchors)
        self.cost.count("coarse", len(at))
        return Coarse(tuple(knots), solution, anchors)

    def _lowest_starts(self, at: np.ndarray, anchors: Anchors, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Predictions of a point's corners that are different minima, (start, n), and whose they are."""
        predicted = self._placed(at, anchors.predicted(corners, at))
        starts, owner = [], []
        for i in range(len(at)):
            mine = [c for c in range(corners.shape[1]) if anchors.usable[corners[i, c]]]
            kept: list[int] = []
            for c in mine:
                steps = predicted[i, c] - predicted[i, kept]
                far = 0.5 * np.abs(np.einsum("ki,ij,kj->k", steps, anchors.curvature[corners[i, c]], steps))
                if np.all(far > APART):
                    kept.append(c)
            found = predicted[i, kept] if kept else self._dragged(at[i : i + 1], self.job.modes[None, :])[0]
            starts.append(found)
            owner += [i] * len(found)
        return np.concatenate(starts), np.array(owner)

    def _retry(self, solution: Solution) -> None:
        """Points that failed, from every mode and from scattered points."""
        bad = np.flatnonzero(~solution.converged)
        if not len(bad):
            return
        self.cost.count("retried", len(bad))
        part = self.from_starts(solution.at[bad], *self._mode_starts(solution.at[bad], SCATTERED))
        solution.improve(bad, part)
        solution.retried[bad] = True

    # -- all points ---------------------------------------------------------------------------------------------------

    @property
    def chunks(self) -> int:
        """Chunks of the whole grid, coarse points included."""
        return -(-size_of(self.axes) // CHUNK)

    def chunk(self, number: int, coarse: Coarse) -> Solution:
        """Points number * CHUNK and on, in C order of the axes; the same arguments give the same arrays."""
        shape = [a.points for a in self.axes]
        places = np.arange(number * CHUNK, min((number + 1) * CHUNK, size_of(self.axes)))
        index = np.stack(np.unravel_index(places, shape), axis=1)
        at = np.stack([a.values[index[:, k]] for k, a in enumerate(self.axes)], axis=1)
        return self.between(at, coarse)

    def whole(self, coarse: Coarse, progress: Progress | None = None) -> Solution:
        """All points, in C order of the axes, with neighbours that do not fit together solved again.

        `progress` is called with (points done, points in all).
        """
        parts, done = [], 0
        for number in range(self.chunks):
            parts.append(self.chunk(number, coarse))
            done += len(parts[-1].at)
            if progress is not None:
                progress(done, size_of(self.axes))
        solution = Solution(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in vars(parts[0])})
        self.repaired(solution, coarse, [a.points for a in self.axes])
        return solution

    def between(self, at: np.ndarray, coarse: Coarse) -> Solution:
        """Points anywhere on the grid, from the coarse ones around them."""
        solution = Solution.empty(at, self.space.n)
        known = coarse.places(self.axes, at)
        solution.put(np.flatnonzero(known >= 0), coarse.solution.take(known[known >= 0]))
        todo = np.flatnonzero((known < 0) | ~solution.converged)
        corners, weights = enclosing([a.values[k] for a, k in zip(self.axes, coarse.knots, strict=True)], at[todo])
        part = self._from_corners(at[todo], coarse.anchors, corners, weights)
        solution.put(todo, part)
        return solution

    def _from_corners(self, at: np.ndarray, anchors: Anchors, corners: np.ndarray, weights: np.ndarray) -> Solution:
        """Points from the predictions of anchors around them; where these are different minima, from each."""
        if not len(at):
            return Solution.empty(at, self.space.n)
        usable = anchors.usable[corners]
        weights = np.where(usable, weights, 0.0)
        nearest = np.argmax(weights, axis=1)
        rows = np.arange(len(at))
        which = np.where(usable, corners, corners[rows, nearest][:, None])
        predicted = anchors.predicted(which, at)
        total = np.maximum(np.sum(weights, axis=1), 1e-300)
        blend = np.einsum("ps,psn->pn", weights / total[:, None], predicted)
        owner = corners[rows, nearest]
        starts = self._placed(at, np.concatenate([blend[:, None], predicted], axis=1))
        which = np.concatenate([owner[:, None], which], axis=1)
        solution = self.settled(at, starts, anchors, which)
        self.cost.count("settled", len(at))
        self._other_minima(solution, starts, anchors, which)
        self._finish(solution)
        return solution

    def _other_minima(self, solution: Solution, starts: np.ndarray, anchors: Anchors, which: np.ndarray) -> None:
        """Solve again from predictions that lie far from what was found."""
        at = solution.at
        for corner in range(1, starts.shape[1]):
            good = np.flatnonzero(solution.converged)
            far = anchors.apart(which[good, corner], starts[good, corner], solution.x[good]) > APART
            index = good[far]
            if not len(index):
                continue
            again = self.settled(at[index], starts[index, corner][:, None], anchors, which[index, corner][:, None])
            self.cost.count("other minima", len(index))
            solution.improve(index, again)

    def _finish(self, solution: Solution) -> None:
        """What did not settle: with its own Hessian; then Newton's method from every mode and from scattered points."""
        bad = np.flatnonzero(~solution.converged)
        if not len(bad):
            return
        x = np.where(np.isfinite(solution.x[bad]), solution.x[bad], self.job.modes[0])
        part = self.polished(solution.at[bad], self._placed(solution.at[bad], x))
        part.iterations += solution.iterations[bad]
        self._retry(part)
        late = np.flatnonzero(part.converged & part.retried)
        if len(late):
            anew = part.take(late)
            self._with_slopes(anew, self.anchored(anew))
            part.put(late, anew)
        solution.put(bad, part)

    def repaired(self, solution: Solution, coarse: Coarse, shape: Sequence[int]) -> None:
        """Solve neighbours that do not fit together, and points that failed, from each other's solutions."""
        spacings = [a.spacing for a in self.axes]
        tried: dict[int, float] = {}
        for _ in range(ROUNDS):
            values = np.where(solution.converged, solution.value, np.nan).reshape(shape)
            doubtful = np.union1d(
                misfits(values, solution.slopes.reshape(*shape, -1), spacings), np.flatnonzero(~solution.converged)
            )
            around = neighbours(shape, doubtful)
            # what neighbours have not changed since the last round is not tried again
            sums = [float(np.sum(solution.value[near][solution.converged[near]])) for near in around]
            open_ = [k for k, place in enumerate(doubtful) if tried.get(int(place)) != sums[k]]
            if not open_:
                return
            tried |= {int(doubtful[k]): sums[k] for k in open_}
            places = np.concatenate([np.full(len(around[k]), doubtful[k]) for k in open_]).astype(int)
            near = np.concatenate([around[k] for k in open_])
            fine = solution.converged[near]
            if not np.any(fine):
                return
            if not self._from_neighbours(solution, coarse, places[fine], near[fine]):
                return

    def _from_neighbours(self, solution: Solution, coarse: Coarse, places: np.ndarray, near: np.ndarray) -> int:
        """Solve places from the solutions of their neighbours; how many were improved."""
        at = solution.at[places]
        corners, weights = enclosing([a.values[k] for a, k in zip(self.axes, coarse.knots, strict=True)], at)
        usable = coarse.anchors.usable[corners]
        which = corners[np.arange(len(at)), np.argmax(np.where(usable, weights, -1.0), axis=1)]
        step = at - solution.at[near]
        predicted = solution.x[near] + np.einsum("pa,pan->pn", step, coarse.anchors.response[which])
        starts = np.stack([predicted, self._dragged(at, solution.x[near][:, None])[:, 0]], axis=1)
        again = self.settled(at, self._placed(at, starts), coarse.anchors, np.stack([which, which], axis=1))
        self.cost.count("from neighbours", len(at))
        improved = 0
        for turn in range(int(np.max(np.bincount(np.unique(places, return_inverse=True)[1])))):
            index = _occurrence(places, turn)
            improved += solution.improve(places[index], again.take(index))
        # what did not settle, but lies lower than what is there
        promising = np.flatnonzero(~again.converged & (again.value < solution.value[places] - 1e-3))
        if len(promising):
            better = self.polished(at[promising], again.x[promising])
            for turn in range(len(promising)):
                index = _occurrence(places[promising], turn)
                if not len(index):
                    break
                improved += solution.improve(places[promising][index], better.take(index))
        bad = np.unique(places[~solution.converged[places]])
        if len(bad):
            part = solution.take(bad)
            self._finish(part)
            improved += solution.improve(bad, part)
        return improved

    def best(self, solution: Solution) -> tuple[float, np.ndarray]:
        """The best fit, value and vector, fitted again where a point of the grid lies below it."""
        good = np.flatnonzero(solution.converged)
        if len(good):
            lowest = good[np.argmin(solution.value[good])]
            if solution.value[lowest] < self.job.best_value - IMPROVED:
                self.profiler.find_modes([self.job], extra=np.concatenate([self.job.modes, solution.x[lowest][None]]))
        return self.job.best_value, self.job.modes[0]


@dataclass(frozen=True)
class Coarse:
    """The coarse sub-grid, solved: places along every axis, solution and anchors in C order of these."""

    knots: tuple[np.ndarray, ...]
    solution: Solution
    anchors: Anchors

    def places(self, axes: Sequence[Axis], at: np.ndarray) -> np.ndarray:
        """(point,): which coarse point stands at scanned values (point, axis); -1: none."""
        found = np.zeros(len(at), dtype=int)
        missing = np.zeros(len(at), dtype=bool)
        for k, (axis, knots) in enumerate(zip(axes, self.knots, strict=True)):
            values = axis.values[knots]
            place = np.clip(np.searchsorted(values, at[:, k]), 0, len(values) - 1)
            missing |= values[place] != at[:, k]
            found = found * len(values) + place
        return np.where(missing, -1, found)


def _mesh(values: Sequence[np.ndarray]) -> np.ndarray:
    """(point, axis) of all combinations, in C order."""
    return np.stack([m.ravel() for m in np.meshgrid(*values, indexing="ij")], axis=1)


def _occurrence(places: np.ndarray, turn: int) -> np.ndarray:
    """Where each place occurs for the turn-th time."""
    order = np.argsort(places, kind="stable")
    ordered = places[order]
    first = np.searchsorted(ordered, ordered)
    return order[np.arange(len(ordered)) - first == turn]
