"""Matching at m_W: the Fierz identity with explicit matrices, CKM, bases of quarks, and what a dipole means for masses."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from dirac import P_R, SIGMA, SIGMA_LOWER

from nmmfit.eft.smneft import mass_naturalness, neutrino_mass_gev, smneft_to_lneft
from nmmfit.eft.smneft_inputs import ElectroweakInputs, check, ckm_matrix, vacuum_value_gev
from nmmfit.eft.smneft_matching import SCALAR_EXCHANGE, TENSOR_EXCHANGE, match_at_m_w, placed, rotate_quarks
from nmmfit.errors import UserInputError
from nmmfit.inputs import StandardModelInputs

M_W = 80.379
INPUTS, ELECTROWEAK = StandardModelInputs(), ElectroweakInputs()


def _grassmann_amplitude(terms, fields):
    """Coefficient of a product of four distinct Grassmann fields in sum c (psibar_a A psi_b)(psibar_c B psi_d).

    Every component of every field is its own anticommuting number; the canonical order is that of `fields`, as are the axes of
    what is returned.
    """
    out = np.zeros((4, 4, 4, 4), dtype=complex)
    for coefficient, (bar_1, first, psi_1), (bar_2, second, psi_2) in terms:
        order = [bar_1, psi_1, bar_2, psi_2]
        positions = [fields.index(f) for f in order]
        # Sign of the permutation that sorts the fields into canonical order.
        sign = np.linalg.det(np.eye(4)[positions])
        product = np.einsum("ab,cd->abcd", first, second)
        out += coefficient * sign * np.transpose(product, np.argsort(positions))
    return out


def _tensor(coefficient, left, right):
    """coefficient (left sigma P_R ...)(right sigma P_R ...), summed over both Lorentz indices."""
    return [
        (coefficient, (left[0], SIGMA[m, n] @ P_R, left[1]), (right[0], SIGMA_LOWER[m, n] @ P_R, right[1]))
        for m, n in itertools.product(range(4), repeat=2)
    ]


FIELDS = ["bar1", "bar3", "psi2", "psi4"]


def test_fierz_identity_of_anticommuting_fields():
    direct = [(1.0, ("bar1", P_R, "psi2"), ("bar3", P_R, "psi4"))]
    exchanged = [(-0.5, ("bar1", P_R, "psi4"), ("bar3", P_R, "psi2")), *_tensor(-0.125, ("bar1", "psi4"), ("bar3", "psi2"))]
    np.testing.assert_allclose(_grassmann_amplitude(direct, FIELDS), _grassmann_amplitude(exchanged, FIELDS), atol=1e-14)
    wrong = [(0.5, ("bar1", P_R, "psi4"), ("bar3", P_R, "psi2")), *_tensor(0.125, ("bar1", "psi4"), ("bar3", "psi2"))]
    assert np.abs(_grassmann_amplitude(direct, FIELDS) - _grassmann_amplitude(wrong, FIELDS)).max() > 0.1


@pytest.mark.parametrize("same", [False, True])
def test_both_orderings_of_four_leptons(same):
    """(Lbar_p^j N) eps_jk (Lbar_s^k e) in components against what matching writes, for p != s and with p = s."""
    # L_p = (nu_p, l_p); the operator is (nubar_p N)(lbar_s e) - (lbar_p N)(nubar_s e).
    nu_p, l_p, nu_s, l_s = ("nu1", "l1", "nu1", "l1") if same else ("nu1", "l1", "nu2", "l2")
    components = [(1.0, (nu_p, P_R, "N"), (l_s, P_R, "e")), (-1.0, (l_p, P_R, "N"), (nu_s, P_R, "e"))]
    matched = [
        (1.0, (nu_p, P_R, "N"), (l_s, P_R, "e")),
        (SCALAR_EXCHANGE, (nu_s, P_R, "N"), (l_p, P_R, "e")),
        *_tensor(TENSOR_EXCHANGE, (nu_s, "N"), (l_p, "e")),
    ]
    for pair in {(nu_p, l_s), (nu_s, l_p)}:
        fields = [*pair, "N", "e"]

        def of(terms, fields=fields):
            return _grassmann_amplitude([t for t in terms if {t[1][0], t[2][0]} == set(fields[:2])], fields)

        assert np.abs(of(components)).max() > 0.1
        np.testing.assert_allclose(of(components), of(matched), atol=1e-14)
    p, s = ("1", "1") if same else ("1", "2")
    found = match_at_m_w({f"LNLe_{p}3{s}2": 1.0}, ELECTROWEAK)
    expected = {f"SnuNeRR_{p}3{s}2": 1.0, f"TnuNeRR_{s}3{p}2": TENSOR_EXCHANGE}
    expected[f"SnuNeRR_{s}3{p}2"] = expected.get(f"SnuNeRR_{s}3{p}2", 0.0) + SCALAR_EXCHANGE
    assert {name: complex(z) for name, z in found.items()} == pytest.approx(expected)


def test_dipoles():
    found = match_at_m_w({"NB_12": 1e-9, "NW_12": 2e-9j}, ELECTROWEAK)
    v, s2 = 246.2197, 0.23121
    assert complex(found["nuNgamma_12"]) == pytest.approx(
        v / np.sqrt(2) * (np.sqrt(1 - s2) * 1e-9 + np.sqrt(s2) * 2e-9j), rel=1e-6
    )
    assert float(vacuum_value_gev(ELECTROWEAK)) == pytest.approx(246.22, abs=5e-3)


def test_down_quarks_and_what_has_no_operator_below():
    found = match_at_m_w({"LNQd_1223": 1.0, "LNQd3_3132": 2.0, "NH_11": 1.0, "LNuQ_1131": 1.0}, ELECTROWEAK)
    assert {name: complex(z) for name, z in found.items()} == {"SnuNdRR_1223": 1.0, "TnuNdRR_3132": 2.0}


def test_ckm_matrix():
    v = np.asarray(ckm_matrix(ELECTROWEAK))
    np.testing.assert_allclose(v @ v.conj().T, np.eye(3), atol=1e-15)
    # PDG 2020: |V_us| = 0.22650(48), |V_cb| = 0.04053(+83 -61), |V_ub| = 0.00361(+11 -9), |V_td| = 0.00854(+23 -16).
    assert abs(v[0, 1]) == pytest.approx(0.22650, abs=5e-6)
    assert abs(v[1, 2]) == pytest.approx(0.04053, abs=5e-6)
    assert abs(v[0, 2]) == pytest.approx(0.00361, abs=1e-5)
    assert abs(v[2, 0]) == pytest.approx(0.00854, abs=1e-5)
    # rhobar + i etabar = -V_ud V_ub* / (V_cd V_cb*), the definition.
    apex = -v[0, 0] * v[0, 2].conj() / (v[1, 0] * v[1, 2].conj())
    assert apex == pytest.approx(0.141 + 0.357j, rel=1e-12)
    unit = ElectroweakInputs(wolfenstein_lambda=0.0)
    np.testing.assert_allclose(ckm_matrix(unit), np.eye(3), atol=1e-15)


def test_up_quarks_in_both_bases():
    v = np.asarray(ckm_matrix(ELECTROWEAK))
    # Down basis: Q_t = (V^dagger u)_t, so that (ubar_s Q_t) holds conj(V_kt) ubar_s u_k.
    found = match_at_m_w({"LNuQ_1112": 1.0}, ELECTROWEAK)
    assert complex(found["SnuNuRL_1111"]) == pytest.approx(np.conj(v[0, 1]))
    assert complex(found["SnuNuRL_1112"]) == pytest.approx(np.conj(v[1, 1]))
    # Up basis: Q_t = (u_t, (V d)_t): up quarks are what they are, and (Qbar_s d_t) holds conj(V_sk) dbar_k d_t.
    up = ElectroweakInputs(quark_basis="up")
    above, below = smneft_to_lneft({"LNuQ_1112": 1.0, "LNQd_1123": 1.0}, M_W, INPUTS, up)
    assert {n: complex(z) for n, z in above.items() if abs(z) > 1e-13} == pytest.approx({"LNuQ_1112": 1.0, "LNQd_1123": 1.0})
    assert complex(below["SnuNuRL_1112"]) == pytest.approx(1.0)
    assert abs(below["SnuNuRL_1111"]) < 1e-13
    for k in range(3):
        assert complex(below[f"SnuNdRR_11{k + 1}3"]) == pytest.approx(np.conj(v[1, k]))


def test_there_and_back_between_bases():
    given = {"LNQd3_1213": 1.0 + 2.0j, "LNuQ_2331": 0.5j, "LNLe_1122": 3.0, "NW_11": 1.0}
    vector = placed(given)
    down = rotate_quarks(vector, ELECTROWEAK, "down")
    assert np.abs(down - vector).max() > 0.1
    np.testing.assert_allclose(rotate_quarks(down, ELECTROWEAK, "up"), vector, atol=1e-14)


def test_matching_is_linear():
    a, b = {"LNLe_1212": 1.0, "LNuQ_1122": 2.0j}, {"LNLe_1212": -0.5j, "LNuQ_1122": 1.0}
    both = match_at_m_w({n: 2.0 * a[n] + 3.0 * b[n] for n in a}, ELECTROWEAK)
    one, two = match_at_m_w(a, ELECTROWEAK), match_at_m_w(b, ELECTROWEAK)
    for name, value in both.items():
        assert complex(value) == pytest.approx(complex(2.0 * one[name] + 3.0 * two[name]))


def test_mass_naturalness():
    found = mass_naturalness(1e3, INPUTS, ELECTROWEAK)
    # By hand with couplings from 1/alpha(m_Z) = 127.952 and sin^2 = 0.23121 and v = 246.22 GeV; alpha(m_W) is 0.1 % smaller.
    e2, s2 = 4 * np.pi / 127.952, 0.23121
    g1, g2 = np.sqrt(e2 / (1 - s2)), np.sqrt(e2 / s2)
    common = 246.22**2 / 4 * np.log(1e3 / 246.22) / (16 * np.pi**2)
    by_hand = {
        "NB": common * 3 * g1 * (g1**2 + g2**2) / np.sqrt(1 - s2), "NW": common * 3 * g2 * (g1**2 + 3 * g2**2) / np.sqrt(s2)
    }  # fmt: skip
    published = {"NB": (90.8, 3.7e-14), "NW": (768.0, 4.4e-15)}
    for name, (ratio, moment) in published.items():
        assert by_hand[name] == pytest.approx(ratio, rel=3e-3)
        assert float(found[name]["mass_per_moment_gev2"]) == pytest.approx(by_hand[name], rel=3e-3)
        assert float(found[name]["moment_mub_at_1_ev"]) == pytest.approx(moment, rel=0.015)


@pytest.mark.parametrize("name", ["NB_11", "NW_11"])
def test_mass_naturalness_is_the_leading_logarithm_of_the_running(name):
    """delta m / mu of running over a short interval, against the estimate's slope in ln Lambda."""
    step = 1e-4
    above, below = smneft_to_lneft({name: 1e-9}, M_W * np.exp(step), INPUTS, ELECTROWEAK)
    mass = float(neutrino_mass_gev(above["NH_11"], ELECTROWEAK))
    ratio = mass / (2 * abs(complex(below["nuNgamma_11"]))) / step
    v = float(vacuum_value_gev(ELECTROWEAK))
    estimate = float(mass_naturalness(v * np.e, INPUTS, ELECTROWEAK)[name[:2]]["mass_per_moment_gev2"])
    assert ratio == pytest.approx(estimate, rel=1e-4)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"quark_basis": "mass"}, "quark_basis = 'mass' is not available"),
        ({"sin2_theta_w": 0.5}, "sin2_theta_w = 0.5 is out of range"),
        ({"m_t_gev": float("nan")}, "m_t_gev = nan is out of range"),
        ({"wolfenstein_a": "big"}, "wolfenstein_a = 'big' is not a number"),
    ],
)
def test_bad_inputs(inputs, message):
    with pytest.raises(UserInputError, match=message) as caught:
        check(ElectroweakInputs(**inputs))
    assert "\n" not in str(caught.value)
