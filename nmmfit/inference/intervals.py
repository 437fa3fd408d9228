"""What limits are made of: intervals with the reasons for their open sides, tables of them, and the conventions in words."""

from __future__ import annotations

from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class Limits:
    """Limits of one quantity; `contraction` is 1 - (posterior sd / prior sd)^2, None without a posterior or a finite prior."""

    unit: str
    one_at_a_time: Interval | None
    profiled: Interval | None
    marginalised: Interval | None = None
    contraction: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Fields for `json.dumps`."""
        kinds = {"one_at_a_time": self.one_at_a_time, "profiled": self.profiled, "marginalised": self.marginalised}
        out: dict[str, Any] = {"unit": self.unit, "contraction": self.contraction}
        return out | {kind: None if found is None else found.to_json() for kind, found in kinds.items()}


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
    """

    cl: float
    delta_chi2: float
    parameters: dict[str, Limits]
    identified: dict[str, Limits]
    presets: dict[str, dict[str, Interval]]
    preset_inputs: dict[str, dict[str, tuple[float, float]]]
    conventions: dict[str, str]
    failed: tuple[str, ...] = field(default=())

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


def conventions(cl: float, level: float) -> dict[str, str]:
    """How the intervals are defined, in words."""
    ends = (
        f"ends where the profiled delta chi2 crosses {level:.4g} (chi-square, one degree of freedom, {100 * cl:g} % CL); the "
        "outermost where there are several minima; sizes (>= 0) whose delta chi2 at 0 is below that start at the boundary 0"
    )
    return {
        "one_at_a_time": "other coefficients 0 (identified quantities: everything that contributes to other amplitudes 0), "
        f"nuisances and theory inputs profiled, no coefficient priors; {ends}",
        "profiled": f"other coefficients, nuisances and theory inputs profiled, no coefficient priors; {ends}",
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
