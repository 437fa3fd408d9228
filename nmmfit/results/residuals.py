"""Errors of counts and of measured numbers, and how far what is expected lies from them."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from nmmfit.experiment import Channel

ERROR_68 = 0.158655


def poisson_errors(counts: np.ndarray) -> np.ndarray:
    """Central 68.3 % intervals for Poisson counts (Garwood 1936), as distances below and above, (2, bin)."""
    from scipy.stats import chi2

    n = np.asarray(counts, dtype=float)
    low = np.where(n > 0, 0.5 * chi2.ppf(ERROR_68, 2.0 * np.maximum(n, 1e-9)), 0.0)
    high = 0.5 * chi2.ppf(1.0 - ERROR_68, 2.0 * (n + 1.0))
    return np.stack([n - low, high - n])


def measured_errors(channel: Channel) -> np.ndarray | None:
    """Errors of what a channel measured, below and above, (2, bin); None for counts.

    The deviance of a Gaussian with a width on either side is a parabola on either side of the measured value, so that one point
    of each tells its width.
    """
    if channel.statistic == "poisson":
        return None
    n = np.asarray(channel.observed, dtype=float)
    step = np.maximum(np.abs(n), 1.0)

    def log_prob(mean: np.ndarray) -> np.ndarray:
        return np.asarray(channel.distribution(jnp.asarray(mean)).log_prob(jnp.asarray(n)))

    rises = [2.0 * (log_prob(n) - log_prob(n + side * step)) for side in (-1.0, 1.0)]
    return np.stack([step / np.sqrt(rise) for rise in rises])


def pulls(observed: np.ndarray, expected: np.ndarray, errors: np.ndarray | None = None) -> np.ndarray:
    """Signed square roots of each bin's deviance, (bin,): standard normal for large counts, meaningful for small ones.

    Args:
        observed, expected: counts.
        errors: of measured numbers, (2, bin), as `ChannelSpectrum.errors`; None: Poisson counts.
    """
    n, mu = np.asarray(observed, dtype=float), np.asarray(expected, dtype=float)
    if errors is not None:
        return (n - mu) / np.where(mu < n, errors[0], errors[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        deviance = 2.0 * (mu - n + np.where(n > 0, n * np.log(n / mu), 0.0))
    return np.sign(n - mu) * np.sqrt(np.maximum(deviance, 0.0))
