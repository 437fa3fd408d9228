"""Tree-level matching at m_W of the operators of `smneft_operators` onto the theory below (`operators`), all linear.

With H = (0, v / sqrt 2), B = c_W A - s_W Z, W^3 = s_W A + c_W Z and Q = ((V^dagger u)_L, d_L), the basis of down quarks:

    nuNgamma_pr  = v / sqrt 2 (c_W C_NB_pr + s_W C_NW_pr)
    SnuNdRR_prst = C_LNQd_prst,     TnuNdRR_prst = C_LNQd3_prst
    SnuNuRL_prsk = sum_t V*_kt C_LNuQ_prst                              (k, s = u, c; what has a top quark decouples)
    SnuNeRR_prst = C_LNLe_prst + 1/2 C_LNLe_srpt,     TnuNeRR_prst = 1/8 C_LNLe_srpt

and nothing else at dimension six: no tensor of up quarks, no SnuNuRR, no SnuNdRL. DERIVED; the structure agrees with
arXiv:2004.13869, 2001.07732 and 2005.01543. NH gives the neutrino a mass, not an operator of the theory below
(`smneft.mass_naturalness`).

The charged leptons, with both orderings:

    (Lbar_p^j N_r) eps_jk (Lbar_s^k e_t) = (nubar_p N_r)(ebar_s e_t) - (ebar_p N_r)(nubar_s e_t).

For anticommuting fields

    (psibar_1 P_R psi_2)(psibar_3 P_R psi_4) = -1/2 (psibar_1 P_R psi_4)(psibar_3 P_R psi_2)
                                               -1/8 (psibar_1 sigma P_R psi_4)(psibar_3 sigma P_R psi_2),

so that the second term is +1/2 (nubar_s N_r)(ebar_p e_t) + 1/8 (nubar_s sigma N_r)(ebar_p sigma e_t): the coefficient with p
and s exchanged. `tests/eft/test_smneft_matching.py` checks the identity with explicit matrices. In Lbar^j d eps Qbar^k N (LdQN,
the basis of arXiv:1612.04527) the same identity reads C_LNQd = -1/2 C_LdQN, C_LNQd3 = -1/8 C_LdQN.

In the basis of up quarks Q = (u_L, (V d)_L) coefficients are rotated: `rotate_quark_basis`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import jax.numpy as jnp

from nmmfit.eft.smneft_inputs import ElectroweakInputs, ckm_matrix, vacuum_value_gev
from nmmfit.eft.smneft_operators import SmneftCoefficient, parse
from nmmfit.shapes import Array

SCALAR_EXCHANGE, TENSOR_EXCHANGE = 0.5, 0.125
"""What the exchange ordering of LNLe adds to SnuNeRR and TnuNeRR."""


def rotate_quark_basis(coefficients: Mapping[str, Array], electroweak: ElectroweakInputs, to: str) -> dict[str, Array]:
    """Coefficients in the other basis of Q: `to` = "down" from the basis of up quarks, or "up" from that of down quarks.

    Q^up_s = sum_k V_sk Q^down_k, so that C^down_LNQd_prkt = sum_s V*_sk C^up_prst and C^down_LNuQ_prsk = sum_t V_tk C^up_prst;
    the inverse has V^dagger. The rotation is one of fields: no other operator changes.
    """
    v = ckm_matrix(electroweak)
    mix = v if to == "down" else jnp.conj(v).T
    out: dict[str, Array] = {}
    for name, value in coefficients.items():
        c = parse(name)
        op = c.operator.name
        if "Q" not in c.operator.fields:
            out[name] = out.get(name, 0.0) + jnp.asarray(value, dtype=complex)
            continue
        p, r, s, t = c.flavours
        for k in (1, 2, 3):
            if op == "LNuQ":
                target, factor = f"{op}_{p}{r}{s}{k}", mix[t - 1, k - 1]
            else:
                target, factor = f"{op}_{p}{r}{k}{t}", jnp.conj(mix[s - 1, k - 1])
            out[target] = out.get(target, 0.0) + factor * value
    return out


def matched_from(coefficient: SmneftCoefficient, electroweak: ElectroweakInputs) -> dict[str, Array]:
    """Coefficients below m_W per unit of one above, by name; complex (CKM), GeV for a dipole, else dimensionless.

    Empty for NH and for operators that have a top quark only. The basis of Q is that of down quarks, whatever `electroweak` says.
    """
    op, digits = coefficient.operator.name, coefficient.flavours
    flavours = "".join(map(str, digits))
    if op in ("NB", "NW"):
        s2 = jnp.asarray(electroweak.sin2_theta_w, dtype=float)
        projection = jnp.sqrt(1.0 - s2) if op == "NB" else jnp.sqrt(s2)
        return {f"nuNgamma_{flavours}": vacuum_value_gev(electroweak) / math.sqrt(2.0) * projection + 0j}
    if op == "LNQd":
        return {f"SnuNdRR_{flavours}": jnp.ones((), dtype=complex)}
    if op == "LNQd3":
        return {f"TnuNdRR_{flavours}": jnp.ones((), dtype=complex)}
    if op == "LNuQ":
        p, r, s, t = digits
        if s == 3:
            return {}
        v = ckm_matrix(electroweak)
        return {f"SnuNuRL_{p}{r}{s}{k}": jnp.conj(v[k - 1, t - 1]) for k in (1, 2)}
    if op == "LNLe":
        p, r, s, t = digits
        one = jnp.ones((), dtype=complex)
        out = {f"SnuNeRR_{flavours}": one}
        exchanged = f"SnuNeRR_{s}{r}{p}{t}"
        out[exchanged] = out.get(exchanged, 0.0) + SCALAR_EXCHANGE * one
        out[f"TnuNeRR_{s}{r}{p}{t}"] = TENSOR_EXCHANGE * one
        return out
    return {}


def match_at_m_w(coefficients: Mapping[str, Array], electroweak: ElectroweakInputs) -> dict[str, Array]:
    """Coefficients of the theory below m_W from those of the theory above, both at m_W.

    Args:
        coefficients: name -> value, GeV^-2, Q in the basis of down quarks.
        electroweak: sin^2 theta_W, G_F and CKM.
    Returns: name -> complex value, GeV^-1 (dipoles) or GeV^-2.
    """
    out: dict[str, Array] = {}
    for name, value in coefficients.items():
        for target, factor in matched_from(parse(name), electroweak).items():
            out[target] = out.get(target, 0.0) + factor * value
    return out
