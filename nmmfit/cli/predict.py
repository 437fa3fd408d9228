"""`predict`: expected counts of one experiment at given coefficients, beside the observed ones."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmmfit.cli.arguments import Json, Out, Overrides, coefficient_values, name_values
from nmmfit.cli.invocation import origin_of
from nmmfit.cli.output import add_row, emit, table
from nmmfit.errors import UserInputError

if TYPE_CHECKING:
    from rich.console import Console

    from nmmfit.config import RunConfig

# A table with more bins than this is summarised; the numbers are in --json and --out.
MOST_ROWS = 40
MOST_COLUMNS = 8
HELD = "given_coefficients"


def register(app: typer.Typer) -> None:
    """Add this verb to the program."""
    app.command(epilog="Example: nmmfit predict coherent_csi_2021 TnuNuRR_1111=1e-5 --scale 2")(predict)


def predict(
    ctx: typer.Context,
    experiment: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="Name of an experiment (nmmfit list experiments).")],
    values: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME=VALUE]...",
            help="Coefficients (complex: 1e-6+2e-6j), parameters of the default run or of a model (--set model.name=...), pulls "
            "such as sns.flux, theory.c_T; none: the Standard Model.",
            show_default=False,
        ),
    ] = None,
    scale: Annotated[
        float | None, typer.Option("--scale", metavar="GeV", help="Scale of the coefficients.", show_default="m_W")
    ] = None,
    overrides: Overrides = None,
    as_json: Json = False,
    out: Out = None,
) -> None:
    """Expected counts per bin, by component, with the observed ones."""
    from nmmfit.cli.runtime import start_computing

    config, point = _one_point(experiment, name_values(values or ()), scale, overrides)
    start_computing()
    import numpy as np

    # Values that are far too large overflow; the result says so once.
    with np.errstate(over="ignore", invalid="ignore"):
        payload = _evaluate(config, point)
    if not np.isfinite(payload["log_likelihood"]):
        raise UserInputError(
            f"predict: the expected counts are not finite at {', '.join(values or ())}; coefficients are in GeV^-1 or GeV^-2, "
            "pulls in units of their sigma"
        )
    emit(
        "predict",
        payload,
        as_json,
        out,
        lambda console: _show(console, payload),
        origin=lambda: origin_of(ctx, experiments=[experiment]),
    )


def _one_point(
    experiment: str, values: Mapping[str, complex], scale: float | None, overrides: list[str] | None
) -> tuple[RunConfig, dict[str, float]]:
    """A run of one experiment whose only parameter holds all given coefficients at their values, and the pulls that are set.

    Raises: UserInputError for an unknown name, with its nearest match.
    """
    import json

    from nmmfit import catalogue
    from nmmfit.config import TheorySpec, check_scale, validate
    from nmmfit.models import MODELS
    from nmmfit.run import default_run_text, parse_run

    if experiment not in catalogue.names():
        raise catalogue.no_such_experiment(experiment)
    changes = [*(overrides or ()), f"experiments=[{json.dumps(experiment)}]"]
    of_models = {p.name for m in MODELS.values() for p in m.parameters} if any(c.startswith("model") for c in changes) else set()
    for name in of_models & set(values):
        if values[name].imag:
            raise UserInputError(f"{name}={values[name]}: a parameter of a model is a real number")
        changes.append(f"model.parameters.{name}={values[name].real!r}")
    default = parse_run(default_run_text(), overrides=changes)
    given: dict[str, complex] = {}
    theory: dict[str, float] = {}
    pulls: dict[str, float] = {}
    table = default.config.model_dump(mode="json", exclude_none=True)
    for name, value in values.items():
        if name in of_models:
            continue
        if "." not in name:
            given[name] = value
        elif value.imag:
            raise UserInputError(f"{name}={value}: a nuisance is a real number")
        elif name.startswith("theory.") and name.removeprefix("theory.") in TheorySpec.model_fields:
            theory[name.removeprefix("theory.")] = value.real
        else:
            pulls[name] = value.real
    coefficients = coefficient_values(given, default.config)
    if scale is not None:
        check_scale(scale, "--scale")
        table["scale_gev"] = scale
    table["theory"].update(theory)
    table["parameters"] = {}
    nonzero = {name: [value.real, value.imag] for name, value in coefficients.items() if value}
    if nonzero:
        table["parameters"][HELD] = {"coefficients": nonzero, "prior": 1.0}
    config = validate(table)
    model = config.model
    for name, prior in model.parameters.items() if model is not None else ():
        if model is not None and not prior.is_fixed:
            raise UserInputError(f"predict: {name} of {model.name} has no value; give {name}=VALUE")
    return config, pulls


def _evaluate(config: RunConfig, point: Mapping[str, float]) -> dict[str, Any]:
    import jax
    import jax.numpy as jnp
    import numpy as np

    from nmmfit.errors import unknown
    from nmmfit.inference.joint import JointLikelihood

    joint = JointLikelihood.from_config(config, method="direct")
    for name in point:
        if name not in joint.names:
            raise unknown("pull", name, joint.names)
    # The rates are compiled once: what a channel expects is the sum of its components, and its likelihood follows from that.
    components = joint.components(point)
    channels: dict[str, dict[str, Any]] = {}
    for name, channel in joint.channels.items():
        counts = np.asarray(functools.reduce(operator.add, components[name].values()))
        per_bin = jax.jit(lambda n, channel=channel: channel.distribution(n).log_prob(jnp.asarray(channel.observed, float)))(
            counts
        )
        channels[name.partition(".")[2]] = {
            "observed": np.asarray(channel.observed),
            "expected": counts,
            "components": {part: np.asarray(values) for part, values in components[name].items()},
            "edges": {axis: np.asarray(edges) for axis, edges in channel.edges.items()},
            "observed_total": float(np.sum(channel.observed)),
            "expected_total": float(np.sum(counts)),
            "statistic": channel.statistic,
            "log_likelihood": float(np.sum(per_bin)),
        }
    first = next(iter(channels))
    whole = {
        "experiment": config.experiments[0],
        "channel": first,
        "scale_gev": config.scale_gev,
        "theory": {**config.theory.choices(), **{name: prior.centre for name, prior in config.theory.inputs().items()}},
        "coefficients": config.parameters[HELD].coefficients if HELD in config.parameters else {},
        "model": {n: p.numbers[0] for n, p in config.model.parameters.items()} if config.model is not None else {},
        **channels[first],
    }
    # The data of an experiment are all its channels; the other fields are those of the first one, which holds the signal.
    return {**whole, "log_likelihood": sum(c["log_likelihood"] for c in channels.values()), "channels": channels}


def _show(console: Console, payload: Mapping[str, Any]) -> None:
    import numpy as np

    for name, channel in payload["channels"].items():
        parts = channel["components"]
        totals = table(
            f"{payload['experiment']}, {name} channel ({channel['statistic']})", "component", "expected counts", numbers=(1,)
        )
        for part, counts in parts.items():
            add_row(totals, part, f"{np.sum(counts):.4g}")
        add_row(totals, "all", f"{channel['expected_total']:.2f}")
        add_row(totals, "observed", f"{channel['observed_total']:.0f}")
        console.print(totals)
        grouped = _grouped(parts)
        for axis, edges in channel["edges"].items():
            sizes = [len(e) - 1 for e in channel["edges"].values()]
            along = list(channel["edges"]).index(axis)
            others = tuple(i for i in range(len(sizes)) if i != along)
            spread = {part: np.reshape(counts, sizes).sum(axis=others) for part, counts in grouped.items()}
            total = np.reshape(channel["expected"], sizes).sum(axis=others)
            seen = np.reshape(channel["observed"], sizes).sum(axis=others)
            group = -(-len(seen) // MOST_ROWS)
            shown = table(f"by {axis}", axis, *spread, "all", "observed", numbers=tuple(range(1, len(spread) + 3)))
            for start in range(0, len(seen), group):
                stop = min(start + group, len(seen))
                cells = [counts[start:stop].sum() for counts in spread.values()]
                add_row(
                    shown,
                    f"{edges[start]:g} to {edges[stop]:g}",
                    *(f"{cell:.4g}" for cell in cells),
                    f"{total[start:stop].sum():.4g}",
                    f"{seen[start:stop].sum():.0f}",
                )
            console.print(shown)
    console.print(f"log-likelihood, all channels: {payload['log_likelihood']:.4f}")
    console.print("theory: " + ", ".join(f"{key} = {value}" for key, value in payload["theory"].items()), markup=False)


def _grouped(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Components added up by the first word of their names; none if that still leaves more than fit into a table."""
    groups: dict[str, Any] = {}
    for name, counts in parts.items():
        word = name.partition("_")[0]
        groups[word] = groups[word] + counts if word in groups else counts
    return groups if len(groups) <= MOST_COLUMNS else {}
