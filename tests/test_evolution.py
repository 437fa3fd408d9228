"""What `evolve` returns: coefficients at the second scale, the parts of matching, and moments."""

from __future__ import annotations

import doctest
import json

import numpy as np
import pytest

import nmmfit.evolution
from nmmfit.eft.chiral import ChiralInputs
from nmmfit.errors import UserInputError
from nmmfit.evolution import MOMENTS, evolve
from nmmfit.inputs import StandardModelInputs

# e / (2 m_e) in GeV^-1, CODATA 2022
BOHR_MAGNETON = np.sqrt(4 * np.pi / 137.035999177) / (2 * 0.51099895069e-3)


def test_parts_and_moments():
    result = evolve({"TnuNdRR_2222": 1e-6, "nuNgamma_22": 1e-9j}, 80.379)
    assert set(result.coefficients) == {"TnuNdRR_2222", "nuNgamma_22"}
    assert set(result.chiral) == {"nuNgamma_22"}
    assert result.loops == {}
    # After matching, times e(0) / e(2 GeV) and 2 / mu_B.
    total = result.coefficients["nuNgamma_22"] + result.chiral["nuNgamma_22"]
    moment = 2 * abs(total) * np.sqrt(133.3037279 / 137.035999177) / BOHR_MAGNETON
    assert result.moments_mub["sns_mu"] == pytest.approx(moment, rel=1e-6, abs=0)
    assert result.moments_mub["plasmon"] == pytest.approx(moment, rel=1e-6, abs=0)
    assert result.moments_mub["reactor_e"] == 0.0
    assert 0.0 < result.moments_mub["solar"] < moment


def test_chiral_part_at_2_gev():
    result = evolve({"TnuNuRR_1111": 1e-6}, 2.0, chiral=ChiralInputs(-3.2, 0.0))
    e = np.sqrt(4 * np.pi / 133.3037279)
    assert result.coefficients == {"TnuNuRR_1111": pytest.approx(1e-6), "nuNgamma_11": 0.0}
    assert result.chiral["nuNgamma_11"].real == pytest.approx(3.2 * 4 / 3 * e * 7.345e-3 * 1e-6, rel=1e-4, abs=0)


def test_matching_happens_at_2_gev_only():
    result = evolve({"TnuNuRR_1111": 1e-6, "TnuNeRR_1122": 1e-6}, 80.379, 10.0)
    assert (result.chiral, result.loops) == ({}, {})
    at_2 = evolve({"TnuNuRR_1111": 1e-6, "TnuNeRR_1122": 1e-6}, 80.379, 2.0)
    assert at_2.moments_mub == pytest.approx(result.moments_mub, rel=1e-12, abs=0)
    assert set(at_2.loops) == {"nuNgamma_11"}


def test_bottom_leaves_a_dipole_behind():
    result = evolve({"TnuNdRR_1133": 1e-6}, 80.379)
    assert set(result.coefficients) == {"nuNgamma_11"}
    assert set(evolve({"TnuNdRR_1133": 1e-6}, 80.379, 4.18).coefficients) == {"TnuNdRR_1133", "nuNgamma_11"}


def test_moments_of_transition_dipoles():
    # Majorana: mu_12 = 4 L; rows 1 and 2 have one entry each, the plasmon counts the pair once.
    result = evolve({"nugamma_12": 1e-9}, 2.0)
    moment = 4e-9 * np.sqrt(133.3037279 / 137.035999177) / BOHR_MAGNETON
    for name in ("reactor_e", "sns_e", "sns_mu", "plasmon"):
        assert result.moments_mub[name] == pytest.approx(moment, rel=1e-6, abs=0)


def test_solar_moment_follows_the_density_matrix():
    rho = np.diag([0.0, 0.25, 0.75])
    result = evolve({"nuNgamma_22": 1e-9}, 2.0, rho_solar=rho)
    assert result.moments_mub["solar"] == pytest.approx(0.5 * result.moments_mub["sns_mu"], rel=1e-12, abs=0)


def test_json_and_rows():
    result = evolve({"TnuNdRR_1122": 1e-6 + 1e-7j, "TnuNeRR_1133": 1e-7}, 80.379, inputs=StandardModelInputs(alpha_s_mz=0.118))
    payload = json.loads(json.dumps(result.as_json()))
    assert payload["scale_gev"] == 2.0
    assert payload["coefficients"]["TnuNdRR_1122"] == [
        result.coefficients["TnuNdRR_1122"].real,
        result.coefficients["TnuNdRR_1122"].imag,
    ]
    assert tuple(payload["moments_mub"]) == MOMENTS
    assert payload["inputs"]["alpha_s_mz"] == 0.118
    assert payload["inputs"]["c_T"] == -2.9
    units = {(part, unit) for part, _, _, unit in result.rows()}
    dipole = {(part, "GeV^-1") for part in ("coefficient", "chiral", "loops")}
    assert units == dipole | {("coefficient", "GeV^-2"), ("moment", "mu_B")}


def test_seed_and_exact_differ_by_the_running():
    exact, seed = (evolve({"TnuNdRR_1122": 1e-6}, 80.379, method=m) for m in ("exact", "seed"))
    ratio = seed.coefficients["TnuNdRR_1122"].real / exact.coefficients["TnuNdRR_1122"].real
    assert 1.03 < ratio < 1.05


@pytest.mark.parametrize(
    ("coefficients", "scales", "method", "message"),
    [
        ({"nuNgamma_11": float("nan")}, (80.0, 2.0), "exact", "coefficient 'nuNgamma_11': nan is not finite"),
        ({"nuNgamma_11": "big"}, (80.0, 2.0), "exact", "'big' is not a number"),
        ({"nuNgamma_1": 1.0}, (80.0, 2.0), "exact", "takes 2 flavour digits"),
        ({"nuNgamma_11": 1.0}, (80.0, 1.9), "exact", "scale_to: 1.9 GeV is outside"),
        ({"nuNgamma_11": 1.0}, (800.0, 2.0), "exact", "scale_from: 800 GeV is outside"),
        ({"nuNgamma_11": 1.0}, (80.0, 2.0), "leading", "unknown method 'leading'"),
    ],
)
def test_bad_input(coefficients, scales, method, message):
    with pytest.raises(UserInputError, match=message) as caught:
        evolve(coefficients, *scales, method=method)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"coefficients": None}, "coefficients: expected name -> value"),
        ({"coefficients": ["nuNgamma_11"]}, "coefficients: expected name -> value"),
        ({"coefficients": {1: 1.0}}, "1 is no name of a coefficient, such as 'TnuNdRR_1122'"),
        ({"coefficients": {"nuNgamma_11": True}}, "True is not a number"),
        ({"coefficients": {"nuNgamma_11": np.zeros(2)}}, "is not a number"),
        ({"coefficients": {"TnuNdRR_1122": 1e308}}, "so large that what they lead to is not finite"),
        ({"coefficients": {"nugamma_11": 1.0}}, "coefficient 'nugamma_11' vanishes"),
        ({"scale_from": float("nan")}, "scale_from: nan GeV is outside the range"),
        ({"scale_to": "low"}, "scale_to: 'low' is not a scale in GeV"),
        ({"method": None}, "unknown method None"),
        ({"inputs": {"alpha_s_mz": 0.118}}, "inputs: expected StandardModelInputs, got dict"),
        ({"chiral": ChiralInputs(float("nan"), -3.6)}, "chiral: c_T: expected a finite number, got nan"),
        ({"rho_solar": np.eye(2)}, "rho_solar: expected a finite matrix (3, 3), got shape (2, 2)"),
        ({"rho_solar": np.full((3, 3), np.nan)}, "rho_solar: expected a finite matrix"),
    ],
)
def test_arguments_of_the_wrong_kind(arguments, message):
    with pytest.raises(UserInputError) as caught:
        evolve(**({"coefficients": {"nuNgamma_11": 1e-9}, "scale_from": 80.0} | arguments))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_docstring_example():
    failed, tried = doctest.testmod(nmmfit.evolution)
    assert (failed, tried > 0) == (0, True)
