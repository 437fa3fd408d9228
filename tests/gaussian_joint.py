"""A likelihood whose posterior is a Gaussian in closed form: two counts of unit width that mix two pulls of unit prior."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
from numpyro import distributions as dist
from synthetic import coupling_map

from nmmfit.experiment import BinnedExperiment, Channel, Component, Factor
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.parameters import Parameter

# Precision of the posterior: 1 + R^T R.
RESPONSE = np.array([[3.0, 2.9], [0.5, -0.4]])
OBSERVED = np.array([12.0, 9.5])
NOMINAL = np.array([10.0, 10.0])


def gaussian(response: np.ndarray = RESPONSE) -> JointLikelihood:
    """Two nuisances, counts that are linear in them and Gaussian, and a coefficient that nothing depends on."""
    names = ("lab.a", "lab.b")

    def counts(forms, pulls):
        return jnp.asarray(NOMINAL) + jnp.asarray(response) @ jnp.stack([pulls[n] for n in names])

    channel = Channel(
        "bins",
        OBSERVED,
        (Component("all", (Factor(counts, names),)),),
        {"x": np.arange(3.0)},
        distribution=lambda mean: dist.Normal(mean, 1.0),
        statistic="other",
    )
    lab = BinnedExperiment("lab", "Closed form", (channel,), dict.fromkeys(names, dist.Normal(0.0, 1.0)))
    parameters = [Parameter("L_dipole", "coefficient", "GeV^-1", dist.Normal(0.0, 2.0), 0.0, 2.0)]
    parameters += [Parameter(n, "nuisance", "1", dist.Normal(0.0, 1.0), 0.0, 1.0) for n in names]
    full = coupling_map(float_c_t=False)
    rows = np.asarray(full.samples[0][:1])
    one = dataclasses.replace(full, coordinates=lambda theory: jnp.asarray(rows), samples=(rows,), finals=full.finals[:1])
    return JointLikelihood((lab,), parameters, one, method="direct")
