"""CONUS (2022): published limit on the magnetic moment of reactor antineutrinos (germanium, Brokdorf)."""

from __future__ import annotations

from typing import Any

from nmmfit.experiment import BinnedExperiment, TheoryChoices
from nmmfit.limit_experiment import LimitOptions, moment_experiment, moment_limit, reactor_moment
from nmmfit.listing import Listing

LISTING = Listing(kind="published limit", status="from memory of arXiv:2201.12257, not checked against a text: verify")
MOMENT_LIMIT_MUB = 7.5e-11


class Options(LimitOptions):
    """Options of `build`: those of every published limit."""


def build(theory: TheoryChoices | None = None, **options: Any) -> BinnedExperiment:
    """A Gaussian in the squared moment of antinu_e, mu_eff^2 = sum_r |mu_er|^2."""
    chosen = Options(**options)
    return moment_experiment(
        "conus_2022",
        "CONUS (2022): published limit on the magnetic moment of reactor antineutrinos",
        reactor_moment(),
        moment_limit(reactor_moment(), MOMENT_LIMIT_MUB, 1e-11, convention=chosen.limit_convention),
        LISTING,
        ("arXiv:2201.12257",),
    )
