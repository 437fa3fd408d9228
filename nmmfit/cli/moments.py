"""`moments`: what reactors, stopped pions, the Sun and plasmons see of a matrix of moments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmmfit.cli.arguments import Json, Out, name_values
from nmmfit.cli.invocation import origin_of
from nmmfit.cli.output import add_row, emit, moments_table, table
from nmmfit.errors import UserInputError, unknown

if TYPE_CHECKING:
    from rich.console import Console

MIXINGS = ("capozzi2025", "juno2025", "nufit60_sk", "nufit60_nosk", "nufit61_sk")
"""Names of `physics.oscillation.OSCILLATION_PRESETS`, for a help text that starts no JAX."""
_COEFFICIENTS = {"nuNgamma": "dirac", "nugamma": "majorana"}


def register(app: typer.Typer) -> None:
    """Add this verb to the program."""
    app.command(epilog="Example: nmmfit moments mu_11=1e-11 mu_12=2e-11+1e-11j mu_22=1e-11")(moments)


def moments(
    ctx: typer.Context,
    values: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME=VALUE...",
            help="Entries mu_pr in Bohr magnetons (p: who arrives, r: into what; complex: 1e-11+2e-11j), or coefficients "
            "nuNgamma_pr (Dirac) or nugamma_pr (Majorana) in GeV^-1 at zero momentum transfer. Those absent are zero.",
            show_default=False,
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind",
            metavar="dirac|majorana",
            help="Dirac: any complex matrix; Majorana: mu_pr also stands for minus mu_rp. Coefficients say it themselves.",
            show_default="dirac",
        ),
    ] = None,
    basis: Annotated[
        str, typer.Option("--basis", metavar="flavour|mass", help="Basis in which the entries are given.")
    ] = "flavour",
    mixing: Annotated[
        str, typer.Option("--mixing", metavar="PRESET", help=f"Mixing parameters: {', '.join(MIXINGS)}.")
    ] = MIXINGS[0],
    alpha1: Annotated[float, typer.Option("--alpha1", metavar="RAD", help="Majorana phase of the first mass state.")] = 0.0,
    alpha2: Annotated[float, typer.Option("--alpha2", metavar="RAD", help="Majorana phase of the second mass state.")] = 0.0,
    component: Annotated[
        str, typer.Option("--component", metavar="NAME", help="Solar neutrinos: pp, be7, pep, n13, o15, f17, b8 or hep.")
    ] = "be7",
    energy: Annotated[
        float | None,
        typer.Option(
            "--energy",
            metavar="MeV",
            help="Their energy; without it the strongest line, or the mean over the spectrum.",
            show_default=False,
        ),
    ] = None,
    solar: Annotated[
        str,
        typer.Option(
            "--solar",
            metavar="METHOD",
            help="density_matrix, mass_states (the same), or seed_faithful: the identity of arXiv:2206.13122, eq. (3.7).",
        ),
    ] = "density_matrix",
    plasmon: Annotated[
        str, typer.Option("--plasmon", metavar="pairs|entries", help="Whether a Majorana pair counts once or twice.")
    ] = "pairs",
    m_n: Annotated[
        list[float] | None,
        typer.Option("--m-n", metavar="MeV", help="Mass of N, for plasmon decay; one, or one per column.", show_default="0"),
    ] = None,
    plasmon_mass: Annotated[
        float | None,
        typer.Option("--plasmon-mass", metavar="MeV", help="Mass of the plasmon, where N has one.", show_default=False),
    ] = None,
    as_json: Json = False,
    out: Out = None,
) -> None:
    """Effective moments of a matrix of moments: what reactors, stopped pions, the Sun and plasmons see of it."""
    if not values:
        raise UserInputError("moments: name at least one entry, such as mu_11=1e-11, or coefficient, such as nuNgamma_11=1e-9")
    given = name_values(values)
    prefix = _prefix(given)
    if kind is None:
        kind = _COEFFICIENTS.get(prefix, "dirac")
    entries = _entries(given, kind) if prefix == "mu" else None
    from nmmfit.cli.runtime import start_computing

    start_computing()
    import numpy as np

    from nmmfit.moments import effective_moments
    from nmmfit.physics.dipole_matrix import majorana_phases, matrix_from_coefficients, to_flavour_basis, to_mass_basis
    from nmmfit.physics.oscillation import oscillation_preset, pmns_matrix

    matrix = matrix_from_coefficients(given, kind) if entries is None else entries
    if entries is None and basis != "flavour":
        raise UserInputError("--basis: coefficients are in the flavour basis; give entries mu_pr in the mass basis")
    parameters = oscillation_preset(mixing)
    found = effective_moments(
        matrix,
        kind,
        basis=basis,
        oscillation=parameters,
        alpha1=alpha1,
        alpha2=alpha2,
        component=component,
        energy_mev=energy,
        solar=solar,
        plasmon=plasmon,
        m_n_mev=0.0 if m_n is None else m_n[0] if len(m_n) == 1 else m_n,
        plasmon_mass_mev=plasmon_mass,
    )
    u = pmns_matrix(parameters) * majorana_phases(alpha1, alpha2)
    other = to_mass_basis(matrix, u, kind) if basis == "flavour" else to_flavour_basis(matrix, u, kind)
    both = {"flavour": matrix, "mass": other} if basis == "flavour" else {"flavour": other, "mass": matrix}
    payload = {
        "kind": kind,
        "basis": basis,
        "mixing": mixing,
        "alpha": [alpha1, alpha2],
        "solar": {"component": component, "energy_mev": energy, "method": solar},
        "plasmon": {"counting": plasmon, "m_n_mev": m_n or [0.0], "plasmon_mass_mev": plasmon_mass},
        "moments_mub": {name: float(value) for name, value in found.items()},
        "matrix_mub": {name: np.asarray(mu, dtype=complex).tolist() for name, mu in both.items()},
    }
    emit("moments", payload, as_json, out, lambda console: _show(console, payload), origin=lambda: origin_of(ctx))


def _prefix(given: Mapping[str, complex]) -> str:
    """What all names begin with: `mu`, `nuNgamma` or `nugamma`. Raises: UserInputError for another name, or for several."""
    prefixes = {}
    for name in given:
        prefix = name.partition("_")[0]
        if prefix not in ("mu", *_COEFFICIENTS):
            raise unknown("name", name, ["mu_11", *(f"{c}_12" for c in _COEFFICIENTS)])
        prefixes[prefix] = name
    if len(prefixes) > 1:
        raise UserInputError(f"moments: {' and '.join(prefixes.values())} are in different units; give one sort of names")
    return next(iter(prefixes))


def _entries(given: Mapping[str, complex], kind: str) -> list[list[complex]]:
    """The matrix of entries `mu_pr`, (3, n). Raises: UserInputError for a name that is no entry."""
    cells: dict[tuple[int, int], complex] = {}
    for name, value in given.items():
        digits = re.fullmatch(r"mu_([1-3])([1-9])", name)
        if digits is None:
            raise UserInputError(f"{name!r}: an entry is mu_pr with p from 1 to 3 and r from 1 (allowed: up to 9), such as mu_12")
        cells[int(digits[1]) - 1, int(digits[2]) - 1] = value
    columns = max(3, *(r + 1 for _, r in cells))
    if kind == "majorana" and columns == 3:
        cells = {(r, p): -value for (p, r), value in cells.items() if p != r} | cells
    return [[cells.get((p, r), 0j) for r in range(columns)] for p in range(3)]


def _show(console: Console, payload: Mapping[str, Any]) -> None:
    for basis, matrix in payload["matrix_mub"].items():
        names = ("e", "mu", "tau") if basis == "flavour" else ("1", "2", "3")
        columns = [f"into {r + 1}" for r in range(len(matrix[0]))]
        title = f"Moments of {payload['kind'].capitalize()} neutrinos, {basis} basis [1e-11 mu_B]"
        largest = max(abs(z) for row in matrix for z in row)
        made = table(title, "arriving", *columns, numbers=tuple(range(1, len(columns) + 1)))
        for name, row in zip(names, matrix, strict=True):
            add_row(made, name, *(_written(z / 1e-11, 1e-12 * largest / 1e-11) for z in row))
        console.print(made)
    chosen = payload["solar"]
    where = "" if chosen["energy_mev"] is None else f" of {chosen['energy_mev']:g} MeV"
    solar = f"solar {chosen['component']} neutrinos{where}, after oscillations"
    console.print(moments_table("Effective moments", payload["moments_mub"], solar))
    plasmon = payload["plasmon"]
    if plasmon["plasmon_mass_mev"] is not None:
        masses = ", ".join(f"{m:g}" for m in plasmon["m_n_mev"])
        console.print(f"plasmons of {plasmon['plasmon_mass_mev']:g} MeV, N of {masses} MeV")
    console.print(f"mixing: {payload['mixing']}, solar method: {chosen['method']}, pairs: {plasmon['counting']}", markup=False)


def _written(z: complex, noise: float) -> str:
    """A complex number to four digits; parts not above `noise` are left out."""
    real, imaginary = (part if abs(part) > noise else 0.0 for part in (z.real, z.imag))
    return f"{real:.4g}{imaginary:+.4g}j" if imaginary else f"{real:.4g}"
