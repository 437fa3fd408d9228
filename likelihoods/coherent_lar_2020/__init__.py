"""COHERENT CENNS-10 (2020): coherent scattering on argon at the SNS in energy, F90 and time, arXiv:2003.10630, Analysis A."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from nmmfit.experiment import BinnedExperiment, Channel, Published, TheoryChoices, mass_choice
from nmmfit.listing import Listing
from nmmfit.physics.sns import SNS_EFFECTIVE_MOMENTS
from nmmfit.tables import bin_grid, read_table
from nmmfit.validation import chosen_options

from .model import NUCLIDE, backgrounds, signal
from .options import Options
from .response import NAME

LISTING = Listing(
    kind="binned release",
    status="Zenodo record 3903810, Analysis A; signal refolded, its F90 and pulse as released",
)

_AXES = (("energy_low_kee", "energy_high_kee"), ("f90_low", "f90_high"), ("time_low_us", "time_high_us"))

_RELEASE = "LArParametersAnlA.yaml of Zenodo 3903810, with arXiv:2003.10630"
PUBLISHED = (
    Published(
        "sm_counts",
        128.0,
        _RELEASE,
        17.0,
        17.0,
        note="inside the time window here; at any time (time_window = any_time) the Standard Model has 12 % more",
    ),
    Published(
        "fitted_counts",
        159.0,
        _RELEASE,
        43.0,
        43.0,
        note="with one time distribution for all energies (signal_times = common), shapes of the release, statistical error",
    ),
)


def build(theory: TheoryChoices = TheoryChoices(), **options: Any) -> BinnedExperiment:  # noqa: B008 (frozen)
    """Build the experiment: read its tables, fold the kernels.

    Args:
        theory: tensor coherence, weak charges, form factor, nuclear spin and mass of N.
        options: see `Options`.
    Returns: one Poisson channel "events"; bins are energy x F90 x time, 12 x 8 x 10.
    Raises: UserInputError for an unknown option or choice; DataError for a broken table.
    """
    chosen = chosen_options(Options, options, NAME)
    data = files(__name__) / "data"
    counts, outer, time = (read_table(data / f"{name}.csv") for name in ("counts", "energy_f90", "time"))
    edges = dict(zip(("energy_kee", "f90", "time_us"), bin_grid(counts, _AXES), strict=True))
    cevns, signal_pulls, largest = signal(read_table(data / "efficiency.csv"), outer, edges, theory, chosen)
    other, background_pulls = backgrounds(outer, time, edges["time_us"])
    return BinnedExperiment(
        name=NAME,
        title="COHERENT CENNS-10 2020 (argon), coherent elastic neutrino-nucleus scattering",
        channels=(Channel("events", counts["observed"], (*cevns, *other), edges),),
        pulls={**signal_pulls, **background_pulls},
        references=("arXiv:2003.10630", "doi:10.1103/PhysRevLett.126.012002", "doi:10.5281/zenodo.3903810"),
        status=LISTING.status,
        choices={
            "tensor_coherence": theory.tensor_coherence,
            "weak_charges": theory.weak_charges,
            "form_factor": theory.form_factor,
            "time_window": chosen.time_window,
            "signal_times": chosen.signal_times,
            **({} if theory.nuclear_spin == "half" else {"nuclear_spin": theory.nuclear_spin}),
            **mass_choice(theory, largest),
        },
        nuclei=(NUCLIDE,),
        effective_moments=SNS_EFFECTIVE_MOMENTS,
        largest_m_n_mev=largest,
        published=PUBLISHED,
    )


__all__ = ["Options", "build"]
