"""Released variations of distributions as smooth functions of pulls, through the released tables at -1, 0 and +1.

Contents of bins: n_b(p) = n_b exp(slope_b s + curvature_b s^2) / Z(s), with slope and curvature from the logarithms of the two
variations, so that n_b(-1), n_b(0) and n_b(1) are the released contents (normalised to the nominal total by Z). For a
Gaussian distribution whose mean moves this is exact. s = p sqrt(5) / sqrt(4 + p^2) is 1 at p = 1 and stays within sqrt(5):
further out nothing is released, and an exponential of p^2 would run away in sparse bins.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from nmmfit.experiment import Pulls, Weighting
from nmmfit.physics.detector import gaussian_bin_probabilities
from nmmfit.physics.forms import Forms
from nmmfit.physics.pulse import pulse_arrival_fraction
from nmmfit.shapes import Array

_SATURATION = 2.0


def bounded_pull(pull: Array) -> Array:
    """s = p sqrt(1 + a^2) / sqrt(a^2 + p^2), a = 2: 0 at 0, +-1 at +-1, within +-sqrt(5)."""
    return pull * np.sqrt(1.0 + _SATURATION**2) / jnp.sqrt(_SATURATION**2 + pull**2)


@dataclass(frozen=True)
class Morph:
    """Contents of bins relative to nominal as a function of one pull; bins that are empty in a variation do not move."""

    nominal: np.ndarray
    """(bin,), sum 1."""
    slope: np.ndarray
    curvature: np.ndarray

    @classmethod
    def through(cls, nominal: np.ndarray, plus: np.ndarray, minus: np.ndarray) -> Morph:
        """From contents (bin,) at 0, +1 and -1, of whatever totals."""
        n, up, down = (np.asarray(v, dtype=float) / np.sum(v) for v in (nominal, plus, minus))
        filled = (n > 0.0) & (up > 0.0) & (down > 0.0)
        safe = np.where(filled, n, 1.0)
        log_up, log_down = (np.log(np.where(filled, v, 1.0) / safe) for v in (up, down))
        return cls(n, 0.5 * (log_up - log_down), 0.5 * (log_up + log_down))

    def factors(self, pull: Array) -> Array:
        """n_b(p) / n_b, (bin,), with the nominal total kept."""
        s = bounded_pull(pull)
        raw = jnp.exp(jnp.asarray(self.slope) * s + jnp.asarray(self.curvature) * s**2)
        return raw / (jnp.asarray(self.nominal) @ raw)

    def weighting(self, pull: str, base: np.ndarray) -> Weighting:
        """Weighting base_b n_b(p) / n_b; fine values are those of the bins in which `base` (bin,) is not 0, `at` their number."""

        def weight(at: Array, pulls: Pulls) -> Array:
            return (jnp.asarray(base) * self.factors(pulls[pull]))[jnp.asarray(at, dtype=int)]

        filled = np.flatnonzero(base)
        return Weighting(weight, filled.astype(float), np.eye(len(base))[:, filled], (pull,))


def pulse_times(
    shares: Mapping[str, float], edges_us: np.ndarray, mean_us: float, shift_us: float, width_us: float, pull: str
) -> Callable[[Forms, Pulls], Array]:
    """Fraction of neutrinos in each time bin, (bin,), for a Gaussian pulse whose mean moves with a pull.

    Args:
        shares: name of an SNS source -> weight.
        edges_us: analysis bins.
        mean_us, shift_us, width_us: mean = mean_us + shift_us * pull, and width, of the pulse.
        pull: its name.
    """

    def function(forms: Forms, pulls: Pulls) -> Array:
        mean = mean_us + shift_us * pulls[pull]
        parts = [share * pulse_arrival_fraction(source, edges_us, mean, width_us) for source, share in shares.items()]
        return functools.reduce(operator.add, parts)

    return function


def gaussian_times(
    edges_us: np.ndarray,
    mean_us: float,
    shift_us: float,
    width_us: float,
    log_width: float,
    pulls_used: tuple[str, str],
    filled: int,
) -> Callable[[Forms, Pulls], Array]:
    """Distribution over time bins, (bin,), sum 1: a Gaussian cut off after the first `filled` bins.

    Its mean moves by `shift_us` with the first pull, the logarithm of its width by `log_width` with the second.
    """
    mean_pull, width_pull = pulls_used

    def function(forms: Forms, pulls: Pulls) -> Array:
        mean = mean_us + shift_us * pulls[mean_pull]
        width = width_us * jnp.exp(log_width * pulls[width_pull])
        parts = gaussian_bin_probabilities(mean, width, edges_us[: filled + 1])
        return jnp.pad(parts / jnp.sum(parts), (0, len(edges_us) - 1 - filled))

    return function
