"""Tree-level matching at m_W of operators that violate lepton number: dimension five and seven of `smneft_operators`.

With H = (0, v / sqrt 2), B = c_W A + ..., W^3 = s_W A + ..., Q = ((V^dagger u)_L, d_L) and charged currents left out:

    NNB_pr       ->  Ngamma_pr = c_W C_pr
    LHB_pr       ->  nugamma_pr = v^2 / 2 c_W C_pr
    LHW_pr       ->  nugamma_pr = -v^2 / 2 s_W (C_pr - C_rp) / 2
    dLQLH1_prst  ->  SnudLL_trps = -1/2 v / sqrt 2 C_prst, symmetrised in t r,
                     TnudLL_trps = -1/8 v / sqrt 2 C_prst, antisymmetrised in t r
    QuLLH_prst   ->  SnuuLR_stkr = v / sqrt 2 sum_p V_kp C_prst, symmetrised in s t              (k, r = u, c)

(Anti)symmetrised is half the sum (difference): the Lagrangian below m_W is a sum over all flavours. dLQLH2 and the symmetric part
of LHW have charged currents only, and no tensor of up quarks arises at dimension seven. DERIVED: eps_ij H^j picks the neutrino,
(eps tau^3 H)_1 = -v / sqrt 2 gives LHW its sign, and dLQLH1 is (dbar nu_r)(d_s^T C nu_t), turned by the Fierz identity of
`smneft_matching`; tests/eft/test_smneft_lnv.py expands every operator in components. arXiv:2005.08013 has the matching as well
(abstract SEEN).

In the basis of up quarks coefficients are rotated with Q, in sums over V.
"""

from __future__ import annotations

import math

import jax.numpy as jnp

from nmmfit.eft.operators import OPERATORS as BELOW
from nmmfit.eft.smneft_inputs import ElectroweakInputs, ckm_matrix, vacuum_value_gev
from nmmfit.eft.smneft_operators import GENERATIONS, SmneftCoefficient
from nmmfit.shapes import Array

SCALAR_FIERZ, TENSOR_FIERZ = -0.5, -0.125
"""What (dbar nu_r)(d^T C nu_t) is of (nubar^c_t nu_r)(dbar d) and of the tensors."""


def _add(out: dict[str, Array], operator: str, first: int, second: int, others: str, value: Array) -> None:
    """Add an unsymmetrised L_{first second} to the representative of its symmetry class."""
    symmetry = BELOW[operator].symmetry
    if first == second:
        if symmetry < 0:
            return
    else:
        value = 0.5 * value
        if first > second:
            first, second, value = second, first, symmetry * value
    name = f"{operator}_{first}{second}{others}"
    out[name] = out.get(name, 0.0) + value


def lnv_matched_from(coefficient: SmneftCoefficient, electroweak: ElectroweakInputs) -> dict[str, Array]:
    """Coefficients below m_W per unit of one that violates lepton number, by name of the independent representative; complex.

    Args:
        coefficient: as named; its `sign` counts.
        electroweak: sin^2 theta_W, G_F, CKM and basis of Q.
    Returns: name -> factor, of GeV^0 (NNB), GeV^2 (LHB, LHW) or GeV; empty where only charged currents arise.
    """
    op, digits = coefficient.operator.name, coefficient.flavours
    v = vacuum_value_gev(electroweak)
    s2 = jnp.asarray(electroweak.sin2_theta_w, dtype=float)
    one = coefficient.sign * jnp.ones((), dtype=complex)
    out: dict[str, Array] = {}
    if op == "NNB":
        # Given for p < r, summed over both orders: nothing is halved.
        out[f"Ngamma_{digits[0]}{digits[1]}"] = jnp.sqrt(1.0 - s2) * one
    elif op == "LHB":
        out[f"nugamma_{digits[0]}{digits[1]}"] = 0.5 * v**2 * jnp.sqrt(1.0 - s2) * one
    elif op == "LHW":
        _add(out, "nugamma", digits[0], digits[1], "", -0.5 * v**2 * jnp.sqrt(s2) * one)
    elif op == "dLQLH1":
        p, r, s, t = digits
        for k, factor in _down_quarks(s, electroweak).items():
            _add(out, "SnudLL", t, r, f"{p}{k}", SCALAR_FIERZ * v / math.sqrt(2.0) * factor * one)
            _add(out, "TnudLL", t, r, f"{p}{k}", TENSOR_FIERZ * v / math.sqrt(2.0) * factor * one)
    elif op == "QuLLH" and digits[1] != 3:
        p, r, s, t = digits
        for k, factor in _up_quarks(p, electroweak).items():
            _add(out, "SnuuLR", s, t, f"{k}{r}", v / math.sqrt(2.0) * factor * one)
    return out


def _down_quarks(s: int, electroweak: ElectroweakInputs) -> dict[int, Array]:
    """d_L components of Q_s: d_s in the basis of down quarks, (V d)_s in that of up quarks."""
    if electroweak.quark_basis == "down":
        return {s: jnp.ones((), dtype=complex)}
    v = ckm_matrix(electroweak)
    return {k: v[s - 1, k - 1] for k in GENERATIONS}


def _up_quarks(p: int, electroweak: ElectroweakInputs) -> dict[int, Array]:
    """u and c components of Qbar_p: conj((V^dagger u)_p) in the basis of down quarks, ubar_p in that of up quarks."""
    if electroweak.quark_basis == "up":
        return {p: jnp.ones((), dtype=complex)} if p != 3 else {}
    v = ckm_matrix(electroweak)
    return {k: v[k - 1, p - 1] for k in (1, 2)}
