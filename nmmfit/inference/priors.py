"""Priors of the run file as numpyro distributions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpyro import distributions as dist
from numpyro.distributions.truncated import TwoSidedTruncatedDistribution

from nmmfit import precision as precision
from nmmfit.priors import PriorSpec


def to_distribution(spec: PriorSpec) -> dist.Distribution:
    """The numpyro distribution of a prior, in the unit of its parameter.

    Args:
        spec: checked by the run file's models, so that every number is in its domain.
    Returns: scalar distribution; a Delta for a fixed parameter.
    """
    numbers = spec.numbers
    match spec.family:
        case "normal":
            return dist.Normal(*numbers)
        case "half_normal":
            return dist.HalfNormal(*numbers)
        case "uniform":
            return dist.Uniform(*numbers)
        case "log_uniform":
            return dist.LogUniform(*numbers)
        case "student_t":
            return dist.StudentT(*numbers)
        case "truncated_normal":
            mean, width, low, high = numbers
            return dist.TruncatedNormal(mean, width, low=low, high=high)
        case "delta":
            return dist.Delta(*numbers)
    raise ValueError(f"prior family {spec.family!r} has no distribution")


def describe(distribution: Any) -> str:
    """A distribution in words for tables, such as "normal(0, 1)"; the class name where it is none of the run file's families."""
    if isinstance(distribution, dist.Delta):
        return f"{float(distribution.v):g}"
    if isinstance(distribution, dist.Normal):
        return f"normal({float(distribution.loc):g}, {float(distribution.scale):g})"
    return type(distribution).__name__


# Families by the numbers that say everything about one of them.
_NUMBERS = {
    dist.Normal: ("loc", "scale"),
    dist.HalfNormal: ("scale",),
    dist.Uniform: ("low", "high"),
    dist.LogUniform: ("low", "high"),
    dist.StudentT: ("df", "loc", "scale"),
    dist.Delta: ("v", "log_density"),
}


def exact_description(distribution: Any) -> str | None:
    """Family and numbers of a scalar distribution, to the last digit; None where it is none of the run file's families."""
    if isinstance(distribution, TwoSidedTruncatedDistribution):
        base = exact_description(distribution.base_dist)
        return None if base is None else f"{base} from {float(distribution.low)!r} to {float(distribution.high)!r}"
    names = _NUMBERS.get(type(distribution))
    if names is None:
        return None
    numbers = [np.asarray(getattr(distribution, name)) for name in names]
    if any(n.ndim for n in numbers):
        return None
    return f"{type(distribution).__name__}{tuple(float(n) for n in numbers)!r}"
