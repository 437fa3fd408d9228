"""How exact are templates? The default run's log-likelihood against direct quadrature, all shape nuisances moved together.

    python benchmarks/bench_templates.py [--points 1000] [--quick] [--out FILE.json]

Points have every shape nuisance of every experiment within +-3 standard deviations and coefficients around their sensitivity.
The same for templates of other tolerances: what a millionth costs in multiplications, against a ten-thousandth.
"""

from __future__ import annotations

import time
from typing import Any

import bars
import jax.numpy as jnp
import numpy as np
from common import COEFFICIENT_SIZE, command_line, on_one_core, record, say, write

from nmmfit.inference.joint import JointLikelihood
from nmmfit.run import default_run
from nmmfit.templates import DEFAULT_TOLERANCE

TOLERANCES = (DEFAULT_TOLERANCE, 1e-6)


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


def measure(n: int, seed: int, tolerances: tuple[float, ...]) -> dict[str, Any]:
    """All figures of this benchmark."""
    run = default_run()
    joint, direct = run.joint(), run.joint("direct")
    x = jnp.asarray(shape_points(joint, n, seed))
    exact = np.asarray(direct.log_likelihood(direct.unpack(x)))
    rows = []
    for tolerance in tolerances:
        began = time.process_time()
        one = joint if tolerance == DEFAULT_TOLERANCE else with_tolerance(joint, tolerance)
        built = time.process_time() - began
        error = np.abs(np.asarray(one.log_likelihood(one.unpack(x))) - exact)
        channels = {f"{t.experiment.name}.{c.channel.name}": c for t in one.templates for c in t.channels}
        rows.append(
            {
                "tolerance": tolerance,
                "largest_error": float(error.max()),
                "median_error": float(np.median(error)),
                "points_above_1e-6": int(np.sum(error > 1e-6)),
                "multiplies": sum(c.multiplies for c in channels.values()),
                "ranks": {name: [[p, b, r] for p, b, r in c.ranks] for name, c in channels.items()},
                "built_cpu_s": built,
            }
        )
        say(f"tolerance {tolerance:g}: largest error {rows[-1]['largest_error']:.2g}, {rows[-1]['multiplies']} multiplications")

    def cheapest(limit: float) -> int | None:
        return min((row["multiplies"] for row in rows if row["largest_error"] <= limit), default=None)

    fine, coarse = cheapest(1e-6), cheapest(1e-4)
    default = next(row for row in rows if row["tolerance"] == DEFAULT_TOLERANCE)
    values = {
        "largest_error": default["largest_error"],
        "multiplies_of_1e-6_over_1e-4": fine / coarse if fine and coarse else None,
    }
    return record(
        "error of templates",
        seed,
        values=values,
        met=bars.judged("templates", values),
        notes={} if fine else {"multiplies_of_1e-6_over_1e-4": "no templates tried reach 1e-6"},
        tolerances=rows,
        shape_pulls=shape_pulls(joint),
        lnl_range=[float(exact.min()), float(exact.max())],
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
