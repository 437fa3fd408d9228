"""Best fit of an experiment with the signal's strength free, by scipy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from scipy import optimize

from nmmfit.experiment import BinnedExperiment
from nmmfit.physics.forms import TargetCouplings, quadratic_forms


def minimise(experiment: BinnedExperiment, fixed: tuple[str, ...]) -> tuple[float, float, np.ndarray]:
    """Best-fit CEvNS yield, its error and the gradient at the minimum, with the signal's normalisation free."""
    free = [n for n in experiment.pulls if n not in fixed]
    width = np.array([float(experiment.pulls[n].scale) for n in free])
    forms = quadratic_forms(TargetCouplings.zero())

    def pulls_at(x: jax.Array) -> dict[str, jax.Array]:
        return experiment.nominal_pulls() | {n: x[1 + k] for k, n in enumerate(free)}

    def nll(x: jax.Array) -> jax.Array:
        expected = experiment.expected(forms | {"sm": x[0]}, pulls_at(x))
        data = sum(jnp.sum(expected[c.name] - c.observed * jnp.log(expected[c.name])) for c in experiment.channels)
        return data + 0.5 * jnp.sum((x[1:] / width) ** 2)

    def events(x: jax.Array) -> jax.Array:
        parts = experiment.channels[0].component_counts(forms | {"sm": x[0]}, pulls_at(x))
        return sum(jnp.sum(v) for k, v in parts.items() if k.startswith("cevns"))

    value = jax.jit(jax.value_and_grad(nll))
    start = np.zeros(1 + len(free))
    start[0] = 1.0
    found = optimize.minimize(lambda x: tuple(np.asarray(v, float) for v in value(x)), start, jac=True, method="BFGS")
    slope = np.asarray(jax.grad(events)(found.x))
    error = float(np.sqrt(slope @ found.hess_inv @ slope))
    return float(events(found.x)), error, np.asarray(value(found.x)[1])
