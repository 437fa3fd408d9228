"""Matching at 2 GeV: the photon coupling that a tensor operator acquires when its quarks are confined.

The tensor source of chiral perturbation theory couples to the photon's field strength with the low-energy constant
Lambda_1 = c_T F_pi^2 / Lambda_chi, Lambda_chi = 4 pi F_pi, so that (arXiv:2206.13122, eqs. (2.13)-(2.20))

    delta L_gamma = -2 e sum_q Q_q Lambda_1 L^T_q,  q = u, d, s,

the same for the lepton-number conserving and violating operators. Lambda_1 also is, up to a factor, the response of the quark
condensate to a magnetic field, 2 |Lambda_1| = |chi_q <qbar q>|: docs/theory/chiral.md derives it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax

from nmmfit import precision as precision
from nmmfit.eft.theories import CHARGE, FERMION_TYPE
from nmmfit.errors import unknown
from nmmfit.inputs import StandardModelInputs
from nmmfit.presets import C_T, C_T_S
from nmmfit.shapes import Array

LIGHT_QUARKS = ("u", "d", "s")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ChiralInputs:
    """The constant c_T of u and d and that of s; dimensionless, at 2 GeV, negative in this sign convention."""

    c_T: float | Array = C_T["susceptibility"].value
    c_T_s: float | Array = C_T_S["susceptibility"].value

    @staticmethod
    def preset(name: str, where: str = "") -> ChiralInputs:
        """Central values of a named determination (`nmmfit.presets`), of u and d and of s.

        Raises: UserInputError for an unknown name.
        """
        if name not in C_T:
            raise unknown("preset", name, C_T, where)
        return ChiralInputs(C_T[name].value, C_T_S[name].value)

    def of(self, quark: str) -> float | Array:
        """The constant that belongs to a light quark."""
        return self.c_T_s if quark == "s" else self.c_T


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
