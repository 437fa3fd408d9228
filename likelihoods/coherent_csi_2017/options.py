"""Choices that this likelihood can be built with."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nmmfit.validation import StrictModel


class Options(StrictModel):
    """Options of `coherent_csi_2017`; unknown keys are errors."""

    quenching: Literal["flat_2017", "polynomial_2021"] = Field(
        default="flat_2017",
        description="flat_2017: 8.78 +- 1.66 percent at all energies, as released with these data; polynomial_2021: the curve of "
        "arXiv:2110.07730 with its two principal components, a later fit to more measurements",
    )
    steady_state: Literal["free_shape", "fixed_shape"] = Field(
        default="free_shape",
        description="free_shape: one nuisance per energy bin and an exponential fall with time, measured by the anti-coincidence "
        "channel; fixed_shape: product of the energy and time distributions of all samples without signal, one yield known to "
        "the Poisson error of the anti-coincidence count, no anti-coincidence channel",
    )
    rn_width: float = Field(default=0.02, gt=0.0, le=0.1, description="relative prior width of the neutron radii of Cs and I")
