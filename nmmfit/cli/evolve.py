"""`evolve`: coefficients from one scale to another, matching at 2 GeV, and the effective moments they make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from nmmfit.cli.arguments import Json, Out, Overrides, coefficient_values, name_values
from nmmfit.cli.output import add_row, emit, table
from nmmfit.errors import UserInputError, unknown

if TYPE_CHECKING:
    from rich.console import Console

    from nmmfit.evolution import EvolvedCoefficients

_PARTS = {
    "above_m_w": "just above m_W",
    "below_m_w": "just below m_W, after matching",
    "coefficient": "coefficients, before matching",
    "chiral": "added to dipoles by confinement of u, d, s",
    "loops": "added to dipoles by loops of c and charged leptons",
}
_MOMENTS = {
    "reactor_e": "reactor, electron antineutrinos",
    "sns_mu": "stopped pions, muon neutrinos",
    "sns_e": "stopped pions, electron neutrinos",
    "solar": "solar 7Be neutrinos, after oscillations",
    "plasmon": "plasmon decay in stars, all flavours together",
}


def register(app: typer.Typer) -> None:
    """Add this verb to the program."""
    app.command(epilog="Example: nmmfit evolve --from 80.379 --to 2 TnuNdRR_1122=1e-6 --method exact")(evolve)


def evolve(
    values: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME=VALUE...",
            help="Coefficients (complex: 1e-6+2e-6j), below or above m_W, or parameters of the default run such as L_T_s.",
            show_default=False,
        ),
    ] = None,
    scale_from: Annotated[
        float, typer.Option("--from", metavar="GeV", help="Scale at which the coefficients are given.")
    ] = 80.379,
    scale_to: Annotated[float, typer.Option("--to", metavar="GeV", help="Scale at which they are wanted.")] = 2.0,
    method: Annotated[
        str | None,
        typer.Option("--method", metavar="exact|seed", help="How to run; without it theory.running.", show_default=False),
    ] = None,
    basis: Annotated[
        str, typer.Option("--basis", metavar="down|up", help="Basis of quark doublets for coefficients given above m_W.")
    ] = "down",
    overrides: Overrides = None,
    as_json: Json = False,
    out: Out = None,
) -> None:
    """Run coefficients, match at m_W and 2 GeV, and show every coefficient generated and the effective moments."""
    from nmmfit.config import HIGH_SCALE_GEV, check_scale, validate
    from nmmfit.constants import ELECTROWEAK_INPUTS, STANDARD_MODEL_INPUTS
    from nmmfit.eft.smneft_operators import theory_of
    from nmmfit.run import default_run_text
    from nmmfit.runfile import read_toml, with_overrides

    if not values:
        raise UserInputError("evolve: name at least one coefficient, such as TnuNdRR_1122=1e-6 (nmmfit list coefficients)")
    changes = [*(overrides or ()), *([f"theory.running={method}"] if method is not None else [])]
    config = validate(with_overrides(read_toml(default_run_text()), changes))
    coefficients = coefficient_values(name_values(values), config, above_m_w=True)
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
    from nmmfit.cli.runtime import start_computing

    start_computing()
    from nmmfit.eft.chiral import ChiralInputs
    from nmmfit.eft.smneft_inputs import ElectroweakInputs
    from nmmfit.evolution import evolve as engine
    from nmmfit.inputs import StandardModelInputs

    theory = config.theory
    given = {name: prior.centre for name, prior in theory.inputs().items()}
    numbers = {name: value for name, value in given.items() if name in STANDARD_MODEL_INPUTS}
    orders = {"alpha_s_loops": theory.alpha_s_loops, "gamma_T_loops": theory.gamma_T_loops, "e_running": theory.e_running}
    inputs = StandardModelInputs.from_mapping({**numbers, **orders})
    chiral = ChiralInputs(theory.c_T.centre, theory.c_T_s.centre)
    above = {name: value for name, value in given.items() if name in ELECTROWEAK_INPUTS}
    electroweak = ElectroweakInputs(**above, quark_basis=theory.quark_basis if basis == "down" else basis)
    found = engine(coefficients, scale_from, scale_to, theory.running, inputs, chiral, electroweak=electroweak)
    emit("evolve", found.as_json(), as_json, out, lambda console: _show(console, found))


def _show(console: Console, found: EvolvedCoefficients) -> None:
    title = f"From {found.scale_from_gev:g} GeV to {found.scale_gev:g} GeV ({found.method})"
    made = table(title, "what", "name", "real", "imaginary", "unit", numbers=(2, 3))
    for part, name, value, unit in found.rows():
        if part in _PARTS:
            add_row(made, _PARTS[part], name, f"{value.real:.6g}", f"{value.imag:.6g}" if value.imag else "", unit)
    console.print(made)
    moments = table(
        "Effective magnetic moments at zero momentum transfer, after matching",
        "source",
        "name",
        "moment [1e-11 mu_B]",
        numbers=(2,),
    )
    for name, moment in found.moments_mub.items():
        add_row(moments, _MOMENTS[name], name, f"{moment / 1e-11:.4g}")
    console.print(moments)
    for threshold in found.thresholds:
        for name, mass in threshold.masses_ev.items():
            console.print(f"{name} at {threshold.name} gives neutrinos a Dirac mass of {mass:.3g} eV unless something cancels it")
    for name, numbers in found.naturalness.items():
        moment = numbers["moment_mub_at_1_ev"]
        console.print(
            f"naturalness: a moment of {moment:.2g} mu_B from {name} at {found.scale_from_gev:g} GeV brings a mass of 1 eV"
        )
    console.print("inputs: " + ", ".join(f"{name} = {value}" for name, value in found.inputs.items()), markup=False)
