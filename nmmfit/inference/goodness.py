"""Goodness of fit: the deviance at the best fit, and its p-value from toy experiments that are fitted as the data are.

The statistic is the deviance of the data (Baker and Cousins, Nucl. Instrum. Meth. 221 (1984) 437, eqs. (5) and (7)),

    D = 2 sum_b [ln p(n_b | n_b) - ln p(n_b | mu_b(theta))],

at the theta that minimises D + sum_i (theta_i - a_i)^2 / sigma_i^2 + ..., the constraints included. In toys the data are drawn at
the best fit, and so are the centres a_i of normal constraints, because external measurements fluctuate too; what constrains in
another form stays as it is. The terms of the constraints are no part of D, where a wide prior that stands for no measurement
would count as one. Counts are often so few that chi-square is no guide to the distribution of D, hence the toys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.checks import whole_number
from nmmfit.errors import UserInputError
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.minimise import Progress
from nmmfit.inference.toy_fits import ToyLikelihood, fit_toys, thrown
from nmmfit.shapes import Array

THROWS = (1.0, 3.0)
"""Further starts of a toy's fit, in units of sensitivity of the coefficients from where the toy was made."""
BLOCK = 48
"""Toys in one compiled call, after which progress is reported."""


@dataclass(frozen=True)
class Goodness:
    """How well a point describes the data.

    Attributes:
        deviance: of the data at the point, summed over bins. `bins`: their number.
        p_value: fraction of toys whose deviance is at least as large, with the data counted as one: (1 + k) / (1 + toys). Near 1
            the data fit better than chance would have it.
        p_error: its statistical error. `toys`: toys whose fit converged. `failed`: those whose fit did not.
        toy_mean, toy_sd: mean and standard deviation of the deviance in the toys.
    """

    deviance: float
    bins: int
    p_value: float
    p_error: float
    toys: int
    failed: int
    toy_mean: float
    toy_sd: float


def goodness(
    joint: JointLikelihood, point: Mapping[str, float], *, toys: int = 200, seed: int = 0, progress: Progress | None = None
) -> Goodness:
    """Goodness of fit at a best fit of all parameters.

    Args:
        joint: the likelihood.
        point: the best fit (`fit(joint).point`), every parameter by name.
        toys: number of toy experiments, >= 1.
        seed: of the random numbers, >= 0.
        progress: called with (toys done, toys in all).
    Raises: UserInputError for a wrong number, an incomplete point, or a likelihood without data.
    """
    whole_number(toys, "goodness: toys", 1)
    whole_number(seed, "goodness: seed", 0)
    if not joint.channels:
        raise UserInputError("goodness: this likelihood has no data")
    missing = [name for name in joint.names if name not in point]
    if missing:
        raise UserInputError(f"goodness: the point lacks {missing[0]!r}")
    likelihood = ToyLikelihood(joint)
    z = likelihood.space.ranges.from_parameters(np.asarray([point[name] for name in joint.names], dtype=float))
    deviance = float(_deviances(likelihood, jnp.asarray(z)[None], jnp.asarray(likelihood.observed.counts)[None])[0])
    keys = jax.random.split(jax.random.PRNGKey(seed), toys)
    rng = np.random.default_rng(seed)
    values, converged = [], []
    for start in range(0, toys, BLOCK):
        # The last block is filled up, so that one program serves all.
        drawn = likelihood.draw(z, keys[np.minimum(np.arange(start, start + BLOCK), toys - 1)])
        fits = fit_toys(likelihood, drawn, thrown(likelihood, np.tile(z, (BLOCK, 1)), THROWS, rng))
        kept = min(BLOCK, toys - start)
        values.append(np.asarray(_deviances(likelihood, jnp.asarray(fits.z), jnp.asarray(drawn.counts)))[:kept])
        converged.append(fits.converged[:kept])
        if progress is not None:
            progress(start + kept, toys)
    good = np.concatenate(converged)
    kept_values = np.concatenate(values)[good]
    number = len(kept_values)
    p = (1.0 + float(np.sum(kept_values >= deviance))) / (1.0 + number)
    return Goodness(
        deviance=deviance,
        bins=len(likelihood.observed.counts),
        p_value=p,
        p_error=float(np.sqrt(p * (1.0 - p) / max(number, 1))),
        toys=number,
        failed=int(np.sum(~good)),
        toy_mean=float(np.mean(kept_values)) if number else float("nan"),
        toy_sd=float(np.std(kept_values, ddof=1)) if number > 1 else float("nan"),
    )


@partial(jax.jit, static_argnums=0)
def _deviances(likelihood: ToyLikelihood, z: Array, counts: Array) -> Array:
    """Deviances (toy,) of counts (toy, bin) at vectors (toy, n)."""
    return jax.lax.map(lambda pair: likelihood.deviance(*pair), (z, counts))
