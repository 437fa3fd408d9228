"""How far an approximation of delta chi2 can be trusted: measured against the exact profiled likelihood, along rays.

A ray starts at the center of the approximation and goes along one coefficient, either way, or along a random direction. It is
good up to the last point before which |approximation - exact| <= max(0.1, 10 % of exact) everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nmmfit.checks import whole_number
from nmmfit.errors import NotConvergedError
from nmmfit.exchange.approximation import Approximation, conditional_fit
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.profiling import Profiler
from nmmfit.inference.space import Space, space_of

ABSOLUTE, RELATIVE = 0.1, 0.1
HIGHEST = 25.0
"""delta chi2 above which a ray is not followed: five standard deviations."""
FARTHEST = 10.0
"""Length of the longest ray, in natural steps (widths of the priors) of the coefficients."""
GROWTH, HALVINGS = 1.3, 4
FIRST_RISE = 0.05
LOWER = 5e-3

RULE = (
    f"|approximation - exact| <= max({ABSOLUTE:g}, {100 * RELATIVE:g} % of exact delta chi2) at every point tried on the ray "
    f"up to here; rays end at exact delta chi2 {HIGHEST:g} or {FARTHEST:g} prior widths"
)


@dataclass(frozen=True)
class Ray:
    """What was found along one ray.

    Attributes:
        kind: "coefficient", "random" (in prior widths) or "random_amplitude" (in steps that change what the data see alike).
        label: the coefficient with the sign of the direction; a number for random ones.
        limit: coefficients (parameter,) at the last good point.
        delta_chi2: exact value there; `error` approximation minus exact there.
        ends: "error" (the rule fails beyond), "height", "length", or "not converged".
    """

    kind: str
    label: str
    limit: np.ndarray
    delta_chi2: float
    error: float
    ends: str


@dataclass(frozen=True)
class Validity:
    """All rays of an approximation."""

    rays: tuple[Ray, ...]

    @property
    def delta_chi2(self) -> float | None:
        """Exact delta chi2 up to which every ray is good; None where no ray met an error."""
        found = [ray.delta_chi2 for ray in self.rays if ray.ends in ("error", "not converged")]
        return min(found) if found else None


def measure(
    joint: JointLikelihood,
    approximation: Approximation,
    *,
    directions: int = 8,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Validity:
    """Compare an approximation with the exact profiled likelihood along rays.

    Args:
        joint: the likelihood it was made of.
        approximation: what to measure.
        directions: random directions, half of them in prior widths and half in steps that the data see alike.
        seed: of the directions.
        progress: called with (rays done, rays in all).
    Raises: UserInputError for a wrong number; NotConvergedError if a point lies below the best fit.
    """
    whole_number(directions, "validity: directions", 0)
    whole_number(seed, "validity: seed", 0)
    space = space_of(joint)
    walkers = [_Walker(space, approximation, kind, label, u) for kind, label, u in _rays(space, approximation, directions, seed)]
    exact = _Exact(space, approximation)
    while True:
        active = [w for w in walkers if not w.done]
        if progress is not None:
            progress(len(walkers) - len(active), len(walkers))
        if not active:
            return Validity(tuple(w.result() for w in walkers))
        for walker, (value, solution, good) in zip(active, exact(active), strict=True):
            walker.take(value, solution, good)


def _rays(space: Space, approximation: Approximation, directions: int, seed: int) -> list[tuple[str, str, np.ndarray]]:
    """Kind, label and direction in natural steps, of unit length."""
    n = len(space.coefficients)
    found = [
        ("coefficient", f"{sign}{name}", s * np.eye(n)[i])
        for i, name in enumerate(space.names[:n])
        for sign, s in (("+", 1.0), ("-", -1.0))
    ]
    rng = np.random.default_rng(seed)
    center = space.vector(approximation.center)
    metric = space.basis(center)[:n, :n] / space.scale[:n, None]
    for k in range(directions):
        kind = "random" if k % 2 == 0 else "random_amplitude"
        thrown = rng.normal(size=n)
        found.append((kind, str(k), thrown if kind == "random" else metric @ thrown))
    return [(kind, label, u / np.linalg.norm(u)) for kind, label, u in found]


class _Walker:
    """One ray on its way: outwards in growing steps, then back and forth between the last good and the first bad point."""

    def __init__(self, space: Space, approximation: Approximation, kind: str, label: str, direction: np.ndarray) -> None:
        n = len(space.coefficients)
        self.kind, self.label, self.approximation = kind, label, approximation
        self.direction = direction * space.scale[:n]
        self.center = np.array([approximation.center[name] for name in approximation.names])
        self.good, self.bad = 0.0, np.inf
        self.length = self._first()
        self.halvings = 0
        self.at: tuple[float, float] | None = None
        self.ends = ""
        self.solution: np.ndarray | None = None

    @property
    def done(self) -> bool:
        return bool(self.ends) and (self.bad == np.inf or self.halvings >= HALVINGS)

    @property
    def point(self) -> np.ndarray:
        return self.center + self.length * self.direction

    def _first(self) -> float:
        """Where the approximation has first changed a little; a hundredth of the way where it never does."""
        lengths = np.geomspace(1e-8, 1.0, 400) * FARTHEST
        values = self.approximation.delta_chi2(self.center + lengths[:, None] * self.direction)
        moved = np.abs(values - self.approximation.delta_chi2(self.center)) > FIRST_RISE
        return float(lengths[int(np.argmax(moved))]) if np.any(moved) else 0.01 * FARTHEST

    def take(self, exact: float, solution: np.ndarray, converged: bool) -> None:
        """Judge the point, and choose the next one."""
        error = float(self.approximation.delta_chi2(self.point)) - exact
        fine = converged and abs(error) <= max(ABSOLUTE, RELATIVE * exact)
        if fine:
            self.good, self.at, self.solution = self.length, (exact, error), solution
            if exact >= HIGHEST and self.bad == np.inf:
                self.ends = "height"
            elif self.length >= FARTHEST and self.bad == np.inf:
                self.ends = "length"
        else:
            self.bad = self.length
            self.ends = "error" if converged else "not converged"
        if self.bad < np.inf:
            self.halvings += 1
            self.length = 0.5 * (self.good + self.bad)
        elif not self.ends:
            self.length = min(GROWTH * self.length, FARTHEST)

    def result(self) -> Ray:
        limit = self.center + self.good * self.direction
        exact, error = self.at or (float("nan"), float("nan"))
        if self.at is None:
            exact, error = float(self.approximation.delta_chi2(self.center)), 0.0
        return Ray(self.kind, self.label, limit, exact, error, self.ends)


class _Exact:
    """Exact delta chi2 at points of several rays, nuisances profiled from the nearest solution and from that at the center."""

    def __init__(self, space: Space, approximation: Approximation) -> None:
        self.space, self.approximation = space, approximation
        self.free = np.setdiff1d(np.arange(space.n), space.coefficients)
        self.profiler = Profiler(space)
        center = np.array([approximation.center[name] for name in approximation.names])
        self.home, _ = conditional_fit(space, center)

    def __call__(self, walkers: list[_Walker]) -> list[tuple[float, np.ndarray, bool]]:
        jobs, starts = [], []
        for walker in walkers:
            for near in (self.home, walker.solution):
                if near is None:
                    continue
                x = np.array(near)
                x[self.space.coefficients] = walker.point
                jobs.append(self.profiler.job(None, start=x, free=self.free))
                starts.append(x)
        if not len(self.free):
            values, solutions = np.array([self.space.nll_at(x) for x in starts]), np.stack(starts)
            converged = np.isfinite(values)
        else:
            found = self.profiler.minimise(jobs, np.stack(starts))
            values, solutions, converged = found.value, found.x, found.converged
        out, first = [], 0
        for walker in walkers:
            last = first + (1 if walker.solution is None else 2)
            mine = np.where(converged[first:last], values[first:last], np.inf)
            best = first + int(np.argmin(mine))
            value = 2.0 * (float(values[best]) - self.approximation.best_nll)
            if bool(converged[best]) and value < -LOWER:
                raise NotConvergedError(
                    f"validity: a point {-value:.3g} below the best fit in delta chi2 was found, so that it is no best fit"
                )
            out.append((value, np.asarray(solutions[best]), bool(converged[best])))
            first = last
        return out
