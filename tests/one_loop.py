"""One-loop dipoles from explicit Dirac matrices and numerical momentum integrals: the reference for thresholds of models.

The amplitude of N(p1) + photon(q) -> nu(p2) is expanded to first order in momenta at the level of the integrand (finite, since
the loop is massive), averaged over directions of the Euclidean loop momentum, and projected on the dipole

    i M = i L_gamma ubar(p2) 2 i sigma^{mu nu} q_nu P_R u(p1) eps_mu

by a trace with massless spinors, which takes care of the Gordon identity. Photons couple with -i e Q gamma^mu and with
-i e Q (p + p')^mu.
"""

from __future__ import annotations

import numpy as np
from dirac import GAMMA, METRIC, P_L, P_R, SIGMA, bar, slash
from scipy.integrate import quad

_P1, _P2 = np.array([1.0, 0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.6, 0.8])
_Q = _P2 - _P1
_ONE = np.eye(4)
_DIPOLE = [sum(2j * SIGMA[mu, nu] * (METRIC @ _Q)[nu] for nu in range(4)) @ P_R for mu in range(4)]
# Products of two components of k average exactly over these; there are no higher ones at first order in momenta.
_DIRECTIONS = [sign * np.eye(4)[i] for i in range(4) for sign in (1.0, -1.0)]


def _dot(a, b):
    return a @ METRIC @ b


def _overlap(matrices):
    return sum(METRIC[m, m] * np.trace(slash(_P2) @ matrices[m] @ slash(_P1) @ bar(_DIPOLE[m])) for m in range(4))


def _first_order(zeroth, first, denominators):
    """Derivative with respect to a common factor of all external momenta of numerator / product of denominators."""
    product = np.prod([d for d, _ in denominators])
    return (first - zeroth * sum(slope / d for d, slope in denominators)) / product


def _integral(matrices_at, scale):
    """int d^4k / (2 pi)^4 of the integrand projected on the dipole, divided by i."""

    def integrand(log_k):
        size = np.exp(log_k)
        total = 0.0
        for direction in _DIRECTIONS:
            k = size * direction * np.array([1j, 1.0, 1.0, 1.0])
            total += _overlap([matrices_at(k, -(size**2), mu) for mu in range(4)])
        return float((total / len(_DIRECTIONS) / _overlap(_DIPOLE)).real) * size**4

    value = quad(integrand, np.log(1e-9 * scale), np.log(1e7 * scale), limit=400, epsabs=0.0, epsrel=1e-9)[0]
    return value / (8.0 * np.pi**2)


def scalar_loop_fermion_emits(m, m_phi):
    """L_gamma / (e Q_f y_c y_s), with vertices i y_c P_R and i y_s P_R."""

    def matrices(k, k2, mu):
        after, before = slash(k) + m * _ONE, slash(k) + m * _ONE
        zeroth = P_R @ after @ GAMMA[mu] @ before @ P_R
        first = P_R @ slash(_Q) @ GAMMA[mu] @ before @ P_R
        lines = [(k2 - m**2, 2 * _dot(k, _Q)), (k2 - m**2, 0.0), (k2 - m_phi**2, -2 * _dot(_P1, k))]
        return _first_order(zeroth, first, lines)

    return _integral(matrices, m_phi)


def scalar_loop_boson_emits(m, m_phi):
    """L_gamma / (e Q_phi y_c y_s), Q_phi the charge of the scalar that N emits."""

    def matrices(k, k2, mu):
        lines = [(k2 - m**2, 0.0), (k2 - m_phi**2, -2 * _dot(_P1, k)), (k2 - m_phi**2, -2 * _dot(_P2, k))]
        return _first_order(-2 * m * k[mu] * P_R, m * (_P1 + _P2)[mu] * P_R, lines)

    return _integral(matrices, m_phi)


def vector_loop(m, m_w):
    """L_gamma / (e g^2 a b / 2) by diagram for Q_f = -1 and (g / sqrt 2) [a nubar gamma P_L l W + b Nbar gamma P_R l W] + h.c.

    Feynman gauge that keeps the electromagnetic symmetry: no photon-W-Goldstone vertex, the W couples like four scalars and
    through 2 i e F_{nu mu} W^{dagger nu} W^mu. Goldstone bosons in both vertices, of relative size (m / m_W)^2, are left out.
    """
    lower = [METRIC[a, a] * GAMMA[a] for a in range(4)]

    def wrapped(inner):
        return sum(GAMMA[a] @ P_L @ inner @ lower[a] @ P_R for a in range(4))

    def fermion(k, k2, mu):
        before = slash(k) + m * _ONE
        lines = [(k2 - m**2, 2 * _dot(k, _Q)), (k2 - m**2, 0.0), (k2 - m_w**2, -2 * _dot(_P1, k))]
        return _first_order(wrapped(before @ GAMMA[mu] @ before), wrapped(slash(_Q) @ GAMMA[mu] @ before), lines)

    def boson(k, k2, mu):
        magnetic = 2 * (slash(_Q) @ GAMMA[mu] - GAMMA[mu] @ slash(_Q))
        lines = [(k2 - m**2, 0.0), (k2 - m_w**2, -2 * _dot(_P1, k)), (k2 - m_w**2, -2 * _dot(_P2, k))]
        return _first_order(-8 * m * k[mu] * P_R, m * (4 * (_P1 + _P2)[mu] * _ONE + magnetic) @ P_R, lines)

    return _integral(fermion, m_w), -_integral(boson, m_w)
