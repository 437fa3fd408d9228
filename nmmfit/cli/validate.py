"""`validate`: every experiment beside what was published."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from nmmfit.checks import confidence_level, whole_number
from nmmfit.cli.arguments import Json, Out, usable
from nmmfit.cli.fit import not_converged
from nmmfit.cli.output import emit, note, plain
from nmmfit.cli.progress import counting_bar
from nmmfit.errors import unknown

if TYPE_CHECKING:
    from nmmfit.inference.validate import Validation
    from nmmfit.results.files import RunFolder

STEPS = 5
"""Steps that every experiment takes, beside its other options."""


def register(app: typer.Typer) -> None:
    """Add this verb to the program."""
    app.command(epilog="Example: nmmfit validate coherent_csi_2021 --out my-validation")(validate)


def validate(
    experiments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[EXPERIMENT]...", help="Names of experiments; none: all.", show_default=False),
    ] = None,
    cl: Annotated[float, typer.Option("--cl", metavar="LEVEL", help="Confidence level of the limits, between 0 and 1.")] = 0.90,
    toys: Annotated[int, typer.Option("--toys", metavar="N", help="Toy experiments behind a p-value.")] = 200,
    options: Annotated[bool, typer.Option("--options/--no-options", help="Also go through the experiments' options.")] = True,
    plots: Annotated[bool, typer.Option("--plots/--no-plots", help="With --out, draw the spectra too.")] = True,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Seed of the random numbers.")] = 1,
    as_json: Json = False,
    out: Out = None,
) -> None:
    """Prediction, signal strength, goodness of fit and limits of experiments, beside the published values."""
    from nmmfit import catalogue

    confidence_level(cl, "--cl")
    whole_number(toys, "--toys", 1)
    whole_number(seed, "--seed", 0)
    known = catalogue.names()
    for name in experiments or ():
        if name not in known:
            raise unknown("experiment", name, known)
    names = tuple(dict.fromkeys(experiments or usable(known)))
    from nmmfit.results.files import RunFolder

    if out is None:
        found = _validated(names, cl, toys, options, seed)
    else:
        with RunFolder(out) as folder:
            found = _validated(names, cl, toys, options, seed)
            _write(folder, found, plots, _command(experiments, cl, toys, options, seed))
            place = folder.publish()
    from nmmfit.results.validation import payload, validation_tables

    def show(console: object) -> None:
        for v in found:
            console.print(validation_tables(v))  # type: ignore[attr-defined]

    emit("validate", payload(found) | ({"out": str(place)} if out is not None else {}), as_json, None, show)
    if out is not None:
        note(f"wrote {place}")
    failed = [v.name for v in found if not v.converged]
    if failed:
        raise not_converged(failed)


def _validated(names: tuple[str, ...], cl: float, toys: int, options: bool, seed: int) -> list[Validation]:
    from nmmfit.cli.runtime import start_computing

    start_computing()
    from nmmfit.inference.validate import alternatives, validate_experiment

    total = sum(STEPS + (len(list(alternatives(name))) if options else 0) for name in names)
    found, done = [], 0
    with counting_bar("validating") as advance:

        def step(_: str) -> None:
            nonlocal done
            advance(min(done, total), total)
            done += 1

        for name in names:
            found.append(validate_experiment(name, cl=cl, toys=toys, choices=options, seed=seed, step=step))
    return found


def _command(experiments: list[str] | None, cl: float, toys: int, options: bool, seed: int) -> str:
    """The command line in full, so that the page says how it was made."""
    words = ["nmmfit", "validate", *(experiments or ()), "--cl", f"{cl:g}", "--toys", str(toys), "--seed", str(seed)]
    return shlex.join([*words, *(() if options else ("--no-options",))])


def _write(folder: RunFolder, found: list[Validation], plots: bool, command: str) -> None:
    import json

    from nmmfit.results.figure import save
    from nmmfit.results.validation import figures, page, payload

    pictures: dict[str, list[str]] = {}
    for v in found if plots else ():
        for name, figure in figures(v).items():
            made = save(figure, folder.path / name.replace(".", "_"), ("png", "svg"))
            pictures.setdefault(v.name, []).append(made[0].name)
    folder.write_text("validate.json", json.dumps(plain(payload(found)), indent=1, allow_nan=False) + "\n")
    folder.write_text("validation.md", page(found, pictures, command))
