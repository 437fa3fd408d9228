"""The space that fits and profiles move in: natural steps, directions that keep the amplitudes, exactly flat directions.

Coefficients enter rates only through a few low-energy amplitudes A = M(theory) c, linear in them. In steps of the
coefficients themselves a fit would have to walk along thin valleys (a tensor moved alone drags the dipole with it, through
c_T); in a metric that counts changes of amplitude as long, a coefficient that is moved takes along what keeps the amplitudes.
Where M has a null space, the likelihood is exactly flat along it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from nmmfit.checks import finite_number
from nmmfit.errors import UserInputError, unknown
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.sensitivity import amplitude_sensitivity, sensitivity_by_experiment
from nmmfit.inference.shear import Shear, dipole_shear
from nmmfit.inference.vector import NegativeLogLikelihood, Quantities, Ranges
from nmmfit.physics.amplitude_basis import merged_monomials
from nmmfit.templates import relevant_coordinates

NULL_TOLERANCE = 1e-9
"""Singular values of the scaled amplitude matrix below this fraction of the largest are zero: double precision leaves 1e-13."""


@dataclass(frozen=True)
class Target:
    """What is profiled: a parameter or an identified quantity, as weights on (vector, quantities).

    `positive`: a size, >= 0. `linear`: an entry of the vector itself. `range`: the values that it may have.
    """

    name: str
    unit: str
    weights: np.ndarray
    positive: bool
    linear: bool
    range: tuple[float, float] = (-np.inf, np.inf)


def space_of(joint: Any) -> Space:
    """The space of a joint likelihood, made once.

    Raises: UserInputError for anything else, such as a run.
    """
    if not isinstance(joint, JointLikelihood):
        hint = "; call its .joint()" if hasattr(joint, "joint") else ""
        raise UserInputError(f"expected a JointLikelihood, got {type(joint).__name__}{hint}")
    if "space" not in joint.compiled:
        joint.compiled["space"] = Space(joint)
    space: Space = joint.compiled["space"]
    return space


class Space:
    """Arrays that describe the vector of a joint likelihood, in the order of its names."""

    def __init__(self, joint: Any) -> None:
        self.joint = joint
        self.names: tuple[str, ...] = tuple(joint.names)
        parameters = {p.name: p for p in joint.parameters}
        ordered = [parameters[name] for name in self.names]
        self.units = {p.name: p.unit for p in ordered}
        self.ranges = Ranges(joint)
        bounded = [i for i, _ in self.ranges.bounded]
        self.bounded = tuple(self.names[i] for i in bounded)
        self.start = self.ranges.from_parameters(np.array([float(p.start) for p in ordered]))
        self.scale = np.array([float(p.scale) for p in ordered])
        self.scale[bounded] = 1.0
        self.kinds = np.array([p.kind for p in ordered])
        self.coefficients = np.flatnonzero(self.kinds == "coefficient")
        self.own = np.flatnonzero((self.kinds == "coefficient") | (self.kinds == "model"))
        self.theory = np.flatnonzero(self.kinds == "theory")
        self.nll = NegativeLogLikelihood(joint)
        self.quantities = Quantities(joint)
        self.identified = tuple(joint.identified)

    def __reduce__(self) -> Any:
        """In another process it is that of the likelihood there."""
        return space_of, (self.joint,)

    @property
    def n(self) -> int:
        """Length of the vector."""
        return len(self.names)

    @property
    def n_quantities(self) -> int:
        """Number of functions that a constraint may use besides the vector."""
        return len(self.identified) + len(self.bounded)

    def point(self, z: np.ndarray) -> dict[str, float]:
        """Parameters by name at a vector (n,)."""
        return dict(zip(self.names, map(float, np.asarray(self.ranges.to_parameters(z))), strict=True))

    def nll_at(self, z: np.ndarray) -> float:
        """Minus log likelihood with constraints at a vector (n,)."""
        return float(self.joint.nll(self.point(z)))

    def theory_at(self, z: np.ndarray) -> dict[str, Any]:
        """Theory inputs at a vector (n,)."""
        theory: dict[str, Any] = self.joint.split(self.ranges.to_parameters(z))[1]
        return theory

    def index(self, name: str, where: str = "") -> int:
        """Place of a parameter. Raises: UserInputError with the nearest match for a name that does not exist."""
        if name not in self.names:
            raise unknown("parameter", name, self.names, where)
        return self.names.index(name)

    def target(self, name: str) -> Target:
        """A parameter or an identified quantity by name. Raises: UserInputError for any other name."""
        weights = np.zeros(self.n + self.n_quantities)
        for k, item in enumerate(self.identified):
            if item.name == name:
                weights[self.n + k] = 1.0
                return Target(name, item.unit, weights, True, False)
        if name not in self.names:
            raise unknown("parameter or identified quantity", name, [*self.names, *(i.name for i in self.identified)])
        if name in self.bounded:
            weights[self.n + len(self.identified) + self.bounded.index(name)] = 1.0
            support = self.joint.parameters[self.names.index(name)].prior.support
            ends = (getattr(support, "lower_bound", None), getattr(support, "upper_bound", None))
            low, high = (sign * np.inf if end is None else float(end) for sign, end in zip((-1.0, 1.0), ends, strict=True))
            return Target(name, self.units[name], weights, False, False, (low, high))
        weights[self.names.index(name)] = 1.0
        return Target(name, self.units[name], weights, False, True)

    def combination(self, name: str, weights: Mapping[str, float], where: str = "combinations") -> Target:
        """A linear combination of coefficients, name -> weight, as something to profile.

        Raises: UserInputError for a name that is taken or no free coefficient, a weight that is no finite number, or no weight.
        """
        known = [self.names[i] for i in self.coefficients]
        if name in (*self.names, *(q.name for q in self.identified)):
            raise UserInputError(f"{where}: {name!r} is the name of a parameter or an identified quantity; choose another one")
        on_vector = np.zeros(self.n + self.n_quantities)
        units = set()
        for part, weight in weights.items():
            if part not in known:
                raise unknown("free coefficient", part, known, f"{where}.{name}")
            on_vector[self.names.index(part)] = finite_number(weight, f"{where}.{name}.{part}")
            units.add(self.units[part])
        if not np.any(on_vector):
            raise UserInputError(f"{where}.{name}: a combination needs a coefficient with a weight that is not zero")
        return Target(name, units.pop() if len(units) == 1 else "mixed", on_vector, False, True)

    def alone(self, target: Target) -> tuple[np.ndarray, np.ndarray]:
        """What an identified quantity is made of alone, all amplitudes outside it zero.

        Returns: displacements (k, n) of the coefficients that excite nothing else that is seen (at nominal theory inputs; k may
            be 0), and the indices of theory inputs that must stay at nominal for that.
        """
        factor = self.quantities.factors[int(np.flatnonzero(target.weights[self.n :])[0])]
        outside = ~np.any(factor != 0, axis=0) & np.any(self.seen != 0, axis=0)

        def rows(x: np.ndarray) -> np.ndarray:
            every = self.linear_amplitudes(x)
            return np.asarray(every[outside] * self.scale[self.coefficients])

        others = rows(self.start)
        norms = np.linalg.norm(others, axis=1)
        others = others[norms > 0] / norms[norms > 0, None]
        if len(others):
            _, singular, right = np.linalg.svd(others, full_matrices=True)
            right = right[int(np.sum(singular > NULL_TOLERANCE * singular[0])) :]
        else:
            right = np.eye(len(self.coefficients))
        held = []
        for i in self.theory:
            moved = self.start.copy()
            moved[i] += self.scale[i]
            change = rows(moved)[norms > 0] / norms[norms > 0, None] @ right.T
            if np.any(np.abs(change) > 1e-9):
                held.append(i)
        within = np.zeros((len(right), self.n))
        within[:, self.coefficients] = right * self.scale[self.coefficients]
        return within, np.asarray(held, dtype=int)

    def dimension(self, target: Target, free: np.ndarray) -> int:
        """Number of components of a target's vector that the free coefficients can move; 1 for a parameter."""
        if not target.positive:
            return 1
        factor = self.quantities.factors[int(np.flatnonzero(target.weights[self.n :])[0])]
        matrix = factor @ self.linear_amplitudes(self.start) * self.scale[self.coefficients]
        columns = matrix[:, np.isin(self.coefficients, free)]
        return max(1, int(np.linalg.matrix_rank(columns)))

    def vector(self, point: Mapping[str, float], where: str = "point") -> np.ndarray:
        """The start vector with the given parameters replaced.

        Raises: UserInputError for an unknown name, or a value that is not a finite number within the range of its prior.
        """
        x = np.array(self.ranges.to_parameters(self.start))
        for name, value in point.items():
            x[self.index(name, where)] = self._allowed(name, finite_number(value, f"{where}: {name}"), where)
        return self.ranges.from_parameters(x)

    def _allowed(self, name: str, value: float, where: str) -> float:
        """The value, where the prior of a theory input or nuisance does not exclude it."""
        if name in self.bounded:
            prior = self.joint.parameters[self.names.index(name)].prior
            if not bool(prior.support(value)):
                raise UserInputError(f"{where}: {name} = {value:g} lies outside the range of its prior")
        return value

    @cached_property
    def seen(self) -> np.ndarray:
        """(row, amplitude): the combinations of amplitudes that some experiment depends on, in units of their sensitivity."""
        return self.seen_by(None)

    def seen_by(self, experiment: int | None) -> np.ndarray:
        """The same of one experiment alone, or of all (None).

        An experiment sees the amplitudes a through quadratic forms a^T Q a and, of those that interfere with the Standard Model,
        through linear ones b . a; what all Q and b send to zero is not seen.
        """
        joint, size = self.joint, self.joint.amplitudes.size
        forms = []
        upper = np.triu_indices(size)
        for k in range(len(joint.experiments)) if experiment is None else (experiment,):
            if joint.method == "templates":
                weights = joint.templates[k].monomials.weights
            else:
                one = joint.experiments[k]
                relevant = relevant_coordinates(one, joint.amplitudes)
                if not np.any(relevant):
                    continue
                weights = merged_monomials(joint.amplitudes, relevant, one.is_massive).weights
            for row in weights[:, 1:]:
                square = np.zeros((size, size))
                square[upper] = 0.5 * row[: len(joint.amplitudes.pairs)]
                forms.append(square + square.T)
                if joint.amplitudes.linear:
                    alone = np.zeros((1, size))
                    alone[0, joint.amplitudes.linear] = row[len(joint.amplitudes.pairs) :]
                    forms.append(alone)
        if not forms or not size:
            return np.zeros((0, size))
        _, singular, right = np.linalg.svd(np.concatenate(forms))
        rows = right[: int(np.sum(singular > NULL_TOLERANCE * max(singular[0], 1e-300)))]
        sizes = amplitude_sensitivity(joint) if experiment is None else self._sensitivities[experiment]
        strength = np.sqrt(rows**2 @ sizes**-2.0)
        return np.asarray(rows * strength[:, None])

    @cached_property
    def _sensitivities(self) -> np.ndarray:
        """(experiment, amplitude); all in one evaluation."""
        return sensitivity_by_experiment(self.joint)

    def amplitudes(self, x: np.ndarray, seen: np.ndarray | None = None) -> np.ndarray:
        """(row, coefficient): what is `seen` of a unit of each coefficient, at the theory inputs of x; None: by all."""
        return np.asarray((self.seen if seen is None else seen) @ self.linear_amplitudes(x))

    def linear_amplitudes(self, x: np.ndarray) -> np.ndarray:
        """(amplitude, coefficient): amplitudes of a unit of each free coefficient, at the theory inputs of a vector."""
        every = np.asarray(self.joint.linear_amplitudes(self.theory_at(x)), dtype=float)
        return every[:, : len(self.coefficients)]

    def scaled_amplitudes(self, x: np.ndarray, free: np.ndarray, seen: np.ndarray | None = None) -> np.ndarray:
        """(row, coefficient): the same for natural steps of the coefficients `free`; zero rows left out."""
        among = np.isin(self.coefficients, free)
        rows = self.amplitudes(x, seen)[:, among] * self.scale[self.coefficients[among]]
        return np.asarray(rows[np.linalg.norm(rows, axis=1) > 0])

    def basis(
        self,
        x: np.ndarray,
        free: Iterable[int] | None = None,
        within: np.ndarray | None = None,
        seen: np.ndarray | None = None,
    ) -> np.ndarray:
        """Displacements (n, n) for the free coordinates: natural steps, coefficients in the metric that keeps the amplitudes.

        A step along what is seen changes what is seen by one unit of sensitivity, be it many widths of a prior, which is no part
        of what is minimised; along what nobody sees it is a natural step of the coefficients.

        Args:
            x: the point at whose theory inputs amplitudes are taken.
            free: indices that may move; None: all.
            within: displacements (k, n) of the free coefficients that they are restricted to; None: all of them.
            seen: of `seen_by`; None: what all experiments see.
        Returns: columns of what is held are zero.
        """
        free_ = np.arange(self.n) if free is None else np.asarray(sorted(free), dtype=int)
        matrix = np.zeros((self.n, self.n))
        matrix[free_, free_] = self.scale[free_]
        moving = np.intersect1d(free_, self.coefficients)
        if len(moving):
            span = np.eye(len(moving))
            if within is not None:
                span, _ = np.linalg.qr((within / self.scale)[:, moving].T)
            steps = span @ natural_steps(self.scaled_amplitudes(x, moving, seen), span) @ span.T
            matrix[np.ix_(moving, moving)] = self.scale[moving, None] * steps
        return matrix

    @cached_property
    def _all_shear(self) -> np.ndarray | None:
        """`Shear.back` where every coefficient is free; None if no dipole follows a theory input."""
        if not len(self.coefficients) or not len(self.theory):
            return None
        nominal = np.asarray(self.joint.linear_amplitudes(self.theory_at(self.start)))
        back = dipole_shear(self.joint, nominal, self.coefficients)
        return back if np.any(back) else None

    def shear(self, x: np.ndarray, free: Iterable[int], within: np.ndarray | None = None) -> Shear | None:
        """The shear, at the theory inputs of x, that straightens where free dipoles and other coefficients cancel.

        Args: those of `basis`; coefficients that are restricted are not sheared.
        Returns: None if there is nothing to shear whatever is free, so that all problems of a likelihood are of one form.
        """
        if self._all_shear is None:
            return None
        back = np.zeros_like(self._all_shear)
        moving = np.intersect1d(np.asarray(sorted(free), dtype=int), self.coefficients)
        rows = np.asarray(self.joint.linear_amplitudes(self.theory_at(x)))
        if within is None and len(moving) == len(self.coefficients):
            back = self._all_shear
        elif within is None and len(moving):
            back[moving] = dipole_shear(self.joint, rows, moving)
        return Shear(back, rows)

    def flat_directions(self, x: np.ndarray, free: Iterable[int] | None = None) -> np.ndarray:
        """Displacements (k, n) of the free coefficients that change no amplitude, orthonormal in natural steps."""
        free_ = np.arange(self.n) if free is None else np.asarray(sorted(free), dtype=int)
        moving = np.intersect1d(free_, self.coefficients)
        if not len(moving):
            return np.zeros((0, self.n))
        rows = self.scaled_amplitudes(x, moving)
        right, rank = _seen_first(rows, len(moving))
        out = np.zeros((len(moving) - rank, self.n))
        out[:, moving] = right[rank:] * self.scale[moving]
        return out

    def shortest(self, x: np.ndarray, free: Iterable[int] | None = None) -> np.ndarray:
        """x moved along its flat directions to the smallest coefficients, in natural steps: one name for equal points."""
        flat = self.flat_directions(x, free) / self.scale
        moved = np.asarray(x, dtype=float) / self.scale
        coefficients = np.where(self.kinds == "coefficient", moved, 0.0)
        return np.asarray((moved - flat.T @ (flat @ coefficients)) * self.scale)


def _seen_first(rows: np.ndarray, size: int) -> tuple[np.ndarray, int]:
    """Orthonormal directions (size, size), as rows, those that change the amplitudes (row, size) first; and their number."""
    if not len(rows):
        return np.eye(size), 0
    # rows of unit length: a weakly seen amplitude is no rounding error
    _, singular, right = np.linalg.svd(rows / np.linalg.norm(rows, axis=1)[:, None], full_matrices=True)
    return right, int(np.sum(singular > NULL_TOLERANCE * singular[0]))


def natural_steps(rows: np.ndarray, span: np.ndarray) -> np.ndarray:
    """Symmetric matrix (k, k) of steps in which amplitudes, in units of sensitivity, change by about one.

    Args:
        rows: (row, size) amplitudes per coefficient, none of them zero.
        span: (size, k) orthonormal directions that steps are restricted to.
    Returns: steps along what is seen; directions that change no amplitude have steps of length one.
    """
    within = rows @ span
    # What such directions were made to leave alone is a rounding error there, not a weakly seen amplitude.
    within = within[np.linalg.norm(within, axis=1) > NULL_TOLERANCE * np.linalg.norm(rows, axis=1)]
    size = span.shape[1]
    right, rank = _seen_first(within, size)
    steps = np.ones(size)
    if rank:
        _, strength, turned = np.linalg.svd(within @ right[:rank].T)
        right[:rank] = turned @ right[:rank]
        steps[:rank] = 1.0 / strength[:rank]
    return np.asarray((right.T * steps) @ right)


def compensators(
    space: Space, x: np.ndarray, name: str, free: Sequence[int] | None = None
) -> tuple[np.ndarray, list[str]] | None:
    """The direction that moves a coefficient at constant amplitudes, and the names of what moves with it; None: there is none."""
    flat = space.flat_directions(x, free) / space.scale
    k = space.index(name)
    if not len(flat) or k not in space.coefficients:
        return None
    direction = flat.T @ flat[:, k]
    if direction[k] < NULL_TOLERANCE:
        return None
    direction = direction / direction[k]
    # an entry at the level of rounding takes no part
    others = [space.names[i] for i in np.flatnonzero(np.abs(direction) > 1e-7) if i != k]
    return direction * space.scale, others
