"""The operator basis of the low-energy EFT with right-handed neutrinos (LNEFT): names, flavours and symmetries.

Names are `<operator>_<digits>`. The digits are generations, one for each field in the order in which the operator's name lists
them: `TnuNdRR_1122` is (nubar_1 sigma N_1)(sbar sigma s), `SuNLR_1123` is (ubar u)(N^c_2 N_3). The Lagrangian is the sum over
all index values, so that `nugamma_12 = x` means L_12 = x and L_21 = -x, and a moment mu = 4 |x| (arXiv:2206.13122, eq. (3.7)).
Hermitian operators are their own conjugates: `VnuuLL_1211 = x` means L_1211 = x and L_2111 = conj(x), and diagonal coefficients
are real. Vector coefficients are what is added to the Standard Model, whose own contact interaction is not among them.
`nuradius_12` is a neutrino charge radius <r^2>_12 beyond the Standard Model's, in GeV^-2 (1e-32 cm^2 = 2.56819e-5 GeV^-2): no
operator of the basis, in which it is redundant, but the vector couplings e^2 Q_f <r^2> / 6 of all charged fermions f at zero
momentum transfer, whatever the scale at which the other coefficients are given. `nucharge_12` is an electric charge q_12 of
neutrinos (a millicharge) in units of the positron's, of dimension four: nubar_1 gamma^mu nu_2 couples to -e q_12 A_mu. It does
not run, as charges in units of e do not.

Operators and their symmetries are those of arXiv:2206.13122, tables 1 and 2; those with charged leptons have the same structure.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, TypeVar

from nmmfit.errors import UserInputError, unknown

GENERATIONS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {"nu": (1, 2, 3), "N": (1, 2, 3), "u": (1, 2), "d": (1, 2, 3), "e": (1, 2, 3)}
)
"""Generations of each field; the top quark is integrated out."""

FERMION_NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType({"u": ("u", "c"), "d": ("d", "s", "b"), "e": ("e", "mu", "tau")})


@dataclass(frozen=True)
class Operator:
    """One operator of the basis, for all flavours."""

    name: str
    fields: tuple[str, ...]
    """Field of each flavour digit, in order: of `nu`, `N`, `u`, `d`, `e`."""
    lorentz: str
    """`dipole`, `scalar`, `tensor`, `vector`, `charge_radius` or `millicharge`."""
    conserves_lepton_number: bool
    hermitian: bool
    """L_prwt = conj(L_rptw): the operator is its own conjugate; otherwise `+ h.c.` is understood."""
    symmetry: int
    """+1 or -1: sign under exchange of two identical neutrino fields; 0 where the two fields differ."""
    structure: str

    @property
    def dimension(self) -> int:
        """Mass dimension of the operator: 4 for millicharges, 5 for dipoles, 6 for four-fermion operators and charge radii."""
        return {"millicharge": 4, "dipole": 5}.get(self.lorentz, 6)

    @property
    def unit(self) -> str:
        """Unit of the coefficient: "e" of a millicharge, else a power of GeV."""
        return f"GeV^{4 - self.dimension}" if self.dimension > 4 else "e"

    @property
    def neutrinos(self) -> tuple[int, int]:
        """Positions of the two neutrino digits."""
        first, second = (i for i, f in enumerate(self.fields) if f in ("nu", "N"))
        return first, second

    @property
    def fermions(self) -> tuple[int, ...]:
        """Positions of the two quark or charged-lepton digits; empty where the neutrinos meet the photon."""
        return tuple(i for i, f in enumerate(self.fields) if f not in ("nu", "N"))

    @property
    def fermion(self) -> str | None:
        """`u`, `d` or `e`; None where the neutrinos meet the photon."""
        return self.fields[self.fermions[0]] if self.fermions else None

    @property
    def sector(self) -> str:
        """`nuN`, `nu` or `N`: the neutrino pair, which running does not change."""
        first, second = (self.fields[i] for i in self.neutrinos)
        return first if first == second else "nuN"

    @property
    def on_left(self) -> bool:
        """Whether a vector operator has left-handed quarks or charged leptons."""
        return "bar_L gamma_mu" in self.structure


def _basis() -> Iterator[Operator]:
    """All operators, class by class."""
    yield Operator("nuNgamma", ("nu", "N"), "dipole", True, False, 0, "(nubar_L sigma^{mu nu} N_R) F_{mu nu}")
    yield Operator("nugamma", ("nu", "nu"), "dipole", False, False, -1, "(nubar_L^c sigma^{mu nu} nu_L) F_{mu nu}")
    yield Operator("Ngamma", ("N", "N"), "dipole", False, False, -1, "(Nbar_R^c sigma^{mu nu} N_R) F_{mu nu}")
    yield Operator("nuradius", ("nu", "nu"), "charge_radius", True, True, 0, "(e/6) (nubar_L gamma^mu nu_L) d^nu F_{nu mu}")
    yield Operator("nucharge", ("nu", "nu"), "millicharge", True, True, 0, "-e (nubar_L gamma^mu nu_L) A_mu")
    for f in ("u", "d", "e"):
        left_right, right_left = f"{f}bar_L X {f}_R", f"{f}bar_R X {f}_L"
        scalars = (
            (f"SnuN{f}RR", ("nu", "N", f, f), True, 0, "(nubar_L N_R)", left_right),
            (f"SnuN{f}RL", ("nu", "N", f, f), True, 0, "(nubar_L N_R)", right_left),
            (f"Snu{f}LL", ("nu", "nu", f, f), False, 1, "(nubar_L^c nu_L)", right_left),
            (f"Snu{f}LR", ("nu", "nu", f, f), False, 1, "(nubar_L^c nu_L)", left_right),
            (f"SN{f}RR", ("N", "N", f, f), False, 1, "(Nbar_R^c N_R)", left_right),
            (f"S{f}NLR", (f, f, "N", "N"), False, 1, "(Nbar_R^c N_R)", right_left),
        )
        for name, fields, lnc, symmetry, pair, quarks in scalars:
            yield Operator(name, fields, "scalar", lnc, False, symmetry, f"{pair} ({quarks.replace(' X ', ' ')})")
        tensors = (
            (f"TnuN{f}RR", ("nu", "N", f, f), True, 0, "(nubar_L sigma^{mu nu} N_R)", left_right),
            (f"Tnu{f}LL", ("nu", "nu", f, f), False, -1, "(nubar_L^c sigma^{mu nu} nu_L)", right_left),
            (f"TN{f}RR", ("N", "N", f, f), False, -1, "(Nbar_R^c sigma^{mu nu} N_R)", left_right),
        )
        for name, fields, lnc, symmetry, pair, quarks in tensors:
            yield Operator(name, fields, "tensor", lnc, False, symmetry, f"{pair} ({quarks.replace(' X ', ' sigma_{mu nu} ')})")
        left, right = f"({f}bar_L gamma_mu {f}_L)", f"({f}bar_R gamma_mu {f}_R)"
        vectors = (
            (f"Vnu{f}LL", ("nu", "nu", f, f), True, f"(nubar_L gamma^mu nu_L) {left}"),
            (f"Vnu{f}LR", ("nu", "nu", f, f), True, f"(nubar_L gamma^mu nu_L) {right}"),
            (f"VN{f}RR", ("N", "N", f, f), True, f"(Nbar_R gamma^mu N_R) {right}"),
            (f"V{f}NLR", (f, f, "N", "N"), True, f"(Nbar_R gamma^mu N_R) {left}"),
            (f"VnuN{f}RL", ("nu", "N", f, f), False, f"(nubar_L^c gamma^mu N_R) {left}"),
            (f"VnuN{f}RR", ("nu", "N", f, f), False, f"(nubar_L^c gamma^mu N_R) {right}"),
        )
        for name, fields, lnc, text in vectors:
            yield Operator(name, fields, "vector", lnc, lnc, 0, text)


OPERATORS: Mapping[str, Operator] = MappingProxyType({op.name: op for op in _basis()})

FORM_FACTORS = ("nuradius", "nucharge")
"""Form factors of neutrinos under names of ours, which no basis of WCxf has."""


@dataclass(frozen=True)
class Coefficient:
    """A Wilson coefficient: an operator with its flavours, in the independent representative of its symmetry class."""

    operator: Operator
    flavours: tuple[int, ...]
    sign: int = 1
    """The named coefficient is `sign` times the representative (or its complex conjugate, if `conjugated`)."""
    conjugated: bool = False

    @property
    def name(self) -> str:
        """Name of the representative."""
        return f"{self.operator.name}_{''.join(map(str, self.flavours))}"

    @property
    def neutrinos(self) -> tuple[int, int]:
        """Generations of the two neutrinos, 1 to 3."""
        first, second = self.operator.neutrinos
        return self.flavours[first], self.flavours[second]

    @property
    def fermion(self) -> str | None:
        """The quark or charged lepton of a diagonal operator (`s`, `mu`, ...); None without one or for an off-diagonal one."""
        op = self.operator
        if not op.fermions:
            return None
        w, t = (self.flavours[i] for i in op.fermions)
        return FERMION_NAMES[str(op.fermion)][w - 1] if w == t else None

    @property
    def real(self) -> bool:
        """Whether hermiticity makes the coefficient real."""
        return self.operator.hermitian and self.flavours == _conjugate(self.flavours)

    @property
    def involves_bottom(self) -> bool:
        """Whether the operator contains a b quark, which exists only above its threshold."""
        return any(f == "d" and digit == 3 for f, digit in zip(self.operator.fields, self.flavours, strict=True))


def coefficient_names() -> tuple[str, ...]:
    """All independent coefficients, one name per symmetry class."""
    return tuple(name for op in OPERATORS.values() for name in _names_of(op))


_VECTORS: Mapping[tuple[str, bool], str] = MappingProxyType(
    {
        ("nu", True): "Vnu{}LL",
        ("nu", False): "Vnu{}LR",
        ("N", True): "V{}NLR",
        ("N", False): "VN{}RR",
        ("nuN", True): "VnuN{}RL",
        ("nuN", False): "VnuN{}RR",
    }
)


def vector_name(sector: str, left: bool, fermion: str, neutrinos: tuple[int, int]) -> str:
    """Name of the vector coefficient of a neutrino pair and one fermion.

    Args:
        sector: `nu`, `N` or `nuN`.
        left: whether the fermions are left-handed.
        fermion: `u`, `s`, `mu`, ...
        neutrinos: generations of the two neutrinos, 1 to 3.
    """
    kind = next(k for k, names in FERMION_NAMES.items() if fermion in names)
    pair = str(FERMION_NAMES[kind].index(fermion) + 1) * 2
    own = "{}{}".format(*neutrinos)
    name = _VECTORS[sector, left].format(kind)
    return f"{name}_{pair}{own}" if OPERATORS[name].fermions == (0, 1) else f"{name}_{own}{pair}"


class Flavoured(Protocol):
    """What a name of a coefficient is read against: an operator with a field for each flavour digit."""

    @property
    def name(self) -> str:
        """Name of the operator."""

    @property
    def fields(self) -> tuple[str, ...]:
        """Field of each flavour digit, in order."""


Operation = TypeVar("Operation", bound=Flavoured)


def read_name(
    name: str,
    known: Mapping[str, Operation],
    allowed: Iterable[str],
    generations: Mapping[str, tuple[int, ...]],
    example: Callable[[Operation], str],
    sample: str,
    where: str = "",
) -> tuple[Operation, tuple[int, ...]]:
    """The operator and the flavour digits of a name `<operator>_<digits>`, of this theory or another.

    Args:
        name: such as `TnuNdRR_1122`.
        known: operators by name; `allowed`: those that a message offers.
        generations: of each field.
        example: a name of an operator's coefficient, for the message; `sample`: of any.
        where: the place the name comes from, for the message.
    Raises: UserInputError for an unknown operator, with the nearest match, a wrong number of digits, a digit out of range.
    """
    prefix = f"{where}: " if where else ""
    if not isinstance(name, str):
        raise UserInputError(f"{prefix}{name!r} is no name of a coefficient, such as {sample!r}")
    match = re.fullmatch(r"([A-Za-z0-9]+)_([0-9]+)", name)
    operator_name = match[1] if match else name.split("_")[0]
    if operator_name not in known:
        raise unknown("operator", operator_name, list(allowed), f"{prefix}coefficient {name!r}")
    op = known[operator_name]
    if not match or len(match[2]) != len(op.fields):
        raise UserInputError(
            f"{prefix}coefficient {name!r}: {op.name} takes {len(op.fields)} flavour digits ({' '.join(op.fields)}), "
            f"such as {example(op)!r}"
        )
    digits = tuple(int(c) for c in match[2])
    for f, digit in zip(op.fields, digits, strict=True):
        if digit not in generations[f]:
            note = "; the top quark is integrated out" if f == "u" and digit == 3 else ""
            raise UserInputError(
                f"{prefix}coefficient {name!r}: flavour digit {digit} of field {f} is out of range "
                f"(allowed: {', '.join(map(str, generations[f]))}{note}), such as {example(op)!r}"
            )
    return op, digits


def parse(name: str, where: str = "") -> Coefficient:
    """The coefficient that a name stands for, reduced to the representative of its symmetry class.

    Args:
        name: such as `TnuNdRR_1122`.
        where: the place the name comes from, for the message.
    Returns: coefficient with `sign` (nugamma_21 = -nugamma_12) and `conjugated` (VnuuLL_2111 = conj(VnuuLL_1211)).
    Raises: UserInputError for an unknown operator, a wrong number of digits, a digit out of range, and a coefficient that
        vanishes by antisymmetry.
    """
    op, digits = read_name(name, OPERATORS, OPERATORS, GENERATIONS, lambda op: next(_names_of(op)), "TnuNdRR_1122", where)
    coefficient = _canonical(op, digits)
    if coefficient is None:
        prefix = f"{where}: " if where else ""
        raise UserInputError(
            f"{prefix}coefficient {name!r} vanishes: {op.name} is antisymmetric in its two {op.sector} flavours; "
            f"one that does not is {next(_names_of(op))!r}"
        )
    return coefficient


def validate_all(names: Iterable[str], where: str = "") -> tuple[Coefficient, ...]:
    """`parse` each name, and refuse two names of one coefficient.

    Raises: UserInputError as `parse`, and if two names differ only by a symmetry of the operator.
    """
    seen: dict[str, str] = {}
    coefficients = []
    for name in names:
        coefficient = parse(name, where)
        if coefficient.name in seen:
            prefix = f"{where}: " if where else ""
            raise UserInputError(
                f"{prefix}coefficients {seen[coefficient.name]!r} and {name!r} are the same up to "
                f"{'complex conjugation' if coefficient.operator.hermitian else 'a sign'}: give one of them"
            )
        seen[coefficient.name] = name
        coefficients.append(coefficient)
    return tuple(coefficients)


def check_real(values: Mapping[str, object], where: str = "") -> None:
    """Refuse complex values of coefficients that hermiticity makes real; values that are being traced are not looked at.

    Args:
        values: name -> value.
        where: the place they come from, for the message.
    Raises: UserInputError as `parse`, and for an imaginary part where there can be none.
    """
    for name, value in values.items():
        if not parse(name, where).real:
            continue
        try:
            number = complex(value)  # type: ignore[call-overload]
        except (TypeError, ValueError):
            continue
        if number.imag != 0.0:
            prefix = f"{where}: " if where else ""
            raise UserInputError(
                f"{prefix}coefficient {name!r} is real, as the operator is Hermitian; got {number.real:g}{number.imag:+g}j "
                "(off-diagonal flavours can be complex)"
            )


def _names_of(op: Operator) -> Iterator[str]:
    for digits in itertools.product(*(GENERATIONS[f] for f in op.fields)):
        coefficient = _canonical(op, digits)
        if coefficient is not None and coefficient.flavours == digits:
            yield coefficient.name


def _conjugate(digits: tuple[int, ...]) -> tuple[int, ...]:
    """Digits of the Hermitian conjugate: the two of each pair exchanged."""
    return tuple(digit for k in range(0, len(digits), 2) for digit in (digits[k + 1], digits[k]))


def _canonical(op: Operator, digits: tuple[int, ...]) -> Coefficient | None:
    """Representative of the symmetry class of `digits`; None if the coefficient vanishes."""
    first, second = op.neutrinos
    if op.symmetry:
        if digits[first] == digits[second] and op.symmetry < 0:
            return None
        if digits[first] > digits[second]:
            swapped = list(digits)
            swapped[first], swapped[second] = digits[second], digits[first]
            return Coefficient(op, tuple(swapped), op.symmetry)
    if op.hermitian:
        conjugate = _conjugate(digits)
        if conjugate < digits:
            return Coefficient(op, conjugate, 1, True)
    return Coefficient(op, digits)
