"""Where toys are made: points on the data's own profile, where everything but the tested quantity is at its best fit.

Coverage and critical values depend on the nuisances, whose true values nobody knows. Toys take the values that the data prefer at
the tested value (the plug-in, or profile, construction), so that what comes out is exact for these values only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nmmfit.errors import NotConvergedError, UserInputError
from nmmfit.inference.endpoints import SMALLEST, Region, regions
from nmmfit.inference.fit import flat_reason
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.profiling import Job, Profiler, Request
from nmmfit.inference.space import Space, Target, compensators, space_of
from nmmfit.inference.toy_fits import ToyLikelihood


@dataclass(frozen=True)
class Truth:
    """A vector `z` (n,) of the data's profile: the tested quantity at `at`, and q of the data there."""

    at: float
    z: np.ndarray
    q: float


class DataProfile:
    """The profile of the data along one target, and the toys' likelihood.

    Raises: UserInputError for a quantity that the data do not bound at all; NotConvergedError where the best fit is none.
    """

    def __init__(self, joint: JointLikelihood, parameter: str | Target, *, starts: int = 8, seed: int = 0) -> None:
        self.joint, self.space = joint, space_of(joint)
        self.likelihood = ToyLikelihood(joint)
        self.target: Target = parameter if isinstance(parameter, Target) else self.space.target(parameter)
        name = self.target.name
        if self.target.positive and not len(self.space.own):
            raise UserInputError(f"toys: no coefficient is free that could change {name}")
        self.profiler = Profiler(self.space, seed=seed)
        self.job: Job = self.profiler.job(self.target, label=name)
        self.profiler.find_modes([self.job], starts)
        if self.job.fit is None or not self.job.fit.converged:
            raise NotConvergedError("toys: the best fit of the data did not converge")
        flat = compensators(self.space, self.job.modes[0], name) if name in self.space.names else None
        if flat is not None:
            raise UserInputError(f"toys: {name} has no limit; {flat_reason(name, flat[1])}")
        self.best = self.profiler.value_at_best(self.job)

    @property
    def lowest(self) -> float:
        """The lowest value that can be tested: next to 0 for a size, whose gradient does not exist at 0."""
        return SMALLEST * self.job.step if self.target.positive else self.target.range[0]

    def allowed(self, value: float) -> float:
        """The value, or the lowest one that can be tested in place of 0. Raises: UserInputError for one that cannot be."""
        return max(in_range(self.target, value), self.lowest)

    def region(self, level: float) -> Region:
        """Where delta chi2 stays below a level."""
        return regions(self.profiler, [self.job], level)[0]

    def truths(self, values: Sequence[float]) -> list[Truth]:
        """Points of the profile. Raises: NotConvergedError where one was not found."""
        solved = self.profiler.solve([Request(self.job, self.allowed(v)) for v in values])
        bad = [s.at for s in solved if not s.converged]
        if bad:
            raise NotConvergedError(f"toys: the profile of {self.target.name} did not converge at {bad[0]:g}")
        lowest = min(self.job.best_value, min(s.value for s in solved))
        return [Truth(s.at, s.x, 2.0 * (s.value - lowest)) for s in solved]

    def best_fit(self) -> Truth:
        """The best fit of the data; a size that vanishes there is tested next to 0."""
        return self._at(self.job.modes[0])

    def _at(self, z: np.ndarray) -> Truth:
        return Truth(self.allowed(self.profiler.value_of(self.target, z)), z, float("nan"))

    def point(self, given: Mapping[str, float]) -> Truth:
        """A point with some parameters as given and everything else at its best fit of the data.

        Raises: UserInputError for a name that is no parameter or a value that is none; NotConvergedError.
        """
        return self._at(profiled_point(self.space, given, self.profiler))


def in_range(target: Target, value: float) -> float:
    """The value. Raises: UserInputError for one that the quantity cannot have."""
    low, high = (0.0, np.inf) if target.positive else target.range
    if not low <= value <= high:
        raise UserInputError(f"toys: {target.name} lies between {low:g} and {high:g}, got {value:g}")
    return value


def standard_model(joint: JointLikelihood) -> dict[str, float]:
    """Coefficients (and what else switches new physics on) at 0."""
    return dict.fromkeys(joint.switches, 0.0)


def profiled_point(space: Space, given: Mapping[str, float], profiler: Profiler) -> np.ndarray:
    """Vector (n,) with some parameters as given and everything else at its best fit of the data."""
    start = space.vector(given, "toys: at")
    free = np.setdiff1d(np.arange(space.n), [space.index(name, "toys: at") for name in given])
    if not len(free):
        return start
    job = profiler.job(None, start=start, free=free)
    profiler.find_modes([job], 2)
    if job.fit is None or not job.fit.converged:
        raise NotConvergedError("toys: the fit at the given point did not converge")
    return np.asarray(job.fit.x)
