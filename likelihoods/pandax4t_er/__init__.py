"""PandaX-4T electron recoils, Run1: solar neutrinos on electrons in xenon, 1.0 tonne-year (digitised spectrum)."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from nmmfit.experiment import BinnedExperiment, TheoryChoices
from nmmfit.listing import Listing
from nmmfit.tables import bin_grid, read_table
from nmmfit.validation import chosen_options
from nmmfit.xenon_experiment import Background, XenonOptions, XenonRun, xenon_experiment

from .inputs import BACKGROUND_WIDTH, TONNE_YEARS, TRITIUM_WIDTH, response

NAME = "pandax4t_er"
LISTING = Listing(
    kind="digitised",
    status="counts, background and efficiency digitised by a third party; one normalisation for the whole "
    "fitted background but tritium; resolution and its width those of Run0",
)


class Options(XenonOptions):
    """Options of `pandax4t_er`; unknown keys are errors."""


def build(theory: TheoryChoices = TheoryChoices(), **options: Any) -> BinnedExperiment:  # noqa: B008 (frozen)
    """Build the experiment: one Poisson channel of 1-keV bins from 1 to 30 keV.

    Args:
        theory: uses `electron_radiative` and `m_n_mev`, one mass.
        options: see `Options`.
    Raises: UserInputError for an unknown option or a range of masses of N; DataError for a broken table.
    """
    chosen = chosen_options(Options, options, NAME)
    data = files(__name__) / "data"
    spectrum = read_table(data / "spectrum.csv", ("counts", "smooth", "tritium"))
    efficiency = read_table(data / "efficiency.csv", ("energy_kev", "efficiency"))
    (edges,) = bin_grid(spectrum, (("low_kev", "high_kev"),))
    run = XenonRun(
        name="run1",
        edges_kev=edges,
        counts=spectrum["counts"],
        response=response(efficiency["energy_kev"], efficiency["efficiency"]),
        tonne_years=TONNE_YEARS,
        backgrounds=(
            Background("background", spectrum["smooth"], f"{NAME}.background", BACKGROUND_WIDTH, with_solar=True),
            Background("tritium", spectrum["tritium"], f"{NAME}.tritium", TRITIUM_WIDTH, "softplus"),
        ),
    )
    return xenon_experiment(
        NAME,
        "PandaX-4T Run1, solar neutrinos on electrons, 1.0 tonne-year",
        (run,),
        chosen,
        theory,
        references=("arXiv:2408.07641", "arXiv:2408.00664", "arXiv:2206.02339 (resolution)"),
        status=LISTING.status,
    )


__all__ = ["Options", "build"]
