"""All plots of a fit, from its draws: corner plots, spectra, traces and ranks."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nmmfit.inference.parameters import Parameter
from nmmfit.inference.result import SampleResult
from nmmfit.results.chains import plot_label, trace_figure, worst_names
from nmmfit.results.corner import CornerVariable, corner_figure
from nmmfit.results.diagnostics import FitSummary
from nmmfit.results.figure import save
from nmmfit.results.forest import forest_figure
from nmmfit.results.predictive import PredictiveCheck, predictive_figure
from nmmfit.results.pulls import pull_bars, pulls_figure
from nmmfit.results.spectra import ChannelSpectrum, spectrum_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "pdf")

# Characters of a line of a label, no wider than a panel of a corner plot.
_LABEL_WIDTH = 24
# In place of the spaces of a name, which shall not be broken.
_TIED = "\u00a0"


def prior_density(parameter: Parameter) -> Any:
    """Density of a parameter's prior as a function of plain arrays; 0 outside its support."""

    def density(values: np.ndarray) -> np.ndarray:
        inside = np.asarray(parameter.prior.support(values))
        # Evaluate inside only: outside, a distribution may answer nan.
        safe = np.where(
            inside, values, parameter.start if bool(parameter.prior.support(parameter.start)) else values[inside][:1].sum()
        )
        return np.where(inside, np.exp(np.asarray(parameter.prior.log_prob(safe))), 0.0)

    return density


def distinct_quantities(draws: Mapping[str, np.ndarray], units: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Quantities that differ: name -> itself and those that equal it in every draw.

    Flavour-universal couplings give all sources the same effective moment; a corner plot of it with itself says nothing.

    Args:
        draws: name -> draws, all of one shape.
        units: name -> unit; quantities of different units are never the same.
    """
    groups: dict[str, tuple[str, ...]] = {}
    for name, values in draws.items():
        same = (n for n in groups if units[n] == units[name] and np.allclose(values, draws[n], rtol=1e-9, atol=0.0))
        first = next(same, name)
        groups[first] = (*groups.get(first, ()), name)
    return groups


def common_label(labels: Sequence[str]) -> str:
    """One label for equal quantities: "mu solar" and "mu sns" become "mu" with "solar, sns" below it."""
    heads = {label.partition(" ")[0] for label in labels}
    if len(labels) == 1 or len(heads) > 1:
        return ",\n".join(labels)
    return f"{heads.pop()}\n{', '.join(label.partition(' ')[2] for label in labels)}"


def wrapped_label(label: str, width: int) -> str:
    """A label with its second line broken after commas, so that lines have up to `width` characters; names stay whole."""
    head, _, rest = label.partition("\n")
    lines = textwrap.wrap(", ".join(part.replace(" ", _TIED) for part in rest.split(", ")), width, break_long_words=False)
    return "\n".join([head, *(line.replace(_TIED, " ") for line in lines)])


def identified_corner(result: SampleResult, title: str = "") -> Figure:
    """Corner plot of the identified quantities; those that are equal in every draw share a panel."""
    variables = {}
    units = {name: result.unit(name) for name in result.identified}
    for name, equal in distinct_quantities(result.identified, units).items():
        draws = result.identified[name]
        label = wrapped_label(common_label([plot_label(result, n) for n in equal]), _LABEL_WIDTH)
        variables[name] = CornerVariable(draws, label, units[name], nonnegative=bool(np.all(draws >= 0.0)))
    return corner_figure(variables, title)


def coefficient_corner(result: SampleResult, parameters: Sequence[Parameter], title: str = "") -> Figure:
    """Corner plot of coefficients and floated theory inputs with their priors.

    Args:
        result: the run.
        parameters: the parameters of the likelihood; nuisances are left out, those with a point prior too.
    """
    variables = {
        p.name: CornerVariable(
            result.draws[p.name], plot_label(result, p.name), p.unit, prior_density(p), bool(np.all(result.draws[p.name] >= 0.0))
        )
        for p in parameters
        if p.kind in ("coefficient", "model", "theory") and p.name in result.draws and np.ptp(result.draws[p.name]) > 0.0
    }
    return corner_figure(variables, title)


def write_fit_plots(
    folder: Path,
    result: SampleResult,
    summary: FitSummary,
    parameters: Sequence[Parameter],
    spectra: Sequence[ChannelSpectrum],
    checks: Mapping[str, PredictiveCheck] | None = None,
    formats: Sequence[str] = FORMATS,
) -> list[Path]:
    """Draw and save everything that a fit shows; each file appears complete or not at all. Returns the paths.

    Files: corner_identified, corner_coefficients, pulls, trace_and_rank (PNG only), spectrum_<experiment>.<channel>, predictive.

    Args:
        folder: where to write; must exist.
        result, summary: the run and its summaries.
        parameters: the parameters of the likelihood, for their priors.
        spectra: what to show of each channel, from `nmmfit.results.spectra.channel_spectra`.
        checks: predictive checks of the channels; none: no picture of them.
    Raises: OutputError if a file cannot be written.
    """
    made: list[Path] = []
    if result.identified:
        made += save(identified_corner(result), folder / "corner_identified", formats)
    if result.coefficient_names():
        made += save(coefficient_corner(result, parameters), folder / "corner_coefficients", formats)
    bars = pull_bars(result, parameters)
    if bars:
        made += save(pulls_figure(bars), folder / "pulls", formats)
    # Thousands of lines: a raster picture says the same in less.
    made += save(trace_figure(result, worst_names(result, summary)), folder / "trace_and_rank", ("png",))
    for spectrum in spectra:
        # As vector graphics for the web too, which `nmmfit report` puts into its page.
        made += save(spectrum_figure(spectrum), folder / f"spectrum_{spectrum.name}", (*formats, "svg"))
    if checks:
        made += save(predictive_figure(checks), folder / "predictive", formats)
    return made


def write_forest(
    folder: Path, limits: Mapping[str, Any], labels: Mapping[str, str] | None = None, formats: Sequence[str] = FORMATS
) -> list[Path]:
    """Draw and save the forest plot of `limits --json`'s object as limits_forest. Raises: OutputError."""
    return save(forest_figure(limits, labels), folder / "limits_forest", formats)
