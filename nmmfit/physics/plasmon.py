"""Plasmon decay into a neutrino and a right-handed neutrino with mass.

With L = 1/2 mu nubar_L sigma^{mu nu} N_R F_{mu nu} + h.c., a plasmon of energy omega and invariant mass K decays into nu Nbar and
nubar N together at the rate

    Gamma = mu^2 K^4 / (24 pi omega) f,   f = (1 - x)^2 (1 + 2 x),   x = m_N^2 / K^2,

averaged over three polarisations, for K > m_N (DERIVED: trace and two-body phase space), and not at all below: the threshold of a
process in a star is the plasma frequency, not its temperature.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from nmmfit import precision as precision
from nmmfit.shapes import Array


def plasmon_mass_factor(m_n_mev: Any, plasmon_mass_mev: Any) -> Array:
    """f = (1 - x)^2 (1 + 2 x), x = m_N^2 / K^2: 1 for a massless N, 0 from the threshold K = m_N on.

    Value and first derivative are continuous at the threshold; the second derivative jumps there, from 6 to 0 in x.

    Args: m_n_mev >= 0 and plasmon_mass_mev > 0, the invariant mass K, both in MeV; they broadcast. Nothing is checked.
    """
    x = jnp.square(jnp.asarray(m_n_mev, dtype=jnp.float64) / plasmon_mass_mev)
    below = jnp.maximum(1.0 - x, 0.0)
    return below**2 * (1.0 + 2.0 * x)
