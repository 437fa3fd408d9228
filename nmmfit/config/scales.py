"""Scales at which coefficients below m_W may live."""

from __future__ import annotations

import math

from nmmfit.errors import UserInputError
from nmmfit.validation import refuse

LOW_SCALE_GEV = 2.0
"""Scale of the low-energy couplings; coefficients live at or above it."""
HIGH_SCALE_GEV = 80.379
"""W mass, the highest scale at which coefficients may live."""


def check_scale(scale_gev: float, where: str = "") -> None:
    """Refuse a scale of coefficients outside what is implemented, 2 GeV to m_W.

    Raises: pydantic's validation error inside a model; where `where` names a place, UserInputError.
    """
    if math.isfinite(scale_gev) and LOW_SCALE_GEV <= scale_gev <= HIGH_SCALE_GEV:
        return
    side = "above m_W" if scale_gev > HIGH_SCALE_GEV else "below 2 GeV" if scale_gev < LOW_SCALE_GEV else "no number"
    message = f"{scale_gev:g} GeV is {side}; coefficients are implemented from {LOW_SCALE_GEV:g} to {HIGH_SCALE_GEV:g} GeV"
    if where:
        raise UserInputError(f"{where}: {message}")
    raise refuse(message)
