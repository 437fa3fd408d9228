"""Measured numbers, each with value, unit, uncertainty and source."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


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
PION_LIFETIME_US = Constant(0.026033, "us", 5e-6, "PDG 2020, charged pion")
MUON_LIFETIME_US = Constant(2.1969811, "us", 2.2e-6, "PDG 2020")
M_TAU_GEV = Constant(1.77686, "GeV", 1.2e-4, "PDG 2020")
M_PROTON_MEV = Constant(938.27208943, "MeV", 2.9e-7, "CODATA 2022")
M_NEUTRON_MEV = Constant(939.56542194, "MeV", 4.8e-7, "CODATA 2022")
ATOMIC_MASS_UNIT_MEV = Constant(931.49410372, "MeV", 2.9e-7, "CODATA 2022")
SIN2_THETA_W_0 = Constant(0.23857, "1", 5e-5, "PDG 2020, at zero momentum transfer, as in arXiv:2206.13122")
SIN2_THETA_W_MZ = Constant(0.23121, "1", 4e-5, "PDG 2023, MS-bar at m_Z")
F_PI_MEV = Constant(92.3, "MeV", 0.1, "arXiv:2206.13122, below eq. (2.16)")

# What running and matching start from; `nmmfit.inputs.StandardModelInputs` has one field for each, with these defaults.
# Quark masses are MS-bar; asymmetric errors are replaced by their larger side.
STANDARD_MODEL_INPUTS: Mapping[str, Constant] = MappingProxyType(
    {
        "alpha_s_mz": Constant(0.1179, "1", 0.0010, "PDG 2020, alpha_s(m_Z), five flavours"),
        "m_z_gev": Constant(91.1876, "GeV", 0.0021, "PDG 2020"),
        "m_w_gev": Constant(80.379, "GeV", 0.012, "PDG 2020"),
        "m_b_gev": Constant(4.18, "GeV", 0.03, "PDG 2020, m_b(m_b)"),
        "m_c_gev": Constant(1.27, "GeV", 0.02, "PDG 2020, m_c(m_c), four flavours"),
        "m_u_gev": Constant(2.16e-3, "GeV", 0.49e-3, "PDG 2020, m_u(2 GeV), taken as four-flavour"),
        "m_d_gev": Constant(4.67e-3, "GeV", 0.48e-3, "PDG 2020, m_d(2 GeV), taken as four-flavour"),
        "m_s_gev": Constant(93.0e-3, "GeV", 11.0e-3, "PDG 2020, m_s(2 GeV), taken as four-flavour"),
        "m_e_gev": Constant(M_ELECTRON_MEV.value * 1e-3, "GeV", 1.6e-13, M_ELECTRON_MEV.source),
        "m_mu_gev": Constant(M_MUON_MEV.value * 1e-3, "GeV", 2.3e-9, M_MUON_MEV.source),
        "m_tau_gev": Constant(M_TAU_GEV.value, "GeV", M_TAU_GEV.uncertainty, M_TAU_GEV.source),
        "inv_alpha_mz": Constant(127.952, "1", 0.009, "PDG 2020, 1/alpha(m_Z), MS-bar"),
        "inv_alpha_0": Constant(1.0 / ALPHA_0.value, "1", 2.1e-8, ALPHA_0.source),
        "f_pi_gev": Constant(F_PI_MEV.value * 1e-3, "GeV", F_PI_MEV.uncertainty * 1e-3, F_PI_MEV.source),
    }
)

# What the theory above m_W needs besides; `nmmfit.eft.smneft_inputs.ElectroweakInputs` has one field for each, these defaults.
ELECTROWEAK_INPUTS: Mapping[str, Constant] = MappingProxyType(
    {
        "sin2_theta_w": SIN2_THETA_W_MZ,
        "fermi_gev2": FERMI,
        "m_t_gev": Constant(162.5, "GeV", 2.1, "PDG 2020, m_t(m_t) in MS-bar from cross sections; from memory, unverified"),
        "m_h_gev": Constant(125.10, "GeV", 0.14, "PDG 2020, Higgs boson; from memory, unverified"),
        "wolfenstein_lambda": Constant(0.22650, "1", 0.00048, "PDG 2020 review of the CKM matrix; from memory, unverified"),
        "wolfenstein_a": Constant(0.790, "1", 0.017, "PDG 2020 review of the CKM matrix; from memory, unverified"),
        "wolfenstein_rhobar": Constant(0.141, "1", 0.017, "PDG 2020 review of the CKM matrix; from memory, unverified"),
        "wolfenstein_etabar": Constant(0.357, "1", 0.011, "PDG 2020 review of the CKM matrix; from memory, unverified"),
    }
)


def electron_charge() -> float:
    """Positron charge e = sqrt(4 pi alpha) at zero momentum transfer (0.302822)."""
    return math.sqrt(4.0 * math.pi * ALPHA_0.value)


def bohr_magneton_per_gev() -> float:
    """Bohr magneton mu_B = e / (2 m_e) in GeV^-1 (296.304)."""
    return electron_charge() / (2.0 * M_ELECTRON_MEV.value * 1.0e-3)
