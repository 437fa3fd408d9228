"""How exactly templates stand for the direct evaluation."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from nmmfit.validation import StrictModel

DEFAULT_TOLERANCE = 5e-5
"""Aimed error in the log-likelihood of a channel where every bin is a standard deviation off."""

Tolerance = Annotated[float, Field(ge=1e-8, le=1e-2)]


class TemplateSpec(StrictModel):
    """How exactly templates stand for the direct evaluation; a smaller tolerance makes every evaluation slower."""

    tolerance: Annotated[
        Tolerance, Field(description="aimed error in the log-likelihood of a channel, every bin one standard deviation off")
    ] = DEFAULT_TOLERANCE
    tolerances: Annotated[dict[str, Tolerance], Field(description="experiment -> a tolerance of its own")] = Field(
        default_factory=dict
    )

    def of(self, experiment: str) -> float:
        """The tolerance of an experiment."""
        return self.tolerances.get(experiment, self.tolerance)
