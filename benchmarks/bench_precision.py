"""What would single precision give? The default run's log-likelihood in float32 about a reference point, against float64.

    python benchmarks/bench_precision.py [--points 8192] [--repeats 15] [--quick] [--out FILE.json]

Bar P9, on a trial that is written out here and that nmmfit does not have. Two ways, both with what is smooth in the pulls
(polynomials, scales, monomials, weights) in float64:

- `plain`: all products after that in float32. The error is one of counts: enough where a bin has tens of them.
- `centred`: features in float64; their differences from a reference point are cast, and go through the large products. The error
  is one of differences of counts, which bins with thousands of them need. Only for channels whose counts are linear in features.

The trial takes the centred way where it can and the plain one elsewhere; both end in N (log1p t - t) + (N - c) t for counts
c (1 + t).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import bars
import jax
import jax.numpy as jnp
import numpy as np
from bench_likelihood import bare_products, blocks_of, compiled
from common import command_line, on_one_core, paired, points, ratio, record, without_caches, write

from nmmfit.inference.joint import BLOCK, JointLikelihood
from nmmfit.numerics.side_by_side import times
from nmmfit.run import default_run
from nmmfit.shapes import Array
from nmmfit.templates.experiment import ChannelTemplate, polynomials
from nmmfit.templates.plan import Weights

REACH = 40.0
"""Errors are judged at points whose log-likelihood differs by less than this from that of the reference."""
SINGLE, DOUBLE = np.float32, np.float64
Smooth = tuple[Array, dict[str, Array], list[Array], dict[bytes, Array]]
"""Monomials, polynomials, scales, and weights by the bytes of their places, all with a last axis for points."""


def cast(tree: Any) -> Any:
    """Every float64 array of a tree in float32, those of numpy at once."""
    return jax.tree.map(lambda v: v.astype(SINGLE) if v.dtype == DOUBLE else v, tree)


def cast_plan(plan: Any) -> Any:
    """A plan, or a part of one, with its matrices in float32."""
    if isinstance(plan, np.ndarray):
        return cast(plan)
    if isinstance(plan, tuple):
        return tuple(map(cast_plan, plan))
    if dataclasses.is_dataclass(plan):
        return dataclasses.replace(plan, **{f.name: cast_plan(getattr(plan, f.name)) for f in dataclasses.fields(plan)})
    return plan


@dataclasses.dataclass(frozen=True)
class Known:
    """Weights that were evaluated before, in place of plan.Weights."""

    values: dict[bytes, Array]

    def at(self, _: Any, places: np.ndarray) -> Array:
        """Weights (place, point) at the places, which a plan in float32 holds rounded."""
        return self.values[places.astype(SINGLE).tobytes()]


def smooth_parts(joint: JointLikelihood, vectors: Array) -> list[Smooth]:
    """What the templates of every channel are made of, float64, at vectors (parameter, point)."""

    def products_of(vector: Array) -> Array:
        coefficients, theory, _ = joint.split(vector)
        return joint.amplitudes.products(joint.linear_amplitudes(theory) @ coefficients)

    points, pulls = vectors.shape[1:], joint.by_kind(vectors)["nuisance"]
    products = jax.vmap(products_of, in_axes=1, out_axes=1)(vectors)
    strength = jnp.broadcast_to(jnp.asarray(joint.strength_vector(vectors)), (1, *points))
    table, weights = polynomials(joint.templates, pulls, points), Weights(pulls)
    found: list[Smooth] = []
    for template in joint.templates:
        monomials = times(jnp.concatenate([strength, products]), template.monomials.weights.T)
        for c in template.channels:
            components = c.channel.components
            at = {
                g.weighted.places.astype(SINGLE).tobytes(): weights.at(components[g.first_component], g.weighted.places)
                for g in c.plan.groups
                if g.weighted is not None
            }
            scales = c.plan.scales.evaluate_block(components, pulls, *points)
            found.append((monomials, {name: table[name] for name in c.plan.degrees}, scales, at))
    return found


def stages(plan: Any, smooth: Smooth) -> tuple[list[Array | None], list[tuple[Array, ...]]]:
    """Merged monomials and functions of every block, in the precision of their inputs."""
    monomials, table, _, _ = smooth
    merged = [None if b.monomials is None else times(monomials, b.monomials) for b in plan.blocks]
    functions = [b.functions(table, monomials.shape[1:]) for b in plan.blocks]
    return merged, [tuple(f.astype(monomials.dtype) for f in mine) for mine in functions]


def features(plan: Any, smooth: Smooth) -> list[Array]:
    """Features of every group (feature, point)."""
    merged, functions = stages(plan, smooth)
    return [jnp.concatenate([p.evaluate(smooth[2], merged[p.block], functions[p.block]) for p in g.parts]) for g in plan.groups]


def is_linear(template: ChannelTemplate) -> bool:
    """Whether counts are linear in features."""
    return all(g.weighted is None and g.second is None and not any(p.is_whole for p in g.parts) for g in template.plan.groups)


def through(groups: Any, of_groups: list[Array]) -> Array:
    """Counts from features, or their differences from differences."""
    total = []
    for g, given in zip(groups, of_groups, strict=True):
        values, at, pieces = times(given, g.matrix), 0, []
        for segment in g.segments:
            pieces.append(times(values[at : at + len(segment)], segment))
            at += len(segment)
        total.append(jnp.concatenate(pieces) if pieces else values)
    return sum(total)


def trial(joint: JointLikelihood, reference: np.ndarray) -> Callable[[Array], Array]:
    """Log-likelihood (point,) of the data above that at a reference point, at (parameter, point), in float32 where it can be."""
    templates = [c for t in joint.templates for c in t.channels]
    counts = jax.tree.map(np.asarray, jax.jit(joint.expected_vector)(jnp.asarray(reference)))
    there = jax.jit(partial(smooth_parts, joint))(jnp.asarray(reference)[:, None])
    at = [np.asarray(counts[name])[:, None] for name in joint.channels]
    fixed = [[np.asarray(f) for f in features(c.plan, s)] if is_linear(c) else [] for c, s in zip(templates, there, strict=True)]
    plans = [cast_plan(c.plan) for c in templates]
    observed = np.concatenate(list(joint.observed.values()))[:, None]
    linear = cast(observed - np.concatenate(at))

    def shift(template: ChannelTemplate, plan: Any, smooth: Smooth, fixed: list[np.ndarray], at: np.ndarray) -> Array:
        """Relative change of the counts, float32."""
        if is_linear(template):
            by = [cast(f - f0) for f, f0 in zip(features(template.plan, smooth), fixed, strict=True)]
            return through(plan.groups, by) * cast(1.0 / at)
        small = cast(smooth)
        merged, functions = stages(plan, small)
        components, total = template.channel.components, []
        for g in plan.groups:
            first = g.first_axis(small[2], merged, functions)
            total.append(g.counts(first, Known(small[3]), components[g.first_component], small[1]))
        return sum(total) * cast(1.0 / at) - SINGLE(1.0)

    def above(vectors: Array) -> Array:
        parts = zip(templates, plans, smooth_parts(joint, vectors), fixed, at, strict=True)
        t = jnp.concatenate([shift(*part) for part in parts])
        return jnp.sum(cast(observed) * (jnp.log1p(t) - t) + linear * t, axis=0).astype(DOUBLE)

    return above


def side_by_side(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """A function of (parameter, point) over (point, parameter), in blocks."""
    return lambda xs: jax.lax.map(lambda x: function(x.T), xs.reshape(-1, BLOCK, xs.shape[1])).reshape(-1)


def each_point(leaf: Array) -> Array:
    """Sum of all numbers of a point (..., point)."""
    return jnp.sum(leaf.reshape(-1, leaf.shape[-1]), axis=0)


def near(joint: JointLikelihood, n: int, seed: int) -> np.ndarray:
    """(n, parameter): nuisances up to 0.6 of a random draw of their priors, coefficients around their sensitivity and less."""
    random = np.random.default_rng(seed)
    step = random.normal(size=(n, len(joint.names))) * np.asarray([p.scale for p in joint.parameters])
    step[:, : joint.n_coefficients] = points(joint, n, seed)[:, : joint.n_coefficients]
    return joint.start + step * random.uniform(0.0, 0.6, (n, 1))


def logarithms(joint: JointLikelihood, kind: type) -> Callable[[Array], Array]:
    """A logarithm for every bin and nothing else."""
    counts = np.random.default_rng(2).uniform(0.8, 1.2, sum(len(v) for v in joint.observed.values())).astype(kind)
    return lambda vector: jnp.sum(jnp.log1p(jnp.asarray(counts) + 1e-3 * vector[0].astype(kind)))


def measure(n: int, repeats: int, seed: int, overrides: list[str]) -> dict[str, Any]:
    """All figures of this benchmark."""
    joint = default_run(overrides).joint()
    single = trial(joint, joint.start)
    x, seeds = jnp.asarray(points(joint, n, seed)), jnp.linspace(0.0, 1.0, n // BLOCK)
    constraints = jax.vmap(joint.constraint_vector, in_axes=1)
    functions = {
        "value": blocks_of(joint.data_vector, BLOCK),
        "value_in_float32": side_by_side(single),
        "nll": blocks_of(joint.nll_vector, BLOCK),
        "nll_in_float32": side_by_side(lambda v: -(single(v) + constraints(v))),
        "smooth_parts": side_by_side(lambda v: sum(each_point(leaf) for leaf in jax.tree.leaves(smooth_parts(joint, v)))),
        "logarithms": blocks_of(logarithms(joint, DOUBLE), BLOCK),
        "logarithms_in_float32": blocks_of(logarithms(joint, SINGLE), BLOCK),
    }
    programs = {name: compiled(function, x)[0] for name, function in functions.items()}
    tasks: dict[str, Callable[[], Any]] = {name: partial(program, x) for name, program in programs.items()}
    for name, kind in (("products", DOUBLE), ("products_in_float32", SINGLE)):
        tasks[name] = partial(compiled(bare_products(joint, BLOCK, kind), seeds.astype(kind))[0], seeds.astype(kind))
    us = {name: 1e6 * seconds / n for name, seconds in paired(tasks, repeats).items()}
    close = jnp.asarray(near(joint, n, seed + 1))
    exact = np.asarray(programs["value"](close)) - float(joint.data_vector(jnp.asarray(joint.start)))
    error = (np.asarray(programs["value_in_float32"](close)) - exact)[np.abs(exact) < REACH]
    if len(error) < 100:
        raise SystemExit(f"only {len(error)} points within {REACH:g} of the reference")
    values = {
        "float32_error": float(np.max(np.abs(error))),
        "float64_over_float32": ratio(us["value"], us["value_in_float32"]),
        "nll_float64_over_float32": ratio(us["nll"], us["nll_in_float32"]),
        "products_float64_over_float32": ratio(us["products"], us["products_in_float32"]),
    }
    return record(
        "single precision about a reference point",
        seed,
        values=values,
        met=bars.judged("precision", values),
        rms_error=float(np.sqrt(np.mean(error**2))),
        points_judged=len(error),
        reach=REACH,
        us_per_point={name: float(np.median(each)) for name, each in us.items()},
        ways={
            f"{t.experiment.name}.{c.channel.name}": "centred" if is_linear(c) else "plain"
            for t in joint.templates
            for c in t.channels
        },
        points=n,
        repeats=repeats,
    )


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--points", type=int, default=8192, help=f"points per batch, a multiple of {BLOCK}")
    parser.add_argument("--repeats", type=int, default=15)
    given = parser.parse_args()
    on_one_core(given)
    without_caches()
    write(measure(given.points, 5 if given.quick else given.repeats, given.seed, given.set), given.out)


if __name__ == "__main__":
    main()
