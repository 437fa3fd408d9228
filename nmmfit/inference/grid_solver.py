"""Profiled minima on a grid, thousands at once: a coarse sub-grid from every mode, then the rest from its neighbours.

Coarse points are minimised with exact Hessians. A Hessian says where the minimum goes as the scanned values move and how
steps are to be scaled, so that all other points start near their ends and need gradients only. What does not settle
is minimised like a coarse point; what fails then is tried from scattered points; what fails again is shown as failed. Where two
neighbours do not fit together each is solved again from the other's solution.

The grid is solved in chunks: `GridSolver.chunk` is a pure function of its number and of the coarse points.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from nmmfit.durable import ChunkStore, Engine
from nmmfit.inference.anchors import Anchors
from nmmfit.inference.axes import Axis, size_of
from nmmfit.inference.batches import wider
from nmmfit.inference.endpoints import IMPROVED
from nmmfit.inference.grid_chunks import solved_chunks
from nmmfit.inference.grid_points import GridPoints
from nmmfit.inference.lattice import coarse_places, enclosing, misfits, neighbours
from nmmfit.inference.minimise import Progress
from nmmfit.inference.solution import Cost, Solution

COARSE = {1: 9, 2: 9, 3: 5, 4: 4}
"""Points along every axis of the coarse sub-grid, by number of axes; 3 for more."""

SPARSE = {1: 5, 2: 5, 3: 3}
"""The same for those coarse points that are started from every mode; 2 for more."""

CHUNK = 512
"""Points between two reports of progress, on a CPU."""

APART = 0.5
"""Distance, in half chi-squares, at which two predictions of one point count as different minima."""

HIGH = 2.0
"""Half chi-squares above what was found beyond which the prediction of another minimum is not followed."""

ROUNDS = 4
"""Most rounds in which neighbours are solved from each other."""


class GridSolver(GridPoints):
    """Solves the grid of one joint likelihood."""

    def __init__(self, *given: Any, **options: Any) -> None:
        """As `GridPoints`."""
        super().__init__(*given, **options)
        self.chunk_size = wider(CHUNK)
        """Points of a chunk, wherever it is solved."""

    def on(self, axes: Sequence[Axis]) -> GridSolver:
        """A solver of another grid of the same quantities, which shares the best fit and the modes."""
        other = copy(self)
        other.axes, other.cost = tuple(axes), Cost()
        return other

    def coarse(self, progress: Progress | None = None) -> Coarse:
        """The coarse sub-grid: a few points from every mode, the others from those too.

        `progress` is called with (points done, points of the whole grid).
        """
        axes = len(self.axes)
        knots = [coarse_places(a.points, COARSE.get(axes, 3)) for a in self.axes]
        few = [np.unique(k[coarse_places(len(k), SPARSE.get(axes, 2))]) for k in knots]
        values = [a.values[k] for a, k in zip(self.axes, knots, strict=True)]
        at = _mesh(values)
        first = np.flatnonzero(np.all([np.isin(m, f) for m, f in zip(_mesh(knots).T, few, strict=True)], axis=0))
        rest = np.setdiff1d(np.arange(len(at)), first)
        solution = Solution.empty(at, self.space.n)
        solution.put(first, self.from_starts(at[first], *self.mode_starts(at[first])))
        if progress is not None:
            progress(len(first), size_of(self.axes))
        if len(rest):
            sparse = self.anchored(solution.take(first))
            corners, _ = enclosing([a.values[f] for a, f in zip(self.axes, few, strict=True)], at[rest])
            solution.put(rest, self.from_starts(at[rest], *self._lowest_starts(at[rest], sparse, corners)))
        self.retry(solution)
        anchors = self.anchored(solution)
        if np.any(solution.converged):
            self.with_slopes(solution, anchors)
        self.cost.count("coarse", len(at))
        return Coarse(tuple(knots), solution, anchors)

    def _lowest_starts(self, at: np.ndarray, anchors: Anchors, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Predictions of a point's corners that are different minima, (start, n), and whose they are."""
        predicted = self.placed(at, anchors.predicted(corners, at))
        starts, owner = [], []
        for i in range(len(at)):
            mine = [c for c in range(corners.shape[1]) if anchors.usable[corners[i, c]]]
            kept: list[int] = []
            for c in mine:
                steps = predicted[i, c] - predicted[i, kept]
                far = 0.5 * np.abs(np.einsum("ki,ij,kj->k", steps, anchors.curvature[corners[i, c]], steps))
                if np.all(far > APART):
                    kept.append(c)
            found = predicted[i, kept] if kept else self.dragged(at[i : i + 1], self.job.modes[None, :])[0]
            starts.append(found)
            owner += [i] * len(found)
        return np.concatenate(starts), np.array(owner)

    # -- all points ---------------------------------------------------------------------------------------------------

    @property
    def chunks(self) -> int:
        """Chunks of the whole grid, coarse points included."""
        return -(-size_of(self.axes) // self.chunk_size)

    def chunk(self, number: int, coarse: Coarse) -> Solution:
        """Points number * chunk_size and on, in C order of the axes; the same arguments give the same arrays."""
        shape = [a.points for a in self.axes]
        places = np.arange(number * self.chunk_size, min((number + 1) * self.chunk_size, size_of(self.axes)))
        index = np.stack(np.unravel_index(places, shape), axis=1)
        at = np.stack([a.values[index[:, k]] for k, a in enumerate(self.axes)], axis=1)
        return self.between(at, coarse)

    def whole(
        self,
        coarse: Coarse,
        progress: Progress | None = None,
        store: ChunkStore | None = None,
        engine: Engine | None = None,
    ) -> Solution:
        """All points, in C order of the axes, with neighbours that do not fit together solved again.

        `progress` is called with (points done, points in all); finished chunks are kept in `store`, and taken from there;
        `engine` solves several of them at once.
        """
        total, known = size_of(self.axes), len(coarse.solution.at)

        def advance(done: int, of: int) -> None:
            if progress is not None:
                progress(max(done, known), of)

        solve = partial(_solved, self, coarse)
        found = solved_chunks(solve, self.chunks, self.chunk_size, total, self.cost, advance, store, engine)
        solution = Solution(**found)
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
        starts = self.placed(at, np.concatenate([blend[:, None], predicted], axis=1))
        which = np.concatenate([owner[:, None], which], axis=1)
        solution, height = self.settled_from(at, starts, anchors, which)
        self.cost.count("settled", len(at))
        self._other_minima(solution, starts, height, anchors, which)
        self._finish(solution)
        return solution

    def _other_minima(
        self, solution: Solution, starts: np.ndarray, height: np.ndarray, anchors: Anchors, which: np.ndarray
    ) -> None:
        """Solve again from predictions that lie far from what was found, but not high above it."""
        at = solution.at
        for corner in range(1, starts.shape[1]):
            good = np.flatnonzero(solution.converged)
            far = anchors.apart(which[good, corner], starts[good, corner], solution.x[good]) > APART
            index = good[far & (height[good, corner] < solution.value[good] + HIGH)]
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
        part = self.polished(solution.at[bad], self.placed(solution.at[bad], x))
        part.iterations += solution.iterations[bad]
        self.retry(part)
        late = np.flatnonzero(part.converged & part.retried)
        if len(late):
            anew = part.take(late)
            self.with_slopes(anew, self.anchored(anew))
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
        starts = np.stack([predicted, self.dragged(at, solution.x[near][:, None])[:, 0]], axis=1)
        again = self.settled(at, self.placed(at, starts), coarse.anchors, np.stack([which, which], axis=1))
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


def _solved(solver: GridSolver, coarse: Coarse, number: int) -> tuple[Solution, Cost]:
    """A chunk, and what it cost."""
    counting = solver.on(solver.axes)
    return counting.chunk(number, coarse), counting.cost


def _mesh(values: Sequence[np.ndarray]) -> np.ndarray:
    """(point, axis) of all combinations, in C order."""
    return np.stack([m.ravel() for m in np.meshgrid(*values, indexing="ij")], axis=1)


def _occurrence(places: np.ndarray, turn: int) -> np.ndarray:
    """Where each place occurs for the turn-th time."""
    order = np.argsort(places, kind="stable")
    ordered = places[order]
    first = np.searchsorted(ordered, ordered)
    return order[np.arange(len(ordered)) - first == turn]
