"""The cross section for those who want no more than that: reference numbers, options, bad input, properties."""

from __future__ import annotations

import dataclasses

import dirac
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivative_checks import assert_derivatives
from hypothesis import given, settings
from hypothesis import strategies as st

import nmmfit
from nmmfit.errors import UserInputError
from nmmfit.physics.form_factors import helm
from nmmfit.physics.kinematics import max_recoil_energy, momentum_transfer, recoil_limits
from nmmfit.physics.nuclei import natural_mixture, nucleus

dsigma_dt = nmmfit.dsigma_dt

ROUND_CAESIUM = dataclasses.replace(nucleus("Cs133"), mass_mev=123800.0)
MIXED = {"s1": 1e-6, "s2": 2e-6, "tensor": (0.5 - 0.25j) * 1e-6, "dipole": 1e-9}
ELECTRON_REFERENCE = [
    # couplings, m_N in MeV, antineutrino, cm^2/MeV
    ({"s1": 1e-6, "s2": 2e-6}, 0.0, False, 9.75190201e-48),
    ({"s1": 1e-6, "s2": 2e-6}, 0.3, False, 1.26145014e-47),
    ({"tensor": MIXED["tensor"]}, 0.0, False, 4.99224732e-47),
    ({"tensor": MIXED["tensor"]}, 0.3, False, 4.13374802e-47),
    ({"dipole": 1e-9}, 0.0, False, 2.46974576e-47),
    ({"dipole": 1e-9}, 0.3, False, 2.02130641e-47),
    (MIXED, 0.0, False, 9.89652127e-47),
    (MIXED, 0.3, False, 8.94206738e-47),
    (MIXED, 0.0, True, 6.20313567e-47),
]
NUCLEAR_REFERENCE = [
    ({"dipole": 1e-7}, 0.0, 4.29652975e-38),
    ({"dipole": 1e-7}, 20.0, 3.72234919e-38),
    ({"tensor": 1e-4}, 0.0, 4.44749392e-37),
    ({"tensor": 1e-4}, 20.0, 4.10618163e-37),
    ({"s1": 1e-4, "s2": 1e-4}, 0.0, 4.22135482e-38),
    ({"s1": 1e-4, "s2": 1e-4}, 20.0, 5.07380934e-38),
    ({"dipole": 1e-7, "tensor": 1e-4}, 0.0, 4.87737406e-37),
]


@pytest.mark.parametrize(("couplings", "m_n", "antineutrino", "expected"), ELECTRON_REFERENCE)
def test_reference_numbers_on_electrons(couplings, m_n, antineutrino, expected):
    found = dsigma_dt("e", 0.8618, 0.3, sm=False, m_n_mev=m_n, antineutrino=antineutrino, **couplings)
    assert float(found) == pytest.approx(expected, rel=1.2e-8)


@pytest.mark.parametrize(("couplings", "m_n", "expected"), NUCLEAR_REFERENCE)
def test_reference_numbers_on_a_point_nucleus(couplings, m_n, expected):
    found = dsigma_dt(ROUND_CAESIUM, 30.0, 8e-3, sm=False, m_n_mev=m_n, form_factor=1, **couplings)
    assert float(found) == pytest.approx(expected, rel=1.2e-8)


@pytest.mark.parametrize(
    ("flavour", "radiative", "expected"),
    [
        ("e", "bks", 8.768346e-45),
        ("mu", "bks", 1.901976e-45),
        ("tau", "rho_kappa", 1.908786e-45),
        ("e", "rho_kappa", 8.803599e-45),
    ],
)
def test_reference_numbers_of_the_standard_model(flavour, radiative, expected):
    assert float(dsigma_dt("e", 0.8618, 0.3, flavour=flavour, radiative=radiative)) == pytest.approx(expected, rel=3e-7)


def test_reference_magnetic_moment():
    d = 0.5e-11 * 296.304
    assert float(dsigma_dt("e", 0.42, 0.1, sm=False, dipole=d)) == pytest.approx(1.900702e-46, rel=3e-6)


def test_parts_add_up():
    full = dsigma_dt("e", 0.8618, 0.3, **MIXED)
    assert float(full) == pytest.approx(float(dsigma_dt("e", 0.8618, 0.3)) + 9.89652127e-47, rel=1e-8)
    assert float(dsigma_dt("e", 0.8618, 0.3, sm=False)) == 0.0


@pytest.mark.parametrize("antineutrino", [False, True])
def test_spin_zero_against_dirac_matrices(antineutrino):
    argon, d, s = nucleus("Ar40"), (2 - 1j) * 1e-7, (1 + 3j) * 1e-5
    found = dsigma_dt(
        "Ar40", 30.0, 2e-2, sm=False, antineutrino=antineutrino, dipole=d, s1=s, s2=s, m_n_mev=5.0, spin=0, form_factor=0.9
    )
    expected = dirac.spin_zero_rate(30.0, 2e-2, argon.mass_mev, 5.0, antineutrino, c_s=0.9 * s, dipole=d, charge=0.9 * 18)
    assert float(found) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("antineutrino", [False, True])
def test_vectors_on_electrons_against_dirac_matrices(antineutrino):
    """L^V = -2 sqrt(2) G_F epsilon adds to g_LL = -2 sqrt(2) G_F g_L, tree level."""
    norm, s2 = -2 * np.sqrt(2) * 1.1663787e-5, 0.23857
    found = dsigma_dt(
        "e",
        0.8618,
        0.3,
        flavour="mu",
        antineutrino=antineutrino,
        radiative="none",
        vector_left=0.3 * norm,
        vector_right=-0.1 * norm,
    )
    g = {"g_ll": norm * (s2 - 0.5 + 0.3), "g_lr": norm * (s2 - 0.1)}
    assert float(found) == pytest.approx(dirac.spin_half_rate(0.8618, 0.3, 0.51099895, 0.0, antineutrino, **g), rel=1e-7, abs=0.0)


@pytest.mark.parametrize("spin", [0, 0.5])
@pytest.mark.parametrize("antineutrino", [False, True])
def test_vectors_on_nuclei_against_dirac_matrices(spin, antineutrino):
    argon, norm = nucleus("Ar40"), -np.sqrt(2) * 1.1663787e-5
    standard = norm * 0.9 * (18 * 0.0382 - 22 * 0.5117)
    left, right = 2e-5, -5e-5
    found = dsigma_dt(
        "Ar40", 30.0, 2e-2, antineutrino=antineutrino, spin=spin, form_factor=0.9, vector_left=left, vector_right=right
    )
    if spin == 0:
        g = {"g_v": standard + 0.9 * 0.5 * (left + right)}
        expected = dirac.spin_zero_rate(30.0, 2e-2, argon.mass_mev, 0.0, antineutrino, **g)
    else:
        g = {"g_ll": standard + 0.9 * left, "g_lr": standard + 0.9 * right}
        expected = dirac.spin_half_rate(30.0, 2e-2, argon.mass_mev, 0.0, antineutrino, **g)
    assert float(found) == pytest.approx(expected, rel=1e-7, abs=0.0)


def test_charge_radius_shifts_the_weak_charge_of_protons():
    """g_V^p -> g_V^p - sqrt(2) pi alpha / (3 G_F) <r^2>, 0.023796 per 1e-32 cm^2; on electrons g_V gains it (1810.05606)."""
    radius, shift = -3e-32, -3 * 0.023796
    found = float(dsigma_dt("Cs133", 30.0, 8e-3, flavour="mu", charge_radius_cm2=radius, form_factor=1))
    standard = float(dsigma_dt("Cs133", 30.0, 8e-3, flavour="mu", form_factor=1))
    ratio = (55 * (0.0300 - shift) - 78 * 0.5117) / (55 * 0.0300 - 78 * 0.5117)
    assert found / standard == pytest.approx(ratio**2, rel=1e-5)
    norm = -2 * np.sqrt(2) * 1.1663787e-5
    one = float(dsigma_dt("e", 0.8618, 0.3, charge_radius_cm2=radius))
    other = float(dsigma_dt("e", 0.8618, 0.3, vector_left=0.5 * shift * norm, vector_right=0.5 * shift * norm))
    assert one == pytest.approx(other, rel=1e-5, abs=0.0)


def test_charge_radii_of_the_standard_model_are_in_its_couplings():
    """-0.828 (nu_e) and -0.481 (nu_mu) times 1e-32 cm^2, G_F / (2 sqrt(2) pi^2) [2 ln(m^2 / m_W^2) - 3]: the difference makes one
    flavour's cross section into the other's."""
    m_w, g_f = 80.379, 1.1663787e-5
    radii = [g_f / (2 * np.sqrt(2) * np.pi**2) * (2 * np.log(m**2 / m_w**2) - 3) * 3.8938e-28 for m in (0.51099895e-3, 0.10566)]
    electron, muon = (float(dsigma_dt("Cs133", 30.0, 8e-3, flavour=f)) for f in ("e", "mu"))
    turned = float(dsigma_dt("Cs133", 30.0, 8e-3, flavour="mu", charge_radius_cm2=radii[0] - radii[1]))
    assert turned - muon == pytest.approx(electron - muon, rel=0.02, abs=0.0)


@pytest.mark.parametrize("target", ["e", "Cs133"])
def test_millicharge_is_a_charge_radius_that_depends_on_the_recoil(target):
    e, t, mass = (0.8618, 0.3, 0.51099895) if target == "e" else (30.0, 8e-3, nucleus("Cs133").mass_mev)
    charge = 1e-12 if target == "e" else 1e-9
    radius_cm2 = 6 * charge / (-2 * mass * t * 1e-6) * 3.893793721e-28
    found, expected = dsigma_dt(target, e, t, millicharge=charge), dsigma_dt(target, e, t, charge_radius_cm2=radius_cm2)
    assert float(found) == pytest.approx(float(expected), rel=1e-7, abs=0.0)
    assert abs(float(found / dsigma_dt(target, e, t)) - 1.0) > 1e-3
    assert float(dsigma_dt(target, e, 0.0, millicharge=charge)) == np.inf
    assert np.isfinite(float(dsigma_dt(target, e, 0.0, charge_radius_cm2=1e-32)))


def test_rutherford_scattering_of_a_millicharge():
    """2 pi alpha^2 q^2 / (m T^2) for small T, electrons at rest."""
    q, t = 1e-11, 1e-4
    found = float(dsigma_dt("e", 1.0, t, sm=False, millicharge=q, radiative="none"))
    expected = 2 * np.pi * q**2 / (137.036**2 * 0.51099895 * t**2) * 3.893793721e-22
    assert found == pytest.approx(expected, rel=1e-3, abs=0.0)


def test_form_factor_options():
    caesium = nucleus("Cs133")
    q = momentum_transfer(8e-3, caesium.mass_mev)
    f_p, f_n = helm(q, caesium.r_p_fm), helm(q, caesium.r_n_fm)
    default = float(dsigma_dt("Cs133", 30.0, 8e-3))
    assert float(dsigma_dt("Cs133", 30.0, 8e-3, form_factor="helm")) == default
    assert float(dsigma_dt(caesium, 30.0, 8e-3, form_factor=(f_p, f_n))) == pytest.approx(default, rel=1e-12)
    point = float(dsigma_dt("Cs133", 30.0, 8e-3, form_factor=1))
    assert point == float(dsigma_dt("Cs133", 30.0, 8e-3, form_factor="point"))
    assert default == pytest.approx(point * float(f_n) ** 2, rel=0.02)
    dipole = float(dsigma_dt("Cs133", 30.0, 8e-3, sm=False, dipole=1e-7))
    assert dipole == pytest.approx(float(f_p) ** 2 * float(dsigma_dt("Cs133", 30.0, 8e-3, sm=False, dipole=1e-7, form_factor=1)))
    mean = (55 * float(f_p) + 78 * float(f_n)) / 133
    tensor = float(dsigma_dt("Cs133", 30.0, 8e-3, sm=False, tensor=1e-4))
    assert tensor == pytest.approx(mean**2 * float(dsigma_dt("Cs133", 30.0, 8e-3, sm=False, tensor=1e-4, form_factor=1)))


def test_tree_weak_charges_and_flavour():
    """At tree level the flavours are the same; the radiative ones differ by the charge radii, most for nu_e."""
    tree = [float(dsigma_dt("Cs133", 30.0, 8e-3, flavour=f, weak_charges="tree")) for f in ("e", "mu", "tau")]
    loops = [float(dsigma_dt("Cs133", 30.0, 8e-3, flavour=f)) for f in ("e", "mu", "tau")]
    assert tree[0] == tree[1] == tree[2]
    assert loops[0] < loops[1] < loops[2]


def test_shapes_broadcast():
    e, t = jnp.asarray([20.0, 30.0])[:, None], jnp.asarray([1e-3, 5e-3, 9e-3])
    couplings = jnp.asarray([0.0, 1e-7])[:, None, None]
    assert dsigma_dt("Cs133", e, t, dipole=couplings).shape == (2, 2, 3)
    assert dsigma_dt("e", e, t, tensor=1e-6j).shape == (2, 3)


def test_outside_the_kinematic_range():
    t_max = float(max_recoil_energy(1.0, 0.51099895069))
    assert float(dsigma_dt("e", 1.0, 1.01 * t_max, **MIXED)) == 0.0
    assert float(dsigma_dt("e", 0.3, 0.05, sm=False, m_n_mev=0.3, **MIXED)) == 0.0
    assert np.isfinite(float(dsigma_dt("e", 1.0, 0.0, tensor=1e-6, s1=1e-6)))
    assert float(dsigma_dt("e", 1.0, 0.0, dipole=1e-9)) == np.inf


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": "Cs13"}, "unknown target 'Cs13'; did you mean 'Cs133'"),
        ({"target": 55}, "unknown target '55'"),
        ({"flavour": "muon"}, "unknown flavour 'muon'; did you mean 'mu'"),
        ({"e_nu_mev": -1.0}, "e_nu_mev: must be real and > 0; got -1.0"),
        ({"e_nu_mev": 0.0}, "e_nu_mev: must be real and > 0; got 0.0"),
        ({"t_mev": [0.1, -0.2]}, "t_mev: must be real and >= 0; got -0.2"),
        ({"t_mev": float("nan")}, "t_mev: must be a finite number"),
        ({"m_n_mev": -0.1}, "m_n_mev: must be real and >= 0"),
        ({"e_nu_mev": 1j}, "e_nu_mev: must be real"),
        ({"dipole": float("inf")}, "dipole: must be a finite number"),
        ({"vector_left": 1e-5j}, "vector_left: must be real, as the operator is Hermitian"),
        ({"millicharge": float("nan")}, "millicharge: must be a finite number"),
        ({"charge_radius_cm2": np.ones(4), "e_nu_mev": np.ones(3)}, r"do not broadcast"),
        ({"tensor": "big"}, "tensor: must be a finite number; got 'big'"),
        ({"radiative": "bsk"}, "did you mean 'bks'"),
        ({"target": "Cs133", "radiative": "bsk"}, "did you mean 'bks'"),
        ({"weak_charges": "loop"}, "unknown set of weak charges 'loop'"),
        ({"flavour": 0}, "unknown flavour 0"),
        ({"e_nu_mev": np.ones(3), "t_mev": np.full(2, 0.1)}, r"do not broadcast: e_nu_mev \(3,\), t_mev \(2,\)"),
        ({"target": "Cs133", "form_factor": float("nan")}, "form_factor: must be a finite number"),
        ({"target": "Cs133", "form_factor": (1.0, float("inf"))}, "form_factor: must be a finite number"),
        ({"target": "Cs133", "form_factor": np.ones(5), "dipole": np.ones(3)}, r"dipole \(3,\), form_factor \(5,\)"),
        ({"spin": 0}, "an electron is a point of spin 0.5"),
        ({"form_factor": 1}, "an electron is a point of spin 0.5"),
        ({"target": "Cs133", "form_factor": "helmm"}, "did you mean 'helm'"),
        ({"target": "Cs133", "form_factor": (1, 1, 1)}, "a pair"),
        ({"target": "Cs133", "weak_charges": "loop"}, "unknown set of weak charges 'loop'"),
        ({"target": "Cs133", "spin": 3.5}, "spin: 3.5 is not implemented"),
        ({"target": "Ar40", "spin": 0, "tensor": 1e-6}, "no tensor coupling"),
    ],
)
def test_bad_input(arguments, message):
    target = arguments.get("target", "e")
    rest = {"e_nu_mev": 1.0, "t_mev": 0.1} | {k: v for k, v in arguments.items() if k != "target"}
    with pytest.raises(UserInputError, match=message) as caught:
        dsigma_dt(target, rest.pop("e_nu_mev"), rest.pop("t_mev"), **rest)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("target", ["e", "Cs133"])
def test_derivatives_in_energies_mass_and_couplings(target):
    """At zero couplings and away from them; in units in which every variable is of order one."""
    e, t = (0.8618, 0.3) if target == "e" else (30.0, 8e-3)
    scale = (1e47, 1e-6, 1e-9) if target == "e" else (1e38, 1e-5, 1e-7)

    def function(x):
        return scale[0] * dsigma_dt(
            target, e * x[0], t * x[1], sm=False, antineutrino=True, m_n_mev=0.1 * x[2], dipole=scale[2] * (x[3] + 1j * x[4]),
            s1=scale[1] * x[3], s2=scale[1] * x[4], tensor=scale[1] * (x[4] - 1j * x[3]),
        )  # fmt: skip

    assert_derivatives(function, [1.0, 1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 0.7, -0.7], atol=1e-6)


# one compilation per target for all properties
COUPLING = st.complex_numbers(max_magnitude=10.0, allow_nan=False, allow_infinity=False)
FRACTION = st.floats(1e-3, 0.999)


def _compiled(target):
    @jax.jit
    def function(e, t, m, c, m_n):
        keywords = {"s1": c[0], "s2": c[1], "tensor": c[2], "dipole": c[3], "m_n_mev": m_n}
        return jnp.stack([dsigma_dt(target, e, t, sm=False, antineutrino=a, **keywords) for a in (False, True)]) * m

    return function


COMPILED = {"e": (_compiled("e"), 1e46, 1e-6, 1e-9), "Cs133": (_compiled("Cs133"), 1e38, 1e-5, 1e-7)}


@settings(max_examples=60, deadline=None)
@given(
    target=st.sampled_from(sorted(COMPILED)),
    couplings=st.tuples(COUPLING, COUPLING, COUPLING, COUPLING),
    fraction=FRACTION,
    factor=st.floats(0.1, 10.0),
    phase=st.floats(0.0, 6.28),
    massive=st.booleans(),
)
def test_properties_of_the_rate(target, couplings, fraction, factor, phase, massive):
    """A rate is not negative; it is quadratic in the couplings and blind to their common phase; nu and antinu mix signs."""
    function, unit, four_fermion, moment = COMPILED[target]
    e = 0.8618 if target == "e" else 30.0
    m_n = (0.2 if target == "e" else 10.0) if massive else 0.0
    mass = 0.51099895069 if target == "e" else nucleus("Cs133").mass_mev
    t = fraction * float(max_recoil_energy(e, mass))
    c = np.asarray(couplings) * np.array([four_fermion, four_fermion, four_fermion, moment])
    rate = np.asarray(function(e, t, unit, c, m_n))
    parts = sum(np.asarray(function(e, t, unit, c * np.eye(4)[k], m_n)) for k in range(4))
    size = float(np.max(parts)) + 1e-30
    assert np.all(np.isfinite(rate))
    assert np.all(rate >= -1e-12 * size)
    assert np.allclose(function(e, t, unit, c * factor, m_n), factor**2 * rate, rtol=1e-11, atol=1e-12 * factor**2 * size)
    assert np.allclose(function(e, t, unit, c * np.exp(1j * phase), m_n), rate, rtol=1e-11, atol=1e-12 * size)
    # the terms odd under nu <-> antinu are those with one scalar and one tensor or dipole: they change sign with the scalars
    flipped = np.asarray(function(e, t, unit, c * np.array([-1, -1, 1, 1]), m_n))
    assert np.allclose(flipped[::-1], rate, rtol=1e-11, atol=1e-12 * size)


# -- natural elements and spins ---------------------------------------------------------------------------------------------


def test_a_natural_element_is_the_mean_of_its_isotopes():
    """Germanium, by hand: abundances, whole neutron numbers, each isotope's own mass and radii."""
    abundances = {"Ge70": 0.2057, "Ge72": 0.2745, "Ge73": 0.0775, "Ge74": 0.3650, "Ge76": 0.0773}
    e, t = 20.0, 2e-3
    total = sum(abundances.values())
    wanted = sum(a * float(dsigma_dt(name, e, t, flavour="mu", dipole=1e-7)) for name, a in abundances.items()) / total
    assert float(dsigma_dt("Ge", e, t, flavour="mu", dipole=1e-7)) == pytest.approx(wanted, rel=1e-12, abs=0)
    assert float(dsigma_dt("Cs", e, t)) == pytest.approx(float(dsigma_dt("Cs133", e, t)), rel=1e-14, abs=0)


def test_an_element_with_heavy_n_keeps_each_isotope_inside_its_own_window():
    """Just below the end of the recoil spectrum the heaviest isotopes have stopped already."""
    e, m = 30.0, 20.0
    ends = {n.name: float(recoil_limits(e, n.mass_mev, m)[1]) for n, _ in natural_mixture("Xe")}
    between = 0.5 * (ends["Xe132"] + ends["Xe131"])
    whole = float(dsigma_dt("Xe", e, between, sm=False, dipole=1e-7, m_n_mev=m))
    light = sum(
        f * float(dsigma_dt(n, e, between, sm=False, dipole=1e-7, m_n_mev=m)) for n, f in natural_mixture("Xe") if n.a < 132
    )
    assert whole == pytest.approx(light, rel=1e-12, abs=0)
    assert whole > 0.0


def test_true_spins():
    """Spin 0 for even-even nuclides, 1/2 for the others: the dipole differs by e^2 Z^2 / 4 pi |2 d|^2 T / (4 E^2) F^2."""
    e, t, d = 30.0, 2e-2, 1e-7
    half, true = (float(dsigma_dt("Ar40", e, t, sm=False, dipole=d, form_factor=1, nuclear_spin=s)) for s in ("half", "true"))
    difference = 18**2 / 137.035999 * 4 * d**2 * t / (4 * e**2) * 0.3893793721e-27
    assert true - half == pytest.approx(difference, rel=1e-6, abs=0)
    odd = [float(dsigma_dt("I127", e, t, sm=False, dipole=d, nuclear_spin=s)) for s in ("half", "true")]
    assert odd[0] == odd[1]
    with pytest.raises(UserInputError, match="a spin-0 nucleus has no tensor coupling of its own"):
        dsigma_dt("Ar", e, t, tensor=1e-4, nuclear_spin="true")
    with pytest.raises(UserInputError, match="unknown nuclear spin 'whole'"):
        dsigma_dt("Ar40", e, t, nuclear_spin="whole")
