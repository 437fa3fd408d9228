"""Verbs that look around: `list`, `init`, `schema`. None of them starts JAX unless it must build an experiment."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmmfit.cli.arguments import Json, Out, Overrides, RunFile, VerbGroup, open_run
from nmmfit.cli.output import add_row, emit, note, table

if TYPE_CHECKING:
    from rich.console import Console

    from nmmfit.models import ModelParameter

Match = Annotated[str | None, typer.Argument(metavar="[TEXT]", help="Only names that contain this text.", show_default=False)]

lists = typer.Typer(cls=VerbGroup, help="List coefficients, experiments, models, parameters or presets.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add these verbs to the program."""
    app.add_typer(lists, name="list", epilog="Example: nmmfit list coefficients TnuNd")
    app.command(epilog="Example: nmmfit init my-run.toml")(init)
    app.command(epilog="Example: nmmfit schema > run.schema.json")(schema)


@lists.command(epilog="Example: nmmfit list coefficients TnuNd")
def coefficients(
    text: Match = None,
    above_m_w: Annotated[bool, typer.Option("--above-m-w", help="Those of the theory above m_W instead.")] = False,
    as_json: Json = False,
    out: Out = None,
) -> None:
    """Wilson coefficients: <operator>_<flavours>, their unit and field structure."""
    from nmmfit.eft import operators, smneft_operators

    every = smneft_operators.coefficient_names() if above_m_w else operators.coefficient_names()
    names = [name for name in every if text is None or text in name]
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        operator = smneft_operators.parse(name).operator if above_m_w else operators.parse(name).operator
        found[name] = {
            "operator": operator.name,
            "structure": operator.structure,
            "unit": operator.unit,
            "lepton_number": "conserved" if operator.conserves_lepton_number else "violated by 2",
        }

    def show(console: Console) -> None:
        by_operator: dict[str, list[str]] = {}
        for name, entry in found.items():
            by_operator.setdefault(entry["operator"], []).append(name)
        made = table("Coefficients", "operator", "unit", "lepton number", "structure", "names")
        for operator, members in by_operator.items():
            entry = found[members[0]]
            shown = members[0] if len(members) == 1 else f"{members[0]} ... {members[-1]} ({len(members)})"
            if text is not None:
                shown = " ".join(members)
            add_row(made, operator, entry["unit"], entry["lepton_number"], entry["structure"], shown)
        console.print(made)
        console.print(
            "Digits are generations, one for each field in the order of the operator's name; "
            + ("all 1-3." if above_m_w else "N: 1-3, u: 1-2, d and e: 1-3.")
        )

    emit("coefficients", {"coefficients": found}, as_json, out, show)


@lists.command(epilog="Example: nmmfit list experiments --json")
def experiments(as_json: Json = False, out: Out = None) -> None:
    """Experiments that a run file can name: ours and installed ones, what their data are, and what was left out."""
    from nmmfit import catalogue

    entries = catalogue.entries()
    problems = catalogue.problems()
    left_out = catalogue.left_out()

    def show(console: Console) -> None:
        made = table("Experiments", "name", "what it is", "kind", "status of the numbers", "shares data with", "from")
        for entry in entries:
            listing = entry.listing
            row = ("", "", "") if listing is None else (listing.kind, listing.status, ", ".join(listing.overlaps))
            shown = entry.name if listing is None or listing.in_all else f"{entry.name} *"
            add_row(made, shown, entry.summary, *row, entry.origin)
        console.print(made)
        console.print("* used only where a run names it", markup=False)
        if left_out:
            made = table("Left out", "name", "why")
            for name, reason in left_out.items():
                add_row(made, name, reason)
            console.print(made)
        if problems:
            made = table("Cannot be used", "name", "why")
            for name, reason in problems.items():
                add_row(made, name, reason)
            console.print(made)

    found = {
        entry.name: {
            "summary": entry.summary,
            "origin": entry.origin,
            "kind": entry.listing.kind if entry.listing else None,
            "status": entry.listing.status if entry.listing else None,
            "overlaps": list(entry.listing.overlaps) if entry.listing else [],
            "in_all": entry.listing is None or entry.listing.in_all,
        }
        for entry in entries
    }
    emit("experiments", {"experiments": found, "left_out": left_out, "problems": problems}, as_json, out, show)


@lists.command(epilog="Example: nmmfit list models")
def models(text: Match = None, as_json: Json = False, out: Out = None) -> None:
    """Models that a run file can name, their options and parameters."""
    from nmmfit.models import MODELS

    chosen = {name: model for name, model in MODELS.items() if text is None or text in name}
    found = {
        name: {
            "summary": model.summary,
            "theory": model.theory,
            "options": {key: {"meaning": o.meaning, "allowed": list(o.allowed)} for key, o in model.options.items()},
            "parameters": {
                p.name: {"meaning": p.meaning, "unit": p.unit, "kind": p.kind, "left_out": None if p.required else p.left_out}
                for p in model.parameters
            },
        }
        for name, model in chosen.items()
    }

    def show(console: Console) -> None:
        for name, model in chosen.items():
            console.print(f"{name}: {model.summary}", markup=False)
            made = table(name, "key", "unit", "what it is", "left out")
            for key, option in model.options.items():
                add_row(
                    made,
                    key,
                    "",
                    f"{option.meaning}; {', '.join(option.allowed)}".removesuffix("; "),
                    "the first" if option.allowed else "",
                )
            for first, last in _runs(model.parameters):
                shown = first.name if first is last else f"{first.name} ... {last.name}"
                meaning = first.meaning if first is last else f"{first.meaning}, and so on"
                add_row(made, f"parameters.{shown}", first.unit, meaning, "an error" if first.required else first.left_out)
            console.print(made)

    emit("models", {"models": found}, as_json, out, show)


def _runs(parameters: Sequence[ModelParameter]) -> list[tuple[ModelParameter, ModelParameter]]:
    """First and last of parameters whose names differ in their digits only."""
    found: list[tuple[ModelParameter, ModelParameter]] = []
    for p in parameters:
        if found and re.sub(r"\d\d", "", p.name) == re.sub(r"\d\d", "", found[-1][1].name) != p.name:
            found[-1] = (found[-1][0], p)
        else:
            found.append((p, p))
    return found


@lists.command(epilog="Example: nmmfit list parameters run.toml --set theory.c_T=-3.2")
def parameters(run: RunFile = None, overrides: Overrides = None, as_json: Json = False, out: Out = None) -> None:
    """Parameters of a run, its theory inputs and the nuisances of its experiments, with their priors."""
    from nmmfit.cli.runtime import start_computing

    chosen = open_run(run, overrides)
    config = chosen.config
    start_computing()
    from nmmfit.inference.priors import describe

    joint = chosen.joint(method="direct")
    owners: dict[str, list[str]] = {}
    for experiment in joint.experiments:
        for name in experiment.pulls:
            owners.setdefault(name, []).append(experiment.name)
    rows: dict[str, dict[str, Any]] = {}
    for name, spec in config.parameters.items():
        meaning = " + ".join(f"{_amount(z)}{coefficient}" for coefficient, z in spec.weights.items())
        rows[name] = {"kind": "coefficient", "prior": str(spec.prior), "unit": spec.unit, "meaning": meaning}
        if spec.has_free_phase:
            turned = f"phase of {name}"
            rows[name]["kind"] = "model"
            rows[f"{name}_phase"] = {"kind": "model", "prior": str(spec.phase), "unit": "rad", "meaning": turned}
    if config.model is not None:
        known = config.model.known
        for name, prior in config.model.parameters.items():
            meaning = f"{config.model.name}: {known[name].meaning}"
            rows[name] = {"kind": "model", "prior": str(prior), "unit": known[name].unit, "meaning": meaning}
    units = {p.name: p.unit for p in joint.parameters}
    for name, prior in config.theory.inputs().items():
        unit = units.get(f"theory.{name}", "GeV" if name.endswith("_gev") else "1")
        rows[f"theory.{name}"] = {"kind": "theory", "prior": str(prior), "unit": unit, "meaning": "theory input"}
    for p in joint.of_kind("theory"):
        floated = {"kind": "theory", "prior": describe(p.prior), "unit": p.unit, "meaning": "nucleon charge"}
        rows.setdefault(p.name, floated)
    free = {p.name: p for p in joint.of_kind("nuisance")}
    for name, sharing in owners.items():
        shown = describe(free[name].prior) if name in free else str(config.pulls[name])
        rows[name] = {"kind": "nuisance", "prior": shown, "unit": "1", "meaning": ", ".join(sharing)}

    def show(console: Console) -> None:
        made = table(
            f"Parameters of {chosen.source}, coefficients at {config.scale_gev:g} GeV", "name", "kind", "prior", "unit", "meaning"
        )
        for name, row in rows.items():
            add_row(made, name, row["kind"], row["prior"], row["unit"], row["meaning"])
        console.print(made)

    emit("parameters", {"scale_gev": config.scale_gev, "parameters": rows}, as_json, out, show)


@lists.command(epilog="Example: nmmfit list presets")
def presets(as_json: Json = False, out: Out = None) -> None:
    """Named theory inputs and choices for the theory section of a run file."""
    from nmmfit.presets import C_T, C_T_S, CHOICES

    named = {"c_T": C_T, "c_T_s": C_T_S}

    def show(console: Console) -> None:
        made = table("Presets", "key", "name", "value", "source")
        for key, known in named.items():
            for name, preset in known.items():
                value = f"{preset.value:g} +- {preset.uncertainty:g}" if preset.uncertainty else f"{preset.value:g}"
                add_row(made, key, name, value, preset.source)
        console.print(made)
        made = table("Choices", "key", "name", "meaning")
        for key, allowed in CHOICES.items():
            for name, meaning in allowed.items():
                add_row(made, key, name, meaning)
        console.print(made)

    values = {
        key: {n: {"value": p.value, "uncertainty": p.uncertainty, "source": p.source} for n, p in known.items()}
        for key, known in named.items()
    }
    emit("presets", {"presets": values, "choices": CHOICES}, as_json, out, show)


def init(
    path: Annotated[Path, typer.Argument(metavar="[FILE]", help="File to write.")] = Path("run.toml"),
    as_json: Json = False,
    out: Out = None,
) -> None:
    """Write a commented run file, the default run, to start from."""
    from nmmfit.run import default_run_text

    text = default_run_text()
    if out is not None:
        from nmmfit.results.files import RunFolder

        with RunFolder(out) as folder:
            folder.write_text(path.name, text)
            target = folder.publish() / path.name
    else:
        from nmmfit.results.files import write_new_text

        target = path
        write_new_text(target, text)
    note(f"wrote {target}; run it with: nmmfit fit {target}")
    if as_json:
        emit("init", {"path": str(target)}, True, None, lambda console: None)


def schema(as_json: Json = False, out: Out = None) -> None:
    """Print the JSON schema of run files, for editors that check TOML."""
    from nmmfit.config import RunConfig

    payload = RunConfig.model_json_schema()
    emit("schema", payload, as_json, out, lambda console: console.print_json(data=payload))


def _amount(z: complex) -> str:
    """A factor in front of a coefficient; nothing for 1."""
    if z.imag:
        return f"({z.real:g}{z.imag:+g}i) "
    return "" if z.real == 1.0 else f"{z.real:g} "
