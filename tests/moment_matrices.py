"""Matrices of moments, mixing matrices and effective moments in plain numpy and scipy, for comparison."""

from __future__ import annotations

import numpy as np
from scipy.linalg import expm

# e / (2 m_e) in GeV^-1, CODATA 2022
MU_B = np.sqrt(4 * np.pi / 137.035999177) / (2 * 0.51099895069e-3)
# e(0) / e(2 GeV): L_gamma / e does not run
TO_ZERO_MOMENTUM = np.sqrt(133.3037279 / 137.035999177)
P = np.array([0.616, 0.362, 0.022])  # P_e1, P_e2, P_e3 of 7Be neutrinos of 0.862 MeV
ANGLES = (0.588, 0.149, 0.755)


def rng(seed):
    return np.random.default_rng(seed)


def random_matrix(seed, columns=3, batch=()):
    r = rng(seed)
    return r.normal(size=(*batch, 3, columns)) + 1j * r.normal(size=(*batch, 3, columns))


def random_majorana(seed):
    mu = random_matrix(seed)
    return mu - mu.T


def random_unitary(seed, size=3):
    """exp(i H) of a random Hermitian generator."""
    r = rng(seed)
    h = r.normal(size=(size, size)) + 1j * r.normal(size=(size, size))
    return expm(1j * (h + h.conj().T))


def rotations(theta12, theta13, theta23, delta, alpha1, alpha2):
    """The PDG form as a product of matrix exponentials of generators."""

    def plane(i, j, theta):
        generator = np.zeros((3, 3))
        generator[i, j], generator[j, i] = theta, -theta
        return expm(generator)

    phase = np.diag([1, 1, np.exp(1j * delta)])
    majorana = np.diag(np.exp(0.5j * np.array([alpha1, alpha2, 0.0])))
    return plane(1, 2, theta23) @ phase @ plane(0, 2, theta13) @ phase.conj() @ plane(0, 1, theta12) @ majorana


def seen_by(psi, mu, antineutrino=False):
    """sum_r |sum_p psi_p conj(mu_pr)|^2, or with mu itself for an antineutrino, term by term."""
    total = 0.0
    for r in range(mu.shape[1]):
        total += abs(sum(psi[p] * (mu[p, r] if antineutrino else np.conj(mu[p, r])) for p in range(3))) ** 2
    return total


def incoherent(mu, u, probabilities, antineutrino=False):
    """Mass states with amplitudes U_ak (conjugated for antineutrinos) in the flavours, each on its own."""
    states = u.conj() if antineutrino else u
    return sum(probabilities[k] * seen_by(states[:, k], mu, antineutrino) for k in range(3))


def density(u, probabilities=P):
    return u @ np.diag(probabilities) @ u.conj().T
