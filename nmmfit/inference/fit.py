"""Best fits: maximum likelihood, or posterior mode, with errors from the Hessian where it defines any."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.checks import whole_number
from nmmfit.durable import ChunkStore
from nmmfit.errors import UserInputError
from nmmfit.inference.batches import Program
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.minimise import Objective, Progress
from nmmfit.inference.profiling import Job, Profiler
from nmmfit.inference.space import Space, compensators, space_of
from nmmfit.inference.vector import NegativeLogPosterior
from nmmfit.precision import require_double_precision
from nmmfit.shapes import Array

WEAK_CURVATURE = 1e-2
"""Curvature per squared unit of sensitivity below which a direction has no error: flat, or quartic at its minimum."""

WEAK_REACH = 3.0
"""Units of sensitivity over which a quartic direction may extend."""

DIFFERENCE_STEP = 3e-4
"""Step of the differences that make the Hessian, in natural steps."""


@dataclass(frozen=True)
class FitResult:
    """A best fit.

    Attributes:
        kind: "maximum likelihood" (coefficient priors do not enter) or "posterior mode".
        point: parameters at the minimum; along exactly flat directions the smallest coefficients, in natural steps.
        units: unit of every parameter.
        errors: one standard deviation from the inverse Hessian; None where the likelihood has no curvature: see `limits`.
        identified: identified quantities at the minimum, in their units.
        value: minus log likelihood with constraints (and priors for the posterior mode) at the minimum.
        gradient_norm: norm of the gradient in scaled coordinates. `distance`: estimated height above the true minimum.
        converged: whether that is small, with no way down.
        flat: coefficients that the data do not fix, each with its reason in words.
        minima: other distinct minima, (delta_chi2, point); mirror images under a sign symmetry are among them.
        covariance: inverse Hessian (parameter, parameter) in the order of `point`, directions without curvature left out.
    """

    kind: str
    point: dict[str, float]
    units: dict[str, str]
    errors: dict[str, float | None]
    identified: dict[str, float]
    value: float
    gradient_norm: float
    distance: float
    converged: bool
    flat: dict[str, str]
    minima: tuple[tuple[float, dict[str, float]], ...]
    covariance: np.ndarray

    def to_json(self) -> dict[str, Any]:
        """Everything but the covariance, for `json.dumps`."""
        return {
            "kind": self.kind,
            "converged": self.converged,
            "value": self.value,
            "gradient_norm": self.gradient_norm,
            "distance": self.distance,
            "parameters": {n: {"value": v, "error": self.errors[n], "unit": self.units[n]} for n, v in self.point.items()},
            "identified": self.identified,
            "flat": self.flat,
            "minima": [{"delta_chi2": height, "point": point} for height, point in self.minima],
        }


def flat_reason(name: str, others: list[str]) -> str:
    """In words why a coefficient is not bounded, from `compensators`."""
    if not others:
        return f"flat direction: nothing in the data depends on {name}"
    return f"flat direction: {', '.join(others)} compensate{'s' if len(others) == 1 else ''} {name} exactly"


def fit(
    joint: JointLikelihood,
    *,
    fixed: Mapping[str, float] | None = None,
    posterior_mode: bool = False,
    starts: int = 8,
    seed: int = 0,
    progress: Progress | None = None,
    store: ChunkStore | None = None,
) -> FitResult:
    """Best fit of a joint likelihood, from several starts.

    Args:
        joint: the joint likelihood.
        fixed: parameters held at these values.
        posterior_mode: include the priors of coefficients (the mode depends on the choice of variables); else they do not enter.
        starts: scattered starts besides the nominal one, >= 1.
        seed: of the scatter, >= 0.
        progress: called with (starts done, starts in all).
        store: where finished minimisations are kept, and taken from; None: nowhere.
    Returns: the lowest minimum; `converged` says whether it is one.
    Raises: UserInputError for a name in `fixed` that is no parameter, a value that is not finite, or a wrong number.
    """
    require_double_precision()
    space = space_of(joint)
    if not space.n:
        raise UserInputError("fit: nothing is free: every parameter, theory input and nuisance is held")
    whole_number(starts, "fit: starts", 1)
    whole_number(seed, "fit: seed", 0)
    start = space.vector(fixed or {}, "fixed")
    held = [space.index(name, "fixed") for name in (fixed or {})]
    free = np.setdiff1d(np.arange(space.n), held)
    objective, quadratic, linear = _objective(space, posterior_mode)
    profiler = Profiler(space, objective, seed=seed, progress=progress, store=store)
    job = profiler.job(None, start=start, free=free, quadratic=quadratic, linear=linear)
    job.slide = not posterior_mode
    profiler.find_modes([job], starts)
    return _result(profiler, job, posterior_mode)


def _objective(space: Space, posterior_mode: bool) -> tuple[Objective, np.ndarray, np.ndarray]:
    """Function and added terms; normal priors are added as data, so that both kinds of fit share one compiled function."""
    quadratic, linear = np.zeros(space.n), np.zeros(space.n)
    if not posterior_mode:
        return space.nll, quadratic, linear
    priors = [space.joint.parameters[i] for i in space.coefficients]
    if not all(p.is_normal for p in priors):
        return NegativeLogPosterior(space.joint), quadratic, linear
    for i, p in zip(space.coefficients, priors, strict=True):
        quadratic[i] = float(p.prior.scale) ** -2.0
        linear[i] = -float(p.prior.loc) * quadratic[i]
    return space.nll, quadratic, linear


def _result(profiler: Profiler, job: Job, posterior_mode: bool) -> FitResult:
    space = profiler.space
    best = job.modes[0]
    final = profiler.minimise([job], best[None])
    x = final.x[0]
    flat = {}
    if not posterior_mode:
        for i in np.intersect1d(job.free, space.coefficients):
            found = compensators(space, x, space.names[i], list(job.free))
            if found is not None:
                flat[space.names[i]] = flat_reason(space.names[i], found[1])
    curvature = scaled_hessian(profiler.objective, x, job.basis) + job.basis.T @ np.diag(job.quadratic) @ job.basis
    errors, covariance = hessian_errors(job, curvature, space.ranges.stretch(x), flat)
    point = space.point(x)
    values = space.joint.identified_values(point)
    value = float(final.value[0])
    if posterior_mode and np.any(job.quadratic):
        # the added terms leave out the priors' constants
        value = -float(space.joint.log_prob(point))
    return FitResult(
        kind="posterior mode" if posterior_mode else "maximum likelihood",
        point=point,
        units=dict(space.units),
        errors=dict(zip(space.names, errors, strict=True)),
        identified={name: float(v) for name, v in values.items()},
        value=value,
        gradient_norm=float(final.gradient_norm[0]),
        distance=float(final.distance[0]),
        converged=bool(final.converged[0]),
        flat=flat,
        minima=tuple(
            (2.0 * float(height - job.best_value), space.point(mode))
            for mode, height in zip(job.modes[1:], job.mode_values[1:], strict=True)
        ),
        covariance=covariance,
    )


def gradients_of(objective: Objective, points: np.ndarray | Array) -> Array:
    """Gradients (point, n) of a function at points (point, n), compiled once per number of points."""
    found: Array = Program(_gradients, (objective,)).run(jnp.asarray(points), ())
    return found


def _gradients(objective: Objective, points: Array, _: tuple[()]) -> Array:
    return _mapped_gradients(objective, points)


@partial(jax.jit, static_argnames="objective")
def _mapped_gradients(objective: Objective, points: Array) -> Array:
    return jax.lax.map(jax.grad(objective), points, batch_size=16)


def scaled_hessian(objective: Objective, x: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Hessian (n, n) in the coordinates of a basis (n, n), by central differences of the exact gradient.

    Relative error about 1e-6; a second derivative by the compiler would cost several times as much to compile.
    """
    steps = DIFFERENCE_STEP * basis.T
    gradients = np.asarray(gradients_of(objective, jnp.asarray(np.concatenate([x + steps, x - steps]))))
    change = (gradients[: len(steps)] - gradients[len(steps) :]) @ basis / (2.0 * DIFFERENCE_STEP)
    return np.asarray(0.5 * (change + change.T))


def hessian_errors(
    job: Job, hessian: np.ndarray, stretch: np.ndarray, flat: Collection[str]
) -> tuple[list[float | None], np.ndarray]:
    """Standard deviations and covariance of the parameters; None where the likelihood has no curvature.

    Args:
        job: the fit.
        hessian: (n, n) in the coordinates of its basis.
        stretch: (n,) derivative of the parameters with respect to the vector.
        flat: names of coefficients that an exactly flat direction moves.
    """
    space = job.space
    values, vectors = np.linalg.eigh(hessian)
    columns = job.basis @ vectors
    length = np.linalg.norm(columns / space.scale[:, None], axis=0)
    moves = length > 1e-12
    weak = moves & (values < WEAK_CURVATURE)
    strong = moves & ~weak
    covariance = (columns[:, strong] / values[strong]) @ columns[:, strong].T * np.outer(stretch, stretch)
    errors: list[float | None] = []
    for i in range(space.n):
        # a quartic direction drags the parameter so far and no further
        dragged = WEAK_REACH**2 * float(np.sum((columns[i, weak] * stretch[i]) ** 2))
        held = i in job.free and space.names[i] not in flat
        defined = held and covariance[i, i] > 0 and dragged < 0.01 * covariance[i, i]
        errors.append(float(np.sqrt(covariance[i, i])) if defined else None)
    return errors, covariance
