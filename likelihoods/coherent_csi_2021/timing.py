"""Arrival times of the signal: pulse and decay times of the source, one common delay, and the time efficiency."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from nmmfit.experiment import Factor, Pulls
from nmmfit.physics.detector import exponential_efficiency
from nmmfit.physics.forms import Forms
from nmmfit.physics.sns import arrival_fraction
from nmmfit.shapes import Array

from .response import NAME

TIMING = f"{NAME}.timing"
_US_PER_NS = 1.0e-3

# arXiv:2110.07730, as quoted with its ancillary files: 1 until 0.52 us, then exp(-0.0494 (t - 0.52)), t in us.
TIME_EFFICIENCY_ONSET_US = 0.52
TIME_EFFICIENCY_RATE_PER_US = 0.0494


def time_efficiency(time_us: Array) -> Array:
    """Efficiency at recoil time `time_us`, any shape."""
    return exponential_efficiency(time_us, TIME_EFFICIENCY_ONSET_US, TIME_EFFICIENCY_RATE_PER_US)


def signal_times(source: str, edges_us: np.ndarray, centre_ns: float, width_ns: float) -> Factor:
    """Share of a source's recoils in each time bin, with time efficiency: int_bin f(t - delay) eps(t) dt.

    Args:
        source: name of an SNS source.
        edges_us: analysis bins, us.
        centre_ns, width_ns: delay = centre + width * pull.
    """

    def function(forms: Forms, pulls: Pulls) -> Array:
        delay_us = (centre_ns + width_ns * pulls[TIMING]) * _US_PER_NS
        return arrival_fraction(source, edges_us, jnp.asarray(delay_us), time_efficiency, (TIME_EFFICIENCY_ONSET_US,))

    return Factor(function, shape_pulls=(TIMING,))
