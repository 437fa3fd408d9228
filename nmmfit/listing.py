"""What a listing says about an experiment before it is imported: an experiment's module has `LISTING = Listing(...)`.

The arguments are literals, so that a listing can read them from the source without running it (which would start JAX).
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, fields

from nmmfit.errors import UserInputError, unknown

KINDS = ("binned release", "digitised", "rate only", "published limit", "projection")
"""What the data of an experiment are: binned counts of an official release; counts read from figures or by third parties; one
number of events; one published limit; the expected limit of an experiment that has no data."""


@dataclass(frozen=True)
class Listing:
    """One of KINDS; where the numbers come from and how far they were checked; experiments with which it shares data.

    `in_all`: whether it is part of "all experiments"; others are used only where a run names them.
    """

    kind: str
    status: str
    overlaps: tuple[str, ...] = ()
    in_all: bool = True

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown("kind of experiment", self.kind, KINDS)


def listing_of(source: str, where: str) -> Listing | None:
    """The LISTING of a module, read from its source text; None if it has none.

    Args:
        source: text of the module.
        where: name of the file, for the error message.
    Raises: UserInputError if LISTING is not a call of Listing with literals by name.
    """
    known = {f.name for f in fields(Listing)}
    for node in ast.parse(source).body:
        if not (isinstance(node, ast.Assign) and [ast.unparse(t) for t in node.targets] == ["LISTING"]):
            continue
        call = node.value
        if not isinstance(call, ast.Call) or call.args or not {k.arg for k in call.keywords} <= known:
            raise UserInputError(f"{where}: LISTING must be Listing(...) with arguments by name ({', '.join(sorted(known))})")
        try:
            return Listing(**{str(k.arg): ast.literal_eval(k.value) for k in call.keywords})
        except (ValueError, TypeError) as problem:
            raise UserInputError(f"{where}: LISTING must be made of literals ({problem})") from None
    return None
