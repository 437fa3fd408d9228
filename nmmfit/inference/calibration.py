"""Simulation-based calibration: whether posteriors of simulated data contain the truth as often as they say.

Parameters are drawn from the prior, data are simulated from them, and the posterior of these data is sampled as `fit` samples
that of the observed ones. Whatever the data say, the rank of the truth among independent posterior draws then is uniform (Talts
et al., arXiv:1804.06788), if likelihood, prior, data and sampler fit together. Ranked are all parameters, the identified
quantities, and the log likelihood of the simulated data, which notices posteriors that ignore a part of the data (Modrak et al.,
arXiv:2211.02383). Where a sign symmetry is exact, absolute values are ranked: both signs are the same posterior.

The prior is all that stands beside the counts: priors of the user's parameters, theory inputs and nuisances, and the constraints
that experiments add. What measured a nuisance elsewhere is its prior here, no data: only counts are simulated, around values of
the nuisances that the prior draws.

Priors that are much wider than what the data can tell draw truths at which every rate is enormous, and a posterior far from that
of the observed data. `truths="posterior"` draws them from the posterior of the observed data instead, and samples the posterior
of observed and simulated data together, whose ranks are uniform as well: the same argument with that posterior for the prior
(Sailynoja et al., arXiv:2502.03279).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import numpy as np

from nmmfit.checks import whole_number
from nmmfit.durable import run_chunks
from nmmfit.durable.chunks import Engine
from nmmfit.errors import NotConvergedError, UserInputError, unknown
from nmmfit.inference.calibration_chunks import CHUNK, LOG_LIKELIHOOD, Plan, Simulations, chunk_of_run_file, joined
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.kept_minima import Stores
from nmmfit.inference.minimise import Progress
from nmmfit.inference.ranks import UniformRanks, holm, shape
from nmmfit.inference.sampling import sample
from nmmfit.inference.settings import SamplerSettings
from nmmfit.inference.simulations import PriorDraws
from nmmfit.precision import require_double_precision

LEVEL = 0.01
"""A quantity is not calibrated if its p-value, corrected for the number of quantities, is below this."""

R_HAT, ESS_PER_DRAW = 1.1, 2.0
"""A posterior counts if r_hat of every quantity is below the first, and its effective sample size at least the second times the
draws that truths are ranked among, so that these are independent of each other. Both are looked at without the truth. r_hat of C
chains that agree is about 1 + C / ESS: many short ones need a higher bound than the few long ones of a fit."""

MOST_FAILED = 0.25
"""Share of simulations without such a posterior above which nothing is concluded. Left out by what data and chains alone say,
they do not bend the ranks of the others, which then speak of fewer data."""

RANKED = 96
"""Draws that a truth is ranked among, about: whole numbers of draws of every chain."""

TRUTHS = ("prior", "posterior")
"""Where truths are drawn."""

DEFAULTS: dict[str, dict[str, Any]] = {
    "ensemble": {"chains": 32, "warmup": 200, "draws": 100},
    "nuts": {"chains": 4, "warmup": 500, "draws": 500},
}
"""Chains and steps where they are not given: far fewer draws than a fit needs are ranked."""

MOST_DEPTH = 7
"""Trajectories have at most 2^7 - 1 steps: one posterior that cannot be sampled must not take as long as all others."""


@dataclass(frozen=True)
class Ranked:
    """What the ranks of one quantity say.

    Attributes:
        kind: "coefficient", "theory", "nuisance", "identified" or "log_likelihood". `unit`: of its truths.
        folded: whether absolute values were ranked.
        ranks: (simulation,) of the simulations that count.
        p_value, p_adjusted: of uniform ranks, and corrected for the number of quantities (Holm).
        shape: how ranks that are not uniform differ; empty for those that are.
    """

    name: str
    kind: str
    unit: str
    folded: bool
    ranks: np.ndarray
    p_value: float
    p_adjusted: float
    shape: str

    @property
    def calibrated(self) -> bool:
        """Whether its ranks pass for uniform."""
        return self.p_adjusted >= LEVEL

    def to_json(self) -> dict[str, Any]:
        """All but the single ranks."""
        return {name: value for name, value in vars(self).items() if name not in ("name", "ranks")} | {
            "calibrated": self.calibrated
        }


@dataclass(frozen=True)
class Calibration:
    """Ranks of all quantities, and what follows from them.

    Attributes:
        truths: "prior" or "posterior". `settings`: how every posterior was sampled. `seed`: of all of it.
        draws: posterior draws among which each truth was ranked.
        simulations, failed: made, and those whose posterior was not sampled well enough to count.
        quantities: what was ranked, by name.
        truth: (simulation, quantity) truths of the simulations that count.
        uniform: what uniform ranks look like.
        seconds: processor seconds of each simulation, (simulation,), all of them. `divergences`: of all draws.
    """

    truths: str
    settings: SamplerSettings
    seed: int
    draws: int
    simulations: int
    failed: int
    quantities: dict[str, Ranked]
    truth: np.ndarray
    uniform: UniformRanks
    seconds: np.ndarray
    divergences: int

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong, one sentence each."""
        found = []
        if self.failed > MOST_FAILED * self.simulations:
            found.append(
                f"{self.failed} of {self.simulations} posteriors were not sampled well enough to count (r_hat below {R_HAT:g}, "
                f"effective sample size at least {ESS_PER_DRAW * self.draws:.0f})"
            )
        bad = sorted((q for q in self.quantities.values() if not q.calibrated), key=lambda q: q.p_value)
        return (*found, *(f"{q.name}: ranks are not uniform (p = {q.p_adjusted:.2g}): {q.shape}" for q in bad))

    @property
    def calibrated(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def verdict(self) -> str:
        """In words."""
        number = f"{self.simulations - self.failed} of {self.simulations} simulations, {len(self.quantities)} quantities"
        least = min((q.p_adjusted for q in self.quantities.values()), default=1.0)
        if self.calibrated:
            return f"calibrated: {number}, smallest corrected p-value {least:.2g}"
        return f"NOT calibrated: {number}"

    def to_json(self) -> dict[str, Any]:
        """The object of `calibrate --json`, without single ranks."""
        return {
            "calibrated": self.calibrated,
            "verdict": self.verdict,
            "problems": list(self.problems),
            "truths": self.truths,
            "simulations": self.simulations,
            "failed": self.failed,
            "ranked_draws": self.draws,
            "level": LEVEL,
            "quantities": {name: q.to_json() for name, q in self.quantities.items()},
            "sampler": vars(self.settings),
            "divergences": self.divergences,
            "seconds_per_simulation": float(np.median(self.seconds)),
            "seed": self.seed,
        }


def calibrate(
    joint: JointLikelihood,
    *,
    simulations: int = 200,
    settings: SamplerSettings | None = None,
    seed: int = 1,
    truths: str = "prior",
    longest_s: float | None = None,
    progress: Progress | None = None,
    stores: Stores | None = None,
    engine: Engine | None = None,
    run_toml: str | None = None,
) -> Calibration:
    """Simulation-based calibration of a likelihood and its sampler.

    Args:
        joint: the likelihood.
        simulations: how many, at least 20; their precision goes with the root of their number.
        settings: how every posterior is sampled, by "ensemble" or "nuts"; None: ensemble HMC as in `DEFAULTS`. Its seed does not
            matter, and trajectories are cut at 2^7 - 1 steps.
        seed: of truths, data and chains, >= 0; a simulation depends on it and on its number only.
        truths: "prior", or "posterior": of the observed data, which then are data of every posterior too.
        longest_s: processor seconds that all may take by the second and later chunks; None: as long as they take.
        progress: called with (simulations done, simulations in all).
        stores: opens a store of finished chunks, as for `nmmfit.toys`. None: nothing is kept.
        engine: computes chunks elsewhere, as for `nmmfit.durable.run_chunks`; needs `run_toml`, the text of the run file with
            every change made to it, from which other processes build the likelihood.
    Returns: the ranks of all quantities and the verdict.
    Raises: UserInputError for a wrong number, nothing to sample, or simulations that would take too long; NotConvergedError if no
        posterior could be sampled; OutputError if chunks cannot be written.
    """
    require_double_precision()
    if not isinstance(joint, JointLikelihood):
        raise UserInputError(f"calibrate: expected a JointLikelihood, got {type(joint).__name__}; call run.joint()")
    whole_number(simulations, "calibrate: simulations", 20)
    whole_number(seed, "calibrate: seed", 0, 2**31)
    if truths not in TRUTHS:
        raise unknown("origin of truths", truths, TRUTHS, "calibrate: truths")
    if settings is not None and not isinstance(settings, SamplerSettings):
        raise UserInputError(f"calibrate: settings: expected SamplerSettings, got {type(settings).__name__}")
    if settings is not None and settings.method not in DEFAULTS:
        raise unknown("method", settings.method, DEFAULTS, "calibrate: settings")
    if not joint.names or not joint.experiments:
        what = "no parameter is free" if joint.experiments else "there is no experiment"
        raise UserInputError(f"calibrate: nothing to calibrate: {what}")
    if engine is not None and run_toml is None:
        raise UserInputError("calibrate: an engine needs run_toml, the text of the run file")
    plan = planned(joint, simulations, settings, seed, truths)
    own = Simulations(joint, plan)
    compute = own.chunk if engine is None or run_toml is None else partial(chunk_of_run_file, run_toml, plan)
    watch = _Watch(compute, plan, longest_s) if engine is None else compute

    def advance(done: int, _: int) -> None:
        if progress is not None:
            progress(min(done * CHUNK, simulations), simulations)

    store = None if stores is None else stores("simulations", plan.determined_by)
    found = joined(run_chunks(store, plan.chunks, watch, advance, engine))
    return judged(joint, plan, found, own)


def planned(joint: JointLikelihood, simulations: int, settings: SamplerSettings | None, seed: int, truths: str) -> Plan:
    """Truths and settings of all simulations; arguments as of `calibrate`."""
    chosen = settings or default_settings("ensemble")
    chosen = replace(chosen, seed=0, max_tree_depth=min(chosen.max_tree_depth, MOST_DEPTH))
    ranked = min(max(1, RANKED // chosen.chains), chosen.draws)
    drawn = _truths(joint, simulations, seed, truths, chosen)
    return Plan(simulations, seed, ranked, chosen, drawn, truths == "posterior")


def default_settings(method: str, **given: Any) -> SamplerSettings:
    """Settings of a method, with those of `DEFAULTS` where they are not given."""
    return SamplerSettings(method=method, **{**DEFAULTS[method], **given})


class _Watch:
    """Computes chunks, and knows after the second one how long all of them take."""

    def __init__(self, compute: Callable[[int], dict[str, np.ndarray]], plan: Plan, longest_s: float | None) -> None:
        self.compute, self.plan, self.longest_s, self.calls = compute, plan, longest_s, 0

    def __call__(self, number: int) -> dict[str, np.ndarray]:
        found = self.compute(number)
        self.calls += 1
        # The first simulation compiles.
        seconds = float(np.median(found["seconds"])) * (self.plan.simulations - CHUNK * (number + 1))
        if self.longest_s is not None and self.calls == 1 and seconds > self.longest_s:
            raise UserInputError(
                f"calibrate: {self.plan.simulations} simulations would take about {seconds / 3600.0:.1f} hours of processor time "
                "here; make fewer (--simulations), narrow priors to what the data can tell (--set), draw truths from the "
                "posterior (--truths posterior), or let it run (--yes)"
            )
        return found


def _truths(joint: JointLikelihood, simulations: int, seed: int, truths: str, settings: SamplerSettings) -> np.ndarray:
    """(simulation, parameter)."""
    if truths == "prior":
        draw, root = PriorDraws(joint, seed), jax.random.fold_in(jax.random.PRNGKey(seed), 0)
        return np.stack([draw(jax.random.fold_in(root, i)) for i in range(simulations)])
    # As many draws again as a fit takes, so that those used are independent of each other.
    longer = replace(settings, seed=seed, draws=max(settings.draws, 4 * -(-simulations // settings.chains)))
    result = sample(joint, longer)
    if result.interrupted:
        raise KeyboardInterrupt
    x = np.stack([result.draws[name] for name in joint.names], axis=-1)
    # Draw after draw of all chains: neighbours are independent, and those of one chain as far apart as can be.
    flat = np.swapaxes(x, 0, 1).reshape(-1, x.shape[-1])
    return flat[np.linspace(0, len(flat) - 1, simulations).astype(int)]


def judged(joint: JointLikelihood, plan: Plan, found: dict[str, np.ndarray], simulations: Simulations) -> Calibration:
    """What the arrays of all chunks say. Raises: NotConvergedError if no simulation counts."""
    moving = ~np.isnan(found["r_hat"])
    fine = np.all(~moving | ((found["r_hat"] < R_HAT) & (found["ess"] >= ESS_PER_DRAW * plan.draws)), axis=1)
    number = int(np.sum(fine))
    if not number:
        worst = float(np.median(np.nanmax(found["r_hat"], axis=1)))
        raise NotConvergedError(
            f"calibrate: none of {plan.simulations} posteriors was sampled well enough to count (median r_hat {worst:.2f}): "
            "sample longer, narrow priors to what the data can tell, or draw truths from the posterior"
        )
    uniform = UniformRanks(number, plan.draws, plan.seed)
    ranks = found["rank"][fine].T
    p_values = [uniform.p_value(r) for r in ranks]
    kinds = {p.name: "coefficient" if p.kind == "model" else p.kind for p in joint.parameters}
    units = {**{p.name: p.unit for p in joint.parameters}, **{q.name: q.unit for q in joint.identified}}
    reversed_names = {name for s in simulations.symmetries for name in s.names}
    quantities = {}
    for name, r, p, adjusted in zip(simulations.names, ranks, p_values, holm(p_values), strict=True):
        kind = LOG_LIKELIHOOD if name == LOG_LIKELIHOOD else kinds.get(name, "identified")
        said = shape(r, plan.draws) if adjusted < LEVEL else ""
        quantities[name] = Ranked(name, kind, units.get(name, "1"), name in reversed_names, r, p, float(adjusted), said)
    return Calibration(
        truths="posterior" if plan.with_observed else "prior",
        settings=plan.settings,
        seed=plan.seed,
        draws=plan.draws,
        simulations=plan.simulations,
        failed=plan.simulations - number,
        quantities=quantities,
        truth=found["truth"][fine],
        uniform=uniform,
        seconds=found["seconds"],
        divergences=int(np.sum(found["divergences"])),
    )
