"""Linear combinations in a run file."""

from __future__ import annotations

import pytest

from nmmfit.config import validate
from nmmfit.errors import UserInputError

PARAMETERS = {
    "a": {"coefficients": {"nuNgamma_11": 1}, "prior": {"normal": [0, 1]}},
    "b": {"coefficients": {"nuNgamma_22": 1}, "prior": {"normal": [0, 1]}},
}


def config(**combinations):
    return validate({"experiments": [], "parameters": PARAMETERS, "combinations": combinations})


def test_a_combination_is_a_table_of_weights() -> None:
    assert config(c={"a": 2, "b": -1}).combinations == {"c": {"a": 2.0, "b": -1.0}}
    assert config().combinations == {}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"c": {"aa": 1}}, "did you mean 'a'"),
        ({"a": {"b": 1}}, "a name of its own"),
        ({"c d": {"b": 1}}, "a name of its own"),
        ({"c": {"b": 0}}, "a weight that is not zero"),
        ({"c": {"b": float("inf")}}, "finite"),
        ({"c": {"b": "x"}}, "combinations.c.b"),
    ],
)
def test_a_wrong_combination_is_refused(wrong, said) -> None:
    with pytest.raises(UserInputError, match=said):
        config(**wrong)
