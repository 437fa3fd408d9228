"""Borexino Phase-II, as the one published number of arXiv:2206.13122, eq. (3.5): the solar magnetic moment."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from nmmfit.experiment import BinnedExperiment, TheoryChoices
from nmmfit.limit_experiment import LimitOptions, MomentSource, moment_experiment, moment_limit
from nmmfit.listing import Listing
from nmmfit.physics.oscillation import OscillationParameters
from nmmfit.physics.solar import solar_sources

LISTING = Listing(
    kind="published limit",
    status="seen in the abstract of arXiv:1707.09355 and in arXiv:2206.13122",
    overlaps=("borexino_phase2",),
    in_all=False,
)
MOMENT_LIMIT_MUB = 2.8e-11


class Options(LimitOptions):
    """Options of `build`: those of every published limit."""


def solar_density() -> np.ndarray:
    """Flavour density matrix of 7Be neutrinos (both lines) at the nominal mixing parameters, (3, 3) complex."""
    source = solar_sources()["be7"]
    energy, branching = source.quadrature()
    density = np.asarray(jax.jit(source.density)(energy, OscillationParameters()))
    return np.einsum("e,eij->ij", branching, density)


def build(theory: TheoryChoices | None = None, **options: Any) -> BinnedExperiment:
    """A Gaussian in mu_eff^2 = Tr[rho 4 d d^dagger] / mu_B^2, in units of (1e-11 mu_B)^2, below 2.8^2 at 90 % CL.

    rho is that of 7Be neutrinos at the Earth, which dominate the measurement; for flavour-universal Dirac moments it drops out,
    as in arXiv:2206.13122. For Majorana moments the two final states of each neutrino add (mu_eff^2 = 2 (4 L)^2 for three equal
    transition moments between mass states; between flavours it depends on their phases), where that paper counts one.
    """
    chosen = Options(**options)
    source = MomentSource(solar_density(), False, "7Be neutrinos after adiabatic LMA conversion, nominal mixing", moment="solar")
    return moment_experiment(
        "borexino_phase2_limit",
        "Borexino Phase-II: published limit on the solar magnetic moment",
        source,
        moment_limit(source, MOMENT_LIMIT_MUB, 1e-11, convention=chosen.limit_convention),
        LISTING,
        ("arXiv:1707.09355", "arXiv:2206.13122, eq. (3.5)"),
    )
