"""How the solar fluxes may move, the gallium sum rule, and the flavour that a limit on the solar moment refers to."""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np

from nmmfit.experiment import Pulls
from nmmfit.physics.oscillation import OscillationParameters
from nmmfit.physics.solar import SOLAR_COMPONENTS, gallium_log_density, solar_sources
from nmmfit.shapes import Array

FREE_COMPONENTS = ("pp", "be7", "pep")


def flux_widths(constraint: str) -> dict[str, str]:
    """Width of every flux pull, component -> "ssm" or "free", for an option of `solar_flux_constraint`."""
    return {c: "free" if c in FREE_COMPONENTS and constraint != "ssm" else "ssm" for c in SOLAR_COMPONENTS}


def flux_constraint(model: str, widths: dict[str, str]) -> Callable[[Pulls], Array]:
    """Log density of the measured gallium rate as a function of flux and mixing pulls."""
    return lambda pulls: gallium_log_density(pulls, model, widths)


def solar_moment_density(model: str) -> np.ndarray:
    """Flavour density matrix of 7Be neutrinos (both lines) at the nominal mixing parameters, (3, 3) complex.

    7Be makes most of the sensitivity of the spectrum to a magnetic moment: arXiv:1707.09355.
    """
    source = solar_sources(model)["be7"]
    energy, branching = source.quadrature()
    density = np.asarray(jax.jit(source.density)(energy, OscillationParameters()))
    return np.einsum("e,eij->ij", branching, density)
