"""How well experiments constrain directions in the space of the user's parameters, and which of them constrains which.

The information about the parameters, nuisances and theory inputs profiled out, in units of their prior widths, has eigenvectors:
directions from best to worst constrained. Before it is profiled the information is a sum over experiments (and constraint terms),
so that v^T S v = sum_e w^T F_e w with w = (v, what nuisances do when the parameters move along v) shares it out.

Unless a point is given it is a mean over points around the Standard Model, see `nmmfit.inference.region`.

The observed information is taken at the best fit, unless a point is given; elsewhere a Hessian need not be positive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmmfit.checks import whole_number
from nmmfit.errors import UserInputError, unknown
from nmmfit.inference.directions import Axes, Direction, sd_of_curvature, split_by_information, without_information
from nmmfit.inference.fit import WEAK_CURVATURE, fit
from nmmfit.inference.information import SHARED, observed_information
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.kept_minima import Stores, store_of_minima
from nmmfit.inference.minimise import Progress
from nmmfit.inference.parameter_vector import Point
from nmmfit.inference.region import Here, about_own, information_at, mean_information, off_zero, region
from nmmfit.inference.space import Space, space_of
from nmmfit.precision import require_double_precision


@dataclass(frozen=True)
class Sensitivity:
    """Standard deviations of one parameter, in its unit; None where there is no information, or no curvature to speak of.

    Attributes:
        unit, width: of the parameter, and of its prior.
        expected, observed: with the other parameters of the user held, 1 / sqrt of the diagonal.
        expected_profiled, observed_profiled: with these profiled, too, their priors left out.
    """

    unit: str
    width: float
    expected: float | None
    observed: float | None
    expected_profiled: float | None
    observed_profiled: float | None

    def to_json(self) -> dict[str, Any]:
        """Fields for `json.dumps`."""
        return {
            "unit": self.unit,
            "prior_width": self.width,
            "expected": self.expected,
            "observed": self.observed,
            "expected_profiled": self.expected_profiled,
            "observed_profiled": self.observed_profiled,
        }


@dataclass(frozen=True)
class Fisher:
    """Information about the user's parameters.

    Attributes:
        names: of the parameters, in the order of the matrices. `units`, `widths`: of each, and of its prior.
        experiments: names of the parts of the information, experiments first.
        point: the point, or the centre of the points.
        where, observed_where: in words, where the expected and the observed information were taken.
        points: number of points that it is a mean over.
        expected, observed: (parameter, parameter) information in prior widths, nuisances and theory inputs profiled out.
        directions: from best to worst constrained, then those without information, blind ones last.
        sensitivities: of every parameter.
        converged: whether the nuisances were fitted, and the region of the points found.
        problems: what was not, in words.
    """

    names: tuple[str, ...]
    units: dict[str, str]
    widths: dict[str, float]
    experiments: tuple[str, ...]
    point: dict[str, float]
    where: str
    observed_where: str
    points: int
    expected: np.ndarray
    observed: np.ndarray
    directions: tuple[Direction, ...]
    sensitivities: dict[str, Sensitivity]
    problems: tuple[str, ...]

    @property
    def converged(self) -> bool:
        """Whether nothing went wrong."""
        return not self.problems

    @property
    def blind(self) -> tuple[Direction, ...]:
        """The directions that the likelihood does not depend on."""
        return tuple(d for d in self.directions if d.blind)

    def to_json(self) -> dict[str, Any]:
        """As values for `json.dumps`; numbers that are not known are nan."""
        return {
            "parameters": {name: s.to_json() for name, s in self.sensitivities.items()},
            "directions": [d.to_json() for d in self.directions],
            "blind": [{"composition": d.composition, "cause": d.cause} for d in self.blind],
            "experiments": list(self.experiments),
            "point": self.point,
            "where": self.where,
            "observed_where": self.observed_where,
            "points": self.points,
            "information": {"names": list(self.names), "expected": self.expected.tolist(), "observed": self.observed.tolist()},
            "converged": self.converged,
            "problems": list(self.problems),
        }


def fisher(
    run: Any,
    at: Point | None = None,
    *,
    starts: int = 8,
    seed: int = 0,
    progress: Progress | None = None,
    stores: Stores | None = None,
) -> Fisher:
    """Expected and observed information about the user's parameters, direction by direction and experiment by experiment.

    Args:
        run: a run, or its joint likelihood.
        at: parameter -> value, where to take it; parameters of the user that are left out are 0 (those of models at their nominal
            value), nuisances and theory inputs that are left out are fitted to the data there. None: a mean over points around
            the Standard Model, see `nmmfit.inference.region`.
        starts: scattered starts of the fit of the nuisances, >= 1. `seed`: of the scatter, >= 0.
        progress: called with (points done, points in all at most).
        stores: where finished minimisations, and rounds of the mean, are kept, and taken from; None: nowhere.
    Raises: UserInputError for a name that does not exist, a value that is no number or outside its range, a wrong number, or a
        likelihood in which nothing of the user's is free.
    """
    require_double_precision()
    joint = run if isinstance(run, JointLikelihood) or not hasattr(run, "joint") else run.joint()
    space = space_of(joint)
    whole_number(starts, "fisher: starts", 1)
    whole_number(seed, "fisher: seed", 0)
    if not len(space.own):
        raise UserInputError("fisher: no coefficient of this likelihood is free")
    problems: list[str] = []
    how: dict[str, Any] = {"starts": starts, "seed": seed, "store": store_of_minima(stores)}
    centre = _centre(space, _checked(space, at), how, problems)
    axes = Axes(space, centre)
    if at is None:
        centre, words = off_zero(axes)
        axes = Axes(space, centre)
        found, moved = region(axes, progress, problems, how["store"])
        where = words if moved == 1 else f"{words}; mean over {moved} points one expected standard deviation around it"
    else:
        found = [information_at(axes, centre)]
        given = ", ".join(f"{name} = {float(value):.4g}" for name, value in at.items())
        where = f"{given or 'coefficients 0'}; all else of the user's at 0 or nominal, nuisances and theory inputs fitted there"
    observed, seen_at = _observed(axes, at is None, how, problems)
    return _result(axes, found, observed, (where, seen_at), tuple(problems))


def _checked(space: Space, at: Point | None) -> dict[str, float]:
    """The point as plain numbers. Raises: UserInputError."""
    if at is None:
        return {}
    if not isinstance(at, Mapping):
        raise UserInputError(f"fisher: at: expected a mapping of parameter names to values, got {type(at).__name__}")
    for name in at:
        if name not in space.names:
            raise unknown("parameter", str(name), space.names, "fisher: at")
    space.vector(at, "fisher: at")
    return {name: float(value) for name, value in at.items()}


def _centre(space: Space, at: Mapping[str, float], how: Mapping[str, Any], problems: list[str]) -> np.ndarray:
    """The vector with the user's parameters and what `at` names held, everything else fitted to the data; `how`: see `fit`."""
    nominal = space.point(space.start)
    held = {name: nominal[name] for i, name in enumerate(space.names) if i in space.own} | dict(at)
    if set(held) >= set(space.names):
        return space.vector(held)
    best = fit(space.joint, fixed=held, **how)
    if not best.converged:
        problems.append("the fit of nuisances and theory inputs")
    return space.vector(best.point)


def _observed(axes: Axes, at_best: bool, how: Mapping[str, Any], problems: list[str]) -> tuple[np.ndarray, str]:
    """Observed information about the user's parameters in prior widths, at the best fit or at the centre, and where in words."""
    z, words = axes.centre, "the same point"
    if at_best:
        best = fit(axes.space.joint, **how)
        z, words = axes.space.vector(best.point), "the best fit of everything"
        if not best.converged:
            problems.append("the best fit")
    here = Axes(axes.space, z)
    return here.scaled(about_own(here, observed_information(axes.space, z)).matrix), words


def _result(axes: Axes, found: Sequence[Here], observed: np.ndarray, where: tuple[str, str], problems: tuple[str, ...]) -> Fisher:
    matrix = mean_information(axes, found)
    bare = axes.scaled(np.mean([h.expected.total[np.ix_(axes.index, axes.index)] for h in found], axis=0))
    values, vectors, without = split_by_information(matrix, float(np.max(np.linalg.eigvalsh(bare), initial=0.0)))
    parts = (*(e.name for e in axes.space.joint.experiments), SHARED)
    directions = [
        Direction(
            axes.composition(v),
            float(value),
            float(v @ observed @ v),
            dict(zip(parts, _shares(axes, found, v), strict=True)),
        )
        for value, v in zip(values, vectors, strict=True)
    ]
    points = [axes.centre, *(h.z for h in found)]
    directions += without_information(axes, without, points)
    space = axes.space
    return Fisher(
        names=axes.names,
        units={name: space.units[name] for name in axes.names},
        widths=dict(zip(axes.names, map(float, axes.widths), strict=True)),
        experiments=parts,
        point=space.point(axes.centre),
        where=where[0],
        observed_where=where[1],
        points=len(found),
        expected=matrix,
        observed=observed,
        directions=tuple(directions),
        sensitivities=_sensitivities(axes, matrix, observed, values, vectors),
        problems=problems,
    )


def _shares(axes: Axes, found: Sequence[Here], v: np.ndarray) -> list[float]:
    """Shares of each part in the information along a direction (axis,)."""
    steps = [h.own.lift @ (v * axes.units) for h in found]
    parts = np.mean([np.einsum("i,kij,j->k", w, h.expected.parts, w) for h, w in zip(found, steps, strict=True)], axis=0)
    return [float(share) for share in parts / np.sum(parts)]


def _sensitivities(
    axes: Axes, expected: np.ndarray, observed: np.ndarray, values: np.ndarray, vectors: np.ndarray
) -> dict[str, Sensitivity]:
    """Standard deviations of every parameter, other parameters held and profiled."""
    fixed = np.sum(vectors**2, axis=0) > 1.0 - 1e-10
    largest = float(np.max(values, initial=0.0))
    inner = vectors @ observed @ vectors.T
    # In units of the expected errors: what curves less than WEAK_CURVATURE of that is quartic, not quadratic.
    relative = inner / np.sqrt(np.outer(values, values))
    curved = len(values) > 0 and float(np.min(np.linalg.eigvalsh(relative))) > WEAK_CURVATURE
    made = {}
    for k, name in enumerate(axes.names):
        v, reached = vectors[:, k], expected[k, k] > 1e-14 * largest
        sds = (
            float(expected[k, k] ** -0.5) if reached else None,
            sd_of_curvature(float(observed[k, k]), float(expected[k, k])) if reached else None,
            float(np.sum(v**2 / values)) ** 0.5 if fixed[k] else None,
            float(v @ np.linalg.solve(inner, v)) ** 0.5 if fixed[k] and curved else None,
        )
        width = float(axes.widths[k])
        made[name] = Sensitivity(axes.space.units[name], width, *(None if sd is None else width * sd for sd in sds))
    return made
