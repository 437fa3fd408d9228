"""Named values of theory inputs that a run file may name, each with its source; plain tables, no JAX."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Preset:
    """A named value: its one-sigma uncertainty (0: taken as exact), and where it comes from."""

    value: float
    uncertainty: float
    source: str

    def prior(self) -> dict[str, float | list[float]]:
        """The preset as a run file would write it: a normal prior, or a delta where no uncertainty is given."""
        return {"normal": [self.value, self.uncertainty]} if self.uncertainty else {"delta": self.value}


_SUSCEPTIBILITY = (
    "2|Lambda_1| = f_perp, the quark condensate's magnetic susceptibility times the condensate: lattice chi of arXiv:1209.6015 "
    "(MS-bar, 2 GeV) with <qq> = -(272 MeV)^3 (the latter from memory, unverified); the negative sign because perturbative and "
    "condensate parts of <q sigma q> add"
)
_MATEU_PORTOLES = "arXiv:0706.1039, as quoted in arXiv:2206.13122"
_KAON = "lattice kaon tensor form factor through resonance chiral theory, as quoted in arXiv:2206.13122"

C_T: Mapping[str, Preset] = MappingProxyType(
    {
        "susceptibility": Preset(-2.9, 0.3, _SUSCEPTIBILITY),
        "mateu_portoles": Preset(-3.2, 0.0, _MATEU_PORTOLES),
        "lattice_kaon": Preset(-1.0, 0.2, _KAON),
    }
)
"""Low-energy constant c_T of up and down quarks (dimensionless, MS-bar at 2 GeV)."""

C_T_S: Mapping[str, Preset] = MappingProxyType(
    {
        "susceptibility": Preset(-3.6, 1.5, _SUSCEPTIBILITY),
        "mateu_portoles": Preset(-3.2, 0.0, _MATEU_PORTOLES),
        "lattice_kaon": Preset(-1.0, 0.2, _KAON),
    }
)
"""The same for the strange quark, whose lattice value is known to 40 %."""

CHOICES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "nucleon_charges": MappingProxyType(
            {
                "flag2021": "lattice tensor and scalar charges of the nucleon (MS-bar, 2 GeV)",
                "seed": "the charges of arXiv:2206.13122 (micrOMEGAs), whose strange tensor charge is 17 times the lattice one",
            }
        ),
        "tensor_coherence": MappingProxyType(
            {
                "coherent": "tensor charge of a nucleus = sum over nucleons, as in most of the literature (a convention)",
                "nonrelativistic": "spin-independent part of the tensor operator only, suppressed by the recoil",
            }
        ),
        "weak_charges": MappingProxyType(
            {
                "radiative": "weak charges of the nucleons with radiative corrections, flavour-dependent (arXiv:1303.5522)",
                "tree": "tree level with sin^2 theta_W at zero momentum transfer",
            }
        ),
        "electron_radiative": MappingProxyType(
            {
                "bks": "neutrino-electron scattering with the QED and electroweak corrections of astro-ph/9502003",
                "rho_kappa": "the electroweak factors rho and kappa only",
                "none": "tree level",
            }
        ),
        "form_factor": MappingProxyType(
            {
                "helm": "Helm, skin thickness 0.9 fm",
                "klein_nystrand": "Klein-Nystrand, Yukawa range 0.7 fm",
                "fermi": "symmetrised Fermi, diffuseness 0.523 fm",
            }
        ),
        "quark_basis": MappingProxyType(
            {
                "down": "above m_W Q = ((V^dagger u)_L, d_L), as in the Warsaw down basis of WCxf",
                "up": "above m_W Q = (u_L, (V d)_L)",
            }
        ),
        "nuclear_spin": MappingProxyType(
            {
                "half": "every nucleus as a spin-1/2 target, the literature's convention",
                "true": "spin 0 for nuclides of spin 0, whose tensor coupling needs tensor_coherence 'nonrelativistic'",
            }
        ),
        "running": MappingProxyType(
            {
                "exact": "truncated renormalisation group, solved exactly: alpha_s to 4 loops, tensors to 3, all thresholds",
                "seed": "leading logarithms with frozen masses, as in arXiv:2206.13122, eqs. (2.4)-(2.6)",
            }
        ),
    }
)
"""Choices of theory, key of the run file's [theory] -> allowed name -> what it means."""
