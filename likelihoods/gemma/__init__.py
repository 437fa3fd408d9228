"""GEMMA: published limit on the magnetic moment of reactor antineutrinos (germanium, Kalinin)."""

from __future__ import annotations

from typing import Any, Literal

from nmmfit.experiment import BinnedExperiment, TheoryChoices
from nmmfit.limit_experiment import LimitOptions, moment_experiment, moment_limit, reactor_moment
from nmmfit.listing import Listing

LISTING = Listing(
    kind="published limit",
    status="2.9e-11 mu_B seen as quoted in arXiv:2206.13122, eq. (3.6); 3.2e-11 mu_B seen in the abstract of arXiv:1005.2736",
)
MOMENT_LIMIT_MUB = {"2012": 2.9e-11, "2010": 3.2e-11}
REFERENCES = {"2012": ("doi:10.1155/2012/350150", "arXiv:2206.13122, eq. (3.6)"), "2010": ("arXiv:1005.2736",)}


class Options(LimitOptions):
    """Options of `build`: those of every published limit, and

    analysis: "2012", the final result with a threshold of 2.8 keV, or "2010", that of the first three years.
    """

    analysis: Literal["2012", "2010"] = "2012"


def build(theory: TheoryChoices | None = None, **options: Any) -> BinnedExperiment:
    """A Gaussian in the squared moment of antinu_e, mu_eff^2 = sum_r |mu_er|^2; free electrons, as in the paper."""
    chosen = Options(**options)
    return moment_experiment(
        "gemma",
        "GEMMA: published limit on the magnetic moment of reactor antineutrinos",
        reactor_moment(),
        moment_limit(reactor_moment(), MOMENT_LIMIT_MUB[chosen.analysis], 1e-11, convention=chosen.limit_convention),
        LISTING,
        REFERENCES[chosen.analysis],
        {"analysis": chosen.analysis},
    )
