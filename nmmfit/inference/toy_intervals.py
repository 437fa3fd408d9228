"""What ensembles of toys say of one quantity: coverage, p-values, Feldman-Cousins intervals and CL_s upper limits.

Feldman and Cousins (physics/9711021) order what may be observed by the likelihood ratio; with nuisances it is the profile
likelihood ratio, and a value v belongs to the interval where q of the data does not exceed the critical value q_c(v), below which
q stays in a fraction `cl` of toys made at v. Where v is a size (>= 0) the free fit of every toy obeys the boundary by itself.

CL_s = p_v / (1 - p_b): the probabilities of q~ at least as large as in the data, of toys made at v and of toys made at 0, with
the one-sided q~ of Cowan et al., arXiv:1007.1727, eq. (16): q where the best fit is at or below v, 0 above it. (Its case of a
negative best fit does not exist for sizes.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nmmfit.inference.toy_ensemble import EQUAL, Ensemble, Toys, critical, fraction, p_value
from nmmfit.inference.toy_truths import DataProfile, Truth

Make = Callable[[Ensemble], Toys]
"""Makes the toys of an ensemble."""

GRID_POINTS = 7
"""Values of a grid that is not given, before the ends are looked for."""

REACH = 1.3
"""Its ends, in units of the distance of the asymptotic ends from the best fit."""

REFINED = 2
"""Values at which toys are made besides the grid for every end."""

EXTENDED = 4
"""Most times that a grid which was not given is made longer."""


@dataclass(frozen=True)
class ToysAtValue:
    """A value that was tested.

    Attributes:
        value: of the quantity. `q`: of the data. `toys`, `failed`: toys that count, and that did not converge.
        critical, critical_error: q_c there. `p_value`, `p_error`: fraction of toys with q at least as large as in the data.
        accepted: range of the best fit in toys with q up to q_c: a section of the belt.
        values: q of the toys, (toy,).
    """

    value: float
    q: float
    toys: int
    failed: int
    critical: float
    critical_error: float
    p_value: float
    p_error: float
    accepted: tuple[float, float]
    values: np.ndarray

    @property
    def inside(self) -> bool:
        """Whether the value belongs to the interval."""
        return self.q <= self.critical + EQUAL

    def to_json(self) -> dict[str, Any]:
        """All but the single toys."""
        return {
            "value": self.value,
            "q": self.q,
            "critical": self.critical,
            "critical_error": self.critical_error,
            "p_value": self.p_value,
            "p_error": self.p_error,
            "accepted": list(self.accepted),
            "toys": self.toys,
            "failed": self.failed,
        }


@dataclass(frozen=True)
class FeldmanCousins:
    """An interval; a side that is not bounded within the grid is None, and `reason` says so.

    Attributes:
        cl: confidence level. `best`: best fit of the data.
        lower, upper: ends; their errors `lower_error` and `upper_error` come from the finite number of toys.
        note: an end at a boundary. `tested`: values with their toys, in order.
    """

    cl: float
    best: float
    lower: float | None
    upper: float | None
    lower_error: float
    upper_error: float
    reason: str | None
    note: str | None
    tested: tuple[ToysAtValue, ...]

    @property
    def failed(self) -> int:
        """Toys that did not converge."""
        return sum(t.failed for t in self.tested)

    def to_json(self) -> dict[str, Any]:
        """As values for `json.dumps`."""
        return {
            "cl": self.cl,
            "best": self.best,
            "lower": self.lower,
            "upper": self.upper,
            "lower_error": self.lower_error,
            "upper_error": self.upper_error,
            "reason": self.reason,
            "note": self.note,
            "failed": self.failed,
            "grid": [t.to_json() for t in self.tested],
        }


@dataclass(frozen=True)
class Coverage:
    """How often the asymptotic interval of toys made at a point contains the truth.

    Attributes:
        where: the point in words. `truth`: value of the quantity there.
        cl, level: nominal level, and the delta chi2 at which the asymptotic interval ends.
        coverage, error: fraction of toys with q at the truth up to that level, and its binomial error.
        toys, failed: toys that count, and that did not converge. `critical`: the level that would give `cl`, with its error.
        values: q of the toys, (toy,).
    """

    where: str
    truth: float
    cl: float
    level: float
    coverage: float
    error: float
    toys: int
    failed: int
    critical: float
    critical_error: float
    values: np.ndarray

    def to_json(self) -> dict[str, Any]:
        """All but the single toys."""
        return {name: value for name, value in vars(self).items() if name != "values"}


@dataclass(frozen=True)
class CLs:
    """An upper limit by CL_s.

    Attributes:
        upper, upper_error: where CL_s falls to 1 - cl, and the error from the finite number of toys; None where it does not.
        values, cls, cls_error, p, p_background: CL_s by value, and the two probabilities it is made of.
    """

    cl: float
    upper: float | None
    upper_error: float
    reason: str | None
    values: tuple[float, ...]
    cls: tuple[float, ...]
    cls_error: tuple[float, ...]
    p: tuple[float, ...]
    p_background: tuple[float, ...]
    toys: int
    failed: int

    def to_json(self) -> dict[str, Any]:
        """As values for `json.dumps`."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}


def tested(profile: DataProfile, truth: Truth, cl: float, toys: int, seed: int, make: Make) -> ToysAtValue:
    """Toys at a point of the data's profile, tested at its own value."""
    found = make(Ensemble(profile.likelihood, truth.z, ((profile.target, truth.at),), toys, seed))
    good = found.converged[0]
    values = found.q[0][good]
    q_c, error = critical(values, cl)
    p, p_error = p_value(values, truth.q)
    within = found.best[0][good][values <= q_c + EQUAL]
    ends = (float(np.min(within)), float(np.max(within))) if len(within) else (float("nan"), float("nan"))
    return ToysAtValue(truth.at, truth.q, len(values), found.failed, q_c, error, p, p_error, ends, values)


def coverage(
    profile: DataProfile, truth: Truth, where: str, cl: float, level: float, toys: int, seed: int, make: Make
) -> Coverage:
    """Coverage at a point."""
    found = make(Ensemble(profile.likelihood, truth.z, ((profile.target, truth.at),), toys, seed))
    values = found.good()
    share, error = fraction(int(np.sum(values <= level)), len(values))
    q_c, q_error = critical(values, cl)
    return Coverage(where, truth.at, cl, level, share, error, len(values), found.failed, q_c, q_error, values)


def feldman_cousins(
    profile: DataProfile, grid: Sequence[float], given: bool, cl: float, toys: int, seed: int, make: Make
) -> FeldmanCousins:
    """The interval of the data.

    Args:
        profile: of the data.
        grid: values to begin with, ascending, at least two. `given`: it is kept to; else it grows until the ends are found.
        cl, toys, seed, make: level, toys at every value, their seed, and what makes them.
    """

    def test(values: Sequence[float]) -> list[ToysAtValue]:
        return [tested(profile, truth, cl, toys, seed, make) for truth in profile.truths(values)]

    found = test(grid)
    low, high = _bounds(profile)
    for _ in range(0 if given else EXTENDED):
        more = []
        reach = 0.5 * (found[-1].value - found[0].value)
        if found[-1].inside and found[-1].value < high:
            more.append(min(found[-1].value + reach, high))
        if found[0].inside and found[0].value > low:
            more.append(max(found[0].value - reach, low))
        if not more:
            break
        found = sorted([*found, *test(more)], key=lambda t: t.value)
    for _ in range(REFINED):
        crossings = [_crossing(a, b) for a, b in _brackets(found)]
        known = [t.value for t in found]
        new = [v for v in crossings if min(abs(v - k) for k in known) > 1e-3 * (known[-1] - known[0])]
        if not new:
            break
        found = sorted([*found, *test(new)], key=lambda t: t.value)
    return _interval(profile, found, cl, (low, high))


def default_grid(profile: DataProfile, lower: float | None, upper: float | None) -> list[float]:
    """Values around the asymptotic interval of the data, whose ends are given."""
    best, step = profile.best, profile.job.step
    widest = max((abs(v - best) for v in (lower, upper) if v is not None), default=3.0 * step) or 3.0 * step
    low, high = profile.target.range
    if profile.target.positive:
        low = 0.0
    first = best - REACH * widest if lower is None else best - REACH * (best - lower)
    last = best + REACH * (widest if upper is None else upper - best)
    if profile.target.positive and first < 0.2 * last:
        # a lower end near a boundary may turn out to be the boundary
        first = 0.0
    return [float(v) for v in np.linspace(max(first, low), min(last, high), GRID_POINTS)]


def _bounds(profile: DataProfile) -> tuple[float, float]:
    """The lowest and highest value that can be tested."""
    return (profile.lowest, np.inf) if profile.target.positive else profile.target.range


def _distance(t: ToysAtValue) -> float:
    """How far q of the data stays below q_c."""
    return t.critical - t.q


def _outermost(found: Sequence[ToysAtValue]) -> tuple[int, int] | None:
    inside = [i for i, t in enumerate(found) if t.inside]
    return (inside[0], inside[-1]) if inside else None


def _brackets(found: Sequence[ToysAtValue]) -> list[tuple[ToysAtValue, ToysAtValue]]:
    """Neighbours between which the outermost ends lie."""
    ends = _outermost(found)
    if ends is None:
        return []
    first, last = ends
    out = [(found[first - 1], found[first])] if first else []
    return [*out, (found[last], found[last + 1])] if last + 1 < len(found) else out


def _crossing(a: ToysAtValue, b: ToysAtValue) -> float:
    """Where q_c - q vanishes between two values, linear between them."""
    before, after = _distance(a), _distance(b)
    if not before * after < 0:
        return 0.5 * (a.value + b.value)
    # not so near to either that nothing is learnt
    share = float(np.clip(before / (before - after), 0.02, 0.98))
    return a.value + share * (b.value - a.value)


def _end_error(a: ToysAtValue, b: ToysAtValue) -> float:
    slope = abs(_distance(b) - _distance(a)) / (b.value - a.value)
    error = max(a.critical_error, b.critical_error)
    return min(error / slope, b.value - a.value) if slope > 0 else b.value - a.value


def _interval(profile: DataProfile, found: Sequence[ToysAtValue], cl: float, bounds: tuple[float, float]) -> FeldmanCousins:
    unit = "" if profile.target.unit == "1" else f" {profile.target.unit}"
    ends = _outermost(found)
    best = profile.best
    empty = FeldmanCousins(cl, best, None, None, 0.0, 0.0, None, None, tuple(found))
    if ends is None:
        return replace(empty, reason="no value of the grid is accepted")
    reasons, notes = [], []
    sides: list[tuple[float | None, float]] = []
    for side, at, neighbour, bound in (
        ("below", ends[0], ends[0] - 1, bounds[0]),
        ("above", ends[1], ends[1] + 1, bounds[1]),
    ):
        edge = found[at].value
        if 0 <= neighbour < len(found):
            a, b = sorted((found[at], found[neighbour]), key=lambda t: t.value)
            sides.append((_crossing(a, b), _end_error(a, b)))
        elif edge == bound:
            boundary = 0.0 if profile.target.positive and side == "below" else edge
            notes.append(f"{'starts' if side == 'below' else 'ends'} at {boundary:g}")
            sides.append((boundary, 0.0))
        else:
            reasons.append(f"not bounded {side} within {edge:.3g}{unit}")
            sides.append((None, 0.0))
    inside = [t.inside for t in found[ends[0] : ends[1] + 1]]
    if not all(inside):
        notes.append("values in between are not accepted, outermost ends given")
    (lower, lower_error), (upper, upper_error) = sides
    return FeldmanCousins(
        cl, best, lower, upper, lower_error, upper_error, "; ".join(reasons) or None, "; ".join(notes) or None, tuple(found)
    )


def cls_limit(profile: DataProfile, grid: Sequence[float], cl: float, toys: int, seed: int, make: Make) -> CLs:
    """Upper limit of a size by CL_s on a grid of values above 0."""
    values = [v for v in grid if v > profile.lowest]
    truths = profile.truths(values)
    nothing = profile.truths([profile.lowest])[0]
    background = make(Ensemble(profile.likelihood, nothing.z, tuple((profile.target, t.at) for t in truths), toys, seed))
    failed = background.failed
    p, p_b, cls, errors = [], [], [], []
    for k, truth in enumerate(truths):
        signal = make(Ensemble(profile.likelihood, truth.z, ((profile.target, truth.at),), toys, seed + 1))
        failed += signal.failed
        observed = _one_sided(truth.q, profile.best, truth.at)
        shares = [
            p_value(_one_sided(toys_.q[i], toys_.best[i], truth.at)[toys_.converged[i]], observed)
            for toys_, i in ((signal, 0), (background, k))
        ]
        (p_v, e_v), (p_0, e_0) = shares
        p.append(p_v)
        p_b.append(p_0)
        cls.append(min(p_v / p_0, 1.0))
        errors.append(cls[-1] * float(np.hypot(e_v / p_v, e_0 / p_0)))
    upper, error = _cls_crossing(values, cls, errors, 1.0 - cl)
    reason = None if upper is not None else f"CL_s does not fall to {1.0 - cl:.3g} within {values[-1]:.3g}"
    return CLs(cl, upper, error, reason, tuple(values), tuple(cls), tuple(errors), tuple(p), tuple(p_b), toys, failed)


def _one_sided(q: Any, best: Any, value: float) -> Any:
    """q~ of eq. (16): q where the best fit is at most the tested value, else 0."""
    return np.where(np.asarray(best) <= value, q, 0.0)


def _cls_crossing(
    values: Sequence[float], cls: Sequence[float], errors: Sequence[float], alpha: float
) -> tuple[float | None, float]:
    """The largest value at which CL_s falls through alpha, its logarithm linear between the values, and its error."""
    for i in range(len(values) - 1, 0, -1):
        before, after = cls[i - 1], cls[i]
        if before > alpha >= after:
            slope = (np.log(after) - np.log(before)) / (values[i] - values[i - 1])
            upper = values[i - 1] + (np.log(alpha) - np.log(before)) / slope
            error = max(errors[i] / after, errors[i - 1] / before) / abs(slope)
            return float(upper), float(min(error, values[i] - values[i - 1]))
    return None, 0.0
