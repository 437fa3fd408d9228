"""The operators above m_W (SMNEFT) that this package runs: dimension six, lepton number conserved, names and flavours.

Names are `<operator>_<digits>` as in `operators`: one generation for each field, in the order in which the operator's name lists
them, coefficients complex in GeV^-2, `+ h.c.` understood. With epsilon_12 = +1 and Htilde = i sigma_2 H^* (as in
arXiv:2004.13869, 2001.07732, 2005.01543):

    NB     (Lbar_p sigma^{mu nu} N_r) Htilde B_{mu nu}
    NW     (Lbar_p sigma^{mu nu} N_r) tau^I Htilde W^I_{mu nu}
    NH     (Lbar_p N_r) Htilde (H^dagger H)
    LNQd   (Lbar_p^j N_r) eps_jk (Qbar_s^k d_t)
    LNQd3  (Lbar_p^j sigma^{mu nu} N_r) eps_jk (Qbar_s^k sigma_{mu nu} d_t)
    LNuQ   (Lbar_p N_r) (ubar_s Q_t)
    LNLe   (Lbar_p^j N_r) eps_jk (Lbar_s^k e_t)

L, N and e are mass eigenstates of the charged leptons and of N; what Q means is a choice of `smneft_inputs`. The tensor that one
might write for LNLe is not independent: `smneft_matching` spells out the Fierz identity.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from nmmfit.eft import operators
from nmmfit.errors import UserInputError, unknown


@dataclass(frozen=True)
class SmneftOperator:
    """One operator above m_W, for all flavours."""

    name: str
    fields: tuple[str, ...]
    """Field of each flavour digit, in order: of `L`, `N`, `Q`, `u`, `d`, `e`; each has generations 1 to 3."""
    structure: str
    conserves_lepton_number: bool = True

    @property
    def dimension(self) -> int:
        """Mass dimension of the operator: six throughout."""
        return 6

    @property
    def unit(self) -> str:
        """Unit of the coefficient."""
        return f"GeV^{4 - self.dimension}"


@dataclass(frozen=True)
class SmneftCoefficient:
    """A Wilson coefficient above m_W: an operator with its flavours; no two names are the same coefficient."""

    operator: SmneftOperator
    flavours: tuple[int, ...]

    @property
    def name(self) -> str:
        """`<operator>_<digits>`."""
        return f"{self.operator.name}_{''.join(map(str, self.flavours))}"


OPERATORS: Mapping[str, SmneftOperator] = MappingProxyType(
    {
        name: SmneftOperator(name, fields, structure)
        for name, fields, structure in (
            ("NB", ("L", "N"), "(Lbar sigma^{mu nu} N) Htilde B_{mu nu}"),
            ("NW", ("L", "N"), "(Lbar sigma^{mu nu} N) tau^I Htilde W^I_{mu nu}"),
            ("NH", ("L", "N"), "(Lbar N) Htilde (H^dagger H)"),
            ("LNQd", ("L", "N", "Q", "d"), "(Lbar^j N) eps_jk (Qbar^k d)"),
            ("LNQd3", ("L", "N", "Q", "d"), "(Lbar^j sigma^{mu nu} N) eps_jk (Qbar^k sigma_{mu nu} d)"),
            ("LNuQ", ("L", "N", "u", "Q"), "(Lbar N) (ubar Q)"),
            ("LNLe", ("L", "N", "L", "e"), "(Lbar^j N) eps_jk (Lbar^k e)"),
        )
    }
)
GENERATIONS = (1, 2, 3)
HIGHEST_SCALE_GEV = 1e10
"""Up to here the error of the running's fixed steps is held to 1e-12 by a test."""


def coefficient_names() -> tuple[str, ...]:
    """All coefficients above m_W: 27 of two flavours and 324 of four."""
    every = ((op.name, d) for op in OPERATORS.values() for d in itertools.product(GENERATIONS, repeat=len(op.fields)))
    return tuple(f"{name}_{''.join(map(str, digits))}" for name, digits in every)


def is_smneft(name: object) -> bool:
    """Whether the part of a name before the flavours is that of an operator above m_W."""
    return isinstance(name, str) and name.split("_")[0] in OPERATORS


def parse(name: str, where: str = "") -> SmneftCoefficient:
    """The coefficient that a name stands for.

    Args:
        name: such as `LNQd3_1122`.
        where: the place the name comes from, for the message.
    Raises: UserInputError for an unknown operator, with the nearest match, a wrong number of digits, a digit out of range.
    """
    generations = {f: GENERATIONS for op in OPERATORS.values() for f in op.fields}
    op, digits = operators.read_name(
        name, OPERATORS, OPERATORS, generations, lambda op: f"{op.name}_{'1122'[: len(op.fields)]}", "LNQd3_1122", where
    )
    return SmneftCoefficient(op, digits)


def parse_all(names: Iterable[str], where: str = "") -> tuple[SmneftCoefficient, ...]:
    """`parse` each name. Raises: UserInputError as `parse`."""
    return tuple(parse(name, where) for name in names)


def theory_of(names: Iterable[str], where: str = "") -> str:
    """The theory that all names belong to: "smneft" or "lneft"; "lneft" if there are none.

    Raises: UserInputError for names of both theories in one set, and for a name of neither, with the nearest match among all.
    """
    prefix = f"{where}: " if where else ""
    first: dict[str, str] = {}
    for name in names:
        if is_smneft(name):
            first.setdefault("smneft", name)
            continue
        operator_name = name.split("_")[0] if isinstance(name, str) else ""
        if isinstance(name, str) and operator_name not in operators.OPERATORS:
            raise unknown("operator", operator_name, [*operators.OPERATORS, *OPERATORS], f"{prefix}coefficient {name!r}")
        first.setdefault("lneft", name)
    if len(first) == 2:
        raise UserInputError(
            f"{prefix}coefficients {first['smneft']!r} and {first['lneft']!r} belong to different theories, above and below m_W: "
            "give names of one of them"
        )
    return next(iter(first), "lneft")
