"""`validate`: every experiment beside what was published."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nmmfit.checks import confidence_level, whole_number
from nmmfit.cli.arguments import Json, Out, usable
from nmmfit.cli.cluster import Cluster
from nmmfit.cli.device import Device
from nmmfit.cli.fit import not_converged
from nmmfit.cli.go_on import Unfinished, going_on_later
from nmmfit.cli.invocation import origin_of, resumable_folder, words_of
from nmmfit.cli.output import emit, note
from nmmfit.cli.progress import counting_bar
from nmmfit.cli.where import Where, computed_on
from nmmfit.errors import UserInputError, unknown

if TYPE_CHECKING:
    import numpy as np

    from nmmfit.inference.validate import Validation
    from nmmfit.results.resumable import ResumableFolder
    from nmmfit.results.validation_folder import Settings

STEPS = 5
"""Steps that every experiment takes, beside its other options."""
FORMATS = ("png", "svg")


def register(app: typer.Typer) -> None:
    """Add this verb to the program."""
    app.command(epilog="Example: nmmfit validate coherent_csi_2021 --out my-validation")(validate)


def validate(
    ctx: typer.Context,
    experiments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[EXPERIMENT]...", help="Names of experiments; none: all.", show_default=False),
    ] = None,
    cl: Annotated[float, typer.Option("--cl", metavar="LEVEL", help="Confidence level of the limits, between 0 and 1.")] = 0.90,
    toys: Annotated[int, typer.Option("--toys", metavar="N", help="Toy experiments behind a p-value.")] = 200,
    options: Annotated[bool, typer.Option("--options/--no-options", help="Also go through the experiments' options.")] = True,
    plots: Annotated[bool, typer.Option("--plots/--no-plots", help="With --out, draw the spectra too.")] = True,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--plot-format", metavar="SUFFIX", help="png or svg; may be repeated; both if left out.", show_default=False
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Seed of the random numbers.")] = 1,
    cluster: Cluster = None,
    device: Device = None,
    as_json: Json = False,
    out: Out = None,
    update: Annotated[
        Path | None,
        typer.Option(
            "--update",
            metavar="DIR",
            help="Folder that this verb wrote with the same settings, in which the experiments are done anew.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Prediction, signal strength, goodness of fit and limits of experiments, beside the published values."""
    from nmmfit import catalogue

    confidence_level(cl, "--cl")
    whole_number(toys, "--toys", 1)
    whole_number(seed, "--seed", 0)
    for suffix in formats or ():
        if suffix not in FORMATS:
            raise unknown("format", suffix, FORMATS, "--plot-format")
    if update is not None and out is not None:
        raise UserInputError("--update: the results go into that folder; leave out --out")
    known = catalogue.names()
    for name in experiments or ():
        if name not in known:
            raise unknown("experiment", name, known)
    names = tuple(dict.fromkeys(experiments or usable(known)))
    from nmmfit.results.validation_folder import Settings, read_folder, renew

    drawn = tuple(dict.fromkeys(formats or FORMATS)) if plots else ()
    settings, where = Settings(cl, toys, seed, options, drawn), Where(cluster, device)
    if update is not None:
        read_folder(update, settings, "--update")
        found = _validated(names, settings, where)
        renew(update, found, settings, known, "--update")
        _note_anew(update, ctx)
        _answer(found, settings, update, as_json)
    elif out is not None:
        validate_into(names, settings, resumable_folder(ctx, out, experiments=names), where, as_json)
    else:
        _answer(_validated(names, settings, where), settings, None, as_json)


def go_on(again: Unfinished, as_json: bool) -> None:
    """Go on with a validation that was begun; experiments that are done are not done again."""
    from nmmfit.results.validation_folder import Settings

    given = again.options
    drawn = tuple(dict.fromkeys(given["formats"] or FORMATS)) if given["plots"] else ()
    settings = Settings(given["cl"], given["toys"], given["seed"], given["options"], drawn)
    validate_into(tuple(again.folder.origin["experiments"]), settings, again.folder, again.where, as_json)


def validate_into(names: tuple[str, ...], settings: Settings, folder: ResumableFolder, where: Where, as_json: bool) -> None:
    """Validate experiments, or what is left of them to do, and write the folder."""
    from nmmfit import catalogue
    from nmmfit.results.validation_folder import draw, said_by, write_folder

    known = catalogue.names()
    with going_on_later(folder, lambda: False):
        found = _validated(names, settings, where, folder)
        draw(folder.path, found, settings.plots)
        write_folder(folder.path, {v.name: v for v in found}, settings, known, said_by(settings, names, known))
        place = folder.publish()
    _answer(found, settings, place, as_json)


def _answer(found: list[Validation], settings: Settings, place: Path | None, as_json: bool) -> None:
    from nmmfit.results.validation import validation_tables
    from nmmfit.results.validation_folder import payload

    def show(console: object) -> None:
        for v in found:
            console.print(validation_tables(v))  # type: ignore[attr-defined]

    emit("validate", payload(found, settings) | ({"out": str(place)} if place is not None else {}), as_json, None, show)
    if place is not None:
        note(f"wrote {place}")
    failed = [v.name for v in found if not v.converged]
    if failed:
        raise not_converged(failed)


def _note_anew(folder: Path, ctx: typer.Context) -> None:
    """Write the manifest of a folder in which experiments were done anew; how all of it is made stays as it was."""
    from nmmfit.results.files import write_text
    from nmmfit.results.manifest import MANIFEST, manifest_text
    from nmmfit.results.origin import made_with
    from nmmfit.results.validation_folder import experiments_in

    names = experiments_in(folder)
    origin = {**origin_of(ctx), **made_with(names)}
    changed = {**origin["options"], "update": None, "experiments": names}
    write_text(folder / MANIFEST, manifest_text(folder, {**origin, "options": changed, "arguments": words_of(ctx, changed)}))


def _validated(
    names: tuple[str, ...], settings: Settings, where: Where, folder: ResumableFolder | None = None
) -> list[Validation]:
    """Validations of experiments; those that a folder holds from before are not made again."""
    with where.opened(names) as engine:
        from nmmfit.durable import run_chunks
        from nmmfit.inference.alone import alternatives
        from nmmfit.results.validation_chunks import ValidationChunks, as_chunk, from_chunk

        chunks = ValidationChunks(names, settings.cl, settings.toys, settings.options, settings.seed)
        steps = {name: STEPS + (len(list(alternatives(name))) if settings.options else 0) for name in names}
        fresh: dict[int, Validation] = {}
        with counting_bar("validating") as advance:

            def made(i: int) -> dict[str, np.ndarray]:
                before, done = sum(steps[name] for name in names[:i]), 0

                def step(_: str) -> None:
                    nonlocal done
                    advance(min(before + done, sum(steps.values())), sum(steps.values()))
                    done += 1

                fresh[i] = chunks.made(i, step)
                return as_chunk(fresh[i])

            numbers = {key: value for key, value in asdict(settings).items() if key != "plots"}
            known = {**numbers, "experiments": list(names), **computed_on()}
            found = run_chunks(
                None if folder is None else folder.store("experiments", known),
                len(names),
                made if engine is None else chunks,
                progress=None if engine is None else advance,
                engine=engine,
                say=lambda said: note(f"nmmfit: warning: {said}"),
            )
    return [fresh.get(i) or from_chunk(chunk) for i, chunk in enumerate(found)]
