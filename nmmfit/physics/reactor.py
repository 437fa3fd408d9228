"""Antineutrinos of nuclear reactors: spectrum per fission and flux at a short distance.

    dN/dE = sum_i f_i phi_i(E) + c [phi_239U(E) + phi_239Np(E)]

f_i are the fractions of fissions and c the captures of neutrons on 238U per fission, each of which is followed by two beta
decays below 1.3 MeV. The default, "huber_mueller", has phi_i = exp(sum_k a_k E^k) between 2 and 8 MeV: 235U, 239Pu and 241Pu of
arXiv:1106.0687, 238U of arXiv:1101.2663; outside, where these parametrisations are not valid, the summation model of
arXiv:2304.14992, tabulated in bins of 25 keV. "bestiole" takes the latter everywhere. The two differ by up to 8 % at 2 MeV, where
the default steps.

Not included: corrections for long-lived isotopes that had not reached equilibrium when the spectra behind the parametrisations
were measured, spent fuel, and the excess around 5 MeV. Flavour: pure antinu_e; no oscillation over tens of metres.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType

import numpy as np

from nmmfit import precision as precision
from nmmfit.errors import UserInputError, unknown
from nmmfit.physics.sources import NeutrinoSource, pure_flavour
from nmmfit.tables import Table, read_table
from nmmfit.units import CM_PER_M, JOULE_PER_MEV, WATT_PER_GIGAWATT

ISOTOPES = ("u235", "u238", "pu239", "pu241")
SPECTRA = ("huber_mueller", "bestiole")
POLYNOMIAL_RANGE_MEV = (2.0, 8.0)

# arXiv:1106.0687 (235U, 239Pu, 241Pu) and arXiv:1101.2663 (238U), parametrisations for 2 to 8 MeV; read in several public codes.
HUBER_MUELLER: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "u235": (4.367, -4.577, 2.100, -0.5294, 0.06186, -0.002777),
        "u238": (0.4833, 0.1927, -0.1283, -0.006762, 0.002233, -0.0001536),
        "pu239": (4.757, -5.392, 2.563, -0.6596, 0.07820, -0.003536),
        "pu241": (2.990, -2.882, 1.278, -0.3343, 0.03905, -0.001754),
    }
)

SPECTRUM_SOURCES: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType(
    {
        "huber_mueller": (
            ("arXiv:1106.0687", "reactor spectra of 235U, 239Pu and 241Pu from 2 to 8 MeV"),
            ("arXiv:1101.2663", "reactor spectrum of 238U from 2 to 8 MeV"),
            ("arXiv:2304.14992", "reactor spectra elsewhere"),
        ),
        "bestiole": (("arXiv:2304.14992", "reactor spectra"),),
    }
)
"""Spectrum -> (paper, what it stands for)."""
ENERGY_SOURCES = (("arXiv:1212.6625", "energy released per fission"), ("hep-ph/0410100", "neutron captures on 238U per fission"))
"""(paper, what it stands for)."""

# Energy released per fission, MeV, without that of the antineutrinos: arXiv:1212.6625 (errors 0.26, 0.52, 0.34, 0.33), read in
# public codes. The older set of hep-ph/0410100 is smaller by 0.2 to 0.5 %.
ENERGY_PER_FISSION_MEV: Mapping[str, float] = MappingProxyType({"u235": 202.36, "u238": 205.99, "pu239": 211.12, "pu241": 214.26})

# Fractions of fissions as usual for pressurised-water reactors in the middle of a cycle; read in public codes.
TYPICAL_FRACTIONS: Mapping[str, float] = MappingProxyType({"u235": 0.58, "u238": 0.07, "pu239": 0.30, "pu241": 0.05})
# Captures on 238U per fission, hep-ph/0410100 and arXiv:hep-ex/0605006; from memory, unverified (0.57 to 0.62 are found).
CAPTURES_PER_FISSION = 0.6


@dataclass(frozen=True)
class ReactorSpectrum:
    """Antineutrinos per fission and MeV of a core.

    `fractions` maps `ISOTOPES` to fractions of fissions, which sum to 1; `captures` are those of neutrons on 238U per fission.
    Raises: UserInputError for an unknown isotope or model, a fraction out of range, or a sum other than 1 (to 1e-6).
    """

    fractions: Mapping[str, float] = field(default_factory=lambda: TYPICAL_FRACTIONS)
    captures: float = CAPTURES_PER_FISSION
    model: str = "huber_mueller"

    def __post_init__(self) -> None:
        if self.model not in SPECTRA:
            raise unknown("reactor spectrum", self.model, SPECTRA)
        for name, value in self.fractions.items():
            if name not in ISOTOPES:
                raise unknown("fissile isotope", name, ISOTOPES, "fractions")
            if not 0.0 <= value <= 1.0:
                raise UserInputError(f"fractions.{name}: a fraction of fissions lies in [0, 1], got {value}")
        total = math.fsum(self.fractions.values())
        if abs(total - 1.0) > 1e-6:
            raise UserInputError(f"fractions: fractions of fissions must sum to 1, got {total:g}")
        if not (math.isfinite(self.captures) and self.captures >= 0.0):
            raise UserInputError(f"captures: captures per fission must be >= 0, got {self.captures}")

    @property
    def panels_mev(self) -> tuple[float, ...]:
        """Energies between which the spectrum is smooth, MeV."""
        edges = tabulated_edges_mev()
        if self.model == "huber_mueller":
            low, high = POLYNOMIAL_RANGE_MEV
            inner = np.linspace(low, high, round((high - low) / _SMOOTH_PANEL_MEV) + 1)[1:-1]
            edges = np.concatenate([edges[edges <= low], inner, edges[edges >= high]])
        return tuple(edges.tolist())

    def __call__(self, e_nu_mev: np.ndarray) -> np.ndarray:
        """Antineutrinos per fission and MeV, shape of `e_nu_mev` (MeV); 0 below 0 and above 12.5 MeV."""
        fission = sum(fraction * fission_spectrum(name, e_nu_mev, self.model) for name, fraction in self.fractions.items())
        return np.asarray(
            fission + self.captures * (tabulated_spectrum("u239", e_nu_mev) + tabulated_spectrum("np239", e_nu_mev))
        )

    def antineutrinos_per_fission(self) -> float:
        """Integral over all energies."""
        panels = self.panels_mev
        source = NeutrinoSource("reactor", True, panels[-1], pure_flavour("e"), spectrum=self, panels_mev=panels)
        return float(np.sum(source.quadrature(order=6)[1]))

    def energy_per_fission_mev(self) -> float:
        """Heat per fission, MeV, averaged over the isotopes."""
        return math.fsum(fraction * ENERGY_PER_FISSION_MEV[name] for name, fraction in self.fractions.items())


def fission_spectrum(isotope: str, e_nu_mev: np.ndarray, model: str = "huber_mueller") -> np.ndarray:
    """Antineutrinos per fission and MeV of one isotope, without captures, in the shape of `e_nu_mev` (MeV).

    Raises: UserInputError for an unknown isotope or model.
    """
    if isotope not in ISOTOPES:
        raise unknown("fissile isotope", isotope, ISOTOPES)
    if model not in SPECTRA:
        raise unknown("reactor spectrum", model, SPECTRA)
    e = np.asarray(e_nu_mev, dtype=float)
    low, high = POLYNOMIAL_RANGE_MEV
    smooth = (e >= low) & (e <= high) & (model == "huber_mueller")
    polynomial = np.exp(np.polynomial.polynomial.polyval(np.where(smooth, e, low), HUBER_MUELLER[isotope]))
    return np.where(smooth, polynomial, tabulated_spectrum(isotope, e))


def tabulated_spectrum(name: str, e_nu_mev: np.ndarray) -> np.ndarray:
    """Density of a tabulated spectrum, per fission (isotopes) or decay ("u239", "np239") and MeV; constant in each bin."""
    table = _table()
    e = np.asarray(e_nu_mev, dtype=float)
    index = np.floor(e / table.number("bin_mev") + 1e-9).astype(int)
    inside = (e >= 0.0) & (index < len(table))
    return np.where(inside, table[name][np.where(inside, index, 0)], 0.0)


def tabulated_edges_mev() -> np.ndarray:
    """Edges of the bins of the tabulated spectra, (bin + 1,), MeV: 0 to 12.5 in steps of 0.025."""
    table = _table()
    return np.append(table["energy_low_mev"], np.around(table["energy_low_mev"][-1] + table.number("bin_mev"), 9))


def reactor_source(spectrum: ReactorSpectrum | None = None) -> NeutrinoSource:
    """Antineutrinos of a reactor, normalised to 1 (flux: `reactor_flux_cm2_s` with the same spectrum); pure antinu_e.

    Args:
        spectrum: spectrum per fission; None: typical fractions, the default model.
    """
    chosen = spectrum if spectrum is not None else ReactorSpectrum()
    total = chosen.antineutrinos_per_fission()
    panels = chosen.panels_mev
    return NeutrinoSource("reactor", True, panels[-1], pure_flavour("e"), spectrum=lambda e: chosen(e) / total, panels_mev=panels)


def fissions_per_s(thermal_power_gw: float, spectrum: ReactorSpectrum | None = None) -> float:
    """Fissions per second of a core: thermal power over the heat per fission.

    Raises: UserInputError if the power is not positive.
    """
    if not (math.isfinite(thermal_power_gw) and thermal_power_gw > 0.0):
        raise UserInputError(f"thermal_power_gw must be positive, got {thermal_power_gw}")
    chosen = spectrum if spectrum is not None else ReactorSpectrum()
    return thermal_power_gw * WATT_PER_GIGAWATT / (chosen.energy_per_fission_mev() * JOULE_PER_MEV)


def reactor_flux_cm2_s(thermal_power_gw: float, distance_m: float, spectrum: ReactorSpectrum | None = None) -> float:
    """Flux of antineutrinos of all energies at a distance from a small core, cm^-2 s^-1.

    (fissions per second) (antineutrinos per fission) / (4 pi L^2).

    Args:
        thermal_power_gw: thermal power, GW, > 0.
        distance_m: distance to the centre of the core, m, > 0.
        spectrum: as in `reactor_source`.
    Raises: UserInputError if power or distance is not positive.
    """
    if not (math.isfinite(distance_m) and distance_m > 0.0):
        raise UserInputError(f"distance_m must be positive, got {distance_m}")
    chosen = spectrum if spectrum is not None else ReactorSpectrum()
    per_s = fissions_per_s(thermal_power_gw, chosen) * chosen.antineutrinos_per_fission()
    return per_s / (4.0 * math.pi * (distance_m * CM_PER_M) ** 2)


_SMOOTH_PANEL_MEV = 0.25


@lru_cache(maxsize=1)
def _table() -> Table:
    table = read_table(files("nmmfit.physics") / "data" / "reactor_spectrum.csv", columns=(*ISOTOPES, "u239", "np239"))
    for column in table.columns.values():
        column.flags.writeable = False
    return table
