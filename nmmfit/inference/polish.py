"""The best fit near the draws of a posterior: a quick minimisation for plots; `fit` is the thorough one."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize

from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.vector import Ranges

STARTS = 20
MOST_ITERATIONS = 500
# Added to the correlation matrix, so that few draws or exactly correlated parameters leave it positive.
RIDGE = 1e-3


def polish(joint: JointLikelihood, draws: Mapping[str, np.ndarray], zero: Collection[str] = ()) -> dict[str, float]:
    """Point of highest likelihood with constraints, without the priors of coefficients, reached from the best of a few draws.

    The draws' covariance makes the problem round, so that a quasi-Newton method with gradients needs a few dozen evaluations.
    Along flat directions the point stays where the draws are. Where the minimum is a quartic valley (a dipole at 0) the height
    above it is below 1e-3, which no plot shows.

    Args:
        joint: the likelihood.
        draws: parameter -> (chain, draw), at least one draw.
        zero: parameters held at 0, `joint.switches` for the Standard Model.
    Returns: parameter -> value.
    """
    ranges = Ranges(joint, without=zero)
    table = ranges.from_parameters(np.stack([np.ravel(draws[name]) for name in joint.names], axis=-1))
    free = np.asarray([name not in zero for name in joint.names])
    key = "nll_gradient", tuple(i for i, _ in ranges.bounded)
    if key not in joint.compiled:
        joint.compiled[key] = joint.jit_once(jax.value_and_grad(lambda z: joint.nll_vector(ranges.to_parameters(z))))
    compiled = joint.compiled[key]

    def at(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = compiled(jnp.asarray(x))
        return float(value), np.asarray(slope)

    # The mean of symmetrised draws is a saddle point: the likelihood is even there. A draw is not.
    starts = table[np.linspace(0, len(table) - 1, STARTS).astype(int)] * free
    best = starts[int(np.argmin([value if np.isfinite(value) else np.inf for value, _ in map(at, starts)]))]
    index = np.flatnonzero(free & (np.std(table, axis=0) > 0.0))
    if len(index):
        scale = np.std(table[:, index], axis=0)
        correlation = np.atleast_2d(np.corrcoef(table[:, index], rowvar=False))
        root = scale[:, None] * np.linalg.cholesky(correlation + RIDGE * np.eye(len(index)))

        def moved(z: np.ndarray) -> np.ndarray:
            x = best.copy()
            x[index] += root @ z
            return x

        def objective(z: np.ndarray) -> tuple[float, np.ndarray]:
            value, slope = at(moved(z))
            return (value, root.T @ slope[index]) if np.isfinite(value) else (1e300, np.zeros_like(z))

        options = {"maxiter": MOST_ITERATIONS, "ftol": 1e-14, "gtol": 1e-7}
        found = minimize(objective, np.zeros(len(index)), jac=True, method="L-BFGS-B", options=options)
        best = moved(found.x)
    return {name: float(value) for name, value in zip(joint.names, np.asarray(ranges.to_parameters(best)), strict=True)}
