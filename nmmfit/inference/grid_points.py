"""Minima at scanned values: the profiled likelihood at any number of points, from starts that are given.

What is scanned is a parameter, which is held, or an identified quantity, whose value is a constraint. Minima come by Newton's
method
with candidate steps from anywhere (`from_starts`), by quasi-Newton steps from near (`settled`), or by these from Hessians that
leave
nothing out (`polished`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from nmmfit.durable import ChunkStore
from nmmfit.inference.anchors import Anchors
from nmmfit.inference.axes import Axis
from nmmfit.inference.constrained import Problems
from nmmfit.inference.endpoints import SMALLEST
from nmmfit.inference.fit import DIFFERENCE_STEP, gradients_of
from nmmfit.inference.minimise import Minima, no_quantities
from nmmfit.inference.profiling import Job, Profiler
from nmmfit.inference.settle import MOST_STEPS, settle
from nmmfit.inference.solution import Cost, Solution
from nmmfit.inference.space import Space

SCATTERED = 6
"""Scattered starts of a point that failed."""

MOST_NEWTON = 4
"""Newton iterations of one start before Hessians are made without approximation."""

POLISHED, MOST_POLISHING = 3, 60
"""Rounds of quasi-Newton steps from such Hessians, and the most gradients in each."""

DIFFERENCES = 256
"""Gradients for such Hessians are made so many at a time, so that one program serves all."""


class GridPoints:
    """Solves points at given scanned values of one joint likelihood, from given starts."""

    def __init__(
        self,
        space: Space,
        axes: Sequence[Axis],
        fixed: Mapping[str, float] | None = None,
        *,
        starts: int = 8,
        seed: int = 0,
        like: Job | None = None,
        store: ChunkStore | None = None,
    ) -> None:
        """Finds the best fit and the modes.

        Args:
            space: of the likelihood. axes: of the grid.
            fixed: parameters held at these values, on the grid as in the best fit.
            starts: scattered starts of the best fit. seed: of the scatter.
            like: a job with the same things held, whose modes serve; None: they are found.
            store: where finished minimisations by Newton's method are kept; None: nowhere.
        """
        self.space, self.axes = space, tuple(axes)
        self.profiler = Profiler(space, seed=seed, store=store)
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
        # fits are sheared, and so is what uses their program; steps from near need no shear
        self.shear = space.shear(start, self.free)
        self.weights = np.stack([axes[k].target.weights for k in self.sized] or [np.zeros(space.n + space.n_quantities)])
        self.wanted = np.zeros((len(axes), len(self.weights)))
        for i, k in enumerate(self.sized):
            self.wanted[k, i] = 1.0
        self.steps = np.array([self._step(axis) for axis in axes])
        self.cost = Cost()

    # -- the pieces ---------------------------------------------------------------------------------------------------

    def _step(self, axis: Axis) -> float:
        """By how much an identified quantity changes over a natural step; 1 for a parameter."""
        if axis.held is not None:
            return 1.0
        points = self.profiler.scattered(self.job, self.job.modes[0], 4)
        sizes = np.linalg.norm(self.profiler.gradient_of(axis.target, points) @ self.basis, axis=1)
        return float(np.max(sizes))

    def _targets(self, at: np.ndarray) -> np.ndarray:
        """(point, constraint): targets of quantities; a size is a little above 0, where its gradient exists."""
        if not self.sized:
            return np.zeros((len(at), 1))
        positive = np.array([self.axes[k].target.positive for k in self.sized])
        return np.maximum(at[:, self.sized], np.where(positive, SMALLEST * self.steps[self.sized], -np.inf))

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

    def placed(self, at: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """Starts (point, ..., n) with the held parameters set."""
        out = np.array(starts)
        images = self._images(at)
        for i, (_, place) in enumerate(self.held):
            out[..., place] = images[:, i].reshape(-1, *[1] * (out.ndim - 2))
        return out

    def dragged(self, at: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """Starts (point, start, n) moved to the held values along what keeps the amplitudes."""
        places = [place for _, place in self.held]
        if not places:
            return np.array(starts)
        metric = self.job.basis @ self.job.basis.T
        block = metric[np.ix_(places, places)]
        scale = np.sqrt(np.diag(block))
        carry = metric[:, places] / scale @ np.linalg.pinv(block / np.outer(scale, scale)) / scale
        missing = self._images(at)[:, None, :] - starts[..., places]
        return self.placed(at, starts + missing @ carry.T)

    def problems(self, at: np.ndarray, starts: np.ndarray, shear: Any = None) -> Problems:
        """Minimisations at scanned values (point, axis), from starts (point, n); `shear` without an axis of points."""
        # one constraint has no axis of its own: that is the program which fits have compiled
        several = len(self.weights) if len(self.weights) > 1 else None
        return Problems.make(
            starts,
            self.basis,
            n_quantities=self.space.n_quantities,
            weights=self.weights if several else self.weights[0],
            target=self._targets(at) if several else self._targets(at)[:, 0],
            constraints=several,
            shear=jax.tree.map(lambda leaf: np.broadcast_to(leaf, (len(starts), *np.shape(leaf))), shear),
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
        found = self.profiler.minima(self.problems(at[owner], starts, self.shear), MOST_NEWTON)
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
            anchors = self.anchors(at[open_], start, self.exact_curvature(start), np.ones(len(open_), dtype=bool))
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
        return self.anchors(solution.at, solution.x, curvature, solution.converged)

    def anchors(self, at: np.ndarray, x: np.ndarray, curvature: np.ndarray, usable: np.ndarray) -> Anchors:
        directions = np.zeros((len(x), len(self.axes), self.space.n))
        stretch = self._stretch(x)
        for i, (k, place) in enumerate(self.held):
            directions[:, k, place] = stretch[:, i]
        return Anchors.make(at, x, curvature, self.basis, directions, self._rows(x), self.wanted, usable)

    def settled(
        self, at: np.ndarray, starts: np.ndarray, anchors: Anchors, which: np.ndarray, limit: int = MOST_STEPS
    ) -> Solution:
        """Points by quasi-Newton steps.

        Args:
            at: (point, axis). starts: (point, start, n), the lowest of which is taken.
            anchors: give the inverse Hessians. which: (point, start), which of them. limit: most steps.
        """
        return self.settled_from(at, starts, anchors, which, limit)[0]

    def settled_from(
        self, at: np.ndarray, starts: np.ndarray, anchors: Anchors, which: np.ndarray, limit: int = MOST_STEPS
    ) -> tuple[Solution, np.ndarray]:
        """As `settled`, with the function at every start (point, start)."""
        if not len(at):
            return Solution.empty(at, self.space.n), np.zeros(starts.shape[:2])
        quantities = self.space.quantities if self.sized else no_quantities
        problems = self.problems(at, starts[:, 0]) if self.sized else Problems.make(starts[:, 0], self.basis)
        # always the same number of starts, and a round number of anchors, so that one program serves all stages
        filled = np.resize(np.arange(starts.shape[1]), 2 ** len(self.axes) + 1)
        found = settle(self.space.nll, quantities, problems, starts[:, filled], anchors.table, which[:, filled], limit=limit)
        self.cost.values += len(at) * len(filled)
        self.cost.gradients += int(np.sum(found.gradients))
        slopes = self._slopes(found.x, found.pull, found.slope.reshape(len(at), -1))
        solution = Solution(
            at,
            found.x,
            np.array(found.value),
            slopes,
            np.array(found.gradient_norm),
            np.array(found.converged),
            np.array(found.gradients).astype(int),
            np.zeros(len(at), dtype=bool),
        )
        return solution, found.predicted[:, : starts.shape[1]]

    def with_slopes(self, solution: Solution, anchors: Anchors) -> None:
        """Fill in the slopes, by a gradient at each solved point."""
        good = np.flatnonzero(solution.converged)
        again = self.settled(solution.at[good], solution.x[good][:, None], anchors, good[:, None])
        solution.slopes[good] = again.slopes
        lower = again.converged & (again.value <= solution.value[good])
        for name in ("x", "value", "gradient_norm"):
            getattr(solution, name)[good[lower]] = getattr(again, name)[lower]

    def mode_starts(self, at: np.ndarray, scattered: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Starts from every mode, (start, n), and whose they are; a mode at which a scanned size vanishes gives scattered
        ones."""
        points: list[np.ndarray] = []
        for mode in self.job.modes:
            sizes = [
                self.profiler.value_of(self.axes[k].target, mode) / self.steps[k]
                for k in self.sized
                if self.axes[k].target.positive
            ]
            if any(size < 0.1 for size in sizes):
                count = 2 * max(self.space.dimension(self.axes[k].target, self.free) for k in self.sized)
                points.extend(self.profiler.scattered(self.job, mode, count))
            else:
                points.append(mode)
        if scattered:
            points.extend(self.profiler.scattered(self.job, self.job.modes[0], scattered))
        starts = self.dragged(at, np.tile(np.stack(points), (len(at), 1, 1)))
        return starts.reshape(-1, self.space.n), np.repeat(np.arange(len(at)), len(points))

    def retry(self, solution: Solution) -> None:
        """Points that failed, from every mode and from scattered points."""
        bad = np.flatnonzero(~solution.converged)
        if not len(bad):
            return
        self.cost.count("retried", len(bad))
        part = self.from_starts(solution.at[bad], *self.mode_starts(solution.at[bad], SCATTERED))
        solution.improve(bad, part)
        solution.retried[bad] = True
