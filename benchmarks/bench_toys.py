"""What toys of the default joint fit cost: both fits of every toy, all nuisances profiled, and whether they are right.

    python benchmarks/bench_toys.py [--toys N] [--checked N] [--parameter NAME] [--out FILE]

Some toys are fitted again by the minimiser with exact Hessians from scattered starts. Wall time is that of the processors that
the process may use; processor time is what to compare where others use them, too.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np


def measure(toys: int, checked: int, parameter: str, seed: int) -> dict[str, object]:
    """One record: costs in milliseconds per toy, and differences of q from the exact minimiser's."""
    import jax

    import nmmfit
    from nmmfit.inference.core_fits import CoreFits
    from nmmfit.inference.toy_ensemble import CHUNK, Ensemble, run
    from nmmfit.inference.toy_fits import fit_toys, thrown
    from nmmfit.inference.toy_truths import DataProfile
    from nmmfit.processors import processors
    from nmmfit.results.provenance import made_by

    joint = nmmfit.default_run().joint()
    profile = DataProfile(joint, parameter)
    truth = profile.best_fit()
    likelihood, target = profile.likelihood, profile.target
    began = time.perf_counter()
    run(Ensemble(likelihood, truth.z, ((target, truth.at),), CHUNK * processors(), seed + 1))
    compiling_s = time.perf_counter() - began
    ensemble = Ensemble(likelihood, truth.z, ((target, truth.at),), toys, seed)
    wall, cpu = time.perf_counter(), time.process_time()
    found = run(ensemble)
    wall_s, cpu_s = time.perf_counter() - wall, time.process_time() - cpu

    data = ensemble.data(0, checked)
    fits = CoreFits(likelihood, truth.z, seed)
    rng = np.random.default_rng(seed)
    starts = thrown(likelihood, np.tile(truth.z, (checked, 1)), (1.0, 3.0, 3.0, 10.0), rng)
    wall, cpu = time.perf_counter(), time.process_time()
    free = fit_toys(likelihood, data, starts)
    held = fit_toys(likelihood, data, starts, target=target, at=truth.at)
    exact_wall_s, exact_cpu_s = time.perf_counter() - wall, time.process_time() - cpu
    fast_free, fast_held = fits.fit(data), fits.fit(data, target, truth.at)
    constant = np.array([float(likelihood(z, data.take(np.array(i)))) for i, z in enumerate(fast_free.z)]) - fast_free.value
    above = {
        "free": 2.0 * (fast_free.value + constant - free.value),
        "held": 2.0 * (fast_held.value + constant - held.value),
    }
    return {
        "parameter": parameter,
        "parameters": likelihood.n,
        "toys": toys,
        "failed": found.failed,
        "processors": processors(),
        "first_call_s": compiling_s,
        "wall_s": wall_s,
        "cpu_s": cpu_s,
        "cpu_ms_per_toy": 1e3 * cpu_s / toys,
        "minutes_for_10000_toys_of_processor_time_on_two": 1e4 * cpu_s / toys / 2.0 / 60.0,
        "checked": checked,
        "exact_cpu_ms_per_toy": 1e3 * exact_cpu_s / checked,
        "exact_wall_s": exact_wall_s,
        "delta_chi2_above_exact": {
            name: {
                "max": float(np.max(d)),
                "min": float(np.min(d)),
                "over_1e-3": int(np.sum(d > 1e-3)),
                "toys": len(d),
            }
            for name, d in above.items()
        },
        "device": jax.devices()[0].device_kind,
        "provenance": made_by(seed),
    }


def main() -> None:
    """Parse the arguments, measure, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--toys", type=int, default=1024)
    parser.add_argument("--checked", type=int, default=50)
    parser.add_argument("--parameter", default="mu_eff_solar")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    text = json.dumps(measure(given.toys, given.checked, given.parameter, given.seed), indent=1)
    if given.out is not None:
        given.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
