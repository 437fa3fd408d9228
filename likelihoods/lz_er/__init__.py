"""LZ electron recoils, WS2022 and WS2024: solar neutrinos on electrons in xenon, 4.2 tonne-years (digitised spectra)."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from nmmfit.experiment import BinnedExperiment, Published, TheoryChoices
from nmmfit.listing import Listing
from nmmfit.tables import bin_grid, read_table
from nmmfit.validation import chosen_options
from nmmfit.xenon_experiment import Background, XenonOptions, XenonRun, xenon_experiment

from .inputs import ARGON_WIDTH, BACKGROUND_WIDTHS, RUNS, TONNE_YEARS, response

NAME = "lz_er"
LISTING = Listing(
    kind="digitised",
    status="counts, background and efficiencies digitised by a third party; one normalisation per run for the "
    "whole fitted background but 37Ar",
)


class Options(XenonOptions):
    """Options of `lz_er`; unknown keys are errors."""


def build(theory: TheoryChoices = TheoryChoices(), **options: Any) -> BinnedExperiment:  # noqa: B008 (frozen)
    """Build the experiment: Poisson channels "ws2022" and "ws2024" of 1-keV bins from 1 to 20 keV.

    Args:
        theory: uses `electron_radiative` and `m_n_mev`, one mass.
        options: see `Options`.
    Raises: UserInputError for an unknown option or a range of masses of N; DataError for a broken table.
    """
    chosen = chosen_options(Options, options, NAME)
    return xenon_experiment(
        NAME,
        "LZ WS2022 and WS2024, solar neutrinos on electrons, 4.2 tonne-years",
        [_run(files(__name__) / "data", run) for run in RUNS],
        chosen,
        theory,
        references=("arXiv:2511.17350", "arXiv:2307.15753", "arXiv:2410.17036", "arXiv:2207.03764 (backgrounds of WS2022)"),
        published=(
            Published(
                "mu_eff_solar_pp",
                1.1,
                "arXiv:2207.05036, abstract",
                note="a theory fit of WS2022 alone, in the window of the search for WIMPs",
            ),
        ),
        status=LISTING.status,
    )


def _run(data: Traversable, run: str) -> XenonRun:
    spectrum = read_table(data / f"{run}_spectrum.csv", ("counts", "smooth", "argon37"))
    efficiency = read_table(data / f"{run}_efficiency.csv", ("energy_kev", "efficiency"))
    (edges,) = bin_grid(spectrum, (("low_kev", "high_kev"),))
    backgrounds = [
        Background("background", spectrum["smooth"], f"{NAME}.background_{run}", BACKGROUND_WIDTHS[run], with_solar=True)
    ]
    if spectrum["argon37"].any():
        backgrounds.append(Background("argon37", spectrum["argon37"], f"{NAME}.argon37", ARGON_WIDTH, "softplus"))
    return XenonRun(
        name=run,
        edges_kev=edges,
        counts=spectrum["counts"],
        response=response(efficiency["energy_kev"], efficiency["efficiency"]),
        tonne_years=TONNE_YEARS[run],
        backgrounds=tuple(backgrounds),
    )


__all__ = ["Options", "build"]
