"""Numbers of the LZ electron-recoil likelihood, each with its source and how far it was checked."""

from __future__ import annotations

import numpy as np

from nmmfit.physics.xenon_response import XenonResponse, rising, square_root_resolution

RUNS = ("ws2022", "ws2024")
# 60 live days and 5.5 t (abstract of arXiv:2307.15753), and what is left of the 4.2 tonne-years of both (title of
# arXiv:2511.17350).
TONNE_YEARS = {"ws2022": 60.0 * 5.5 / 365.25, "ws2024": 4.2 - 60.0 * 5.5 / 365.25}
# sigma = a sqrt(E), a in sqrt(keV): used for LZ in a public code (SNuDD). Hardly matters: spectra are smooth.
RESOLUTION = 0.33
# Bins of 1 keV; the first, from 0 to 1 keV, is outside the window.
EDGES_KEV = np.arange(1.0, 21.0)
# Relative widths of the backgrounds other than solar neutrinos, expectations before the fit, errors in quadrature: 215 +- 36
# (beta decays and detector), 9.2 +- 0.8 (127Xe), 5.0 +- 1.4 (124Xe), 15.1 +- 2.4 (136Xe) events in the window of the search for
# WIMPs, Table I of arXiv:2207.03764; 743 +- 88 (214Pb), 162 +- 22 (85Kr, 39Ar, detector), 62.7 +- 7.5 (212Pb, 218Po),
# 58.3 +- 3.3 (3H, 14C), 55.6 +- 8.3 (136Xe), 19.4 +- 3.9 (124Xe), 3.2 +- 0.6 (127Xe, 125Xe), 2.8 +- 0.6 (accidental), Table I of
# arXiv:2410.17036; both as quoted in public documentation (diamx).
BACKGROUND_WIDTHS = {"ws2022": 36.1 / 244.3, "ws2024": 91.5 / 1107.0}
# 37Ar is free in the collaboration's fit.
ARGON_WIDTH = 1.0


def response(energy_kev: np.ndarray, efficiency: np.ndarray) -> XenonResponse:
    """Response with the drawn efficiency, which is of the true energy, without its fall at the end of the window.

    The fall, to one half at 20 keV, is that of the window itself: the smearing into bins contains it. The drawn backgrounds do
    not fall.
    """
    return XenonResponse(square_root_resolution(RESOLUTION), energy_kev, rising(efficiency), of="recoil")
