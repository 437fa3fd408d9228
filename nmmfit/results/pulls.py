"""Picture of nuisances before and after a fit: prior against posterior, and how much narrower the posterior is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nmmfit.inference.parameters import Parameter
from nmmfit.inference.result import SampleResult
from nmmfit.results.figure import BLUE, GREY, VERMILLION, new_figure, style
from nmmfit.results.wording import symbol

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REACH = 5.0
"""Prior standard deviations that the picture shows at most; what lies farther off is an arrow at the edge."""


@dataclass(frozen=True)
class PullBar:
    """One nuisance or theory input: mean and standard deviation of its posterior and of its prior."""

    name: str
    mean: float
    sd: float
    prior_mean: float
    prior_sd: float

    @property
    def pull(self) -> float:
        """(posterior mean - prior mean) / prior sd."""
        return (self.mean - self.prior_mean) / self.prior_sd

    @property
    def width(self) -> float:
        """Posterior sd / prior sd: 1 where the data say nothing."""
        return self.sd / self.prior_sd

    @property
    def is_known(self) -> bool:
        """Whether all of it is finite, the prior's width not 0."""
        return all(map(math.isfinite, (self.mean, self.sd, self.prior_mean, self.prior_sd))) and self.prior_sd > 0.0


def pull_bars(result: SampleResult, parameters: Sequence[Parameter]) -> list[PullBar]:
    """Every sampled nuisance and theory input whose prior has a mean and a width, in the order of the likelihood."""
    made = []
    for p in parameters:
        if p.kind in ("theory", "nuisance") and p.name in result.draws:
            draws = result.draws[p.name]
            made.append(PullBar(p.name, float(np.mean(draws)), float(np.std(draws)), float(np.mean(p.prior.mean)), p.prior_sd))
    return [bar for bar in made if bar.is_known]


def pulls_figure(bars: Sequence[PullBar]) -> Figure:
    """Left: mean and standard deviation of every posterior in units of the prior's, whose band is grey; right: their widths.

    Args:
        bars: at least one nuisance.
    """
    if not bars:
        raise ValueError("a picture of pulls needs at least one nuisance")
    count = len(bars)
    places = np.arange(count)
    pulls, widths = np.array([b.pull for b in bars]), np.array([b.width for b in bars])
    with style():
        figure = new_figure(6.8, 0.19 * count + 1.05)
        left, right = figure.subplots(1, 2, sharey=True, gridspec_kw={"width_ratios": [2.2, 1.0]})
        left.axvspan(-1.0, 1.0, color=GREY, alpha=0.2, linewidth=0, label="prior")
        left.axvline(0.0, color=GREY, linewidth=0.8)
        reach = min(REACH, max(2.0, 1.05 * float(np.max(np.abs(pulls) + widths))))
        inside = np.abs(pulls) <= reach
        left.errorbar(
            pulls[inside], places[inside], xerr=widths[inside], fmt="o", color=BLUE, markersize=3.5, linewidth=0, elinewidth=1.2,
            label="posterior",
        )  # fmt: skip
        for place, pull in zip(places[~inside], pulls[~inside], strict=True):
            edge = math.copysign(0.96 * reach, pull)
            left.plot(edge, place, marker=">" if pull > 0 else "<", color=VERMILLION, markersize=5)
            side = "right" if pull > 0 else "left"
            left.text(edge * 0.95, place, f"{pull:+.1f}", ha=side, va="center", fontsize=6.5, color=VERMILLION)
        left.set_xlim(-reach, reach)
        left.set_xlabel("(posterior mean - prior mean) / prior sd", fontsize=9)
        left.set_yticks(places, [symbol(b.name) for b in bars], fontsize=7)
        left.set_ylim(count - 0.4, -0.6)
        right.axvline(1.0, color=GREY, linewidth=0.8)
        right.barh(places, widths, height=0.62, color=np.where(widths > 1.0, VERMILLION, BLUE).tolist(), linewidth=0)
        right.set_xlim(0.0, max(1.08, min(2.0, 1.05 * float(np.max(widths)))))
        right.set_xlabel("posterior sd / prior sd", fontsize=9)
        for axes in (left, right):
            axes.tick_params(axis="y", which="both", left=False, right=False)
            axes.grid(axis="x", which="major", color=GREY, alpha=0.2, linewidth=0.6)
    return figure
