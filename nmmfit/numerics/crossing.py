"""Where a rising function crosses a level, from its values and derivatives: a state machine that many searches run side by side.

The function is small at an origin and rises away from it, like a profiled chi-square around its minimum. Locally it is
taken as a power of the distance tau from the origin, whose exponent p = tau y' / y follows from the derivative: the next distance
is tau (level / y)^(1/p), exact for a parabola as for a quartic, and held inside the bracket found so far.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

LARGEST_STEP = 30.0
"""Largest factor by which one proposal changes the distance."""

SMALLEST_EXPONENT = 0.3


@dataclass
class Crossing:
    """Search for the distance tau > 0 from an origin at which y(tau) reaches a level.

    Ask `proposal`, evaluate, `update`; until `done`. `distance` is then the answer, or None if y stays below the level up to
    `limit` (`highest` is what it reached) or if the search failed (`failed`: out of budget, or nan at the edge of the bracket).

    Args:
        level: value to reach, > 0.
        first: first distance to try, > 0.
        limit: largest distance to try.
        tolerance: relative accuracy of the distance.
        budget: most evaluations.
    """

    level: float
    first: float
    limit: float = math.inf
    tolerance: float = 3e-4
    budget: int = 60
    inside: float = 0.0
    outside: float = math.inf
    highest: float = 0.0
    evaluations: int = 0
    distance: float | None = None
    done: bool = False
    failed: bool = False
    broken: bool = False
    proposal: float = field(init=False)

    def __post_init__(self) -> None:
        self.proposal = min(self.first, self.limit)

    def update(self, value: float, slope: float) -> None:
        """Take y and dy/dtau at the proposed distance; nan counts as above the level.

        Args:
            value: y at `proposal`.
            slope: derivative with respect to the distance there.
        """
        tau = self.proposal
        self.evaluations += 1
        below = value < self.level
        if below:
            self.inside = max(self.inside, tau)
            self.highest = max(self.highest, value)
        elif tau < self.outside:
            self.outside = tau
            self.broken = not math.isfinite(value)
        guess = self._guess(tau, value, slope)
        if guess is not None and abs(math.log(guess / tau)) < self.tolerance:
            self._finish(guess)
        elif below and tau >= self.limit:
            self._finish(None)
        elif self.outside < math.inf and self.outside - self.inside < self.tolerance * self.outside:
            self.failed = self.broken
            self._finish(None if self.broken else 0.5 * (self.inside + self.outside))
        elif self.evaluations >= self.budget:
            self.failed = True
            self._finish(None)
        else:
            self.proposal = self._next(tau, guess)

    def _guess(self, tau: float, value: float, slope: float) -> float | None:
        if not (math.isfinite(value) and math.isfinite(slope)) or value <= 0:
            return None
        exponent = tau * slope / value
        if exponent < SMALLEST_EXPONENT:
            return None
        log_step = math.log(self.level / value) / exponent
        return tau * math.exp(max(-math.log(LARGEST_STEP), min(math.log(LARGEST_STEP), log_step)))

    def _next(self, tau: float, guess: float | None) -> float:
        if self.outside == math.inf:
            return min(self.limit, guess if guess is not None and guess > self.inside else 4.0 * tau)
        if guess is not None and self.inside < guess < self.outside:
            return guess
        if self.inside > 0:
            # halve the bracket in logarithm while it is wide, else in distance
            ratio = self.outside / self.inside
            return math.sqrt(self.inside * self.outside) if ratio > 4 else 0.5 * (self.inside + self.outside)
        return self.outside / 8.0

    def _finish(self, distance: float | None) -> None:
        self.distance = distance
        self.done = True
