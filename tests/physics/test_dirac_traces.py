"""Closed formulae against explicit Dirac matrices at random kinematics and with random complex couplings."""

from __future__ import annotations

import dataclasses

import dirac
import jax
import numpy as np
import pytest

from nmmfit.constants import electron_charge
from nmmfit.physics import cevns, electron, spin_half, spin_zero
from nmmfit.physics.kinematics import recoil_limits
from nmmfit.physics.nuclei import nucleus

# E, M, m_N in MeV: electron and nucleus, soft and hard, heavy final state included
KINEMATICS = [
    (0.8618, 0.51099895, 0.0),
    (0.8618, 0.51099895, 0.3),
    (15.0, 0.51099895, 0.0),
    (15.0, 0.51099895, 3.0),
    (30.0, 123800.0, 0.0),
    (30.0, 123800.0, 20.0),
    (900.0, 700.0, 0.0),
    (900.0, 700.0, 350.0),
]
CASES = [(*point, anti, seed) for seed, point in enumerate(KINEMATICS) for anti in (False, True)]

half_kernels = jax.jit(spin_half.kernels, static_argnames="antineutrino")
zero_kernels = jax.jit(spin_zero.kernels, static_argnames="antineutrino")


def draw(e, mass, m, seed):
    """A recoil energy inside its limits and complex couplings s1, s2, t (GeV^-2), d (GeV^-1) of comparable effect."""
    rng = np.random.default_rng(seed)
    lower, upper = (float(x) for x in recoil_limits(e, mass, m))
    t_mev = lower + (upper - lower) * rng.uniform(0.1, 0.9)
    s1, s2, t, d = (rng.normal(size=4) + 1j * rng.normal(size=4)) * 1e-5
    scale = np.sqrt(mass * t_mev) * 1e-3  # momentum transfer in GeV
    return t_mev, s1, s2, 0.3 * t, d * scale


def re(x, y):
    return (x * np.conj(y)).real


@pytest.mark.parametrize(("e", "mass", "m", "antineutrino", "seed"), CASES)
def test_spin_half_term_by_term_and_in_sum(e, mass, m, antineutrino, seed):
    t_mev, s1, s2, t, d = draw(e, mass, m, seed)
    charge = -1.0 if mass < 1.0 else 7.0
    k = half_kernels(e, t_mev, mass, m, antineutrino=antineutrino)

    def reference(**couplings):
        return dirac.spin_half_rate(e, t_mev, mass, m, antineutrino, charge=charge, **couplings)

    squares = {
        "s1": (float(k.s_s) * abs(s1) ** 2, reference(s1=s1)),
        "s2": (float(k.s_s) * abs(s2) ** 2, reference(s2=s2)),
        "tensor": (float(k.tensor) * abs(t) ** 2, reference(tensor=t)),
        "dipole": (float(k.dipole) * charge**2 * abs(d) ** 2, reference(dipole=d)),
    }
    for found, expected in squares.values():
        assert found == pytest.approx(expected, rel=1e-10)
    couplings = {"s1": s1, "s2": s2, "tensor": t, "dipole": d}
    crossed = {
        ("s1", "s2"): float(k.s1_s2) * re(s1, s2),
        ("s1", "tensor"): float(k.s1_tensor) * re(s1, t),
        ("s2", "tensor"): 0.0,
        ("s1", "dipole"): float(k.dipole_scalar) * charge * re(d, s1),
        ("s2", "dipole"): float(k.dipole_scalar) * charge * re(d, s2),
        ("tensor", "dipole"): float(k.dipole_tensor) * charge * re(d, t),
    }
    for (x, y), found in crossed.items():
        both = reference(**{x: couplings[x], y: couplings[y]})
        size = squares[x][1] + squares[y][1]
        assert found == pytest.approx(both - squares[x][1] - squares[y][1], abs=1e-10 * size)
    together = sum(found for found, _ in squares.values()) + sum(crossed.values())
    assert together == pytest.approx(reference(**couplings), rel=1e-10)


@pytest.mark.parametrize(("e", "mass", "m", "antineutrino", "seed"), CASES)
def test_spin_zero_in_sum(e, mass, m, antineutrino, seed):
    t_mev, c_s, _, _, d = draw(e, mass, m, seed + 100)
    k = zero_kernels(e, t_mev, mass, m, antineutrino=antineutrino)
    for c, dip in ((c_s, 0.0), (0.0, d), (c_s, d)):
        found = float(k.scalar) * abs(c) ** 2 + float(k.dipole) * 9.0 * abs(dip) ** 2 + float(k.dipole_scalar) * 3.0 * re(dip, c)
        expected = dirac.spin_zero_rate(e, t_mev, mass, m, antineutrino, c_s=c, dipole=dip, charge=3.0)
        assert found == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(
    ("e", "mass", "antineutrino"), [(0.8618, 0.51099895, False), (30.0, 123800.0, True), (900.0, 700.0, True)]
)
def test_vector_couplings(e, mass, antineutrino):
    t_mev, *_ = draw(e, mass, 0.0, 7)
    g_ll, g_lr = 1.3e-5, -0.4e-5
    left, right = (g_lr, g_ll) if antineutrino else (g_ll, g_lr)
    found = float(spin_half.vector(e, t_mev, mass, left, right))
    assert found == pytest.approx(dirac.spin_half_rate(e, t_mev, mass, 0.0, antineutrino, g_ll=g_ll, g_lr=g_lr), rel=1e-10)
    found = float(spin_zero.vector(e, t_mev, mass, g_ll))
    assert found == pytest.approx(dirac.spin_zero_rate(e, t_mev, mass, 0.0, antineutrino, g_v=g_ll), rel=1e-10)


@pytest.mark.parametrize("antineutrino", [False, True])
def test_nothing_interferes_with_the_vector_couplings(antineutrino):
    e, mass = 0.8618, 0.51099895
    t_mev, s1, s2, t, d = draw(e, mass, 0.0, 11)
    scalar_like = {"s1": s1, "s2": s2, "tensor": t, "dipole": d, "charge": -1.0}
    alone = dirac.spin_half_rate(e, t_mev, mass, 0.0, antineutrino, **scalar_like)
    vector = dirac.spin_half_rate(e, t_mev, mass, 0.0, antineutrino, g_ll=1e-5, g_lr=2e-5)
    both = dirac.spin_half_rate(e, t_mev, mass, 0.0, antineutrino, g_ll=1e-5, g_lr=2e-5, **scalar_like)
    assert both == pytest.approx(alone + vector, rel=1e-12)


@pytest.mark.parametrize("antineutrino", [False, True])
@pytest.mark.parametrize("m_n", [0.0, 0.3])
def test_electron_kernels(antineutrino, m_n):
    e, mass = 0.8618, electron.M_ELECTRON_MEV.value
    t_mev, s1, s2, t, d = draw(e, mass, m_n, 21)
    k = {name: float(v) for name, v in electron.kernels(e, t_mev, antineutrino, m_n).items()}
    found = (
        k["dipole"] * abs(d) ** 2
        + k["electron_s1_s1"] * abs(s1) ** 2
        + k["electron_s2_s2"] * abs(s2) ** 2
        + k["electron_s1_s2"] * re(s1, s2)
        + k["electron_tensor"] * abs(t) ** 2
        + k["electron_s1_tensor"] * re(s1, t)
        + k["electron_dipole_scalar"] * re(d, s1 + s2)
        + k["electron_dipole_tensor"] * re(d, t)
    )
    expected = dirac.spin_half_rate(e, t_mev, mass, m_n, antineutrino, s1=s1, s2=s2, tensor=t, dipole=d, charge=-1.0)
    assert found == pytest.approx(expected, rel=1e-10)


def nuclear_sum(k, d, s_p, s_n, t_p, t_n):
    """sum_k Re(x y*) K_k over the nuclear forms, for one flavour and one final state."""
    coupling = {"dipole": d, "tensor_p": t_p, "tensor_n": t_n, "scalar_p": s_p, "scalar_n": s_n}
    total = 0.0
    for name, value in k.items():
        kinds, _, nucleons = name.rpartition("_") if name != "dipole" else ("dipole", "", "")
        if name == "dipole":
            pair = ("dipole", "dipole")
        elif kinds in ("tensor", "scalar"):
            pair = (f"{kinds}_{nucleons[0]}", f"{kinds}_{nucleons[1]}")
        elif kinds == "scalar_tensor":
            pair = (f"scalar_{nucleons[0]}", f"tensor_{nucleons[1]}")
        else:
            pair = ("dipole", f"{kinds.removeprefix('dipole_')}_{nucleons}")
        total += float(value) * re(coupling[pair[0]], coupling[pair[1]])
    return total


@pytest.mark.parametrize("antineutrino", [False, True])
@pytest.mark.parametrize("m_n", [0.0, 20.0])
def test_nuclear_kernels_coherent(antineutrino, m_n):
    caesium = nucleus("Cs133")
    f_p, f_n, t_mev = 0.83, 0.78, 9e-3
    rng = np.random.default_rng(5)
    d, s_p, s_n, t_p, t_n = (rng.normal(size=5) + 1j * rng.normal(size=5)) * 1e-5
    d *= 0.04
    k = cevns.kernels(30.0, t_mev, caesium, f_p, f_n, antineutrino, m_n_mev=m_n)
    n_p, n_n = caesium.z * f_p, caesium.n * f_n
    s, t = n_p * s_p + n_n * s_n, n_p * t_p + n_n * t_n
    expected = dirac.spin_half_rate(30.0, t_mev, caesium.mass_mev, m_n, antineutrino, s1=s, s2=s, tensor=t, dipole=d, charge=n_p)
    assert nuclear_sum(k, d, s_p, s_n, t_p, t_n) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("antineutrino", [False, True])
@pytest.mark.parametrize("m_n", [0.0, 20.0])
def test_nuclear_kernels_nonrelativistic(antineutrino, m_n):
    """The tensor operator on a spin-0 nucleus: T^mu_nu = -i/2 (P^mu q^nu - P^nu q^mu) sum_X n_X t_X / m_X."""
    argon = dataclasses.replace(nucleus("Ar40"))
    f_p, f_n, t_mev = 0.9, 0.87, 3e-2
    rng = np.random.default_rng(6)
    d, s_p, s_n, t_p, t_n = (rng.normal(size=5) + 1j * rng.normal(size=5)) * 1e-5
    d *= 1e-3
    k = cevns.kernels(30.0, t_mev, argon, f_p, f_n, antineutrino, "nonrelativistic", 0, m_n)
    n_p, n_n = argon.z * f_p, argon.n * f_n
    tensor = n_p * t_p / 0.93827208943 + n_n * t_n / 0.93956542194
    expected = dirac.spin_zero_rate(
        30.0, t_mev, argon.mass_mev, m_n, antineutrino, c_s=n_p * s_p + n_n * s_n, dipole=d, charge=n_p, tensor=tensor
    )
    assert nuclear_sum(k, d, s_p, s_n, t_p, t_n) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("f1", "f2", "f3", "strength"), [(1, 0, 0, 1.0), (0, 1, 0, -2.0), (0, 0, 1, -4.0)])
def test_spin_independent_part_of_the_tensor_form_factors(f1, f2, f3, strength):
    """The spin average of ubar' Gamma^0i u is -i q^i (F_1 - 2 F_2 - 4 F_3) at small q."""
    m = 0.939
    q3 = np.array([1.0e-4, 2.0e-4, -3.0e-4])

    def on_shell(three):
        return np.concatenate([[np.sqrt(m**2 + three @ three)], three])

    p, p_out = on_shell(-q3 / 2), on_shell(q3 / 2)
    q, total = p_out - p, p + p_out
    for i in (1, 2, 3):
        vertex = (
            f1 * dirac.SIGMA[0, i]
            + f2 * 1j / m * (dirac.GAMMA[0] * q[i] - dirac.GAMMA[i] * q[0])
            + f3 * 1j / m**2 * (total[0] * q[i] - total[i] * q[0]) * np.eye(4)
        )
        spins = [dirac.spinor(p_out, m, s).conj() @ dirac.GAMMA[0] @ vertex @ dirac.spinor(p, m, s) for s in (0, 1)]
        assert np.mean(spins) == pytest.approx(-1j * q[i] * strength, rel=1e-6)


def test_charge_convention_of_the_reference():
    assert electron_charge() == pytest.approx(dirac.E_CHARGE, rel=1e-12)
