"""What a joint likelihood is a function of: parameters with priors, and the quantities that the data identify."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from numpyro import distributions as dist

from nmmfit.physics.forms import TargetCouplings
from nmmfit.shapes import Array


@dataclass(frozen=True)
class Parameter:
    """One sampled number.

    Attributes:
        name: coefficient parameters as the run file names them, the rest `owner.name`.
        kind: "coefficient" (the user's), "theory" (c_T and other inputs) or "nuisance" (pulls).
        unit: of its values, "1" for pulls.
        prior: numpyro distribution.
        start: where fits begin (the prior's centre; 0 for coefficients).
        scale: a natural step, finite and positive.
    """

    name: str
    kind: str
    unit: str
    prior: Any
    start: float
    scale: float

    @property
    def is_normal(self) -> bool:
        """Whether the prior is an untruncated normal distribution."""
        return type(self.prior) is dist.Normal

    @property
    def prior_sd(self) -> float:
        """Standard deviation of the prior; nan where it has none."""
        return math.sqrt(float(self.prior.variance))

    @property
    def is_unbounded(self) -> bool:
        """Whether the prior lives on the whole real line."""
        return self.prior.support is dist.constraints.real

    @property
    def is_symmetric(self) -> bool:
        """Whether the prior is even in the parameter: a centred normal, Student t or uniform distribution."""
        if type(self.prior) in (dist.Normal, dist.StudentT):
            return float(self.prior.loc) == 0.0
        if type(self.prior) is dist.Uniform:
            return float(self.prior.low) == -float(self.prior.high)
        return False


@dataclass(frozen=True)
class Identified:
    """A quantity that rates depend on directly: the norm of a vector that is linear in the coefficients.

    `vector(couplings)` is a real vector in units of `unit`; the quantity is its Euclidean norm (an effective moment, the size
    of a nuclear tensor charge).
    """

    name: str
    unit: str
    label: str
    vector: Callable[[TargetCouplings], Array]

    def value(self, couplings: TargetCouplings) -> Array:
        """The quantity, >= 0."""
        return jnp.sqrt(jnp.sum(self.vector(couplings) ** 2))


def log_prior(parameters: tuple[Parameter, ...], values: Array) -> Array:
    """Sum of the normalised log prior densities of `parameters` at `values` (parameter,)."""
    if not parameters:
        return jnp.asarray(0.0)
    normal = [i for i, p in enumerate(parameters) if p.is_normal]
    total = jnp.asarray(0.0)
    if normal:
        loc = jnp.asarray([float(parameters[i].prior.loc) for i in normal])
        scale = jnp.asarray([float(parameters[i].prior.scale) for i in normal])
        picked = values if len(normal) == len(parameters) else values[jnp.asarray(normal)]
        z = (picked - loc) / scale
        total = -0.5 * jnp.sum(z**2) - jnp.sum(jnp.log(scale)) - 0.5 * len(normal) * math.log(2.0 * math.pi)
    for i, p in enumerate(parameters):
        if not p.is_normal:
            total = total + p.prior.log_prob(values[i])
    return total
