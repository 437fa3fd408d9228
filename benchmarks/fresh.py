"""A program of its own for bench_startup.py: does one thing in the default run and prints what came of it.

    python benchmarks/fresh.py gradient|draws [KEY=VALUE ...]

gradient: one log-likelihood with its gradient. draws: ensemble HMC, as many as have at least 10^4 effective ones, of every
identified quantity and parameter but the coefficients.
"""

from __future__ import annotations

import json
import sys

from nmmfit.cli.runtime import start_computing

DRAWS = 1100
"""Draws of each of 32 chains."""


def gradient(overrides: list[str]) -> dict[str, float]:
    """One value with its gradient."""
    import jax
    import jax.numpy as jnp

    from nmmfit.run import default_run

    joint = default_run(overrides).joint()
    value, slope = jax.jit(jax.value_and_grad(joint.data_vector))(jnp.asarray(joint.start))
    return {"lnl": float(value), "gradient_norm": float(jnp.linalg.norm(slope))}


def draws(overrides: list[str]) -> dict[str, float]:
    """Posterior draws, and how many effective ones the slowest quantity has."""
    from nmmfit.inference.sampling import SamplerSettings, sample
    from nmmfit.results import adapter
    from nmmfit.run import default_run

    joint = default_run(overrides).joint()
    result = sample(joint, SamplerSettings(method="ensemble", draws=DRAWS, seed=1))
    own = {p.name for p in joint.of_kind("coefficient")}
    found = {**result.for_diagnostics(), **result.identified_for_diagnostics()}
    judged = {name: adapter.ess(values, "bulk") for name, values in found.items() if name not in own}
    return {"min_ess_bulk": min(judged.values()), "max_r_hat": max(adapter.rhat(found[name]) for name in judged)}


def main(task: str, *overrides: str) -> None:
    """Print a JSON object."""
    start_computing()
    sys.stdout.write(json.dumps({"gradient": gradient, "draws": draws}[task](list(overrides))))


if __name__ == "__main__":
    main(*sys.argv[1:])
