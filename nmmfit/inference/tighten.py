"""How limits tighten as experiments are added: those of `limits` for nested sets of experiments, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nmmfit.inference.intervals import Interval, Limits, LimitsResult
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.kept_minima import Stores
from nmmfit.inference.limits import limits
from nmmfit.inference.minimise import Progress

KINDS = ("one_at_a_time", "profiled")


@dataclass(frozen=True)
class Bounds:
    """Limits of one stage: how it is called, its experiments, those that were added, and the limits."""

    label: str
    experiments: tuple[str, ...]
    added: tuple[str, ...]
    limits: LimitsResult

    def of(self, name: str) -> Limits | None:
        """The limits of a coefficient or an identified quantity; None where this stage does not know it."""
        return self.limits.identified.get(name) or self.limits.parameters.get(name)


@dataclass(frozen=True)
class Tightening:
    """Limits of several stages, in order."""

    stages: tuple[Bounds, ...]

    @property
    def cl(self) -> float:
        """Confidence level of all."""
        return self.stages[0].limits.cl

    @property
    def identified(self) -> tuple[str, ...]:
        """Identified quantities that any stage knows."""
        return tuple(dict.fromkeys(name for s in self.stages for name in s.limits.identified))

    @property
    def parameters(self) -> tuple[str, ...]:
        """Coefficients."""
        return tuple(dict.fromkeys(name for s in self.stages for name in s.limits.parameters))

    def unit(self, name: str) -> str:
        """Unit of a quantity."""
        return next(found.unit for s in self.stages if (found := s.of(name)) is not None)

    @property
    def failed(self) -> tuple[str, ...]:
        """What did not converge: "quantity (kind), stage"."""
        return tuple(f"{name}, stage {k}" for k, s in enumerate(self.stages, 1) for name in s.limits.failed)

    def to_json(self) -> dict[str, Any]:
        """As values for `json.dumps`."""

        def sides(found: Limits) -> dict[str, Any]:
            kinds: dict[str, Interval | None] = {"one_at_a_time": found.one_at_a_time, "profiled": found.profiled}
            return {"unit": found.unit} | {kind: None if x is None else x.to_json() for kind, x in kinds.items()}

        return {
            "cl": self.cl,
            "stages": [
                {
                    "label": s.label,
                    "experiments": list(s.experiments),
                    "added": list(s.added),
                    "identified": {n: sides(v) for n, v in s.limits.identified.items()},
                    "parameters": {n: sides(v) for n, v in s.limits.parameters.items()},
                }
                for s in self.stages
            ],
            "conventions": {kind: self.stages[0].limits.conventions[kind] for kind in KINDS},
            "converged": not self.failed,
            "failed": list(self.failed),
        }


def bounds(
    label: str,
    added: Sequence[str],
    joint: JointLikelihood,
    cl: float = 0.90,
    *,
    parameters: Sequence[str] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    stores: Stores | None = None,
) -> Bounds:
    """Limits of one stage, one at a time and profiled.

    Args:
        label: of the stage. `added`: names of the experiments that the stage before did not have.
        joint: the likelihood of all its experiments.
        cl: confidence level, between 0 and 1.
        parameters: coefficients and identified quantities; those that this likelihood does not know are left out. None: all.
        seed: of scattered starts. `progress`, `stores`: as in `limits`.
    Raises: UserInputError as `limits` does.
    """
    known = {*(p.name for p in joint.own), *(q.name for q in joint.identified)}
    names = None if parameters is None else [name for name in parameters if name in known]
    found = limits(joint, cl, parameters=names, presets={}, seed=seed, progress=progress, stores=stores)
    return Bounds(label, tuple(e.name for e in joint.experiments), tuple(added), found)
