"""Choices that this likelihood can be built with."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nmmfit.validation import StrictModel


class Options(StrictModel):
    """Options of `coherent_csi_2021`; unknown keys are errors."""

    efficiency_pull: Literal["released", "published_4_1_percent"] = Field(
        default="released",
        description="released: the +-1 sigma efficiency curves of the release, which move the yield by +11/-10 percent; "
        "published_4_1_percent: the same shape, scaled so that one sigma moves the yield by the published 4.1 percent",
    )
    rn_width: float = Field(
        default=0.02, gt=0.0, le=0.1, description="relative prior width of the neutron radii of Cs and I; the wide choice is 0.05"
    )
    timing_centre_ns: float = Field(
        default=0.0, ge=-200.0, le=200.0, description="nominal delay of the recorded neutrino arrival times"
    )
    timing_width_ns: float = Field(default=100.0, gt=0.0, le=150.0, description="prior width of that delay")
    steady_state: Literal["free_shape", "fixed_shape"] = Field(
        default="free_shape",
        description="free_shape: one nuisance per energy bin, measured by the anti-coincidence channel; "
        "fixed_shape: energy shape of the anti-coincidence data, one yield of 1286 events with the published 2.1 percent error, "
        "no anti-coincidence channel",
    )
    binning: Literal["published"] = Field(default="published", description="bins of the published fit")
