"""Solar rates to a massive N in Borexino: nodes of the response.

The nodes are Chebyshev's in sqrt(T), in which the resolution is nearly constant: half a standard deviation apart, where the
interpolation of a Gaussian is good to 1e-8.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from likelihoods.borexino_phase2.response import HIGHEST_RECOIL_MEV, LOWEST_RECOIL_MEV
from nmmfit.numerics.chebyshev import chebyshev_nodes
from nmmfit.physics.massive import RecoilNodes

_RECOIL_NODES = 160


@lru_cache(maxsize=1)
def heavy_recoils() -> RecoilNodes:
    """Nodes of the response for rates to N."""
    low, high = np.sqrt(LOWEST_RECOIL_MEV), np.sqrt(HIGHEST_RECOIL_MEV)
    root = 0.5 * (low + high) + 0.5 * (high - low) * chebyshev_nodes(_RECOIL_NODES)
    return RecoilNodes(root**2, np.sqrt, LOWEST_RECOIL_MEV, HIGHEST_RECOIL_MEV)
