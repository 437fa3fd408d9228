"""Profiled values: the machinery behind `fit`, `profile` and `limits`.

A job is a fit with some coordinates free and one target, a parameter or an identified quantity; its modes are the distinct
minima without the constraint. A request asks for the minimum at one value of the target. All requests of all jobs
go through one compiled minimiser; each is started from every mode of its job and from the nearest point solved so far, and
the lowest converged result counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import numpy as np

from nmmfit.durable import ChunkStore
from nmmfit.inference.kept_minima import kept_or_found
from nmmfit.inference.minimise import BLOCK, TOLERANCE, Minima, Objective, Problems, Progress, minimise
from nmmfit.inference.shear import Shear
from nmmfit.inference.space import Space, Target
from nmmfit.inference.vector import NegativeLogLikelihood, Quantities
from nmmfit.shapes import Array

MAX_MODES = 4
"""Distinct minima that every profiled point is started from."""


GRADIENTS = 64
"""Points at which gradients of a quantity are made side by side."""

SAME_MODE = 1.0
"""Units of sensitivity within which two minima of equal value are one: what lies between them rises by less than a unit, and a
quartic minimum, as at zero dipole, is so flat that fits end at different places."""

EQUAL = 1e-6
"""Difference of two minima that says nothing, in half chi-squares."""

MOST_ITERATIONS = 40
"""Hessians of one minimisation."""

PATIENCE = 4
"""How many times as many a minimisation that failed gets when it is taken up again."""

NEAR = 0.5
"""A solved point within this fraction of the distance from the best fit serves as the only start."""


@dataclass
class Job:
    """One fit: where it starts, what is free, what replaces a prior, and what is profiled.

    `quadratic` and `linear` are terms of the function as in `Problems`. `find_modes` sets `modes` (lowest first), their values,
    `fit` (the lowest) and `step`, by how much the target changes over a natural step. `slide`: along exactly
    flat directions modes go to the smallest coefficients; false where something added lifts them.
    """

    space: Space
    target: Target | None
    start: np.ndarray
    free: np.ndarray
    quadratic: np.ndarray
    linear: np.ndarray
    label: str = ""
    within: np.ndarray | None = None
    slide: bool = True
    basis: np.ndarray = field(init=False)
    shear: Shear | None = field(init=False)
    modes: np.ndarray = field(init=False)
    mode_values: np.ndarray = field(init=False)
    fit: Minima | None = None
    step: float = 0.0
    solved: list[Solved] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.basis = self.space.basis(self.start, self.free, self.within)
        self.shear = self.space.shear(self.start, self.free, self.within)
        self.modes = np.zeros((0, self.space.n))
        self.mode_values = np.zeros(0)

    @property
    def best_value(self) -> float:
        """The function at the lowest minimum."""
        return float(self.mode_values[0])

    def keep(self, result: Solved) -> None:
        """Remember a converged point, as a start for its neighbours."""
        if result.converged:
            self.solved.append(result)


@dataclass(frozen=True)
class Solved:
    """The profiled minimum at one value of a job's target."""

    at: float
    x: np.ndarray
    value: float
    slope: float
    gradient_norm: float
    converged: bool


@dataclass(frozen=True)
class Request:
    """A wish for the profiled minimum of a job at one value of its target.

    `thorough`: start from every mode, even where a solved point is near.
    """

    job: Job
    at: float
    thorough: bool = True


@partial(jax.jit, static_argnames="quantities")
def _values_and_gradients(quantities: Quantities, x: Array, weights: Array) -> tuple[Array, Array]:
    """weights . quantities and its gradient at points (point, n)."""
    return jax.vmap(jax.value_and_grad(lambda y: weights @ quantities(y)))(x)


@partial(jax.jit, static_argnames="nll")
def _sheared(nll: NegativeLogLikelihood, x: Array, shear: Shear) -> Array:
    return nll.sheared(x, shear)


class Profiler:
    """Solves jobs and requests of one joint likelihood with one compiled function."""

    def __init__(
        self,
        space: Space,
        objective: Objective | None = None,
        *,
        block: int = BLOCK,
        seed: int = 0,
        tolerance: float = TOLERANCE,
        progress: Progress | None = None,
        data: Any = None,
        store: ChunkStore | None = None,
    ) -> None:
        self.data = data
        """What the objective takes besides the vector, arrays without a `point` axis; None: nothing."""
        self.space, self.block, self.seed, self.tolerance = space, block, seed, tolerance
        self.objective = space.nll if objective is None else objective
        self.progress = progress
        self.store = store
        """Where finished minimisations of the objective are kept; None: nowhere."""
        self.fitted = 0

    def job(
        self,
        target: Target | None,
        *,
        start: np.ndarray | None = None,
        free: Sequence[int] | np.ndarray | None = None,
        quadratic: np.ndarray | None = None,
        linear: np.ndarray | None = None,
        label: str = "",
        within: np.ndarray | None = None,
    ) -> Job:
        """A job; what is not given is the start point, everything free, nothing added, no restriction of the coefficients."""
        n = self.space.n
        return Job(
            self.space,
            target,
            self.space.start if start is None else np.asarray(start, dtype=float),
            np.arange(n) if free is None else np.asarray(free, dtype=int),
            np.zeros(n) if quadratic is None else quadratic,
            np.zeros(n) if linear is None else linear,
            label,
            within,
        )

    def minimise(
        self, jobs: Sequence[Job], starts: np.ndarray, targets: np.ndarray | None = None, most: int = MOST_ITERATIONS
    ) -> Minima:
        """One minimisation per job and start, of at most so many Hessians; at the target values where they are given."""
        n, q = self.space.n, self.space.n_quantities
        weights = np.zeros((len(jobs), n + q))
        if targets is not None:
            for i, job in enumerate(jobs):
                assert job.target is not None
                weights[i] = job.target.weights
        self.fitted += len(jobs)
        data = self.data
        if data is not None:
            data = jax.tree.map(lambda leaf: np.broadcast_to(leaf, (len(jobs), *leaf.shape)), data)
        problems = Problems.make(
            starts,
            np.stack([job.basis for job in jobs]),
            n_quantities=q,
            weights=weights,
            target=targets,
            quadratic=np.stack([job.quadratic for job in jobs]),
            linear=np.stack([job.linear for job in jobs]),
            shear=None if jobs[0].shear is None else jax.tree.map(lambda *all_: np.stack(all_), *[job.shear for job in jobs]),
        )
        return self.minima(problems, most, data)

    def minima(self, problems: Problems, most: int, data: Any = None) -> Minima:
        """Minimise problems of the objective in at most so many Hessians each, or take them from the store."""

        def find() -> Minima:
            return minimise(
                self.objective,
                problems,
                quantities=self.space.quantities,
                data=data,
                block=self.block,
                tolerance=self.tolerance,
                max_iterations=most,
            )

        return kept_or_found(self.store, (problems, data), (most, self.tolerance), find)

    def scattered(self, job: Job, center: np.ndarray, count: int) -> np.ndarray:
        """Starts (count, n) around a point, in mirrored pairs: free coefficients thrown by 0.3 to 10 units of sensitivity,
        parameters of a model by up to a natural step."""
        rng = np.random.default_rng(self.seed)
        coefficient = self.space.kinds == "coefficient"
        half = (count + 1) // 2
        size = 10.0 ** np.linspace(-0.5, 1.0, half)
        throw = rng.normal(size=(half, self.space.n)) * coefficient * size[:, None]
        of_model = rng.normal(size=(half, self.space.n)) * (self.space.kinds == "model") * np.minimum(size, 1.0)[:, None]
        throw = throw + of_model
        throw = np.stack([throw, -throw], axis=1).reshape(2 * half, -1)[:count]
        moved = throw @ job.basis.T / self.space.scale
        if job.within is not None and not job.slide:
            # What is restricted stays on its line; a part along a flat direction would lead off it.
            return np.asarray(center + moved * self.space.scale)
        # along flat directions there is nothing to find
        flat = self.space.flat_directions(job.start, job.free) / self.space.scale
        return np.asarray(center + (moved - moved @ flat.T @ flat) * self.space.scale)

    def find_modes(self, jobs: Sequence[Job], starts: int = 8, extra: np.ndarray | None = None) -> None:
        """Fit every job without its target, from its start point, scattered points and `extra` points; sets its modes.

        Args:
            jobs: what to fit.
            starts: scattered starts of each; jobs that differ in their target only are fitted once.
            extra: further starts (k, n), such as a known best fit; coordinates that a job holds keep the job's value.
        """
        if not jobs:
            return
        owners: list[Job] = []
        points: list[np.ndarray] = []
        alike: dict[bytes, list[Job]] = {}
        for job in jobs:
            key = b"".join(a.tobytes() for a in (job.start, job.basis, job.quadratic, job.linear))
            alike.setdefault(key, []).append(job)
        leaders = [group[0] for group in alike.values()]
        for job in leaders:
            here = [job.start[None], self.scattered(job, job.start, starts)]
            if extra is not None:
                placed = np.tile(job.start, (len(extra), 1))
                placed[:, job.free] = extra[:, job.free]
                here.append(placed)
            stacked = np.concatenate(here)
            owners += [job] * len(stacked)
            points.append(stacked)
        found = self.minimise(owners, np.concatenate(points))
        first = 0
        for group, stacked in zip(alike.values(), points, strict=True):
            mine = found.take(slice(first, first + len(stacked)))
            first += len(stacked)
            for job in group:
                self._set_modes(job, mine)

    def _set_modes(self, job: Job, found: Minima) -> None:
        order = np.lexsort(
            (-found.x[:, job.free] @ (1.0 / self.space.scale[job.free]), np.where(found.converged, found.value, np.inf))
        )
        best = order[0]
        # of minima equal to rounding take the one with positive coefficients
        equal = [i for i in order if found.converged[i] and found.value[i] < found.value[best] + 1e-7] or [best]
        signs = [float(np.sum((found.x[i] / self.space.scale)[self.space.coefficients])) for i in equal]
        head = equal[int(np.argmax(np.round(signs, 3)))]
        kept: list[int] = []
        shortest = {i: self.space.shortest(found.x[i], job.free) if job.slide else found.x[i] for i in [head, *order]}
        sheared = {i: self._sheared(job, x) for i, x in shortest.items()}
        for i in [head, *order]:
            if not found.converged[i] and i != head:
                continue
            if found.value[i] > found.value[head] + 25.0 or len(kept) == MAX_MODES:
                continue
            apart = [self._apart(job, (sheared[i] - sheared[k]) / self.space.scale) for k in kept]
            same = [SAME_MODE if found.value[i] - found.value[k] < EQUAL else 1e-2 for k in kept]
            if all(a > s for a, s in zip(apart, same, strict=True)):
                kept.append(i)
        job.modes = np.stack([shortest[i] for i in kept])
        job.mode_values = np.array([found.value[i] for i in kept])
        job.fit = found.take(kept[0])
        job.solved = []
        job.step = self.natural_step(job) if job.target is not None else 0.0

    def _sheared(self, job: Job, x: np.ndarray) -> np.ndarray:
        """A vector as a job's shear has it."""
        return x if job.shear is None else np.asarray(_sheared(self.space.nll, x, job.shear))

    def _apart(self, job: Job, steps: np.ndarray) -> float:
        """Distance between two points, coefficients counted by their amplitudes."""
        moving = np.intersect1d(job.free, self.space.coefficients)
        others = np.setdiff1d(job.free, self.space.coefficients)
        rows = self.space.scaled_amplitudes(job.start, moving) if len(moving) else np.zeros((0, 0))
        amplitude = rows @ steps[moving] if len(moving) else np.zeros(0)
        return float(np.sqrt(np.sum(amplitude**2) + np.sum(steps[others] ** 2)))

    def value_at_best(self, job: Job) -> float:
        """The target at the job's lowest minimum."""
        assert job.target is not None
        return self.value_of(job.target, job.modes[0])

    def gradient_of(self, target: Target, x: np.ndarray) -> np.ndarray:
        """Gradient (point, n) of a target at points (point, n); zero where it does not exist."""
        n = self.space.n
        out = np.tile(target.weights[:n], (len(x), 1))
        if target.linear:
            return out
        # blocks of one size, so that one program serves any number of points
        for first in range(0, len(x), GRADIENTS):
            block = np.asarray(x[first : first + GRADIENTS], dtype=float)
            filled = block[np.resize(np.arange(len(block)), GRADIENTS)]
            out[first : first + len(block)] += np.asarray(
                _values_and_gradients(self.space.quantities, filled, target.weights[n:])[1]
            )[: len(block)]
        return out

    def value_of(self, target: Target, x: np.ndarray) -> float:
        """The target at one point (n,)."""
        n = self.space.n
        value = float(target.weights[:n] @ x)
        if target.linear:
            return value
        return value + float(_values_and_gradients(self.space.quantities, np.asarray(x)[None], target.weights[n:])[0][0])

    def natural_step(self, job: Job) -> float:
        """How much the target changes over one natural step of the job's free coordinates; 0 if it does not depend on them."""
        assert job.target is not None
        points = self.scattered(job, job.modes[0], 4)
        sizes = np.linalg.norm(self.gradient_of(job.target, points) @ job.basis, axis=1)
        return float(np.max(sizes))

    def starts_for(self, request: Request) -> np.ndarray:
        """Starts of a request: the nearest solved point, then every mode unless that point is near and will do.

        A mode at which the target, a norm, vanishes has no direction to go: points thrown off it take its place.
        """
        job, target = request.job, request.job.target
        assert target is not None
        points = []
        if job.solved:
            nearest = min(job.solved, key=lambda s: abs(s.at - request.at))
            points.append(nearest.x)
            if not request.thorough and abs(nearest.at - request.at) < NEAR * abs(request.at - self.value_at_best(job)):
                return np.stack(points)
        for mode in job.modes:
            if target.positive and self.value_of(target, mode) < 0.1 * job.step:
                points.extend(self.scattered(job, mode, 2 * self.space.dimension(target, job.free)))
            else:
                points.append(mode)
        return np.stack(points)

    def solve(self, requests: Sequence[Request]) -> list[Solved]:
        """The lowest converged minimum of every request.

        One without goes on from where it stopped and from what its neighbours suggest, then from scattered points; then it is
        shown.
        """
        results = self.solve_from(requests, [self.starts_for(r) for r in requests])
        for retry in (self._continued, self._scattered_again):
            bad = [i for i, r in enumerate(results) if not r.converged]
            if not bad:
                break
            starts = [retry(requests[i], results[i]) for i in bad]
            again = self.solve_from([requests[i] for i in bad], starts, PATIENCE * MOST_ITERATIONS)
            for i, result in zip(bad, again, strict=True):
                results[i] = result
        for request, result in zip(requests, results, strict=True):
            request.job.keep(result)
        return results

    def _continued(self, request: Request, failed: Solved) -> np.ndarray:
        """Where a failed fit stopped, and the nearest solved points with everything stretched as far as the target is: in the
        valleys in which amplitudes cancel, coefficients grow together."""
        job = request.job
        assert job.target is not None
        origin = self.value_at_best(job)
        points = [failed.x]
        for near in sorted(job.solved, key=lambda s: abs(s.at - request.at))[:2]:
            if abs(near.at - origin) > 1e-3 * job.step:
                moved = near.x.copy()
                own = self.space.own
                moved[own] = job.modes[0][own] + (near.x - job.modes[0])[own] * (request.at - origin) / (near.at - origin)
                points.append(moved)
        return np.stack(points)

    def _scattered_again(self, request: Request, failed: Solved) -> np.ndarray:
        return np.concatenate([self.scattered(request.job, request.job.modes[0], 6), failed.x[None]])

    def solve_from(self, requests: Sequence[Request], starts: Sequence[np.ndarray], most: int = MOST_ITERATIONS) -> list[Solved]:
        """The lowest converged minimum of every request from given starts, one array (start, n) each, in `most` iterations."""
        if not requests:
            return []
        owners = [r.job for r, s in zip(requests, starts, strict=True) for _ in s]
        targets = np.array([r.at for r, s in zip(requests, starts, strict=True) for _ in s])
        found = self.minimise(owners, np.concatenate(list(starts)), targets, most)
        out = []
        first = 0
        for request, mine in zip(requests, starts, strict=True):
            part = found.take(slice(first, first + len(mine)))
            first += len(mine)
            value = np.where(np.isfinite(part.value), part.value, np.inf)
            best = int(np.argmin(np.where(part.converged, value, np.inf))) if np.any(part.converged) else int(np.argmin(value))
            out.append(
                Solved(
                    request.at,
                    part.x[best],
                    float(part.value[best]),
                    float(part.slope[best]),
                    float(part.gradient_norm[best]),
                    bool(part.converged[best]),
                )
            )
        return out
