"""COHERENT CsI[Na], first observation (2017): coherent scattering at the SNS in photoelectrons and time, arXiv:1708.01294."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from nmmfit.components import beam_channels, unit_pulls
from nmmfit.experiment import BinnedExperiment, Published, TheoryChoices, nuclear_choices
from nmmfit.listing import Listing
from nmmfit.physics.sns import SNS_EFFECTIVE_MOMENTS
from nmmfit.tables import bin_grid, read_table
from nmmfit.validation import chosen_options

from .model import NEUTRONS, NUCLIDES, neutrons, signal, steady_state
from .options import Options
from .response import NAME, response_of

LISTING = Listing(
    kind="binned release",
    status="Zenodo record 1228631; protons on target and window as quoted in public analyses",
    overlaps=("coherent_csi_2021", "coherent_csi_2017_limit"),
    in_all=False,
)

_MEMORY = "from memory, to be verified"
PUBLISHED = (
    Published("sm_counts", 173.0, "arXiv:1708.01294", 48.0, 48.0, status=_MEMORY),
    Published(
        "fitted_counts",
        134.0,
        "arXiv:1708.01294",
        22.0,
        22.0,
        status="read in a secondary source",
        note="fixed shape of the steady-state background",
        options={"steady_state": "fixed_shape"},
    ),
    Published(
        "sm_counts",
        6.0,
        "arXiv:1708.01294",
        1.3,
        1.3,
        status=_MEMORY,
        note="here the released distribution, exposure and acceptance, which give no other number",
        component="neutrons",
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
    counts, time = read_table(data / "counts.csv"), read_table(data / "time.csv")
    energy_edges, time_edges = bin_grid(counts, (("energy_low_pe", "energy_high_pe"), ("time_low_us", "time_high_us")))
    shape = (len(energy_edges) - 1, len(time_edges) - 1)

    response = response_of(chosen.quenching, energy_edges, read_table(data / "quenching_2021.csv", text=("set",)))
    weighting = response.weighting(energy_edges)
    cevns, signal_pulls, largest = signal(response, weighting, time, theory, chosen.rn_width)
    neutron = neutrons(read_table(data / "neutrons.csv")["events"], weighting, time)
    samples = {name: counts[name].reshape(shape) for name in ("anticoincidence", "off_beam")}
    steady, steady_pulls = steady_state(samples, time_edges, chosen.steady_state)

    edges = {"energy_pe": energy_edges, "time_us": time_edges}
    with_beam = (*cevns, neutron)
    return BinnedExperiment(
        name=NAME,
        title="COHERENT CsI[Na] 2017, coherent elastic neutrino-nucleus scattering",
        channels=beam_channels(counts, with_beam, steady, edges, chosen.steady_state == "free_shape"),
        pulls={**signal_pulls, **unit_pulls(NEUTRONS), **steady_pulls},
        references=("arXiv:1708.01294", "doi:10.1126/science.aao0990", "doi:10.5281/zenodo.1228631"),
        overlaps=LISTING.overlaps,
        status=LISTING.status,
        choices=nuclear_choices(
            theory,
            {
                "quenching": response.describe,
                "steady_state": chosen.steady_state,
            },
            largest,
        ),
        nuclei=NUCLIDES,
        effective_moments=SNS_EFFECTIVE_MOMENTS,
        largest_m_n_mev=largest,
        published=PUBLISHED,
    )


__all__ = ["Options", "build"]
