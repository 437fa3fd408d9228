"""COHERENT Ge-Mini (2024): number of coherent scatters on germanium at the SNS, 20.6 +7.1 -6.3, arXiv:2406.13806."""

from __future__ import annotations

import math
from typing import Any

from nmmfit.experiment import BinnedExperiment, Published, TheoryChoices
from nmmfit.listing import Listing
from nmmfit.physics.sns import SNS_FLUX_RELATIVE_ERROR
from nmmfit.rate_experiment import GermaniumRateOptions, PublishedRate, germanium_rate_experiment
from nmmfit.validation import chosen_options

LISTING = Listing(
    kind="rate only",
    status="numbers of the abstract; Standard Model's prediction from memory of arXiv:2406.13806, unverified",
    overlaps=("coherent_ge_2026",),
    in_all=False,
)
NAME = "coherent_ge_2024"
# Observed: abstract. Predicted: from memory of the paper, unverified (PROVENANCE.md); its error holds the flux's 10 %.
OBSERVED, ERROR_UP, ERROR_DOWN = 20.6, 7.1, 6.3
PREDICTED, PREDICTED_ERROR = 35.1, 3.6


class Options(GermaniumRateOptions):
    """Options of `coherent_ge_2024`; unknown keys are errors."""


def build(theory: TheoryChoices = TheoryChoices(), **options: Any) -> BinnedExperiment:  # noqa: B008 (frozen)
    """Build the experiment; see `nmmfit.rate_experiment`.

    Args:
        theory: tensor coherence, weak charges, form factor, nuclear spin and mass of N.
        options: see `Options`.
    Raises: UserInputError for an unknown option or choice.
    """
    chosen = chosen_options(Options, options, NAME)
    other = math.sqrt((PREDICTED_ERROR / PREDICTED) ** 2 - SNS_FLUX_RELATIVE_ERROR**2)
    return germanium_rate_experiment(
        NAME,
        "COHERENT Ge-Mini 2024, number of coherent scatters on germanium",
        PublishedRate(OBSERVED, ERROR_UP, ERROR_DOWN, PREDICTED, other),
        theory,
        chosen,
        references=("arXiv:2406.13806", "doi:10.1103/PhysRevLett.134.231801"),
        overlaps=LISTING.overlaps,
        status=LISTING.status,
        choices={
            "prediction": f"{PREDICTED:g} +- {PREDICTED_ERROR:g} events, of which 10 % are sns.flux; from memory, unverified"
        },
        published=(
            Published("fitted_counts", OBSERVED, "arXiv:2406.13806, abstract", ERROR_DOWN, ERROR_UP),
            Published(
                "sm_counts",
                PREDICTED,
                "arXiv:2406.13806",
                PREDICTED_ERROR,
                PREDICTED_ERROR,
                status="from memory, to be verified",
                note="normalised to it",
            ),
        ),
    )


__all__ = ["Options", "build"]
