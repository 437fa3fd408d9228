"""What the priors alone predict for the data: counts of every channel from draws of all parameters, before anything is fitted.

Draws come from the priors of coefficients, theory inputs and nuisances times the constraints that experiments add
(`nmmfit.inference.simulations`). Rates are quadratic in most couplings, so that predictions have heavy tails: everything here is
a quantile, nothing a mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.text import Text

from nmmfit.errors import UserInputError
from nmmfit.experiment import Channel
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.minimise import Progress
from nmmfit.inference.simulations import PriorDraws
from nmmfit.results.figure import BLACK, BLUE, SKY, VERMILLION, new_figure, style
from nmmfit.results.predictive import deviances, drawn_counts
from nmmfit.results.tables import plain_table
from nmmfit.results.wording import literal, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEVELS = (0.025, 0.16, 0.5, 0.84, 0.975)
"""Probabilities of the quantiles, lowest first; the middle one is the median."""
MEDIAN = 2
DRAWS, LEAST_DRAWS = 4000, 100
CHUNK = 500
FAR = 2.0
"""Factor between half of the predictions and the data from which on words say so."""
RARE = 0.025
"""Fraction of the predictions on the other side of the data below which these are said to lie outside."""


@dataclass(frozen=True)
class PriorPrediction:
    """What the priors predict for one channel.

    Attributes:
        observed: counts (bin,).
        counts: quantiles of predicted counts, (level, bin). `total`: of their sum over the bins, (level,).
        above: fraction of draws whose total lies above that of the data.
        deviance: quantiles of the deviance of the data under the draws, (level,). `predicted`: of counts drawn from them.
        p_value: fraction of draws whose counts have a deviance at least as large as that of the data.
        draws: that count. `undefined`: left out, since their prediction is no finite number.
    """

    observed: np.ndarray
    counts: np.ndarray
    total: np.ndarray
    above: float
    deviance: np.ndarray
    predicted: np.ndarray
    p_value: float
    draws: int
    undefined: int

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        made = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in vars(self).items()}
        return {**made, "observed_total": float(np.sum(self.observed)), "bins": len(self.observed)}


def prior_predictions(
    joint: JointLikelihood, draws: int = DRAWS, seed: int = 0, progress: Progress | None = None
) -> dict[str, PriorPrediction]:
    """What the priors predict, `experiment.channel` -> prediction.

    Args:
        joint: the likelihood. draws: from the prior, >= LEAST_DRAWS. seed: of the random numbers.
        progress: called with (draws done, draws in all).
    Raises: UserInputError for a likelihood without data; NotConvergedError if constraints leave next to nothing of the priors.
    """
    if not joint.channels:
        raise UserInputError("prior predictions: no experiment is chosen, so that nothing is predicted")
    parts: dict[str, list[np.ndarray]] = {name: [] for name in joint.channels}
    x = PriorDraws(joint, seed).many(jax.random.PRNGKey(seed), draws)
    for first in range(0, draws, CHUNK):
        point = dict(zip(joint.names, x[first : first + CHUNK].T, strict=True))
        for name, mean in joint.expected(point).items():
            parts[name].append(np.asarray(mean))
        if progress is not None:
            progress(min(first + CHUNK, draws), draws)
    return {
        name: _prediction(channel, np.concatenate(parts[name]), (seed, place))
        for place, (name, channel) in enumerate(joint.channels.items())
    }


def _prediction(channel: Channel, mean: np.ndarray, seed: tuple[int, int]) -> PriorPrediction:
    defined = np.all(np.isfinite(mean), axis=1)
    kept = mean[defined]
    if not len(kept):
        raise UserInputError("prior predictions: no draw of the priors predicts a finite number of counts")
    counts = drawn_counts(channel, kept, seed)
    observed = np.asarray(channel.observed, dtype=float)
    of_data, of_drawn = deviances(channel, kept, observed), deviances(channel, kept, counts)
    # A count that a draw holds to be impossible is infinitely far off: quantiles know how to deal with that, sums do not.
    of_data, of_drawn = (np.where(np.isnan(d), np.inf, d) for d in (of_data, of_drawn))
    totals = np.sum(counts, axis=1)
    return PriorPrediction(
        observed=observed,
        counts=np.quantile(counts, LEVELS, axis=0),
        total=np.quantile(totals, LEVELS),
        above=float(np.mean(totals > np.sum(observed))),
        deviance=np.quantile(of_data, LEVELS, method="higher"),
        predicted=np.quantile(of_drawn, LEVELS, method="higher"),
        p_value=float(np.mean(of_drawn >= of_data)),
        draws=len(kept),
        undefined=int(np.sum(~defined)),
    )


def prediction_words(name: str, found: PriorPrediction) -> str:
    """One sentence: where the data lie in what the priors predict."""
    observed, middle = float(np.sum(found.observed)), float(found.total[MEDIAN])
    if observed > 0.0 and middle > FAR * observed:
        text = f"half of the prior predicts more than {number(middle / observed)} times the observed counts in {name}"
    elif observed > 0.0 and middle < observed / FAR:
        share = number(middle / observed)
        text = f"half of the prior predicts at most {share} times the observed counts in {name}"
    else:
        text = f"half of the prior predicts at most {number(middle)} counts in {name}, {number(observed)} were observed"
    if found.above > 1.0 - RARE or found.above < RARE:
        side = "fewer" if found.above > 1.0 - RARE else "more"
        return f"{text}; the data lie outside of it: {side} counts than in {100 * (1.0 - RARE):g} % of its predictions."
    return f"{text}; the data lie within it, with {100 * (1.0 - found.above):.0f} % of its predictions at or below them."


def predictions_table(found: Mapping[str, PriorPrediction]) -> RenderableType:
    """A row for each channel, and a sentence about it, for the terminal."""
    made = plain_table("What the priors predict")
    made.add_column("channel")
    low, high = (f"{100 * LEVELS[k]:g} %" for k in (0, -1))
    for head in ("observed", f"predicted {low}", "50 %", high, "deviance of the data", "predicted", "p"):
        made.add_column(escape(head), justify="right")
    for name, p in found.items():
        cells = [number(float(np.sum(p.observed))), *(number(float(p.total[k])) for k in (0, MEDIAN, -1))]
        cells += [_finite(p.deviance[MEDIAN]), _finite(p.predicted[MEDIAN]), f"{p.p_value:.2f}"]
        made.add_row(*map(escape, (name, *cells)))
    said = [_sentence(prediction_words(name, p)) for name, p in found.items()]
    return Group(made, Text("Totals of counts; medians of deviances; p: draws whose counts are at least as far off as the data.\n"
                            + "\n".join(said)))  # fmt: skip


def _finite(value: float) -> str:
    return number(float(value)) if np.isfinite(value) else "infinite"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def prior_predictive_figure(found: Mapping[str, PriorPrediction]) -> Figure:
    """Predicted counts bin by bin with the data, and deviances of both, a row per channel; all axes of sizes are logarithmic."""
    if not found:
        raise ValueError("a picture of predictions needs at least one channel")
    with style():
        figure = new_figure(7.0, 2.2 * len(found) + 0.7)
        grid = figure.subplots(len(found), 2, squeeze=False, gridspec_kw={"width_ratios": [2.2, 1.0]})
        for (left, right), (name, p) in zip(grid, found.items(), strict=True):
            _draw_counts(left, p)
            left.set_title(literal(name), fontsize=8.5)
            _draw_deviances(right, p)
        grid[0, 0].legend(loc="upper right", fontsize=7.5, ncols=2)
        grid[-1, 0].set_xlabel("bin")
        grid[-1, 1].set_xlabel("deviance", fontsize=9)
    return figure


def _draw_counts(axes: Any, p: PriorPrediction) -> None:
    edges = np.arange(len(p.observed) + 1) + 0.5
    # What has no counts has no logarithm: it lies on the lower edge.
    floor = 0.3
    low, inner_low, middle, inner_high, high = (np.append(q, q[-1]) for q in np.maximum(p.counts, floor))
    words = [f"{100 * (LEVELS[-1 - k] - LEVELS[k]):g} % of the prior" for k in (0, 1)]
    axes.fill_between(edges, low, high, step="post", color=SKY, alpha=0.35, linewidth=0, label=words[0])
    axes.fill_between(edges, inner_low, inner_high, step="post", color=BLUE, alpha=0.35, linewidth=0, label=words[1])
    axes.step(edges, middle, where="post", color=BLUE, linewidth=1.0, label="median")
    places = np.arange(1, len(p.observed) + 1)
    axes.plot(places, np.maximum(p.observed, floor), ".", color=BLACK, markersize=2.5, label="data")
    axes.set_yscale("log")
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(bottom=floor)
    axes.set_ylabel("counts", fontsize=9)


def _draw_deviances(axes: Any, p: PriorPrediction) -> None:
    known = [x for q in (p.deviance, p.predicted) for x in q if np.isfinite(x) and x > 0.0] or [1.0]
    top = 3.0 * max(known)
    for row, (q, colour) in enumerate(((p.deviance, VERMILLION), (p.predicted, BLUE))):
        ends = np.clip(q, 0.3 * min(known), top)
        axes.plot(ends[[0, -1]], (row, row), color=colour, linewidth=1.0)
        axes.plot(ends[[1, -2]], (row, row), color=colour, linewidth=3.0)
        axes.plot(ends[MEDIAN], row, "o", color=colour, markersize=4)
    axes.set_xscale("log")
    axes.set_xlim(0.3 * min(known), top)
    axes.set_ylim(1.6, -0.6)
    axes.set_yticks((0, 1), ("data", "predicted"), fontsize=8)
    axes.tick_params(axis="y", which="both", left=False, right=False)
    axes.set_title(f"{len(p.observed)} bins, p = {p.p_value:.2f}", fontsize=8.5)


def predictions_json(found: Mapping[str, PriorPrediction], levels: Sequence[float] = LEVELS) -> dict[str, Any]:
    """`quantiles` (their probabilities), `channels` and `words`, as JSON values."""
    return {
        "quantiles": list(levels),
        "channels": {name: p.to_json() for name, p in found.items()},
        "words": [_sentence(prediction_words(name, p)) for name, p in found.items()],
    }
