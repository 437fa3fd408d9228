"""How to sample: the settings of every method, checked."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from typing import Any

from nmmfit.checks import finite_number, whole_number
from nmmfit.errors import UserInputError, unknown
from nmmfit.samplers import METHODS, MethodDefaults

BY_METHOD: Any = None
"""A setting that is left to the method."""

LEAST_PARTICLES = 20


@dataclass(frozen=True)
class SamplerSettings:
    """How to sample: by "nuts", a few chains with trajectories of their own, "ensemble", many chains in lock-step, or "smc",
    particles that are tempered from the prior.

    `chains`, `warmup`, `draws` and `target_accept` are those of `nmmfit.samplers.METHODS` where they are left out. `warmup` is
    rounded up to a multiple of 20. A trajectory has at most 2^max_tree_depth - 1 steps. With "smc" `chains` are independent runs,
    `draws` the particles of each and `warmup` the trajectories of every particle at every power of the likelihood.
    """

    chains: int = BY_METHOD
    warmup: int = BY_METHOD
    draws: int = BY_METHOD
    seed: int = 1
    target_accept: float = BY_METHOD
    max_tree_depth: int = 10
    coordinates: str = "amplitudes"
    method: str = "nuts"

    def __post_init__(self) -> None:
        for name, allowed in (("method", tuple(METHODS)), ("coordinates", ("amplitudes", "natural"))):
            if getattr(self, name) not in allowed:
                raise unknown(name, getattr(self, name), allowed, f"sampler.{name}")
        for field, value in zip(fields(MethodDefaults), astuple(METHODS[self.method]), strict=True):
            if getattr(self, field.name) is None:
                object.__setattr__(self, field.name, value)
        for name, least, most in (
            ("chains", 1, 4096),
            ("warmup", 1, None),
            ("draws", 1, None),
            ("max_tree_depth", 1, 15),
            ("seed", 0, 2**32 - 1),
        ):
            whole_number(getattr(self, name), f"sampler.{name}", least, most)
        if self.method == "smc" and self.draws < LEAST_PARTICLES:
            raise UserInputError(f"sampler.draws: {self.draws} particles are too few for smc, at least {LEAST_PARTICLES}")
        if not 0.0 < finite_number(self.target_accept, "sampler.target_accept") < 1.0:
            raise UserInputError(f"sampler.target_accept: {self.target_accept} is not between 0 and 1")
