"""How well experiments constrain directions in the space of the user's parameters, and which of them constrains which.

The information about the parameters, nuisances and theory inputs profiled out, in units of their prior widths, has eigenvectors:
directions from best to worst constrained. Before it is profiled the information is a sum over experiments (and constraint terms),
so that v^T S v = sum_e w^T F_e w with w = (v, what nuisances do when the parameters move along v) shares it out.

Where it is taken. Rates are quadratic in most couplings, hence at the Standard Model the information about them vanishes, and at
any one point it says which way that point may move, not how far a coupling can be from zero. Unless a point is given it is
therefore a mean over points around the Standard Model (coefficients 0, everything else fitted to the data): with C the
covariance that it leaves together with the priors and c_k, w_k the eigenvalues and eigenvectors of C, r of them not exactly
flat, the points are +- sqrt(r c_k) w_k. This third-degree rule has covariance C, so that for quadratic rates, as far as variances
stay as they are, the mean is the information averaged over the region that the data would leave. C = (1 + S(C))^-1 is found by
iteration, the geometric mean of both sides in place of C. In one dimension, with delta chi2 = d^4 / s^4, the result is an error
of s / sqrt(2) at d = s / sqrt(2).

The observed information is taken at the best fit, unless a point is given; elsewhere a Hessian need not be positive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from nmmfit.checks import whole_number
from nmmfit.errors import UserInputError, unknown
from nmmfit.inference.directions import Axes, Direction, sd_of_curvature, split_by_information, without_information
from nmmfit.inference.fit import WEAK_CURVATURE, fit
from nmmfit.inference.information import (
    SHARED,
    Expected,
    Profiled,
    counts_information,
    expected_information,
    observed_information,
    profiled,
)
from nmmfit.inference.joint import JointLikelihood, Point
from nmmfit.inference.minimise import Progress
from nmmfit.inference.space import Space, space_of
from nmmfit.precision import require_double_precision

MOST_ROUNDS = 20
"""Iterations of the region that the information is averaged over."""

SETTLED = 1e-3
"""Relative change of the region's size along any direction at which the iteration ends."""

MOST_HALVINGS = 60
"""How often couplings of a model are halved on the way from a natural step to where counts change by one standard deviation."""


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


def fisher(run: Any, at: Point | None = None, *, starts: int = 8, seed: int = 0, progress: Progress | None = None) -> Fisher:
    """Expected and observed information about the user's parameters, direction by direction and experiment by experiment.

    Args:
        run: a run, or its joint likelihood.
        at: parameter -> value, where to take it; parameters of the user that are left out are 0 (those of models at their nominal
            value), nuisances and theory inputs that are left out are fitted to the data there. None: a mean over points around
            the Standard Model, see the module.
        starts: scattered starts of the fit of the nuisances, >= 1. `seed`: of the scatter, >= 0.
        progress: called with (points done, points in all at most).
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
    centre = _centre(space, _checked(space, at), starts, seed, problems)
    axes = Axes(space, centre)
    if at is None:
        centre, words = _off_zero(axes)
        axes = Axes(space, centre)
        found, moved = _region(axes, progress, problems)
        where = words if moved == 1 else f"{words}; mean over {moved} points one expected standard deviation around it"
    else:
        found = [_at(axes, centre)]
        given = ", ".join(f"{name} = {float(value):.4g}" for name, value in at.items())
        where = f"{given or 'coefficients 0'}; all else of the user's at 0 or nominal, nuisances and theory inputs fitted there"
    observed, seen_at = _observed(axes, at is None, starts, seed, problems)
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


def _centre(space: Space, at: Mapping[str, float], starts: int, seed: int, problems: list[str]) -> np.ndarray:
    """The vector with the user's parameters and what `at` names held, everything else fitted to the data."""
    nominal = space.point(space.start)
    held = {name: nominal[name] for i, name in enumerate(space.names) if i in space.own} | dict(at)
    if set(held) >= set(space.names):
        return space.vector(held)
    best = fit(space.joint, fixed=held, starts=starts, seed=seed)
    if not best.converged:
        problems.append("the fit of nuisances and theory inputs")
    return space.vector(best.point)


def _observed(axes: Axes, at_best: bool, starts: int, seed: int, problems: list[str]) -> tuple[np.ndarray, str]:
    """Observed information about the user's parameters in prior widths, at the best fit or at the centre, and where in words."""
    z, words = axes.centre, "the same point"
    if at_best:
        best = fit(axes.space.joint, starts=starts, seed=seed)
        z, words = axes.space.vector(best.point), "the best fit of everything"
        if not best.converged:
            problems.append("the best fit")
    here = Axes(axes.space, z)
    return here.scaled(_own(here, observed_information(axes.space, z)).matrix), words


@dataclass(frozen=True)
class _Here:
    """Expected information at one vector: in parts, and about the user's parameters, in units of the vector."""

    z: np.ndarray
    expected: Expected
    own: Profiled


def _own(axes: Axes, total: np.ndarray) -> Profiled:
    return profiled(total, axes.index, axes.space.scale)


def _at(axes: Axes, z: np.ndarray) -> _Here:
    expected = expected_information(axes.space, z)
    return _Here(z, expected, _own(axes, expected.total))


def _mean(axes: Axes, found: Sequence[_Here]) -> np.ndarray:
    return axes.scaled(np.mean([h.own.matrix for h in found], axis=0))


def _off_zero(axes: Axes) -> tuple[np.ndarray, str]:
    """The centre and what it is in words; couplings of a model, products of which rates depend on, are moved off zero."""
    space = axes.space
    fitted = "nuisances and theory inputs fitted to the data"
    if len(axes.coefficients) == axes.size:
        return axes.centre, f"the Standard Model, {fitted}"
    words = f"coefficients 0, parameters of the model at their nominal values, {fitted}"
    couplings = [i for i in space.own if space.kinds[i] == "model" and space.joint.parameters[i].is_unbounded]
    if not couplings:
        return axes.centre, words
    mean = np.asarray(space.nll.counts(jnp.asarray(axes.centre)))
    weights = counts_information(space, mean)
    for power in range(MOST_HALVINGS):
        z = axes.centre.copy()
        z[couplings] += space.scale[couplings] * 0.5**power
        # One standard deviation of the counts, nuisances held.
        if np.sum(weights * (np.asarray(space.nll.counts(jnp.asarray(z))) - mean) ** 2) <= 1.0:
            break
    return (
        z,
        f"{words}; its couplings {0.5**power:.3g} natural steps higher, where counts change by one standard deviation or less",
    )


def _region(axes: Axes, progress: Progress | None, problems: list[str]) -> tuple[list[_Here], int]:
    """Information at the points of the region that it leaves itself, and their number; at the centre if nothing moves."""
    places = axes.coefficients
    index = axes.index[places]
    steps = axes.space.basis(axes.centre)[np.ix_(index, index)] / axes.units[places, None]
    flat = axes.flat(axes.centre)[:, places]
    keep = np.eye(len(places)) - flat.T @ flat
    rank = len(places) - len(flat)
    if rank == 0:
        return [_at(axes, axes.centre)], 1
    span = np.linalg.eigh(keep)[1][:, len(flat) :]
    covariance = span.T @ steps @ steps.T @ span
    most = 2 * rank * MOST_ROUNDS
    for done in range(1, MOST_ROUNDS + 1):
        points = []
        for value, vector in zip(*(part.T for part in np.linalg.eigh(covariance)), strict=True):
            step = np.zeros(axes.size)
            step[places] = np.sqrt(rank * value) * (span @ vector)
            points += [axes.moved(step), axes.moved(-step)]
        found = []
        for z in points:
            found.append(_at(axes, z))
            if progress is not None:
                progress((done - 1) * len(points) + len(found), most)
        information = span.T @ _mean(axes, found)[np.ix_(places, places)] @ span
        covariance, change = _between(covariance, np.linalg.inv(np.eye(rank) + information))
        if change < SETTLED:
            if progress is not None:
                progress(most, most)
            return found, len(points)
    problems.append("the region over which the information is averaged")
    return found, len(points)


def _between(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, float]:
    """Geometric mean of two positive matrices, and the largest relative change of a width from the first to it."""
    values, vectors = np.linalg.eigh(a)
    root = (vectors * np.sqrt(values)) @ vectors.T
    inverse = (vectors / np.sqrt(values)) @ vectors.T
    ratios, turned = np.linalg.eigh(inverse @ b @ inverse)
    mean = root @ (turned * np.sqrt(ratios)) @ turned.T @ root
    return 0.5 * (mean + mean.T), float(np.max(np.abs(0.25 * np.log(ratios))))


def _result(
    axes: Axes, found: Sequence[_Here], observed: np.ndarray, where: tuple[str, str], problems: tuple[str, ...]
) -> Fisher:
    matrix = _mean(axes, found)
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


def _shares(axes: Axes, found: Sequence[_Here], v: np.ndarray) -> list[float]:
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
