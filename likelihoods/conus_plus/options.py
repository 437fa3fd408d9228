"""Choices that this likelihood can be built with."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nmmfit.validation import StrictModel


class Options(StrictModel):
    """Options of `conus_plus`; unknown keys are errors."""

    quenching: Literal["bonhomme2022", "lindhard", "scholz2016"] = Field(
        default="bonhomme2022",
        description="strength k of Lindhard's model for germanium: 0.162 (arXiv:2202.03754, the collaboration's), 0.157 or 0.179",
    )
    lindhard_k: float | None = Field(default=None, gt=0.05, le=0.4, description="any other strength k, in place of `quenching`")
    threshold_ev: float = Field(
        default=170.0, ge=100.0, le=400.0, description="ionisation energy from which recoils count; published: 160 to 180 eV"
    )
    fwhm_ev: float = Field(default=0.0, ge=0.0, le=100.0, description="resolution of the ionisation energy; 0: a sharp threshold")
    normalisation: Literal["published", "absolute"] = Field(
        default="published",
        description="published: the Standard Model gives the published 347 events, whatever the other choices; "
        "absolute: events from flux, exposure, quenching and threshold, with full efficiency",
    )
    spectrum: Literal["huber_mueller", "bestiole"] = Field(default="huber_mueller", description="see nmmfit.physics.reactor")
