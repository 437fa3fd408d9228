"""Files of WCxf: round trips to the last digit, and one clear line for everything that is wrong with one."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import nmmfit
from nmmfit.eft import operators, smneft_operators
from nmmfit.eft.wcxf.text import LARGEST_CHARACTERS, parse, render
from nmmfit.errors import OutputError, UserInputError

# Charges and charge radii of neutrinos are no coefficients of a basis; writing one is refused (tests/eft/test_wcxf.py).
LNEFT = tuple(name for name in operators.coefficient_names() if not name.startswith(operators.FORM_FACTORS))
NUMBERS = st.complex_numbers(allow_nan=False, allow_infinity=False, max_magnitude=1e300)
GOOD = "eft: LNEFT\nbasis: nmmfit\nscale: 80.379\nvalues:\n  TnuNdRR_1122: 1e-6\n"


def written(tmp_path: Path, text: str, name: str = "values.yml") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def allowed(name: str, value: complex) -> complex:
    return complex(value.real) if name in LNEFT and operators.parse(name).real else value


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from(LNEFT), NUMBERS, max_size=8),
    st.floats(2.0, 80.379),
    st.sampled_from([".yml", ".yaml", ".json"]),
)
def test_values_come_back_to_the_last_digit(tmp_path: Path, values: dict[str, complex], scale: float, suffix: str) -> None:
    values = {n: allowed(n, z) for n, z in values.items()}
    path = tmp_path / f"v{suffix}"
    nmmfit.write_wcxf(path, values, scale, overwrite=True)
    back = nmmfit.read_wcxf(path)
    assert (back.values, back.scale_gev, back.eft, back.basis) == (values, scale, "LNEFT", "nmmfit")
    nmmfit.write_wcxf(path, back, overwrite=True)
    assert nmmfit.read_wcxf(path) == back
    # any reader of JSON, or of YAML 1.1, finds the same numbers
    text = path.read_text(encoding="utf-8")
    plain = json.loads(text) if suffix == ".json" else yaml.safe_load(text)
    for name, value in plain["values"].items():
        assert isinstance(value, float | int | dict), name
        if isinstance(value, dict):
            assert complex(value["Re"], value["Im"]) == values[name]
        else:
            assert value == values[name]


@pytest.mark.parametrize(("basis", "quarks"), [("nmmfit", "down"), ("nmmfit up", "up")])
def test_values_above_m_w(tmp_path: Path, basis: str, quarks: str) -> None:
    path = tmp_path / "above.yml"
    nmmfit.write_wcxf(path, {"NB_11": 1e-9, "LNQd3_1122": 2e-9j}, 1000.0, basis=basis, metadata={"author": "us"})
    back = nmmfit.read_wcxf(path)
    assert (back.eft, back.basis, back.quark_basis, back.metadata) == ("SMNEFT", basis, quarks, {"author": "us"})
    assert back.values == {"NB_11": 1e-9, "LNQd3_1122": 2e-9j}
    assert set(back.values) <= set(smneft_operators.coefficient_names())


def test_other_spellings_of_a_coefficient_are_converted(tmp_path: Path) -> None:
    values = "{nugamma_21: 2e-9, VnueLL_2111: {Re: 1, Im: 2}, VnueLR_1111: {Re: 3, Im: 0}, SnuuLL_2111: {Im: 1}}"
    text = f"eft: LNEFT\nbasis: nmmfit\nscale: 10\nvalues: {values}\n"
    found = nmmfit.read_wcxf(written(tmp_path, text)).values
    assert found == {"nugamma_12": -2e-9, "VnueLL_1211": 1 - 2j, "VnueLR_1111": 3.0, "SnuuLL_1211": 1j}


def test_numbers_of_yaml_1_2_are_numbers(tmp_path: Path) -> None:
    """`1e-6` is text to YAML 1.1, `1:30` is 90 and `010` is 8; here they are a number, a mistake and ten."""
    assert yaml.safe_load("[1e-6, 1:30, 010]") == ["1e-6", 90, 8]
    assert parse("[1e-6, -.5, 2., 1E5, +3, 010]", "x") == [1e-6, -0.5, 2.0, 1e5, 3, 10]
    assert parse("[yes, 0x10, 1:30, 1_000, true, ~]", "x") == ["yes", "0x10", "1:30", "1_000", True, None]
    with pytest.raises(UserInputError, match="TnuNdRR_1122: expected a number, got '1:30'"):
        nmmfit.read_wcxf(written(tmp_path, GOOD.replace("1e-6", "1:30")))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("eft: LNEFT", "eft: SMEFT"), "unknown EFT 'SMEFT'; did you mean 'SMNEFT'"),
        (("eft: LNEFT", "eft: WET"), "translate it first"),
        (("basis: nmmfit", "basis: nmfit"), "unknown basis of LNEFT 'nmfit'; did you mean 'nmmfit'"),
        (("eft: LNEFT\n", ""), "eft: this key is required"),
        (("scale: 80.379\n", ""), "scale: this key is required"),
        (("scale: 80.379", "scale: 1.0"), "1 GeV is out of range for LNEFT"),
        (("scale: 80.379", "scale: 91.2"), "91.2 GeV is out of range for LNEFT"),
        (("scale: 80.379", "scale: -3"), "a scale is a number of GeV above 0, got -3"),
        (("scale: 80.379", "scale: high"), "scale: expected a number, got 'high'"),
        (("scale: 80.379", "scale: .inf"), ".inf is not finite"),
        (("scale: 80.379", "scale: true"), "expected a number, got True"),
        (("scale: 80.379", "scales: 80.379"), "unknown key 'scales'; did you mean 'scale'"),
        (("1e-6", "one"), "TnuNdRR_1122: expected a number, got 'one'"),
        (("1e-6", "'1e-6'"), "TnuNdRR_1122: expected a number, got '1e-6'"),
        (("1e-6", ".nan"), ".nan is not finite"),
        (("1e-6", "1e999"), "TnuNdRR_1122: expected a finite number, got inf"),
        (("1e-6", "9" * 400), "TnuNdRR_1122: expected a finite number, got inf"),
        (("1e-6", "true"), "TnuNdRR_1122: expected a number, got True"),
        (("1e-6", ""), "TnuNdRR_1122: expected a number, got None"),
        (("1e-6", "[1, 2]"), "TnuNdRR_1122: expected a number, got [1, 2]"),
        (("1e-6", "{Re: 1, Imag: 2}"), "TnuNdRR_1122: unknown part 'Imag'; did you mean 'Im'"),
        (("1e-6", "{}"), "expected a number, or Re and Im of one"),
        (("1e-6", "{Re: x}"), "TnuNdRR_1122.Re: expected a number, got 'x'"),
        (("TnuNdRR_1122", "TnuNdR_1122"), "unknown operator 'TnuNdR'; did you mean 'TnuNdRR'"),
        (("TnuNdRR_1122", "TnuNdRR_11"), "takes 4 flavour digits"),
        (("TnuNdRR_1122", "TnuNdRR_1144"), "flavour digit 4 of field d is out of range"),
        (("TnuNdRR_1122", "NB_11"), "'NB_11' is no coefficient of LNEFT"),
        (("TnuNdRR_1122", "nugamma_11"), "vanishes"),
        (("TnuNdRR_1122", "12"), "12 is no name of a coefficient"),
        (("TnuNdRR_1122: 1e-6", "VnueLL_1111: {Re: 1, Im: 1e-9}"), "VnueLL_1111 is real by hermiticity"),
        (("TnuNdRR_1122: 1e-6", "nugamma_12: 1\n  nugamma_21: 1"), "'nugamma_12' and 'nugamma_21' are the same coefficient"),
        (("TnuNdRR_1122: 1e-6", "TnuNdRR_1122: 1\n  TnuNdRR_1122: 1"), "line 6, column 3: the key 'TnuNdRR_1122' stands twice"),
        (("values:\n  TnuNdRR_1122: 1e-6\n", "values: 3\n"), "expected coefficients with their values"),
        (("1e-6\n", "1e-6\n  other"), "line 6"),
        (("1e-6", "&a 1e-6"), "anchors and aliases are no part of WCxf"),
        (("1e-6", "!!python/name:os.system"), "could not determine a constructor"),
        (("1e-6", "{Re: 1"), "no YAML"),
        (("1e-6", "\x00"), "no YAML"),
        ((GOOD, ""), "the file is empty"),
        ((GOOD, "- 1\n"), "expected keys and values"),
        ((GOOD, GOOD + "---\n" + GOOD), "expected a single document"),
        ((GOOD, "[" * 20000), "nested too deeply"),
        ((GOOD, "{[1]: 2}"), "a key is text or a number"),
    ],
)
def test_what_is_wrong_with_yaml_is_said_on_one_line(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    assert change[0] in GOOD
    path = written(tmp_path, GOOD.replace(*change))
    with pytest.raises(UserInputError) as problem:
        nmmfit.read_wcxf(path)
    assert message in str(problem.value)
    assert str(path) in str(problem.value)
    assert "\n" not in str(problem.value)


TABLE = {"eft": "LNEFT", "basis": "nmmfit", "scale": 2, "values": {"nuNgamma_11": {"Re": 1e-9, "Im": 0}}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("1e-09", "NaN"), "NaN is not finite"),
        (("1e-09", "-Infinity"), "-Infinity is not finite"),
        (("1e-09", "1e999"), "expected a finite number"),
        (("1e-09", "9" * 5000), "expected a finite number"),
        (("1e-09", '"1e-9"'), "expected a number, got '1e-9'"),
        (('"scale": 2', '"scale": 2, "scale": 3'), "the key 'scale' stands twice"),
        (('"Re": ', '"Im": 1, "Re": '), "the key 'Im' stands twice"),
        (("}}}", "}"), "no JSON"),
        (("{", "{,"), "line 1, column 2: no JSON"),
    ],
)
def test_what_is_wrong_with_json_is_said_on_one_line(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    text = json.dumps(TABLE)
    assert change[0] in text
    with pytest.raises(UserInputError) as problem:
        nmmfit.read_wcxf(written(tmp_path, text.replace(change[0], change[1], 1), "v.json"))
    assert message in str(problem.value)
    assert "\n" not in str(problem.value)


@pytest.mark.parametrize("length", range(1, len(GOOD) - 1, 7))
def test_a_truncated_file_is_no_smaller_set_of_values(tmp_path: Path, length: int) -> None:
    """Cut anywhere, the file is refused, or says the same up to the digits that are left of the last number."""
    path = written(tmp_path, GOOD[:length])
    try:
        found = nmmfit.read_wcxf(path)
    except UserInputError:
        return
    assert list(found.values) == ["TnuNdRR_1122"]


@pytest.mark.parametrize("length", range(1, len(json.dumps(TABLE)), 9))
def test_a_truncated_json_is_refused(tmp_path: Path, length: int) -> None:
    with pytest.raises(UserInputError, match="no JSON"):
        nmmfit.read_wcxf(written(tmp_path, json.dumps(TABLE)[:length], "v.json"))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match="No such file"):
        nmmfit.read_wcxf(tmp_path / "nowhere.yml")
    with pytest.raises(UserInputError, match="Is a directory"):
        nmmfit.read_wcxf(tmp_path)
    (tmp_path / "latin.yml").write_bytes(b"eft: \xe9")
    with pytest.raises(UserInputError, match="not UTF-8 text"):
        nmmfit.read_wcxf(tmp_path / "latin.yml")
    with pytest.raises(UserInputError, match="too many"):
        parse(" " * (LARGEST_CHARACTERS + 1), "big.yml")


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    assert nmmfit.read_wcxf(written(tmp_path, "\ufeff" + GOOD)).scale_gev == 80.379


@pytest.mark.parametrize(
    ("values", "scale", "message"),
    [
        ({"TnuNdRR_1122": "1"}, 80.0, "'1' is not a number"),
        ({"TnuNdRR_1122": math.nan}, 80.0, "is not finite"),
        ({"TnuNdRR_1122": complex(0, math.inf)}, 80.0, "is not finite"),
        ({"TnuNdRR_1122": 1e-6}, None, "coefficients mean nothing without their scale"),
        ({"TnuNdRR_1122": 1e-6}, 100.0, "out of range"),
        ({"TnuNdRR_1122": 1e-6}, "high", "expected a number"),
        ({"NB_11": 1e-6}, 50.0, "50 GeV is out of range for SMNEFT"),
        ({"NB_11": 1e-6, "nuNgamma_11": 1e-9}, 80.379, "belong to different theories"),
        ({"NoSuch_11": 1e-6}, 80.0, "unknown operator"),
        ([1.0], 80.0, "expected name -> value"),
    ],
)
def test_wrong_values_are_not_written(tmp_path: Path, values, scale, message: str) -> None:
    with pytest.raises(UserInputError, match=message):
        nmmfit.write_wcxf(tmp_path / "v.yml", values, scale)
    assert list(tmp_path.iterdir()) == []


def test_a_file_appears_complete_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "mine")
    with pytest.raises(OutputError, match="not overwritten"):
        nmmfit.write_wcxf(path, {"TnuNdRR_1122": 1e-6}, 80.0)
    assert path.read_text(encoding="utf-8") == "mine"

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OutputError, match="the disk is full"):
        nmmfit.write_wcxf(path, {"TnuNdRR_1122": 1e-6}, 80.0, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["values.yml"]
    assert path.read_text(encoding="utf-8") == "mine"


def test_other_suffixes_and_doubled_arguments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match=r"must end in \.yml"):
        nmmfit.write_wcxf(tmp_path / "v.txt", {"TnuNdRR_1122": 1e-6}, 80.0)
    back = nmmfit.read_wcxf(written(tmp_path, GOOD))
    with pytest.raises(UserInputError, match="are those of the values given"):
        nmmfit.write_wcxf(tmp_path / "w.yml", back, 80.0)


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
        max_leaves=10,
    ).map(lambda inner: {"metadata": inner})
)
@example({"metadata": {"0E0": None, "1e5": "2E-3"}})
def test_any_metadata_comes_back(table: object) -> None:
    assert parse(render(table), "x") == table
    assert parse(render(table, as_json=True), "x", as_json=True) == table
