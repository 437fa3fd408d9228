"""Choices that this likelihood can be built with."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nmmfit.validation import StrictModel


class Options(StrictModel):
    """Options of `coherent_lar_2020`; unknown keys are errors."""

    time_window: Literal["inside", "any_time"] = Field(
        default="inside",
        description="inside: signal counts are those that arrive from -0.1 to 4.9 us, 90 percent of all; any_time: all of them, "
        "put into the window with the same shape, for the reading that the published prediction is that of any time",
    )
    signal_times: Literal["by_source", "common"] = Field(
        default="by_source",
        description="by_source: prompt and delayed neutrinos have their own times, so that late recoils are harder; common: one "
        "distribution for all, the Standard Model's mean, which is how the released signal is made",
    )
    rn_width: float = Field(default=0.02, gt=0.0, le=0.1, description="relative prior width of the neutron radius of argon")
