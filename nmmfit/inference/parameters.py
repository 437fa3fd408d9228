"""What a joint likelihood is a function of: parameters with priors, and the quantities that the data identify."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jax.scipy.special import log_ndtr
from numpyro import distributions as dist
from numpyro.distributions import biject_to

from nmmfit.physics.forms import TargetCouplings
from nmmfit.shapes import Array


@dataclass(frozen=True)
class Parameter:
    """One sampled number.

    Attributes:
        name: coefficient parameters as the run file names them, the rest `owner.name`.
        kind: "coefficient" (the user's), "model" (the user's too: coefficients depend on it, but not in proportion), "theory"
            (c_T and other inputs) or "nuisance" (pulls).
        unit: of its values, "1" for pulls.
        prior: numpyro distribution.
        start: where fits begin (the prior's centre; 0 for coefficients).
        scale: a natural step, finite and positive.
        period: of a phase whose prior is uniform on the whole circle; None for everything else.
    """

    name: str
    kind: str
    unit: str
    prior: Any
    start: float
    scale: float
    period: float | None = None

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
    def range(self) -> tuple[float, float]:
        """Ends of the range of the prior, infinite where it has none."""
        support = self.prior.support
        return float(getattr(support, "lower_bound", -math.inf)), float(getattr(support, "upper_bound", math.inf))

    @property
    def bijection(self) -> Any:
        """From the real line to the range of the prior, as numpyro's transforms are; a phase winds around its circle."""
        if self.period is not None:
            return Winding(float(self.prior.low), self.period)
        return biject_to(self.prior.support)

    @property
    def is_symmetric(self) -> bool:
        """Whether the prior is even in the parameter: a centred normal, Student t or uniform distribution."""
        if type(self.prior) in (dist.Normal, dist.StudentT):
            return float(self.prior.loc) == 0.0
        if type(self.prior) is dist.Uniform:
            return float(self.prior.low) == -float(self.prior.high)
        return False


@dataclass(frozen=True)
class Winding:
    """The real line wound around a circle [low, low + period): many to one, so that no chain meets an end.

    On the line the uniform density of the circle becomes a box of one period convolved with a normal of one period's width;
    wound up it is uniform exactly, because the boxes of all windings add up to a constant. It is proper, so that chains do not
    drift away, and draws wound up follow the posterior whatever the likelihood, which is periodic.
    """

    low: float
    period: float

    def __call__(self, z: Array) -> Array:
        return self.low + self.period * jnp.mod(z, 1.0)

    def inv(self, x: Array) -> Array:
        """The winding that holds the middle of the density: z in [0, 1)."""
        return jnp.mod((jnp.asarray(x) - self.low) / self.period, 1.0)

    def log_abs_det_jacobian(self, z: Array, x: Array) -> Array:
        """Log of the density of z, over the uniform one of x."""
        centred = z - 0.5
        # The density is even; written for |z| both terms are tails of the normal on one side, where their logarithms are exact.
        size = jnp.where(centred < 0.0, -centred, centred)
        upper, lower = log_ndtr(0.5 - size), log_ndtr(-0.5 - size)
        return upper + jnp.log1p(-jnp.exp(lower - upper)) + math.log(self.period)


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
