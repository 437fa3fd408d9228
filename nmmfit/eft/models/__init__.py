"""Models above the effective theory: from couplings and masses to coefficients at a scale and threshold moments.

A model is a plain function of couplings and masses that returns a `Matching`: the coefficients of tree-level matching in the
names of the low-energy theory (LNEFT, `nmmfit.eft.operators`) or of the one above m_W (SMNEFT: `LNQd_prst`, `LNQd3_prst`),
and the dipoles that one loop adds. It is differentiable in couplings and masses, and leading axes of its arguments batch.

Everything is at fixed order: a heavy field of mass M is integrated out at one loop where the dipole is concerned and at tree
level for the rest, and between M and `scale_gev` only the logarithm that tensors add to the dipole is kept. QCD and electroweak
running between M and m_W (from 1 TeV 3 % in tensors, 12 % of them as scalars, 20 % in scalars) is not included.

Lagrangians have the signs written here, fermion fields anticommute, D = d + i e Q A. `docs/theory/models.md` has the derivations.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from nmmfit.eft.models.charged_scalar import charged_scalar, charged_scalar_dipole
from nmmfit.eft.models.left_right import left_right
from nmmfit.eft.models.leptoquarks import leptoquark_r2_tilde, leptoquark_s1
from nmmfit.eft.models.loops import LoopDipole, boson_loop, fermion_loop
from nmmfit.eft.models.matching import Matching, Model, to_lneft

MODELS: Mapping[str, Model] = MappingProxyType(
    {
        "charged_scalar": charged_scalar,
        "left_right": left_right,
        "leptoquark_s1": leptoquark_s1,
        "leptoquark_r2_tilde": leptoquark_r2_tilde,
    }
)
"""The models built in; any function that returns a `Matching` is one."""


__all__ = [
    "MODELS",
    "LoopDipole",
    "Matching",
    "Model",
    "boson_loop",
    "charged_scalar",
    "charged_scalar_dipole",
    "fermion_loop",
    "left_right",
    "leptoquark_r2_tilde",
    "leptoquark_s1",
    "to_lneft",
]
