"""How a run file's posterior is sampled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
)

from nmmfit.samplers import METHODS
from nmmfit.validation import StrictModel


def _by_method(name: str) -> Callable[[dict[str, Any]], Any]:
    """Default of a sampler's key, which depends on the method."""
    # A method that is refused is not among the checked values.
    return lambda checked: getattr(METHODS[checked.get("method", "nuts")], name)


def _defaults(name: str, what: str = "") -> str:
    """What is written about such a key."""
    values = ", ".join(f"{getattr(defaults, name)} with {method}" for method, defaults in METHODS.items())
    return f"{what}default {values}"


class SamplerSpec(StrictModel):
    """How the posterior is sampled."""

    method: Annotated[
        Literal["nuts", "ensemble", "smc"],
        Field(description="few chains that choose their trajectories, many in lock-step, or particles tempered from the prior"),
    ] = "nuts"
    coordinates: Annotated[Literal["amplitudes", "natural"], Field(description="what the sampler moves in")] = "amplitudes"
    chains: int = Field(default_factory=_by_method("chains"), ge=1, le=4096, description=_defaults("chains"))
    warmup: int = Field(default_factory=_by_method("warmup"), ge=1, description=_defaults("warmup"))
    draws: int = Field(
        default_factory=_by_method("draws"), ge=1, description=_defaults("draws", "draws per chain after warm-up; ")
    )
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 20220613
    target_accept: float = Field(
        default_factory=_by_method("target_accept"),
        gt=0.0,
        lt=1.0,
        description=_defaults("target_accept", "acceptance that the step size is adapted to; "),
    )
    max_tree_depth: Annotated[int, Field(ge=1, le=15, description="a trajectory has at most 2^max_tree_depth - 1 steps")] = 10
