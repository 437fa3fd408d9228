"""Mixing of W_L and W_R in left-right symmetric models."""

from __future__ import annotations

import math

import jax.numpy as jnp

from nmmfit.checks import broadcasting
from nmmfit.constants import FERMI
from nmmfit.eft.models.arguments import LEPTONS, check_couplings, check_masses, check_threshold, concrete, lepton_mass
from nmmfit.eft.models.loops import charge_at
from nmmfit.eft.models.matching import Matching
from nmmfit.inputs import StandardModelInputs
from nmmfit.shapes import ArrayLike


def left_right(
    mixing: ArrayLike,
    m_w2_gev: ArrayLike,
    scale_gev: ArrayLike | None = None,
    lepton: str = "tau",
    inputs: StandardModelInputs | None = None,
) -> Matching:
    """Mixing of W_L and W_R with equal gauge couplings: W_L = cos W_1 - sin W_2, W_R = sin W_1 + cos W_2, Dirac neutrinos.

    L = g / sqrt(2) (nubar_L gamma l_L W_L + Nbar_R gamma l_R W_R) + h.c. of one generation. After Fierz

        L^{S,RL} = 2 sqrt(2) G_F sin(2 mixing) (1 - m_W1^2 / m_W2^2)    [DERIVED, leading order in the mixing for G_F],
        L_gamma  = e m_l L^{S,RL} / 16 pi^2,

    that is mu = e G_F m_l sin(2 mixing) (1 - m_W1^2 / m_W2^2) / (2 sqrt(2) pi^2): MEMORY of Shrock, Nucl. Phys. B206 (1982) 359,
    not read; size and sign DERIVED from the loops with m_l << m_W1. There is no logarithm: scalars do not mix into the dipole.

    Args:
        mixing: angle, radians, any shape.
        m_w2_gev: mass of the heavier W, GeV, >= m_W.
        scale_gev: GeV, at most m_W, which is the mass of the lighter W; m_W if absent.
        lepton: e, mu or tau; neutrinos are of the same generation.
        inputs: masses and alpha; the defaults if absent.
    Returns: LNEFT coefficients `SnuNeRL` and `nuNgamma`.
    Raises: UserInputError for anything out of range.
    """
    where = "left_right"
    inputs = StandardModelInputs() if inputs is None else inputs
    scale = inputs.m_w_gev if scale_gev is None else scale_gev
    concrete(where, "mixing", mixing, "float64")
    check_couplings(where, mixing=mixing)
    check_masses(where, m_w2_gev=m_w2_gev, scale_gev=scale)
    broadcasting({"mixing": mixing, "m_w2_gev": m_w2_gev, "scale_gev": scale}, where)
    check_threshold(where, "m_w_gev", inputs.m_w_gev, scale)
    check_threshold(where, "m_w2_gev", m_w2_gev, inputs.m_w_gev, "m_W, the mass of the lighter W,")
    m = lepton_mass(where, lepton, inputs)
    k = LEPTONS.index(lepton) + 1
    m_w2 = jnp.asarray(m_w2_gev, dtype=float)
    angle = jnp.sin(2.0 * jnp.asarray(mixing, dtype=float))
    scalar = 2.0 * math.sqrt(2.0) * FERMI.value * angle * (1.0 - (inputs.m_w_gev / m_w2) ** 2) + 0.0j
    dipole = charge_at(scale, inputs) * m * scalar / (16.0 * jnp.pi**2)
    return Matching(
        scale_gev=jnp.asarray(scale, dtype=float),
        tree={f"SnuNeRL_{k}{k}{k}{k}": scalar},
        threshold={f"nuNgamma_{k}{k}": dipole},
        theory="LNEFT",
    )
