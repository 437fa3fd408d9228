"""What a model leaves behind at a scale, and its names on either side of m_W."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import jax
import numpy as np

from nmmfit.eft.models.arguments import concrete
from nmmfit.eft.smneft_inputs import ElectroweakInputs
from nmmfit.eft.smneft_matching import match_at_m_w
from nmmfit.errors import UserInputError
from nmmfit.inputs import StandardModelInputs
from nmmfit.shapes import Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Matching:
    """What a model leaves behind at a scale."""

    scale_gev: Array
    """Where the coefficients live, GeV."""
    tree: dict[str, Array]
    """Four-fermion coefficients of tree-level matching, name -> complex, GeV^-2."""
    threshold: dict[str, Array]
    """Dipoles `nuNgamma_pr` at the scale from one loop, GeV^-1: threshold and logarithm, not what runs on below the scale."""
    theory: str = field(metadata={"static": True})
    """"LNEFT" or "SMNEFT": the names in `tree`. Dipoles are those of the broken phase in both."""

    @property
    def coefficients(self) -> dict[str, Array]:
        """Both together; for LNEFT what `nmmfit.evolve` takes, at `scale_gev`."""
        return self.tree | self.threshold


Model = Callable[..., Matching]


def to_lneft(found: Matching, inputs: StandardModelInputs | None = None) -> Matching:
    """A matching with SMNEFT names, at m_W, in those of LNEFT, by tree-level matching (`smneft_matching`), d_L mass eigenstates.

    Args:
        found: from a model asked at m_W; one in LNEFT names comes back as it is.
        inputs: m_W; the default if absent.
    Raises: UserInputError for a scale other than m_W, and for an unknown coefficient.
    """
    if found.theory == "LNEFT":
        return found
    m_w = (StandardModelInputs() if inputs is None else inputs).m_w_gev
    at, match_at = (
        concrete("to_lneft", "scale_gev", found.scale_gev, "float64"),
        concrete("to_lneft", "m_w_gev", m_w, "float64"),
    )
    if at is not None and match_at is not None and not np.allclose(at, match_at, rtol=1e-9, atol=0.0):
        raise UserInputError(
            f"to_lneft: coefficients at {float(at):g} GeV; the theories meet at m_W = {float(match_at):g} GeV: "
            "ask the model for that scale"
        )
    return Matching(found.scale_gev, match_at_m_w(found.tree, ElectroweakInputs()), found.threshold, "LNEFT")
