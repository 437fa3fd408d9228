"""How long until something happens? `nmmfit --help`, `import nmmfit`, and the first posterior draw of the default run.

    python benchmarks/bench_startup.py [--repeats 7] [--first-draws 3] [--out FILE.json]

Wall time of fresh processes; medians, the contestants taking turns. The bare interpreter is there to compare with. The first draw
comes after the shortest warm-up (20 steps per chain), once with empty caches and several times with filled ones.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Any

from common import command_line, empty_caches, met, on_one_core, record, run_python, say, wanted, write

BARS = {"nmmfit --help": ("<=", 0.3), "import nmmfit": ("<=", 0.3), "first draw, filled caches": ("<=", 5.0)}
PROGRAMS = {
    "bare interpreter": ["-c", "pass"],
    "import nmmfit": ["-c", "import nmmfit"],
    "nmmfit --help": ["-m", "nmmfit", "--help"],
}
FIRST_DRAW = Path(__file__).with_name("first_draw.py")


def first_draw(environment: Mapping[str, str], overrides: list[str]) -> dict[str, float]:
    """Seconds from process start to the end of every stage of first_draw.py."""
    began = monotonic()
    finished = wanted(run_python([FIRST_DRAW, *overrides], environment))
    return {stage: at - began for stage, at in json.loads(finished.output).items()}


def measure(repeats: int, draws: int, seed: int, overrides: list[str]) -> dict[str, Any]:
    """All figures of this benchmark."""
    short: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for repeat in range(repeats + 1):
        for name, arguments in PROGRAMS.items():
            finished = wanted(run_python(arguments, os.environ))
            # The first round writes bytecode and fills the file system's cache.
            if repeat:
                short[name].append(finished.wall_s)
    with empty_caches() as environment:
        empty = first_draw(environment, overrides)
        say(f"first draw with empty caches: {empty['first draw']:.1f} s")
        filled = [first_draw(environment, overrides) for _ in range(draws)]
    medians = {name: median(values) for name, values in short.items()}
    typical = {stage: median(f[stage] for f in filled) for stage in empty}
    return record(
        "time from process start to the first answer",
        seed,
        seconds=medians,
        seconds_each=short,
        first_draw={"empty caches": empty, "filled caches": typical},
        bars=BARS,
        met=met({**medians, "first draw, filled caches": typical["first draw"]}, BARS),
        repeats=repeats,
        first_draws=draws,
        overrides=overrides,
    )


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--repeats", type=int, default=7, help="runs of each of the short programs")
    parser.add_argument("--first-draws", type=int, default=3, help="runs to the first draw with filled caches")
    parser.set_defaults(cores="all")
    given = parser.parse_args()
    on_one_core(given)
    write(measure(given.repeats, given.first_draws, given.seed, given.set), given.out)


if __name__ == "__main__":
    main()
