"""How exact are templates? The default run's log-likelihood against direct quadrature, all shape nuisances moved together.

    python benchmarks/bench_templates.py [--points 1000] [--quick] [--out FILE.json]

Points have every shape nuisance of every experiment within +-3 standard deviations and coefficients around their sensitivity.
The same for templates of other tolerances, in every combination of them among the experiments: the cheapest that reach a
millionth, against the cheapest that reach a ten-thousandth. --quick: the default tolerance only.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from typing import Any

import bars
import jax.numpy as jnp
import numpy as np
from common import COEFFICIENT_SIZE, command_line, on_one_core, record, say, write

from nmmfit.inference.joint import JointLikelihood
from nmmfit.run import default_run
from nmmfit.templates import DEFAULT_TOLERANCE

TOLERANCES = (DEFAULT_TOLERANCE, 1e-5, 1e-6, 3e-7, 3e-8, 1e-8)
FINE, COARSE = 1e-6, 1e-4


def shape_pulls(joint: JointLikelihood) -> tuple[str, ...]:
    """Pulls that bend a shape or a weighting of some experiment."""
    factors = [f for e in joint.experiments for ch in e.channels for c in ch.components for f in c.factors]
    return tuple(sorted({pull for f in factors for pull in f.all_pulls}))


def shape_points(joint: JointLikelihood, n: int, seed: int) -> np.ndarray:
    """(n, parameter): shape pulls within +-3 sigma together, coefficients around their sensitivity, the rest as it starts."""
    random = np.random.default_rng(seed)
    x = np.tile(joint.start, (n, 1))
    for name in shape_pulls(joint):
        if name in joint.names:
            x[:, joint.names.index(name)] = random.uniform(-3.0, 3.0, n)
    for i, p in enumerate(joint.of_kind("coefficient")):
        x[:, i] = random.normal(size=n) * COEFFICIENT_SIZE.get(p.unit, p.scale)
    return x


def with_tolerance(joint: JointLikelihood, tolerance: float) -> JointLikelihood:
    """The same likelihood with templates of another tolerance."""
    return JointLikelihood(
        joint.experiments,
        joint.parameters,
        joint.coupling_map,
        joint.identified,
        joint.fixed,
        joint.fixed_coefficients,
        tolerance=tolerance,
        choices=joint.choices,
        fingerprints=joint.fingerprints,
        derived=joint.derived,
    )


@dataclass(frozen=True)
class Tried:
    """Templates of one experiment and one tolerance."""

    experiment: str
    tolerance: float
    error: np.ndarray
    """(point,) signed error of the experiment's log-likelihood."""
    multiplies: int
    ranks: dict[str, list[tuple[str, int, int]]]


def by_experiment(joint: JointLikelihood, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Experiment -> (point,) log-likelihood, of pointwise ones."""
    return {
        e.name: np.sum([np.asarray(values[f"{e.name}.{c.name}"]).sum(axis=-1) for c in e.channels], axis=0)
        for e in joint.experiments
    }


def tried(joint: JointLikelihood, x: jnp.ndarray, exact: dict[str, np.ndarray], tolerance: float) -> list[Tried]:
    """Every experiment's templates of one tolerance."""
    one = joint if tolerance == DEFAULT_TOLERANCE else with_tolerance(joint, tolerance)
    found = by_experiment(one, one.pointwise_log_likelihood(one.unpack(x)))
    return [
        Tried(
            t.experiment.name,
            tolerance,
            found[t.experiment.name] - exact[t.experiment.name],
            sum(c.multiplies for c in t.channels),
            {c.channel.name: c.ranks for c in t.channels},
        )
        for t in one.templates
    ]


def told(choice: tuple[Tried, ...]) -> dict[str, Any]:
    """What templates with a tolerance for each experiment do together."""
    error = np.abs(np.sum([one.error for one in choice], axis=0))
    return {
        "tolerances": {one.experiment: one.tolerance for one in choice},
        "largest_error": float(error.max()),
        "median_error": float(np.median(error)),
        "points_above_1e-6": int(np.sum(error > FINE)),
        "multiplies": sum(one.multiplies for one in choice),
    }


def cheapest(rows: list[dict[str, Any]], limit: float) -> dict[str, Any] | None:
    """The row with the fewest multiplications among those whose largest error is within a limit."""
    return min((r for r in rows if r["largest_error"] <= limit), key=lambda r: r["multiplies"], default=None)


def measure(n: int, seed: int, tolerances: tuple[float, ...]) -> dict[str, Any]:
    """All figures of this benchmark."""
    run = default_run()
    joint, direct = run.joint(), run.joint("direct")
    x = jnp.asarray(shape_points(joint, n, seed))
    exact = by_experiment(direct, direct.pointwise_log_likelihood(direct.unpack(x)))
    everything: list[list[Tried]] = []
    same = []
    built = {}
    for tolerance in tolerances:
        began = time.process_time()
        everything.append(tried(joint, x, exact, tolerance))
        built[f"{tolerance:g}"] = time.process_time() - began
        same.append(told(tuple(everything[-1])))
        say(f"tolerance {tolerance:g}: largest error {same[-1]['largest_error']:.2g}, {same[-1]['multiplies']} multiplications")
    rows = [told(choice) for choice in itertools.product(*zip(*everything, strict=True))]
    fine, coarse = cheapest(rows, FINE), cheapest(rows, COARSE)
    default = next(row for row in same if set(row["tolerances"].values()) == {DEFAULT_TOLERANCE})
    values = {
        "largest_error": default["largest_error"],
        "smallest_largest_error": min(row["largest_error"] for row in rows),
        "multiplies_of_1e-6_over_1e-4": fine["multiplies"] / coarse["multiplies"] if fine and coarse else None,
    }
    total = np.sum(list(exact.values()), axis=0)
    return record(
        "error of templates",
        seed,
        values=values,
        met=bars.judged("templates", values),
        notes={} if fine else {"multiplies_of_1e-6_over_1e-4": "no templates tried reach 1e-6"},
        same_tolerance=same,
        cheapest_within_1e_6=fine,
        cheapest_within_1e_4=coarse,
        ranks={f"{one.experiment} {one.tolerance:g}": one.ranks for row in everything for one in row},
        cpu_s_to_build_and_evaluate=built,
        shape_pulls=shape_pulls(joint),
        lnl_range=[float(total.min()), float(total.max())],
        points=n,
    )


def main() -> None:
    parser = command_line(__doc__, overrides=False)
    parser.add_argument("--points", type=int, default=1000)
    parser.add_argument("--tolerances", type=float, nargs="+", help=f"of templates; {' '.join(map(str, TOLERANCES))} if left out")
    given = parser.parse_args()
    on_one_core(given)
    tolerances = tuple(given.tolerances or ((DEFAULT_TOLERANCE,) if given.quick else TOLERANCES))
    write(measure(100 if given.quick else given.points, given.seed, tolerances), given.out)


if __name__ == "__main__":
    main()
