"""The operator basis against the founding paper's tables and the counting of independent components."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmmfit.eft.operators import GENERATIONS, OPERATORS, check_real, coefficient_names, parse, validate_all, vector_name
from nmmfit.errors import UserInputError

# arXiv:2206.13122, tables 1 and 2, written as field content and chirality.
TABLE_1 = (
    "nuNgamma", "VnuuLL", "VnudLL", "VnuuLR", "VnudLR", "VNuRR", "VNdRR", "VuNLR", "VdNLR",
    "SnuNuRR", "SnuNdRR", "SnuNuRL", "SnuNdRL", "TnuNuRR", "TnuNdRR",
)  # fmt: skip
TABLE_2 = (
    "nugamma", "Ngamma", "SnuuLL", "SnudLL", "TnuuLL", "TnudLL", "SnuuLR", "SnudLR", "SNuRR", "SNdRR",
    "TNuRR", "TNdRR", "SuNLR", "SdNLR", "VnuNuRL", "VnuNdRL", "VnuNuRR", "VnuNdRR",
)  # fmt: skip
LEPTONS_LNC = ("VnueLL", "VnueLR", "VNeRR", "VeNLR", "SnuNeRR", "SnuNeRL", "TnuNeRR")
LEPTONS_LNV = ("SnueLL", "SnueLR", "TnueLL", "SNeRR", "SeNLR", "TNeRR", "VnuNeRL", "VnuNeRR")


OWN = ("nuradius", "nucharge")


def test_every_operator_of_the_tables_is_there_and_no_other():
    assert set(OPERATORS) == {*TABLE_1, *TABLE_2, *LEPTONS_LNC, *LEPTONS_LNV, *OWN}
    conserving = {name for name, op in OPERATORS.items() if op.conserves_lepton_number}
    assert conserving == {*TABLE_1, *LEPTONS_LNC, *OWN}


def test_dimensions_units_and_hermiticity():
    for name, op in OPERATORS.items():
        expected = {"nucharge": (4, "e")}.get(name, (5, "GeV^-1") if "gamma" in name else (6, "GeV^-2"))
        assert (op.dimension, op.unit) == expected
        assert op.hermitian == (name in OWN or (name.startswith("V") and not name.startswith("VnuN")))
        assert len(op.fields) == (2 if op.dimension == 5 or name in OWN else 4)


def test_number_of_independent_components():
    names = coefficient_names()
    count = {op: sum(n.startswith(op + "_") for n in names) for op in OPERATORS}
    n_u, n_d, n_e = 2, 3, 3
    for f, n in (("u", n_u), ("d", n_d), ("e", n_e)):
        assert count[f"TnuN{f}RR"] == count[f"SnuN{f}RL"] == 9 * n * n
        assert count[f"Tnu{f}LL"] == count[f"TN{f}RR"] == 3 * n * n
        assert count[f"Snu{f}LL"] == count[f"S{f}NLR"] == 6 * n * n
        # Hermitian: (3 n)^2 real numbers, so that complex pairs plus real diagonals are (9 n^2 + 3 n) / 2 names.
        assert count[f"Vnu{f}LL"] == count[f"V{f}NLR"] == (9 * n * n + 3 * n) // 2
        real = [x for x in names if x.startswith(f"Vnu{f}LL_") and parse(x).real]
        assert len(real) + 2 * (count[f"Vnu{f}LL"] - len(real)) == 9 * n * n
    assert (count["nuNgamma"], count["nugamma"], count["Ngamma"], count["VnuNuRL"]) == (9, 3, 3, 36)


@given(st.sampled_from([op for op in OPERATORS.values() if op.symmetry]), st.data())
def test_exchange_of_identical_neutrinos(op, data):
    digits = [data.draw(st.sampled_from(GENERATIONS[f])) for f in op.fields]
    first, second = op.neutrinos
    swapped = list(digits)
    swapped[first], swapped[second] = digits[second], digits[first]
    name, other = (f"{op.name}_{''.join(map(str, x))}" for x in (digits, swapped))
    if digits[first] == digits[second] and op.symmetry < 0:
        with pytest.raises(UserInputError, match="vanishes"):
            parse(name)
        return
    one, two = parse(name), parse(other)
    assert one.name == two.name
    assert one.name in coefficient_names()
    if digits[first] != digits[second]:
        assert one.sign * two.sign == op.symmetry


@given(st.sampled_from([op for op in OPERATORS.values() if op.hermitian]), st.data())
def test_conjugate_of_a_hermitian_operator(op, data):
    digits = [data.draw(st.sampled_from(GENERATIONS[f])) for f in op.fields]
    swapped = [digits[k + 1 if k % 2 == 0 else k - 1] for k in range(len(digits))]
    one, two = (parse(f"{op.name}_{''.join(map(str, x))}") for x in (digits, swapped))
    assert one.name == two.name
    assert one.real == (digits == swapped)
    assert one.conjugated != two.conjugated or one.real


def test_representatives_and_meaning():
    assert parse("nugamma_21").name == "nugamma_12"
    assert parse("nugamma_21").sign == -1
    strange = parse("TnuNdRR_1122")
    assert (strange.fermion, strange.neutrinos, strange.operator.sector) == ("s", (1, 1), "nuN")
    # Quark fields come first in the name, and so do their digits.
    last = parse("SuNLR_1123")
    assert (last.fermion, last.neutrinos, last.operator.sector) == ("u", (2, 3), "N")
    assert parse("SuNLR_1132").name == "SuNLR_1123"
    assert parse("TnuNdRR_1113").involves_bottom
    assert not parse("TnuNeRR_1133").involves_bottom


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("TnuNdR_1122", "coefficient 'TnuNdR_1122': unknown operator 'TnuNdR'; did you mean 'TnuNdRR'?"),
        ("tensor", "unknown operator 'tensor'"),
        ("", "unknown operator ''"),
        ("TnuNdRR_11", "TnuNdRR takes 4 flavour digits (nu N d d), such as 'TnuNdRR_1111'"),
        ("TnuNdRR", "TnuNdRR takes 4 flavour digits"),
        ("TnuNdRR_11221", "TnuNdRR takes 4 flavour digits"),
        ("nuNgamma_1e", "nuNgamma takes 2 flavour digits"),
        ("nuNgamma_41", "flavour digit 4 of field nu is out of range (allowed: 1, 2, 3)"),
        ("nuNgamma_01", "flavour digit 0 of field nu is out of range"),
        ("TnuNuRR_1133", "flavour digit 3 of field u is out of range (allowed: 1, 2; the top quark is integrated out)"),
        ("nugamma_11", "coefficient 'nugamma_11' vanishes: nugamma is antisymmetric"),
        ("TnudLL_2233", "vanishes"),
    ],
)
def test_bad_names(name, message):
    with pytest.raises(UserInputError) as caught:
        parse(name, "parameters.x")
    text = str(caught.value)
    assert message in text
    assert text.startswith("parameters.x: ")
    assert "\n" not in text


def test_one_coefficient_under_two_names():
    with pytest.raises(UserInputError, match="'nugamma_12' and 'nugamma_21' are the same up to a sign"):
        validate_all(["nugamma_12", "nugamma_21"])


def test_a_hermitian_coefficient_under_two_names():
    with pytest.raises(UserInputError, match="'VnuuLL_1211' and 'VnuuLL_2111' are the same up to complex conjugation"):
        validate_all(["VnuuLL_1211", "VnuuLL_2111"])


@pytest.mark.parametrize("name", [n for n in OPERATORS if n.startswith("V")])
def test_names_of_diagonal_vectors(name):
    """Chirality of the fermions from the operator's own text, digits at the place of their fields."""
    op = OPERATORS[name]
    fermion = {"u": "c", "d": "s", "e": "mu"}[op.fermion]
    assert op.on_left == (f"{op.fermion}bar_L gamma_mu {op.fermion}_L" in op.structure)
    made = parse(vector_name(op.sector, op.on_left, fermion, (1, 3)))
    assert (made.operator, made.fermion, made.neutrinos, made.conjugated) == (op, fermion, (1, 3), False)


def test_diagonal_vectors_are_real():
    check_real({"VnuuLL_1111": 1.0 + 0.0j, "VnuuLL_1211": 1j, "VnuuLL_1112": 1j, "VnuNuRL_1111": 1j, "nuNgamma_11": 1j})
    for name in ("VnuuLL_1111", "VnueLR_2233", "VuNLR_1122"):
        with pytest.raises(UserInputError, match=rf"^run: coefficient '{name}' is real, as the operator is Hermitian; got 1\+2j"):
            check_real({name: 1.0 + 2.0j}, "run")


def test_the_basis_needs_no_jax():
    code = "import sys, nmmfit.eft.operators; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
