"""Borexino Phase-II, as the one published number of arXiv:2206.13122, eq. (3.5): the solar magnetic moment."""

from __future__ import annotations

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import BaseModel, ConfigDict

from nmmfit.constants import bohr_magneton_per_gev
from nmmfit.experiment import BinnedExperiment, Pulls, TheoryChoices
from nmmfit.limit_experiment import PublishedLimit, limit_experiment
from nmmfit.physics.forms import Forms, trace
from nmmfit.physics.oscillation import OscillationParameters
from nmmfit.physics.solar import solar_sources
from nmmfit.shapes import Array

MOMENT_LIMIT_MUB = 2.8e-11
MOMENT_UNIT_MUB = 1e-11


class Options(BaseModel):
    """Options of `build`.

    limit_convention: "two_sided" (Delta chi2 = 2.71 at the published number) or "one_sided".
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    limit_convention: Literal["two_sided", "one_sided"] = "two_sided"


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
    density = jnp.asarray(solar_density())
    unit = 4.0 / (MOMENT_UNIT_MUB * bohr_magneton_per_gev()) ** 2

    def moment_squared(forms: Forms, pulls: Pulls) -> Array:
        return unit * trace(density, forms["dipole"], False)

    return limit_experiment(
        "borexino_phase2_limit",
        "Borexino Phase-II: published limit on the solar magnetic moment",
        (
            PublishedLimit(
                "moment",
                "mu_eff_sq_1e_22_mub2",
                moment_squared,
                ("dipole",),
                (MOMENT_LIMIT_MUB / MOMENT_UNIT_MUB) ** 2,
                convention=chosen.limit_convention,
            ),
        ),
        references=("arXiv:1707.09355", "arXiv:2206.13122, eq. (3.5)"),
        overlaps=("borexino_phase2",),
        choices={"flavour": "7Be neutrinos after adiabatic LMA conversion, nominal mixing"},
        effective_moments={"solar": (np.asarray(density), False)},
    )
