"""How many independent draws per second? nmmfit's samplers against emcee's stretch move on exactly the same posterior.

    python benchmarks/bench_sampling.py [--emcee-steps 40000] [--burn-in 0.25] [--repeats 2] [--out FILE.json]

The figure is the smallest bulk effective sample size over the identified quantities and all nuisances, from folded draws, per
second with warm-up included and compilation excluded; its seconds are reported apart. Both methods of nmmfit are measured with
their own defaults; the bars are those of the better one, which the record names. All samplers start from the same distribution,
call the same posterior density and are judged by the same estimator, each chain or walker being one chain; the
ratio with emcee's own estimate (walkers x steps / autocorrelation time) stands beside it. emcee samples the parameters of the
run file, as its users do; its first steps (--burn-in, a fraction) count in time and are thrown away. A chain shorter than 50
autocorrelation times has not converged: its effective sample sizes are then upper bounds, and the ratio is a lower one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from common import (
    clock,
    command_line,
    interleaved,
    met,
    on_one_core,
    points,
    record,
    say,
    seed_of_the_default_run,
    without_caches,
    write,
)
from stretch_moves import KEPT, autocorrelation_steps, folded_quantities, stretch, walkers

from nmmfit.inference.ensemble import LANE
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.result import SampleResult
from nmmfit.inference.sampling import Progress, SamplerSettings, sample
from nmmfit.results import adapter
from nmmfit.run import default_run
from nmmfit.samplers import METHODS
from nmmfit.shapes import Array

BARS = {"ess_per_second_over_emcee": (">=", 50.0), "max_r_hat": ("<=", 1.01), "divergence_fraction": ("<=", 1e-3)}
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
        self.first_s = self._call()

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
            "compile_s": self.first_s - seconds,
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


def competitor(joint: JointLikelihood, steps: int, burn_in: float, per_parameter: int, seed: int) -> dict[str, Any]:
    """emcee's run: its draws under the name "quantities", its cost and its autocorrelation times."""
    began = clock()
    ensemble = walkers(joint, per_parameter, seed)
    prepared = clock()
    few = ensemble.positions[:8]
    # The same density: what both samplers call differs in nothing but its normalisation to -inf outside bounds.
    reference = np.asarray(joint.log_prob(joint.unpack(jnp.asarray(few))))
    if np.abs(ensemble.log_probs[:8] - reference).max() > 1e-6 * np.abs(reference).max():
        raise SystemExit("the two samplers do not see the same density")
    started = clock()
    sampler = stretch(ensemble, steps, seed)
    seconds = clock() - started
    chain = sampler.get_chain()
    quantities = folded_quantities(joint, chain[int(burn_in * len(chain)) :])
    thin = max(1, steps // KEPT)
    done = thin * len(chain)
    return {
        "quantities": quantities,
        "seconds": seconds,
        "cost": {
            "prepare_s": prepared - began,
            "walkers": len(ensemble.positions),
            "steps": done,
            "burn_in_steps": int(burn_in * done),
            "stored_every": thin,
            "density_evaluations": (done + 1) * len(ensemble.positions),
            "us_per_density": 1e6 * seconds / done / len(ensemble.positions),
            "acceptance": float(sampler.acceptance_fraction.mean()),
        },
        "autocorrelation_steps": autocorrelation_steps(quantities, thin),
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


def compared(mine: dict[str, Any], theirs: dict[str, Any], own_per_second: float, judged: tuple[str, ...]) -> dict[str, Any]:
    """One of our methods beside emcee: ratios, and how far apart the means are."""
    apart = {name: abs(mine["mean"][name] - theirs["mean"][name]) / mine["sd"][name] for name in judged}
    return {
        "ratios": {
            "ess_per_second_over_emcee": mine["min_ess_per_second"] / theirs["min_ess_per_second"],
            "with_emcees_own_estimate": mine["min_ess_per_second"] / own_per_second,
        },
        "means_apart_in_sd": {"largest": max(apart.values()), "of": max(apart, key=apart.__getitem__)},
    }


def measure(given: Any) -> dict[str, Any]:
    """All figures of this benchmark."""
    runs = {m: default_run([*given.set, f"sampler.seed={given.seed}", f"sampler.method={m}"]) for m in METHODS}
    began = clock()
    joint = runs["nuts"].joint()
    built = clock() - began
    ours = {m: Ours(joint, SamplerSettings(**run.config.sampler.model_dump())) for m, run in runs.items()}
    judged = (*(q.name for q in joint.identified), *(p.name for p in joint.parameters if p.kind != "coefficient"))

    def once_each() -> None:
        for method, mine in ours.items():
            mine.time()
            say(f"{method}: {mine.seconds[-1]:.1f} s")

    # Half of our calls before emcee and half after, so that a machine that changes its pace does so for all.
    for _ in range(-(-given.repeats // 2)):
        once_each()
    other = competitor(joint, given.emcee_steps, given.burn_in, given.walkers_per_parameter, given.seed)
    say(f"emcee: {other['seconds']:.1f} s")
    for _ in range(given.repeats // 2):
        once_each()
    found = {method: mine.report(judged) for method, mine in ours.items()}
    theirs = mixing(other["quantities"], judged, other["seconds"]) | other["cost"]
    steps = other["autocorrelation_steps"]
    length = (theirs["steps"] - theirs["burn_in_steps"]) / max(steps[name] for name in judged)
    own_per_second = theirs["walkers"] * length / theirs["seconds"]
    theirs |= {"autocorrelation_steps": steps, "autocorrelation_times": length, "long_enough": length >= LONG_ENOUGH}
    results = {method: mine | compared(mine, theirs, own_per_second, judged) for method, mine in found.items()}
    gradient_us = batched_gradient_us(joint, LANE)
    for mine in results.values():
        mine["ratios"]["gradient_over_batched_data_gradient"] = mine["us_per_gradient"] / gradient_us
    better = max(results, key=lambda method: results[method]["min_ess_per_second"])
    best = results[better]
    values = best["ratios"] | {name: best[name] for name in ("max_r_hat", "divergence_fraction")}
    return record(
        "effective draws per second of the joint posterior",
        given.seed,
        better=better,
        ratios=best["ratios"],
        ratio_is_a_lower_bound=not theirs["long_enough"],
        bars=BARS,
        met=met(values, BARS),
        judged_by=judged,
        **results,
        emcee=theirs,
        us_per_batched_data_gradient=gradient_us,
        seconds_to_build=built,
        parameters=len(joint.names),
        repeats=given.repeats,
        overrides=given.set,
    )


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--emcee-steps", type=int, default=40000, help="steps of every walker, burn-in included")
    parser.add_argument("--burn-in", type=float, default=0.25, help="fraction of these steps that is thrown away")
    parser.add_argument("--walkers-per-parameter", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=2, help="timed calls of each of nmmfit's methods")
    seed_of_the_default_run(parser)
    given = parser.parse_args()
    on_one_core(given)
    without_caches()
    write(measure(given), given.out)


if __name__ == "__main__":
    main()
