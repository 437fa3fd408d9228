"""TEXONO (HPGe): published limit on the magnetic moment of reactor antineutrinos (germanium, Kuo-Sheng)."""

from __future__ import annotations

from typing import Any

from nmmfit.experiment import BinnedExperiment, TheoryChoices
from nmmfit.limit_experiment import LimitOptions, moment_experiment, moment_limit, reactor_moment
from nmmfit.listing import Listing

LISTING = Listing(kind="published limit", status="seen in a summary of the review arXiv:1603.00337; hep-ex/0605006 was not read")
MOMENT_LIMIT_MUB = 7.4e-11


class Options(LimitOptions):
    """Options of `build`: those of every published limit."""


def build(theory: TheoryChoices | None = None, **options: Any) -> BinnedExperiment:
    """A Gaussian in the squared moment of antinu_e, mu_eff^2 = sum_r |mu_er|^2."""
    chosen = Options(**options)
    return moment_experiment(
        "texono",
        "TEXONO (HPGe): published limit on the magnetic moment of reactor antineutrinos",
        reactor_moment(),
        moment_limit(reactor_moment(), MOMENT_LIMIT_MUB, 1e-11, convention=chosen.limit_convention),
        LISTING,
        ("hep-ex/0605006", "doi:10.1103/PhysRevD.75.012001"),
    )
