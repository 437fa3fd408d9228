"""COHERENT CsI[Na], full data set (2021): coherent scattering at the SNS in photoelectrons and time, arXiv:2110.07730."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from nmmfit.components import beam_channels
from nmmfit.experiment import BinnedExperiment, Published, TheoryChoices, nuclear_choices
from nmmfit.listing import Listing
from nmmfit.physics.sns import SNS_EFFECTIVE_MOMENTS
from nmmfit.tables import bin_grid, read_table
from nmmfit.validation import chosen_options

from .backgrounds import neutrons, steady_state
from .model import NUCLIDES, signal
from .options import Options
from .response import NAME, read_response

LISTING = Listing(
    kind="binned release",
    status="ancillary files of arXiv:2110.07730; arrival times from a copy of its flux simulation",
    overlaps=("coherent_csi_2017", "coherent_csi_2017_limit"),
)


_MEMORY = "from memory, to be verified"
PUBLISHED = (
    Published(
        "sm_counts", 341.0, "arXiv:2110.07730", 43.4, 43.4, _MEMORY, "errors of 11 (theory) and 42 (experiment) in quadrature"
    ),
    Published(
        "fitted_counts",
        306.0,
        "arXiv:2110.07730",
        20.0,
        20.0,
        _MEMORY,
        "the published error cannot be reproduced: Poisson fluctuations alone give 30",
        options={"steady_state": "fixed_shape"},
    ),
)


def build(theory: TheoryChoices = TheoryChoices(), **options: Any) -> BinnedExperiment:  # noqa: B008 (frozen)
    """Build the experiment: read its tables, fold the kernels.

    Args:
        theory: tensor coherence, weak charges, form factor, nuclear spin and mass of N.
        options: see `Options`.
    Returns: channels "coincidence" and, unless `steady_state` is "fixed_shape", "anticoincidence"; bins are energy x time.
    Raises: UserInputError for an unknown option or choice; DataError for a broken table.
    """
    chosen = chosen_options(Options, options, NAME)
    data = files(__name__) / "data"
    counts = read_table(data / "counts.csv")
    coefficients = read_table(data / "coefficients.csv", text=("kind", "set"))
    energy_edges, time_edges = bin_grid(counts, (("energy_low_pe", "energy_high_pe"), ("time_low_us", "time_high_us")))
    anticoincidence = counts["anticoincidence"].reshape(len(energy_edges) - 1, len(time_edges) - 1)

    response = read_response(coefficients, energy_edges, chosen.efficiency_pull)
    cevns, signal_pulls, largest = signal(response, time_edges, theory, chosen)
    neutron, neutron_pulls = neutrons(
        read_table(data / "background_energy.csv"), read_table(data / "background_time.csv"), time_edges
    )
    steady, steady_pulls = steady_state(anticoincidence, time_edges, chosen.steady_state)

    edges = {"energy_pe": energy_edges, "time_us": time_edges}
    with_beam = (*cevns, *neutron)
    return BinnedExperiment(
        name=NAME,
        title="COHERENT CsI[Na] 2021, coherent elastic neutrino-nucleus scattering",
        channels=beam_channels(counts, with_beam, steady, edges, chosen.steady_state == "free_shape"),
        pulls={**signal_pulls, **neutron_pulls, **steady_pulls},
        references=("arXiv:2110.07730", "doi:10.1103/PhysRevLett.129.081801"),
        published=PUBLISHED,
        overlaps=LISTING.overlaps,
        status=LISTING.status,
        choices=nuclear_choices(
            theory,
            {
                "binning": chosen.binning,
                "efficiency_pull": chosen.efficiency_pull,
                "steady_state": chosen.steady_state,
            },
            largest,
        ),
        nuclei=NUCLIDES,
        effective_moments=SNS_EFFECTIVE_MOMENTS,
        largest_m_n_mev=largest,
    )


__all__ = ["Options", "build"]
