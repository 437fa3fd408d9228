"""Tree-level matching at m_W of dimension-six operators (`smneft_operators`) onto the theory below (`operators`), all linear.

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

In the basis of up quarks Q = (u_L, (V d)_L) coefficients are rotated: `rotate_quarks`. Lepton-number violation: `smneft_lnv`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from nmmfit.eft.smneft_inputs import ElectroweakInputs, ckm_matrix, vacuum_value_gev
from nmmfit.eft.smneft_lnv import lnv_matched_from
from nmmfit.eft.smneft_operators import GENERATIONS, parse_all
from nmmfit.eft.smneft_state import (
    BELOW,
    COMPONENTS,
    POSITION,
    POSITION_BELOW,
    Component,
    component,
    join,
    reached_by_matching,
    reached_by_rotation,
    split,
)
from nmmfit.shapes import Array

SCALAR_EXCHANGE, TENSOR_EXCHANGE = 0.5, 0.125
"""What the exchange ordering of LNLe adds to SnuNeRR and TnuNeRR."""


def rotate_quarks(vector: Array, electroweak: ElectroweakInputs, to: str) -> Array:
    """A vector of coefficients (component, ...) in the other basis of Q.

    Q^up_s = sum_k V_sk Q^down_k, so that C^down_LNQd_prkt = sum_s V*_sk C^up_prst and C^down_LNuQ_prsk = sum_t V_tk C^up_prst;
    the inverse has V^dagger. The rotation is one of fields: no other operator changes.

    Args:
        vector: (117, ...) as in `smneft_state`.
        electroweak: CKM.
        to: "down" from the basis of up quarks, or "up" from that of down quarks.
    """
    v = ckm_matrix(electroweak)
    mix = v if to == "down" else jnp.conj(v).T
    parts = split(vector)
    for op in ("LNQd", "LNQd3"):
        parts[op] = jnp.einsum("sk,pst...->pkt...", jnp.conj(mix), parts[op])
    parts["LNuQ"] = jnp.einsum("tk,pst...->psk...", mix, parts["LNuQ"])
    return join(parts)


def match(vector: Array, electroweak: ElectroweakInputs) -> Array:
    """A vector of coefficients below m_W from one above, both at m_W.

    Args:
        vector: (117, ...) as in `smneft_state`, GeV^-2, Q in the basis of down quarks.
        electroweak: sin^2 theta_W, G_F and CKM.
    Returns: (123, ...), GeV^-1 (dipoles) or GeV^-2.
    """
    x = split(vector)
    s2 = jnp.asarray(electroweak.sin2_theta_w, dtype=float)
    photon = jnp.sqrt(1.0 - s2) * x["NB"] + jnp.sqrt(s2) * x["NW"]
    exchanged = jnp.swapaxes(x["LNLe"], 0, 1)
    below = {
        "nuNgamma": vacuum_value_gev(electroweak) / math.sqrt(2.0) * photon,
        "SnuNdRR": x["LNQd"],
        "TnuNdRR": x["LNQd3"],
        "SnuNuRL": jnp.einsum("kt,pst...->psk...", jnp.conj(ckm_matrix(electroweak))[:2], x["LNuQ"][:, :2]),
        "SnuNeRR": x["LNLe"] + SCALAR_EXCHANGE * exchanged,
        "TnuNeRR": TENSOR_EXCHANGE * exchanged,
    }
    return join(below, BELOW)


def placed(coefficients: Mapping[str, complex | Array]) -> Array:
    """Coefficients of dimension six as an array (component, flavour of N).

    Raises: UserInputError for a name that is wrong.
    """
    where = [component(c) for c in parse_all(coefficients)]
    vector = jnp.zeros((len(COMPONENTS), len(GENERATIONS)), dtype=complex)
    if not where:
        return vector
    values = jnp.stack([jnp.asarray(value, dtype=complex) for value in coefficients.values()])
    return vector.at[np.array([POSITION[c] for c, _ in where]), np.array([r - 1 for _, r in where])].add(values)


def reached_below(c: Component, electroweak: ElectroweakInputs) -> tuple[Component, ...]:
    """Components below m_W that one above is matched onto, in the basis of Q that `electroweak` names."""
    down = reached_by_rotation(c) if electroweak.quark_basis == "up" else (c,)
    return tuple(dict.fromkeys(target for one in down for target in reached_by_matching(one)))


def match_at_m_w(coefficients: Mapping[str, complex | Array], electroweak: ElectroweakInputs) -> dict[str, Array]:
    """Coefficients of the theory below m_W from those of the theory above, both at m_W, by name.

    Args:
        coefficients: name -> value, GeV^-2 (dimensions five, seven: GeV^-1, GeV^-3), in the basis of Q that `electroweak` names.
        electroweak: sin^2 theta_W, G_F, CKM and basis.
    Returns: name -> complex value, GeV^-1 (dipoles) or GeV^-2, of everything that any of them is matched onto.
    Raises: UserInputError for a name that is wrong.
    """
    parsed = parse_all(coefficients)
    six = {c.name: value for c, value in zip(parsed, coefficients.values(), strict=True) if c.operator.conserves_lepton_number}
    vector = placed(six)
    below = match(rotate_quarks(vector, electroweak, "down") if electroweak.quark_basis == "up" else vector, electroweak)
    out: dict[str, Array] = {}
    for c, value in zip(parsed, coefficients.values(), strict=True):
        if c.operator.conserves_lepton_number:
            above, r = component(c)
            for target in reached_below(above, electroweak):
                out[target.name(r)] = below[POSITION_BELOW[target], r - 1]
        else:
            for name, factor in lnv_matched_from(c, electroweak).items():
                out[name] = out.get(name, 0.0) + factor * jnp.asarray(value, dtype=complex)
    return out
