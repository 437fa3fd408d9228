"""The photon penguin: vector coefficients of one fermion become vector coefficients of every charged fermion.

A closed loop of the fermion f joins (nubar gamma_mu nu)(fbar gamma^mu f) to a photon. With V_f = L_fL + L_fR, twice the vector
part, the equation of motion of the photon gives

    dL_psiX / d ln mu = (e^2 / 16 pi^2) (4/3) Q_psi sum_f N_c Q_f V_f,    X = L, R, every psi with psibar psi diagonal

(as in arXiv:1711.05270, appendix; docs/theory/vectors.md derives it from the vacuum polarisation). The sum S = sum_f N_c Q_f V_f
runs like e^2, so that the equations have a closed solution, with K = sum_f N_c Q_f^2 and r = S(to) / S(from):
L_psiX(to) = L_psiX(from) + Q_psi (r - 1) / (2 K) S(from). Neutrino pairs of any kind are spectators.

Below 2 GeV the loops of charm and charged leptons are followed down to zero momentum transfer, where each adds
-(alpha(0) / 3 pi) N_c Q_f ln(mu / m_f) Q_psi V_f. For u, d and s perturbation theory fails: the treatment "resonance" replaces
the logarithm by the dispersion integral of one vector meson and the continuum above it (`light_quark_logarithm`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

import jax.numpy as jnp

from nmmfit.constants import Constant
from nmmfit.eft.qcd import REFERENCE_SCALE_GEV
from nmmfit.eft.theories import B_0E, CHARGE, COLOURS, FERMION_TYPE, FERMIONS
from nmmfit.inputs import StandardModelInputs
from nmmfit.shapes import Array

_K = {n: -0.75 * b for n, b in B_0E.items()}
"""sum_f N_c Q_f^2 by the number of quark flavours: 20/3 and 19/3."""

SOURCE: Mapping[str, float] = MappingProxyType({f: COLOURS[t] * CHARGE[t] for f, t in FERMION_TYPE.items()})
"""N_c Q_f."""

_WIDTHS = "f_V from Gamma(V -> e e) = 7.04 (rho), 0.641 (omega), 1.266 (phi) keV; widths of the PDG, that of rho from memory"
VECTOR_MESONS: Mapping[str, tuple[Constant, Constant]] = MappingProxyType(
    {
        # <0| qbar gamma q |V>: rho and omega share ubar u and dbar d, sbar s is the phi.
        "u": (
            Constant(0.2114, "GeV", 0.010, _WIDTHS + "; root mean square of rho and omega"),
            Constant(0.779, "GeV", 0.004, "PDG"),
        ),
        "d": (
            Constant(0.2114, "GeV", 0.010, _WIDTHS + "; root mean square of rho and omega"),
            Constant(0.779, "GeV", 0.004, "PDG"),
        ),
        "s": (Constant(0.2282, "GeV", 0.004, _WIDTHS), Constant(1.0195, "GeV", 0.0001, "PDG")),
    }
)
"""Decay constant and mass of the vector meson in each light quark's current."""

LIGHT_QUARK_ERROR = 0.10
"""Relative error of the light quarks' part: flavours together miss the inputs' own 1/alpha(0) - 1/alpha(2 GeV) by 8 %."""


def light_quark_logarithm(quark: str) -> float:
    """ln(mu / m) of a light quark at mu = 2 GeV, as the vacuum polarisation at zero momentum transfer has it.

    From the dispersion relation with one narrow meson and a massless continuum above s_0 (MS-bar, leading order in alpha_s):
    5/6 + ln(mu^2 / s_0) / 2 + s_0 / (2 m_V^2), where the lowest finite-energy sum rule fixes s_0 = 4 pi^2 f_V^2.

    Args:
        quark: u, d or s.
    Returns: 2.70 for u and d, 2.16 for s: effective masses of 135 and 232 MeV.
    """
    f_v, m_v = (c.value for c in VECTOR_MESONS[quark])
    s_0 = 4.0 * math.pi**2 * f_v**2
    return 5.0 / 6.0 + 0.5 * math.log(REFERENCE_SCALE_GEV**2 / s_0) + 0.5 * s_0 / m_v**2


def loop_logarithms(inputs: StandardModelInputs) -> dict[str, Array]:
    """ln(2 GeV / m_f) of charm and charged leptons, m_c(m_c); the vacuum polarisation has no constant at mu = m."""
    end = {"c": inputs.m_c_gev, "e": inputs.m_e_gev, "mu": inputs.m_mu_gev, "tau": inputs.m_tau_gev}
    return {f: jnp.log(REFERENCE_SCALE_GEV / jnp.asarray(m, dtype=float)) for f, m in end.items()}


def penguin_to_zero(inputs: StandardModelInputs) -> dict[str, Array]:
    """Addition to L_psiX / Q_psi at zero momentum transfer per unit of V_f at 2 GeV, by fermion f; no b quark.

    Limits: |q^2| below m_f^2. Electron loops in scattering on nuclei at 50 MeV are too large by a factor 1.8 (0.3 % of V_e);
    in scattering on electrons of less than 1 MeV, where |q^2| <= 4 m_e^2, the error is below 2.5e-4 of V_e.
    """
    logarithms = loop_logarithms(inputs) | {q: jnp.asarray(light_quark_logarithm(q)) for q in VECTOR_MESONS}
    alpha = 1.0 / jnp.asarray(inputs.inv_alpha_0, dtype=float)
    return {f: -alpha / (3.0 * jnp.pi) * SOURCE[f] * logarithm for f, logarithm in logarithms.items()}


def penguin_factors(starts_with_bottom: Array, qed_changes: tuple[Array, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
    """Addition to L_psiX / Q_psi at the second scale per unit of V_f at the first, by fermion f.

    Args:
        starts_with_bottom: whether the first scale is m_b or above.
        qed_changes: integral of e^2 / 16 pi^2 over ln mu from the first scale to the second, with five and with four
            flavours.
    Returns: for every psi but the b quark, and for the b quark where it exists at the second scale.
    """
    five, four = (-2.0 * b * x for b, x in zip(B_0E.values(), qed_changes, strict=True))
    k_5, k_4 = _K.values()
    above, below = jnp.expm1(five) / (2.0 * k_5), jnp.expm1(four) / (2.0 * k_4)
    # Downwards through m_b the sum loses the b quark's part; upwards it starts without one.
    shared = above + below * (1.0 + 2.0 * k_4 * above)
    upwards = below + (1.0 + 2.0 * k_4 * below) * above
    bottom_upwards = (1.0 + 2.0 * k_4 * below) * above
    others, bottom = {}, {}
    for f in FERMIONS:
        down = above + below * 2.0 * k_4 * above if f == "b" else shared
        others[f] = SOURCE[f] * jnp.where(starts_with_bottom, down, 0.0 if f == "b" else upwards)
        bottom[f] = SOURCE[f] * jnp.where(starts_with_bottom, down, 0.0 if f == "b" else bottom_upwards)
    return others, bottom


def penguin_total(factors: Mapping[str, Array], inputs: StandardModelInputs) -> dict[str, Array]:
    """Addition to L_psiX / Q_psi at zero momentum transfer per unit of V_f, with everything that running to 2 GeV generated.

    Args:
        factors: from the first scale to 2 GeV, for psi other than the b quark (`Evolution.penguin`); empty: no penguin at all.
        inputs: masses and alpha(0).
    """
    if not factors:
        return {}
    below = penguin_to_zero(inputs)
    # V_g gains 2 Q_g factors_f from running.
    chain = sum(2.0 * CHARGE[FERMION_TYPE[g]] * below[g] for g in below)
    return {f: factor * (1.0 + chain) + below.get(f, jnp.zeros(())) for f, factor in factors.items()}
