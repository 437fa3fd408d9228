"""How fast is one likelihood value? Batched templates against a bare matrix product, the direct path and numpy.

    python benchmarks/bench_likelihood.py [--points 8192] [--repeats 7] [--out FILE.json]

Every time is a median of interleaved repeats in one process; only ratios between them count. The answer is checked against the
direct evaluation first.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.inference.joint import JointLikelihood
from nmmfit.results.provenance import git_commit, package_versions
from nmmfit.run import default_run
from nmmfit.shapes import Array

# Coefficients of the size that the data can tell from zero.
COEFFICIENT_SIZE = {"GeV^-1": 4e-9, "GeV^-2": 2e-6}


def points(joint: JointLikelihood, n: int, seed: int = 0) -> np.ndarray:
    """(n, parameter): nuisances within +-3 sigma moved together, coefficients around their sensitivity."""
    random = np.random.default_rng(seed)
    scale = np.asarray([p.scale for p in joint.parameters])
    x = joint.start + random.uniform(-3.0, 3.0, (n, len(scale))) * scale
    for i, p in enumerate(joint.of_kind("coefficient")):
        x[:, i] = random.normal(size=n) * COEFFICIENT_SIZE.get(p.unit, p.scale)
    return x


def contraction_shapes(joint: JointLikelihood) -> list[tuple[int, int]]:
    """(rows, columns) of every matrix product of one likelihood value."""
    shapes = []
    for template in joint.templates:
        for channel in template.channels:
            for block in channel.blocks:
                if block.pulls:
                    shapes.append(block.compress.shape)
                shapes += [part.matrix.shape for part in block.parts]
            for group in channel.groups:
                if group.project is not None:
                    shapes.append(group.project.shape)
                if group.weighting is not None:
                    shapes.append(group.weighting.matrix.T.shape)
                if group.second is not None:
                    shapes += [group.second.compress.shape] if group.second.pulls else []
                    shapes.append(group.second.parts[0].matrix.shape)
    return shapes


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

    return jax.jit(lambda seeds: jax.lax.map(one, seeds))


def numpy_likelihood(joint: JointLikelihood) -> Callable[[np.ndarray], float]:
    """The same compressed templates, one point at a time, in plain numpy."""
    names = {name: i for i, name in enumerate(joint.names)}
    theory = {name: float(joint.start[names[name]]) for name in ("theory.c_T", "theory.c_T_s")}
    nominal = np.asarray(joint.linear_amplitudes(theory))
    slopes = {k: np.asarray(joint.linear_amplitudes(theory | {k: theory[k] + 1.0})) - nominal for k in theory}
    plans = [_channel_plan(template, channel, names) for template in joint.templates for channel in template.channels]

    def value(x: np.ndarray) -> float:
        matrix = nominal + sum((x[names[k]] - theory[k]) * slope for k, slope in slopes.items())
        a = matrix @ x[: joint.n_coefficients]
        products = np.concatenate([[1.0], *(a[i] * a[i:] for i in range(len(a)))])
        return sum(plan(products, x) for plan in plans)

    return value


def _shape_plan(block: Any, names: dict[str, int]) -> Callable[[np.ndarray], np.ndarray]:
    if not block.pulls:
        return lambda x: np.ones(1)
    where = np.asarray([names[p] for p in block.pulls])
    indices, half = block.basis.indices, block.basis.half_width
    degree = int(indices.max())

    def shape(x: np.ndarray) -> np.ndarray:
        angle = np.arccos(np.clip(x[where] / half, -1.0, 1.0))
        table = np.cos(np.arange(degree + 1)[:, None] * angle)
        return np.prod([table[indices[:, i], i] for i in range(len(where))], axis=0) @ block.compress

    return shape


def _channel_plan(template: Any, channel: Any, names: dict[str, int]) -> Callable[[np.ndarray, np.ndarray], float]:
    weights, observed = template.monomials.weights, channel.channel.observed
    zero = {name: jnp.asarray(0.0) for name in template.experiment.pulls}
    components = channel.channel.components
    # Scales are exponentials of their pulls, so the logarithm's slopes say it all; the comparison of likelihoods confirms it.
    slopes = [
        [(names[p], float(jnp.log(c.scale(zero | {p: jnp.asarray(1.0)}) / c.scale(zero)))) for p in c.scale_pulls]
        for c in components
    ]
    levels = [float(c.scale(zero)) for c in components]
    shapes = [_shape_plan(block, names) for block in channel.blocks]
    seconds = [_shape_plan(g.second, names) if g.second is not None else None for g in channel.groups]
    constant = float(np.sum(jax.scipy.special.gammaln(observed + 1.0)))

    def value(products: np.ndarray, x: np.ndarray) -> float:
        monomials = weights @ products
        firsts: list[Any] = [0.0] * len(channel.groups)
        for block, shape in zip(channel.blocks, shapes, strict=True):
            u = shape(x)
            for part in block.parts:
                scale = np.asarray([levels[k] * np.exp(sum(s * x[i] for i, s in slopes[k])) for k in part.members])
                rows = np.outer(scale, monomials).ravel() if block.with_monomials else scale
                firsts[part.group] = firsts[part.group] + np.outer(rows, u).ravel() @ part.matrix
        total: Any = 0.0
        for group, first, second in zip(channel.groups, firsts, seconds, strict=True):
            if group.project is not None:
                first = first @ group.project
            if group.weighting is not None:
                pulls = {p: x[names[p]] for p in group.weighting.pulls}
                first = group.weighting.matrix @ (np.asarray(group.weighting.weight(pulls)) * first)
            total = total + (first if second is None else np.outer(first, second(x) @ group.second.parts[0].matrix).ravel())
        return float(observed @ np.log(total) - total.sum()) - constant

    return value


def interleaved(tasks: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median seconds of each task, the tasks taking turns."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for task in tasks.values():
        task()
    for _ in range(repeats):
        for name, task in tasks.items():
            began = time.perf_counter()
            task()
            times[name].append(time.perf_counter() - began)
    return {name: float(np.median(values)) for name, values in times.items()}


def measure(n: int, repeats: int) -> dict[str, Any]:
    """All figures of this benchmark."""
    run = default_run()
    began = time.perf_counter()
    joint = run.joint()
    built = time.perf_counter() - began
    direct = run.joint("direct")
    x = points(joint, n)
    few = x[:64]
    reference = np.asarray(direct.log_likelihood(direct.unpack(jnp.asarray(few))))
    fast = np.asarray(joint.log_likelihood(joint.unpack(jnp.asarray(few))))
    plain = numpy_likelihood(joint)
    checked = {
        "templates_against_direct": float(np.abs(fast - reference).max()),
        "numpy_against_templates": float(max(abs(plain(row) - value) for row, value in zip(few, fast, strict=True))),
    }
    value = joint.batched("log_likelihood", joint.data_vector)
    gradient = jax.jit(lambda xs: jax.lax.map(jax.value_and_grad(joint.data_vector), xs, batch_size=128))
    exact = direct.batched("log_likelihood", direct.data_vector)
    bare = bare_products(joint, 256)
    batch, seeds, some = jnp.asarray(x), jnp.linspace(0.0, 1.0, n // 256), jnp.asarray(few)
    seconds = interleaved(
        {
            "bare_products": lambda: jax.block_until_ready(bare(seeds)),
            "value": lambda: jax.block_until_ready(value(batch)),
            "value_and_gradient": lambda: jax.block_until_ready(gradient(batch)),
            "direct": lambda: jax.block_until_ready(exact(some)),
            "numpy": lambda: [plain(row) for row in few],
        },
        repeats,
    )
    per_point = {k: 1e6 * v / (len(few) if k in ("direct", "numpy") else n) for k, v in seconds.items()}
    return {
        "question": "cost of one joint log-likelihood",
        "checks": checked,
        "us_per_point": per_point,
        "ratios": {
            "value_over_bare_products": per_point["value"] / per_point["bare_products"],
            "value_and_gradient_over_bare_products": per_point["value_and_gradient"] / per_point["bare_products"],
            "direct_over_value": per_point["direct"] / per_point["value"],
            "numpy_over_value": per_point["numpy"] / per_point["value"],
        },
        "multiplies": {f"{t.experiment.name}.{c.channel.name}": c.multiplies for t in joint.templates for c in t.channels},
        "ranks": {f"{t.experiment.name}.{c.channel.name}": c.ranks for t in joint.templates for c in t.channels},
        "seconds_to_build": built,
        "points": n,
        "repeats": repeats,
        "device": str(jax.devices()[0]),
        "versions": package_versions(),
        "commit": git_commit(),
        "seed": 0,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=8192, help="points per batch, a multiple of 256")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", help="file to write; standard output if left out")
    given = parser.parse_args()
    text = json.dumps(measure(given.points, given.repeats), indent=2, default=str)
    if given.out:
        with open(given.out, "w", encoding="utf-8") as stream:
            stream.write(text + "\n")
    else:
        sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
