"""Names and flavours above m_W."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmmfit.eft.smneft_operators import OPERATORS, coefficient_names, is_smneft, parse, theory_of
from nmmfit.errors import UserInputError


def test_every_operator_is_there():
    conserving = {name for name, op in OPERATORS.items() if op.conserves_lepton_number}
    assert conserving == {"NB", "NW", "NH", "LNQd", "LNQd3", "LNuQ", "LNLe"}
    assert set(OPERATORS) - conserving == {"NNB", "LHB", "LHW", "dLQLH1", "dLQLH2", "QuLLH"}
    for name in conserving:
        assert (OPERATORS[name].dimension, OPERATORS[name].unit) == (6, "GeV^-2")
        assert OPERATORS[name].fields[:2] == ("L", "N")
    assert len(coefficient_names()) == len(set(coefficient_names())) == 3 * 9 + 4 * 81 + 3 + 3 + 9 + 3 * 81


@given(st.sampled_from(coefficient_names()))
def test_names_are_read_back(name):
    assert parse(name).name == name
    assert is_smneft(name)
    assert theory_of([name]) == "smneft"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("LNQD3_1122", r"unknown operator 'LNQD3'; did you mean 'LNQd3'\?"),
        ("NG_11", "unknown operator 'NG'; did you mean 'N[BHWN]"),
        ("NB_1", "NB takes 2 flavour digits"),
        ("NB", "NB takes 2 flavour digits"),
        ("LNQd_112", "LNQd takes 4 flavour digits"),
        ("LNuQ_1142", "flavour digit 4 of field u is out of range"),
        ("NB_01", "flavour digit 0 of field L is out of range"),
        (3, "3 is no name of a coefficient"),
    ],
)
def test_wrong_names(name, message):
    with pytest.raises(UserInputError, match=message) as caught:
        parse(name)
    assert "\n" not in str(caught.value)


def test_theories_are_told_apart():
    assert theory_of([]) == "lneft"
    assert theory_of(["nuNgamma_11", "TnuNdRR_1122"]) == "lneft"
    with pytest.raises(UserInputError, match="here: coefficients 'NB_11' and 'nuNgamma_11' belong to different theories"):
        theory_of(["nuNgamma_11", "NB_11"], "here")
    with pytest.raises(UserInputError, match="unknown operator 'LNQe3'; did you mean 'LNQd3'"):
        theory_of(["LNQe3_1122"])
    with pytest.raises(UserInputError, match="unknown operator 'TnuNdR'; did you mean 'TnuNdRR'"):
        theory_of(["TnuNdR_1122"])
