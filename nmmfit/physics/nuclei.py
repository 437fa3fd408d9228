"""Nuclei: masses, rms radii and spins, each with its source.

Radii follow definition (a): the proton radius includes the proton's own size, R_p^2 = R_ch^2 - (N/Z) <r_n^2>, to be used in a
bare nuclear form factor. They must not be mixed with point-proton radii, which need a nucleon form factor in addition.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from nmmfit.constants import ATOMIC_MASS_UNIT_MEV, M_ELECTRON_MEV
from nmmfit.errors import unknown

NEUTRON_CHARGE_RADIUS_SQUARED_FM2 = -0.1161
"""<r_n^2>, PDG 2020: -0.1161(22) fm^2."""

_MASSES = "mass: AME2012 atomic mass as tabulated by NIST, less Z electron masses"
_ANGELI = "charge radius: Angeli and Marinova, At. Data Nucl. Data Tables 99, 69 (2013); from memory, unverified"
_FRICKE = (
    "charge radius: Fricke et al., At. Data Nucl. Data Tables 60, 177 (1995), as used for CsI and Ar; from memory, unverified"
)
_RMF = "neutron radius: relativistic mean field (arXiv:1710.02730), from memory, unverified; shell models: 1.6 % more"
_SKIN = "neutron radius: R_p - 0.04 + 1.01 (N - Z) / A fm, PRL 87, 082501 (2001); from memory, unverified"
_ARGON = "neutron radius: as used in the CEvNS literature; from memory, unverified"
NEUTRON_RADIUS_RELATIVE_UNCERTAINTY = 0.02
"""Default prior on R_n; for CsI it moves the yield as much as the form-factor error of the 2021 analysis."""


@dataclass(frozen=True)
class Nucleus:
    """A nuclide. `mass_mev` is the nuclear mass; radii are rms, fm, definition (a) of this module; `abundance` in nature."""

    name: str
    z: int
    n: int
    mass_mev: float
    r_p_fm: float
    r_n_fm: float
    r_p_uncertainty_fm: float
    r_n_uncertainty_fm: float
    spin: float
    abundance: float
    sources: tuple[str, ...] = ()

    @property
    def a(self) -> int:
        """Mass number A = Z + N."""
        return self.z + self.n


def nuclear_mass_mev(atomic_mass_u: float, z: int) -> float:
    """Nuclear from atomic mass, MeV: M = m_atom - Z m_e, neglecting the electrons' binding (2e-6 of M)."""
    return atomic_mass_u * ATOMIC_MASS_UNIT_MEV.value - z * M_ELECTRON_MEV.value


def proton_radius_fm(charge_radius_fm: float, z: int, n: int) -> float:
    """Proton rms radius with the proton's own size, fm: R_p^2 = R_ch^2 - (N/Z) <r_n^2>."""
    return math.sqrt(charge_radius_fm**2 - n / z * NEUTRON_CHARGE_RADIUS_SQUARED_FM2)


# name: Z, atomic mass in u, R_ch and its uncertainty in fm, R_n in fm (None: from the skin formula), spin, abundance
_TABLE: dict[str, tuple[int, float, float, float, float | None, float, float]] = {
    "Ar40": (18, 39.9623831237, 3.427, 0.0026, 3.55, 0.0, 0.996035),
    "Ge70": (32, 69.92424875, 4.0414, 0.0012, None, 0.0, 0.2057),
    "Ge72": (32, 71.922075826, 4.0576, 0.0013, None, 0.0, 0.2745),
    "Ge73": (32, 72.923458956, 4.0632, 0.0014, None, 4.5, 0.0775),
    "Ge74": (32, 73.921177761, 4.0742, 0.0012, None, 0.0, 0.3650),
    "Ge76": (32, 75.921402726, 4.0811, 0.0012, None, 0.0, 0.0773),
    "I127": (53, 126.9044719, 4.749, 0.0081, 4.94, 2.5, 1.0),
    "Xe124": (54, 123.905892, 4.7661, 0.0055, None, 0.0, 0.000952),
    "Xe126": (54, 125.9042983, 4.7722, 0.0052, None, 0.0, 0.00089),
    "Xe128": (54, 127.903531, 4.7774, 0.0050, None, 0.0, 0.019102),
    "Xe129": (54, 128.9047808611, 4.7775, 0.0050, None, 0.5, 0.264006),
    "Xe130": (54, 129.903509349, 4.7818, 0.0049, None, 0.0, 0.04071),
    "Xe131": (54, 130.90508406, 4.7808, 0.0049, None, 1.5, 0.212324),
    "Xe132": (54, 131.9041550856, 4.7859, 0.0048, None, 0.0, 0.269086),
    "Xe134": (54, 133.90539466, 4.7899, 0.0047, None, 0.0, 0.104357),
    "Xe136": (54, 135.907214484, 4.7964, 0.0047, None, 0.0, 0.088573),
    "Cs133": (55, 132.905451961, 4.804, 0.0046, 5.01, 3.5, 1.0),
}


def nuclide_names() -> tuple[str, ...]:
    """Names of the tabulated nuclides, such as "Cs133"."""
    return tuple(_TABLE)


def nucleus(name: str) -> Nucleus:
    """A tabulated nuclide by name, such as "Cs133", "I127", "Ar40", "Ge74" or "Xe132".

    Raises: UserInputError for an unknown name.
    """
    if name not in _TABLE:
        raise unknown("nuclide", name, _TABLE)
    z, atomic_mass_u, r_ch, r_ch_uncertainty, r_n, spin, abundance = _TABLE[name]
    a = round(atomic_mass_u)
    n = a - z
    r_p = proton_radius_fm(r_ch, z, n)
    if r_n is None:
        neutron, r_n = _SKIN, r_p - 0.04 + 1.01 * (n - z) / a
    else:
        neutron = _ARGON if name == "Ar40" else _RMF
    charge = _FRICKE if name in ("Cs133", "I127", "Ar40") else _ANGELI
    return Nucleus(
        name=name,
        z=z,
        n=n,
        mass_mev=nuclear_mass_mev(atomic_mass_u, z),
        r_p_fm=r_p,
        r_n_fm=r_n,
        r_p_uncertainty_fm=r_ch_uncertainty,
        r_n_uncertainty_fm=NEUTRON_RADIUS_RELATIVE_UNCERTAINTY * r_n,
        spin=spin,
        abundance=abundance,
        sources=(_MASSES, charge, neutron),
    )


NUCLEAR_SPINS = ("half", "true")


def target_spin(target: Nucleus, nuclear_spin: str = "half") -> float:
    """Spin with which a nucleus enters cross sections, 0 or 0.5.

    Args:
        target: the nuclide.
        nuclear_spin: "half": 0.5 for all, the literature's convention; "true": 0 for a nuclide of spin 0, whose tensor
            coupling then exists in the option "nonrelativistic" only, and 0.5 for every nuclide with spin.
    Raises: UserInputError for another choice.
    """
    if nuclear_spin not in NUCLEAR_SPINS:
        raise unknown("nuclear spin", nuclear_spin, NUCLEAR_SPINS, "nuclear_spin")
    return 0.0 if nuclear_spin == "true" and target.spin == 0.0 else 0.5


def natural_isotopes(element: str) -> tuple[Nucleus, ...]:
    """Tabulated isotopes of an element, such as "Ge"; their abundances sum to 1 (Ar: 0.996, the lighter isotopes left out).

    Raises: UserInputError for an element without a tabulated isotope.
    """
    found = tuple(nucleus(name) for name in _TABLE if name.rstrip("0123456789") == element)
    if not found:
        raise unknown("element", element, {name.rstrip("0123456789") for name in _TABLE})
    return found


def natural_mixture(element: str) -> tuple[tuple[Nucleus, float], ...]:
    """Isotopes of a natural element with their fractions, which sum to 1: what a detector of that element is made of.

    A rate per nucleus of the mixture is the sum of fraction times the rate on each isotope, each with its own mass, radii,
    whole number of neutrons and spin. Fractions are the abundances of `natural_isotopes`, normalised.
    Raises: UserInputError for an element without a tabulated isotope.
    """
    isotopes = natural_isotopes(element)
    total = math.fsum(n.abundance for n in isotopes)
    return tuple((n, n.abundance / total) for n in isotopes)


def element_names() -> tuple[str, ...]:
    """Elements of the tabulated nuclides, such as "Ge"."""
    return tuple(dict.fromkeys(name.rstrip("0123456789") for name in _TABLE))
