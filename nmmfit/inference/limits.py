"""Limits of every coefficient and identified quantity: one at a time, profiled and marginalised, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import jax
import numpy as np

from nmmfit.checks import confidence_level, finite_number, whole_number
from nmmfit.constants import STANDARD_MODEL_INPUTS
from nmmfit.errors import UserInputError, unknown
from nmmfit.inference.combined import PRIOR_WIDTHS, Weights, along, combined_draws, combined_targets, prior_deviation
from nmmfit.inference.endpoints import Region, regions
from nmmfit.inference.flatness import exactly_flat
from nmmfit.inference.intervals import Interval, Limits, LimitsResult, conventions, marginalised
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.kept_minima import Stores, store_of_minima
from nmmfit.inference.minimise import Progress
from nmmfit.inference.profiling import Job, Profiler
from nmmfit.inference.space import Space, Target, space_of
from nmmfit.inference.toy_ensemble import Ensemble, Toys, run
from nmmfit.inference.toy_intervals import default_grid
from nmmfit.inference.toy_intervals import feldman_cousins as feldman_cousins_of
from nmmfit.inference.toy_truths import DataProfile
from nmmfit.numerics.quantiles import chi_square_quantile
from nmmfit.precision import require_double_precision

Presets = Mapping[str, Mapping[str, tuple[float, float]]]
"""Preset name -> theory input -> (value, uncertainty); uncertainty 0 holds the input at its value."""

PRIOR_DRAWS = 20_000

MOST_FAILED = 0.05
"""Fraction of toys that may fail before a Feldman-Cousins interval counts as not converged."""


def default_presets() -> Presets:
    """The project's presets of c_T and c_T_s, by name."""
    from nmmfit.presets import C_T, C_T_S

    shared = [name for name in C_T if name in C_T_S]
    return {
        name: {
            "theory.c_T": (C_T[name].value, C_T[name].uncertainty),
            "theory.c_T_s": (C_T_S[name].value, C_T_S[name].uncertainty),
        }
        for name in shared
    }


def limits(
    joint: JointLikelihood,
    cl: float = 0.90,
    posterior: Mapping[str, np.ndarray] | None = None,
    *,
    parameters: Sequence[str] | None = None,
    presets: Presets | None = None,
    combinations: Weights | None = None,
    directions: Weights | None = None,
    profiled: bool = True,
    feldman_cousins: bool = False,
    toys: int = 500,
    starts: int = 8,
    seed: int = 0,
    progress: Progress | None = None,
    stores: Stores | None = None,
) -> LimitsResult:
    """Limits of the coefficients and the identified quantities of a joint likelihood.

    Args:
        joint: the joint likelihood.
        cl: confidence level, between 0 and 1 (0.9, not 90).
        posterior: draws of coefficients and identified quantities, name -> (chain, draw), for marginalised intervals.
        parameters: names of coefficients and identified quantities to do; None: all.
        presets: determinations of theory inputs for which one-at-a-time limits are shown besides; None: the project's; {}: none.
        combinations: linear combinations of coefficients to limit besides, name -> coefficient -> weight; None: none.
        directions: the same in prior widths, name -> coefficient -> component; see `nmmfit.inference.combined`.
        profiled: also profile all other coefficients; False: one-at-a-time limits only.
        feldman_cousins: also make toys, for Feldman-Cousins intervals.
        toys: toys at every tested value of those, >= 10.
        starts: scattered starts of every fit, >= 1.
        seed: of the scatter, >= 0.
        progress: called with (ends found, ends in all).
        stores: where finished minimisations and toys are kept, and taken from; None: nowhere.
    Returns: limits; `failed` names what did not converge.
    Raises: UserInputError for a level outside (0, 1), an unknown name, a wrong number, or draws that are none.
    """
    require_double_precision()
    space = space_of(joint)
    if not len(space.own):
        raise UserInputError("limits: no coefficient of this likelihood is free")
    cl = confidence_level(cl, "limits: cl")
    whole_number(starts, "limits: starts", 1)
    whole_number(seed, "limits: seed", 0)
    if isinstance(parameters, str):
        raise UserInputError(f"limits: parameters is a list of names, such as [{parameters!r}]")
    level = chi_square_quantile(cl, 1)
    names = [space.names[i] for i in space.own] + [item.name for item in space.identified]
    for name in parameters or ():
        if name not in names:
            raise unknown("coefficient or identified quantity", name, names, "limits: parameters")
    if parameters is not None:
        names = [name for name in names if name in parameters]
    work = LimitWork(space, Profiler(space, seed=seed, progress=progress, store=store_of_minima(stores)), level, starts)
    for name in names:
        work.plan(name, profiled)
    combined = combined_targets(space, combinations, directions)
    for target in combined.values():
        work.plan_combination(target, profiled)
    table = default_presets() if presets is None else _checked_presets(presets, space)
    if posterior is not None:
        posterior = _checked_draws(posterior, [*names, *(space.names[i] for i in space.coefficients)])
        posterior |= combined_draws(space, combined, posterior)
    taken = table if any(n in space.names and space.index(n) in space.coefficients for n in names) else {}
    usable = {p: inputs for p, given in taken.items() if (inputs := _floated(space, given))}
    for preset, inputs in usable.items():
        for name in names:
            if name in space.names and space.index(name) in space.coefficients:
                work.plan_preset(name, preset, inputs)
    found = work.run()
    if feldman_cousins:
        for target in (*map(space.target, names), *combined.values()):
            found[target.name, "feldman_cousins"] = toy_interval(
                joint, target, found.get((target.name, "profiled")), cl, toys, starts, seed, progress, stores
            )
    result = LimitsResult(
        cl=cl,
        delta_chi2=level,
        parameters={n: _limits(space.target(n), found) for n in names if n in space.names},
        identified={n: _limits(space.target(n), found) for n in names if n not in space.names},
        combinations={n: _limits(target, found) for n, target in combined.items()},
        alone=len(space.own) == 1,
        presets={p: {n: found[n, p] for n in names if (n, p) in found} for p in usable},
        preset_inputs={p: dict(v) for p, v in usable.items()},
        conventions={k: v for k, v in conventions(cl, level).items() if feldman_cousins or k != "feldman_cousins"},
        failed=tuple(f"{name} ({kind})" for (name, kind), interval in found.items() if not interval.converged),
    )
    if posterior is None:
        return result
    combined_sd = {name: prior_deviation(space, target) for name, target in combined.items()}
    return with_posterior(result, joint, posterior, seed=seed, combined_sd=combined_sd)


def _checked_presets(presets: Presets, space: Space) -> Presets:
    """The presets, if every one gives (value, uncertainty >= 0) for theory inputs that exist."""
    known = {*(f"theory.{name}" for name in (*STANDARD_MODEL_INPUTS, "c_T", "c_T_s")), *(space.names[i] for i in space.theory)}
    for preset, inputs in presets.items():
        for name, given in inputs.items():
            where = f"limits: presets[{preset!r}]"
            if name not in known:
                raise unknown("theory input", name, known, where)
            if not isinstance(given, tuple | list) or len(given) != 2:
                raise UserInputError(f"{where}[{name!r}]: expected (value, uncertainty), got {given!r}")
            value, uncertainty = (finite_number(x, f"{where}[{name!r}]") for x in given)
            if uncertainty < 0:
                raise UserInputError(f"{where}[{name!r}]: the uncertainty of {value:g} must be >= 0, got {uncertainty:g}")
    return presets


def _checked_draws(posterior: Mapping[str, np.ndarray], names: Sequence[str]) -> dict[str, np.ndarray]:
    """Draws of the named quantities that the posterior has, as floats."""
    found = {}
    for name in names:
        if name not in posterior:
            continue
        draws = np.asarray(posterior[name])
        if draws.dtype.kind not in "fiu" or draws.size < 2 or not np.all(np.isfinite(draws)):
            raise UserInputError(f"posterior of {name}: expected at least two draws, all of them finite numbers")
        found[name] = draws.astype(float)
    return found


def _limits(target: Target, found: Mapping[tuple[str, str], Interval]) -> Limits:
    kinds = (found.get((target.name, kind)) for kind in ("one_at_a_time", "profiled", "feldman_cousins"))
    one_at_a_time, profiled, feldman_cousins = kinds
    return Limits(target.unit, one_at_a_time, profiled, feldman_cousins=feldman_cousins)


def toy_interval(
    joint: JointLikelihood,
    target: Target,
    profiled: Interval | None,
    cl: float,
    toys: int,
    starts: int,
    seed: int,
    progress: Progress | None,
    stores: Stores | None = None,
) -> Interval:
    """Feldman-Cousins interval of a quantity whose profiled one is known; open where that is."""
    whole_number(toys, "limits: toys", 10)
    if profiled is not None and profiled.lower is None and profiled.upper is None:
        return Interval(None, None, profiled.reason, profiled.best)
    profile = DataProfile(joint, target, starts=starts, seed=seed)
    ends = (None, None) if profiled is None else (profiled.lower, profiled.upper)
    grid = default_grid(profile, *ends)

    def make(ensemble: Ensemble) -> Toys:
        return run(ensemble, progress, stores=stores)

    found = feldman_cousins_of(profile, grid, False, cl, toys, seed, make)
    made = sum(t.toys + t.failed for t in found.tested)
    errors = f"errors of the ends {found.lower_error:.2g}, {found.upper_error:.2g} from {toys} toys a value"
    note = "; ".join(filter(None, (found.note, errors, f"{found.failed} of {made} toys failed" if found.failed else None)))
    return Interval(found.lower, found.upper, found.reason, found.best, (), note, found.failed <= MOST_FAILED * made)


def _floated(space: Space, given: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """The inputs of a preset that this likelihood floats with a normal prior, which is what can be replaced."""
    return {n: v for n, v in given.items() if n in space.names and space.joint.parameters[space.names.index(n)].is_normal}


class LimitWork:
    """Collects jobs, runs them together, and words the results."""

    def __init__(self, space: Space, profiler: Profiler, level: float, starts: int) -> None:
        self.space, self.profiler, self.level, self.starts = space, profiler, level, starts
        self.jobs: dict[tuple[str, str], Job] = {}
        self.known: dict[tuple[str, str], Interval] = {}
        self.profiled_last: list[tuple[str, str]] = []
        self.others = np.setdiff1d(np.arange(space.n), space.own)

    def plan(self, name: str, profiled: bool = True, one_at_a_time: bool = True) -> None:
        """One-at-a-time and profiled jobs of a coefficient or an identified quantity, those that are wanted."""
        target = self.space.target(name)
        if one_at_a_time:
            self._plan_one(name, target)
        if profiled:
            self._add((name, "profiled"), self.profiler.job(target))

    def plan_combination(self, target: Target, profiled: bool = True) -> None:
        """The profiled job of a linear combination, and of a direction that of it alone: orthogonal ones have no part in it."""
        if target.unit == PRIOR_WIDTHS:
            free = np.setdiff1d(np.arange(self.space.n), np.flatnonzero(self.space.kinds == "model"))
            within = along(self.space, target)[None]
            job = self.profiler.job(target, free=free, within=within)
            job.slide = False
            self._add((target.name, "one_at_a_time"), job)
        else:
            self.known[target.name, "one_at_a_time"] = Interval(None, None, "not defined for a combination of coefficients")
        if profiled:
            self._add((target.name, "profiled"), self.profiler.job(target))

    def _plan_one(self, name: str, target: Target) -> None:
        if name in self.space.names and self.space.kinds[self.space.index(name)] == "model":
            self.known[name, "one_at_a_time"] = Interval(None, None, "not defined for parameters of a model")
        elif target.name in self.space.names:
            self._add((name, "one_at_a_time"), self.profiler.job(target, free=np.append(self.others, self.space.index(name))))
        else:
            self._plan_alone(target)

    def _plan_alone(self, target: Target) -> None:
        within, held = self.space.alone(target)
        key = (target.name, "one_at_a_time")
        if not len(within):
            self.known[key] = Interval(None, None, "not defined: no combination of the coefficients makes it alone")
            return
        free = np.setdiff1d(np.arange(self.space.n), [*held, *np.flatnonzero(self.space.kinds == "model")])
        self._add(key, self.profiler.job(target, free=free, within=within))

    def plan_preset(self, name: str, preset: str, inputs: Mapping[str, tuple[float, float]]) -> None:
        """The one-at-a-time job of a coefficient with other values of theory inputs."""
        space = self.space
        start = space.start.copy()
        quadratic, linear = np.zeros(space.n), np.zeros(space.n)
        held = []
        for input_name, (value, uncertainty) in inputs.items():
            i = space.index(input_name)
            start[i] = value
            prior = space.joint.parameters[i].prior
            loc, scale = float(prior.loc), float(prior.scale)
            if uncertainty > 0:
                quadratic[i] = uncertainty**-2.0 - scale**-2.0
                linear[i] = loc * scale**-2.0 - value * uncertainty**-2.0
            else:
                held.append(i)
        free = np.setdiff1d(np.append(self.others, space.index(name)), held)
        job = self.profiler.job(space.target(name), start=start, free=free, quadratic=quadratic, linear=linear)
        self._add((name, preset), job)

    def _add(self, key: tuple[str, str], job: Job) -> None:
        self.jobs[key] = job

    def run(self) -> dict[tuple[str, str], Interval]:
        """All intervals, (name, kind) -> interval."""
        self.profiler.find_modes(list(self.jobs.values()), self.starts)
        for key, job in list(self.jobs.items()):
            reason = exactly_flat(self.profiler, job)
            if reason is not None:
                self.known[key] = Interval(None, None, reason)
                del self.jobs[key]
        found = regions(self.profiler, list(self.jobs.values()), self.level)
        for (key, job), region in zip(self.jobs.items(), found, strict=True):
            self.known[key] = self._interval(job, region)
        return self.known

    def _interval(self, job: Job, region: Region) -> Interval:
        target = job.target
        assert target is not None
        unit = "" if target.unit == "1" else f" {target.unit}"
        reasons, notes = [], []
        for side, end in (("below", region.lower), ("above", region.upper)):
            if end.boundary:
                verb = "starts" if side == "below" else "ends"
                notes.append(
                    f"{verb} at the boundary {end.farthest:.6g}, where delta chi2 is {end.highest:.2g}"
                    if end.highest > 0
                    else f"{verb} at {end.farthest:.6g}"
                )
            elif end.failed:
                reasons.append(f"{side}: the profile did not converge")
            elif end.value is None:
                reasons.append(
                    f"not bounded {side} within {end.farthest:.3g}{unit}: delta chi2 stays below {end.highest:.3g}, "
                    f"short of {self.level:.3g}"
                )
        segments = region.segments if len(region.segments) > 1 else ()
        if segments:
            notes.append(f"{len(segments)} separate segments, outermost ends given")
        fitted = bool(job.fit.converged) if job.fit is not None else False
        if not fitted:
            notes.append("the best fit did not converge")
        return Interval(
            region.lower.value,
            region.upper.value,
            "; ".join(reasons) or None,
            region.best,
            segments,
            "; ".join(notes) or None,
            fitted and not (region.lower.failed or region.upper.failed),
        )


def with_posterior(
    result: LimitsResult,
    joint: JointLikelihood,
    posterior: Mapping[str, np.ndarray],
    *,
    seed: int = 0,
    combined_sd: Mapping[str, float] | None = None,
) -> LimitsResult:
    """The same limits with marginalised intervals and contractions from posterior draws, name -> (chain, draw).

    `combined_sd` are prior standard deviations of combinations, where they are known.
    """
    prior_sd = prior_deviations(joint, seed=seed) | {n: sd for n, sd in (combined_sd or {}).items() if np.isfinite(sd) and sd > 0}

    def add(positive: bool) -> Callable[[str, Limits], Limits]:
        def one(name: str, found: Limits) -> Limits:
            if name not in posterior:
                return found
            interval = marginalised(posterior[name], result.cl, positive)
            contraction = None
            before = prior_sd.get(name)
            if before is not None:
                contraction = 1.0 - (float(np.std(np.asarray(posterior[name]), ddof=1)) / before) ** 2
                if contraction < 0.1:
                    interval = replace(interval, note="; ".join(filter(None, (interval.note, "set by the prior"))))
            return replace(found, marginalised=interval, contraction=contraction)

        return one

    return replace(
        result,
        parameters={n: add(False)(n, v) for n, v in result.parameters.items()},
        identified={n: add(True)(n, v) for n, v in result.identified.items()},
        combinations={n: add(False)(n, v) for n, v in result.combinations.items()},
    )


def prior_deviations(joint: JointLikelihood, seed: int = 0) -> dict[str, float]:
    """Prior standard deviation of coefficients and, from prior draws, of identified quantities; infinite ones left out."""
    out = {p.name: p.prior_sd for p in joint.own}
    draws = {}
    for p, key in zip(joint.parameters, jax.random.split(jax.random.PRNGKey(seed), len(joint.parameters)), strict=True):
        if p.kind != "nuisance":
            draws[p.name] = p.prior.sample(key, (PRIOR_DRAWS,))
    if joint.identified and all(np.isfinite(v) for v in out.values()):
        out |= {name: float(np.std(np.asarray(v))) for name, v in joint.identified_values(draws).items()}
    return {name: sd for name, sd in out.items() if np.isfinite(sd) and sd > 0}
