"""Theory inputs of a run: electroweak ones with the basis of quark doublets, and charges of the nucleon."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import nmmfit
from nmmfit.errors import UserInputError
from nmmfit.inference.joint import JointLikelihood
from nmmfit.runfile import write_toml

Z, N = 55, 78
"""Of caesium 133."""


def joint(coefficients: dict[str, float], scale_gev: float, *experiments: str, **theory: Any) -> JointLikelihood:
    parameters = {"C": {"coefficients": coefficients, "prior": {"normal": [0.0, 1.0]}}}
    table = {"experiments": list(experiments), "scale_gev": scale_gev, "parameters": parameters, "theory": theory}
    return nmmfit.parse_run(write_toml(table)).joint(method="direct")


def moment(likelihood: JointLikelihood, size: float = 1e-9, **point: float) -> float:
    return float(likelihood.identified_values({"C": size} | point)["mu_eff_solar"])


def solar(coefficients: dict[str, float], **theory: Any) -> JointLikelihood:
    return joint(coefficients, 80.379, "borexino_phase2_limit", **theory)


def charge(likelihood: JointLikelihood, **point: float) -> float:
    """Z t_p + N t_n of caesium per unit of the coefficient."""
    found = likelihood.couplings_vector(likelihood.pack({"C": 1.0} | point))
    return float(np.real(Z * found.tensor_p[1, 1] + N * found.tensor_n[1, 1]))


def caesium(**theory: Any) -> JointLikelihood:
    """A tensor of nu_mu and up quarks at 2 GeV, which does not run."""
    return joint({"TnuNuRR_2211": 1.0}, 2.0, **theory)


def floated(likelihood: JointLikelihood) -> set[str]:
    return {p.name.removeprefix("theory.") for p in likelihood.of_kind("theory")} - {"c_T", "c_T_s"}


def test_weak_mixing_angle_projects_on_the_photon() -> None:
    """At m_W L_gamma = v / sqrt 2 c_W C_NB: the moment goes like cos(theta_W), and like sin(theta_W) from C_NW."""
    for name, ratio in (("NB_11", math.sqrt(0.75 / 0.79)), ("NW_11", math.sqrt(0.25 / 0.21))):
        fixed = [moment(solar({name: 1.0}, sin2_theta_w=s2)) for s2 in (0.25, 0.21)]
        assert fixed[0] / fixed[1] == pytest.approx(ratio, rel=1e-9)
    free = solar({"NB_11": 1.0}, sin2_theta_w={"normal": [0.23, 0.01]})
    ratio = moment(free, **{"theory.sin2_theta_w": 0.25}) / moment(free, **{"theory.sin2_theta_w": 0.21})
    assert ratio == pytest.approx(math.sqrt(0.75 / 0.79), rel=1e-9)


def test_basis_of_quark_doublets() -> None:
    """In the basis of up quarks Q_1 has V_us s_L in it: LNQd3 with Q_1 and s makes |V_us| = lambda of the moment with ss."""
    theory = {"c_T_s": -3.6, "c_T": -2.9, "wolfenstein_lambda": 0.3}
    down = moment(solar({"LNQd3_1122": 1.0}, **theory), 1e-6)
    up = moment(solar({"LNQd3_1112": 1.0}, quark_basis="up", **theory), 1e-6)
    # V_us = c_13 lambda, and |V_ub| is 0.009 here
    assert up / down == pytest.approx(0.3, rel=2e-4)


@pytest.mark.parametrize(
    ("theory", "expected"),
    [
        ({"sin2_theta_w": 0.23}, "theory.sin2_theta_w: nothing in this run lives above m_W"),
        ({"quark_basis": "up"}, "theory.quark_basis"),
    ],
)
def test_inputs_that_nothing_depends_on_are_refused(theory: dict[str, Any], expected: str) -> None:
    with pytest.raises(UserInputError, match=expected):
        solar({"nuNgamma_11": 1.0}, **theory)


def test_inputs_out_of_range_are_refused() -> None:
    with pytest.raises(UserInputError, match=r"sin2_theta_w = 0\.5 is out of range"):
        solar({"NB_11": 1.0}, sin2_theta_w=0.5)


def test_tensor_charge_of_a_nucleus_follows_the_charges() -> None:
    """Z delta_u + N delta_d per unit of the coefficient, as numbers and as floated inputs; neutrons by isospin."""
    assert charge(caesium()) == pytest.approx(Z * 0.784 - N * 0.204, rel=1e-6)
    assert charge(caesium(delta_u=0.5, delta_d=-0.1)) == pytest.approx(Z * 0.5 - N * 0.1, rel=1e-6)
    free = caesium(delta_u={"normal": [0.784, 0.03]}, delta_d={"normal": [-0.204, 0.015]})
    assert floated(free) == {"delta_u", "delta_d"}
    assert charge(free) == pytest.approx(Z * 0.784 - N * 0.204, rel=1e-6)
    point = {"theory.delta_u": 0.7, "theory.delta_d": -0.25}
    assert charge(free, **point) == pytest.approx(Z * 0.7 - N * 0.25, rel=1e-6)
    assert charge(caesium(nucleon_charges="seed", delta_d=0.0)) == pytest.approx(Z * 0.84, rel=1e-6)


def test_nonrelativistic_tensors_have_three_form_factors() -> None:
    """F_1 - 2 F_2 - 4 F_3 of u and d, with c_T and charges floated together: there are no products of two inputs."""
    free = caesium(tensor_coherence="nonrelativistic", nucleon_charges_float=True)
    assert floated(free) == {"delta_u", "delta_d", "f2_u", "f2_d", "f3_u", "f3_d"}
    point = {
        "theory.delta_u": 0.7,
        "theory.f2_u": -1.0,
        "theory.f3_u": 0.3,
        "theory.delta_d": -0.2,
        "theory.f2_d": 0.4,
        "theory.f3_d": -0.5,
    }
    proton, neutron = 0.7 + 2.0 - 1.2, -0.2 - 0.8 + 2.0
    for c_t in (-2.9, -1.0):
        assert charge(free, **point, **{"theory.c_T": c_t}) == pytest.approx(Z * proton + N * neutron, rel=1e-6)
    errors = {p.name.removeprefix("theory."): p.prior_sd for p in free.of_kind("theory")}
    assert (errors["delta_u"], errors["f2_u"], errors["f3_d"]) == pytest.approx((0.03, 1.0, 0.3), rel=1e-12)


def test_all_charges_that_matter_float() -> None:
    """Those of the operators at hand, with an uncertainty, and not given otherwise."""
    assert floated(caesium(nucleon_charges_float=True)) == {"delta_u", "delta_d"}
    assert floated(caesium(nucleon_charges_float=True, delta_u=0.8)) == {"delta_d"}
    assert floated(caesium(nucleon_charges_float=True, nucleon_charges="seed")) == set()
    strange = joint({"SnuNdRR_2222": 1.0}, 2.0, nucleon_charges_float=True)
    assert floated(strange) == {"g_s_s"}
    assert floated(solar({"nuNgamma_11": 1.0}, nucleon_charges_float=True)) == set()
