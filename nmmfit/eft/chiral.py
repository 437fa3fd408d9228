"""Matching at 2 GeV: the photon coupling that a tensor operator acquires when its quarks are confined.

The tensor source of chiral perturbation theory couples to the photon's field strength with the low-energy constant
Lambda_1 = c_T F_pi^2 / Lambda_chi, Lambda_chi = 4 pi F_pi, so that (arXiv:2206.13122, eqs. (2.13)-(2.20))

    delta L_gamma = -2 e sum_q Q_q Lambda_1 L^T_q,  q = u, d, s,

the same for the lepton-number conserving and violating operators. Lambda_1 also is, up to a factor, the response of the quark
condensate to a magnetic field, 2 |Lambda_1| = |chi_q <qbar q>|: docs/theory/chiral.md derives it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import jax

from nmmfit import precision as precision
from nmmfit.constants import Constant
from nmmfit.eft.theories import CHARGE, FERMION_TYPE
from nmmfit.errors import unknown
from nmmfit.inputs import StandardModelInputs
from nmmfit.shapes import Array

LIGHT_QUARKS = ("u", "d", "s")

PRESETS: Mapping[str, Constant] = MappingProxyType(
    {
        "mateu_portoles": Constant(-3.2, "1", 0.0, "arXiv:0706.1039, as quoted in arXiv:2206.13122, below eq. (2.20)"),
        "lattice_kaon": Constant(
            -1.0, "1", 0.2, "lattice kaon tensor form factor with resonance chiral theory, arXiv:2206.13122, below eq. (2.20)"
        ),
        "susceptibility": Constant(
            -2.9,
            "1",
            0.3,
            "u, d: 2 |Lambda_1| = |chi_q <qbar q>| with the lattice susceptibilities of arXiv:1209.6015 (abstract) and "
            "<qbar q> = -(272 MeV)^3 (from memory; unverified)",
        ),
        "susceptibility_s": Constant(
            -3.6,
            "1",
            1.5,
            "s: 2 |Lambda_1| = |chi_s <sbar s>| with the lattice susceptibility of arXiv:1209.6015 (abstract), known to 40 %",
        ),
    }
)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ChiralInputs:
    """The constant c_T of u and d and that of s; dimensionless, at 2 GeV, negative in this sign convention."""

    c_T: float | Array = PRESETS["susceptibility"].value
    c_T_s: float | Array = PRESETS["susceptibility_s"].value

    def of(self, quark: str) -> float | Array:
        """The constant that belongs to a light quark."""
        return self.c_T_s if quark == "s" else self.c_T


def preset(name: str, where: str = "") -> Constant:
    """Value and uncertainty of a named determination of c_T.

    Raises: UserInputError for an unknown name.
    """
    if name not in PRESETS:
        raise unknown("preset", name, PRESETS, where)
    return PRESETS[name]


def dipole_per_tensor(quark: str, e: float | Array, inputs: StandardModelInputs) -> float | Array:
    """delta L_gamma / (c_T L^T_q) = -2 e Q_q F_pi / (4 pi), GeV.

    Args:
        quark: u, d or s.
        e: positron charge at the scale at which delta L_gamma is wanted.
        inputs: F_pi.
    Returns: GeV; multiplied by c_T it has the sign of Q_q, as the perturbative mixing has when running down.
    """
    return -2.0 * e * CHARGE[FERMION_TYPE[quark]] * inputs.f_pi_gev / (4.0 * math.pi)


def c_t_from_susceptibility(chi_gev_m2: float, condensate_gev3: float, f_pi_gev: float) -> float:
    """c_T from the magnetic susceptibility of the quark condensate, by 2 |Lambda_1| = |chi <qbar q>|.

    Args:
        chi_gev_m2: chi_q, GeV^-2, MS-bar at 2 GeV.
        condensate_gev3: <qbar q>, GeV^3, MS-bar at 2 GeV; the product is scale dependent as a tensor current is.
        f_pi_gev: pion decay constant, GeV.
    Returns: c_T, negative: condensate and perturbative parts of <qbar sigma q> have one sign.
    """
    return -0.5 * abs(chi_gev_m2 * condensate_gev3) * 4.0 * math.pi / f_pi_gev
