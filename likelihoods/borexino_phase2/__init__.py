"""Borexino Phase-II solar neutrinos: electron recoils between 100 and 700 hits, with solar rates recomputed from theory."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Literal

import numpy as np
from numpyro import distributions as dist
from pydantic import BaseModel, ConfigDict

from likelihoods.borexino_phase2.backgrounds import C14_SCALE, PO210_SCALE, background_components, background_pull
from likelihoods.borexino_phase2.inputs import BACKGROUNDS, FIRST_HITS, LAST_HITS
from likelihoods.borexino_phase2.response import SHAPE_PULLS, hit_edges
from likelihoods.borexino_phase2.solar_rates import borexino_factor, fold_kernels, massive_kernels, recoil_grid
from nmmfit.errors import DataError
from nmmfit.experiment import BinnedExperiment, Channel, Published, TheoryChoices, mass_choice
from nmmfit.listing import Listing
from nmmfit.physics.massive_electrons import largest_mass_mev
from nmmfit.physics.oscillation import oscillation_pull_priors
from nmmfit.physics.solar import SOLAR_COMPONENTS, solar_fluxes, solar_pull_priors, solar_sources
from nmmfit.physics.solar_pulls import (
    FluxConstraint,
    SolarModel,
    flux_constraint,
    flux_constraint_name,
    flux_pull_meanings,
    flux_widths,
    solar_moment_density,
)
from nmmfit.solar_experiment import solar_components
from nmmfit.tables import read_table

LISTING = Listing(
    kind="binned release",
    status="official counts; background curves from a vector extraction by a third party; gallium numbers from memory of "
    "arXiv:1707.09355 and references there; unverified",
    overlaps=("borexino_phase2_limit",),
)


PUBLISHED = (
    Published(
        "mu_eff_solar",
        2.8,
        "arXiv:1707.09355, abstract",
        note="made with the tagged spectrum, radial and pulse-shape information besides; here the untagged spectrum alone",
    ),
)


class Options(BaseModel):
    """Options of `build`.

    solar_flux_constraint: "gallium": pp, 7Be and pep free, tied by the measured gallium rate; "free": the same without it;
        "ssm": solar-model errors for all. CNO, 8B and hep keep their solar-model errors in each: the spectrum cannot tell CNO
        from 210Bi and pep.
    ssm: solar model of the fluxes at pull 0 and of the production regions.
    bin_structure: "po210" adds the residual structure of the official fit to the 210Po curve; "none" leaves it out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    solar_flux_constraint: FluxConstraint = "gallium"
    ssm: SolarModel = "b16_gs98"
    bin_structure: Literal["po210", "none"] = "po210"


def build(theory: TheoryChoices | None = None, **options: Any) -> BinnedExperiment:
    """The experiment: one Poisson channel of 601 bins.

    Args:
        theory: choices of theory; uses `electron_radiative` and `m_n_mev`.
        options: see Options.
    Raises: pydantic.ValidationError for an unknown option; DataError for a broken table.
    """
    chosen = Options(**options)
    theory = TheoryChoices() if theory is None else theory
    folder = files(__name__) / "data"
    spectrum = read_table(folder / "spectrum.csv", ("n_hits", "counts"))
    if not np.array_equal(spectrum["n_hits"], np.arange(FIRST_HITS, LAST_HITS + 1)):
        raise DataError(f"{spectrum.where}: n_hits must be {FIRST_HITS} to {LAST_HITS}, one row each, in order")
    widths = flux_widths(chosen.solar_flux_constraint)
    sources = solar_sources(chosen.ssm)
    fluxes = {name: flux for name, (flux, _) in solar_fluxes(chosen.ssm).items()}
    grid = recoil_grid(sources.values())
    kernels = fold_kernels(sources, fluxes, grid, theory.electron_radiative)
    heavy = massive_kernels(sources, kernels, fluxes, theory.m_n_mev)
    largest = largest_mass_mev(sources) if heavy else None
    factors = {name: borexino_factor(sources[name], kernels[name], grid, heavy.get(name)) for name in SOLAR_COMPONENTS}
    solar = solar_components(factors, chosen.ssm, widths)
    backgrounds = background_components(
        read_table(folder / "backgrounds.csv", text=("component",)),
        read_table(folder / "bin_structure.csv"),
        chosen.bin_structure,
    )
    own = (*SHAPE_PULLS, C14_SCALE, PO210_SCALE, *(background_pull(name) for name in BACKGROUNDS))
    constraint = flux_constraint(chosen.ssm, widths) if chosen.solar_flux_constraint == "gallium" else None
    return BinnedExperiment(
        name="borexino_phase2",
        title="Borexino Phase-II, solar neutrinos on electrons, Dec 2011 - May 2016",
        channels=(Channel("spectrum", np.asarray(spectrum["counts"]), solar + backgrounds, {"energy_hits": hit_edges()}),),
        pulls={**solar_pull_priors(), **oscillation_pull_priors(), **{name: dist.Normal(0.0, 1.0) for name in own}},
        references=(
            "doi:10.1038/s41586-018-0624-y (data)",
            "arXiv:1707.09279 (fit components)",
            "arXiv:2204.03011 (response)",
            "arXiv:1707.09355 (the collaboration's limit on the magnetic moment)",
        ),
        published=PUBLISHED,
        constraint=constraint,
        constraint_name=None if constraint is None else flux_constraint_name(chosen.ssm),
        pull_meanings=flux_pull_meanings(chosen.ssm, widths),
        overlaps=LISTING.overlaps,
        status=LISTING.status,
        choices={**chosen.model_dump(), "electron_radiative": theory.electron_radiative, **mass_choice(theory, largest)},
        effective_moments={"solar": (solar_moment_density(chosen.ssm), False)},
        largest_m_n_mev=largest,
    )
