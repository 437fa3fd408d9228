"""What a fermion loop and the quark condensate add to the dipole, from independent evaluations."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.integrate

from nmmfit.eft.chiral import ChiralInputs, c_t_from_susceptibility, dipole_per_tensor
from nmmfit.eft.loops import loop_dipole
from nmmfit.eft.running import MIXING
from nmmfit.eft.theories import CHARGE, COLOURS, FERMION_TYPE
from nmmfit.errors import UserInputError
from nmmfit.inputs import StandardModelInputs
from nmmfit.presets import C_T, C_T_S

METRIC = np.diag([1.0, -1.0, -1.0, -1.0])
_EYE, _ZERO = np.eye(2), np.zeros((2, 2))
_PAULI = [np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.array([[1, 0], [0, -1]])]
GAMMA = [np.block([[_ZERO, _EYE], [_EYE, _ZERO]])] + [np.block([[_ZERO, s], [-s, _ZERO]]) for s in _PAULI]
GAMMA5 = 1j * GAMMA[0] @ GAMMA[1] @ GAMMA[2] @ GAMMA[3]
SIGMA = [[0.5j * (a @ b - b @ a) for b in GAMMA] for a in GAMMA]
LOWER = [[METRIC[m, m] * METRIC[n, n] * SIGMA[m][n] for n in range(4)] for m in range(4)]


def _euclidean_bubble(mass_1: float, mass_2: float) -> float:
    """16 pi^2 times the difference of int d^4k_E / (2 pi)^4 / (k^2 + m^2)^2 for two masses: ln(m_2^2 / m_1^2) if all is well."""

    def integrand(k: float) -> float:
        return 2.0 * k**3 * ((k**2 + mass_1**2) ** -2 - (k**2 + mass_2**2) ** -2)

    return scipy.integrate.quad(integrand, 0.0, np.inf, epsabs=1e-12, epsrel=1e-10)[0]


def test_mixing_from_the_feynman_diagram():
    """<qbar sigma^{mu nu} q> in a plane wave A_rho = eps_rho exp(-iqx), to first order in -e Q A_rho qbar gamma^rho q and in q.

    It is -i e Q N_c int d^4k / (2 pi)^4 tr[sigma^{mu nu} (kslash + qslash + m) eps-slash (kslash + m)] / D D, and the integral of
    1 / D D is i / 16 pi^2 times (1/epsilon + ln mu^2 / m^2). The trace is taken with explicit matrices, the integral numerically.
    """
    rng = np.random.default_rng(3)
    q, eps, k = (rng.normal(size=4) for _ in range(3))
    mass_1, mass_2 = 0.7, 1.9

    def slash(vector):
        return sum(METRIC[i, i] * vector[i] * GAMMA[i] for i in range(4))

    def trace(mu, nu, momentum, mass):
        one = np.eye(4)
        return np.trace(SIGMA[mu][nu] @ (slash(momentum) + slash(q) + mass * one) @ slash(eps) @ (slash(momentum) + mass * one))

    per_log = _euclidean_bubble(mass_1, mass_2) / np.log(mass_2**2 / mass_1**2)
    assert per_log == pytest.approx(1.0, rel=1e-8)
    for mu, nu in itertools.combinations(range(4), 2):
        # Averaging k over signs removes the odd terms; what is left is odd in the mass and independent of k.
        average = [0.5 * (trace(mu, nu, k, m) + trace(mu, nu, -k, m)) for m in (mass_1, -mass_1)]
        odd = 0.5 * (average[0] - average[1]) / mass_1
        field = -1j * (q[mu] * eps[nu] - q[nu] * eps[mu])
        for fermion, kind in FERMION_TYPE.items():
            # mu-dependence of the operator's matrix element, per unit of e m F and ln mu^2: must cancel d L_gamma / d ln mu.
            per_log_mu2 = -1j * CHARGE[kind] * COLOURS[kind] * odd * 1j / (16 * np.pi**2) * per_log
            np.testing.assert_allclose(2.0 * per_log_mu2 / field + MIXING[fermion], 0.0, atol=1e-12)


def test_mixing_from_landau_levels():
    """The same from the spectrum in a constant magnetic field: the Dirac sea's expectation value of psibar sigma^{12} psi.

    Only the lowest level contributes, all others cancel between spins, and the sum over p_z gives the logarithm with its sign.
    """
    field, levels, mass_1, mass_2 = 0.3, 6, 0.5, 1.3
    up, down = levels + 1, levels
    lower = np.diag(np.sqrt(np.arange(1.0, up)), 1)[:down]  # from n of spin up to n - 1 of spin down
    spin = np.diag([1.0] * up + [-1.0] * down)

    def sea(p_z: float, mass: float) -> float:
        kinetic = np.block([[p_z * np.eye(up), np.sqrt(2 * field) * lower.T], [np.sqrt(2 * field) * lower, -p_z * np.eye(down)]])
        one = np.eye(up + down)
        energy, states = np.linalg.eigh(np.block([[mass * one, kinetic], [kinetic, -mass * one]]))
        beta_spin = np.kron(np.diag([1.0, -1.0]), spin)
        filled = states[:, energy < 0.0]
        return float(np.real(np.trace(filled.conj().T @ beta_spin @ filled)))

    def difference(p_z: float) -> float:
        return sea(p_z, mass_1) / mass_1 - sea(p_z, mass_2) / mass_2

    # p_z = tan(x): the integrand falls as p_z^-3.
    integral = 2.0 * scipy.integrate.quad(lambda x: difference(np.tan(x)) / np.cos(x) ** 2, 0.0, np.pi / 2 - 1e-4, epsrel=1e-8)[0]
    density = field / (2 * np.pi) * integral / (2 * np.pi)
    # <psibar sigma^12 psi> / m = (4 Q e F^12 / 16 pi^2) ln(mu^2 / m^2) with F^12 = -B; MIXING is -2 times its coefficient.
    coefficient = density / (-field * np.log(mass_2**2 / mass_1**2))
    np.testing.assert_allclose(-2.0 * coefficient, MIXING["e"] / CHARGE["e"], rtol=1e-5)


def test_only_one_chirality_of_the_quark_tensor_is_seen():
    # (sigma^{mu nu} P_R) x (sigma_{mu nu} P_L) = 0: the projector on the quark tensor is idle.
    right, left = (np.eye(4) + GAMMA5) / 2, (np.eye(4) - GAMMA5) / 2
    pairs = list(itertools.product(range(4), repeat=2))
    mixed = sum(np.kron(SIGMA[m][n] @ right, LOWER[m][n] @ left) for m, n in pairs)
    same = sum(np.kron(SIGMA[m][n] @ right, LOWER[m][n] @ right) for m, n in pairs)
    np.testing.assert_allclose(mixed, 0.0, atol=1e-13)
    assert np.max(np.abs(same)) > 1.0


@pytest.mark.parametrize("quark", ["u", "d", "s"])
def test_matching_is_the_condensate_in_a_field(quark):
    """2 |Lambda_1| = |chi <qbar q>|: the added dipole is <qbar sigma q> = e Q chi <qbar q> F itself."""
    inputs = StandardModelInputs()
    chi, condensate, e = -2.05, -(0.272**3), 0.3028
    c_t = c_t_from_susceptibility(chi, condensate, inputs.f_pi_gev)
    charge = CHARGE[FERMION_TYPE[quark]]
    np.testing.assert_allclose(c_t * dipole_per_tensor(quark, e, inputs), e * charge * chi * condensate, rtol=1e-12)
    # The sign is that of the perturbative part: -MIXING per unit of e m ln mu, positive for a positive charge.
    assert c_t * dipole_per_tensor(quark, e, inputs) * -MIXING[quark] > 0.0


def test_lattice_susceptibilities_give_the_preset():
    # arXiv:1209.6015: chi_u = -2.08(8), chi_d = -2.02(9), chi_s = -3.4(1.4) GeV^-2; <qbar q> = -(272 MeV)^3.
    f_pi, condensate = 0.0923, -(0.272**3)
    for chi in (-2.08, -2.02):
        assert (
            abs(c_t_from_susceptibility(chi, condensate, f_pi) - C_T["susceptibility"].value) < C_T["susceptibility"].uncertainty
        )
    # With a strange condensate of 0.8 times the light one.
    strange = c_t_from_susceptibility(-3.4, 0.8 * condensate, f_pi)
    assert abs(strange - C_T_S["susceptibility"].value) < C_T_S["susceptibility"].uncertainty


def test_presets():
    assert ChiralInputs.preset("mateu_portoles") == ChiralInputs(-3.2, -3.2)
    assert ChiralInputs() == ChiralInputs.preset("susceptibility")
    with pytest.raises(UserInputError, match="did you mean 'lattice_kaon'"):
        ChiralInputs.preset("lattice_kaons", "theory.c_T")


def test_loops_below_2_gev_continue_the_mixing():
    # 8 e m_l ln(m_l / 2 GeV) / 16 pi^2, e at 2 GeV; charm has mass 1.09 GeV there (1.27 GeV at its own scale).
    found = loop_dipole(StandardModelInputs())
    e = np.sqrt(4 * np.pi / 133.3037279)
    for name, mass in (("e", 0.51099895e-3), ("mu", 0.1056583755), ("tau", 1.77686)):
        np.testing.assert_allclose(found[name], 8 * e * mass * np.log(mass / 2.0) / (16 * np.pi**2), rtol=1e-7)
    np.testing.assert_allclose(found["c"], -16 * e * 1.0899 * np.log(1.27 / 2.0) / (16 * np.pi**2), rtol=1e-3)
