"""`evolve`: coefficients from one scale to another, matching at 2 GeV, and the effective moments they make."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nmmfit.cli.arguments import Json, Overrides, coefficient_values, name_values
from nmmfit.cli.invocation import origin_of
from nmmfit.cli.output import add_row, emit, moments_table, note, table
from nmmfit.errors import UserInputError, unknown

if TYPE_CHECKING:
    from rich.console import Console

    from nmmfit.eft.wcxf.values import WcxfValues
    from nmmfit.evolution import EvolvedCoefficients

WCXF_FILE = "wcxf.yml"
"""Name of the values that are written beside evolve.json."""

_PARTS = {
    "above_m_w": "just above m_W",
    "below_m_w": "just below m_W, after matching",
    "coefficient": "coefficients, before matching",
    "chiral": "added below 2 GeV by confined u, d, s",
    "loops": "added below 2 GeV by loops of c and charged leptons",
}


def register(app: typer.Typer) -> None:
    """Add this verb to the program."""
    app.command(epilog="Example: nmmfit evolve --from 80.379 --to 2 TnuNdRR_1122=1e-6 --method exact")(evolve)


def evolve(
    ctx: typer.Context,
    values: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME=VALUE...",
            help="Coefficients (complex: 1e-6+2e-6j), below or above m_W, or parameters of the default run such as L_T_s.",
            show_default=False,
        ),
    ] = None,
    scale_from: Annotated[
        float | None,
        typer.Option("--from", metavar="GeV", help="Scale at which the coefficients are given.", show_default="80.379, m_W"),
    ] = None,
    scale_to: Annotated[float, typer.Option("--to", metavar="GeV", help="Scale at which they are wanted.")] = 2.0,
    method: Annotated[
        str | None,
        typer.Option("--method", metavar="exact|seed", help="How to run; without it theory.running.", show_default=False),
    ] = None,
    basis: Annotated[
        str | None,
        typer.Option(
            "--basis", metavar="down|up", help="Basis of quark doublets for coefficients given above m_W.", show_default="down"
        ),
    ] = None,
    values_file: Annotated[
        Path | None,
        typer.Option(
            "--values",
            metavar="FILE",
            help="Coefficients, scale and basis from a WCxf file of LNEFT or SMNEFT.",
            show_default=False,
        ),
    ] = None,
    overrides: Overrides = None,
    as_json: Json = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR|FILE",
            help="Fresh folder to write to, or a new .yml, .yaml or .json for the coefficients reached, as WCxf values.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run coefficients, match at m_W and 2 GeV, and show every coefficient generated and the effective moments."""
    from nmmfit.config import HIGH_SCALE_GEV, check_scale, validate
    from nmmfit.constants import ELECTROWEAK_INPUTS, STANDARD_MODEL_INPUTS
    from nmmfit.eft.operators import FORM_FACTORS
    from nmmfit.eft.smneft_operators import theory_of
    from nmmfit.exchange.wcxf import SUFFIXES
    from nmmfit.run import default_run_text
    from nmmfit.runfile import read_toml, with_overrides

    read: WcxfValues | None = None
    if values_file is not None:
        if values or scale_from is not None or basis is not None:
            raise UserInputError(
                "--values: coefficients, scale and basis are those of the file; leave out NAME=VALUE, --from and --basis"
            )
        from nmmfit.exchange.wcxf import read_wcxf

        read = read_wcxf(values_file)
        if not read.values:
            raise UserInputError(f"--values {values_file}: the file names no coefficient")
        scale_from, basis = read.scale_gev, read.quark_basis
    elif not values:
        raise UserInputError("evolve: name at least one coefficient, such as TnuNdRR_1122=1e-6 (nmmfit list coefficients)")
    scale_from = HIGH_SCALE_GEV if scale_from is None else scale_from
    changes = [*(overrides or ()), *([f"theory.running={method}"] if method is not None else [])]
    config = validate(with_overrides(read_toml(default_run_text()), changes))
    basis = config.theory.quark_basis if basis is None else basis
    coefficients = coefficient_values(read.values if read else name_values(values or ()), config, above_m_w=True)
    if theory_of(coefficients) == "lneft":
        if scale_from > HIGH_SCALE_GEV:
            raise UserInputError(
                f"--from: {scale_from:g} GeV is above m_W, where {next(iter(coefficients))!r} does not exist; "
                "give SMNEFT names there, such as NB_11"
            )
        check_scale(scale_from, "--from")
        check_scale(scale_to, "--to")
    if basis not in ("down", "up"):
        raise unknown("basis", basis, ("down", "up"), "--basis")
    ours = [name for name in coefficients if name.split("_")[0] in FORM_FACTORS]
    if ours and out is not None and out.suffix.lower() in SUFFIXES:
        raise UserInputError(
            f"--out {out}: {ours[0]!r} has no place in a basis of WCxf; give a folder, or leave charges and charge radii out"
        )
    from nmmfit.cli.runtime import start_computing

    start_computing()
    from nmmfit.eft.chiral import ChiralInputs
    from nmmfit.eft.smneft_inputs import ElectroweakInputs
    from nmmfit.eft.wcxf.text import render
    from nmmfit.evolution import evolve as engine
    from nmmfit.exchange.wcxf import write_wcxf
    from nmmfit.inputs import StandardModelInputs

    theory = config.theory
    given = {name: prior.centre for name, prior in theory.inputs().items()}
    numbers = {name: value for name, value in given.items() if name in STANDARD_MODEL_INPUTS}
    orders = {"alpha_s_loops": theory.alpha_s_loops, "gamma_T_loops": theory.gamma_T_loops, "e_running": theory.e_running}
    inputs = StandardModelInputs.from_mapping({**numbers, **orders})
    chiral = ChiralInputs(theory.c_T.centre, theory.c_T_s.centre)
    above = {name: value for name, value in given.items() if name in ELECTROWEAK_INPUTS}
    electroweak = ElectroweakInputs(**above, quark_basis=basis)
    found = engine(coefficients, scale_from, scale_to, theory.running, inputs, chiral, electroweak=electroweak)
    beside = {}
    if not ours:
        reached = _reached(found, basis)
        if out is not None and out.suffix.lower() in SUFFIXES:
            write_wcxf(out, reached)
            note(f"wrote {out}")
            out = None
        beside = {WCXF_FILE: render(reached.plain())}
    emit("evolve", found.as_json(), as_json, out, lambda console: _show(console, found), beside, lambda: origin_of(ctx))


def _reached(found: EvolvedCoefficients, quark_basis: str) -> WcxfValues:
    """The coefficients at the scale reached, before matching there, as values of WCxf."""
    from nmmfit import __version__
    from nmmfit.eft.smneft_operators import theory_of
    from nmmfit.eft.wcxf.values import made

    above = theory_of(found.coefficients) == "smneft"
    metadata = {
        "generator": f"nmmfit {__version__}",
        "description": f"run from {found.scale_from_gev:g} GeV ({found.method}); before matching at this scale",
    }
    return made(found.coefficients, found.scale_gev, "nmmfit up" if above and quark_basis == "up" else "nmmfit", metadata)


SEEN = 1e-8
"""Coefficients smaller than this, relative to the largest of the same unit at the same place, are not printed."""


def _show(console: Console, found: EvolvedCoefficients) -> None:
    title = f"From {found.scale_from_gev:g} GeV to {found.scale_gev:g} GeV ({found.method})"
    made = table(title, "what", "name", "real", "imaginary", "unit", numbers=(2, 3))
    rows = [row for row in found.rows() if row[0] in _PARTS]
    largest: dict[tuple[str, str], float] = {}
    for part, _, value, unit in rows:
        largest[part, unit] = max(abs(value), largest.get((part, unit), 0.0))
    seen = [row for row in rows if abs(row[2]) >= SEEN * largest[row[0], row[3]]]
    for part, name, value, unit in seen:
        # An imaginary part of rounding errors, 1e-16 of the number, is none.
        real, imaginary = (x if abs(x) > 1e-12 * abs(value) else 0.0 for x in (value.real, value.imag))
        add_row(made, _PARTS[part], name, f"{real:.6g}", f"{imaginary:.6g}" if imaginary else "", unit)
    console.print(made)
    if len(seen) < len(rows):
        console.print(
            f"{len(rows) - len(seen)} coefficients below {SEEN:g} of the largest of their kind are left out; --json has all"
        )
    title = "Effective magnetic moments at zero momentum transfer, after matching"
    console.print(moments_table(title, found.moments_mub, "solar 7Be neutrinos, after oscillations"))
    for threshold in found.thresholds:
        for name, mass in threshold.masses_ev.items():
            console.print(f"{name} at {threshold.name} gives neutrinos a Dirac mass of {mass:.3g} eV unless something cancels it")
    for name, numbers in found.naturalness.items():
        moment = numbers["moment_mub_at_1_ev"]
        console.print(
            f"naturalness: a moment of {moment:.2g} mu_B from {name} at {found.scale_from_gev:g} GeV brings a mass of 1 eV"
        )
    console.print("inputs: " + ", ".join(f"{name} = {value}" for name, value in found.inputs.items()), markup=False)
