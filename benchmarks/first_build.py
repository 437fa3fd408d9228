"""A program of its own for bench_experiments.py: builds one experiment and its likelihood, and prints what each took.

    python benchmarks/first_build.py EXPERIMENT

Processor time of this process, after everything is imported and JAX has started: what other programs do counts little.
"""

from __future__ import annotations

import json
import sys
from time import perf_counter, process_time

import jax.numpy as jnp

from nmmfit import catalogue, compilation_cache
from nmmfit.inference.alone import dipole_run
from nmmfit.inference.joint import JointLikelihood


def main(name: str) -> None:
    """Print a JSON object: seconds of `build()`, and of a likelihood with templates, of processor and wall time."""
    compilation_cache.enable()
    catalogue.load(name)
    jnp.zeros(1).block_until_ready()
    times = [(process_time(), perf_counter())]
    catalogue.build(name)
    times.append((process_time(), perf_counter()))
    JointLikelihood.from_config(dipole_run(name))
    times.append((process_time(), perf_counter()))
    stages = zip(("build", "likelihood"), times, times[1:], strict=False)
    found = {stage: {"cpu_s": end[0] - start[0], "wall_s": end[1] - start[1]} for stage, start, end in stages}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
