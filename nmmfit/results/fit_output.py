"""Everything that a fit leaves on disk, in one call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nmmfit.config.run import DirectionSpec
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.landscape import landscape
from nmmfit.inference.parameter_vector import Point
from nmmfit.inference.polish import polish
from nmmfit.inference.result import SampleResult
from nmmfit.results.diagnostics import FitSummary, finite_or_null, summarise_fit
from nmmfit.results.directions import summarised
from nmmfit.results.files import RunFolder
from nmmfit.results.plots import write_fit_plots
from nmmfit.results.predictive import channel_draws, predictive_checks
from nmmfit.results.provenance import provenance
from nmmfit.results.spectra import channel_spectra
from nmmfit.results.store import fit_json, posterior_data, write_run


def write_sampled(
    folder: RunFolder,
    joint: JointLikelihood,
    result: SampleResult,
    run_toml: str,
    *,
    plots: bool,
    directions: Mapping[str, DirectionSpec] | None = None,
) -> tuple[FitSummary, dict[str, Any]]:
    """As `write_fit`, which see, of draws alone: they are summarised, and what the spectra show is fitted where they are drawn.

    Returns: the summaries, and the object in summary.json.
    """
    summary = summarise_fit(result)
    # Best fit and Standard Model (coefficients 0, everything else fitted).
    best = polish(joint, result.draws) if plots else {}
    sm = polish(joint, result.draws, zero=joint.switches) if plots else {}
    printed = write_fit(folder, joint, result, summary, run_toml, best=best, sm=sm, plots=plots, directions=directions)
    return summary, printed


def write_fit(
    folder: RunFolder,
    joint: JointLikelihood,
    result: SampleResult,
    summary: FitSummary,
    run_toml: str,
    *,
    best: Point,
    sm: Point | None = None,
    choices: Mapping[str, Any] | None = None,
    plots: bool = True,
    directions: Mapping[str, DirectionSpec] | None = None,
) -> dict[str, Any]:
    """Write posterior.nc, summary.json, run.toml and the plots into an open run folder; `folder.publish()` is left to the caller.

    Args:
        folder: open folder.
        joint, result, summary: what was sampled, its draws, their summaries.
        run_toml: the run file as it was used.
        best: best-fit point for the spectra.
        sm: point of the Standard Model for the spectra; None: `best` with all coefficients at 0.
        choices: choices of theory to be named in summary.json; default: those of `joint`.
        plots: whether to draw.
        directions: directions among the coefficients that are summarised besides.
    Returns: the object in summary.json, which is what `fit --json` prints.
    Raises: OutputError if anything cannot be written.
    """
    named = joint.choices if choices is None else choices
    printed = fit_json(result, summary, out=folder.final, choices=named)
    if directions:
        printed["directions"] = summarised(joint, result, directions)
    attrs = provenance(run_toml, result.seed) | {f"theory_{name}": str(value) for name, value in named.items()}
    channels = channel_draws(joint, result)
    checks = predictive_checks(channels)
    shape = landscape(joint, result)
    printed["landscape"] = finite_or_null(shape.to_json()) | {"text": list(shape.sentences())}
    printed["predictive"] = {name: check.to_json() for name, check in checks.items()}
    write_run(folder, posterior_data(result, channels, attrs), printed, run_toml)
    if plots:
        write_fit_plots(folder.path, result, summary, joint.parameters, channel_spectra(joint, best, sm), checks)
    return printed
