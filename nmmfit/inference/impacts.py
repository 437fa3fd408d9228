"""What nuisances do to a best fit: their pulls, and by how much what is measured moves with each of them.

The pull of a nuisance is (value - centre) / sigma of its prior, its constraint the ratio of the standard deviations after and
before the fit. Its impact on a coefficient or an identified quantity is the change of the best fit when the nuisance is held at
its value plus or minus its standard deviation and everything else is fitted again: a refit, not a linear response, which does
not exist where a rate is quadratic in a coupling near zero. Theory inputs count as nuisances. Starts are at the best fit: a refit
stays in the same minimum, unless that turns into a saddle.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmmfit.checks import whole_number
from nmmfit.errors import UserInputError, unknown
from nmmfit.inference.fit import FitResult, fit
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.kept_minima import Stores, store_of_minima
from nmmfit.inference.minimise import BLOCK, Progress
from nmmfit.inference.parameters import Parameter
from nmmfit.inference.profiling import Profiler
from nmmfit.inference.space import Space, Target, space_of
from nmmfit.precision import require_double_precision


@dataclass(frozen=True)
class Pull:
    """A nuisance or theory input before and after a fit, and its impacts.

    Attributes:
        value, error: at the best fit; without curvature the error is that of the prior.
        centre, width: mean and standard deviation of its prior; nan where it has none.
        impacts: target -> changes (held one error below, above); None: outside the prior's range, or not converged.
    """

    name: str
    value: float
    error: float
    centre: float
    width: float
    impacts: dict[str, tuple[float | None, float | None]]

    @property
    def pull(self) -> float:
        """(value - centre) / width."""
        return (self.value - self.centre) / self.width

    @property
    def constraint(self) -> float:
        """error / width: 1 where the data say nothing."""
        return self.error / self.width

    def largest(self, target: str) -> float:
        """The larger of the two sizes of its impact on a target, 0 where there is none."""
        return max((abs(change) for change in self.impacts[target] if change is not None), default=0.0)


@dataclass(frozen=True)
class Impacts:
    """Pulls and impacts at a best fit.

    Attributes:
        best: the best fit.
        targets: what impacts are given for -> its value at the best fit. `units`: of the targets.
        pulls: every nuisance and theory input, in the order of the likelihood.
        failed: "name -" or "name +" of refits that did not converge.
    """

    best: FitResult
    targets: dict[str, float]
    units: dict[str, str]
    pulls: tuple[Pull, ...]
    failed: tuple[str, ...]

    def ranked(self) -> list[Pull]:
        """The pulls, by their largest impact in units of the largest one on the same target."""
        largest = {t: max((p.largest(t) for p in self.pulls), default=0.0) or 1.0 for t in self.targets}
        return sorted(self.pulls, key=lambda p: -max((p.largest(t) / largest[t] for t in self.targets), default=0.0))

    def to_json(self) -> dict[str, Any]:
        """As values for `json.dumps`; undefined numbers are nan."""
        return {
            "fit": self.best.to_json(),
            "targets": {t: {"value": v, "unit": self.units[t]} for t, v in self.targets.items()},
            "nuisances": {
                p.name: {
                    "value": p.value,
                    "error": p.error,
                    "prior_mean": p.centre,
                    "prior_sd": p.width,
                    "pull": p.pull,
                    "constraint": p.constraint,
                    "impacts": {t: list(changes) for t, changes in p.impacts.items()},
                }
                for p in self.ranked()
            },
            "converged": self.best.converged and not self.failed,
            "failed": list(self.failed),
        }


def impacts(
    joint: JointLikelihood,
    targets: Sequence[str] | None = None,
    *,
    starts: int = 8,
    seed: int = 0,
    progress: Progress | None = None,
    stores: Stores | None = None,
) -> Impacts:
    """Pulls of all nuisances and theory inputs at the best fit, and their impacts.

    Args:
        joint: the likelihood.
        targets: names of the user's parameters or of identified quantities; None: all that the data fix.
        starts: scattered starts of the best fit, >= 1.
        seed: of the scatter, >= 0.
        progress: called with (refits done, refits in all).
        stores: where finished minimisations are kept, and taken from; None: nowhere.
    Raises: UserInputError for a name that is neither, a wrong number, or a likelihood without nuisances.
    """
    require_double_precision()
    whole_number(starts, "impacts: starts", 1)
    whole_number(seed, "impacts: seed", 0)
    space = space_of(joint)
    known = [*(q.name for q in joint.identified), *(p.name for p in joint.own)]
    for name in targets or ():
        if name not in known:
            raise unknown("coefficient or identified quantity", name, known, "impacts")
    others = joint.parameters[joint.n_own :]
    if not others:
        raise UserInputError("impacts: every nuisance and theory input is held, so that none has an impact")
    store = store_of_minima(stores)
    best = fit(joint, starts=starts, seed=seed, store=store)
    chosen = [space.target(name) for name in (targets or [name for name in known if name not in best.flat])]
    profiler = Profiler(space, seed=seed, store=store)
    z = space.ranges.from_parameters(np.array([best.point[name] for name in space.names]))
    values = _values(profiler, chosen, z)

    errors = {p.name: _error(best, p) for p in others}
    refits = [(p, sign) for p in others for sign in (-1, 1) if _start(space, best, p, sign * errors[p.name]) is not None]
    changes: dict[tuple[str, int], dict[str, float]] = {}
    failed = []
    for first in range(0, len(refits), BLOCK):
        block = refits[first : first + BLOCK]
        jobs, points = [], []
        for p, sign in block:
            start = _start(space, best, p, sign * errors[p.name])
            assert start is not None
            jobs.append(profiler.job(None, start=start, free=np.setdiff1d(np.arange(space.n), [space.names.index(p.name)])))
            points.append(start)
        found = profiler.minimise(jobs, np.stack(points))
        for (p, sign), x, good, job in zip(block, found.x, found.converged, jobs, strict=True):
            if not good:
                failed.append(f"{p.name} {'+' if sign > 0 else '-'}")
                continue
            moved = _values(profiler, chosen, space.shortest(x, job.free))
            changes[p.name, sign] = {t: moved[t] - values[t] for t in moved}
        if progress is not None:
            progress(first + len(block), len(refits))
    made = tuple(
        Pull(
            p.name,
            best.point[p.name],
            errors[p.name],
            float(p.prior.mean),
            p.prior_sd,
            {t.name: (changes.get((p.name, -1), {}).get(t.name), changes.get((p.name, 1), {}).get(t.name)) for t in chosen},
        )
        for p in others
    )
    return Impacts(best, values, {t.name: t.unit for t in chosen}, made, tuple(failed))


def _values(profiler: Profiler, targets: Sequence[Target], z: np.ndarray) -> dict[str, float]:
    return {t.name: profiler.value_of(t, z) for t in targets}


def _error(best: FitResult, parameter: Parameter) -> float:
    """Standard deviation after the fit; the prior's where the likelihood defines none, the natural step where that has none."""
    known = best.errors[parameter.name]
    prior = parameter.prior_sd
    return known if known is not None else prior if math.isfinite(prior) else parameter.scale


def _start(space: Space, best: FitResult, parameter: Parameter, change: float) -> np.ndarray | None:
    """The vector of the best fit with one parameter moved; None where its prior excludes that."""
    value = best.point[parameter.name] + change
    if not bool(parameter.prior.support(value)):
        return None
    moved = {**best.point, parameter.name: value}
    return space.ranges.from_parameters(np.array([moved[name] for name in space.names]))
