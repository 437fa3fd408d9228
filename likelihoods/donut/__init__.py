"""DONUT: published limit on the magnetic moment of tau neutrinos (beam dump, scattering on electrons)."""

from __future__ import annotations

from typing import Any

from nmmfit.experiment import BinnedExperiment, TheoryChoices
from nmmfit.limit_experiment import LimitOptions, MomentSource, moment_experiment, moment_limit
from nmmfit.listing import Listing
from nmmfit.physics.sources import flavour_projector

LISTING = Listing(
    kind="published limit",
    status="number from memory of hep-ex/0102026: verify; its abstract (without the number) seen: 90 % CL, 1 event, 2.3 expected",
)
MOMENT_LIMIT_MUB = 3.9e-7
SOURCE = MomentSource(flavour_projector("tau"), False, "nu_tau and antinu_tau, whose moments are equal", moment="nu_tau")


class Options(LimitOptions):
    """Options of `build`: those of every published limit."""


def build(theory: TheoryChoices | None = None, **options: Any) -> BinnedExperiment:
    """A Gaussian in the squared moment of nu_tau, mu_eff^2 = sum_r |mu_taur|^2."""
    chosen = Options(**options)
    return moment_experiment(
        "donut",
        "DONUT: published limit on the magnetic moment of tau neutrinos",
        SOURCE,
        moment_limit(SOURCE, MOMENT_LIMIT_MUB, 1e-7, convention=chosen.limit_convention),
        LISTING,
        ("hep-ex/0102026",),
    )
