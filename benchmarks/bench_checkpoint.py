"""What do checkpoints cost a sampling of the default run, by each method?

    python benchmarks/bench_checkpoint.py [--repeats 3] [--out FILE.json]

`fraction` is the time in which draws and states were written, as a part of that of the sampling, both on the wall's clock.
`ratio` compares whole samplings, with and without, in turn. The draws must be the same.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from common import clock, command_line, interleaved, met, record, say, seed_of_the_default_run, write

from nmmfit.inference.checkpoint import Checkpoint
from nmmfit.inference.sampling import SamplerSettings, sample
from nmmfit.run import default_run
from nmmfit.samplers import METHODS

BARS = {"fraction": ("<=", 0.02)}


def of_method(joint: Any, settings: SamplerSettings, repeats: int) -> dict[str, Any]:
    """Figures of one method."""
    fractions: list[float] = []
    results: dict[str, Any] = {}
    sizes: dict[str, float] = {}

    def without() -> None:
        results["without"] = sample(joint, settings)

    def with_checkpoint() -> None:
        place = Path(tempfile.mkdtemp())
        try:
            kept = Checkpoint.in_folder(place)
            began = clock()
            results["with"] = sample(joint, settings, None, kept)
            fractions.append(kept.spent_s / (clock() - began))
            files = [p for p in place.rglob("*") if p.is_file()]
            sizes.update(files=len(files), mib=sum(p.stat().st_size for p in files) / 2**20)
        finally:
            shutil.rmtree(place)

    seconds = interleaved({"without": without, "with": with_checkpoint}, repeats)
    for name, values in results["without"].draws.items():
        if values.tobytes() != results["with"].draws[name].tobytes():
            raise SystemExit(f"the draws of {name} differ")
    return {
        "seconds": seconds,
        "ratio": seconds["with"] / seconds["without"],
        "fraction": float(np.median(fractions)),
        "fractions": fractions,
        "checkpoint": sizes,
    }


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    seed_of_the_default_run(parser)
    given = parser.parse_args()
    found = {}
    for method in METHODS:
        run = default_run([*given.set, f"sampler.seed={given.seed}", f"sampler.method={method}"])
        found[method] = of_method(run.joint(), SamplerSettings(**run.config.sampler.model_dump()), given.repeats)
        say(f"{method}: {100 * found[method]['fraction']:.2f} %, {found[method]['checkpoint']}")
    worst = max(f["fraction"] for f in found.values())
    kept = met({"fraction": worst}, BARS)
    write(record("What do checkpoints cost?", given.seed, fraction=worst, methods=found, bars=BARS, met=kept), given.out)


if __name__ == "__main__":
    main()
