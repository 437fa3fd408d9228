"""Directions among the user's parameters: how well each is constrained, by which experiment, and which are blind.

Axes are the user's parameters in units of their prior widths, so that an eigenvalue of the information counts in units of the
prior's own. A vanishing eigenvalue alone is no blind direction: rates are quadratic in most couplings, and the information about
a coupling vanishes where the coupling does. Directions without information are therefore walked along, and only those
along which the likelihood stays as it is are called blind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmmfit.inference.combined import prior_width
from nmmfit.inference.fit import WEAK_CURVATURE
from nmmfit.inference.space import Space
from nmmfit.inference.symmetries import even_sets

ROUNDING = 1e-13
"""Information below this fraction of the largest before nuisances are profiled out is zero to rounding."""

DISTANCES = (1.0, 10.0, 1e4)
"""Prior widths at which the likelihood is looked at along a direction without information: far, for those that are only weak."""

UNCHANGED = 2e-5
"""Change of chi-square up to which the likelihood counts as unchanged."""

TAKES_PART = 1e-7
"""Entries of a direction below this fraction of its largest one are rounding."""

WORDS = {
    "dipole": "the dipole",
    "tensor_p": "the tensor coupling of protons",
    "tensor_n": "the tensor coupling of neutrons",
    "scalar_p": "the scalar coupling of protons",
    "scalar_n": "the scalar coupling of neutrons",
    "electron_s1": "scalar couplings to electrons",
    "electron_s2": "scalar couplings to electrons",
    "electron_tensor": "the tensor coupling to electrons",
    "omega": "omega decays",
    "phi": "phi decays",
    "vector_p": "the vector coupling of protons",
    "vector_n": "the vector coupling of neutrons",
    "electron_left": "vector couplings to electrons",
    "electron_right": "vector couplings to electrons",
    "charge": "the electric charge",
}
"""What an amplitude is, in words, by the field of `TargetCouplings`."""


@dataclass(frozen=True)
class Direction:
    """One direction among the user's parameters.

    Attributes:
        composition: parameter -> component of the direction, in prior widths; squares add up to 1.
        information: expected, in units of the prior's; 0 where it is zero to rounding.
        observed: the same of the data as they are; may be negative. nan: not known.
        shares: experiment (and `SHARED`) -> its share of the expected information; they add up to 1, empty without information.
        blind: of a direction without information: whether the likelihood does not depend on it.
        changes: of such a direction the largest change of chi-square at each of `DISTANCES`, in prior widths.
        cause: why there is no information, in words, as far as that can be derived; empty for all others.
    """

    composition: dict[str, float]
    information: float
    observed: float
    shares: dict[str, float]
    blind: bool = False
    changes: tuple[float, ...] = ()
    cause: str = ""

    @property
    def observed_sd(self) -> float | None:
        """The same from the observed information; None where its curvature is too small to be one, or negative."""
        return sd_of_curvature(self.observed, self.information)

    @property
    def sd(self) -> float | None:
        """Expected standard deviation along it in prior widths, the prior itself left out; None without information."""
        return float(self.information**-0.5) if self.information > 0 else None

    def to_json(self) -> dict[str, Any]:
        """Fields for `json.dumps`; numbers that are not known are nan."""
        return {
            "composition": self.composition,
            "information": self.information,
            "observed_information": self.observed,
            "sd": self.sd,
            "observed_sd": self.observed_sd,
            "shares": self.shares,
            "blind": self.blind,
            "delta_chi2_along": {f"{d:g}": x for d, x in zip(DISTANCES, self.changes, strict=True)} if self.changes else None,
            "cause": self.cause or None,
        }


def sd_of_curvature(observed: float, expected: float) -> float | None:
    """1 / sqrt of an observed information; None without one, or where the likelihood is quartic, as at a coupling of 0."""
    return float(observed**-0.5) if observed > WEAK_CURVATURE * expected > 0.0 else None


class Axes:
    """The user's parameters in units of their prior widths, around a centre.

    Attributes:
        space: of the likelihood. `centre`: vector (n,).
        names: of the parameters. `widths`: (parameter,) standard deviations of their priors, natural steps where there are none.
        units: (parameter,) a prior width in the vector, which differs from that for parameters of a model with a bounded range.
    """

    def __init__(self, space: Space, centre: np.ndarray) -> None:
        self.space, self.centre = space, centre
        self.index = space.own
        self.names = tuple(space.names[i] for i in space.own)
        self.widths = np.array([prior_width(p) for p in space.joint.own], dtype=float)
        self.units = self.widths / space.ranges.stretch(centre)[self.index]

    @property
    def size(self) -> int:
        """Number of axes."""
        return len(self.names)

    @property
    def coefficients(self) -> np.ndarray:
        """Places among the axes of coefficients, the others being parameters of a model."""
        return np.flatnonzero(np.isin(self.index, self.space.coefficients))

    def scaled(self, matrix: np.ndarray) -> np.ndarray:
        """A form (..., axis, axis) in prior widths, from one in units of the vector."""
        return np.asarray(matrix * np.outer(self.units, self.units))

    def moved(self, step: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
        """The vector (n,) at a step (axis,) in prior widths from a vector; None: the centre."""
        z = np.array(self.centre if start is None else start, dtype=float)
        z[self.index] += step * self.units
        return z

    def flat(self, z: np.ndarray) -> np.ndarray:
        """Orthonormal directions (k, axis) of the coefficients that change no amplitude at the theory inputs of a vector."""
        steps = self.space.flat_directions(z)[:, self.index] / self.units
        return _orthonormal(steps)

    def composition(self, direction: np.ndarray) -> dict[str, float]:
        """A direction by names; what is rounding left at 0, the largest entry positive."""
        size = np.abs(direction)
        kept = np.where(size > TAKES_PART * np.max(size), direction, 0.0)
        kept = kept * np.sign(kept[int(np.argmax(np.round(size, 9)))])
        return dict(zip(self.names, map(float, kept + 0.0), strict=True))


def _orthonormal(rows: np.ndarray) -> np.ndarray:
    """An orthonormal basis (k, axis) of independent rows (k, axis)."""
    return np.asarray(np.linalg.qr(rows.T)[0].T) if len(rows) else rows


def readable(rows: np.ndarray) -> np.ndarray:
    """The span of orthonormal rows (k, axis) by unit vectors with as many zeros as elimination gives; axes in it stand alone."""
    left, made = np.array(rows, dtype=float), []
    projector = rows.T @ rows
    for axis in np.flatnonzero(np.abs(np.diag(projector) - 1.0) < TAKES_PART):
        made.append(np.eye(rows.shape[1])[axis])
    for unit in made:
        left = left - np.outer(left @ unit, unit)
    size = len(rows) - len(made)
    if size:
        _, _, right = np.linalg.svd(left)
        left = right[:size]
        # Gauss and Jordan with pivots of the largest entries.
        used: list[int] = []
        for row in range(size):
            rest = np.abs(left[row:])
            rest[:, used] = 0.0
            at, column = map(int, np.unravel_index(int(np.argmax(rest)), rest.shape))
            left[[row, row + at]] = left[[row + at, row]]
            left[row] /= left[row, column]
            for other in range(size):
                if other != row:
                    left[other] -= left[other, column] * left[row]
            used.append(column)
        made += [np.where(np.abs(v) > TAKES_PART * np.max(np.abs(v)), v, 0.0) for v in left]
    return np.array([v / np.linalg.norm(v) for v in made]).reshape(-1, rows.shape[1])


def split_by_information(matrix: np.ndarray, reference: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eigenvalues (k,) and directions (k, axis) with information, best first, and orthonormal directions (m, axis) without.

    Args:
        matrix: (axis, axis) expected information in prior widths.
        reference: the largest information before nuisances were profiled out, which rounding is measured by.
    """
    values, vectors = np.linalg.eigh(matrix)
    has = values > ROUNDING * max(reference, 1e-300)
    order = np.argsort(-values[has], kind="stable")
    return values[has][order], vectors[:, has].T[order], vectors[:, ~has].T


def without_information(axes: Axes, rows: np.ndarray, points: Sequence[np.ndarray]) -> list[Direction]:
    """The directions without information: exactly flat ones first, then what merely has none at these points.

    Args:
        axes: the axes.
        rows: orthonormal directions (m, axis) without information.
        points: vectors from which the likelihood is walked along each.
    """
    flat = axes.flat(axes.centre)
    # What the couplings say is flat must be without information, too; the likelihood has the last word.
    inside = flat if len(flat) and np.allclose(flat @ rows.T @ rows, flat, atol=1e-5) else flat[:0]
    left = rows - rows @ inside.T @ inside
    _, singular, right = np.linalg.svd(left) if len(left) else (None, np.zeros(0), np.zeros((0, axes.size)))
    rest = right[: int(np.sum(singular > 0.5))]
    found = []
    for direction, is_flat in [*((d, True) for d in readable(inside)), *((d, False) for d in readable(rest))]:
        changes = changes_along(axes, direction, points)
        blind = max(changes) < UNCHANGED
        cause = flat_cause(axes, direction) if blind and is_flat else "" if blind else vanishing_cause(axes, direction, points)
        found.append(Direction(axes.composition(direction), 0.0, float("nan"), {}, blind, changes, cause))
    return sorted(found, key=lambda d: d.blind)


def changes_along(axes: Axes, direction: np.ndarray, points: Sequence[np.ndarray]) -> tuple[float, ...]:
    """Largest change of chi-square at each of `DISTANCES` along a direction (axis,), nuisances held, from any point."""
    space = axes.space
    steps = np.array([0.0, *DISTANCES, *(-d for d in DISTANCES)]) / np.max(np.abs(direction))
    vectors = np.stack([axes.moved(step * direction, point) for point in points for step in steps])
    parameters = np.asarray(space.ranges.to_parameters(vectors))
    values = np.asarray(space.joint.nll(dict(zip(space.names, parameters.T, strict=True)))).reshape(len(points), -1)
    change = 2.0 * np.abs(values[:, 1:] - values[:, :1])
    worst = np.max(np.where(np.isfinite(change), change, np.inf), axis=0)
    return tuple(map(float, np.max(worst.reshape(2, -1), axis=0)))


def flat_cause(axes: Axes, direction: np.ndarray) -> str:
    """Why a flat direction (axis,) is one: a coefficient that reaches no experiment, or effects that cancel."""
    space = axes.space
    moving = axes.coefficients[np.abs(direction[axes.coefficients]) > TAKES_PART * np.max(np.abs(direction))]
    seen = space.amplitudes(axes.centre)
    names = [axes.names[i] for i in moving]
    columns = np.searchsorted(space.coefficients, axes.index[moving])
    if len(moving) == 1:
        return f"no chosen experiment depends on {names[0]}"
    parts = space.linear_amplitudes(axes.centre)[:, columns] * (direction * axes.units)[moving]
    weight = np.max(np.abs(space.seen), axis=0, initial=0.0)
    visible = weight > 1e-9 * np.max(weight, initial=0.0)
    cancelling: dict[tuple[str, ...], dict[str, None]] = {}
    unseen: dict[str, None] = {}
    for kind, part, is_seen in zip(space.joint.amplitudes.kinds, parts, visible, strict=True):
        largest = float(np.max(np.abs(part)))
        if largest == 0.0 or not is_seen:
            continue
        if abs(float(np.sum(part))) > 1e-6 * largest:
            unseen[WORDS[kind]] = None
            continue
        members = tuple(name for name, x in zip(names, part, strict=True) if abs(x) > 1e-6 * largest)
        cancelling.setdefault(members, {})[WORDS[kind]] = None
    said = [f"{listed(members)} cancel in {listed(list(kinds))}" for members, kinds in cancelling.items()]
    if unseen:
        said.append(f"what they leave of {listed(list(unseen))} is in a combination that no chosen experiment sees")
    if not said:
        said.append(f"no chosen experiment depends on what {listed(names)} make together")
    turning = _turning(axes, direction, seen)
    if turning:
        said.append(f"so at {', '.join(turning)}; with other values another combination is blind")
    return "; ".join(said)


def _turning(axes: Axes, direction: np.ndarray, seen: np.ndarray) -> list[str]:
    """Theory inputs, "c_T = -2.9", that a flat direction (axis,) depends on: it is none where they are moved."""
    space, here = axes.space, axes.space.point(axes.centre)
    step = np.zeros(space.n)
    step[axes.index] = direction * axes.units
    among = step[space.coefficients]
    size = float(np.max(np.abs(seen * among), initial=0.0))
    found = []
    for i in space.theory:
        moved = axes.centre.copy()
        moved[i] += space.scale[i]
        if np.max(np.abs(space.amplitudes(moved) @ among), initial=0.0) > 1e-6 * size:
            found.append(f"{space.names[i].removeprefix('theory.')} = {here[space.names[i]]:.4g}")
    return found


def vanishing_cause(axes: Axes, direction: np.ndarray, points: Sequence[np.ndarray]) -> str:
    """Why the information along a direction (axis,) vanishes at some points although the likelihood depends on it."""
    size = np.abs(direction)
    moving = {axes.names[i] for i in np.flatnonzero(size > TAKES_PART * np.max(size))}
    values = [axes.space.point(point) for point in points]
    for symmetry in even_sets(axes.space.joint):
        if moving <= set(symmetry.names) and all(v[name] == 0.0 for v in values for name in symmetry.names):
            return f"every rate is even under {symmetry}: where they are 0 it has no first derivative"
    if max(changes_along(axes, direction, points)[:-1]) < 1.0:
        return f"so weak that it is lost in rounding: it takes more than {DISTANCES[-2]:g} prior widths to be seen"
    return "no rate changes to first order here"


def listed(names: Sequence[str]) -> str:
    """A list in a sentence: "a", "a and b", "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
