"""How fast is one likelihood value? Batched templates against a bare matrix product, the direct path and numpy.

    python benchmarks/bench_likelihood.py [--points 8192] [--repeats 7] [--out FILE.json]

Every time is a median of interleaved repeats in one process; only ratios between them count. The answer is checked against the
direct evaluation first.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from common import command_line, interleaved, met, on_one_core, points, record, without_caches, write
from numpy_templates import numpy_likelihood

from nmmfit.inference.joint import BLOCK, JointLikelihood
from nmmfit.run import default_run
from nmmfit.shapes import Array

GRADIENT_BLOCK, DIRECT_BLOCK, LOOP = 64, 8, 200
BARS = {
    "value_over_bare_products": ("<=", 3.0),
    "value_and_gradient_over_bare_products": ("<=", 6.0),
    "direct_over_value": (">=", 300.0),
    "numpy_over_value": (">=", 10.0),
}


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


def measure(n: int, repeats: int, seed: int, overrides: list[str]) -> dict[str, Any]:
    """All figures of this benchmark."""
    run = default_run(overrides)
    began = perf_counter()
    joint = run.joint()
    built = perf_counter() - began
    direct = run.joint("direct")
    x = points(joint, n, seed)
    few = x[:64]
    reference = np.asarray(direct.log_likelihood(direct.unpack(jnp.asarray(few))))
    fast = np.asarray(joint.log_likelihood(joint.unpack(jnp.asarray(few))))
    plain = numpy_likelihood(joint)
    checks = {
        "templates_against_direct": float(np.abs(fast - reference).max()),
        "numpy_against_templates": float(max(abs(plain(row) - value) for row, value in zip(few, fast, strict=True))),
    }
    if checks["templates_against_direct"] > 1e-2 or checks["numpy_against_templates"] > 1e-2:
        raise SystemExit(f"the likelihoods disagree: {checks}")
    batch, seeds, some = jnp.asarray(x), jnp.linspace(0.0, 1.0, n // BLOCK), jnp.asarray(few)
    with_gradient = jax.value_and_grad(joint.data_vector)
    programs, compile_s = {}, {}
    for name, function, argument in (
        ("bare_products", bare_products(joint, BLOCK), seeds),
        ("value", blocks_of(joint.data_vector, BLOCK), batch),
        ("value_and_gradient", blocks_of(with_gradient, GRADIENT_BLOCK), batch),
        ("value_and_gradient_4_in_a_loop", in_a_loop(with_gradient, 4, LOOP), batch),
        ("direct", blocks_of(direct.data_vector, DIRECT_BLOCK), some),
    ):
        programs[name], compile_s[name] = compiled(function, argument)
    arguments = {"bare_products": seeds, "direct": some}
    tasks: dict[str, Callable[[], Any]] = {
        name: partial(program, arguments.get(name, batch)) for name, program in programs.items()
    }
    tasks["numpy"] = lambda: [plain(row) for row in few]
    evaluations = {"direct": len(few), "numpy": len(few), "value_and_gradient_4_in_a_loop": 4 * LOOP}
    us = {k: 1e6 * v / evaluations.get(k, n) for k, v in interleaved(tasks, repeats).items()}
    ratios = {
        "value_over_bare_products": us["value"] / us["bare_products"],
        "value_and_gradient_over_bare_products": us["value_and_gradient"] / us["bare_products"],
        "direct_over_value": us["direct"] / us["value"],
        "numpy_over_value": us["numpy"] / us["value"],
    }
    channels = {f"{t.experiment.name}.{c.channel.name}": c for t in joint.templates for c in t.channels}
    return record(
        "cost of one joint log-likelihood",
        seed,
        checks=checks,
        us_per_point=us,
        ratios=ratios,
        bars=BARS,
        met=met(ratios, BARS),
        compile_s=compile_s,
        seconds_to_build=built,
        multiplies={name: c.multiplies for name, c in channels.items()},
        ranks={name: [{"pulls": p, "basis": b, "rank": r} for p, b, r in c.ranks] for name, c in channels.items()},
        gflops_of_bare_products=2e-3 * sum(r * c for r, c in contraction_shapes(joint)) / us["bare_products"],
        parameters=len(joint.names),
        bins=sum(len(v) for v in joint.observed.values()),
        points=n,
        blocks={"value": BLOCK, "value_and_gradient": GRADIENT_BLOCK, "direct": DIRECT_BLOCK},
        repeats=repeats,
    )


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--points", type=int, default=8192, help=f"points per batch, a multiple of {BLOCK}")
    parser.add_argument("--repeats", type=int, default=7)
    given = parser.parse_args()
    on_one_core(given)
    without_caches()
    write(measure(given.points, given.repeats, given.seed, given.set), given.out)


if __name__ == "__main__":
    main()
