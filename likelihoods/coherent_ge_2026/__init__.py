"""COHERENT Ge-Mini (2026): number of coherent scatters on germanium at the SNS, 124 +14 -12, arXiv:2603.17951."""

from __future__ import annotations

from typing import Any

from nmmfit.experiment import BinnedExperiment, Published, TheoryChoices
from nmmfit.listing import Listing
from nmmfit.rate_experiment import GermaniumRateOptions, PublishedRate, germanium_rate_experiment
from nmmfit.validation import chosen_options

LISTING = Listing(
    kind="rate only",
    status="numbers of the abstract of arXiv:2603.17951; threshold that of the 2024 analysis, quenching as chosen",
    overlaps=("coherent_ge_2024",),
)
NAME = "coherent_ge_2026"
# Abstract: 124 +14 -12 events, sigma / sigma_SM = 1.00 +- 0.10 (stat) +- 0.10 (syst).
OBSERVED, ERROR_UP, ERROR_DOWN = 124.0, 14.0, 12.0
RATIO = 1.00


class Options(GermaniumRateOptions):
    """Options of `coherent_ge_2026`; unknown keys are errors."""


def build(theory: TheoryChoices = TheoryChoices(), **options: Any) -> BinnedExperiment:  # noqa: B008 (frozen)
    """Build the experiment; see `nmmfit.rate_experiment`.

    Args:
        theory: tensor coherence, weak charges, form factor, nuclear spin and mass of N.
        options: see `Options`.
    Raises: UserInputError for an unknown option or choice.
    """
    chosen = chosen_options(Options, options, NAME)
    return germanium_rate_experiment(
        NAME,
        "COHERENT Ge-Mini 2026, number of coherent scatters on germanium",
        PublishedRate(OBSERVED, ERROR_UP, ERROR_DOWN, OBSERVED / RATIO),
        theory,
        chosen,
        references=("arXiv:2603.17951",),
        overlaps=LISTING.overlaps,
        status=LISTING.status,
        choices={"systematic error": "10 %, taken as that of the neutrino flux, sns.flux, which all COHERENT experiments share"},
        published=(Published("fitted_counts", OBSERVED, "arXiv:2603.17951, abstract", ERROR_DOWN, ERROR_UP),),
    )


__all__ = ["Options", "build"]
