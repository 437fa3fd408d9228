"""A program of its own for bench_startup.py: samples the default run until its first draw and prints when it got where.

    python benchmarks/first_draw.py [KEY=VALUE ...]

Times are those of the clock that all processes of a machine share, so that the parent knows when this one began.
"""

from __future__ import annotations

import json
import sys
from time import monotonic

from nmmfit.inference.sampling import Progress, SamplerSettings, sample
from nmmfit.run import default_run


def main(overrides: list[str]) -> None:
    """Print a JSON object, stage -> time when it was done."""
    done = {"imports": monotonic()}
    joint = default_run(overrides).joint()
    done["likelihood built"] = monotonic()

    def note(progress: Progress) -> None:
        done.setdefault("first compiled call", monotonic())
        if progress.done > progress.warmup:
            done.setdefault("first draw", monotonic())

    sample(joint, SamplerSettings(warmup=20, draws=1), note)
    sys.stdout.write(json.dumps(done))


if __name__ == "__main__":
    main(sys.argv[1:])
