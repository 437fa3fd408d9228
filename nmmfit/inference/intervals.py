"""What limits are made of: intervals with the reasons for their open sides, tables of them, and the conventions in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Interval:
    """One interval; a side that is not bounded is None, and `reason` says why.

    Attributes:
        lower, upper: ends in the unit of the quantity.
        reason: why a side is open, in words; None if both are closed.
        best: value at the best fit (posterior median for marginalised intervals).
        segments: allowed segments, where the region falls into several.
        note: what else there is to know, such as an end at a physical boundary.
        converged: whether every point that the ends rest on converged.
    """

    lower: float | None
    upper: float | None
    reason: str | None = None
    best: float | None = None
    segments: tuple[tuple[float | None, float | None], ...] = ()
    note: str | None = None
    converged: bool = True

    def to_json(self) -> dict[str, Any]:
        """Fields for `json.dumps`."""
        return {
            "lower": self.lower,
            "upper": self.upper,
            "reason": self.reason,
            "best": self.best,
            "segments": [list(s) for s in self.segments],
            "note": self.note,
            "converged": self.converged,
        }

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Interval:
        """From the fields of `to_json`."""
        return cls(**{**given, "segments": tuple((lower, upper) for lower, upper in given["segments"])})


@dataclass(frozen=True)
class Limits:
    """Limits of one quantity; `contraction` is 1 - (posterior sd / prior sd)^2, None without a posterior or a finite prior."""

    unit: str
    one_at_a_time: Interval | None
    profiled: Interval | None
    marginalised: Interval | None = None
    contraction: float | None = None
    feldman_cousins: Interval | None = None

    @property
    def kinds(self) -> dict[str, Interval | None]:
        """Intervals by kind."""
        return {
            "one_at_a_time": self.one_at_a_time,
            "profiled": self.profiled,
            "marginalised": self.marginalised,
            "feldman_cousins": self.feldman_cousins,
        }

    def to_json(self) -> dict[str, Any]:
        """Fields for `json.dumps`."""
        out: dict[str, Any] = {"unit": self.unit, "contraction": self.contraction}
        return out | {kind: None if found is None else found.to_json() for kind, found in self.kinds.items()}

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Limits:
        """From the fields of `to_json`."""
        kinds = {kind: None if given[kind] is None else Interval.from_json(given[kind]) for kind in KINDS}
        return cls(given["unit"], contraction=given["contraction"], **kinds)


KINDS = {
    "one_at_a_time": "one at a time",
    "profiled": "profiled",
    "marginalised": "marginalised",
    "feldman_cousins": "Feldman-Cousins",
}
"""Kinds of limits, and how they are written."""

DISAGREE = 1.3
"""Ratio of two finite ends above which methods disagree."""


@dataclass(frozen=True)
class Disagreement:
    """Two methods whose ends differ by more than 30 %, or lie on either side of 0; `ratio` (larger over smaller) is then None."""

    name: str
    side: str
    methods: tuple[str, str]
    ends: tuple[float, float]
    ratio: float | None

    @property
    def text(self) -> str:
        """In words."""
        first, second = (f"{KINDS[kind]} {end:.3g}" for kind, end in zip(self.methods, self.ends, strict=True))
        how = "of opposite signs" if self.ratio is None else f"a factor of {self.ratio:.2f} apart"
        return f"{self.name}, {self.side} end: {first} and {second} are {how}"

    def to_json(self) -> dict[str, Any]:
        """Fields for `json.dumps`."""
        return {
            "name": self.name,
            "side": self.side,
            "methods": list(self.methods),
            "ends": list(self.ends),
            "ratio": self.ratio,
            "text": self.text,
        }


def disagreements(name: str, limits: Limits, alone: bool) -> list[Disagreement]:
    """Finite ends that are a factor of more than `DISAGREE` apart, every pair of methods; ends at 0 are boundaries.

    One-at-a-time limits answer another question where other coefficients are free; `alone`: none is.
    """
    out = []
    kinds = {k: v for k, v in limits.kinds.items() if v is not None and (alone or k != "one_at_a_time")}
    for side in ("lower", "upper"):
        ends = {kind: float(end) for kind, found in kinds.items() if (end := getattr(found, side))}
        for first, second in combinations(ends, 2):
            small, large = sorted((abs(ends[first]), abs(ends[second])))
            opposite = ends[first] * ends[second] < 0
            if opposite or large > DISAGREE * small:
                ratio = None if opposite else large / small
                out.append(Disagreement(name, side, (first, second), (ends[first], ends[second]), ratio))
    return out


@dataclass(frozen=True)
class LimitsResult:
    """All limits of a run.

    Attributes:
        cl: confidence (and credible) level.
        delta_chi2: level at which profiled intervals end.
        parameters: coefficient -> limits. `identified`: identified quantity -> limits.
        presets: preset of the theory inputs -> {"inputs": ..., coefficient -> one-at-a-time interval}.
        conventions: kind of interval -> how it is defined, in words.
        failed: what did not converge.
        combinations: linear combinations of coefficients -> limits.
        alone: whether one coefficient is free only, so that one-at-a-time limits mean the same as profiled ones.
    """

    cl: float
    delta_chi2: float
    parameters: dict[str, Limits]
    identified: dict[str, Limits]
    presets: dict[str, dict[str, Interval]]
    preset_inputs: dict[str, dict[str, tuple[float, float]]]
    conventions: dict[str, str]
    failed: tuple[str, ...] = field(default=())
    combinations: dict[str, Limits] = field(default_factory=dict)
    alone: bool = False

    @property
    def warnings(self) -> tuple[Disagreement, ...]:
        """Where methods disagree."""
        every = {**self.identified, **self.parameters, **self.combinations}
        return tuple(found for name, limits in every.items() for found in disagreements(name, limits, self.alone))

    @property
    def converged(self) -> bool:
        """Whether everything did."""
        return not self.failed

    def to_json(self) -> dict[str, Any]:
        """The object of `limits --json`."""
        return {
            "cl": self.cl,
            "delta_chi2": self.delta_chi2,
            "parameters": {name: found.to_json() for name, found in self.parameters.items()},
            "identified": {name: found.to_json() for name, found in self.identified.items()},
            "combinations": {name: found.to_json() for name, found in self.combinations.items()},
            "warnings": [found.to_json() for found in self.warnings],
            "presets": {
                name: {
                    "inputs": {k: list(v) for k, v in self.preset_inputs[name].items()},
                    "one_at_a_time": {k: interval.to_json() for k, interval in found.items()},
                }
                for name, found in self.presets.items()
            },
            "conventions": self.conventions,
            "converged": self.converged,
            "failed": list(self.failed),
        }

    @classmethod
    def from_json(cls, given: Mapping[str, Any], alone: bool) -> LimitsResult:
        """From the object of `to_json`, which does not hold `alone`."""

        def limits_of(kind: str) -> dict[str, Limits]:
            return {name: Limits.from_json(found) for name, found in given[kind].items()}

        presets = given["presets"]
        return cls(
            cl=given["cl"],
            delta_chi2=given["delta_chi2"],
            parameters=limits_of("parameters"),
            identified=limits_of("identified"),
            presets={p: {n: Interval.from_json(i) for n, i in found["one_at_a_time"].items()} for p, found in presets.items()},
            preset_inputs={p: {n: (value, sd) for n, (value, sd) in found["inputs"].items()} for p, found in presets.items()},
            conventions=given["conventions"],
            failed=tuple(given["failed"]),
            combinations=limits_of("combinations"),
            alone=alone,
        )


def conventions(cl: float, level: float) -> dict[str, str]:
    """How the intervals are defined, in words."""
    ends = (
        f"ends where the profiled delta chi2 crosses {level:.4g} (chi-square, one degree of freedom, {100 * cl:g} % CL); the "
        "outermost where there are several minima; sizes (>= 0) whose delta chi2 at 0 is below that start at the boundary 0"
    )
    return {
        "one_at_a_time": "other coefficients 0 (identified quantities: everything that contributes to other amplitudes 0; "
        f"directions: those orthogonal to it 0), nuisances and theory inputs profiled, no coefficient priors; {ends}",
        "profiled": f"other coefficients, nuisances and theory inputs profiled, no coefficient priors; {ends}",
        "feldman_cousins": "values at which toys made there, at the profiled nuisances of the data, have a larger delta chi2 "
        f"than the data in more than {100 * (1 - cl):.3g} % (plug-in construction; all else profiled in every toy)",
        "marginalised": f"coefficients: equal-tailed {100 * cl:g} % of the posterior draws; sizes (>= 0): from 0 to the "
        f"{100 * cl:g} % quantile; includes the coefficient priors",
    }


def marginalised(draws: np.ndarray, cl: float, positive: bool) -> Interval:
    """Interval of posterior draws (any shape): equal-tailed, or from 0 to the cl quantile for a size (>= 0)."""
    values = np.ravel(np.asarray(draws, dtype=float))
    if positive:
        return Interval(0.0, float(np.quantile(values, cl)), best=float(np.median(values)), note="upper limit from 0")
    lower, middle, upper = np.quantile(values, [0.5 * (1 - cl), 0.5, 0.5 * (1 + cl)])
    return Interval(float(lower), float(upper), best=float(middle))
