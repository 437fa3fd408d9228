"""omega and phi mesons that decay invisibly: published limits of BESIII; reaches moments and tensors of all three flavours."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from nmmfit.experiment import BinnedExperiment, Pulls, TheoryChoices
from nmmfit.limit_experiment import LimitOptions, PublishedLimit, limit_experiment
from nmmfit.listing import Listing
from nmmfit.physics.forms import Forms, trace
from nmmfit.physics.mesons import MESON_SOURCES, OMEGA, PHI, VectorMeson
from nmmfit.shapes import Array

LISTING = Listing(
    kind="published limit",
    status="limits seen in the abstract of arXiv:1805.05613; decay constants as quoted in public code or from measured widths",
)
BRANCHING_LIMITS = {"omega": 7.3e-5, "phi": 1.7e-4}
UNIT = 1e-5


class Options(LimitOptions):
    """Options of `build`: those of every published limit."""


def build(theory: TheoryChoices | None = None, **options: Any) -> BinnedExperiment:
    """Two Gaussians in the branching fractions of omega and phi into a neutrino and N, or two neutrinos.

    BR = m^3 / (6 pi Gamma) sum over pairs of final states of |f_T sum_q kappa_q L^T_q - (e c f / m) L_gamma|^2, at 2 GeV
    (`physics.mesons`), with the decay constants at their central values. The mass of N is neglected: a run with m_N different
    from 0 is refused.
    """
    chosen = Options(**options)

    def limit(meson: VectorMeson) -> PublishedLimit:
        def branching(forms: Forms, pulls: Pulls) -> Array:
            return meson.branching_fraction() / UNIT * trace(jnp.eye(3), forms[meson.name], False)

        published = BRANCHING_LIMITS[meson.name] / UNIT
        axis = f"br_{meson.name}_invisible_1e_5"
        return PublishedLimit(meson.name, axis, branching, (meson.name,), published, convention=chosen.limit_convention)

    return limit_experiment(
        "invisible_mesons",
        "Invisible decays of omega and phi: published limits",
        (limit(OMEGA), limit(PHI)),
        references=("arXiv:1805.05613",),
        formulae=MESON_SOURCES,
        overlaps=LISTING.overlaps,
        status=LISTING.status,
        choices={
            "flavour": "all flavours and final states; each pair of Majorana neutrinos once",
            "interference": "tensor minus photon, f_T f > 0, which belongs to c_T < 0",
        },
    )
