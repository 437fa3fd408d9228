"""Arguments and options that several verbs share, and NAME=VALUE pairs."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from nmmfit.cli.output import note
from nmmfit.errors import UserInputError, unknown

if TYPE_CHECKING:
    from nmmfit.config import RunConfig
    from nmmfit.run import Run

RunFile = Annotated[
    Path | None, typer.Argument(metavar="[RUN]", help="Run file (TOML); without it the default run.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout, nothing else.")]
Out = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Fresh folder to write to.", show_default=False)]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the run file; may be repeated.", show_default=False),
]

LONG_S = 3600.0
"""A computation that takes longer than this is not begun unasked."""

Yes = Annotated[bool, typer.Option("--yes", help="Begin even where it will take more than an hour.")]

Experiments = Annotated[
    str | None,
    typer.Option(
        "--experiments",
        metavar="NAMES",
        help="Experiments in place of the run file's: names with commas between, or all.",
        show_default=False,
    ),
]


Reparametrise = Annotated[
    Path | None,
    typer.Option(
        "--reparametrise",
        metavar="DIR",
        help="Also report the directions of this folder that fisher wrote: direction_1, direction_2, ... in prior widths.",
        show_default=False,
    ),
]


class VerbGroup(TyperGroup):
    """Verbs; one that does not exist is reported with its nearest match."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The verb that the first argument names. Raises: UserInputError if there is none."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise unknown("verb", args[0], self.list_commands(ctx), ctx.command_path if ctx.parent else "")
        return super().resolve_command(ctx, args)


def open_run(path: Path | None, overrides: Iterable[str] | None) -> Run:
    """The run of a file, or the default one, with the overrides of the command line."""
    from nmmfit.run import default_run, load_run

    changes = tuple(overrides or ())
    return default_run(changes) if path is None else load_run(path, changes)


def reparametrised(chosen: Run, folder: Path | None) -> Run:
    """A run with the directions of a folder that `fisher` wrote, which its run file then holds; None: the run as it is.

    Raises: UserInputError, one line, if the folder is none of `fisher`, is broken, or is of other coefficients or priors.
    """
    if folder is None:
        return chosen
    from nmmfit.results.directions import directions_in
    from nmmfit.run import parse_run
    from nmmfit.runfile import write_toml

    table = chosen.config.model_dump(mode="json", exclude_none=True)
    table["directions"] = {name: spec.model_dump(mode="json") for name, spec in directions_in(folder, chosen.config).items()}
    return parse_run(write_toml(table), chosen.source)


def experiment_overrides(given: str | None) -> list[str]:
    """The option --experiments as an override of the run file; "all" are those that a listing does not keep for runs by name.

    Installed ones that cannot be imported are left out of "all", with a message.
    """
    if given is None:
        return []
    from nmmfit import catalogue

    names = usable(catalogue.names_in_all()) if given.strip() == "all" else [name.strip() for name in given.split(",")]
    return [f"experiments={json.dumps([name for name in names if name])}"]


def usable(names: Iterable[str]) -> list[str]:
    """Those of the experiments that are meant without being named, but for installed ones that fail: a message says so."""
    from nmmfit import catalogue

    problems = catalogue.problems()
    for problem in problems.values():
        note(f"nmmfit: warning: left out: {problem}")
    return [name for name in names if name not in problems]


def name_values(pairs: Iterable[str]) -> dict[str, complex]:
    """NAME=VALUE pairs; a value is a number such as 1e-6 or a complex one such as 1e-6+2e-6j.

    Raises: UserInputError if a pair is not of that form, a value is not finite, or a name stands twice.
    """
    values: dict[str, complex] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name or not text:
            raise UserInputError(f"{pair!r}: expected NAME=VALUE, such as TnuNuRR_1111=1e-6")
        if name in values:
            raise UserInputError(f"{pair!r}: {name} is given twice")
        try:
            value = complex(text.replace("i", "j") if text.endswith("i") else text)
        except ValueError:
            raise UserInputError(f"{pair!r}: {text!r} is no number; write 1e-6, or 1e-6+2e-6j for a complex one") from None
        if not (math.isfinite(value.real) and math.isfinite(value.imag)):
            raise UserInputError(f"{pair!r}: the value must be finite")
        values[name] = value
    return values


def coefficient_values(values: Mapping[str, complex], config: RunConfig, above_m_w: bool = False) -> dict[str, complex]:
    """Wilson coefficients of NAME=VALUE pairs that name coefficients, or parameters of a run, which stand for several.

    Args:
        values: name -> value.
        config: the run whose parameters count.
        above_m_w: whether coefficients of the theory above m_W are known, too.
    Raises: UserInputError for an unknown name, with its nearest match, for two names of one coefficient, and for names of both
        theories.
    """
    from nmmfit.eft import operators, smneft_operators

    known = [*operators.OPERATORS, *(smneft_operators.OPERATORS if above_m_w else ())]

    coefficients: dict[str, complex] = {}
    for name, value in values.items():
        if name in config.parameters:
            parts = {c: amount * value for c, amount in config.parameters[name].weights.items()}
        elif above_m_w and smneft_operators.is_smneft(name):
            smneft_operators.parse(name)
            parts = {name: value}
        elif re.fullmatch(r".*_[0-9]+", name):
            if above_m_w:
                smneft_operators.theory_of([name])
            operators.parse(name)
            parts = {name: value}
        else:
            raise unknown("name", name, [*config.parameters, *known])
        for coefficient, part in parts.items():
            coefficients[coefficient] = coefficients.get(coefficient, 0.0) + part
    if above_m_w and smneft_operators.theory_of(coefficients) == "smneft":
        return coefficients
    operators.validate_all(coefficients)
    return coefficients
