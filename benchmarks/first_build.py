"""A program of its own for bench_experiments.py: builds one experiment, and prints what that took.

    python benchmarks/first_build.py EXPERIMENT

After everything is imported and JAX has started: reading tables, folding kernels, and what is compiled for it.
"""

from __future__ import annotations

import json
import sys
from time import perf_counter, process_time

import jax.numpy as jnp

from nmmfit import catalogue, compilation_cache


def main(name: str) -> None:
    """Print a JSON object: seconds of processor time of this process, and of wall time."""
    compilation_cache.enable()
    catalogue.load(name)
    jnp.zeros(1).block_until_ready()
    cpu, wall = process_time(), perf_counter()
    catalogue.build(name)
    sys.stdout.write(json.dumps({"cpu_s": process_time() - cpu, "wall_s": perf_counter() - wall}))


if __name__ == "__main__":
    main(sys.argv[1])
