"""Asimov data: counts as expected at a point (Cowan, Cranmer, Gross and Vitells, arXiv:1007.1727, section 3.2), and the limits
that they give, which are the median expected ones as far as the asymptotic formulae hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmmfit.checks import confidence_level, whole_number
from nmmfit.errors import UserInputError, unknown
from nmmfit.inference.intervals import Interval
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.limits import LimitWork
from nmmfit.inference.minimise import Progress
from nmmfit.inference.profiling import Profiler
from nmmfit.inference.space import space_of
from nmmfit.inference.toy_fits import ToyLikelihood
from nmmfit.inference.toy_truths import profiled_point, standard_model
from nmmfit.numerics.quantiles import chi_square_quantile
from nmmfit.precision import require_double_precision


@dataclass(frozen=True)
class Asimov:
    """Expected limits.

    Attributes:
        cl: confidence level. `point`: where the data are expected, every parameter.
        expected: profiled interval of Asimov data, by coefficient or identified quantity. `units`: theirs.
        counts: the Asimov data, `experiment.channel` -> (bin,).
    """

    cl: float
    point: dict[str, float]
    expected: dict[str, Interval]
    units: dict[str, str]
    counts: dict[str, np.ndarray]

    @property
    def converged(self) -> bool:
        """Whether every end did."""
        return all(found.converged for found in self.expected.values())

    def to_json(self) -> dict[str, Any]:
        """As values for `json.dumps`."""
        return {
            "cl": self.cl,
            "point": self.point,
            "expected": {name: {"unit": self.units[name], **found.to_json()} for name, found in self.expected.items()},
            "converged": self.converged,
            "counts": {name: values.tolist() for name, values in self.counts.items()},
        }


def asimov(
    joint: JointLikelihood,
    *,
    at: Mapping[str, float] | None = None,
    cl: float = 0.90,
    parameters: Sequence[str] | None = None,
    starts: int = 8,
    seed: int = 0,
    progress: Progress | None = None,
) -> Asimov:
    """Expected limits from Asimov data.

    Args:
        joint: the likelihood, of which the data serve to profile what `at` does not name.
        at: parameters where the data are expected; None: the Standard Model, all coefficients 0.
        cl: confidence level, between 0 and 1.
        parameters: coefficients and identified quantities; None: all.
        starts: scattered starts of every fit, >= 1.
        seed: of the scatter, >= 0.
        progress: called with (ends found, ends in all).
    Raises: UserInputError for a wrong number or name; NotConvergedError where no point was found to expect data at.
    """
    require_double_precision()
    space = space_of(joint)
    cl = confidence_level(cl, "asimov: cl")
    whole_number(starts, "asimov: starts", 1)
    whole_number(seed, "asimov: seed", 0)
    known = [*(space.names[i] for i in space.own), *(q.name for q in space.identified)]
    if not len(space.own):
        raise UserInputError("asimov: no coefficient is free, so that there is nothing to limit")
    for name in parameters or ():
        if name not in known:
            raise unknown("coefficient or identified quantity", name, known, "asimov: parameters")
    names = known if parameters is None else list(parameters)
    likelihood = ToyLikelihood(joint)
    z = profiled_point(space, standard_model(joint) if at is None else at, Profiler(space, seed=seed))
    data = likelihood.expected(z)
    work = LimitWork(
        space, Profiler(space, likelihood, seed=seed, progress=progress, data=data), chi_square_quantile(cl, 1), starts
    )
    for name in names:
        work.plan(name, one_at_a_time=False)
    found = work.run()
    counts, first = {}, 0
    for name, observed in joint.observed.items():
        counts[name] = np.asarray(data.counts[first : first + len(observed)])
        first += len(observed)
    return Asimov(
        cl=cl,
        point=space.point(z),
        expected={name: found[name, "profiled"] for name in names},
        units={name: space.target(name).unit for name in names},
        counts=counts,
    )
