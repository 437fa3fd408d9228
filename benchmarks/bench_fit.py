"""What does the default fit cost? `nmmfit fit`, from process start to files written, with empty caches and with filled ones.

    python benchmarks/bench_fit.py [--cores one] [--set KEY=VALUE] [--out FILE.json]

Seconds are wall time and therefore the machine's; memory is the largest resident set of the process.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common import command_line, empty_caches, met, on_one_core, record, run_python, say, seed_of_the_default_run, wanted, write

BARS = {
    "wall_s": ("<=", 120.0),
    "peak_mib": ("<=", 2048.0),
    "min_ess_bulk": (">=", 1000.0),
    "max_r_hat": ("<=", 1.01),
    "divergence_fraction": ("<=", 1e-3),
}
# A run that did not converge is a result as well.
CODES = (0, 3)


def fit(environment: Mapping[str, str], seed: int, overrides: list[str]) -> dict[str, Any]:
    """One fit into a folder that is thrown away: its cost, and what its summary.json says."""
    with tempfile.TemporaryDirectory(prefix="nmmfit-bench-") as folder:
        out = Path(folder) / "fit"
        changes = [word for override in overrides for word in ("--set", override)]
        arguments = ["-m", "nmmfit", "fit", "--json", "--seed", str(seed), "--out", str(out), *changes]
        finished = wanted(run_python(arguments, environment), CODES)
        summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
        written_mib = sum(path.stat().st_size for path in out.rglob("*")) / 2**20
    # What does not move (a parameter fixed by its prior) has no diagnostics, and no width.
    quantities = [q for group in ("identified", "parameters") for q in summary[group].values() if q["sd"]]
    values = {
        "wall_s": finished.wall_s,
        "peak_mib": finished.peak_mib,
        "min_ess_bulk": min(q["ess_bulk"] or 0.0 for q in quantities),
        "max_r_hat": max(q["r_hat"] or float("inf") for q in quantities),
        "divergence_fraction": summary["divergence_fraction"],
    }
    return {
        **values,
        "met": met(values, BARS),
        "exit_code": finished.exit_code,
        "problems": summary["problems"],
        "sampling_s": summary["wall_s"],
        "warmup_s": summary["warmup_s"],
        **{name: summary[name] for name in ("chains", "warmup", "draws", "divergences")},
        "written_mib": written_mib,
    }


def measure(seed: int, overrides: list[str]) -> dict[str, Any]:
    """A fit with empty caches, and one with the caches that it filled."""
    with empty_caches() as environment:
        fits = {}
        for caches in ("empty", "filled"):
            fits[caches] = fit(environment, seed, overrides)
            say(f"{caches} caches: {fits[caches]['wall_s']:.1f} s, {fits[caches]['peak_mib']:.0f} MiB")
    return record("cost of the default fit", seed, caches=fits, bars=BARS, overrides=overrides)


def main() -> None:
    parser = command_line(__doc__)
    # As a user's machine gives it; the sampler's chains share one core, compilation and plots do not.
    parser.set_defaults(cores="all")
    seed_of_the_default_run(parser)
    given = parser.parse_args()
    on_one_core(given)
    write(measure(given.seed, given.set), given.out)


if __name__ == "__main__":
    main()
