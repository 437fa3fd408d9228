"""What other priors would have made of a posterior: its draws, weighted by the ratio of the priors.

Draws theta_s of the posterior under the prior p stand for those under another prior q with the weights (importance sampling)

    w_s = q(theta_s) / p(theta_s),

normalised to 1 over the draws: the likelihood is the same in both and cancels, and so does every prior that does not change.
That only works where the draws reach. How far it can be trusted is told by the shape k of a Pareto tail fitted to the largest
weights (Vehtari, Simpson, Gelman, Yao and Gabry, arXiv:1507.02646), which are also smoothed by it: above k = 0.7, or less for few
draws, the answer hangs on a few draws. For a normal prior of width s whose posterior is normal of width t, a prior f times as
wide has k = (1 - 1/f^2) t^2 / s^2 (the tail of exp of a squared normal), so that widening fails just where the prior decides.

Signs that the data do not fix are random in the draws, which then follow the posterior as they stand: a prior that is not even
weights both signs as it should.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmmfit.durable import run_chunks
from nmmfit.errors import UserInputError, unknown
from nmmfit.inference.kept_minima import Stores
from nmmfit.inference.minimise import Progress
from nmmfit.kept import digest
from nmmfit.priors import PriorSpec

LARGEST_K = 0.7
"""Above this the weights are not to be trusted, whatever the number of draws (arXiv:1507.02646, section 3.2.4)."""
T_DEGREES = 3.0
"""Degrees of freedom of the Student t in the alternatives that are always tried."""
# Families that have a width, and the place of it among their numbers.
_WIDTHS = {"normal": 1, "half_normal": 0, "student_t": 2, "truncated_normal": 1}

Smooth = Callable[[np.ndarray], tuple[np.ndarray, float]]
"""Log weights (chain, draw) -> smoothed and normalised log weights (chain, draw), and k."""
Ends = tuple[float, float]


def log_density(prior: PriorSpec, values: np.ndarray) -> np.ndarray:
    """Log of a prior's normalised density, -inf outside of its range.

    Args:
        prior: of any family but delta.
        values: any shape, in the unit of the parameter.
    Raises: ValueError for a delta, which has no density.
    """
    from scipy import stats

    n = prior.numbers
    match prior.family:
        case "normal":
            density = stats.norm(n[0], n[1])
        case "half_normal":
            density = stats.halfnorm(0.0, n[0])
        case "uniform":
            density = stats.uniform(n[0], n[1] - n[0])
        case "log_uniform":
            density = stats.loguniform(n[0], n[1])
        case "student_t":
            density = stats.t(n[0], n[1], n[2])
        case "truncated_normal":
            density = stats.truncnorm((n[2] - n[0]) / n[1], (n[3] - n[0]) / n[1], n[0], n[1])
        case _:
            raise ValueError(f"a prior of the family {prior.family!r} has no density")
    return np.asarray(density.logpdf(np.asarray(values, dtype=float)))


@dataclass(frozen=True)
class Alternative:
    """Other priors for some coefficients, all at once: `label` for tables, `priors` those that change, by name."""

    label: str
    priors: Mapping[str, PriorSpec]


def scaled(prior: PriorSpec, factor: float) -> PriorSpec | None:
    """The same prior `factor` times as wide; None for a family without a width (uniform, log_uniform, delta)."""
    place = _WIDTHS.get(prior.family)
    if place is None:
        return None
    numbers = [factor * x if i == place else x for i, x in enumerate(prior.numbers)]
    return PriorSpec.model_validate({prior.family: numbers})


def default_alternatives(priors: Mapping[str, PriorSpec]) -> list[Alternative]:
    """All priors that have a width twice and half as wide; all normal ones as a Student t of three degrees of freedom.

    A flat prior is none of them: see `WHY_NOT_FLAT`.
    """
    made = []
    for label, factor in (("twice as wide", 2.0), ("half as wide", 0.5)):
        made.append(Alternative(label, {n: new for n, p in priors.items() if (new := scaled(p, factor)) is not None}))
    heavy = {
        n: PriorSpec.model_validate({"student_t": [T_DEGREES, *p.numbers]}) for n, p in priors.items() if p.family == "normal"
    }
    made.append(Alternative(f"Student t ({T_DEGREES:g}) of the same width", heavy))
    return [alternative for alternative in made if alternative.priors]


WHY_NOT_FLAT = (
    "A flat prior over the range of the draws is not among the alternatives: its ends would be set by the old prior where that "
    "decides, so that the answer would look stable whatever the data say; beyond the draws there is nothing to weight. "
    "Fit with it instead."
)


@dataclass(frozen=True)
class Reweighted:
    """The posterior under other priors.

    Attributes:
        alternative: the priors that changed.
        intervals: shortest interval of every quantity, name -> (lower, upper); empty where there are no weights.
        k: shape of the tail of the weights; infinite where there are none.
        largest_k: above it the intervals are not to be trusted.
        effective: draws of equal weight that are worth as much, 1 / sum w^2.
        reason: why there are no weights, or why they are not to be trusted; None if they are.
    """

    alternative: Alternative
    intervals: Mapping[str, Ends]
    k: float
    largest_k: float
    effective: float
    reason: str | None

    @property
    def trusted(self) -> bool:
        """Whether the intervals are those of a fit with these priors, within the noise of the draws."""
        return self.reason is None


@dataclass(frozen=True)
class PriorSensitivity:
    """How intervals move with the priors.

    Attributes:
        cl: probability in every interval.
        draws: number of draws.
        before: shortest intervals under the priors of the fit, coefficients and identified quantities, name -> (lower, upper).
        priors: of the fit, coefficient -> prior; names of `before` that are not here are identified quantities.
        units: of all names.
        alternatives: the same under other priors.
    """

    cl: float
    draws: int
    before: Mapping[str, Ends]
    priors: Mapping[str, PriorSpec]
    units: Mapping[str, str]
    alternatives: tuple[Reweighted, ...]

    def ratio(self, found: Reweighted, name: str) -> float:
        """Width of an interval after over that before; nan where there is none."""
        lower, upper = self.before[name]
        if name not in found.intervals or not upper > lower:
            return math.nan
        after = found.intervals[name]
        return (after[1] - after[0]) / (upper - lower)

    def to_json(self) -> dict[str, Any]:
        """As JSON values; null where something is undefined."""
        identified = [name for name in self.before if name not in self.priors]

        def ends(name: str, pair: Ends | None) -> dict[str, Any]:
            lower, upper = (None, None) if pair is None else pair
            return {"lower": lower, "upper": upper}

        def entries(names: Sequence[str], found: Reweighted) -> dict[str, Any]:
            return {n: {**ends(n, found.intervals.get(n)), "width_ratio": _finite(self.ratio(found, n))} for n in names}

        return {
            "cl": self.cl,
            "draws": self.draws,
            "parameters": {
                n: {"unit": self.units[n], "prior": p.model_dump(), **ends(n, self.before[n])} for n, p in self.priors.items()
            },
            "identified": {n: {"unit": self.units[n], **ends(n, self.before[n])} for n in identified},
            "alternatives": {
                a.alternative.label: {
                    "priors": {n: p.model_dump() for n, p in a.alternative.priors.items()},
                    "pareto_k": _finite(a.k),
                    "largest_k": a.largest_k,
                    "effective_draws": a.effective,
                    "trusted": a.trusted,
                    "reason": a.reason,
                    "parameters": entries(list(self.priors), a),
                    "identified": entries(identified, a),
                }
                for a in self.alternatives
            },
        }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def largest_k(draws: int) -> float:
    """Up to this k so many draws can be trusted: min(1 - 1 / log10(draws), 0.7) (arXiv:1507.02646, section 3.2.4)."""
    return min(1.0 - 1.0 / math.log10(draws), LARGEST_K) if draws > 10 else 0.0


def log_weights(draws: Mapping[str, np.ndarray], priors: Mapping[str, PriorSpec], others: Mapping[str, PriorSpec]) -> np.ndarray:
    """Sum over the changed priors of ln q(theta_s) - ln p(theta_s), (chain, draw); -inf where q has no density.

    Args:
        draws: of the posterior under `priors`, name -> (chain, draw).
        priors: of the fit. `others`: those that replace them, some or all.
    """
    first = next(iter(draws.values()))
    total = np.zeros(np.shape(first))
    for name, other in others.items():
        old = log_density(priors[name], draws[name])
        # A draw at the very end of a range, and beyond it by rounding, stands for nothing.
        inside = np.isfinite(old)
        total = total + np.where(inside, log_density(other, draws[name]) - np.where(inside, old, 0.0), -np.inf)
    return total


def unreachable(priors: Mapping[str, PriorSpec], others: Mapping[str, PriorSpec]) -> str | None:
    """Why no draws under `priors` can stand for those under `others`: they are nowhere near a part of them; None if they can."""
    for name, other in others.items():
        if other.is_fixed:
            return f"{name} held at {other} has no density; no draw lies exactly there"
        (low, high), (lowest, highest) = priors[name].support, other.support
        if lowest < low or highest > high:
            return f"{other} of {name} reaches beyond [{low:g}, {high:g}], where the fit with {priors[name]} has no draws"
    return None


def weighted_interval(values: np.ndarray, weights: np.ndarray, probability: float) -> Ends:
    """Shortest interval between two draws that holds `probability` of the weight.

    Args:
        values: draws, any shape. `weights`: their weights, the same shape, >= 0, of any sum > 0.
        probability: between 0 and 1.
    """
    order = np.argsort(values, axis=None)
    x, w = np.ravel(values)[order], np.ravel(weights)[order]
    x, w = x[w > 0.0], w[w > 0.0]
    above = np.cumsum(w) / np.sum(w)
    below = np.concatenate([[0.0], above[:-1]])
    # For each lower end the first draw up to which enough weight lies; rounding must not ask for one draw more.
    last = np.searchsorted(above, below + probability * (1.0 - 1e-12))
    first = np.flatnonzero(last < len(x))
    widths = x[last[first]] - x[first]
    best = int(np.argmin(widths))
    return float(x[first[best]]), float(x[last[first[best]]])


def prior_sensitivity(
    draws: Mapping[str, np.ndarray],
    priors: Mapping[str, PriorSpec],
    alternatives: Sequence[Alternative],
    smooth: Smooth,
    *,
    cl: float = 0.90,
    units: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    stores: Stores | None = None,
) -> PriorSensitivity:
    """How the intervals of a posterior move under other priors of its coefficients.

    Args:
        draws: coefficients and identified quantities, name -> (chain, draw).
        priors: of the coefficients in the fit; all of them in `draws`.
        alternatives: what to try.
        smooth: Pareto smoothing of log weights.
        cl: probability in the intervals.
        units: of the names; missing: "1".
        progress: called with (alternatives done, alternatives in all).
        stores: where finished alternatives are kept, and taken from; None: nowhere.
    Raises: UserInputError if there is no alternative, two have one label, or one is of a parameter that the fit does not have.
    """
    if not alternatives:
        raise UserInputError("prior-sensitivity: no prior of this fit has a width to change; name others with --prior")
    labels = [a.label for a in alternatives]
    for alternative in alternatives:
        if labels.count(alternative.label) > 1:
            raise UserInputError(f"prior-sensitivity: {alternative.label!r} is given twice")
        for name in alternative.priors:
            if name not in priors:
                raise unknown("coefficient of this fit", name, priors, alternative.label)
    number = int(np.size(next(iter(draws.values()))))
    equal = np.full(np.shape(next(iter(draws.values()))), 1.0 / number)
    before = {name: weighted_interval(values, equal, cl) for name, values in draws.items()}

    def compute(i: int) -> dict[str, np.ndarray]:
        return _as_chunk(_reweighted(draws, priors, alternatives[i], smooth, cl, number))

    asked = [[a.label, {n: p.model_dump() for n, p in a.priors.items()}] for a in alternatives]
    known = {"cl": cl, "alternatives": asked, "draws": digest_of(draws)}
    store = None if stores is None else stores("alternatives", known)
    chunks = run_chunks(store, len(alternatives), compute, progress)
    found = tuple(_from_chunk(chunk, a, list(draws), number) for chunk, a in zip(chunks, alternatives, strict=True))
    return PriorSensitivity(cl, number, before, dict(priors), {n: (units or {}).get(n, "1") for n in draws}, found)


def digest_of(draws: Mapping[str, np.ndarray]) -> str:
    """Digest of the draws of a posterior, names and numbers."""
    parts = ((name, f"{values.dtype} {values.shape}", values.tobytes()) for name, values in draws.items())
    return digest(part for three in parts for part in three)


def _as_chunk(found: Reweighted) -> dict[str, np.ndarray]:
    """What is kept of an alternative beside its priors."""
    ends = np.reshape([found.intervals[name] for name in found.intervals], (-1, 2))
    numbers = np.array([found.k, found.effective])
    return {"ends": ends, "numbers": numbers, "reason": np.asarray(found.reason or "")}


def _from_chunk(chunk: Mapping[str, np.ndarray], alternative: Alternative, names: Sequence[str], draws: int) -> Reweighted:
    """The alternative that was kept; without weights it has no intervals."""
    ends = [(float(low), float(high)) for low, high in chunk["ends"]]
    intervals = dict(zip(names, ends, strict=True)) if ends else {}
    k, effective = map(float, chunk["numbers"])
    return Reweighted(alternative, intervals, k, largest_k(draws), effective, str(chunk["reason"]) or None)


def _reweighted(
    draws: Mapping[str, np.ndarray],
    priors: Mapping[str, PriorSpec],
    alternative: Alternative,
    smooth: Smooth,
    cl: float,
    number: int,
) -> Reweighted:
    bound = largest_k(number)
    reason = unreachable(priors, alternative.priors)
    if reason is None:
        raw = log_weights(draws, priors, alternative.priors)
        if not np.any(np.isfinite(raw)):
            reason = "no draw lies where these priors have a density"
    if reason is not None:
        return Reweighted(alternative, {}, math.inf, bound, 0.0, reason)
    smoothed, k = smooth(raw)
    weights = np.exp(smoothed - np.max(smoothed))
    weights = weights / np.sum(weights)
    if not k <= bound:
        reason = f"Pareto k is above {bound:.2f}: a few draws carry most of the weight"
    intervals = {name: weighted_interval(values, weights, cl) for name, values in draws.items()}
    return Reweighted(alternative, intervals, float(k), bound, float(1.0 / np.sum(weights**2)), reason)
