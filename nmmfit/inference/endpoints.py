"""Where profiled chi-squares cross a level: the ends of intervals, all searches of all jobs side by side.

delta chi2(t) = 2 [min F at target = t, minus min F]. From each distinct minimum the search goes out both ways; each
solved point gives value and derivative (the multiplier), so that few are needed. Where a job has several minima (a moment and its
mirror image) the profile between them is looked at on a grid, and the allowed region may fall into several segments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from nmmfit.inference.profiling import Job, Profiler, Request, Solved
from nmmfit.numerics.crossing import Crossing

FARTHEST = 1e4
"""Natural steps after which a side without a crossing counts as not bounded."""

SMALLEST = 1e-6
"""A target that cannot be negative is taken at this many natural steps in place of 0, where its gradient does not exist."""

GRID = 9
"""Points between the outermost ends at which a profile with several minima is looked at."""

SAME = 0.02
"""Fraction of the level by which an end may come out lower from other starts before the search goes on."""

MOST_CONFIRMATIONS = 3

NEAR_EDGE = 1e-4
"""Fraction of the way to the edge of a range that a search leaves."""

IMPROVED = 1e-5
"""How much lower than the best fit a profiled point must be, in half chi-squares, to be the new best fit."""


@dataclass(frozen=True)
class End:
    """One end of an allowed region.

    `value` is None where there is no crossing; `highest` is then the largest delta chi2 seen, up to `farthest`. `boundary`: the
    region ends at the physical boundary 0, or at the edge of a range. `failed`: the minimiser or the search did not converge.
    """

    value: float | None
    highest: float = 0.0
    farthest: float = 0.0
    boundary: bool = False
    failed: bool = False


@dataclass(frozen=True)
class Region:
    """Where delta chi2 stays below the level: outermost ends, and the segments between them."""

    lower: End
    upper: End
    best: float
    segments: tuple[tuple[float | None, float | None], ...]


@dataclass
class _Side:
    """The search from one minimum of a job in one direction."""

    job: Job
    origin: float
    sign: int
    level: float
    limit: float
    at_boundary: bool
    tolerance: float
    edge: float = 0.0
    search: Crossing = field(init=False)

    def __post_init__(self) -> None:
        self.search = Crossing(self.level, min(self.job.step, self.limit), self.limit, self.tolerance)

    @property
    def at(self) -> float:
        return self.origin + self.sign * self.search.proposal

    def take(self, solved: Solved) -> None:
        """Update the search with a solved point."""
        if not solved.converged:
            self.search.update(float("nan"), float("nan"))
            return
        self.search.update(2.0 * (solved.value - self.job.best_value), 2.0 * self.sign * solved.slope)

    def end(self) -> End:
        """What the search found."""
        distance = self.search.distance
        if distance is not None:
            return End(self.origin + self.sign * distance)
        farthest = self.origin + self.sign * self.limit
        if self.at_boundary and not self.search.failed:
            return End(self.edge, self.search.highest, self.edge, boundary=True)
        return End(None, self.search.highest, farthest, failed=self.search.failed)


def _origins(profiler: Profiler, job: Job, level: float) -> list[float]:
    """The target at every distinct minimum that lies below the level, the lowest first."""
    assert job.target is not None
    values: list[float] = []
    for mode, height in zip(job.modes, job.mode_values, strict=True):
        if 2.0 * (height - job.best_value) >= level:
            continue
        at = profiler.value_of(job.target, mode)
        if all(abs(at - other) > 1e-3 * job.step for other in values):
            values.append(at)
    return values


def _sides(job: Job, origin: float, level: float, tolerance: float) -> list[_Side]:
    assert job.target is not None
    far = FARTHEST * job.step
    if job.target.positive:
        sides = [_Side(job, origin, +1, level, far, False, tolerance)]
        smallest = SMALLEST * job.step
        if origin > 2.0 * smallest:
            sides.append(_Side(job, origin, -1, level, origin - smallest, True, tolerance))
        return sides
    sides = []
    for sign, edge in zip((+1, -1), job.target.range[::-1], strict=True):
        # The edge itself is at infinity in the vector.
        room = (1.0 - NEAR_EDGE) * abs(edge - origin)
        sides.append(_Side(job, origin, sign, level, min(far, room), room < far, tolerance, edge if room < far else 0.0))
    return sides


def _run(profiler: Profiler, sides: Sequence[_Side]) -> None:
    """Advance all searches together until all are done."""
    while True:
        active = [s for s in sides if not s.search.done]
        if not active:
            return
        requests = [Request(s.job, s.at, thorough=s.search.evaluations == 0) for s in active]
        for side, solved in zip(active, profiler.solve(requests), strict=True):
            side.take(solved)
        if profiler.progress is not None:
            profiler.progress(sum(s.search.done for s in sides), len(sides))


def _confirm(profiler: Profiler, sides: Sequence[_Side]) -> None:
    """Look at the ends from every mode; where that finds a lower way, search on from there."""
    for _ in range(MOST_CONFIRMATIONS):
        ended = [s for s in sides if s.search.distance is not None]
        requests = [Request(s.job, s.origin + s.sign * float(s.search.distance or 0.0)) for s in ended]
        again = []
        for side, solved in zip(ended, profiler.solve(requests), strict=True):
            height = 2.0 * (solved.value - side.job.best_value)
            if solved.converged and height < side.level * (1.0 - SAME):
                side.search = Crossing(side.level, float(side.search.distance or 0.0), side.limit, side.tolerance)
                again.append(side)
        if not again:
            return
        _run(profiler, again)


def _restart(profiler: Profiler, jobs: Sequence[Job]) -> list[Job]:
    """Jobs in which a profiled point lies below the best fit: they are fitted again from there."""
    lower = []
    for job in jobs:
        if not job.solved:
            continue
        best = min(job.solved, key=lambda s: s.value)
        if best.value < job.best_value - IMPROVED:
            profiler.find_modes([job], extra=best.x[None])
            lower.append(job)
    return lower


def _inner(
    profiler: Profiler, cases: Sequence[tuple[Job, list[float], tuple[float, float]]], level: float, tolerance: float
) -> dict[int, list[_Side]]:
    """Searches inside hulls, where a grid shows that the profile rises above the level between minima; by id of the job.

    Args:
        cases: job, its minima, and the outermost ends.
    """
    requests = []
    for job, origins, hull in cases:
        middles = [0.5 * (a + b) for a, b in pairwise(sorted(origins))]
        grid = np.unique(np.concatenate([np.linspace(*hull, GRID + 2)[1:-1], middles]))
        requests += [Request(job, float(t), thorough=False) for t in grid]
    high: dict[int, list[float]] = {}
    for request, solved in zip(requests, profiler.solve(requests), strict=True):
        if solved.converged and 2.0 * (solved.value - request.job.best_value) > level:
            high.setdefault(id(request.job), []).append(solved.at)
    sides: dict[int, list[_Side]] = {}
    for job, origins, _ in cases:
        above = np.array(high.get(id(job), []))
        sides[id(job)] = []
        for origin in origins:
            left, right = above[above < origin], above[above > origin]
            if len(left):
                sides[id(job)].append(_Side(job, origin, -1, level, origin - float(left.max()), False, tolerance))
            if len(right):
                sides[id(job)].append(_Side(job, origin, +1, level, float(right.min()) - origin, False, tolerance))
    return sides


def _segments(ends: list[tuple[float, int]], lower: End, upper: End) -> tuple[tuple[float | None, float | None], ...]:
    """Segments between outermost ends and inner crossings (value, sign of the side that found it)."""
    segments: list[tuple[float | None, float | None]] = []
    start = lower.value
    closes = sorted(v for v, sign in ends if sign > 0)
    opens = sorted(v for v, sign in ends if sign < 0)
    for close in closes:
        nxt = [o for o in opens if o > close]
        if nxt:
            segments.append((start, close))
            start = nxt[0]
    segments.append((start, upper.value))
    return tuple(dict.fromkeys(segments))


def regions(profiler: Profiler, jobs: Sequence[Job], level: float, tolerance: float = 3e-4) -> list[Region]:
    """The region delta chi2 < level of every job (its modes found, its target set).

    Args:
        profiler: solves the requests.
        jobs: jobs with modes.
        level: delta chi2 at the ends, > 0.
        tolerance: relative accuracy of an end's distance from the minimum.
    Returns: one region per job.
    """
    for attempt in range(3):
        origins = {id(j): _origins(profiler, j, level) for j in jobs}
        sides = {id(j): [s for o in origins[id(j)] for s in _sides(j, o, level, tolerance)] for j in jobs}
        every = [s for group in sides.values() for s in group]
        _run(profiler, every)
        _confirm(profiler, every)
        if attempt == 2 or not _restart(profiler, jobs):
            break
    outer = {id(j): _outermost(sides[id(j)]) for j in jobs}
    several = []
    for job in jobs:
        lower, upper = outer[id(job)]
        if len(origins[id(job)]) > 1 and lower.value is not None and upper.value is not None:
            several.append((job, origins[id(job)], (lower.value, upper.value)))
    inner: dict[int, list[_Side]] = {id(j): [] for j in jobs} | _inner(profiler, several, level, tolerance)
    _run(profiler, [s for group in inner.values() for s in group])
    out = []
    for job in jobs:
        lower, upper = outer[id(job)]
        crossings = [(e.value, s.sign) for s in inner[id(job)] if (e := s.end()).value is not None]
        segments = _segments([(v, sign) for v, sign in crossings if v is not None], lower, upper)
        out.append(Region(lower, upper, origins[id(job)][0], segments))
    return out


def _outermost(sides: Sequence[_Side]) -> tuple[End, End]:
    """The lowest lower and the highest upper end; a side without crossing counts as the farthest.

    A search that failed says nothing about what lies beyond; where another one, from another minimum, crosses there, that counts.
    """

    def pick(sign: int) -> End:
        mine = [(s, s.end()) for s in sides if s.sign == sign]
        if not mine:
            return End(0.0, boundary=True)
        crossed = [e for _, e in mine if e.value is not None]
        outermost = max(crossed, key=lambda e: sign * float(e.value or 0.0)) if crossed else None
        for side, end in mine:
            reached = side.origin + sign * side.search.inside
            beyond = outermost is not None and sign * (float(outermost.value or 0.0) - reached) > 0
            if end.value is None and not (end.failed and beyond):
                return end
        assert outermost is not None
        return outermost

    return pick(-1), pick(+1)
