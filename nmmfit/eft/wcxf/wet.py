"""Coefficients that the weak effective theory (WET) of WCxf knows too: vector currents of left-handed neutrinos.

WET has no N, no violation of lepton number and no dipole of neutrinos. What is left are the operators
(nubar_p gamma^mu P_L nu_r)(fbar_w gamma_mu P_X f_t) with X = L, R and f = e, u, d.

JMS basis (arXiv:1709.04486; files `wet.jms.basis`, `wet-4.jms.basis` of WCxf): the same operators, names, order of generations,
representatives and normalisation as here, coefficients in GeV^-2. Below m_b the theory is called WET-4 and has no b.

flavio basis (`wet.flavio.basis`): names such as CVLL_nuenueee. The second digit of each pair comes first in the name. With
4 G_F / sqrt(2) in front of operators that are diagonal in f, so that the coefficient is a number without unit; without it,
GeV^-2, for two different charged leptons. Two different quarks are another normalisation (with CKM elements) or do not exist.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from nmmfit.constants import FERMI, STANDARD_MODEL_INPUTS
from nmmfit.eft import operators
from nmmfit.eft.wcxf.bases import THEORIES, lneft_names
from nmmfit.eft.wcxf.models import ValuesFile
from nmmfit.eft.wcxf.values import WcxfValues, check_range, reduced
from nmmfit.errors import UserInputError, unknown

SHARED = tuple(f"Vnu{f}L{chirality}" for f in ("e", "u", "d") for chirality in ("L", "R"))
"""Operators of LNEFT that WET has."""
BASES = ("JMS", "flavio")
_NEUTRINOS = ("nue", "numu", "nutau")
_FLAVIO_UNIT = 4.0 * FERMI.value / math.sqrt(2.0)


@dataclass(frozen=True)
class Translated:
    """What came out of a translation, and what had no counterpart: name -> reason."""

    values: WcxfValues
    left_out: dict[str, str]


def missing_reason(name: str, basis: str = "JMS", eft: str = "WET") -> str | None:
    """Why a coefficient of LNEFT has no name in a basis of WET; None where it has one.

    Raises: UserInputError for a name that is none of LNEFT's, or an unknown basis.
    """
    if basis not in BASES:
        raise unknown("basis of WET", basis, BASES)
    coefficient = operators.parse(name)
    op = coefficient.operator
    if not op.conserves_lepton_number:
        return "it violates lepton number, which WET conserves"
    if "N" in op.fields:
        return "it contains a right-handed neutrino N, which WET does not have"
    if op.name not in SHARED:
        return "WET has no such operator"
    if eft == "WET-4" and coefficient.involves_bottom:
        return "it contains a b quark, which WET-4 does not have"
    _, _, w, t = coefficient.flavours
    if basis == "flavio" and w != t and op.fermion != "e":
        return (
            "the flavio basis normalises it with CKM elements" if op.fermion == "d" else "the flavio basis has no such operator"
        )
    return None


def wet_theory(scale_gev: float) -> str:
    """`WET` at and above m_b(m_b), `WET-4` below."""
    return "WET" if scale_gev >= STANDARD_MODEL_INPUTS["m_b_gev"].value else "WET-4"


def _flavio_name(coefficient: operators.Coefficient) -> tuple[str, float]:
    """Name in the flavio basis and how much of LNEFT's coefficient a unit of it is, GeV^-2."""
    p, r, w, t = coefficient.flavours
    symbols = operators.FERMION_NAMES[str(coefficient.operator.fermion)]
    name = f"CV{coefficient.operator.name[-2:]}_{_NEUTRINOS[r - 1]}{_NEUTRINOS[p - 1]}{symbols[t - 1]}{symbols[w - 1]}"
    if p != r and w == t:
        # the one class whose name lists the neutrinos as the operator does
        name = f"CV{coefficient.operator.name[-2:]}_{_NEUTRINOS[p - 1]}{_NEUTRINOS[r - 1]}{symbols[t - 1]}{symbols[w - 1]}"
    return name, _FLAVIO_UNIT if w == t else 1.0


@functools.cache
def wet_names(basis: str = "JMS", eft: str = "WET") -> Mapping[str, tuple[str, float]]:
    """Name in WET -> (coefficient of LNEFT, value of LNEFT per unit of it)."""
    found = {}
    for name in lneft_names():
        if missing_reason(name, basis, eft) is None:
            known, unit = (name, 1.0) if basis == "JMS" else _flavio_name(operators.parse(name))
            found[known] = (name, unit)
    return MappingProxyType(found)


def to_wet(values: WcxfValues, basis: str = "JMS", *, leave_out: bool = False, where: str = "values") -> Translated:
    """Values of LNEFT in a basis of WET, at the same scale; no running.

    Args:
        values: of LNEFT.
        basis: "JMS" or "flavio".
        leave_out: leave out, with its reason, what WET does not have; otherwise that is an error.
    Raises: UserInputError for values of another theory, an unknown basis, and coefficients without a counterpart.
    """
    if values.eft != "LNEFT":
        raise UserInputError(f"{where}: only values of LNEFT have a counterpart in WET, these are of {values.eft}")
    eft = wet_theory(values.scale_gev)
    reasons = {n: r for n in values.values if (r := missing_reason(n, basis, eft)) is not None}
    if reasons and not leave_out:
        raise _without_counterpart(reasons, f"{eft}, basis {basis}", where)
    back = {name: (known, unit) for known, (name, unit) in wet_names(basis, eft).items()}
    moved = {back[n][0]: z / back[n][1] for n, z in values.values.items() if n not in reasons}
    return Translated(WcxfValues(eft, basis, values.scale_gev, moved, dict(values.metadata)), reasons)


def from_wet(file: ValuesFile, where: str, *, leave_out: bool = False) -> Translated:
    """Values of WET or WET-4 (JMS or flavio basis) as values of LNEFT, at the same scale.

    Args:
        file: as read.
        where: what errors call it.
        leave_out: leave out, with its reason, what is no current of left-handed neutrinos with e, u or d; otherwise an error.
    Raises: UserInputError for another EFT or basis, a scale out of LNEFT's range, and coefficients without a counterpart.
    """
    if file.eft not in ("WET", "WET-4"):
        raise UserInputError(f"{where}: {unknown('EFT', file.eft, ('WET', 'WET-4'), 'eft')}")
    if file.basis not in BASES:
        raise UserInputError(f"{where}: {unknown(f'basis of {file.eft}', file.basis, BASES, 'basis')}")
    lneft = THEORIES["lneft"]
    check_range(file.scale, lneft, where)
    names = wet_names(file.basis, file.eft)
    moved: dict[str, complex] = {}
    reasons: dict[str, str] = {}
    for name, value in file.numbers.items():
        if name in names:
            moved[names[name][0]] = value * names[name][1]
        elif file.basis == "JMS" and name.split("_")[0] in SHARED:
            # another member of a class of Hermitian conjugates, or a mistake, which the reader of names explains
            moved[name] = value
        else:
            reasons[name] = "it is no vector current of left-handed neutrinos with e, u or d that LNEFT shares"
    if reasons and not leave_out:
        raise _without_counterpart(reasons, lneft.name, where)
    values = WcxfValues(lneft.eft, lneft.basis, file.scale, reduced(moved, lneft, where), dict(file.metadata))
    return Translated(values, reasons)


def _without_counterpart(reasons: Mapping[str, str], target: str, where: str) -> UserInputError:
    name, reason = next(iter(reasons.items()))
    more = f" (and {len(reasons) - 1} more: {_listed(list(reasons)[1:])})" if len(reasons) > 1 else ""
    return UserInputError(f"{where}: {name} has no counterpart in {target}: {reason}{more}; leave out what has none to go on")


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    return ", ".join(every[:5]) + (", ..." if len(every) > 5 else "")
