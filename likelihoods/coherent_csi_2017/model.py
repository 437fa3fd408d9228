"""Components of COHERENT CsI[Na] 2017: signal of each source and nucleus, prompt neutrons, steady-state background."""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from numpyro import distributions as dist

from nmmfit.cevns_signal import compound, signal_factors, sns_components
from nmmfit.components import constant_factor, measured_by_control, scaled, unit_pulls
from nmmfit.experiment import Component, Factor, Pulls, TheoryChoices, Weighting
from nmmfit.physics.forms import Forms
from nmmfit.physics.sns import flux_per_pot_cm2, sns_pull_priors, sns_sources
from nmmfit.shapes import Array
from nmmfit.tables import Table

from .response import EFFICIENCY_PULLS, NAME, Response

NUCLIDES = ("Cs133", "I127")

# Release: distance and neutrinos per proton. Mass: abstract of arXiv:1708.01294. Protons: as quoted in JuliaGehrlein/7stats; the
# released exposure of 7.476 GWh is 1.75e23 protons of 0.96 GeV.
MASS_KG = 14.6
PROTONS_ON_TARGET = 1.76e23
NEUTRINOS_PER_PROTON = 0.08
DISTANCE_M = 19.3

NEUTRONS, NEUTRONS_UNCERTAINTY = f"{NAME}.neutrons", 0.25
STEADY_STATE, RATE = f"{NAME}.ssb", f"{NAME}.ssb_rate"
# Fall of the steady-state background with time, of which only the first of several pulses starts the clock: fitted to the 416
# events without beam.
RATE_PER_US, RATE_ERROR_PER_US = 0.097, 0.029


def fluence_per_cm2() -> float:
    """Neutrinos of each flavour per cm^2 during the whole exposure."""
    return PROTONS_ON_TARGET * flux_per_pot_cm2(DISTANCE_M, NEUTRINOS_PER_PROTON)


def signal(
    response: Response, weighting: Weighting, time: Table, theory: TheoryChoices, rn_width: float
) -> tuple[list[Component], dict[str, dist.Distribution], float | None]:
    """One component for each source and nucleus, `cevns_<source>_<nuclide>`, with their pulls; the largest mass of N.

    Arrival times are the released ones of prompt and delayed neutrinos, without a pull: none is released.
    """
    sources, materials = sns_sources(), compound(MASS_KG, *NUCLIDES)
    energies, largest = signal_factors(sources, materials, fluence_per_cm2(), response, theory, weighting, rn_width)

    def arrival(source: str) -> Factor:
        return constant_factor(time["prompt_neutrinos" if source.startswith("prompt") else "delayed_neutrinos"])

    components = sns_components(sources, materials, energies, arrival)
    own = unit_pulls(*response.pulls, *EFFICIENCY_PULLS, *(m.radius_pull for m in materials))
    return components, {**sns_pull_priors(), **own}, largest


def neutrons(events: np.ndarray, weighting: Weighting, time: Table) -> Component:
    """Prompt neutrons of the beam, which the acceptance cuts as it does the signal."""
    factors = (Factor(constant_factor(events).function, weighting=weighting), constant_factor(time["neutrons"]))
    return scaled("neutrons", factors, NEUTRONS, NEUTRONS_UNCERTAINTY)


def falling_times(edges_us: np.ndarray) -> Factor:
    """Share of the steady-state background in each time bin, sum 1: exp(-rate t) with its pull."""

    def function(forms: Forms, pulls: Pulls) -> Array:
        rate = RATE_PER_US + RATE_ERROR_PER_US * pulls[RATE]
        # In the middle of bins: equal widths make it exact, and regular at a rate of 0.
        shape = jnp.exp(-rate * jnp.asarray(0.5 * (edges_us[1:] + edges_us[:-1])))
        return shape / jnp.sum(shape)

    return Factor(function, shape_pulls=(RATE,))


def steady_state(
    samples: Mapping[str, np.ndarray], time_edges_us: np.ndarray, treatment: str
) -> tuple[list[Component], dict[str, dist.Distribution]]:
    """Steady-state background.

    Args:
        samples: counts (energy, time) of "anticoincidence" and "off_beam".
        time_edges_us: analysis bins, equally wide.
        treatment: "free_shape" or "fixed_shape", see `Options`.
    """
    anticoincidence = samples["anticoincidence"]
    if treatment == "free_shape":
        components, pulls = measured_by_control(STEADY_STATE, anticoincidence.sum(axis=1), falling_times(time_edges_us))
        return components, {**pulls, **unit_pulls(RATE)}
    every = anticoincidence + samples["off_beam"]
    total = float(anticoincidence.sum())
    energy, times = every.sum(axis=1) / every.sum(), every.sum(axis=0) / every.sum()
    factors = (constant_factor(total * energy), constant_factor(times))
    return [scaled("ssb", factors, STEADY_STATE, 1.0 / np.sqrt(total))], unit_pulls(STEADY_STATE)
