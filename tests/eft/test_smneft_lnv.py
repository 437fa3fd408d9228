"""Lepton-number violation at m_W: every operator in components of fields, with explicit matrices and anticommuting numbers."""

from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np
import pytest
from dirac import GAMMA, P_L, P_R, SIGMA, SIGMA_LOWER

from nmmfit.eft.amplitudes import linear_map, quark_couplings
from nmmfit.eft.chiral import ChiralInputs
from nmmfit.eft.operators import parse as parse_below
from nmmfit.eft.smneft import smneft_to_lneft
from nmmfit.eft.smneft_inputs import ElectroweakInputs, ckm_matrix
from nmmfit.eft.smneft_matching import match_at_m_w
from nmmfit.eft.smneft_operators import coefficient_names, parse
from nmmfit.errors import UserInputError
from nmmfit.evolution import evolve
from nmmfit.inputs import StandardModelInputs

M_W = 80.379
V, S2 = (np.sqrt(2) * 1.1663787e-5) ** -0.5, 0.23121
EPSILON = np.array([[0.0, 1.0], [-1.0, 0.0]])
HIGGS = np.array([0.0, V / np.sqrt(2)])
PAULI_3 = np.diag([1.0, -1.0])
CONJUGATION = 1j * GAMMA[2] @ GAMMA[0]
ELECTROWEAK = ElectroweakInputs()
CKM = np.asarray(ckm_matrix(ELECTROWEAK))

# A field is a name; its four components are anticommuting numbers, and `bar` is a field of its own. A bilinear is (field, matrix,
# field).


def expanded(terms):
    """{sorted components: coefficient} of a sum of (coefficient, bilinears, label); zero where a component comes twice."""
    out = defaultdict(complex)
    for coefficient, bilinears, label in terms:
        fields = [f for a, _, b in bilinears for f in (a, b)]
        product = np.array(coefficient, dtype=complex)
        for _, matrix, _ in bilinears:
            product = np.multiply.outer(product, matrix)
        for index in zip(*np.nonzero(product), strict=True):
            numbers = list(zip(fields, map(int, index), strict=True))
            if len(set(numbers)) < len(numbers):
                continue
            order = sorted(range(len(numbers)), key=numbers.__getitem__)
            sign = round(np.linalg.det(np.eye(len(numbers))[order]))
            out[tuple(numbers[k] for k in order), label] += sign * product[index]
    return {key: value for key, value in out.items() if abs(value) > 1e-12 * V**2}


def lepton(p):
    return [f"nu{p}", f"l{p}"]


def neutral_quark(s):
    """Q_s in the basis of down quarks: [(weight, field)] of each component."""
    return [[(np.conj(CKM[k, s - 1]), f"u{k + 1}") for k in range(3)], [(1.0, f"d{s}")]]


def above(name):
    """The photon or the two-neutrino part of an operator with unit coefficient, from its definition; H = (0, v / sqrt 2)."""
    c = parse(name)
    op, digits = c.operator.name, c.flavours
    terms = []
    # The sum over flavours has C_pr = -C_rp = 1 where the operator is antisymmetric.
    orders = [(digits, 1.0), (digits[::-1], -1.0)] if c.operator.symmetry else [(digits, 1.0)]
    for order, sign in orders:
        if op == "NNB":
            p, r = order
            for m, n in itertools.product(range(4), repeat=2):
                matrix = CONJUGATION @ SIGMA[m, n] @ P_R
                terms.append((sign * np.sqrt(1 - S2), [(f"N{p}", matrix, f"N{r}")], (m, n)))
        elif op in ("LHB", "LHW"):
            p, r = order
            right = EPSILON if op == "LHB" else EPSILON @ PAULI_3
            photon = np.sqrt(1 - S2) if op == "LHB" else np.sqrt(S2)
            for i, j, m, n in itertools.product(range(2), repeat=4):
                weight = sign * photon * EPSILON[i, j] * HIGGS[j] * right[m, n] * HIGGS[n]
                for a, b in itertools.product(range(4), repeat=2):
                    matrix = CONJUGATION @ SIGMA[a, b] @ P_L
                    terms.append((weight, [(lepton(p)[i], matrix, lepton(r)[m])], (a, b)))
        elif op in ("dLQLH1", "dLQLH2"):
            p, r, s, t = order
            for i, j, m, n in itertools.product(range(2), repeat=4):
                contraction = EPSILON[i, j] * EPSILON[m, n] if op == "dLQLH1" else EPSILON[i, m] * EPSILON[j, n]
                for weight, quark in neutral_quark(s)[j]:
                    bilinears = [(f"bar d{p}", P_L, lepton(r)[i]), (quark, CONJUGATION @ P_L, lepton(t)[m])]
                    terms.append((weight * contraction * HIGGS[n], bilinears, ()))
        else:
            p, r, s, t = order
            for i, j, m in itertools.product(range(2), repeat=3):
                for weight, quark in neutral_quark(p)[m]:
                    bilinears = [(f"bar {quark}", P_R, f"u{r}"), (lepton(s)[m], CONJUGATION @ P_L, lepton(t)[i])]
                    terms.append((np.conj(weight) * EPSILON[i, j] * HIGGS[j], bilinears, ()))

    def kept(bilinears):
        """Neither a charged lepton nor a top quark."""
        return not any(f.split()[-1] in ("u3", "l1", "l2", "l3") for a, _, b in bilinears for f in (a, b))

    return expanded([t for t in terms if t[0] != 0 and kept(t[1])])


def below(coefficients):
    """The LNEFT Lagrangian, summed over all flavours with the symmetry of each operator."""
    terms = []
    for name, value in coefficients.items():
        c = parse_below(name)
        op, (p, r, *quarks) = c.operator, c.flavours
        both = [((p, r), 1.0)] if p == r else [((p, r), 1.0), ((r, p), float(op.symmetry))]
        chirality, neutrino = (P_R, "N") if op.name == "Ngamma" else (P_L, "nu")
        for (a, b), sign in both:
            pair = f"{neutrino}{a}", f"{neutrino}{b}"
            if op.lorentz == "dipole":
                for m, n in itertools.product(range(4), repeat=2):
                    terms.append((sign * value, [(pair[0], CONJUGATION @ SIGMA[m, n] @ chirality, pair[1])], (m, n)))
                continue
            quark = f"bar {op.fermion}{quarks[0]}", f"{op.fermion}{quarks[1]}"
            side = P_R if op.name.endswith("LR") else P_L
            if op.lorentz == "scalar":
                terms.append((sign * value, [(pair[0], CONJUGATION @ P_L, pair[1]), (quark[0], side, quark[1])], ()))
                continue
            for m, n in itertools.product(range(4), repeat=2):
                first, second = CONJUGATION @ SIGMA[m, n] @ P_L, SIGMA_LOWER[m, n] @ side
                terms.append((sign * value, [(pair[0], first, pair[1]), (quark[0], second, quark[1])], ()))
    return expanded(terms)


def test_the_charge_conjugate_in_the_names_of_both_theories_is_one():
    # psi^c = C psibar^T, so that its bar is psi^T gamma_0^* C^dagger gamma_0, which must be psi^T C.
    np.testing.assert_allclose(GAMMA[0].conj() @ CONJUGATION.conj().T @ GAMMA[0], CONJUGATION, atol=1e-15)
    for gamma in GAMMA:
        np.testing.assert_allclose(CONJUGATION @ gamma @ np.linalg.inv(CONJUGATION), -gamma.T, atol=1e-15)


@pytest.mark.parametrize(
    "name",
    [
        *("NNB_12", "NNB_23", "LHB_12", "LHB_13", "LHW_12", "LHW_21", "LHW_11", "LHW_32"),
        *("dLQLH1_1123", "dLQLH1_2311", "dLQLH1_1212", "dLQLH1_3132", "dLQLH2_1123", "dLQLH2_1212"),
        *("QuLLH_1112", "QuLLH_2121", "QuLLH_1233", "QuLLH_3123", "QuLLH_1311"),
    ],
)
def test_every_component(name):
    found = {n: complex(z) for n, z in match_at_m_w({name: 1.0}, ELECTROWEAK).items()}
    expected = above(name)
    if name.startswith("dLQLH2") or name in ("LHW_11", "QuLLH_1311"):
        assert found == {} or not any(found.values())
        assert expected == {}  # charged currents, or a top quark
        return
    matched = below(found)
    assert expected
    assert set(matched) == set(expected)
    for key, value in expected.items():
        assert matched[key] == pytest.approx(value, rel=1e-6), key


def test_matching_by_hand():
    v2 = V**2 / 2
    assert complex(match_at_m_w({"NNB_13": 2.0}, ELECTROWEAK)["Ngamma_13"]) == pytest.approx(2 * np.sqrt(1 - S2))
    assert complex(match_at_m_w({"LHB_12": 1j}, ELECTROWEAK)["nugamma_12"]) == pytest.approx(1j * v2 * np.sqrt(1 - S2), rel=1e-6)
    assert complex(match_at_m_w({"LHW_21": 1.0}, ELECTROWEAK)["nugamma_12"]) == pytest.approx(v2 * np.sqrt(S2) / 2, rel=1e-6)
    # The photon's combination, g' s_W = g c_W aside: LHB and LHW as g' and g times one operator have opposite signs.
    both = match_at_m_w({"LHB_12": np.sqrt(S2), "LHW_12": np.sqrt(1 - S2), "LHW_21": -np.sqrt(1 - S2)}, ELECTROWEAK)
    assert abs(complex(both["nugamma_12"])) < 1e-12 * v2
    down = match_at_m_w({"dLQLH1_2113": 1.0}, ELECTROWEAK)
    unit = V / np.sqrt(2) / 2
    assert {n: complex(z) for n, z in down.items()} == pytest.approx(
        {"SnudLL_1321": -unit / 2, "TnudLL_1321": unit / 8}, rel=1e-6
    )
    up = match_at_m_w({"QuLLH_1122": 1.0}, ELECTROWEAK)
    assert complex(up["SnuuLR_2221"]) == pytest.approx(V / np.sqrt(2) * CKM[1, 0], rel=1e-6)
    assert not any(n.startswith(("TnuuLL", "SnuuLL")) for name in coefficient_names() if "LLH" in name for n in up)


def test_up_basis_is_a_rotation():
    up = ElectroweakInputs(quark_basis="up")
    for name, rotated in (
        ("QuLLH_2112", {f"QuLLH_{k + 1}112": np.conj(CKM[1, k]) for k in range(3)}),
        ("dLQLH1_1123", {f"dLQLH1_11{k + 1}3": CKM[1, k] for k in range(3)}),
    ):
        found, expected = match_at_m_w({name: 1.0}, up), match_at_m_w(rotated, ELECTROWEAK)
        for key in set(found) | set(expected):
            assert complex(found.get(key, 0.0)) == pytest.approx(complex(expected.get(key, 0.0)), abs=1e-12)


def test_names_and_symmetries():
    assert len([n for n in coefficient_names() if not parse(n).operator.conserves_lepton_number]) == 3 + 3 + 9 + 3 * 81
    assert (parse("LHB_21").name, parse("LHB_21").sign, parse("LHW_21").name) == ("LHB_12", -1, "LHW_21")
    units = {n: parse(n).operator.unit for n in ("NNB_12", "LHB_12", "dLQLH1_1111")}
    assert units == {"NNB_12": "GeV^-1", "LHB_12": "GeV^-3", "dLQLH1_1111": "GeV^-3"}
    one, other = (match_at_m_w({n: x}, ELECTROWEAK)["nugamma_12"] for n, x in (("LHB_12", 1.0), ("LHB_21", -1.0)))
    assert complex(one) == complex(other)


@pytest.mark.parametrize(
    ("coefficients", "scale", "message"),
    [
        ({"LHB_11": 1.0}, M_W, "coefficient 'LHB_11' vanishes: LHB is antisymmetric in its two L flavours"),
        ({"NNB_22": 1.0}, M_W, "coefficient 'NNB_22' vanishes: NNB is antisymmetric in its two N flavours"),
        ({"LHB_12": 1.0, "LHB_21": 1.0}, M_W, "coefficients 'LHB_12' and 'LHB_21' are the same up to a sign"),
        ({"LHB_12": 1e-9}, 1000, "scale_from: 'LHB_12' violates lepton number and has no running above m_W in this version"),
        ({"NB_11": 1e-9, "QuLLH_1112": 1e-9}, 200, "scale_from: 'QuLLH_1112' violates lepton number"),
        ({"LHB_12": 1e-9, "nugamma_12": 1e-9}, M_W, "'LHB_12' and 'nugamma_12' belong to different theories"),
        ({"nugamma_11": 1e-9}, M_W, "coefficient 'nugamma_11' vanishes"),
        ({"LHB_12": complex("nan")}, M_W, "is not finite"),
    ],
)
def test_refused(coefficients, scale, message):
    with pytest.raises(UserInputError) as caught:
        evolve(coefficients, scale, 2)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_refused_in_linear_maps():
    for call in (
        lambda: linear_map(("LHB_12",), 1000.0, StandardModelInputs()),
        lambda: smneft_to_lneft({"LHB_12": 1.0}, 1000.0, StandardModelInputs(), ELECTROWEAK),
    ):
        with pytest.raises(UserInputError, match="violates lepton number and has no running above m_W"):
            call()


def test_evolve_and_the_map_of_a_fit():
    """What they lead to is what the coefficients just below m_W lead to, complex values and mixtures of both kinds included."""
    given = {"LHB_21": 1e-14j, "dLQLH1_2112": 1e-9 + 2e-9j, "QuLLH_1112": 3e-9, "LNQd3_1122": 1e-8j}
    result = evolve(given, M_W, 2)
    (threshold,) = result.thresholds
    assert {"LHB_12", "dLQLH1_2112", "LNQd3_1122"} <= set(threshold.above)
    assert threshold.above["LHB_12"] == -1e-14j
    assert {"nugamma_12", "SnudLL_1221", "TnudLL_1221", "SnuuLR_1211", "TnuNdRR_1122"} <= set(threshold.below)
    below = evolve(threshold.below, M_W, 2)
    assert result.moments_mub == pytest.approx(below.moments_mub)
    assert result.coefficients == pytest.approx(below.coefficients)
    inputs, chiral = StandardModelInputs(), ChiralInputs()
    direct = quark_couplings(threshold.below, M_W, inputs, chiral)
    mapped = quark_couplings(given, M_W, inputs, chiral)
    for field in ("dipole", "scalar_u", "scalar_d", "tensor_d", "tensor_s"):
        np.testing.assert_allclose(getattr(mapped, field), getattr(direct, field), rtol=1e-12, atol=1e-24)
    assert np.any(np.asarray(mapped.dipole))
