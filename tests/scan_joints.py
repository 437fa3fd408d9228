"""Small joint likelihoods whose grids have closed forms, made once: a Gaussian, a quartic valley, two coefficients with c_T."""

from __future__ import annotations

from functools import cache

import jax.numpy as jnp
import numpy as np
from numpyro import distributions as dist
from small_joint import counts_of, couplings, experiment, joint

from nmmfit.experiment import BinnedExperiment, Channel, Component, Factor

SLOPES = {"lab.a": 0.03, "lab.b": -0.02, "lab.c": 0.04}
OBSERVED, SIGMA = 107.0, 3.0


@cache
def gaussian(edge=np.inf):
    """100 (1 + a p_a + b p_b + c p_c) events with a normal error: a Gaussian in the pulls; not defined where p_a > edge."""

    def scale(values):
        mean = 1.0 + sum(SLOPES[name] * values[name] for name in SLOPES)
        return jnp.where(values["lab.a"] > edge, jnp.nan, mean)

    factor = Factor(counts_of([100.0], [0.0]), (), ("dipole",))
    component = Component("all", (factor,), scale, tuple(SLOPES))
    channel = Channel(
        "bins",
        np.array([OBSERVED]),
        (component,),
        {"x": np.arange(2.0)},
        distribution=lambda mean: dist.Normal(mean, SIGMA),
        statistic="other",
    )
    lab = BinnedExperiment("lab", "Gaussian", (channel,), {name: dist.Normal(0.0, 1.0) for name in SLOPES})
    return joint(lab, {"L": couplings(1.0)})


@cache
def valley(observed=100.0):
    """Counts (100 + 4 L^2, 50 + L^2) exp(0.1 p): quartic in L where the data show no signal."""
    lab = experiment([observed, 0.5 * observed], counts_of([100.0, 50.0], [4.0, 1.0]), {"norm": lambda p: 0.1 * p})
    return joint(lab, {"L": couplings(1.0)})


@cache
def two_coefficients():
    """Counts with a dipole d = L + 0.8 (c_T / -3) T and a tensor T; a pull on the normalisation."""
    lab = experiment(
        [118.0, 80.0, 47.0],
        counts_of([100.0, 80.0, 40.0], [6.0, 2.0, 0.5], tensor_pp=[0.5, 1.0, 2.0]),
        {"norm": lambda p: 0.05 * p},
    )
    units = {"L": couplings(1.0), "T": couplings(0.0, 1.0)}
    return joint(lab, units, {"T": -0.27}, dist.Normal(-3.0, 0.3))
