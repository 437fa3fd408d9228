"""What does a profile likelihood cost? A 32 x 32 grid of the default run, everything else profiled, against other minimisers.

    python benchmarks/bench_scan.py [--points 32] [--sampled 8] [--quick] [--out FILE.json]

Bars P3, P10 and P11. The others get every point in natural steps and the minimum that the scan found for its neighbour as their
start: iminuit and scipy's BFGS on the hand-written numba template, iminuit on direct quadrature in numba, and iminuit with
compiled values and gradients. Likelihoods and minima are compared first.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import bars
import jax
import jax.numpy as jnp
import numpy as np
from common import clock, command_line, on_one_core, paired, points, ratio, record, say, write
from iminuit import Minuit
from numba_templates import numba_likelihood
from quadratures import numba_quadrature
from scipy import optimize

from nmmfit.inference.axes import make_axes
from nmmfit.inference.grid_solver import GridSolver
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.scan import ScanResult, scan
from nmmfit.inference.space import space_of
from nmmfit.run import default_run

AXES = {"L_dipole": (-3e-7, 3e-7), "L_T_u": (-6e-5, 6e-5)}
QUANTITIES = {"mu_eff_solar": (0.0, 6.0), "tensor_charge_cs133": (0.0, 250.0)}
BLOCK = 64


def unit_costs(joint: JointLikelihood, n: int, seed: int, repeats: int) -> dict[str, np.ndarray]:
    """Seconds per point of a batched value, of value and gradient, and of a Newton iteration's Hessian, in every repeat."""
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
    return {name: seconds / n for name, seconds in paired(tasks, repeats).items()}


@dataclass(frozen=True)
class Peer:
    """A minimiser of one point of the grid on one likelihood: `minimise(height, start)` returns the minimum and its calls."""

    minimise: Callable[[Callable[[np.ndarray], float], np.ndarray], tuple[float, int]]
    value: Callable[[np.ndarray], float]


def migrad(height: Callable[[np.ndarray], float], start: np.ndarray) -> tuple[float, int]:
    """iminuit with its own numerical gradients."""
    one = Minuit(height, start)
    one.errordef, one.strategy = 0.5, 1
    one.errors[:] = 0.3
    one.migrad()
    return float(one.fval), int(one.nfcn)


def bfgs(height: Callable[[np.ndarray], float], start: np.ndarray) -> tuple[float, int]:
    """scipy's BFGS with numerical gradients."""
    found = optimize.minimize(height, start, method="BFGS", options={"gtol": 1e-3})
    return float(found.fun), int(found.nfev)


class GridPoints:
    """Points of a grid for other minimisers: each starts at its neighbour's minimum, in steps of one standard deviation."""

    def __init__(self, joint: JointLikelihood, found: ScanResult) -> None:
        space = space_of(joint)
        self.found, self.names = found, joint.names
        self.scale = np.where(space.kinds == "coefficient", 1e-2, 1.0) * space.scale
        self.held = np.array([joint.names.index(name) for name in AXES])
        self.free = np.setdiff1d(np.arange(len(joint.names)), self.held)

    def start(self, i: int, k: int) -> np.ndarray:
        """The whole vector where a minimiser begins."""
        near = i, k - 1 if k else 1
        start = np.array([self.found.points[name][near] for name in self.names])
        for name, at in zip(AXES, self.held, strict=True):
            start[at] = self.found.points[name][i, k]
        return start

    def solve(self, peer: Peer, place: tuple[int, int]) -> tuple[float, int]:
        """Height of the minimum (half a chi-square) at a point of the grid, and calls."""
        x = self.start(*place)

        def height(z: np.ndarray) -> float:
            x[self.free] = z * self.scale[self.free]
            return peer.value(x)

        return peer.minimise(height, x[self.free] / self.scale[self.free])


def with_gradients(joint: JointLikelihood) -> Peer:
    """iminuit on our own compiled values and gradients: what an expert makes of iminuit with this package."""
    value, gradient = jax.jit(joint.nll_vector), jax.jit(jax.grad(joint.nll_vector))
    space = space_of(joint)
    scale = np.where(space.kinds == "coefficient", 1e-2, 1.0) * space.scale
    held = np.array([joint.names.index(name) for name in AXES])
    free = np.setdiff1d(np.arange(len(joint.names)), held)
    # `minimise` sees the free parameters only: the whole vector is the one that `value` was called with last.
    last = np.array(joint.start)

    def minimise(height: Callable[[np.ndarray], float], start: np.ndarray) -> tuple[float, int]:
        def slope(z: np.ndarray) -> np.ndarray:
            last[free] = z * scale[free]
            return np.asarray(gradient(last))[free] * scale[free]

        height(start)
        one = Minuit(height, start, grad=slope)
        one.errordef, one.strategy = 0.5, 1
        one.errors[:] = 0.3
        one.migrad()
        return float(one.fval), int(one.nfcn + one.ngrad)

    def at(x: np.ndarray) -> float:
        last[:] = x
        return float(value(x))

    at(last), gradient(last).block_until_ready()
    return Peer(minimise, at)


def peers(joint: JointLikelihood) -> dict[str, Peer]:
    """Minimisers and likelihoods of others; their values are held against ours first."""
    template, _ = numba_likelihood(joint, prior="nuisances")
    quadrature, constraint = numba_quadrature(joint), jax.jit(joint.constraint_vector)
    # Priors cost next to nothing beside a quadrature; those of the compiled program are exact.
    heights = {"template": lambda x: -template(x), "quadrature": lambda x: -quadrature(x) - float(constraint(x))}
    for x in points(joint, 8, 3):
        exact = float(joint.nll_vector(jnp.asarray(x)))
        for name, height in heights.items():
            if abs(height(x) - exact) > 1e-6 * abs(exact):
                raise SystemExit(f"the competitor {name} is another likelihood: {height(x)} instead of {exact}")
    return {
        "iminuit, numba template": Peer(migrad, heights["template"]),
        "scipy BFGS, numba template": Peer(bfgs, heights["template"]),
        "iminuit, compiled values and gradients": with_gradients(joint),
        "iminuit, numba quadrature": Peer(migrad, heights["quadrature"]),
    }


def timed(grid: GridPoints, peer: Peer, places: list[tuple[int, int]]) -> dict[str, Any]:
    """Seconds of every point, calls per point, heights."""
    seconds, heights, calls = [], [], 0
    for place in places:
        began = clock()
        height, count = grid.solve(peer, place)
        seconds.append(clock() - began)
        heights.append(height)
        calls += count
    return {"seconds": np.array(seconds), "calls": calls / len(places), "heights": np.array(heights)}


def in_two_processes(grid: GridPoints, peer: Peer, places: list[tuple[int, int]]) -> float | None:
    """Wall seconds per point where two processes on two cores share the points; None on a machine with one core."""
    cores = set(range(os.cpu_count() or 1))
    if len(cores) < 2:
        return None
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    began = time.perf_counter()
    children = []
    for half in (places[::2], places[1::2]):
        child = os.fork()
        if not child:
            for place in half:
                grid.solve(peer, place)
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    seconds = (time.perf_counter() - began) / len(places)
    os.sched_setaffinity(0, mine)
    return seconds


def grids(joint: JointLikelihood, points: int, costs: Mapping[str, float], repeats: int) -> dict[str, Any]:
    """Both grids, without points on contours: seconds per point, evaluations per point and as gradients."""
    out: dict[str, Any] = {}
    for name, ranges in (("parameters", AXES), ("identified quantities", QUANTITIES)):
        axes = {axis: (*ends, points) for axis, ends in ranges.items()}
        scan(joint, axes, refine=False)
        times = []
        for _ in range(repeats):
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


def measure(n: int, sampled: int, seed: int, quick: bool, overrides: list[str]) -> dict[str, Any]:
    """All figures of this benchmark."""
    joint = default_run(overrides).joint()
    each = unit_costs(joint, 1024, seed, 7)
    costs = {name: float(np.median(seconds)) for name, seconds in each.items()}
    made = grids(joint, n, costs, 3 if quick else 7)
    found = made["parameters"].pop("found")
    made["identified quantities"].pop("found")
    random = np.random.default_rng(seed)
    places = [tuple(map(int, random.integers(0, n, 2))) for _ in range(sampled)]
    grid, lowest = GridPoints(joint, found), 2.0 * float(joint.nll(found.best_point))
    competitors: dict[str, Any] = {}
    scan_s = np.array(made["parameters"]["seconds"]) / n**2
    values: dict[str, Any] = {"hessian_over_gradient": ratio(each["hessian"], each["gradient"])}
    for name, peer in peers(joint).items():
        slow = "quadrature" in name
        some = places[: 1 if slow and quick else 2 if slow else sampled]
        one = timed(grid, peer, some)
        theirs = 2.0 * one.pop("heights") - lowest
        mean = float(one["seconds"].mean())
        competitors[name] = {
            "ms_per_point": 1e3 * mean,
            "ms_each": (1e3 * one["seconds"]).tolist(),
            "calls": one["calls"],
            "scan_minus_theirs": [float(found.delta_chi2[place] - other) for place, other in zip(some, theirs, strict=True)],
            # Points differ by more than repeats do: quartiles are those of the points.
            "over_scan": ratio(one["seconds"], np.full(len(some), np.median(scan_s))),
        }
        if name == "iminuit, numba template" and not quick:
            competitors[name]["wall_ms_per_point_in_two_processes"] = in_two_processes(grid, peer, places)
        say(f"{name}: {1e3 * mean:.1f} ms per point, {one['calls']:.0f} calls")
    excess = largest_excess(joint, found, 64, seed)
    values |= {
        "gradient_equivalents_per_point": made["parameters"]["gradient_equivalents_per_point"],
        "largest_excess": excess,
        "iminuit_template_over_scan": competitors["iminuit, numba template"]["over_scan"],
        "iminuit_quadrature_over_scan": competitors["iminuit, numba quadrature"]["over_scan"],
        "iminuit_with_gradients_over_scan": competitors["iminuit, compiled values and gradients"]["over_scan"],
        "scipy_over_scan": competitors["scipy BFGS, numba template"]["over_scan"],
        "converged": min(grid["converged"] for grid in made.values()),
    }
    if not quick:
        values["newton_from_every_mode_over_scan"] = newton_from_every_mode(joint, n, 64, seed) / float(np.median(scan_s))
    return record(
        "cost of a two-dimensional profile likelihood",
        seed,
        values=values,
        met=bars.judged("scan", values),
        us={name: 1e6 * seconds for name, seconds in costs.items()},
        points=n**2,
        free_parameters=len(joint.names) - len(AXES),
        grids=made,
        competitors=competitors,
        overrides=overrides,
    )


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--points", type=int, default=32, help="points along each axis")
    parser.add_argument("--sampled", type=int, default=8, help="points that other minimisers get")
    given = parser.parse_args()
    on_one_core(given)
    write(measure(given.points, 4 if given.quick else given.sampled, given.seed, given.quick, given.set), given.out)


if __name__ == "__main__":
    main()
