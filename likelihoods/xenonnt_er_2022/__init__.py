"""XENONnT electronic recoils 2022: solar neutrinos on electrons in xenon, 1.16 tonne-years (digitised spectrum)."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Literal

import numpy as np
from pydantic import Field

from nmmfit.experiment import BinnedExperiment, Published, TheoryChoices
from nmmfit.listing import Listing
from nmmfit.physics.xenon_response import XenonResponse, square_root_resolution
from nmmfit.tables import bin_grid, read_table
from nmmfit.validation import chosen_options
from nmmfit.xenon_experiment import Background, XenonOptions, XenonRun, xenon_experiment

NAME = "xenonnt_er_2022"
LISTING = Listing(
    kind="digitised",
    status="counts, background and efficiency digitised by a third party; one normalisation for the whole fitted background",
)
# sigma = a sqrt(E) + b E: used for this spectrum in a public code (SNuDD); XENON1T's form. Hardly matters: spectra are smooth.
RESOLUTION = (0.310, 0.0037)
# Relative widths of the background: of 214Pb, 960 +- 120 events from 1 to 140 keV, most of what is below 30 keV; and of all
# backgrounds, errors in quadrature, 168 of 3351 events. Table I of arXiv:2207.11330 as quoted in a public code (SNuDD).
BACKGROUND_WIDTHS = {"1_30": 120.0 / 960.0, "1_140": 168.0 / 3351.0}
LAST_KEV = {"1_30": 30.0, "1_140": 140.0}


class Options(XenonOptions):
    """Options of `xenonnt_er_2022`; unknown keys are errors."""

    window: Literal["1_30", "1_140"] = Field(
        default="1_30",
        description="1_30: reconstructed energies from 1 to 30 keV; 1_140: to 140 keV, where one normalisation of the whole "
        "background, fixed by 136Xe and 124Xe at high energies, is too stiff at low ones",
    )


def build(theory: TheoryChoices = TheoryChoices(), **options: Any) -> BinnedExperiment:  # noqa: B008 (frozen)
    """Build the experiment: one Poisson channel of 2-keV bins.

    Args:
        theory: uses `electron_radiative` and `m_n_mev`, one mass.
        options: see `Options`.
    Raises: UserInputError for an unknown option or a range of masses of N; DataError for a broken table.
    """
    chosen = chosen_options(Options, options, NAME)
    data = files(__name__) / "data"
    spectrum = read_table(data / "spectrum.csv", ("counts", "background", "solar"))
    efficiency = read_table(data / "efficiency.csv", ("energy_kev", "efficiency"))
    (edges,) = bin_grid(spectrum, (("low_kev", "high_kev"),))
    bins = int(np.searchsorted(edges, LAST_KEV[chosen.window]))
    background = Background("background", spectrum["background"][:bins], f"{NAME}.background", BACKGROUND_WIDTHS[chosen.window])
    run = XenonRun(
        name="spectrum",
        edges_kev=edges[: bins + 1],
        counts=spectrum["counts"][:bins],
        response=XenonResponse(
            square_root_resolution(*RESOLUTION), efficiency["energy_kev"], efficiency["efficiency"], of="reconstructed"
        ),
        tonne_years=spectrum.number("tonne_years"),
        backgrounds=(background,),
    )
    return xenon_experiment(
        NAME,
        "XENONnT 2022, solar neutrinos on electrons, 1.16 tonne-years",
        (run,),
        chosen,
        theory,
        references=("arXiv:2207.11330", "doi:10.1103/PhysRevLett.129.161805"),
        published=(
            Published(
                "sm_counts",
                float(spectrum["solar"][:bins].sum()),
                "arXiv:2207.11330, solar curve in the figure of the spectrum",
                status="digitised by a third party",
                note="more electrons take part below 6 keV than in the stepping approximation",
            ),
            Published(
                "mu_eff_solar_pp",
                0.64,
                "arXiv:2207.11330",
                status="from memory, to be verified",
                note="unbinned fit with separate backgrounds; convention and treatment of bound electrons make the difference",
                options={"binding": "free"},
                one_sided=True,
            ),
            Published(
                "sm_counts",
                300.0,
                "arXiv:2207.11330, table I, 1 to 140 keV",
                30.0,
                30.0,
                status="from memory, to be verified",
                options={"window": "1_140"},
                only_switched=True,
            ),
        ),
        status=LISTING.status,
    )


__all__ = ["Options", "build"]
