"""The theories of this package as EFTs and bases of WCxf, made from the operators.

| EFT | basis | what |
|---|---|---|
| LNEFT | nmmfit | below m_W, with right-handed neutrinos N (`operators`) |
| SMNEFT | nmmfit | above m_W (`smneft_operators`), quark doublets aligned with down-type masses |
| SMNEFT | nmmfit up | the same, aligned with up-type masses |

The Lagrangian of this package sums over all index values. An operator that is symmetric or antisymmetric in two neutrinos then
appears twice where these differ: nugamma_12 = L means L_12 = L and L_21 = -L, twice the same term. In a basis of WCxf every
operator stands once, so that the operator of such a coefficient carries the factor 2.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from nmmfit.config import HIGH_SCALE_GEV, LOW_SCALE_GEV
from nmmfit.eft import operators, smneft_operators
from nmmfit.eft.wcxf.models import BasisEntry, BasisFile, EftFile, SectorNote
from nmmfit.errors import UserInputError, unknown

PAPER = "arXiv:1712.05298"
_CONVENTION = "D_mu = partial_mu + i e Q A_mu, e > 0; sigma^{mu nu} = i/2 [gamma^mu, gamma^nu]"


@dataclass(frozen=True)
class Theory:
    """An EFT of this package with one of its bases."""

    eft: str
    basis: str
    key: str
    """What the command line calls it."""
    low_gev: float
    high_gev: float
    quark_basis: str | None = None
    """Alignment of quark doublets above m_W: `down` or `up`."""

    @property
    def name(self) -> str:
        """EFT and basis, such as `LNEFT, basis nmmfit`."""
        return f"{self.eft}, basis {self.basis}"


THEORIES: Mapping[str, Theory] = MappingProxyType(
    {
        t.key: t
        for t in (
            Theory("LNEFT", "nmmfit", "lneft", LOW_SCALE_GEV, HIGH_SCALE_GEV),
            Theory("SMNEFT", "nmmfit", "smneft", HIGH_SCALE_GEV, smneft_operators.HIGHEST_SCALE_GEV, "down"),
            Theory("SMNEFT", "nmmfit up", "smneft-up", HIGH_SCALE_GEV, smneft_operators.HIGHEST_SCALE_GEV, "up"),
        )
    }
)

_DESCRIPTIONS: Mapping[str, str] = MappingProxyType(
    {
        "lneft": "Low-energy effective theory of neutrinos nu_L and right-handed neutrinos N_R with photons, charged leptons and "
        "five flavours of quarks, below the electroweak scale (arXiv:2206.13122).",
        "smneft": "Standard Model effective theory with right-handed neutrinos N_R above the electroweak scale: operators of "
        "dimension six that conserve lepton number, and of dimension five and seven that violate it, which lead to neutrino "
        "dipoles, scalars and tensors.",
    }
)

_LNEFT_SECTORS: Mapping[str, str] = MappingProxyType(
    {
        "nuN": "dipoles, scalars and tensors of nu_L and N_R that conserve lepton number",
        "nunu": "dipoles, scalars and tensors of two nu_L, which violate lepton number",
        "NN": "dipoles, scalars and tensors of two N_R, which violate lepton number",
        "ffnunu": "vector currents of nu_L that conserve lepton number",
        "ffNN": "vector currents of N_R that conserve lepton number",
        "ffnuN": "vector currents of nu_L and N_R, which violate lepton number",
    }
)
_SMNEFT_SECTORS: Mapping[str, str] = MappingProxyType(
    {
        "LN": "operators with one lepton doublet and one N_R",
        "NN": "operators with two N_R, which violate lepton number",
        "LL": "operators with two lepton doublets, which violate lepton number",
    }
)


def theory(key: str, where: str = "") -> Theory:
    """A theory by what the command line calls it. Raises: UserInputError with the nearest match."""
    if key not in THEORIES:
        raise unknown("theory", key, THEORIES, where)
    return THEORIES[key]


def theory_of(eft: str, basis: str, where: str) -> Theory:
    """The theory of a file's `eft` and `basis`. Raises: UserInputError for another EFT or another basis."""
    efts: dict[str, list[Theory]] = {}
    for t in THEORIES.values():
        efts.setdefault(t.eft, []).append(t)
    if eft not in efts:
        hint = "; translate it first (nmmfit wcxf translate)" if eft.startswith("WET") else ""
        raise UserInputError(f"{where}: {unknown('EFT', eft, efts, 'eft')}{hint}")
    for t in efts[eft]:
        if t.basis == basis:
            return t
    raise UserInputError(f"{where}: {unknown(f'basis of {eft}', basis, [t.basis for t in efts[eft]], 'basis')}")


def eft_file(key: str) -> EftFile:
    """The EFT file of a theory."""
    chosen = theory(key)
    sectors = _LNEFT_SECTORS if chosen.eft == "LNEFT" else _SMNEFT_SECTORS
    return EftFile(
        eft=chosen.eft,
        metadata={"description": _DESCRIPTIONS[chosen.eft.lower()], "format": PAPER},
        sectors={name: SectorNote(description=text) for name, text in sectors.items()},
    )


def lneft_names() -> tuple[str, ...]:
    """Coefficients of LNEFT in a basis: all but charge radii, vectors by an equation of motion, and electric charges."""
    return tuple(n for n in operators.coefficient_names() if operators.parse(n).operator.name not in operators.FORM_FACTORS)


def basis_file(key: str) -> BasisFile:
    """The basis file of a theory: every independent coefficient, once."""
    chosen = theory(key)
    sectors: dict[str, dict[str, BasisEntry | None]]
    if chosen.eft == "LNEFT":
        sectors = {name: {} for name in _LNEFT_SECTORS}
        for name in lneft_names():
            coefficient = operators.parse(name)
            sectors[_sector(coefficient.operator)][name] = BasisEntry(real=coefficient.real, tex=lneft_tex(coefficient))
        convention = (
            "The Lagrangian is the sum over all generations of coefficient times operator, plus h.c. where the operator is not "
            "Hermitian; generations of nu are flavours, N, u, d and e are mass eigenstates. Coefficients in GeV^-1 (dipoles) and "
            "GeV^-2."
        )
    else:
        sectors = {name: {} for name in _SMNEFT_SECTORS}
        for name in smneft_operators.coefficient_names():
            above = smneft_operators.parse(name)
            sectors[_smneft_sector(above.operator)][name] = BasisEntry(tex=smneft_tex(above))
        convention = (
            "The Lagrangian is the sum over all generations of coefficient times operator, plus h.c.; epsilon_12 = +1, "
            "Htilde = i sigma_2 H^*. L, N, e, u, d are mass eigenstates, quark doublets are aligned with the masses of "
            f"{chosen.quark_basis}-type quarks. C = i gamma^2 gamma^0. Coefficients in GeV^(4-d), d the operator's dimension."
        )
    metadata = {
        "description": _DESCRIPTIONS[chosen.eft.lower()],
        "convention": f"{convention} {_CONVENTION}.",
        "names": "<operator>_<generations>, one digit for each field in the order of the operator's name",
        "format": PAPER,
    }
    return BasisFile(eft=chosen.eft, basis=chosen.basis, metadata=metadata, sectors=sectors)


def plain(file: EftFile | BasisFile) -> dict[str, Any]:
    """A file's content as WCxf writes it: `real` only where true, an entry that says nothing as nothing."""
    table = file.model_dump(exclude_none=True)
    if isinstance(file, BasisFile):
        for entries in table["sectors"].values():
            for entry in entries.values():
                if not entry["real"]:
                    del entry["real"]
    return table


def _sector(op: operators.Operator) -> str:
    pair = {"nuN": "nuN", "nu": "nunu", "N": "NN"}[op.sector]
    return f"ff{pair}" if op.lorentz == "vector" else pair


def _smneft_sector(op: smneft_operators.SmneftOperator) -> str:
    if op.conserves_lepton_number:
        return "LN"
    return "NN" if op.fields == ("N", "N") else "LL"


_NEUTRINO = ("e", r"\mu ", r"\tau ")
_TEX: Mapping[str, Callable[[int], str]] = MappingProxyType(
    {
        "nu": lambda i: rf"\nu_{{{_NEUTRINO[i - 1]}L}}",
        "N": lambda i: rf"N_{{{i}R}}",
        "u": lambda i: "uc"[i - 1],
        "d": lambda i: "dsb"[i - 1],
        "e": lambda i: ("e", r"\mu", r"\tau")[i - 1],
    }
)


def _bar(tex: str, conjugate: bool = False) -> str:
    """The adjoint of a field, or of its charge conjugate."""
    symbol, index = tex.split("_", 1)
    return rf"\bar {symbol}" + (r"^c" if conjugate else "") + f"_{index}"


def lneft_tex(coefficient: operators.Coefficient) -> str:
    """The operator that a coefficient multiplies in a basis of WCxf, in LaTeX, with its factor 2 where there is one."""
    op, digits = coefficient.operator, coefficient.flavours
    first, second = (_TEX[op.fields[i]](digits[i]) for i in op.neutrinos)
    # a structure with a charge-conjugated neutrino violates lepton number
    middle = {"dipole": r"\sigma^{\mu\nu} ", "tensor": r"\sigma^{\mu\nu} ", "scalar": "", "vector": r"\gamma^\mu "}[op.lorentz]
    pair = f"({_bar(first, not op.conserves_lepton_number)} {middle}{second})"
    p, r = coefficient.neutrinos
    factor = "2 " if op.symmetry and p != r else ""
    if not op.fermions:
        return rf"{factor}{pair} F_{{\mu\nu}}"
    w, t = (_TEX[str(op.fermion)](digits[i]) for i in op.fermions)
    left, right = re.findall(rf"(?<![A-Za-z]){op.fermion}(?:bar)?_([LR])", op.structure)
    inner = {"tensor": r"\sigma_{\mu\nu} ", "scalar": "", "vector": r"\gamma_\mu "}[op.lorentz]
    return rf"{factor}{pair}(\bar {w}_{left} {inner}{t}_{right})"


def smneft_tex(coefficient: smneft_operators.SmneftCoefficient) -> str:
    """The operator of a coefficient above m_W in LaTeX."""
    texts = {
        "NB": r"(\bar L_{0} \sigma^{\mu\nu} N_{1}) \tilde H B_{\mu\nu}",
        "NW": r"(\bar L_{0} \sigma^{\mu\nu} N_{1}) \tau^I \tilde H W^I_{\mu\nu}",
        "NH": r"(\bar L_{0} N_{1}) \tilde H (H^\dagger H)",
        "LNQd": r"(\bar L^j_{0} N_{1}) \epsilon_{jk} (\bar Q^k_{2} d_{3})",
        "LNQd3": r"(\bar L^j_{0} \sigma^{\mu\nu} N_{1}) \epsilon_{jk} (\bar Q^k_{2} \sigma_{\mu\nu} d_{3})",
        "LNuQ": r"(\bar L_{0} N_{1}) (\bar u_{2} Q_{3})",
        "LNLe": r"(\bar L^j_{0} N_{1}) \epsilon_{jk} (\bar L^k_{2} e_{3})",
        "NNB": r"2 (N_{0}^T C \sigma^{\mu\nu} N_{1}) B_{\mu\nu}",
        "LHB": r"2 \epsilon_{ij} \epsilon_{mn} (L^{iT}_{0} C \sigma_{\mu\nu} L^m_{1}) H^j H^n B^{\mu\nu}",
        "LHW": r"\epsilon_{ij} (\epsilon \tau^I)_{mn} (L^{iT}_{0} C \sigma_{\mu\nu} L^m_{1}) H^j H^n W^{I\mu\nu}",
        "dLQLH1": r"\epsilon_{ij} \epsilon_{mn} (\bar d_{0} L^i_{1}) (Q^{jT}_{2} C L^m_{3}) H^n",
        "dLQLH2": r"\epsilon_{im} \epsilon_{jn} (\bar d_{0} L^i_{1}) (Q^{jT}_{2} C L^m_{3}) H^n",
        "QuLLH": r"\epsilon_{ij} (\bar Q^m_{0} u_{1}) (L^{mT}_{2} C L^i_{3}) H^j",
    }
    # What is antisymmetric in two generations stands twice in a sum over all of them (the factor 2).
    text = texts[coefficient.operator.name]
    for position, digit in enumerate(coefficient.flavours):
        text = text.replace(f"{{{position}}}", str(digit))
    return text
