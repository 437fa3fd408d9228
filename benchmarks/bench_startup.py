"""How long until something happens? Fresh processes, with empty caches and with filled ones, and how quickly help is there.

    python benchmarks/bench_startup.py [--repeats 7] [--cached 3] [--quick] [--out FILE.json]

Bars P17, P18 and P19: a log-likelihood with its gradient, 10^4 effective draws, and `nmmfit scan` of 1024 points with everything
else profiled, each from process start to its end. Processor seconds of the process on one core, which other programs disturb
least; wall seconds stand beside them. Then wall seconds of `nmmfit --help` and `import nmmfit`, the contestants taking turns.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import bars
from common import Finished, command_line, empty_caches, on_one_core, record, run_python, say, wanted, write

PROGRAMS = {
    "bare interpreter": ["-c", "pass"],
    "import nmmfit": ["-c", "import nmmfit"],
    "nmmfit --help": ["-m", "nmmfit", "--help"],
}
FRESH = Path(__file__).with_name("fresh.py")
GRID = ("--grid", "L_dipole=-3e-7:3e-7:32", "--grid", "L_T_u=-6e-5:6e-5:32")
TASKS = ("gradient", "draws", "profile")
"""What fresh.py does by itself, and a scan by the command line."""


def started(task: str, environment: Mapping[str, str], overrides: Sequence[str]) -> tuple[Finished, dict[str, Any]]:
    """One fresh process: what it cost, and what it found."""
    if task != "profile":
        finished = wanted(run_python([FRESH, task, *overrides], environment))
        return finished, json.loads(finished.output)
    changes = [word for override in overrides for word in ("--set", override)]
    with tempfile.TemporaryDirectory(prefix="nmmfit-bench-") as folder:
        out = str(Path(folder) / "scan")
        finished = wanted(
            run_python(["-m", "nmmfit", "scan", "--json", "--no-refine", "--out", out, *GRID, *changes], environment)
        )
    answer = json.loads(finished.output)
    return finished, {"scan_s": answer["cost"]["seconds"]}


def cold_and_cached(task: str, repeats: int, overrides: Sequence[str]) -> dict[str, Any]:
    """A process that finds nothing on disk, and some that find what it left."""

    def cost(environment: Mapping[str, str]) -> dict[str, Any]:
        finished, found = started(task, environment, overrides)
        return {"cpu_s": finished.cpu_s, "wall_s": finished.wall_s, "peak_mib": finished.peak_mib, **found}

    with empty_caches() as environment:
        cold = cost(environment)
        say(f"{task}, empty caches: {cold['cpu_s']:.1f} s of processor, {cold['wall_s']:.1f} s")
        cached = [cost(environment) for _ in range(repeats)]
    say(f"{task}, filled caches: {median(c['cpu_s'] for c in cached):.1f} s of processor")
    return {"empty caches": cold, "filled caches": cached}


def short_programs(repeats: int) -> dict[str, list[float]]:
    """Wall seconds of the short programs, taking turns."""
    seconds: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for repeat in range(repeats + 1):
        for name, arguments in PROGRAMS.items():
            finished = wanted(run_python(arguments, os.environ))
            # The first round writes bytecode and fills the file system's cache.
            if repeat:
                seconds[name].append(finished.wall_s)
    return seconds


def measure(repeats: int, cached: int, seed: int, tasks: Sequence[str], overrides: list[str]) -> dict[str, Any]:
    """All figures of this benchmark."""
    short = short_programs(repeats)
    found = {task: cold_and_cached(task, cached, overrides) for task in tasks}
    values: dict[str, Any] = {}
    for task, costs in found.items():
        values[f"{task}_cold_s"] = costs["empty caches"]["cpu_s"]
        each = sorted(c["cpu_s"] for c in costs["filled caches"])
        values[f"{task}_cached_s"] = {"median": median(each), "low": each[0], "high": each[-1], "repeats": len(each)}
    return record(
        "time from process start to the first answer",
        seed,
        values=values,
        met=bars.judged("startup", values),
        seconds_are="processor seconds of the whole process on one core",
        fresh_processes=found,
        short_programs_s={name: median(each) for name, each in short.items()},
        short_programs_each=short,
        repeats=repeats,
        overrides=overrides,
    )


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--repeats", type=int, default=7, help="runs of each of the short programs")
    parser.add_argument("--cached", type=int, default=3, help="processes with filled caches")
    given = parser.parse_args()
    on_one_core(given)
    tasks, cached = (TASKS[:1], 1) if given.quick else (TASKS, given.cached)
    write(measure(given.repeats, cached, given.seed, tasks, given.set), given.out)


if __name__ == "__main__":
    main()
