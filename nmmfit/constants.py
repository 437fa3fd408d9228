"""Measured numbers, each with value, unit, uncertainty and source."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Constant:
    """A number with its unit, one-sigma uncertainty (0 where exact or negligible) and source."""

    value: float
    unit: str
    uncertainty: float
    source: str


# PDG 2022 and later print 1.1663788(6); the tests' reference numbers were made with this value.
FERMI = Constant(1.1663787e-5, "GeV^-2", 6e-12, "CODATA 2014/2018; PDG 2020")
ALPHA_0 = Constant(1 / 137.035999177, "1", 1.5e-10 / 137.0, "CODATA 2022")
M_ELECTRON_MEV = Constant(0.51099895069, "MeV", 1.6e-10, "CODATA 2022")
M_MUON_MEV = Constant(105.6583755, "MeV", 2.3e-6, "CODATA 2022")
M_PION_MEV = Constant(139.57039, "MeV", 1.8e-4, "PDG 2024, charged pion mass")
M_TAU_GEV = Constant(1.77686, "GeV", 1.2e-4, "PDG 2020")
M_PROTON_MEV = Constant(938.27208943, "MeV", 2.9e-7, "CODATA 2022")
M_NEUTRON_MEV = Constant(939.56542194, "MeV", 4.8e-7, "CODATA 2022")
ATOMIC_MASS_UNIT_MEV = Constant(931.49410372, "MeV", 2.9e-7, "CODATA 2022")
SIN2_THETA_W_0 = Constant(0.23857, "1", 5e-5, "PDG 2020, at zero momentum transfer, as in arXiv:2206.13122")
SIN2_THETA_W_MZ = Constant(0.23121, "1", 4e-5, "PDG 2023, MS-bar at m_Z")
F_PI_MEV = Constant(92.3, "MeV", 0.1, "arXiv:2206.13122, below eq. (2.16)")


def electron_charge() -> float:
    """Positron charge e = sqrt(4 pi alpha) at zero momentum transfer (0.302822)."""
    return math.sqrt(4.0 * math.pi * ALPHA_0.value)


def bohr_magneton_per_gev() -> float:
    """Bohr magneton mu_B = e / (2 m_e) in GeV^-1 (296.304)."""
    return electron_charge() / (2.0 * M_ELECTRON_MEV.value * 1.0e-3)
