"""LSND: published limit on the magnetic moment of muon neutrinos (decay at rest, scattering on electrons)."""

from __future__ import annotations

from typing import Any

from nmmfit.experiment import BinnedExperiment, TheoryChoices
from nmmfit.limit_experiment import LimitOptions, MomentSource, moment_experiment, moment_limit
from nmmfit.listing import Listing
from nmmfit.physics.sources import flavour_projector

LISTING = Listing(
    kind="published limit", status="seen in the abstract of hep-ex/0101039; its confidence level, 90 %, from memory"
)
MOMENT_LIMIT_MUB = 6.8e-10
SOURCE = MomentSource(
    flavour_projector("mu"),
    False,
    "nu_mu and antinu_mu, whose moments are equal; what a moment of the nu_e of the beam would add is left out",
    moment="sns_mu",
)


class Options(LimitOptions):
    """Options of `build`: those of every published limit."""


def build(theory: TheoryChoices | None = None, **options: Any) -> BinnedExperiment:
    """A Gaussian in the squared moment of nu_mu, mu_eff^2 = sum_r |mu_mur|^2.

    The beam is one nu_mu, one antinu_mu and one nu_e for each pion: rho = diag(0, 1, 0) is the same for the first two, and the
    third would only make the limit stronger where nu_e has a moment too.
    """
    chosen = Options(**options)
    return moment_experiment(
        "lsnd",
        "LSND: published limit on the magnetic moment of muon neutrinos",
        SOURCE,
        moment_limit(SOURCE, MOMENT_LIMIT_MUB, 1e-10, convention=chosen.limit_convention),
        LISTING,
        ("hep-ex/0101039", "doi:10.1103/PhysRevD.63.112001"),
    )
