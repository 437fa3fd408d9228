"""How fast is one likelihood value? Batched templates against a bare matrix product and against what others would write.

    python benchmarks/bench_likelihood.py [--points 8192] [--large 1048576] [--repeats 7] [--quick] [--out FILE.json]

Bars P1, P2, P4, P5, P6 and P7. Every ratio is the median over interleaved repeats of one process; values of all competitors are
held against the direct evaluation first.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import bars
import jax
import jax.numpy as jnp
import numpy as np
from common import command_line, on_one_core, paired, points, ratio, record, run_python, say, wanted, without_caches, write

from nmmfit.inference.joint import BLOCK, JointLikelihood
from nmmfit.run import default_run
from nmmfit.shapes import Array

GRADIENT_BLOCK, DIRECT_BLOCK, LOOP, FEW = 64, 8, 200, 64
BUSY = 0.3
"""Load of other programs above which two cores are not there to be measured."""


def contraction_shapes(joint: JointLikelihood) -> list[tuple[int, int]]:
    """(rows, columns) of every matrix product of one likelihood value."""
    return [(m.shape[0], m.shape[1]) for t in joint.templates for c in t.channels for m in c.matrices]


def bare_products(joint: JointLikelihood, block: int) -> Callable[[Array], Array]:
    """The same matrix products on dense random inputs, in blocks of the same size, and nothing else."""
    random = np.random.default_rng(1)
    pairs = [
        (jnp.asarray(random.normal(size=(block, rows))), jnp.asarray(random.normal(size=(rows, columns))))
        for rows, columns in contraction_shapes(joint)
    ]

    def one(seed: Array) -> Array:
        # The seed keeps the products inside the loop from being hoisted out of it.
        return sum(jnp.sum((left + seed) @ right) for left, right in pairs)

    return lambda seeds: jax.lax.map(one, seeds)


def bare_logarithms(joint: JointLikelihood, block: int) -> Callable[[], Any]:
    """The logarithms of a block of points, in numpy, which vectorises them."""
    counts = np.random.default_rng(2).uniform(1.0, 100.0, (block, sum(len(v) for v in joint.observed.values())))
    out = np.empty_like(counts)
    return lambda: np.log(counts, out=out)


def compiled(function: Callable[..., Any], *arguments: Any) -> tuple[Callable[..., Any], float]:
    """The compiled function, and the seconds that tracing and compiling took."""
    began = perf_counter()
    program = jax.jit(function).lower(*arguments).compile()
    return program, perf_counter() - began


def blocks_of(function: Callable[[Array], Any], block: int) -> Callable[[Array], Any]:
    """`function` of one vector over (point, parameter), in blocks."""
    return lambda xs: jax.lax.map(function, xs, batch_size=block)


def in_a_loop(function: Callable[[Array], Any], block: int, times: int) -> Callable[[Array], Any]:
    """`function` of one vector over the first `block` points, so many times in one program: what a sampler's loop sees."""

    def run(xs: Array) -> Array:
        def step(x: Array, _: None) -> tuple[Array, None]:
            out = jax.vmap(function)(x)
            return x + 1e-12 * sum(jnp.reshape(leaf, (block, -1))[:, :1] for leaf in jax.tree.leaves(out)), None

        return jax.lax.scan(step, xs[:block], None, length=times)[0]

    return run


def competitors(joint: JointLikelihood) -> dict[str, Callable[[np.ndarray], float]]:
    """What others would write, one point at a time."""
    from numba_templates import numba_likelihood
    from numpy_templates import numpy_likelihood
    from quadratures import numba_quadrature, numpy_quadrature

    return {
        "numba_template": numba_likelihood(joint)[0],
        "numpy_template": numpy_likelihood(joint),
        "numba_quadrature": numba_quadrature(joint),
        "numpy_quadrature": numpy_quadrature(joint),
    }


def large_scan(joint: JointLikelihood, n: int, repeats: int, seed: int) -> dict[str, Any]:
    """A scan of n points in one call, against its matrix products and logarithms alone."""
    x = jnp.asarray(np.resize(points(joint, 16384, seed), (n, len(joint.names))))
    scan, _ = compiled(blocks_of(joint.data_vector, BLOCK), x)
    fewer = 16384
    products, _ = compiled(bare_products(joint, BLOCK), jnp.linspace(0.0, 1.0, fewer // BLOCK))
    seeds, logarithms = jnp.linspace(0.0, 1.0, fewer // BLOCK), bare_logarithms(joint, BLOCK)

    def logs() -> None:
        for _ in range(fewer // BLOCK):
            logarithms()

    times = paired({"scan": lambda: scan(x), "products": lambda: products(seeds), "logarithms": logs}, repeats)
    floor = (times["products"] + times["logarithms"]) * (n / fewer)
    return {
        "points": n,
        "us_per_point": 1e6 * float(np.median(times["scan"])) / n,
        "us_of_products": 1e6 * float(np.median(times["products"])) / fewer,
        "us_of_logarithms": 1e6 * float(np.median(times["logarithms"])) / fewer,
        "share_of_roofline": ratio(floor, times["scan"]),
        "temporaries_mb": scan.memory_analysis().temp_size_in_bytes / 1e6,
    }


def seconds_of_a_scan(n: int, seed: int, repeats: int) -> None:
    """What the child of `two_cores` does: print wall seconds of some scans, on the cores that it may use."""
    joint = default_run().joint()
    x = jnp.asarray(np.resize(points(joint, 16384, seed), (n, len(joint.names))))
    times = []
    for _ in range(repeats + 1):
        began = perf_counter()
        jax.block_until_ready(joint.log_likelihood(joint.unpack(x)))
        times.append(perf_counter() - began)
    sys.stdout.write(json.dumps(times[1:]))


def two_cores(n: int, seed: int, repeats: int) -> dict[str, Any] | None:
    """A large scan on one core and on two, in wall time; None where there are not two cores, or others use them."""
    mine, cores = os.sched_getaffinity(0), set(range(os.cpu_count() or 1))
    busy = os.getloadavg()[0] - 1.0
    if len(cores) < 2 or busy > BUSY:
        say(f"two cores: not measured, {len(cores)} cores, load of others {busy:.1f}")
        return None
    times = {}
    for count in (1, 2):
        os.sched_setaffinity(0, set(sorted(cores)[-count:]))
        child = wanted(run_python([Path(__file__), "--cores", "all", "--scan-seconds", str(n), "--seed", str(seed)], os.environ))
        times[count] = np.array(json.loads(child.output))
    os.sched_setaffinity(0, mine)
    return ratio(times[1], times[2])


def measure(n: int, large: int, repeats: int, seed: int, overrides: list[str], quick: bool) -> dict[str, Any]:
    """All figures of this benchmark."""
    run = default_run(overrides)
    began = perf_counter()
    joint = run.joint()
    built = perf_counter() - began
    direct = run.joint("direct")
    x = points(joint, n, seed)
    few = x[:FEW]
    reference = np.asarray(direct.log_likelihood(direct.unpack(jnp.asarray(few))))
    fast = np.asarray(joint.log_likelihood(joint.unpack(jnp.asarray(few))))
    others = competitors(joint)
    found = {name: np.array([value(row) for row in few]) for name, value in others.items()}
    # Log-likelihoods of points that are far off are of the order of 1e5: what counts is the relative difference.
    scale = np.abs(reference)
    checks = {
        "templates_against_direct": float(np.max(np.abs(fast - reference) / scale)),
        "numba_template_against_templates": float(np.max(np.abs(found["numba_template"] - fast) / scale)),
        "numpy_template_against_templates": float(np.max(np.abs(found["numpy_template"] - fast) / scale)),
        "numba_quadrature_against_direct": float(np.max(np.abs(found["numba_quadrature"] - reference) / scale)),
        "numpy_quadrature_against_direct": float(np.max(np.abs(found["numpy_quadrature"] - reference) / scale)),
    }
    if max(checks.values()) > 1e-6:
        raise SystemExit(f"the likelihoods disagree: {checks}")
    batch, seeds, some = jnp.asarray(x), jnp.linspace(0.0, 1.0, n // BLOCK), jnp.asarray(few)
    with_gradient = jax.value_and_grad(joint.data_vector)
    programs, compile_s = {}, {}
    for name, function, argument in (
        ("bare_products", bare_products(joint, BLOCK), seeds),
        ("value", blocks_of(joint.data_vector, BLOCK), batch),
        ("value_and_gradient", blocks_of(with_gradient, GRADIENT_BLOCK), batch),
        ("value_and_gradient_alone_in_a_loop", in_a_loop(with_gradient, 1, LOOP), batch),
        ("value_and_gradient_4_in_a_loop", in_a_loop(with_gradient, 4, LOOP), batch),
        ("direct", blocks_of(direct.data_vector, DIRECT_BLOCK), some),
    ):
        programs[name], compile_s[name] = compiled(function, argument)
    arguments = {"bare_products": seeds, "direct": some}
    tasks: dict[str, Callable[[], Any]] = {
        name: partial(program, arguments.get(name, batch)) for name, program in programs.items()
    }
    tasks |= {name: lambda value=value: [value(row) for row in few] for name, value in others.items()}
    evaluations = {"direct": FEW, "value_and_gradient_alone_in_a_loop": LOOP, "value_and_gradient_4_in_a_loop": 4 * LOOP}
    evaluations |= dict.fromkeys(others, FEW)
    us = {name: 1e6 * seconds / evaluations.get(name, n) for name, seconds in paired(tasks, repeats).items()}
    scan = large_scan(joint, large, 3, seed)
    values = {
        "value_over_bare_products": ratio(us["value"], us["bare_products"]),
        "gradient_over_bare_products": ratio(us["value_and_gradient"], us["bare_products"]),
        "one_gradient_over_numba": ratio(us["value_and_gradient_alone_in_a_loop"], us["numba_template"]),
        "numba_template_over_value": ratio(us["numba_template"], us["value"]),
        "numba_quadrature_over_value": ratio(us["numba_quadrature"], us["value"]),
        "numpy_quadrature_over_value": ratio(us["numpy_quadrature"], us["value"]),
        "numpy_template_over_value": ratio(us["numpy_template"], us["value"]),
        "direct_over_value": ratio(us["direct"], us["value"]),
        "share_of_roofline": scan["share_of_roofline"],
        "temporaries_mb": scan["temporaries_mb"],
        "two_cores_over_one": None if quick else two_cores(large // 4, seed, repeats),
    }
    channels = {f"{t.experiment.name}.{c.channel.name}": c for t in joint.templates for c in t.channels}
    medians = {name: float(np.median(each)) for name, each in us.items()}
    return record(
        "cost of one joint log-likelihood",
        seed,
        values=values,
        met=bars.judged("likelihood", values),
        checks=checks,
        us_per_point=medians,
        large_scan=scan,
        compile_s=compile_s,
        seconds_to_build=built,
        multiplies={name: c.multiplies for name, c in channels.items()},
        ranks={name: [{"pulls": p, "basis": b, "rank": r} for p, b, r in c.ranks] for name, c in channels.items()},
        rows={name: [list(m.shape) for m in c.matrices] for name, c in channels.items()},
        gflops_of_bare_products=2e-3 * sum(r * c for r, c in contraction_shapes(joint)) / medians["bare_products"],
        parameters=len(joint.names),
        bins={name: len(v) for name, v in joint.observed.items()},
        points=n,
        blocks={"value": BLOCK, "value_and_gradient": GRADIENT_BLOCK, "direct": DIRECT_BLOCK},
        repeats=repeats,
    )


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--points", type=int, default=8192, help=f"points per batch, a multiple of {BLOCK}")
    parser.add_argument("--large", type=int, help="points of the large scan: 1048576, with --quick 131072")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--scan-seconds", type=int, metavar="POINTS", help="only time scans of so many points, for two cores")
    given = parser.parse_args()
    if given.scan_seconds:
        seconds_of_a_scan(given.scan_seconds, given.seed, given.repeats)
        return
    on_one_core(given)
    without_caches()
    large = given.large or (131072 if given.quick else 1048576)
    write(measure(given.points, large, given.repeats, given.seed, given.set, given.quick), given.out)


if __name__ == "__main__":
    main()
