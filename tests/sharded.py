"""What is computed on one device and on several, to be compared."""

from __future__ import annotations

from typing import Any

import numpy as np
import small_joint

import nmmfit
from nmmfit.inference.scan import scan
from nmmfit.inference.settings import SamplerSettings


def grid_of(points: int) -> dict[str, Any]:
    """A grid of values whose number of points no number of devices divides."""
    found = scan(small_joint.quick_joint(), {"L": (-3.0, 3.0, points + 1)}, profiled=False, refine=False)
    return {"grid": found.delta_chi2.tolist()}


def chains_of() -> dict[str, Any]:
    """Draws of 32 chains: two lanes of one device, or one of each of two."""
    settings = SamplerSettings(method="ensemble", chains=32, warmup=60, draws=40, seed=5)
    found = nmmfit.sample(small_joint.quick_joint(), settings)
    return {"draws": np.asarray(found.draws["L"]).ravel().tolist(), "divergences": int(found.sample_stats["diverging"].sum())}
