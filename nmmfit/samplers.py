"""Methods of sampling and what each of them does unless it is told otherwise. No JAX."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MethodDefaults:
    """Settings of a method that are not given: chains, steps per chain, and the acceptance that steps are adapted to."""

    chains: int
    warmup: int
    draws: int
    target_accept: float


METHODS = {
    "nuts": MethodDefaults(chains=4, warmup=1000, draws=1000, target_accept=0.9),
    "ensemble": MethodDefaults(chains=32, warmup=200, draws=600, target_accept=0.9),
    # Independent runs, trajectories of every particle at every power of the likelihood, particles.
    "smc": MethodDefaults(chains=4, warmup=5, draws=1000, target_accept=0.8),
}
"""Name of a method -> its defaults."""
