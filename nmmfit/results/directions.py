"""Directions that `fisher` wrote, as a run's own: read from its folder, in words, and summaries of their posterior."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import RenderableType
from rich.markup import escape
from rich.text import Text

from nmmfit.config import RunConfig
from nmmfit.config.run import DirectionSpec
from nmmfit.errors import UserInputError
from nmmfit.results.prior_sensitivity import priors_of
from nmmfit.results.tables import plain_table
from nmmfit.results.wording import direction_lines, fixed, heading, number
from nmmfit.results.written import KINDS, finite, read_results, reading

if TYPE_CHECKING:
    from nmmfit.inference.joint import JointLikelihood
    from nmmfit.inference.result import SampleResult

PREFIX = "direction_"
Directions = Mapping[str, DirectionSpec]


def directions_in(folder: Path, config: RunConfig, option: str = "--reparametrise") -> dict[str, DirectionSpec]:
    """The directions of a folder that `fisher` wrote, for a run with the same coefficients and priors; best constrained first.

    Args:
        folder: of `fisher`. config: the run; its experiments, theory and nuisances may be others than those of `fisher`.
        option: what names the folder, for errors.
    Raises: UserInputError, one line: no folder of `fisher`, a broken one, one of other coefficients (named) or priors, or
        parameters in which rates are not linear.
    """
    where = f"{option} {folder}"
    if not (folder / KINDS["fisher"]).is_file():
        what = f"no {KINDS['fisher']} in it" if folder.is_dir() else "there is no such folder"
        raise UserInputError(f"{where}: {what}; name a folder that nmmfit fisher --out wrote")
    results = read_results(folder)
    _refuse_others(results.run, config, where)
    with reading(results):
        names = [str(name) for name in results.payload["parameters"]]
        if set(names) != set(_free(results.run)):
            raise ValueError("its coefficients are not those of run.toml beside it")
        return {f"{PREFIX}{k}": _direction(given, names) for k, given in enumerate(results.payload["directions"], 1)}


def _free(config: RunConfig) -> dict[str, Any]:
    return {name: prior for name, (_, prior) in priors_of(config).items() if not prior.is_fixed}


def _refuse_others(there: RunConfig, here: RunConfig, where: str) -> None:
    """Raises: UserInputError where a direction among one run's coefficients is none among the other's."""
    theirs, ours = _free(there), _free(here)
    sides = {"only there": [n for n in theirs if n not in ours], "only here": [n for n in ours if n not in theirs]}
    said = [f"{words}: {', '.join(names)}" for words, names in sides.items() if names]
    if said:
        raise UserInputError(f"{where}: made with other free coefficients ({'; '.join(said)})")
    bent = [name for name in ours if name not in here.parameters]
    if bent:
        raise UserInputError(
            f"{where}: {', '.join(bent)}: rates are not linear in phases and parameters of a model; no directions"
        )
    if there.scale_gev != here.scale_gev:
        raise UserInputError(
            f"{where}: its coefficients live at {there.scale_gev:g} GeV, those of this run at {here.scale_gev:g} GeV"
        )
    for name, prior in ours.items():
        if there.parameters[name].coefficients != here.parameters[name].coefficients:
            raise UserInputError(f"{where}: {name} stands for other Wilson coefficients there")
        if theirs[name] != prior:
            raise UserInputError(f"{where}: the prior of {name} is {theirs[name]} there, {prior} here; its widths are the unit")


def _direction(given: Mapping[str, Any], names: list[str]) -> DirectionSpec:
    components = {str(n): finite(x) for n, x in given["composition"].items()}
    if set(components) != set(names) or not any(components.values()):
        raise ValueError("a direction that is none among its coefficients")
    information, blind, cause = finite(given["information"]), given["blind"], given["cause"]
    if not isinstance(blind, bool) or (blind and information > 0.0):
        raise ValueError(f"a direction with information {information:g} and blind {blind!r}")
    why = f": {cause}" if cause else ""
    if information > 0.0:
        note = f"expected error {information**-0.5:.3g} prior widths"
    else:
        note = f"blind{why}" if blind else f"no information where fisher looked, though not blind{why}"
    return DirectionSpec(components={n: x for n, x in components.items() if x != 0.0}, blind=blind, note=note)


def components(directions: Directions) -> dict[str, dict[str, float]]:
    """Name -> coefficient -> component in prior widths."""
    return {name: dict(spec.components) for name, spec in directions.items()}


def told(directions: Directions) -> dict[str, dict[str, Any]]:
    """What outputs say of directions: `components`, `blind`, `note`."""
    return {name: spec.model_dump(mode="json") for name, spec in directions.items()}


def summarised(joint: JointLikelihood, result: SampleResult, directions: Directions) -> dict[str, dict[str, Any]]:
    """Posterior of every direction in prior widths, as JSON values: `told`, mean, sd, hdi_90, abs_upper_90, contraction.

    There is no r_hat or effective sample size of a direction: the coefficients are diagnosed on absolute values where signs are
    free, and those of a sum are not theirs. Coefficients and identified quantities say whether the draws can be believed.
    """
    from nmmfit.inference.combined import combined_draws, combined_targets, prior_deviation
    from nmmfit.inference.space import space_of
    from nmmfit.results import adapter
    from nmmfit.results.diagnostics import contraction, finite_or_null

    space = space_of(joint)
    targets = combined_targets(space, directions=components(directions))
    made = {}
    for name, draws in combined_draws(space, targets, result.draws).items():
        sd = float(np.std(draws, ddof=1)) if draws.size > 1 else float("nan")
        made[name] = {
            **told({name: directions[name]})[name],
            "unit": targets[name].unit,
            "mean": float(np.mean(draws)),
            "sd": sd,
            "hdi_90": adapter.hdi(draws, 0.90),
            "abs_upper_90": float(np.quantile(np.abs(draws), 0.90)),
            "contraction": contraction(sd, prior_deviation(space, targets[name])),
        }
    found: dict[str, dict[str, Any]] = finite_or_null(made)
    return found


def directions_tables(summaries: Mapping[str, Mapping[str, Any]]) -> list[RenderableType]:
    """A table of posterior summaries of directions, and a line about each, for the terminal; nothing without directions."""
    if not summaries:
        return []
    made = plain_table("Directions")
    made.add_column("name", no_wrap=True)
    for column in ("mean", "sd", "90 % HDI", "90 % of |x| <"):
        made.add_column(escape(heading(column, "prior widths")), justify="right", no_wrap=True)
    made.add_column(escape(heading("contraction", "1")), justify="right", no_wrap=True)
    for name, s in summaries.items():
        low, high = s["hdi_90"]
        cells = (number(s["mean"]), number(s["sd"]), f"[{number(low)}, {number(high)}]", number(s["abs_upper_90"]))
        made.add_row(*map(escape, (f"{name}{' (blind)' if s['blind'] else ''}", *cells, fixed(s["contraction"], 2))))
    return [made, Text("\n".join(direction_lines(summaries)))]
