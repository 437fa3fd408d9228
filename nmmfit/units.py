"""Conversion factors. Inside, energies are MeV, EFT scales and couplings GeV, cross sections cm^2."""

from __future__ import annotations

MEV_PER_GEV = 1.0e3
KEV_PER_MEV = 1.0e3
CM_PER_M = 1.0e2
SECONDS_PER_DAY = 86400.0

# (hbar c)^2; exact in the SI: 0.389379372 mb GeV^2, 1 mb = 1e-27 cm^2.
GEV2_CM2 = 3.893793721e-28
# A cross section d sigma / dT in GeV^-3 times this is in cm^2 / MeV.
CM2_PER_MEV_FROM_GEV_M3 = GEV2_CM2 / MEV_PER_GEV
HBAR_C_MEV_FM = 197.3269804
AVOGADRO_PER_MOL = 6.02214076e23
# Exact in the SI, from the elementary charge.
JOULE_PER_MEV = 1.602176634e-13
WATT_PER_GIGAWATT = 1.0e9

MOMENT_UNIT_MUB = 1e-11
"""Effective moments are given in these, in Bohr magnetons."""
