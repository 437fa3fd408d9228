"""Cross sections from helicity amplitudes in the centre-of-mass frame, in two-component spinors: no traces, no lab kinematics.

Dirac spinors are pairs (left, right) with psibar = (right^+, left^+), gamma^mu = (0, sigma^mu; sigmabar^mu, 0). Spins are summed
one by one. The recoil energy is an outcome of the scattering angle, T = -t / 2 M, and

    d sigma / dT = |M|^2 / (64 pi s p_i^2) |dt/dT|,    |dt/dT| = 2 M,    s p_i^2 = (M E)^2.

Lagrangian as in `spin_half`; a neutrino is annihilated by the Hermitian conjugate of (nubar Gamma N), an antineutrino by itself.
A photon that the dipole absorbs with momentum q gives 2 i d sigma^{mu nu} (-i q_mu), its propagator -i / q^2, the target
-i e Q gamma_nu: M = 2 i d e Q sigma^{mu nu} q_mu gamma_nu / q^2.
"""

from __future__ import annotations

import itertools

import jax
import numpy as np
import pytest

from nmmfit.physics import massive, spin_half, spin_zero
from nmmfit.physics.kinematics import recoil_limits, threshold_energy

E_CHARGE = np.sqrt(4 * np.pi / 137.035999177)
CM2_PER_MEV = 0.3893793721e-27 * 1e-3  # of GeV^-3
S = np.array([np.eye(2), [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
S_BAR = S * np.array([1, -1, -1, -1])[:, None, None]
G = np.array([1.0, -1.0, -1.0, -1.0])
half = jax.jit(spin_half.kernels, static_argnames="antineutrino")
zero = jax.jit(spin_zero.kernels, static_argnames="antineutrino")


def root(matrix):
    """Square root of a positive 2 x 2 matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return vectors @ np.diag(np.sqrt(np.maximum(values, 0.0))) @ vectors.conj().T


def u(p, spin):
    """(left, right) = (sqrt(p.sigma) xi, sqrt(p.sigmabar) xi)."""
    xi = np.eye(2)[spin]
    return np.concatenate([root(np.einsum("m,mij->ij", G * p, S)) @ xi, root(np.einsum("m,mij->ij", G * p, S_BAR)) @ xi])


def v(p, spin):
    upper = u(p, spin)
    return np.concatenate([upper[:2], -upper[2:]])


def bar(w):
    return np.concatenate([w[2:].conj(), w[:2].conj()])


def gamma(mu):
    out = np.zeros((4, 4), dtype=complex)
    out[:2, 2:], out[2:, :2] = S[mu], S_BAR[mu]
    return out


GAMMA = [gamma(mu) for mu in range(4)]
LEFT, RIGHT = np.diag([1.0, 1.0, 0, 0]), np.diag([0, 0, 1.0, 1.0])
SIGMA = [[0.5j * (a @ b - b @ a) for b in GAMMA] for a in GAMMA]


def frame(e, mass, m, cosine):
    """Momenta k, p, k', p' in the centre of mass, and the recoil energy in the lab, GeV."""
    s = mass**2 + 2 * mass * e
    p_i = mass * e / np.sqrt(s)
    p_f = np.sqrt((s - (mass + m) ** 2) * (s - (mass - m) ** 2)) / (2 * np.sqrt(s))
    out = p_f * np.array([np.sqrt(1 - cosine**2), 0.0, cosine])
    k = np.array([p_i, 0, 0, p_i])
    p = np.array([np.hypot(p_i, mass), 0, 0, -p_i])
    k_out, p_out = np.concatenate([[np.hypot(p_f, m)], out]), np.concatenate([[np.hypot(p_f, mass)], -out])
    return k, p, k_out, p_out, (p @ (G * p_out) - mass**2) / mass


def rate(e_mev, mass_mev, m_mev, cosine, antineutrino, spin, *, charge=1.0, s1=0, s2=0, t=0, d=0, g_ll=0, g_lr=0):
    """(T in MeV, d sigma / dT in cm^2/MeV); spin 0 has C_S = s1 = s2, no tensor, g_V = g_ll = g_lr."""
    e, mass, m = e_mev * 1e-3, mass_mev * 1e-3, m_mev * 1e-3
    k, p, k_out, p_out, recoil = frame(e, mass, m, cosine)
    q = k - k_out  # leaves the neutrino: the dipole absorbs -q
    q2 = -2 * mass * recoil
    right, left = (RIGHT, LEFT) if antineutrino else (LEFT, RIGHT)
    c1, c2, c_t, c_d = (complex(x) if antineutrino else np.conj(complex(x)) for x in (s1, s2, t, d))
    photon = [2j * c_d * E_CHARGE * charge / q2 * sum(SIGMA[m_][n] * -(G * q)[m_] for m_ in range(4)) @ right for n in range(4)]
    total = 0.0
    for a, b, c in itertools.product(range(2), repeat=3):
        # the massless neutrino has one helicity; the other's spinor vanishes under the projector, so sum over both
        incoming, outgoing = (v(k, a), v(k_out, b)) if antineutrino else (u(k, a), u(k_out, b))
        first, last = (bar(incoming), outgoing) if antineutrino else (bar(outgoing), incoming)
        targets = [(None, None)] if spin == 0 else [(u(p, x), bar(u(p_out, c))) for x in range(2)]
        if spin == 0 and c == 1:
            continue
        for before, after in targets:
            if spin == 0:
                current = p + p_out
                amplitude = 2 * mass * c1 * (first @ right @ last)
                for n in range(4):
                    amplitude += current[n] * G[n] * (first @ (photon[n] + g_ll * GAMMA[n] @ LEFT) @ last)
            else:
                amplitude = (first @ right @ last) * (after @ (c1 * right + c2 * left) @ before)
                for n in range(4):
                    amplitude += G[n] * (first @ photon[n] @ last) * (after @ GAMMA[n] @ before)
                    vector = after @ GAMMA[n] @ (g_ll * LEFT + g_lr * RIGHT) @ before
                    amplitude += G[n] * (first @ GAMMA[n] @ LEFT @ last) * vector
                    for m_ in range(4):
                        tensor = (first @ SIGMA[m_][n] @ right @ last) * (after @ SIGMA[m_][n] @ right @ before)
                        amplitude += c_t * G[m_] * G[n] * tensor
            total += abs(amplitude) ** 2
    spins = 1 if spin == 0 else 2
    return recoil * 1e3, total / spins * 2 * mass / (64 * np.pi * (mass * e) ** 2) * CM2_PER_MEV


def couplings(seed, size):
    rng = np.random.default_rng(seed)
    s1, s2, t, d = (rng.normal(size=4) + 1j * rng.normal(size=4)) * 1e-5
    return s1, s2, t, d * size


# E, M, m, cosine: electrons in the Sun and beyond, a nucleus, a target so light that everything recoils; near threshold
CASES = [
    (0.8618, 0.51099895, 0.0, 0.3),
    (0.8618, 0.51099895, 0.4, -0.7),
    (0.42, 0.51099895, 0.31, 0.9),
    (30.0, 37215.0, 0.0, -0.2),
    (30.0, 123800.0, 29.99, 0.6),
    (50.0, 60.0, 35.0, -0.9),
]


@pytest.mark.parametrize("antineutrino", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_spin_half(case, antineutrino):
    e, mass, m, cosine = case
    size = np.sqrt(mass * 1e-3 * mass * 1e-3 * e**2 / (mass**2 + 2 * mass * e))
    s1, s2, t, d = couplings(3, size)
    charge = -1.0 if mass < 1.0 else 3.0
    recoil, expected = rate(e, mass, m, cosine, antineutrino, 0.5, charge=charge, s1=s1, s2=s2, t=t, d=d)
    k = half(e, recoil, mass, m, antineutrino=antineutrino)
    found = (
        k.s_s * (abs(s1) ** 2 + abs(s2) ** 2)
        + k.s1_s2 * (s1 * np.conj(s2)).real
        + k.tensor * abs(t) ** 2
        + k.dipole * charge**2 * abs(d) ** 2
        + k.s1_tensor * (s1 * np.conj(t)).real
        + k.dipole_scalar * charge * (d * np.conj(s1 + s2)).real
        + k.dipole_tensor * charge * (d * np.conj(t)).real
    )
    assert float(found) == pytest.approx(expected, rel=1e-8)
    # Scalars and tensors alone, and the dipole alone: the sum hides nothing.
    _, quiet = rate(e, mass, m, cosine, antineutrino, 0.5, charge=charge, s1=s1, t=t)
    assert float(k.s_s * abs(s1) ** 2 + k.tensor * abs(t) ** 2 + k.s1_tensor * (s1 * np.conj(t)).real) == pytest.approx(
        quiet, rel=1e-8
    )
    _, alone = rate(e, mass, m, cosine, antineutrino, 0.5, charge=charge, d=d)
    assert float(k.dipole * charge**2 * abs(d) ** 2) == pytest.approx(alone, rel=1e-8)


@pytest.mark.parametrize("antineutrino", [False, True])
@pytest.mark.parametrize("case", CASES[3:])
def test_spin_zero(case, antineutrino):
    e, mass, m, cosine = case
    size = np.sqrt(mass * 1e-3 * mass * 1e-3 * e**2 / (mass**2 + 2 * mass * e))
    c_s, _, _, d = couplings(4, size)
    recoil, expected = rate(e, mass, m, cosine, antineutrino, 0, charge=3.0, s1=c_s, s2=c_s, d=d)
    k = zero(e, recoil, mass, m, antineutrino=antineutrino)
    found = k.scalar * abs(c_s) ** 2 + k.dipole * 9.0 * abs(d) ** 2 + k.dipole_scalar * 3.0 * (d * np.conj(c_s)).real
    assert float(found) == pytest.approx(expected, rel=1e-8)
    assert float(k.dipole_scalar * 3.0 * (d * np.conj(c_s)).real) != 0.0


@pytest.mark.parametrize("antineutrino", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_vectors_with_a_massive_final_state(case, antineutrino):
    e, mass, m, cosine = case
    g_ll, g_lr = 1.3e-5, -0.6e-5
    recoil, expected = rate(e, mass, m, cosine, antineutrino, 0.5, g_ll=g_ll, g_lr=g_lr)
    left, right = (g_lr, g_ll) if antineutrino else (g_ll, g_lr)
    assert float(spin_half.vector(e, recoil, mass, left, right, m)) == pytest.approx(expected, rel=1e-8)
    recoil, expected = rate(e, mass, m, cosine, antineutrino, 0, g_ll=g_ll)
    assert float(spin_zero.vector(e, recoil, mass, g_ll, m)) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(("e", "mass", "m"), [(x[0], x[1], x[2]) for x in CASES if x[2] > 0.0])
def test_ends_of_the_spectrum_are_forward_and_backward_in_the_centre_of_mass(e, mass, m):
    ends = tuple(frame(e * 1e-3, mass * 1e-3, m * 1e-3, cosine)[4] * 1e3 for cosine in (1.0, -1.0))
    assert tuple(float(x) for x in recoil_limits(e, mass, m)) == pytest.approx(ends, rel=1e-6)
    assert massive.recoil_window(e, mass, m) == pytest.approx(ends, rel=1e-6)
    # At the threshold nothing moves in the centre of mass: s = (M + m)^2.
    assert mass**2 + 2 * mass * float(threshold_energy(mass, m)) == pytest.approx((mass + m) ** 2, rel=1e-12)
    assert massive.threshold_mass_mev(e, mass) == pytest.approx(np.sqrt(mass**2 + 2 * mass * e) - mass, rel=1e-8)


def test_a_dirac_moment_has_the_cross_section_of_the_textbook():
    """d = mu / 2, forward peak pi alpha^2 / m_e^2 (mu / mu_B)^2 Z^2 (1/T - 1/E), mu_B = e / 2 m_e, at T much below E."""
    e, mass = 30.0, 123800.0
    recoil, found = rate(e, mass, 0.0, 0.9, False, 0.5, charge=55.0, d=0.5 * 1e-10 * E_CHARGE / (2 * 0.51099895e-3))
    alpha = E_CHARGE**2 / (4 * np.pi)
    expected = np.pi * alpha**2 / 0.51099895e-3**2 * 1e-20 * 55**2 * (1 / recoil - 1 / e) * 1e3 * CM2_PER_MEV
    assert found == pytest.approx(expected, rel=1e-6)
