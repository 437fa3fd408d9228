"""Tip of the red-giant branch: published limit on the moment of plasmon decay; astrophysical, used only where a run names it."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from nmmfit.experiment import BinnedExperiment, TheoryChoices
from nmmfit.limit_experiment import LimitOptions, MomentSource, moment_experiment, moment_limit
from nmmfit.listing import Listing

LISTING = Listing(
    kind="published limit",
    status="astrophysical; seen in the abstract of arXiv:2007.03694; arXiv:2307.13050 finds none with free stellar parameters",
    in_all=False,
)
MOMENT_LIMIT_MUB = {"ngc4258": 1.5e-12, "omega_cen": 1.2e-12}
CL = 0.95
SOURCE = MomentSource(
    np.eye(3), False, "all pairs of neutrinos that a plasmon decays into, each once", moment=None, form="plasmon"
)


class Options(LimitOptions):
    """Options of `build`: those of every published limit (with Delta chi2 = 3.84 for 95 % CL), and

    calibration: "ngc4258", the galaxy that the paper calls cleanest, or "omega_cen", a globular cluster.
    """

    calibration: Literal["ngc4258", "omega_cen"] = "ngc4258"


def build(theory: TheoryChoices | None = None, **options: Any) -> BinnedExperiment:
    """A Gaussian in mu_gamma^2 = sum over pairs of different final states of |mu|^2 (arXiv:1901.00482, eq. (26)).

    Entries of a Dirac matrix count each, a Majorana pair {p, r} counts once (`physics.moments.plasmon_moment_mub`). The mass of
    N is neglected: a run with m_N different from 0 is refused.
    """
    chosen = Options(**options)
    limit = MOMENT_LIMIT_MUB[chosen.calibration]
    return moment_experiment(
        "trgb",
        "Tip of the red-giant branch: published limit on the moment of plasmon decay",
        SOURCE,
        moment_limit(SOURCE, limit, 1e-12, cl=CL, convention=chosen.limit_convention),
        LISTING,
        ("arXiv:2007.03694", "arXiv:2307.13050", "arXiv:1901.00482, eq. (26)"),
        {"calibration": chosen.calibration},
    )
