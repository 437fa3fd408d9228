"""Values of coefficients as WCxf gives them, reduced to the names of this package's bases."""

from __future__ import annotations

import cmath
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nmmfit.checks import finite_number
from nmmfit.eft import operators, smneft_operators
from nmmfit.eft.wcxf.bases import THEORIES, Theory, theory_of
from nmmfit.eft.wcxf.models import ValuesFile
from nmmfit.errors import UserInputError, unknown


@dataclass(frozen=True)
class WcxfValues:
    """Coefficients of one theory at one scale.

    Attributes:
        eft, basis: such as `LNEFT` and `nmmfit`; of other people's bases for what is translated.
        scale_gev: where the coefficients live, GeV.
        values: coefficient -> complex value, GeV^(4 - dimension); representatives of their symmetry classes only.
        metadata: whatever the file says about itself.
    """

    eft: str
    basis: str
    scale_gev: float
    values: dict[str, complex]
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def quark_basis(self) -> str | None:
        """Alignment of quark doublets, `down` or `up`; None below m_W."""
        return theory_of(self.eft, self.basis, "values").quark_basis

    def plain(self) -> dict[str, Any]:
        """The content of a file: a number where a coefficient is real, else Re and Im."""
        values = {n: z.real if z.imag == 0.0 else {"Re": z.real, "Im": z.imag} for n, z in self.values.items()}
        head = {"eft": self.eft, "basis": self.basis, "scale": self.scale_gev}
        return {**head, **({"metadata": self.metadata} if self.metadata else {}), "values": values}


def from_file(file: ValuesFile, where: str) -> WcxfValues:
    """The values of a file of one of this package's theories.

    Names that are no representative of their symmetry class are converted: nugamma_21 = x is nugamma_12 = -x, VnueLL_2111 = x
    is VnueLL_1211 = conj(x).

    Raises: UserInputError for another EFT or basis, a scale out of its range, an unknown name (with the nearest match), two
        names of one coefficient, and an imaginary part where hermiticity allows none.
    """
    chosen = theory_of(file.eft, file.basis, where)
    check_range(file.scale, chosen, where)
    return WcxfValues(file.eft, file.basis, file.scale, reduced(file.numbers, chosen, where), dict(file.metadata))


def check_range(scale_gev: float, chosen: Theory, where: str) -> None:
    """Refuse a scale outside a theory's range. Raises: UserInputError."""
    if not chosen.low_gev <= scale_gev <= chosen.high_gev:
        raise UserInputError(
            f"{where}: scale: {scale_gev:g} GeV is out of range for {chosen.eft} "
            f"(allowed: {chosen.low_gev:g} to {chosen.high_gev:g} GeV)"
        )


def reduced(numbers: Mapping[str, complex], chosen: Theory, where: str) -> dict[str, complex]:
    """Values by representatives. Raises: UserInputError as `from_file`."""
    found: dict[str, complex] = {}
    spelled: dict[str, str] = {}
    for name, value in numbers.items():
        representative, value = _reduced(name, complex(value), chosen, where)
        if representative in found:
            raise UserInputError(
                f"{where}: values: {spelled[representative]!r} and {name!r} are the same coefficient up to a sign or "
                "conjugation: give one of them"
            )
        found[representative], spelled[representative] = value, name
    return found


def _reduced(name: str, value: complex, chosen: Theory, where: str) -> tuple[str, complex]:
    place = f"{where}: values"
    if chosen.eft != "LNEFT":
        _refuse_other_theory(name, operators.OPERATORS, smneft_operators.OPERATORS, chosen, place)
        above = smneft_operators.parse(name, place)
        return above.name, above.sign * value
    _refuse_other_theory(name, smneft_operators.OPERATORS, operators.OPERATORS, chosen, place)
    coefficient = operators.parse(name, place)
    if coefficient.operator.name in operators.FORM_FACTORS:
        reasons = {
            "nuradius": "by the photon's equation of motion it is e^2 Q_f / 6 of the vectors VnufLL and VnufLR of every charged "
            "fermion f",
            "nucharge": "an electric charge of neutrinos is of dimension four",
        }
        reason = reasons[coefficient.operator.name]
        raise UserInputError(f"{place}: {name} is no coefficient of a basis: {reason}")
    value = coefficient.sign * (value.conjugate() if coefficient.conjugated else value)
    if coefficient.real and value.imag != 0.0:
        raise UserInputError(f"{place}: {name} is real by hermiticity, got the imaginary part {value.imag:g}")
    return coefficient.name, value


def _refuse_other_theory(name: str, others: Mapping[str, object], own: Mapping[str, object], chosen: Theory, place: str) -> None:
    """Words for a name of the other theory, and the nearest match among all operators of this one."""
    operator = name.split("_")[0]
    if operator in others:
        raise UserInputError(
            f"{place}: {name!r} is no coefficient of {chosen.eft}; it belongs to the theory on the other side of m_W"
        )
    if operator not in own:
        raise unknown("operator", operator, own, f"{place}: coefficient {name!r}")


def made(
    values: Mapping[str, complex],
    scale_gev: float,
    basis: str = "nmmfit",
    metadata: Mapping[str, Any] | None = None,
    where: str = "values",
) -> WcxfValues:
    """Values from names and numbers; the theory follows from the names (LNEFT where there are none).

    Raises: UserInputError as `from_file`, for a value that is no finite number, and for names of both theories.
    """
    if not isinstance(values, Mapping):
        raise UserInputError(f"{where}: expected name -> value, such as {{'TnuNdRR_1122': 1e-6}}, got {type(values).__name__}")
    eft = smneft_operators.theory_of(values, where).upper()
    scale = finite_number(scale_gev, f"{where}: scale_gev")
    known = {t.basis: t for t in THEORIES.values() if t.eft == eft}
    if basis not in known:
        raise unknown(f"basis of {eft}", basis, known, where)
    check_range(scale, known[basis], where)
    numbers = {name: _finite(name, value, where) for name, value in values.items()}
    return WcxfValues(eft, basis, scale, reduced(numbers, known[basis], where), dict(metadata or {}))


def _finite(name: str, value: complex, where: str) -> complex:
    try:
        if isinstance(value, str | bytes | bool):
            raise TypeError
        number = complex(value)
    except (TypeError, ValueError):
        raise UserInputError(f"{where}: {name}: {value!r} is not a number") from None
    if not cmath.isfinite(number) or math.isinf(abs(number.real) + abs(number.imag)):
        raise UserInputError(f"{where}: {name}: {value!r} is not finite")
    return number
