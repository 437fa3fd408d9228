"""Whether the likelihood is exactly flat in what is profiled, and why."""

from __future__ import annotations

import numpy as np

from nmmfit.inference.fit import flat_reason
from nmmfit.inference.profiling import Job, Profiler
from nmmfit.inference.space import NULL_TOLERANCE, Space, compensators


def exactly_flat(profiler: Profiler, job: Job) -> str | None:
    """Why the target of a job with known modes is unbounded, confirmed along the direction; None if it is not."""
    space, target = profiler.space, job.target
    assert target is not None
    x = job.modes[0]
    moving = list(job.free)
    if target.name in space.names:
        found = compensators(space, x, target.name, moving)
        if found is None:
            return None
        direction, others = found
    else:
        flat = space.flat_directions(x, moving) if job.within is None else _flat_rows(job.within, space, x)
        gradient = profiler.gradient_of(target, profiler.scattered(job, x, 1))[0]
        moves = flat @ gradient
        if not len(moves) or np.max(np.abs(moves)) < 1e-7 * job.step:
            return None
        direction = moves @ flat
        others = [space.names[i] for i in np.flatnonzero(np.abs(direction / space.scale) > 1e-7)]
    steps = np.array([0.0, 1.0, -1.0, 10.0]) / np.max(np.abs(direction / space.scale))
    values = np.array([space.nll_at(x + step * direction) for step in steps])
    if np.max(np.abs(values - values[0])) > 1e-5:
        return None
    if target.name in space.names:
        return flat_reason(target.name, others)
    return f"flat direction: {', '.join(others)} change it without changing anything that the data see"


def _flat_rows(within: np.ndarray, space: Space, x: np.ndarray) -> np.ndarray:
    """Those of the displacements (k, n) that each change nothing that is seen, at the theory inputs of a vector."""
    steps, amplitudes = within[:, space.coefficients], space.amplitudes(x)
    changes, sizes = np.abs(steps @ amplitudes.T), np.abs(steps) @ np.abs(amplitudes.T)
    return within[np.all(changes <= NULL_TOLERANCE * np.max(sizes, initial=0.0), axis=1)]
