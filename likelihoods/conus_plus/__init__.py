"""CONUS+ (2025): number of coherently scattered reactor antineutrinos on germanium, 395 +- 106 where 347 +- 59 are predicted."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpyro import distributions as dist

from nmmfit.experiment import BinnedExperiment, Channel, Component, Factor, TheoryChoices
from nmmfit.listing import Listing
from nmmfit.physics.quenching import LINDHARD_SOURCES
from nmmfit.physics.reactor import ENERGY_SOURCES, SPECTRUM_SOURCES
from nmmfit.physics.sources import flavour_projector
from nmmfit.shapes import Array
from nmmfit.validation import chosen_options

from .model import NAME, counted_recoils
from .options import Options

LISTING = Listing(
    kind="rate only",
    status="numbers seen in arXiv:2501.05206; Standard Model normalised to its prediction, quenching as chosen",
)
OBSERVED, OBSERVED_ERROR = 395.0, 106.0
PREDICTED, PREDICTED_ERROR = 347.0, 59.0
PREDICTION = f"{NAME}.prediction"


def build(theory: TheoryChoices = TheoryChoices(), **options: Any) -> BinnedExperiment:  # noqa: B008 (frozen)
    """One Gaussian in the number of recoils above threshold.

    Args:
        theory: tensor coherence, weak charges, form factor and nuclear spin; massless N only.
        options: see `Options`.
    Returns: one bin; the pull `conus_plus.prediction` moves all of the signal by the published error of the prediction, which is
        mostly that of threshold and quenching.
    Raises: UserInputError for an unknown option or choice.
    """
    chosen = chosen_options(Options, options, NAME)
    recoils = counted_recoils(theory, chosen)
    scale = PREDICTED / recoils.standard_model if chosen.normalisation == "published" else 1.0
    width = np.log1p(PREDICTED_ERROR / PREDICTED)

    def distribution(expected: Array) -> Any:
        return dist.Normal(expected, OBSERVED_ERROR)

    signal = Component(
        "cevns",
        (Factor(lambda forms, pulls: scale * recoils.counts(forms), forms=recoils.forms),),
        lambda pulls: np.e ** (width * pulls[PREDICTION]),
        (PREDICTION,),
    )
    return BinnedExperiment(
        name=NAME,
        title="CONUS+ 2025, coherent scattering of reactor antineutrinos on germanium",
        channels=(
            Channel(
                "recoils",
                np.array([OBSERVED]),
                (signal,),
                {"ionisation_ev": np.array([chosen.threshold_ev, recoils.largest_ionisation_ev])},
                distribution=distribution,
                statistic="normal",
            ),
        ),
        pulls={PREDICTION: dist.Normal(0.0, 1.0)},
        references=("arXiv:2501.05206", "doi:10.1038/s41586-025-09322-2", "arXiv:2407.11912 (set-up)"),
        formulae=(*SPECTRUM_SOURCES[chosen.spectrum], *ENERGY_SOURCES, *LINDHARD_SOURCES),
        overlaps=LISTING.overlaps,
        status=LISTING.status,
        choices={
            "tensor_coherence": theory.tensor_coherence,
            "weak_charges": theory.weak_charges,
            "form_factor": theory.form_factor,
            "normalisation": f"{chosen.normalisation}: {scale * recoils.standard_model:.0f} events in the Standard Model, "
            f"{recoils.standard_model:.0f} by this model's own flux, exposure and threshold",
            "quenching": recoils.quenching,
            "threshold": f"{chosen.threshold_ev:g} eV of ionisation for all detectors, resolution {chosen.fwhm_ev:g} eV (FWHM)",
            "spectrum": chosen.spectrum,
            "left out": "scattering on electrons, which has another shape than what was counted",
            **({} if theory.nuclear_spin == "half" else {"nuclear_spin": theory.nuclear_spin}),
        },
        effective_moments={"reactor_e": (flavour_projector("e"), True)},
    )


__all__ = ["Options", "build"]
