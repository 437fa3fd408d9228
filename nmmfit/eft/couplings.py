"""Couplings of neutrinos to quarks, electrons and the photon at 2 GeV, after chiral matching."""

from __future__ import annotations

from dataclasses import dataclass

import jax

from nmmfit.shapes import Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class QuarkCouplings:
    """Quark-level couplings at 2 GeV, each complex (3, 6) = (flavour p, final state r).

    Columns 0-2: N_1..N_3 (lepton number conserved); columns 3-5: conjugates of nu_e, nu_mu, nu_tau (lepton number broken),
    whose entries are 2 L^dagger, with the factor 2 of the two identical fields (arXiv:2206.13122, eqs. (3.7), (3.10), (3.11)).
    `dipole` includes what matching adds and is that at zero momentum transfer, to be used with e(0), in GeV^-1; the rest is in
    GeV^-2. `scalar_q` is the sum over both chiralities, L^{S,RR} + L^{S,RL} (LNV: LL + LR), which is all that a parity-even
    nuclear matrix element sees.

    The vector couplings have final states of their own: columns 0-2 are nu_e, nu_mu, nu_tau, a Hermitian matrix whose amplitude
    adds to the Standard Model's; columns 3-5 are the conjugates of N_1..N_3 (lepton number broken), with entries conj(L).
    `vector_q` is the vector part (L^{V,LL} + L^{V,LR}) / 2, at zero momentum transfer, as are those of the electron. `charge`,
    with the same columns, is the electric charge of the neutrinos in units of e, which couples to all charged targets.
    """

    dipole: Array
    tensor_u: Array
    tensor_d: Array
    tensor_s: Array
    scalar_u: Array
    scalar_d: Array
    scalar_s: Array
    electron_s1: Array
    electron_s2: Array
    electron_tensor: Array
    vector_u: Array
    vector_d: Array
    vector_s: Array
    electron_left: Array
    electron_right: Array
    charge: Array
