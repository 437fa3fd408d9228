"""What does a profile likelihood cost? A 32 x 32 grid of the default run, everything else profiled, against iminuit on the
same grid.

    python benchmarks/bench_scan.py [--points 32] [--sampled 6] [--no-processes] [--out FILE.json]

iminuit gets the same likelihood in natural steps, and for every point the minimum that the scan found for its neighbour as its
start, once
with compiled values and gradients, once with the hand-written numpy templates and its own numerical gradients. The answers are
compared first. Seconds of fresh processes, with empty caches and with filled ones, count from process start to the written
folder.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from common import clock, command_line, empty_caches, interleaved, met, on_one_core, record, run_python, say, wanted, write
from iminuit import Minuit
from numpy_templates import numpy_likelihood

from nmmfit.inference.axes import make_axes
from nmmfit.inference.grid_solver import GridSolver
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.scan import ScanResult, scan
from nmmfit.inference.space import space_of
from nmmfit.run import default_run

AXES = {"L_dipole": (-3e-7, 3e-7), "L_T_u": (-6e-5, 6e-5)}
QUANTITIES = {"mu_eff_solar": (0.0, 6.0), "tensor_charge_cs133": (0.0, 250.0)}
BARS = {
    "gradient_equivalents_per_point": ("<=", 50.0),
    "iminuit_with_gradients_over_scan": (">=", 25.0),
    "largest_excess_over_iminuit": ("<=", 1e-3),
    "largest_excess": ("<=", 1e-8),
    "converged": (">=", 1.0),
}
BLOCK = 64


def unit_costs(joint: JointLikelihood, n: int, seed: int, repeats: int) -> dict[str, float]:
    """Seconds per point of a batched value, of value and gradient, and of a Newton iteration's Hessian."""
    space = space_of(joint)
    random = np.random.default_rng(seed)
    x = jnp.asarray(
        space.start + 0.3 * random.normal(size=(n, space.n)) * np.where(space.kinds == "coefficient", 1e-2, 1.0) * space.scale
    )
    hessian = space.nll.second_order
    assert hessian is not None

    def blocks(function: Callable[..., Any], block: int) -> Callable[[], Any]:
        program = jax.jit(lambda xs: jax.lax.map(function, xs, batch_size=block))
        return lambda: program(x)

    tasks = {
        "value": blocks(space.nll, BLOCK),
        "gradient": blocks(jax.value_and_grad(space.nll), BLOCK),
        "hessian": blocks(hessian, 16),
    }
    return {name: seconds / n for name, seconds in interleaved(tasks, repeats).items()}


def minuit(
    joint: JointLikelihood, found: ScanResult, places: list[tuple[int, int]], value: Callable[[np.ndarray], float], gradient: Any
) -> dict[str, Any]:
    """iminuit at points of the grid, each from its neighbour's minimum: seconds and calls per point, and its delta chi2."""
    space = space_of(joint)
    scale = np.where(space.kinds == "coefficient", 1e-2, 1.0) * space.scale
    parts = {"grad": lambda z: gradient(z * scale) * scale} if gradient is not None else {}
    calls, heights, gradients = 0, [], 0
    began = clock()
    for i, k in places:
        near = i, k - 1 if k else 1
        start = np.array([found.points[name][near] for name in joint.names])
        for name in AXES:
            start[joint.names.index(name)] = found.points[name][i, k]
        one = Minuit(lambda z: value(z * scale), start / scale, name=joint.names, **parts)
        one.errordef, one.strategy = 0.5, 1
        one.errors[:] = 0.3
        for name in AXES:
            one.fixed[name] = True
        one.migrad()
        heights.append(2.0 * one.fval)
        calls += one.nfcn
        gradients += one.ngrad
    return {
        "seconds": (clock() - began) / len(places),
        "calls": calls / len(places),
        "gradients": gradients / len(places),
        "heights": heights,
    }


def numpy_nll(joint: JointLikelihood) -> Callable[[np.ndarray], float]:
    """Minus log likelihood with constraints, in numpy, the constraints to second order: what it costs is what counts."""
    data, start = numpy_likelihood(joint), np.asarray(joint.start)
    at = jnp.asarray(start)
    level = float(joint.constraint_vector(at))
    slope = np.asarray(jax.grad(joint.constraint_vector)(at))
    bend = np.asarray(jax.hessian(joint.constraint_vector)(at))

    def value(x: np.ndarray) -> float:
        step = x - start
        return -data(x) - level - slope @ step - 0.5 * step @ bend @ step

    moved = start + 0.5 * np.asarray([p.scale for p in joint.parameters]) * np.where(
        np.arange(len(start)) < joint.n_own, 1e-2, 1.0
    )
    if abs(value(moved) - float(joint.nll_vector(jnp.asarray(moved)))) > 0.5:
        raise SystemExit("the numpy competitor is another likelihood")
    return value


def grids(joint: JointLikelihood, points: int, costs: Mapping[str, float]) -> dict[str, Any]:
    """Both grids, without points on contours: seconds per point, evaluations per point and as gradients."""
    out: dict[str, Any] = {}
    for name, ranges in (("parameters", AXES), ("identified quantities", QUANTITIES)):
        axes = {axis: (*ends, points) for axis, ends in ranges.items()}
        scan(joint, axes, refine=False)
        times = []
        for _ in range(3):
            began = clock()
            found = scan(joint, axes, refine=False)
            times.append(clock() - began)
        total = found.converged.size
        share = {key: found.cost[key] / total for key in ("values", "gradients", "hessians")}
        # every Newton iteration: a Hessian, 19 candidates, 7 gradients
        newton = costs["hessian"] + 19 * costs["value"] + 7 * costs["gradient"]
        equivalents = (share["values"] * costs["value"] + share["hessians"] * newton) / costs["gradient"] + share["gradients"]
        out[name] = {
            "seconds": times,
            "ms_per_point": 1e3 * float(np.median(times)) / total,
            "evaluations_per_point": share,
            "gradient_equivalents_per_point": equivalents,
            "gradient_equivalents_by_time": float(np.median(times)) / total / costs["gradient"],
            "converged": float(np.mean(found.converged)),
            "largest_delta_chi2": float(np.max(found.delta_chi2)),
            "stages": {k: v for k, v in found.cost.items() if not k.startswith("seconds")},
            "found": found,
        }
        say(f"{name}: {out[name]['ms_per_point']:.2f} ms per point, {equivalents:.0f} gradients")
    return out


def largest_excess(joint: JointLikelihood, found: ScanResult, sampled: int, seed: int) -> float:
    """How far Newton's method with exact Hessians gets below sampled points of the grid, in half chi-squares."""
    space = space_of(joint)
    solver = GridSolver(space, make_axes(space, {n: (v[0], v[-1], len(v)) for n, v in found.grid.items()}, {}))
    places = np.random.default_rng(seed).choice(found.converged.size, sampled, replace=False)
    index = np.unravel_index(places, found.converged.shape)
    at = np.stack([values[i] for values, i in zip(found.grid.values(), index, strict=True)], axis=1)
    x = space.ranges.from_parameters(np.stack([found.points[name][index] for name in space.names], axis=1))
    lower = solver.polished(at, x)
    here = np.array([space.nll_at(one) for one in x])
    return float(np.max(here - np.minimum(lower.value, solver.from_starts(at, x, np.arange(len(at))).value)))


def newton_from_every_mode(joint: JointLikelihood, points: int, sampled: int, seed: int) -> float:
    """Seconds per point where every point is minimised by itself, with exact Hessians, from every mode."""
    space = space_of(joint)
    solver = GridSolver(space, make_axes(space, {axis: (*ends, points) for axis, ends in AXES.items()}, {}))
    random = np.random.default_rng(seed)
    at = np.stack([random.choice(axis.values, sampled) for axis in solver.axes], axis=1)
    solver.from_starts(at, *solver.mode_starts(at))
    began = clock()
    solver.from_starts(at, *solver.mode_starts(at))
    return (clock() - began) / sampled


def processes(points: int, overrides: list[str]) -> dict[str, float]:
    """Seconds of `nmmfit scan` in fresh processes, with empty and with filled caches."""
    grid = [word for axis, (low, high) in AXES.items() for word in ("--grid", f"{axis}={low:g}:{high:g}:{points}")]
    changes = [word for override in overrides for word in ("--set", override)]
    out = {}
    with empty_caches() as environment:
        for caches in ("empty", "filled"):
            with tempfile.TemporaryDirectory(prefix="nmmfit-bench-") as folder:
                arguments = ["-m", "nmmfit", "scan", "--json", "--no-refine", "--out", str(Path(folder) / "s"), *grid, *changes]
                finished = wanted(run_python(arguments, environment))
                answer = json.loads(finished.output)
                out[caches] = {"wall_s": finished.wall_s, "peak_mib": finished.peak_mib, "scan_s": answer["cost"]["seconds"]}
            say(f"{caches} caches: {finished.wall_s:.1f} s")
    return out


def measure(points: int, sampled: int, seed: int, with_processes: bool, overrides: list[str]) -> dict[str, Any]:
    """All figures of this benchmark."""
    fresh = processes(points, overrides) if with_processes else None
    joint = default_run(overrides).joint()
    costs = unit_costs(joint, 1024, seed, 5)
    made = grids(joint, points, costs)
    found = made["parameters"].pop("found")
    made["identified quantities"].pop("found")
    random = np.random.default_rng(seed)
    places = [tuple(map(int, random.integers(0, points, 2))) for _ in range(sampled)]
    value, gradient = jax.jit(joint.nll_vector), jax.jit(jax.grad(joint.nll_vector))
    start = jnp.asarray(joint.start)
    value(start).block_until_ready(), gradient(start).block_until_ready()
    competitors = {
        "iminuit, compiled values and gradients": minuit(
            joint, found, places, lambda x: float(value(x)), lambda x: np.asarray(gradient(x))
        ),
        "iminuit, numpy templates": minuit(joint, found, places[:2], numpy_nll(joint), None),
    }
    lowest = 2.0 * float(joint.nll(found.best_point))
    for one in competitors.values():
        theirs = np.array(one.pop("heights")) - lowest
        ours = np.array([found.delta_chi2[place] for place in places[: len(theirs)]])
        one["scan_minus_iminuit"] = (ours - theirs).tolist()
    ms = made["parameters"]["ms_per_point"]
    ratios = {f"{name} over scan": 1e3 * one["seconds"] / ms for name, one in competitors.items()}
    ratios["Newton's method from every mode over scan"] = 1e3 * newton_from_every_mode(joint, points, 64, seed) / ms
    excess = largest_excess(joint, found, 64, seed)
    exact = competitors["iminuit, compiled values and gradients"]
    values = {
        "gradient_equivalents_per_point": made["parameters"]["gradient_equivalents_per_point"],
        "iminuit_with_gradients_over_scan": ratios["iminuit, compiled values and gradients over scan"],
        "largest_excess_over_iminuit": max(exact["scan_minus_iminuit"]),
        "largest_excess": excess,
        "converged": min(grid["converged"] for grid in made.values()),
    }
    return record(
        "cost of a two-dimensional profile likelihood",
        seed,
        us={name: 1e6 * seconds for name, seconds in costs.items()},
        points=points**2,
        grids=made,
        competitors=competitors,
        ratios=ratios,
        values=values,
        bars=BARS,
        met=met(values, BARS),
        fresh_processes=fresh,
        overrides=overrides,
    )


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--points", type=int, default=32, help="points along each axis")
    parser.add_argument("--sampled", type=int, default=6, help="points that iminuit minimises")
    parser.add_argument("--no-processes", action="store_true", help="leave out the fresh processes")
    given = parser.parse_args()
    on_one_core(given)
    write(measure(given.points, given.sampled, given.seed, not given.no_processes, given.set), given.out)


if __name__ == "__main__":
    main()
