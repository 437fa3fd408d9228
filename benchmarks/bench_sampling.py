"""How many independent draws per second? nmmfit's samplers against emcee on exactly the same posterior.

    python benchmarks/bench_sampling.py [--emcee-steps 20000] [--burn-in 0.25] [--repeats 7] [--dynesty] [--quick] [--out FILE]

Bars P12 to P15. emcee samples a hand-written numba likelihood twice: with its default moves in the parameters of the run file,
as its users do, and in its best case, differential evolution and snooker moves in nmmfit's amplitude coordinates. All samplers
start from the same distribution, the posterior density is held against ours, and all are judged by the same estimator, each chain
or walker being one chain. emcee's first steps (--burn-in, a fraction) count in time and are thrown away, as our warm-up. A chain
shorter than 50 autocorrelation times has not converged: its effective sample sizes are then upper bounds, and the ratio is a
lower one. `ratios` also has emcee's own estimate (walkers x steps / autocorrelation time). --dynesty adds nested sampling.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import bars
import jax
import jax.numpy as jnp
import numpy as np
from common import (
    clock,
    command_line,
    interleaved,
    on_one_core,
    points,
    ratio,
    record,
    say,
    seed_of_the_default_run,
    write,
)
from numba_templates import numba_likelihood
from scipy.special import ndtri
from stretch_moves import KEPT, Walkers, autocorrelation_steps, default_moves, folded_quantities, tuned_moves, walked, walkers

from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.result import SampleResult
from nmmfit.inference.sampling import Progress, SamplerSettings, sample
from nmmfit.results import adapter
from nmmfit.run import default_run
from nmmfit.samplers import METHODS
from nmmfit.shapes import Array

LONG_ENOUGH = 50.0


def mixing(quantities: dict[str, np.ndarray], judged: tuple[str, ...], seconds: float) -> dict[str, Any]:
    """Effective sample sizes and r_hat of all quantities (chain, draw); extremes are those of the `judged` ones."""
    ess = {name: adapter.ess(values, "bulk") for name, values in quantities.items()}
    r_hat = {name: adapter.rhat(values) for name, values in quantities.items()}
    slowest = min(judged, key=ess.__getitem__)
    return {
        "seconds": seconds,
        "min_ess_bulk": ess[slowest],
        "slowest": slowest,
        "min_ess_per_second": ess[slowest] / seconds,
        "max_r_hat": max(r_hat[name] for name in judged),
        "ess_bulk": ess,
        "r_hat": r_hat,
        "mean": {name: float(values.mean()) for name, values in quantities.items()},
        "sd": {name: float(values.std()) for name, values in quantities.items()},
    }


def compilations(task: Callable[[], float]) -> tuple[float, int]:
    """What `task` returns, and how many programs were compiled meanwhile."""
    found = []

    def listen(event: str, duration_secs: float, **_: str | int) -> None:
        found.append("backend_compile" in event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        return task(), sum(found)
    finally:
        jax.monitoring.clear_event_listeners()


class Ours:
    """One of nmmfit's methods with the settings of a run, timed call by call; the first call compiles."""

    def __init__(self, joint: JointLikelihood, settings: SamplerSettings) -> None:
        self.joint, self.settings = joint, settings
        self.seconds: list[float] = []
        self.leapfrogs = self.compiled = 0
        self._call()

    def _call(self) -> float:
        def note(progress: Progress) -> None:
            self.leapfrogs = progress.leapfrogs

        began = clock()
        self.result: SampleResult = sample(self.joint, self.settings, note)
        return clock() - began

    def time(self) -> None:
        """One more call."""
        seconds, compiled = compilations(self._call)
        self.seconds.append(seconds)
        self.compiled += compiled

    def report(self, judged: tuple[str, ...]) -> dict[str, Any]:
        """Everything found."""
        result, seconds = self.result, float(np.median(self.seconds))
        diverging = result.sample_stats["diverging"]
        return {
            **mixing(result.for_diagnostics() | result.identified_for_diagnostics(), judged, seconds),
            "seconds_each": self.seconds,
            "compilations_in_later_calls": self.compiled,
            "divergences": int(diverging.sum()),
            "divergence_fraction": float(diverging.mean()),
            "acceptance": float(result.sample_stats["accept_prob"].mean()),
            "leapfrogs_per_draw": float(result.sample_stats["num_steps"].mean()),
            "gradient_evaluations": self.leapfrogs,
            "us_per_gradient": 1e6 * seconds / self.leapfrogs,
            "chains": result.chains,
            "warmup": result.warmup,
            "draws": result.draws_per_chain,
        }


def competitor(
    joint: JointLikelihood, ensemble: Walkers, moves: Any, steps: int, burn_in: float, judged: tuple[str, ...], seed: int
) -> dict[str, Any]:
    """emcee's run: how well it mixed, its cost and its autocorrelation times."""
    ensemble.log_prob(ensemble.positions[: len(ensemble.positions) // 2])
    started = clock()
    sampler = walked(ensemble, moves, steps, seed)
    seconds = clock() - started
    chain = ensemble.to_parameters(sampler.get_chain())
    quantities = folded_quantities(joint, chain[int(burn_in * len(chain)) :])
    thin = max(1, steps // KEPT)
    done = thin * len(chain)
    autocorrelation = autocorrelation_steps(quantities, thin)
    length = (1.0 - burn_in) * done / max(autocorrelation[name] for name in judged)
    found = mixing(quantities, judged, seconds)
    return found | {
        "walkers": len(ensemble.positions),
        "steps": done,
        "stored_every": thin,
        "density_evaluations": (done + 1) * len(ensemble.positions),
        "us_per_density": 1e6 * seconds / done / len(ensemble.positions),
        "acceptance": float(sampler.acceptance_fraction.mean()),
        "autocorrelation_times": length,
        "long_enough": length >= LONG_ENOUGH,
        "own_ess_per_second": len(ensemble.positions) * length / seconds,
    }


def nested(joint: JointLikelihood, density: Callable[[np.ndarray], float], live: int, calls: int, seed: int) -> dict[str, Any]:
    """dynesty on the numba likelihood, random walks from the prior; stopped after so many calls."""
    import dynesty

    mean = np.array([float(p.prior.loc) for p in joint.parameters])
    width = np.array([float(p.prior.scale) for p in joint.parameters])
    density(mean)
    began = clock()
    sampler = dynesty.NestedSampler(
        density,
        lambda u: mean + width * ndtri(u),
        len(mean),
        nlive=live,
        sample="rwalk",
        rstate=np.random.default_rng(seed),
    )
    sampler.run_nested(maxcall=calls, print_progress=False)
    seconds = clock() - began
    weights = sampler.results.importance_weights()
    return {
        "seconds": seconds,
        "calls": int(np.sum(sampler.results.ncall)),
        "ended": bool(np.sum(sampler.results.ncall) < calls),
        "effective_draws_per_second": float(1.0 / np.sum(weights**2) / seconds),
    }


def batched_gradient_us(joint: JointLikelihood, block: int, times: int = 30) -> float:
    """Microseconds per point of the data log-likelihood with its gradient, `block` points at once inside a compiled loop."""
    with_gradient = jax.vmap(jax.value_and_grad(joint.data_vector))

    def step(_: Array, x: Array) -> Array:
        value, gradient = with_gradient(x)
        return x + 1e-12 * (value[:, None] + gradient)

    x = jnp.asarray(points(joint, block, 1))
    program = jax.jit(lambda x: jax.lax.fori_loop(0, times, step, x)).lower(x).compile()
    return 1e6 * interleaved({"gradient": lambda: program(x)}, 7)["gradient"] / times / block


def leapfrog_us(joint: JointLikelihood, settings: SamplerSettings) -> float:
    """Microseconds of a leapfrog step of one chain in the sampler, warm-up and draws, where 64 chains go."""
    taken: list[int] = []
    many = replace(settings, chains=64, draws=100)
    sample(joint, many)
    began = clock()
    sample(joint, many, lambda progress: taken.append(progress.leapfrogs))
    return 1e6 * (clock() - began) / taken[-1]


def means_apart(mine: dict[str, Any], theirs: dict[str, Any], judged: tuple[str, ...]) -> dict[str, Any]:
    """How far apart the means of two samplers are at most, in standard deviations."""
    apart = {name: abs(mine["mean"][name] - theirs["mean"][name]) / mine["sd"][name] for name in judged}
    return {"largest": max(apart.values()), "of": max(apart, key=apart.__getitem__)}


def held_against(joint: JointLikelihood, density: Callable[[np.ndarray], np.ndarray], seed: int) -> None:
    """End the program if a density is not the posterior's, to a millionth."""
    few = points(joint, 16, seed)
    reference = np.asarray(joint.log_prob(joint.unpack(jnp.asarray(few))))
    if np.abs(density(few) - reference).max() > 1e-6 * np.abs(reference).max():
        raise SystemExit("the samplers do not see the same density")


def measure(given: Any) -> dict[str, Any]:
    """All figures of this benchmark."""
    methods = ("ensemble",) if given.quick else tuple(METHODS)
    runs = {m: default_run([*given.set, f"sampler.seed={given.seed}", f"sampler.method={m}"]) for m in methods}
    began = clock()
    joint = runs["ensemble"].joint()
    built = clock() - began
    ours = {m: Ours(joint, SamplerSettings(**run.config.sampler.model_dump())) for m, run in runs.items()}
    judged = (*(q.name for q in joint.identified), *(p.name for p in joint.parameters if p.kind != "coefficient"))
    one, density = numba_likelihood(joint, prior="all")
    held_against(joint, density, given.seed)
    emcees = {
        "emcee, default": (walkers(joint, density, given.walkers, given.seed, False), default_moves()),
        "emcee, best tuned": (walkers(joint, density, given.walkers, given.seed, True), tuned_moves()),
    }
    steps = given.emcee_steps or (4000 if given.quick else 20000)
    theirs = {}
    for turn, (name, (ensemble, moves)) in enumerate(emcees.items()):
        # Our calls before, between and after theirs, so that a machine that changes its pace does so for all.
        for method, mine in ours.items():
            for _ in range(1 if given.quick or method != "ensemble" else -(-given.repeats // 3)):
                mine.time()
            say(f"{method}: {mine.seconds[-1]:.1f} s")
        theirs[name] = competitor(joint, ensemble, moves, steps, given.burn_in, judged, given.seed + turn)
        say(f"{name}: {theirs[name]['seconds']:.1f} s, {theirs[name]['min_ess_per_second']:.2f} draws/s")
    while not given.quick and len(ours["ensemble"].seconds) < given.repeats:
        ours["ensemble"].time()
    results = {method: mine.report(judged) for method, mine in ours.items()}
    best = results["ensemble"]
    each = best["min_ess_bulk"] / np.array(best["seconds_each"])
    gradient_us = batched_gradient_us(joint, 64)
    leapfrog = leapfrog_us(joint, ours["ensemble"].settings)

    def over(rate: float) -> dict[str, Any]:
        return ratio(each, np.full(len(each), rate))

    values = {
        "over_default_emcee": over(theirs["emcee, default"]["min_ess_per_second"]),
        "over_best_emcee": over(theirs["emcee, best tuned"]["min_ess_per_second"]),
        "over_default_emcee_by_its_own_estimate": over(theirs["emcee, default"]["own_ess_per_second"]),
        "over_best_emcee_by_its_own_estimate": over(theirs["emcee, best tuned"]["own_ess_per_second"]),
        "max_r_hat": best["max_r_hat"],
        "divergence_fraction": best["divergence_fraction"],
        "leapfrog_over_gradient": leapfrog / gradient_us,
        "compilations_in_second_call": float(best["compilations_in_later_calls"]),
    }
    if given.dynesty:
        held_against(joint, density, given.seed + 1)
        theirs["dynesty"] = nested(joint, numba_likelihood(joint)[0], 400, given.dynesty_calls, given.seed)
    return record(
        "effective draws per second of the joint posterior",
        given.seed,
        values=values,
        met=bars.judged("sampling", values),
        ratios_are_lower_bounds={name: not other["long_enough"] for name, other in theirs.items() if "long_enough" in other},
        judged_by=judged,
        means_apart_in_sd={n: means_apart(best, other, judged) for n, other in theirs.items() if "mean" in other},
        samplers=results | theirs,
        us_per_batched_data_gradient=gradient_us,
        us_per_leapfrog_of_64_chains=leapfrog,
        us_per_numba_density=_numba_us(one, joint, given.seed),
        seconds_to_build=built,
        parameters=len(joint.names),
        repeats=len(ours["ensemble"].seconds),
        overrides=given.set,
    )


def _numba_us(density: Callable[[np.ndarray], float], joint: JointLikelihood, seed: int) -> float:
    few = points(joint, 64, seed)
    return 1e6 * interleaved({"density": lambda: [density(x) for x in few]}, 7)["density"] / len(few)


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--emcee-steps", type=int, help="steps of every walker, burn-in included: 20000, with --quick 4000")
    parser.add_argument("--burn-in", type=float, default=0.25, help="fraction of these steps that is thrown away")
    parser.add_argument("--walkers", type=int, default=96, help="of emcee, an even number above twice the parameters")
    parser.add_argument("--repeats", type=int, default=7, help="timed calls of ensemble HMC")
    parser.add_argument("--dynesty", action="store_true", help="also nested sampling: a quarter of an hour more")
    parser.add_argument("--dynesty-calls", type=int, default=20_000_000, help="likelihoods after which it is stopped")
    seed_of_the_default_run(parser)
    given = parser.parse_args()
    on_one_core(given)
    write(measure(given), given.out)


if __name__ == "__main__":
    main()
