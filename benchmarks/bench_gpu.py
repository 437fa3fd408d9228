"""How fast is a GPU? Likelihood values and gradients against batch size, the same on the CPU, and what the card can do at most.

    python benchmarks/bench_gpu.py [--largest 1048576] [--toys 4096] [--no-sampling] [--set KEY=VALUE] [--out FILE.json]

Needs nothing but the package and its dependencies; arviz is not used. The log-likelihoods of both devices are compared first.
Roofline: a value needs its matrix products at the rate of a large one in float64, and its expected counts through memory at the
rate of a large copy, both measured here. Where JAX finds no GPU everything runs on the CPU with smaller sizes, `gpu` is null and
bars of a GPU are neither met nor missed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from common import command_line, points, record, say, write

BARS = {
    "log_likelihood_apart": ("<=", 1e-10),
    "values_per_s": (">=", 1e8),
    "gradients_per_s": (">=", 5e7),
    "value_over_bare_products": ("<=", 3.0),
}
BLOCKS = {"cpu": (256, 64), "gpu": (None, 16384)}
"""Points side by side in a call (None: all of them), for values and for gradients, that are tried; the better one counts."""


def seconds(task: Callable[[], Any], least_s: float = 0.2, repeats: int = 5) -> float:
    """Median wall seconds of a task, repeated until a repeat takes long enough to be timed; once before, to compile."""
    import jax

    jax.block_until_ready(task())
    times = []
    for _ in range(repeats):
        count, began = 0, time.perf_counter()
        while not count or time.perf_counter() - began < least_s / repeats:
            jax.block_until_ready(task())
            count += 1
        times.append((time.perf_counter() - began) / count)
    return float(np.median(times))


def in_blocks(function: Callable[..., Any], block: int | None) -> Callable[..., Any]:
    """A compiled function of one vector over (point, parameter)."""
    import jax

    if block is None:
        return jax.jit(jax.vmap(function))
    return jax.jit(lambda xs: jax.lax.map(function, xs, batch_size=min(block, xs.shape[0])))


def roofline(device: Any, size: int, side: int) -> dict[str, float]:
    """Bytes per second of a copy of `size` numbers, and operations per second of a product of matrices of `side`, in float64."""
    import jax
    import jax.numpy as jnp

    x = jax.device_put(np.ones(size), device)
    copy = jax.jit(lambda a: a + 1.0)
    m = jax.device_put(np.random.default_rng(1).normal(size=(side, side)), device)
    product = jax.jit(jnp.matmul)
    return {
        "bytes_per_s": 16.0 * size / seconds(lambda: copy(x)),
        "operations_per_s": 2.0 * side**3 / seconds(lambda: product(m, m)),
    }


def rates(joint: Any, device: Any, sizes: Sequence[int], seed: int) -> dict[str, dict[str, float]]:
    """Points per second of values and of values with gradients, by batch size."""
    import jax

    found: dict[str, dict[str, float]] = {"value": {}, "value_and_gradient": {}}
    functions = {"value": joint.data_vector, "value_and_gradient": jax.value_and_grad(joint.data_vector)}
    programs = {name: [in_blocks(f, b) for b in BLOCKS[device.platform]] for name, f in functions.items()}
    for size in sizes:
        x = jax.device_put(points(joint, size, seed), device)
        for name, tried in programs.items():
            best = np.inf
            for program in tried:
                try:
                    best = min(best, seconds(lambda program=program, x=x: program(x)))
                except jax.errors.JaxRuntimeError as problem:
                    if "RESOURCE_EXHAUSTED" not in str(problem):
                        raise
                    say(f"{size} points do not fit at once")
            found[name][str(size)] = size / best
    return found


def likelihood_needs(joint: Any) -> dict[str, float]:
    """Operations of the matrix products of one value, and bytes of its expected counts written and read once."""
    shapes = [(m.shape[0], m.shape[1]) for t in joint.templates for c in t.channels for m in c.matrices]
    return {
        "operations": 2.0 * sum(rows * columns for rows, columns in shapes),
        "bytes": 16.0 * sum(len(counts) for counts in joint.observed.values()),
    }


def sampling(joint: Any, chains: dict[str, int], seed: int, draws: int, warmup: int | None) -> dict[str, Any]:
    """Effective draws per second, warm-up and compiling counted, of the worst parameter, on JAX's own device."""
    from numpyro.diagnostics import effective_sample_size, split_gelman_rubin

    import nmmfit
    from nmmfit.inference.settings import SamplerSettings

    out = {}
    for method, number in chains.items():
        settings = SamplerSettings(method=method, chains=number, draws=draws, warmup=warmup, seed=seed)
        # The second call compiles nothing.
        first, again = (nmmfit.sample(joint, settings) for _ in range(2))
        every = {**first.draws, **first.folded}
        size = {name: float(effective_sample_size(np.asarray(v))) for name, v in every.items()}
        worst = min(size, key=size.__getitem__)
        out[f"{method}_{number}"] = {
            "ess_min": size[worst],
            "worst": worst,
            "r_hat_max": max(float(split_gelman_rubin(np.asarray(v))) for v in every.values()),
            "ess_per_s": size[worst] / again.wall_s,
            "ess_per_s_compiling_counted": size[worst] / first.wall_s,
            "wall_s": again.wall_s,
            "divergences": int(np.sum(first.sample_stats["diverging"])),
        }
    return out


def toys_per_s(joint: Any, toys: int, seed: int) -> dict[str, float]:
    """Toys per second, both fits of each, on JAX's own device."""
    from nmmfit.inference.toy_ensemble import Ensemble, run
    from nmmfit.inference.toy_truths import DataProfile
    from nmmfit.inference.toys import default_parameter

    profile = DataProfile(joint, default_parameter(joint), seed=seed)
    truth = profile.best_fit()

    def made(seed: int) -> float:
        began = time.perf_counter()
        run(Ensemble(profile.likelihood, truth.z, ((profile.target, truth.at),), toys, seed))
        return time.perf_counter() - began

    first_s, again_s = made(seed), made(seed + 1)
    return {"toys": toys, "toys_per_s": toys / again_s, "compiling_s": first_s - again_s}


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """All figures of this benchmark."""
    import jax

    from nmmfit.devices import device_in_words
    from nmmfit.run import default_run

    cpu = jax.devices("cpu")[0]
    gpu = next((d for d in jax.devices() if d.platform == "gpu"), None)
    say(f"computing on {device_in_words()}")
    joint = default_run(given.set).joint()
    few = points(joint, 1024, given.seed)
    value = in_blocks(joint.data_vector, 256)
    reference = np.asarray(value(jax.device_put(few, cpu)))
    largest = given.largest or (2**20 if gpu is not None else 2**13)
    sizes = [n for n in (2**10, 2**13, 2**16, 2**18, 2**20, 2**22) if n <= largest]
    out: dict[str, Any] = {"gpu": None if gpu is None else gpu.device_kind, "needs": likelihood_needs(joint), "bars": BARS}
    say("rates of the CPU")
    on_cpu = [n for n in sizes if n <= 2**13]
    out["cpu"] = {"roofline": roofline(cpu, 2**24, 1024), "points_per_s": rates(joint, cpu, on_cpu, given.seed)}
    values: dict[str, float] = {}
    if gpu is not None:
        say("rates of the GPU")
        theirs = np.asarray(value(jax.device_put(few, gpu)))
        card = roofline(gpu, 2**28, 8192)
        found = rates(joint, gpu, sizes, given.seed)
        best = {name: max(by_size.values()) for name, by_size in found.items()}
        products_s = out["needs"]["operations"] / card["operations_per_s"]
        memory_s = out["needs"]["bytes"] / card["bytes_per_s"]
        values = {
            "log_likelihood_apart": float(np.max(np.abs(theirs - reference) / np.maximum(np.abs(reference), 1.0))),
            "values_per_s": best["value"],
            "gradients_per_s": best["value_and_gradient"],
            "value_over_bare_products": 1.0 / (best["value"] * products_s),
            "value_over_roofline": 1.0 / (best["value"] * max(products_s, memory_s)),
            **{f"{name}_gpu_over_cpu": rate / max(out["cpu"]["points_per_s"][name].values()) for name, rate in best.items()},
        }
        out["on_gpu"] = {"roofline": card, "points_per_s": found}
    out["ratios"] = values
    out["met"] = {
        name: values[name] <= bar if sign == "<=" else values[name] >= bar for name, (sign, bar) in BARS.items() if values
    }
    if not given.no_sampling:
        say("sampling")
        # A GPU is idle with few chains.
        chains = {"nuts": 4, "ensemble": 4096} if gpu is not None else {"nuts": 4, "ensemble": 32}
        out["sampling"] = sampling(joint, chains, given.seed, given.draws, given.warmup)
    if given.toys or gpu is not None:
        say("toys")
        out["toys"] = toys_per_s(joint, given.toys or 8192, given.seed)
    return out


def main() -> None:
    """Command line of this benchmark."""
    parser = command_line(__doc__)
    parser.add_argument("--largest", type=int, help="largest batch; without it 1048576 on a GPU, 8192 on a CPU")
    parser.add_argument("--draws", type=int, default=200, help="draws of every chain")
    parser.add_argument("--warmup", type=int, help="warm-up of every chain; without it that of the method")
    parser.add_argument("--toys", type=int, default=0, help="toys; without it 8192 on a GPU, none on a CPU")
    parser.add_argument("--no-sampling", action="store_true", help="leave out the samplers")
    given = parser.parse_args()
    from nmmfit.compilation_cache import enable
    from nmmfit.devices import compile_quickly

    compile_quickly()
    enable()
    write(record("How fast is a GPU, against the CPU and against itself?", given.seed, **measure(given)), given.out)


if __name__ == "__main__":
    main()
