"""Nuisances and theory inputs of a joint likelihood as one normal distribution, for those who evaluate it without us.

Priors that are normal are themselves; others are replaced by a normal distribution of the same mean and standard deviation.
Together with the experiments' own constraints (a sum rule, say) they have a maximum; the normal distribution is centred there,
with the inverse of the second derivative as its covariance.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize

from nmmfit.errors import UserInputError
from nmmfit.exchange.rates import own_constraints
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.parameters import Parameter
from nmmfit.inference.priors import exact_description


@dataclass(frozen=True)
class NormalNuisances:
    """Nuisances and theory inputs, in the order of the joint likelihood's vector after the coefficients.

    Attributes:
        parameters: the parameters.
        nominal: (nuisance,) values at which everything is expanded.
        width: (nuisance,) standard deviations of the priors alone.
        mean: (nuisance,) mean of the normal distribution minus the nominal values; not zero where a sum rule pulls.
        covariance: (nuisance, nuisance) of that distribution.
    """

    parameters: tuple[Parameter, ...]
    nominal: np.ndarray
    width: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray

    @property
    def names(self) -> tuple[str, ...]:
        """Names, in order."""
        return tuple(p.name for p in self.parameters)

    @property
    def priors(self) -> tuple[str, ...]:
        """The priors in words, to the last digit."""
        return tuple(exact_description(p.prior) or type(p.prior).__name__ for p in self.parameters)


def normal_nuisances(joint: JointLikelihood) -> NormalNuisances:
    """The nuisances and theory inputs of a likelihood around their published nominal values.

    Raises: UserInputError for a prior without a standard deviation, and for constraints that fix no maximum.
    """
    n = joint.n_coefficients
    parameters = joint.parameters[n:]
    nominal = np.asarray(joint.start[n:])
    width = np.array([p.prior_sd for p in parameters])
    for p, sd in zip(parameters, width, strict=True):
        if not (np.isfinite(sd) and sd > 0.0):
            raise UserInputError(f"export: the prior of {p.name} has no standard deviation, so that its effect has no covariance")
    if not parameters:
        return NormalNuisances(parameters, nominal, width, nominal, np.zeros((0, 0)))
    centre = np.array([float(p.prior.mean) for p in parameters])
    start = jnp.asarray(joint.start)

    # in units of the widths, so that every entry of the second derivative is of order one
    def height(steps: jax.Array) -> jax.Array:
        rest = nominal + width * steps
        return 0.5 * jnp.sum(((rest - centre) / width) ** 2) - own_constraints(joint, jnp.concatenate([start[:n], rest]))

    slope, curvature = jax.jit(jax.grad(height)), jax.jit(jax.hessian(height))
    found = minimize(
        lambda steps: float(height(jnp.asarray(steps))),
        np.zeros(len(width)),
        jac=lambda steps: np.asarray(slope(steps)),
        hess=lambda steps: np.asarray(curvature(steps)),
        method="trust-exact",
        options={"gtol": 1e-10, "maxiter": 200},
    )
    precision = np.asarray(curvature(found.x))
    if not np.linalg.norm(slope(found.x)) < 1e-6 or np.linalg.eigvalsh(precision)[0] <= 0.0:
        raise UserInputError("export: the constraints of the nuisances have no maximum near their nominal values")
    covariance = np.linalg.inv(precision) * np.outer(width, width)
    return NormalNuisances(parameters, nominal, width, width * found.x, 0.5 * (covariance + covariance.T))
