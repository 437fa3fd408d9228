"""Solar nuisances that experiments share: how far fluxes may move, the gallium sum rule, and what a pull means.

A pull `solar.<component>` means a factor on a flux that depends on the choices of an experiment: a factor of two per unit or the
solar model's own error, about the flux of one model or another. Experiments that are fitted together share the pull, so that it
must mean the same in each; `flux_pull_meanings` says what, and a joint fit compares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import jax
import numpy as np

from nmmfit.physics.oscillation import OscillationParameters
from nmmfit.physics.solar import (
    FREE_RELATIVE_ERROR,
    SOLAR_COMPONENTS,
    flux_pull_name,
    gallium_log_density,
    solar_fluxes,
    solar_sources,
)
from nmmfit.shapes import Array

FluxConstraint = Literal["gallium", "free", "ssm"]
"""Option `solar_flux_constraint`: "gallium": pp, 7Be and pep free, tied by the measured gallium rate; "free": the same without
it; "ssm": solar-model errors for all. CNO, 8B and hep keep their solar-model errors in each."""
SolarModel = Literal["b16_gs98", "b16_agss09met"]

FREE_COMPONENTS = ("pp", "be7", "pep")


def flux_widths(constraint: str) -> dict[str, str]:
    """Width of every flux pull, component -> "ssm" or "free", for an option of `solar_flux_constraint`."""
    return {c: "free" if c in FREE_COMPONENTS and constraint != "ssm" else "ssm" for c in SOLAR_COMPONENTS}


def flux_constraint(model: str, widths: Mapping[str, str]) -> Callable[[Mapping[str, Array]], Array]:
    """Log density of the measured gallium rate as a function of flux and mixing pulls."""
    return lambda pulls: gallium_log_density(pulls, model, widths)


def flux_constraint_name(model: str) -> str:
    """Name of the gallium constraint; experiments that are fitted together have it once."""
    return f"solar.gallium_{model}"


def flux_pull_meanings(model: str, widths: Mapping[str, str], components: tuple[str, ...] = SOLAR_COMPONENTS) -> dict[str, str]:
    """What one unit of each flux pull means, pull -> words that are equal where the meaning is."""
    fluxes = solar_fluxes(model)
    meanings = {}
    for component in components:
        flux, error = fluxes[component]
        size = 1.0 + (error if widths[component] == "ssm" else FREE_RELATIVE_ERROR)
        meanings[flux_pull_name(component)] = f"a factor {size:g} on the {model} flux {flux:g} /cm2/s"
    return meanings


def solar_moment_density(model: str, component: str = "be7") -> np.ndarray:
    """Flavour density matrix of one component at the nominal mixing parameters, averaged over its spectrum, (3, 3) complex.

    7Be makes most of the sensitivity of Borexino's spectrum to a magnetic moment: arXiv:1707.09355; pp of xenon's, whose
    threshold is low.
    """
    source = solar_sources(model)[component]
    energy, weight = source.quadrature()
    density = np.asarray(jax.jit(source.density)(energy, OscillationParameters()))
    return np.einsum("e,eij->ij", weight / weight.sum(), density)
