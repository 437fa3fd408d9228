"""One-loop moments: the logarithm by hand and from the running, the letter's formulae, and why a contact scalar gives nothing."""

from __future__ import annotations

import math

import jax
import numpy as np
import pytest
from dirac import GAMMA, METRIC, SIGMA, slash
from scipy.integrate import quad

from nmmfit.constants import M_ELECTRON_MEV, bohr_magneton_per_gev, electron_charge
from nmmfit.eft.loop_moments import (
    charge_factor,
    letter_scalar_moment_mub,
    letter_tensor_moment_mub,
    loop_dipole_per_tensor,
    loop_moments,
    tensor_moment_mub,
)
from nmmfit.eft.loops import loop_dipole
from nmmfit.eft.running import evolution
from nmmfit.eft.theories import FERMIONS, inverse_alpha, quark_mass
from nmmfit.errors import UserInputError
from nmmfit.inputs import StandardModelInputs

G_F = 1.1663787e-5
M_E_GEV = M_ELECTRON_MEV.value * 1e-3
CHARGES = {"u": 2 / 3, "c": 2 / 3, "d": -1 / 3, "s": -1 / 3, "b": -1 / 3, "e": -1.0, "mu": -1.0, "tau": -1.0}


@pytest.mark.parametrize("fermion", FERMIONS)
def test_closed_form(fermion):
    """In mu_B the charge drops out: mu / mu_B = m_e N_c |Q| m L ln(Lambda^2 / m^2) / pi^2."""
    colours = 1 if fermion in ("e", "mu", "tau") else 3
    factor = colours * abs(CHARGES[fermion])
    assert charge_factor(fermion) == pytest.approx(factor, rel=1e-15)
    expected = M_E_GEV * factor * 0.3 * 2e-6 / math.pi**2 * math.log(80.0**2 / 0.3**2)
    assert float(tensor_moment_mub(fermion, -2e-6j, 0.3, 80.0)) == pytest.approx(expected, rel=1e-12)
    sign = math.copysign(1.0, CHARGES[fermion])
    assert math.copysign(1.0, float(loop_dipole_per_tensor(fermion, 0.3, 80.0, 0.3))) == sign


def closed_loop(vertex, k, q, mass, rho):
    """tr[vertex (kslash + qslash / 2 + m) gamma^rho (kslash - qslash / 2 + m)] over both denominators, symmetric routing."""
    after, before = k + q / 2, k - q / 2
    top = np.trace(vertex @ (slash(after) + mass * np.eye(4)) @ GAMMA[rho] @ (slash(before) + mass * np.eye(4)))
    return top / ((after @ METRIC @ after - mass**2) * (before @ METRIC @ before - mass**2))


@pytest.mark.parametrize("charge", [-1.0, 2 / 3])
def test_logarithm_from_the_loop_by_hand(charge):
    """<fbar sigma^{mu nu} f> in a plane wave, shell by shell of Euclidean momentum: (4 N_c m e Q / 16 pi^2) F ln(mu^2) from each.

    Between m << K_1 and K_2 the integral is the logarithm ln(K_2^2 / K_1^2) without a constant.
    """
    mass, low, high = 1.0, 2e3, 3e5
    rng = np.random.default_rng(2)
    q, eps = rng.normal(size=4) * 1e-3, rng.normal(size=4)
    mu, nu = 1, 2
    field = -1j * (q[mu] * eps[nu] - q[nu] * eps[mu])
    directions = [sign * np.eye(4)[i] for i in range(4) for sign in (1.0, -1.0)]

    def integrand(log_k):
        size = math.exp(log_k)
        total = 0.0
        for direction in directions:
            k = size * direction * np.array([1j, 1.0, 1.0, 1.0])
            values = [METRIC[r, r] * eps[r] * closed_loop(SIGMA[mu, nu], k, q, mass, r) for r in range(4)]
            total += sum(values)
        # - (closed loop) x i S x (-i e Q) x i S, and d^4k = i d^4k_E; e and N_c are 1.
        amplitude = -1.0 * 1j * (-1j * charge) * 1j * total / len(directions) * 1j / (8 * math.pi**2) * size**4
        return float((amplitude / field).real)

    value = quad(integrand, math.log(low), math.log(high), epsabs=0.0, epsrel=1e-8)[0]
    log = math.log(high**2 / low**2)
    assert value == pytest.approx(4 * mass * charge * log / (16 * math.pi**2), rel=1e-5)
    fermion = "tau" if charge == -1.0 else "c"
    colours = 1 if charge == -1.0 else 3
    ours = float(loop_dipole_per_tensor(fermion, mass, high, 1.0) - loop_dipole_per_tensor(fermion, mass, low, 1.0))
    assert ours == pytest.approx(colours * value, rel=1e-5)


def test_a_contact_scalar_vanishes_by_charge_conjugation():
    """The loop of (fbar f) or (fbar gamma_5 f) with one photon: what k gives, -k takes away; the tensor's adds up."""
    rng = np.random.default_rng(4)
    q, k = rng.normal(size=4) * 0.2, rng.normal(size=4)
    gamma5 = 1j * GAMMA[0] @ GAMMA[1] @ GAMMA[2] @ GAMMA[3]
    for rho in range(4):
        for vertex in (np.eye(4), gamma5):
            both = closed_loop(vertex, k, q, 0.5, rho) + closed_loop(vertex, -k, q, 0.5, rho)
            assert abs(both) < 1e-14
    one = closed_loop(np.eye(4), k, q, 0.5, 1)
    assert abs(one) > 1e-3
    assert abs(closed_loop(SIGMA[1, 2], k, q, 0.5, 1) + closed_loop(SIGMA[1, 2], -k, q, 0.5, 1)) > 1e-3


@pytest.mark.parametrize("fermion", ["e", "tau", "c", "b", "s"])
def test_running_at_fixed_order(fermion):
    """The slope of the exact running at equal scales is the slope of the logarithm, with e and m of that scale."""
    inputs = StandardModelInputs()
    at = 40.0
    slope = jax.grad(lambda low: evolution(at, low, inputs).mixing[fermion])(at) * at
    mass = getattr(inputs, f"m_{fermion}_gev") if fermion in ("e", "tau") else quark_mass(fermion, at, inputs)
    e = math.sqrt(4 * math.pi / float(inverse_alpha(at, inputs)))
    # Down by d ln mu the logarithm of Lambda / mu grows.
    step = float(loop_dipole_per_tensor(fermion, 1.0, math.e, e)) * float(mass)
    assert float(slope) == pytest.approx(-step, rel=1e-9)


@pytest.mark.parametrize("lepton", ["e", "mu", "tau"])
def test_running_and_loops_over_the_whole_range(lepton):
    """From m_W to the mass: higher orders in alpha are 2 %."""
    inputs = StandardModelInputs(e_running="fixed")
    whole = float(evolution(inputs.m_w_gev, 2.0, inputs).mixing[lepton] + loop_dipole(inputs)[lepton])
    mass = getattr(inputs, f"m_{lepton}_gev")
    assert float(loop_dipole_per_tensor(lepton, mass, inputs.m_w_gev, electron_charge())) == pytest.approx(whole, rel=0.02)


def test_letter_formulae():
    """arXiv:1901.00482, eqs. (10) and (11), by hand; the electron with 0.1 G_F has about 1e-12 mu_B, as its text says."""
    g, m = 0.1 * G_F, M_E_GEV
    mu_b = electron_charge() / (2 * M_E_GEV)
    assert bohr_magneton_per_gev() == pytest.approx(mu_b, rel=1e-12)
    tensor = electron_charge() * g * m / (2 * math.pi**2) * abs(1 + math.log(m**2 * g)) / mu_b
    assert float(letter_tensor_moment_mub(g, m)) == pytest.approx(tensor, rel=1e-12)
    assert tensor == pytest.approx(0.9e-12, rel=0.1)
    scalar = electron_charge() * g * m / (8 * math.pi**2) / mu_b
    assert float(letter_scalar_moment_mub(g, m)) == pytest.approx(scalar, rel=1e-12)


def test_no_coupling_no_moment():
    assert float(letter_tensor_moment_mub(0.0, 0.1)) == 0.0
    assert float(loop_moments("mu", 0.1, tensor="letter", scalar="letter").tensor_mub) == 0.0
    assert np.isfinite(float(jax.grad(lambda g: letter_tensor_moment_mub(g, 0.1))(0.0)))


def test_letter_and_theory_have_one_logarithm_for_a_charged_lepton():
    """At Lambda = G^{-1/2}, |mu| / (e G m / 2 pi^2) differs by the constant 1 alone."""
    for g in (0.1 * G_F, G_F):
        unit = electron_charge() * g * 0.1 / (2 * math.pi**2) / bohr_magneton_per_gev()
        theory = float(tensor_moment_mub("mu", g, 0.1, g**-0.5)) / unit
        assert theory - float(letter_tensor_moment_mub(g, 0.1)) / unit == pytest.approx(1.0, rel=1e-9)


def test_the_scalar_is_off_by_default_and_formulae_have_names():
    plain = loop_moments("mu", 0.1, tensor_gev2=1e-6, scalar_gev2=1e-6)
    assert float(plain.scalar_mub) == 0.0
    assert float(plain.tensor_mub) == float(tensor_moment_mub("mu", 1e-6, 0.1, 80.379))
    letter = loop_moments("mu", 0.1, 1e-6, 1e-6, tensor="letter", scalar="letter")
    assert float(letter.scalar_mub) == float(letter_scalar_moment_mub(1e-6, 0.1)) > 0.0
    assert float(letter.tensor_mub) == float(letter_tensor_moment_mub(1e-6, 0.1))
    for wrong, expected in (({"tensor": "eff"}, "did you mean 'eft'"), ({"scalar": "eft"}, "unknown formula 'eft'")):
        with pytest.raises(UserInputError, match=expected):
            loop_moments("mu", 0.1, 1e-6, **wrong)
    with pytest.raises(UserInputError, match="unknown fermion 't'"):
        loop_moments("t", 0.1, 1e-6)


def test_batches_and_limits():
    found = tensor_moment_mub("e", np.ones((3, 1)) * 1e-6, np.array([0.1, 80.0]), 80.0)
    assert found.shape == (3, 2)
    assert float(found[0, 1]) == 0.0
