"""Arrival times of neutrinos from pions and muons that a Gaussian pulse of protons makes, in closed form.

    prompt: pulse * exp(-t / tau_pi) / tau_pi,    delayed: prompt * exp(-t / tau_mu) / tau_mu

(* is a convolution), for experiments that give a pulse's mean and width; `sns.arrival_time` has the simulated distributions.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax.scipy.special import log_ndtr, ndtr

from nmmfit import precision as precision
from nmmfit.constants import MUON_LIFETIME_US, PION_LIFETIME_US
from nmmfit.errors import unknown
from nmmfit.shapes import Array, ArrayLike


def decay_cdf(time: ArrayLike, mean: ArrayLike, width: ArrayLike, lifetime: float) -> Array:
    """Cumulative distribution of a Gaussian plus an exponential decay time.

    F = Phi(z) - exp(-(t - mean) / tau + w^2 / (2 tau^2)) Phi(z - w / tau), z = (t - mean) / w; the second term through log Phi,
    so that nothing overflows.

    Args:
        time, mean, width: t, mean and standard deviation w > 0 of the Gaussian, broadcastable, one unit.
        lifetime: tau > 0, same unit.
    Returns: F, between 0 and 1, analytic in all arguments.
    """
    late = jnp.asarray(time) - jnp.asarray(mean)
    w = jnp.asarray(width)
    ratio = w / lifetime
    return ndtr(late / w) - jnp.exp(log_ndtr(late / w - ratio) + 0.5 * ratio**2 - late / lifetime)


def pulse_arrival_cdf(source: str, time_us: ArrayLike, mean_us: ArrayLike, width_us: ArrayLike) -> Array:
    """Fraction of a source's neutrinos that has arrived by a time.

    Args:
        source: "prompt_nu_mu" (pion decay), "delayed_nu_mu_bar" or "delayed_nu_e" (then muon decay).
        time_us: times, any shape.
        mean_us, width_us: of the pulse of protons.
    Returns: fraction; delayed: (tau_mu F_mu - tau_pi F_pi) / (tau_mu - tau_pi) with F of `decay_cdf`.
    Raises: UserInputError for another source.
    """
    of_pion = decay_cdf(time_us, mean_us, width_us, PION_LIFETIME_US.value)
    if source == "prompt_nu_mu":
        return of_pion
    if source not in ("delayed_nu_mu_bar", "delayed_nu_e"):
        raise unknown("SNS source", source, ("prompt_nu_mu", "delayed_nu_mu_bar", "delayed_nu_e"))
    pion, muon = PION_LIFETIME_US.value, MUON_LIFETIME_US.value
    return (muon * decay_cdf(time_us, mean_us, width_us, muon) - pion * of_pion) / (muon - pion)


def pulse_arrival_fraction(source: str, edges_us: ArrayLike, mean_us: ArrayLike, width_us: ArrayLike) -> Array:
    """Fraction of a source's neutrinos in each time bin, (bin,): differences of `pulse_arrival_cdf` at edges (bin + 1,)."""
    return jnp.diff(pulse_arrival_cdf(source, jnp.asarray(edges_us), mean_us, width_us))
