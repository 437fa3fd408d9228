"""Numbers of the Borexino Phase-II likelihood, each with its source and how far it was checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nmmfit.constants import Constant

# 1291.51 d x 71.3 t x 63.25 % left by the three-fold-coincidence cut; makes every bin of the official file a whole number.
EXPOSURE_DAY_100T = Constant(582.326, "day x 100 t", 0.0, "arXiv:1707.09279; confirmed by the whole numbers in the official file")
ELECTRONS_PER_100T = Constant(
    3.307e31, "1 / 100 t", 0.0, "used in public Borexino analyses (Newtrinos.jl, SNuDD); unverified in a paper"
)

FIRST_HITS, LAST_HITS = 100, 700

# Mean number of hits of an electron of T MeV, powers of T, and its standard deviation, in 1, sqrt(mean), mean:
# arXiv:2204.03011 (JHEP 07 (2022) 138), read in public codes that cite it.
MEAN_HITS = (-8.065244, 493.2560, -64.09629, 4.146102)
SIGMA_HITS = (1.21974, 1.31394, -0.0148585)

# Relative one-sigma widths of the shape pulls: not published numbers but choices of this project. The spectrum itself decides the
# light yield to 0.35 %, the scale of 210Po to 0.02 % and that of 14C to 0.17 %; the resolution hardly, but then it hardly matters
# (docs/experiments/borexino_phase2.md shows how the limit depends on each).
LIGHT_YIELD_WIDTH = 0.01
RESOLUTION_WIDTH = 0.03
PO210_SCALE_WIDTH = 0.01
C14_SCALE_WIDTH = 0.01


@dataclass(frozen=True)
class BackgroundInput:
    """Normalisation of a background: published rate for the record, how it may move, and where both come from.

    The scale is 1 at pull 0, the curve as the collaboration drew it. `form` "exponential": (1 + width)^pull. "softplus":
    close to 1 + width * pull down to a fifth, then falling exponentially, so that a vanishing background is a few units away.
    """

    name: str
    width: float
    form: str
    published: str
    source: str


_MEMORY = "from memory of PRD 100, 082004 (arXiv:1707.09279); unverified; not used in the fit"
BACKGROUNDS: Mapping[str, BackgroundInput] = {
    b.name: b
    for b in (
        BackgroundInput("c14", 0.05, "exponential", "40.0 +- 2.0 Bq/100 t", "constraint of arXiv:1707.09279"),
        BackgroundInput("pileup", 0.02, "exponential", "137.5 +- 2.8 cpd/100 t", "constraint of arXiv:1707.09279"),
        BackgroundInput("po210", 0.10, "exponential", "260.0 +- 3.0 cpd/100 t", f"free; published rate {_MEMORY}"),
        BackgroundInput("kr85", 2.0, "softplus", "6.8 +- 1.8 cpd/100 t", f"free; published rate {_MEMORY}"),
        BackgroundInput("bi210", 1.0, "softplus", "17.5 +- 1.9 cpd/100 t", f"free; published rate {_MEMORY}"),
        BackgroundInput("c11", 0.50, "exponential", "26.8 +- 0.2 cpd/100 t", f"free; published rate {_MEMORY}"),
        BackgroundInput(
            "ext", 0.50, "exponential", "1.0 (40K) + 1.9 (214Bi) + 3.3 (208Tl) cpd/100 t", f"free; published rate {_MEMORY}"
        ),
    )
}
"""Free normalisations have priors at least five times wider than what the data decide."""
