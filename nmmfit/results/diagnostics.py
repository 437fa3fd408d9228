"""What a posterior says about each parameter, and whether the sampler can be believed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nmmfit.inference.result import SampleResult
from nmmfit.results import adapter

PRIOR_LIMITED_BELOW = 0.1


@dataclass(frozen=True)
class Thresholds:
    """When a run counts as converged.

    r_hat and the effective sample size as in arXiv:1903.08008 (there r_hat < 1.01, ESS >= 100 per chain for four chains); the
    energy diagnostic as in arXiv:1604.00695 (below 0.3 the momentum resampling cannot follow the energy distribution).
    """

    r_hat: float = 1.01
    ess: float = 400.0
    divergence_fraction: float = 1e-3
    bfmi: float = 0.3


@dataclass(frozen=True)
class ParameterSummary:
    """Summary of one quantity's draws; in the quantity's own unit where it has one.

    Attributes:
        mean, sd: of all draws, symmetrised.
        hdi_90: shortest single interval with 90 % of the draws.
        abs_upper_90: 90 % of the draws have an absolute value below this.
        r_hat, ess_bulk, ess_tail: from folded draws, before symmetrisation; nan if undefined (constant or too few draws).
        contraction: 1 - (sd / prior sd)^2; nan where the prior has no finite standard deviation or is not known.
    """

    mean: float
    sd: float
    hdi_90: tuple[float, float]
    abs_upper_90: float
    r_hat: float
    ess_bulk: float
    ess_tail: float
    contraction: float

    @property
    def prior_limited(self) -> bool:
        """Whether the interval tells about the prior rather than about the data: contraction below 0.1."""
        return self.contraction < PRIOR_LIMITED_BELOW

    def to_json(self) -> dict[str, Any]:
        """As JSON values: lists for tuples, null for what is undefined."""
        return finite_or_null(asdict(self) | {"prior_limited": self.prior_limited})


def finite_or_null(value: Any) -> Any:
    """`value` with numpy types as Python's, tuples as lists and every nan or infinity as None, which JSON can hold."""
    if isinstance(value, Mapping):
        return {str(k): finite_or_null(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite_or_null(v) for v in value]
    if isinstance(value, np.ndarray | np.generic):
        return finite_or_null(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def contraction(sd_posterior: float, sd_prior: float | None) -> float:
    """1 - (sd_posterior / sd_prior)^2: 1 where the data decide, 0 where the prior does; nan without a finite prior width.

    Negative if the posterior is wider than the prior, as it can be for two separated modes.
    """
    if sd_prior is None or not math.isfinite(sd_prior) or sd_prior <= 0.0:
        return float("nan")
    return 1.0 - (sd_posterior / sd_prior) ** 2


def summarise_one(draws: np.ndarray, folded: np.ndarray, sd_prior: float | None) -> ParameterSummary:
    """Summary of one quantity from its symmetrised and its folded draws, both (chain, draw)."""
    values = np.asarray(draws, dtype=float)
    # Rounding of the mean would give equal values a tiny width.
    sd = float("nan") if values.size < 2 else 0.0 if np.ptp(values) == 0.0 else float(np.std(values, ddof=1))
    return ParameterSummary(
        mean=float(np.mean(values)),
        sd=sd,
        hdi_90=adapter.hdi(values, 0.90),
        abs_upper_90=float(np.quantile(np.abs(values), 0.90)),
        r_hat=adapter.rhat(folded),
        ess_bulk=adapter.ess(folded, "bulk"),
        ess_tail=adapter.ess(folded, "tail"),
        contraction=contraction(sd, sd_prior),
    )


def summarise(
    draws: Mapping[str, np.ndarray], folded: Mapping[str, np.ndarray], prior_sd: Mapping[str, float]
) -> dict[str, ParameterSummary]:
    """Summary of every quantity.

    Args:
        draws: name -> (chain, draw), signs symmetrised.
        folded: name -> (chain, draw) before symmetrisation and invariant under it; r_hat and ESS come from here alone. A draw
            with a random sign is independent of its neighbours whatever the chains did. A name missing here has no sign
            ambiguity, and `draws` serves.
        prior_sd: standard deviation of the prior, by name; missing where there is none.
    """
    return {n: summarise_one(values, folded.get(n, values), prior_sd.get(n)) for n, values in draws.items()}


def bfmi(energy: np.ndarray) -> np.ndarray:
    """Energy Bayesian fraction of missing information per chain, (chain,), arXiv:1604.00695.

    sum_n (E_n - E_(n-1))^2 / sum_n (E_n - mean)^2 for `energy` (chain, draw); nan for a constant or too short chain.
    """
    values = np.atleast_2d(np.asarray(energy, dtype=float))
    spread = np.sum((values - values.mean(axis=1, keepdims=True)) ** 2, axis=1)
    steps = np.sum(np.diff(values, axis=1) ** 2, axis=1)
    return np.divide(steps, spread, out=np.full(len(values), np.nan), where=spread > 0)


@dataclass(frozen=True)
class Convergence:
    """Whether the draws can be believed, and if not, one sentence per part that failed."""

    converged: bool
    problems: tuple[str, ...]
    divergences: int
    divergence_fraction: float
    bfmi: tuple[float, ...]
    max_r_hat: float
    min_ess_bulk: float
    min_ess_tail: float

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return finite_or_null(asdict(self))


def convergence(
    summaries: Mapping[str, ParameterSummary], sample_stats: Mapping[str, np.ndarray], thresholds: Thresholds | None = None
) -> Convergence:
    """Judge a run from the summaries of all its quantities and the sampler's statistics ("diverging", "energy").

    A quantity whose draws are all the same (sd 0: a fixed parameter) needs no r_hat; any other undefined diagnostic is a failure.
    """
    limit = thresholds or Thresholds()
    problems: list[str] = []
    moving = {n: s for n, s in summaries.items() if s.sd != 0.0}
    for name, s in moving.items():
        # Written so that nan fails.
        if not s.r_hat < limit.r_hat:
            problems.append(f"{name}: r_hat is {s.r_hat:.3f}, it must be below {limit.r_hat:g} (the chains disagree)")
        for kind, size in (("bulk", s.ess_bulk), ("tail", s.ess_tail)):
            if not size >= limit.ess:
                problems.append(f"{name}: {kind} effective sample size is {size:.0f}, it must be at least {limit.ess:g}")
    diverging = np.asarray(sample_stats.get("diverging", np.zeros((1, 1))), dtype=bool)
    fraction = float(np.mean(diverging)) if diverging.size else 0.0
    if fraction > limit.divergence_fraction:
        problems.append(
            f"divergences: {int(diverging.sum())} of {diverging.size} draws diverged ({fraction:.2%}), "
            f"at most {limit.divergence_fraction:.2%} may"
        )
    energies = bfmi(sample_stats["energy"]) if "energy" in sample_stats else np.empty(0)
    for chain, value in enumerate(energies):
        if not value >= limit.bfmi:
            problems.append(f"chain {chain}: energy BFMI is {value:.2f}, it must be at least {limit.bfmi:g}")
    return Convergence(
        converged=not problems,
        problems=tuple(problems),
        divergences=int(diverging.sum()),
        divergence_fraction=fraction,
        bfmi=tuple(float(v) for v in energies),
        max_r_hat=max((s.r_hat for s in moving.values()), default=float("nan")),
        min_ess_bulk=min((s.ess_bulk for s in moving.values()), default=float("nan")),
        min_ess_tail=min((s.ess_tail for s in moving.values()), default=float("nan")),
    )


def correlations(result: SampleResult) -> np.ndarray:
    """Posterior correlation matrix of the coefficients, in their order, from all draws; nan where one does not vary."""
    table = np.stack([np.ravel(result.draws[name]) for name in result.coefficient_names()] or [np.zeros(1)])
    varies = np.ptp(table, axis=1) > 0.0
    found = np.full((len(table), len(table)), np.nan)
    if np.any(varies):
        found[np.ix_(varies, varies)] = np.atleast_2d(np.corrcoef(table[varies]))
    return found[: len(result.coefficient_names()), : len(result.coefficient_names())]


@dataclass(frozen=True)
class FitSummary:
    """Everything that tables and `fit --json` say about a run's draws."""

    parameters: dict[str, ParameterSummary]
    identified: dict[str, ParameterSummary]
    convergence: Convergence


def summarise_fit(result: SampleResult, thresholds: Thresholds | None = None) -> FitSummary:
    """Summaries of all parameters and identified quantities of a run, and the verdict on its convergence."""
    parameters = summarise(result.draws, result.for_diagnostics(), result.prior_sd)
    identified = summarise(result.identified, result.identified_for_diagnostics(), result.prior_sd)
    return FitSummary(parameters, identified, convergence(identified | parameters, result.sample_stats, thresholds))
