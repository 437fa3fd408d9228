"""Electron recoils of solar neutrinos in xenon: what the experiments with digitised spectra share.

A channel is a spectrum in reconstructed energy with Poisson counts. Signal: eight solar components on bound electrons
(physics.atomic), smeared and selected by a response without nuisances. Backgrounds: curves of the collaboration's own fit, with a
normalisation each. Where a drawn curve is the fit's total, solar neutrinos are in it: the Standard Model at nominal pulls, as
computed here, is then taken off, so that the nominal expectation is what was drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from numpyro import distributions as dist
from pydantic import Field

from nmmfit.errors import DataError, UserInputError
from nmmfit.experiment import BinnedExperiment, Channel, Component, Factor, Published, Pulls, TheoryChoices, mass_choice
from nmmfit.normalisation import normalisation
from nmmfit.physics.atomic import STEPPING_SOURCES, electrons_per_tonne, steps_mev
from nmmfit.physics.forms import N_FLAVOUR, Forms
from nmmfit.physics.massive_electrons import HeavyKernel, largest_mass_mev
from nmmfit.physics.oscillation import OscillationParameters, oscillation_pull_priors
from nmmfit.physics.solar import SOLAR_COMPONENTS, solar_fluxes, solar_pull_priors, solar_sources
from nmmfit.physics.solar_electrons import FoldedKernel, fold_kernels, recoil_grid
from nmmfit.physics.solar_pulls import (
    FluxConstraint,
    SolarModel,
    flux_constraint,
    flux_constraint_name,
    flux_pull_meanings,
    flux_widths,
    solar_moment_density,
)
from nmmfit.physics.sources import NeutrinoSource
from nmmfit.physics.xenon_response import LOWEST_RECOIL_KEV, XenonResponse
from nmmfit.shapes import Array
from nmmfit.solar_experiment import Response, solar_components, solar_factor
from nmmfit.units import KEV_PER_MEV, SECONDS_PER_DAY
from nmmfit.validation import StrictModel
from nmmfit.xenon_massive import heavy_kernels, recoil_ranges

DAYS_PER_YEAR = 365.25
# Points of an efficiency curve below this energy are ends of quadrature panels; above it the curves hardly bend.
_BENDS_BELOW_KEV = 4.0


class XenonOptions(StrictModel):
    """Options of the xenon experiments; unknown keys are errors."""

    solar_flux_constraint: FluxConstraint = Field(
        default="gallium",
        description="gallium: pp, 7Be and pep fluxes free, tied by the measured gallium rate, as in borexino_phase2; "
        "free: the same without it; ssm: solar-model errors for all",
    )
    ssm: SolarModel = Field(default="b16_gs98", description="solar model of the fluxes at pull 0 and of the production regions")
    binding: Literal["stepping", "free"] = Field(
        default="stepping",
        description="stepping: an electron takes part once the recoil energy exceeds its binding energy; free: all 54 always do",
    )


@dataclass(frozen=True)
class Background:
    """A drawn curve, counts per bin (bin,), with its pull's name and width as in `normalisation`.

    `with_solar`: whether the curve contains the solar neutrinos.
    """

    name: str
    counts: np.ndarray
    pull: str
    width: float
    form: str = "exponential"
    with_solar: bool = False


@dataclass(frozen=True)
class XenonRun:
    """One spectrum: bins in reconstructed energy, keV, counts, response, exposure in tonne-years of 365.25 days, backgrounds."""

    name: str
    edges_kev: np.ndarray
    counts: np.ndarray
    response: XenonResponse
    tonne_years: float
    backgrounds: tuple[Background, ...]

    @property
    def tonne_seconds(self) -> float:
        """Exposure in tonne-seconds."""
        return self.tonne_years * DAYS_PER_YEAR * SECONDS_PER_DAY


@dataclass(frozen=True)
class XenonRecoils:
    """Recoils that the runs of an experiment see: from `lowest_mev` to `highest_mev`, with steps and bends between, MeV."""

    runs: Sequence[XenonRun]
    binding: str

    @property
    def lowest_mev(self) -> float:
        """Lowest recoil energy."""
        return LOWEST_RECOIL_KEV / KEV_PER_MEV

    @property
    def highest_mev(self) -> float:
        """Highest recoil energy."""
        return max(run.response.highest_recoil_kev(run.edges_kev) for run in self.runs) / KEV_PER_MEV

    @property
    def breaks_mev(self) -> tuple[float, ...]:
        """Where electrons begin to take part, and where efficiencies of the recoil energy and resolutions bend."""
        bends = {
            float(e) / KEV_PER_MEV
            for run in self.runs
            for e in run.response.energy_kev
            if run.response.of == "recoil" and e < _BENDS_BELOW_KEV
        }
        corners = {c / KEV_PER_MEV for run in self.runs for c in run.response.corners_kev}
        inside = {b for b in bends.union(corners, steps_mev(self.binding)) if self.lowest_mev < b < self.highest_mev}
        return tuple(sorted(inside))

    def resolutions(self, low_mev: float, high_mev: float) -> float:
        """How many standard deviations lie between two energies, of the run that has most."""
        return max(run.response.resolutions(low_mev * KEV_PER_MEV, high_mev * KEV_PER_MEV) for run in self.runs)

    def electrons(self, t_mev: np.ndarray) -> np.ndarray:
        """Electrons per tonne that take part."""
        return electrons_per_tonne(t_mev, self.binding)

    def responses(self, t_mev: np.ndarray) -> list[np.ndarray]:
        """(bin, recoil) of every run: selected recoils of each energy, times the exposure in tonne-seconds."""
        return [run.tonne_seconds * run.response.matrix(t_mev * KEV_PER_MEV, run.edges_kev) for run in self.runs]


def solar_kernels(
    recoils: XenonRecoils, sources: Mapping[str, NeutrinoSource], fluxes_cm2_s: Mapping[str, float], radiative: str
) -> list[dict[str, FoldedKernel]]:
    """Kernels of all solar components in counts per bin, of every run; one fold on one recoil grid serves all of them.

    Args:
        recoils: of the runs.
        sources, fluxes_cm2_s: normalised sources and their fluxes before oscillation.
        radiative: option of `electron.sm_kernel`.
    """
    lowest = recoils.lowest_mev
    grid = recoil_grid(sources.values(), lowest, recoils.highest_mev, recoils.resolutions, recoils.breaks_mev)
    per_tonne_second = fold_kernels(sources, fluxes_cm2_s, grid, radiative, recoils.electrons(grid.t_mev), lowest)
    return [
        {name: kernel.seen(response) for name, kernel in per_tonne_second.items()} for response in recoils.responses(grid.t_mev)
    ]


def nominal_counts(sources: Mapping[str, NeutrinoSource], runs: Sequence[Mapping[str, FoldedKernel]]) -> list[np.ndarray]:
    """Standard Model counts (bin,) of every run at nominal fluxes and mixing, all components together."""

    def densities() -> dict[str, Array]:
        first = runs[0]
        return {name: s.density(jnp.asarray(first[name].energy_mev), OscillationParameters()) for name, s in sources.items()}

    known = {name: np.asarray(rho) for name, rho in jax.jit(densities)().items()}
    found = []
    for kernels in runs:
        parts = []
        for name, kernel in kernels.items():
            rho = np.broadcast_to(known[name], (len(kernel.energy_mev), N_FLAVOUR, N_FLAVOUR))
            parts.append(np.einsum("abj,jaa->b", kernel.sm, rho).real)
        found.append(np.sum(parts, axis=0))
    return found


def xenon_experiment(
    name: str,
    title: str,
    runs: Sequence[XenonRun],
    options: XenonOptions,
    theory: TheoryChoices,
    *,
    references: tuple[str, ...],
    status: str,
    choices: Mapping[str, str] | None = None,
    overlaps: tuple[str, ...] = (),
    published: tuple[Published, ...] = (),
) -> BinnedExperiment:
    """An experiment with one channel for each run.

    Args:
        name, title, references, status, overlaps, published: as in BinnedExperiment.
        runs: spectra.
        options: chosen options.
        theory: choices of theory; uses `electron_radiative` and `m_n_mev`, one mass.
        choices: further named choices.
    Raises: UserInputError for a range of masses of N; DataError if a drawn curve leaves no background beside the solar neutrinos.
    """
    if isinstance(theory.m_n_mev, tuple):
        raise UserInputError(f"theory.m_N_mev: {name!r} takes one mass of N, not a range; give a number, or leave it out")
    widths = flux_widths(options.solar_flux_constraint)
    sources = {c: solar_sources(options.ssm)[c] for c in SOLAR_COMPONENTS}
    fluxes = {c: flux for c, (flux, _) in solar_fluxes(options.ssm).items()}
    recoils = XenonRecoils(runs, options.binding)
    kernels = solar_kernels(recoils, sources, fluxes, theory.electron_radiative)
    heavy: dict[str, HeavyKernel] = {}
    heavy_responses: list[Response | None] = [None] * len(runs)
    if theory.m_n_mev > 0.0:
        energies = {c: kernel.energy_mev for c, kernel in kernels[0].items()}
        edges = (recoils.lowest_mev, *recoils.breaks_mev, recoils.highest_mev)
        ranges = recoil_ranges(edges, recoils.resolutions, recoils.electrons)
        t_mev, heavy = heavy_kernels(sources, energies, fluxes, theory.m_n_mev, ranges)
        heavy_responses = [partial(_fixed, response) for response in recoils.responses(t_mev)]
    largest = largest_mass_mev(sources) if heavy else None
    channels = []
    nominal = nominal_counts(sources, kernels)
    for run, own, solar, response in zip(runs, kernels, nominal, heavy_responses, strict=True):
        factors = {c: solar_factor(sources[c], own[c], None, (), heavy.get(c), response) for c in SOLAR_COMPONENTS}
        components = solar_components(factors, options.ssm, widths)
        components += tuple(_component(name, run, background, solar) for background in run.backgrounds)
        channels.append(Channel(run.name, run.counts, components, {"energy_kev": np.asarray(run.edges_kev)}))
    constrained = options.solar_flux_constraint == "gallium"
    background_pulls = dict.fromkeys(b.pull for run in runs for b in run.backgrounds)
    return BinnedExperiment(
        name=name,
        title=title,
        channels=tuple(channels),
        pulls={
            **solar_pull_priors(),
            **oscillation_pull_priors(),
            **{pull: dist.Normal(0.0, 1.0) for pull in background_pulls},
        },
        references=references,
        formulae=STEPPING_SOURCES if options.binding == "stepping" else (),
        constraint=flux_constraint(options.ssm, widths) if constrained else None,
        constraint_name=flux_constraint_name(options.ssm) if constrained else None,
        pull_meanings=flux_pull_meanings(options.ssm, widths),
        overlaps=overlaps,
        status=status,
        choices={
            **options.model_dump(),
            "electron_radiative": theory.electron_radiative,
            **dict(choices or {}),
            **mass_choice(theory, largest),
        },
        effective_moments={"solar_pp": (solar_moment_density(options.ssm, "pp"), False)},
        published=published,
        largest_m_n_mev=largest,
    )


def _fixed(values: np.ndarray, pulls: Pulls) -> np.ndarray:
    return values


def _component(name: str, run: XenonRun, background: Background, solar: np.ndarray) -> Component:
    curve = background.counts - solar if background.with_solar else background.counts
    wrong = curve <= 0.0 if background.with_solar else curve < 0.0
    if np.any(wrong):
        first = int(np.flatnonzero(wrong)[0])
        raise DataError(f"{name}.{run.name}.{background.name}: no background is left in bin {first} ({curve[first]:.3g} counts)")

    def counts(forms: Forms, pulls: Pulls) -> Array:
        return jnp.asarray(curve)

    scale = normalisation(background.pull, background.width, background.form)
    return Component(background.name, (Factor(counts),), scale, (background.pull,))
