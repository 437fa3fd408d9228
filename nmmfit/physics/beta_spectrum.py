"""Neutrino spectra as an allowed beta shape times a smooth correction: what the compact solar tables hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev

from nmmfit.constants import ALPHA_0, M_ELECTRON_MEV


def allowed_shape(e_nu_mev: np.ndarray, endpoint_mev: float, daughter_charge: int) -> np.ndarray:
    """Allowed positron-decay neutrino spectrum E^2 p W F, not normalised; zero outside (0, endpoint).

    W = endpoint - E + m_e and p are the positron's energy and momentum, F = x / (e^x - 1) with x = 2 pi alpha Z W / p the
    Coulomb repulsion by the daughter of charge Z (non-relativistic form). For daughter_charge = 0 it is E^2 alone.
    """
    e = np.asarray(e_nu_mev, dtype=float)
    inside = (e >= 0.0) & (e <= endpoint_mev)
    if daughter_charge == 0:
        return np.where(inside, e**2, 0.0)
    m = M_ELECTRON_MEV.value
    kinetic = np.where(inside, endpoint_mev - e, 0.0)
    total = kinetic + m
    momentum = np.sqrt(kinetic * (kinetic + 2.0 * m))
    open_ = momentum > 0.0
    x = np.minimum(2.0 * np.pi * ALPHA_0.value * daughter_charge * total / np.where(open_, momentum, 1.0), 700.0)
    return np.where(inside & open_, e**2 * momentum * total * x / np.expm1(x), 0.0)


@dataclass(frozen=True, eq=False)
class SmoothSpectrum:
    """A normalised neutrino spectrum per MeV: allowed_shape * exp(sum_k c_k T_k(2 E / endpoint - 1)), `coefficients` (order,)."""

    endpoint_mev: float
    daughter_charge: int
    coefficients: np.ndarray

    def __call__(self, e_nu_mev: np.ndarray) -> np.ndarray:
        """Density per MeV at neutrino energies in MeV, any shape; zero outside [0, endpoint]."""
        e = np.asarray(e_nu_mev, dtype=float)
        x = np.clip(2.0 * e / self.endpoint_mev - 1.0, -1.0, 1.0)
        return allowed_shape(e, self.endpoint_mev, self.daughter_charge) * np.exp(chebyshev.chebval(x, self.coefficients))
