"""Tree-level rates from explicit Dirac matrices and traces over spins: the reference for every closed formula.

    L = g_LL (nubar gamma P_L nu)(fbar gamma P_L f) + g_LR (nubar gamma P_L nu)(fbar gamma P_R f)
        + [S_1 (nubar P_R N)(fbar P_R f) + S_2 (nubar P_R N)(fbar P_L f) + t (nubar sigma P_R N)(fbar sigma P_R f)
           + d (nubar sigma^mu_nu P_R N) F_mu_nu + h.c.] - e Q fbar gamma^mu f A_mu,     metric (+,-,-,-)

An incoming neutrino is annihilated by the Hermitian conjugate, an antineutrino by the operators as they stand.
"""

from __future__ import annotations

import numpy as np

GEV2_CM2 = 0.3893793721e-27
E_CHARGE = np.sqrt(4 * np.pi / 137.035999177)

_PAULI = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
_ONE, _NIL = np.eye(2), np.zeros((2, 2))
GAMMA = np.array([np.block([[_ONE, _NIL], [_NIL, -_ONE]])] + [np.block([[_NIL, s], [-s, _NIL]]) for s in _PAULI])
GAMMA5 = 1j * GAMMA[0] @ GAMMA[1] @ GAMMA[2] @ GAMMA[3]
P_L, P_R = (np.eye(4) - GAMMA5) / 2, (np.eye(4) + GAMMA5) / 2
METRIC = np.diag([1.0, -1.0, -1.0, -1.0])
SIGMA = np.array([[0.5j * (GAMMA[m] @ GAMMA[n] - GAMMA[n] @ GAMMA[m]) for n in range(4)] for m in range(4)])
SIGMA_LOWER = np.einsum("ma,nb,abij->mnij", METRIC, METRIC, SIGMA)
GAMMA_LOWER = np.einsum("ma,aij->mij", METRIC, GAMMA)


def slash(p):
    return np.einsum("m,mij->ij", METRIC @ p, GAMMA)


def bar(matrix):
    return GAMMA[0] @ matrix.conj().T @ GAMMA[0]


def momenta(e, t, mass, m):
    """k, k', p, p' and q = p' - p in GeV for a target at rest; the recoil angle follows from the mass m."""
    size = np.sqrt(t**2 + 2 * mass * t)
    cosine = (m**2 + 2 * t * (e + mass)) / (2 * e * size)
    assert abs(cosine) <= 1 + 1e-9
    sine = np.sqrt(max(0.0, 1 - cosine**2))
    k, p = np.array([e, 0, 0, e]), np.array([mass, 0, 0, 0])
    q = np.array([t, size * sine, 0, size * cosine])  # kept apart: it would cancel in p' - p
    return k, k - q, p, p + q, q


def _conjugate(value, antineutrino):
    return complex(value) if antineutrino else np.conj(complex(value))


def _terms(antineutrino, q, g_ll=0, g_lr=0, s1=0, s2=0, tensor=0, dipole=0, charge=0):
    """The amplitude as a list of (coefficient, matrix on the neutrino's line, matrix on the target's line)."""
    right, left = (P_R, P_L) if antineutrino else (P_L, P_R)  # of the operator that acts, and the other
    q2 = q @ METRIC @ q
    terms = [(_conjugate(s1, antineutrino), right, right), (_conjugate(s2, antineutrino), right, left)]
    c_t, c_d = _conjugate(tensor, antineutrino), _conjugate(dipole, antineutrino)
    for mu in range(4):
        terms.append((g_ll, GAMMA[mu] @ P_L, GAMMA_LOWER[mu] @ P_L))
        terms.append((g_lr, GAMMA[mu] @ P_L, GAMMA_LOWER[mu] @ P_R))
        q_sigma = sum((METRIC @ q)[a] * SIGMA[a, mu] for a in range(4))
        terms.append((2j * c_d * charge * E_CHARGE / q2, q_sigma @ right, GAMMA_LOWER[mu]))
        for nu in range(4):
            terms.append((c_t, SIGMA[mu, nu] @ right, SIGMA_LOWER[mu, nu] @ right))
    return [term for term in terms if term[0] != 0]


def _lepton_trace(a, b, k, k_out, m, antineutrino):
    if antineutrino:  # vbar(k) A v(k')
        return np.trace(a @ (slash(k_out) - m * np.eye(4)) @ bar(b) @ slash(k))
    return np.trace(a @ slash(k) @ bar(b) @ (slash(k_out) + m * np.eye(4)))


def spin_half_rate(e_mev, t_mev, mass_mev, m_n_mev=0.0, antineutrino=False, **couplings):
    """d sigma / dT in cm^2/MeV off an unpolarised spin-1/2 target; couplings in GeV^-1 and GeV^-2."""
    e, t, mass, m = (x * 1e-3 for x in (e_mev, t_mev, mass_mev, m_n_mev))
    k, k_out, p, p_out, q = momenta(e, t, mass, m)
    terms = _terms(antineutrino, -q, **couplings)
    before, after = slash(p) + mass * np.eye(4), slash(p_out) + mass * np.eye(4)
    total = 0.0
    for c1, a1, b1 in terms:
        for c2, a2, b2 in terms:
            lepton = _lepton_trace(a1, a2, k, k_out, m, antineutrino)
            total += c1 * np.conj(c2) * lepton * np.trace(b1 @ before @ bar(b2) @ after)
    return (total / 2).real / (32 * np.pi * mass * e**2) * GEV2_CM2 * 1e-3


def spin_zero_rate(e_mev, t_mev, mass_mev, m_n_mev=0.0, antineutrino=False, g_v=0, c_s=0, dipole=0, charge=0, tensor=0):
    """As `spin_half_rate` for a spin-0 target: <J> = charge (p + p') (g_V: p + p'), scalar density 2 M c_s.

    `tensor` multiplies a nuclear matrix element T^mu_nu = -i/2 (P^mu q^nu - P^nu q^mu), P = p + p', q = p' - p, in GeV^-3.
    """
    e, t, mass, m = (x * 1e-3 for x in (e_mev, t_mev, mass_mev, m_n_mev))
    k, k_out, p, p_out, q = momenta(e, t, mass, m)
    right = P_R if antineutrino else P_L
    absorbed = -q
    q2 = absorbed @ METRIC @ absorbed
    current = METRIC @ (p + p_out)
    matrix = 2 * mass * _conjugate(c_s, antineutrino) * right
    for mu in range(4):
        matrix = matrix + g_v * current[mu] * GAMMA[mu] @ P_L
        q_sigma = sum((METRIC @ absorbed)[a] * SIGMA[a, mu] for a in range(4))
        photon = 2j * _conjugate(dipole, antineutrino) * charge * E_CHARGE / q2
        matrix = matrix + photon * current[mu] * q_sigma @ right
    total = p + p_out
    nuclear = -0.5j * (np.outer(total, q) - np.outer(q, total))
    matrix = matrix + _conjugate(tensor, antineutrino) * np.einsum("mn,mnij->ij", nuclear, SIGMA_LOWER) @ right
    squared = _lepton_trace(matrix, matrix, k, k_out, m, antineutrino)
    return squared.real / (32 * np.pi * mass * e**2) * GEV2_CM2 * 1e-3


def spinor(p, mass, spin):
    """u(p, s), normalised to ubar u = 2 M; spin 0 or 1 along z in the rest frame."""
    chi = np.eye(2)[spin]
    lower = np.einsum("i,iab->ab", p[1:], _PAULI) @ chi / (p[0] + mass)
    return np.sqrt(p[0] + mass) * np.concatenate([chi, lower])
