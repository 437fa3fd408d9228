"""Bounds of one quantity from stage to stage, and which stage matters most for it."""

from __future__ import annotations

from dataclasses import dataclass

from nmmfit.inference.tighten import Tightening
from nmmfit.results.tighten import distinct_bounds, interval_of, size_of

MATTERS = 1.05
"""Bound before a stage, over that after it, from which on the stage is said to matter."""


@dataclass(frozen=True)
class Course:
    """The bounds of one quantity from stage to stage.

    Attributes:
        name, kind: of the limits. `equal`: quantities with the same bounds, itself first.
        unit: of the sizes.
        sizes: bound on the absolute value in every stage; None where it is open or the stage does not know the quantity.
    """

    name: str
    kind: str
    equal: tuple[str, ...]
    unit: str
    sizes: tuple[float | None, ...]

    @property
    def first(self) -> int | None:
        """The first stage that bounds it, counted from 0."""
        return next((k for k, size in enumerate(self.sizes) if size is not None), None)

    @property
    def last(self) -> float | None:
        """The bound of the last stage."""
        return self.sizes[-1]

    def factor(self, stage: int) -> float | None:
        """The bound before a stage over that after it."""
        before, after = self.sizes[stage - 1] if stage else None, self.sizes[stage]
        return before / after if before is not None and after else None

    @property
    def total(self) -> float | None:
        """The first bound over the last."""
        start = None if self.first is None else self.sizes[self.first]
        return start / self.last if start is not None and self.last else None

    @property
    def most(self) -> tuple[int, float] | None:
        """The stage after the first bound that tightens most, and by how much; None where none matters."""
        factors = [(k, f) for k in range(len(self.sizes)) if (f := self.factor(k)) is not None]
        best = max(factors, key=lambda pair: pair[1], default=None)
        return best if best is not None and best[1] >= MATTERS else None

    @property
    def matters(self) -> int | None:
        """The stage that matters most: the one that is the first to bound it, else the one that tightens it most."""
        return self.first if self.first else None if self.most is None else self.most[0]


def courses(found: Tightening, kind: str) -> list[Course]:
    """Every quantity that differs from the others, identified ones first."""
    groups = distinct_bounds(found) | {name: (name,) for name in found.parameters}
    stages = range(len(found.stages))
    return [
        Course(name, kind, equal, found.unit(name), tuple(size_of(interval_of(found, k, name, kind)) for k in stages))
        for name, equal in groups.items()
    ]
