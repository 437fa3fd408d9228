"""The operators above m_W (SMNEFT) that this package knows: names, flavours and symmetries.

Names are `<operator>_<digits>` as in `operators`: one generation for each field, in the order in which the operator's name lists
them, coefficients complex, `+ h.c.` understood, summed over all flavours. With epsilon_12 = +1 and Htilde = i sigma_2 H^* those
of dimension six, which conserve lepton number (as in arXiv:2004.13869, 2001.07732, 2005.01543), GeV^-2:

    NB     (Lbar_p sigma^{mu nu} N_r) Htilde B_{mu nu}
    NW     (Lbar_p sigma^{mu nu} N_r) tau^I Htilde W^I_{mu nu}
    NH     (Lbar_p N_r) Htilde (H^dagger H)
    LNQd   (Lbar_p^j N_r) eps_jk (Qbar_s^k d_t)
    LNQd3  (Lbar_p^j sigma^{mu nu} N_r) eps_jk (Qbar_s^k sigma_{mu nu} d_t)
    LNuQ   (Lbar_p N_r) (ubar_s Q_t)
    LNLe   (Lbar_p^j N_r) eps_jk (Lbar_s^k e_t)

and, with C = i gamma^2 gamma^0, those that violate lepton number by two units, of dimension five (GeV^-1) and seven (GeV^-3):

    NNB     (N_p^T C sigma^{mu nu} N_r) B_{mu nu}                                   antisymmetric in p r
    LHB     eps_ij eps_mn (L_p^iT C sigma_{mu nu} L_r^m) H^j H^n B^{mu nu}          antisymmetric in p r
    LHW     eps_ij (eps tau^I)_mn (L_p^iT C sigma_{mu nu} L_r^m) H^j H^n W^{I mu nu}
    dLQLH1  eps_ij eps_mn (dbar_p L_r^i) (Q_s^jT C L_t^m) H^n
    dLQLH2  eps_im eps_jn (dbar_p L_r^i) (Q_s^jT C L_t^m) H^n
    QuLLH   eps_ij (Qbar_p^m u_r) (L_s^mT C L_t^i) H^j

Their structure is that of the basis of Liao and Ma (arXiv:1607.07309, 1612.04527; index contractions MEMORY, those of dLQLH1,
dLQLH2 and QuLLH confirmed by the charged currents in the public D7RGESolver, SEEN). LHB and LHW carry no gauge couplings here:
where a paper puts g' and g into them, multiply its coefficients by g' and g. They are matched at m_W (`smneft_lnv`) and have no
running above it.

L, N and e are mass eigenstates of the charged leptons and of N; what Q means is a choice of `smneft_inputs`. The tensor that one
might write for LNLe is not independent: `smneft_matching` spells out the Fierz identity.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
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
    dimension: int = 6
    """Mass dimension of the operator."""
    symmetry: int = 0
    """-1 if antisymmetric in its two neutrino fields, else 0."""

    @property
    def conserves_lepton_number(self) -> bool:
        """Dimension six does; dimensions five and seven violate it by two units. Only what conserves it runs above m_W."""
        return self.dimension == 6

    @property
    def unit(self) -> str:
        """Unit of the coefficient."""
        return f"GeV^{4 - self.dimension}"


@dataclass(frozen=True)
class SmneftCoefficient:
    """A Wilson coefficient above m_W: an operator with its flavours, in the independent representative of its symmetry class."""

    operator: SmneftOperator
    flavours: tuple[int, ...]
    sign: int = 1
    """The named coefficient is `sign` times the representative: LHB_21 = -LHB_12."""

    @property
    def name(self) -> str:
        """Name of the representative, `<operator>_<digits>`."""
        return f"{self.operator.name}_{''.join(map(str, self.flavours))}"


_DIMENSION_SIX = (
    ("NB", ("L", "N"), "(Lbar sigma^{mu nu} N) Htilde B_{mu nu}"),
    ("NW", ("L", "N"), "(Lbar sigma^{mu nu} N) tau^I Htilde W^I_{mu nu}"),
    ("NH", ("L", "N"), "(Lbar N) Htilde (H^dagger H)"),
    ("LNQd", ("L", "N", "Q", "d"), "(Lbar^j N) eps_jk (Qbar^k d)"),
    ("LNQd3", ("L", "N", "Q", "d"), "(Lbar^j sigma^{mu nu} N) eps_jk (Qbar^k sigma_{mu nu} d)"),
    ("LNuQ", ("L", "N", "u", "Q"), "(Lbar N) (ubar Q)"),
    ("LNLe", ("L", "N", "L", "e"), "(Lbar^j N) eps_jk (Lbar^k e)"),
)
_LEPTON_NUMBER_VIOLATING = (
    ("NNB", ("N", "N"), "(N^T C sigma^{mu nu} N) B_{mu nu}", 5, -1),
    ("LHB", ("L", "L"), "eps_ij eps_mn (L^iT C sigma_{mu nu} L^m) H^j H^n B^{mu nu}", 7, -1),
    ("LHW", ("L", "L"), "eps_ij (eps tau^I)_mn (L^iT C sigma_{mu nu} L^m) H^j H^n W^{I mu nu}", 7, 0),
    ("dLQLH1", ("d", "L", "Q", "L"), "eps_ij eps_mn (dbar L^i) (Q^jT C L^m) H^n", 7, 0),
    ("dLQLH2", ("d", "L", "Q", "L"), "eps_im eps_jn (dbar L^i) (Q^jT C L^m) H^n", 7, 0),
    ("QuLLH", ("Q", "u", "L", "L"), "eps_ij (Qbar^m u) (L^mT C L^i) H^j", 7, 0),
)
OPERATORS: Mapping[str, SmneftOperator] = MappingProxyType(
    {row[0]: SmneftOperator(*row) for row in (*_DIMENSION_SIX, *_LEPTON_NUMBER_VIOLATING)}
)
GENERATIONS = (1, 2, 3)
HIGHEST_SCALE_GEV = 1e10
"""Up to here the error of the running's fixed steps is held to 1e-12 by a test."""


def coefficient_names() -> tuple[str, ...]:
    """All independent coefficients above m_W, one name per symmetry class: 351 of dimension six, 258 of five and seven."""
    return tuple(name for op in OPERATORS.values() for name in _names_of(op))


def _names_of(op: SmneftOperator) -> Iterator[str]:
    for digits in itertools.product(GENERATIONS, repeat=len(op.fields)):
        if not op.symmetry or digits[0] < digits[1]:
            yield SmneftCoefficient(op, digits).name


def is_smneft(name: object) -> bool:
    """Whether the part of a name before the flavours is that of an operator above m_W."""
    return isinstance(name, str) and name.split("_")[0] in OPERATORS


def parse(name: str, where: str = "") -> SmneftCoefficient:
    """The coefficient that a name stands for.

    Args:
        name: such as `LNQd3_1122`.
        where: the place the name comes from, for the message.
    Returns: the representative of its symmetry class, with the sign.
    Raises: UserInputError for an unknown operator, with the nearest match, a wrong number of digits, a digit out of range, and a
        coefficient that vanishes by antisymmetry.
    """
    generations = {f: GENERATIONS for op in OPERATORS.values() for f in op.fields}
    op, digits = operators.read_name(
        name, OPERATORS, OPERATORS, generations, lambda op: f"{op.name}_{'1222'[: len(op.fields)]}", "LNQd3_1122", where
    )
    if op.symmetry and digits[0] == digits[1]:
        prefix = f"{where}: " if where else ""
        raise UserInputError(
            f"{prefix}coefficient {name!r} vanishes: {op.name} is antisymmetric in its two {op.fields[0]} flavours; "
            f"one that does not is {next(_names_of(op))!r}"
        )
    if op.symmetry and digits[0] > digits[1]:
        return SmneftCoefficient(op, (digits[1], digits[0]), op.symmetry)
    return SmneftCoefficient(op, digits)


def parse_all(names: Iterable[str], where: str = "") -> tuple[SmneftCoefficient, ...]:
    """`parse` each name. Raises: UserInputError as `parse`, and if two names differ only by a symmetry of the operator."""
    seen: dict[str, str] = {}
    found = []
    for name in names:
        coefficient = parse(name, where)
        if seen.setdefault(coefficient.name, name) != name:
            prefix = f"{where}: " if where else ""
            raise UserInputError(
                f"{prefix}coefficients {seen[coefficient.name]!r} and {name!r} are the same up to a sign: give one of them"
            )
        found.append(coefficient)
    return tuple(found)


def check_runs(names: Iterable[str], scale_gev: float, m_w_gev: float, where: str = "scale_gev") -> None:
    """Refuse coefficients above m_W whose running there is not implemented: those that violate lepton number.

    Args:
        names: SMNEFT names; `scale_gev`: where they are given, `m_w_gev`: where the theory begins, GeV.
        where: what the scale is, for the message.
    Raises: UserInputError.
    """
    if scale_gev <= m_w_gev:
        return
    for name in names:
        if not parse(name).operator.conserves_lepton_number:
            raise UserInputError(
                f"{where}: {name!r} violates lepton number and has no running above m_W in this version; "
                f"give it at m_W = {m_w_gev:g} GeV, not at {scale_gev:g} GeV"
            )


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
