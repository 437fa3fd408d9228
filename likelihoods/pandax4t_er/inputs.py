"""Numbers of the PandaX-4T electron-recoil likelihood, each with its source and how far it was checked."""

from __future__ import annotations

import numpy as np

from nmmfit.physics.xenon_response import XenonResponse, polynomial_resolution, rising

# Run1: Phys. Rev. Lett. 134, 011805 (arXiv:2408.00664) as quoted in public documentation (diamx).
TONNE_YEARS = 1.00
# sigma in keV, powers of the energy in keV up to 30 keV, the end of the window: arXiv:2206.02339, as quoted in a public audit of
# that paper; of Run0, taken for Run1.
RESOLUTION, RESOLUTION_END_KEV = (0.073, 0.173, -6.5e-3, 1.1e-4), 30.0
# Bins of 1 keV; the first, from 0 to 1 keV, is outside the window.
EDGES_KEV = np.arange(1.0, 31.0)
# Relative width of the flat background: 9 %, Table I of arXiv:2206.02339 (Run0), as quoted in the same place.
BACKGROUND_WIDTH = 0.09
# Tritium is free in the collaboration's fit.
TRITIUM_WIDTH = 1.0


def response(energy_kev: np.ndarray, efficiency: np.ndarray) -> XenonResponse:
    """Response with the drawn efficiency, which is of the smeared energy (arXiv:2206.02339), without its fall above 22 keV.

    The drawn background does not fall there, nor do the counts.
    """
    sigma = polynomial_resolution(RESOLUTION, RESOLUTION_END_KEV)
    return XenonResponse(sigma, energy_kev, rising(efficiency), of="reconstructed", corners_kev=(RESOLUTION_END_KEV,))
