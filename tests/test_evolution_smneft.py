"""`evolve` from above m_W: thresholds, moments, and what it refuses."""

from __future__ import annotations

import itertools
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivative_checks import assert_derivatives

from nmmfit.eft.amplitudes import linear_map, quark_couplings
from nmmfit.eft.chiral import ChiralInputs
from nmmfit.eft.smneft_inputs import ElectroweakInputs, ckm_matrix
from nmmfit.errors import UserInputError
from nmmfit.evolution import MOMENTS, evolve
from nmmfit.inputs import StandardModelInputs
from nmmfit.physics.moments import effective_moment_squared_mub2

M_W = 80.379


def test_a_tensor_from_a_tev_to_2_gev():
    result = evolve({"LNQd3_1122": 1e-8}, 1000, 2)
    (threshold,) = result.thresholds
    assert (threshold.name, threshold.scale_gev) == ("m_W", M_W)
    assert {"LNQd3_1122", "LNQd_1122", "NB_11", "NW_11", "NH_11"} <= set(threshold.above)
    assert {"TnuNdRR_1122", "SnuNdRR_1122", "nuNgamma_11"} <= set(threshold.below)
    assert threshold.below["SnuNdRR_1122"] == threshold.above["LNQd_1122"]
    v, s2 = 246.2197, 0.23121
    dipole = v / np.sqrt(2) * (np.sqrt(1 - s2) * threshold.above["NB_11"] + np.sqrt(s2) * threshold.above["NW_11"])
    assert threshold.below["nuNgamma_11"] == pytest.approx(dipole, rel=1e-6)
    # What follows is what `evolve` does with the coefficients just below m_W.
    below = evolve(threshold.below, M_W, 2)
    assert result.coefficients == pytest.approx(below.coefficients)
    assert result.chiral == pytest.approx(below.chiral)
    assert result.loops == pytest.approx(below.loops)
    assert result.moments_mub == pytest.approx(below.moments_mub)
    assert result.scale_from_gev == 1000.0
    assert threshold.masses_ev["NH_11"] == pytest.approx(
        246.22**3 / (2 * np.sqrt(2)) * abs(threshold.above["NH_11"]) * 1e9, rel=1e-4
    )


def test_scales_at_and_above_m_w():
    at_2 = evolve({"NW_12": 1e-12}, 1000, 2)
    at_m_w = evolve({"NW_12": 1e-12}, 1000, M_W)
    assert at_m_w.coefficients == pytest.approx(at_m_w.thresholds[0].below)
    above = evolve({"NW_12": 1e-12}, 1000, 300)
    assert {"NW_12", "NB_12", "NH_12"} <= set(above.coefficients)
    on = evolve(above.coefficients, 300, 2)
    for other in (at_m_w, above, on):
        assert other.moments_mub == pytest.approx(at_2.moments_mub, rel=1e-9)
    matched = evolve({"NB_11": 1e-9}, M_W, M_W)
    assert set(matched.thresholds[0].above) == {"NB_11"}
    assert set(matched.coefficients) == {"nuNgamma_11"}
    assert matched.naturalness == {}


def test_what_has_no_operator_below_m_w():
    at_m_w = evolve({"LNuQ_1131": 1e-8}, M_W, 2)
    assert (at_m_w.coefficients, at_m_w.thresholds[0].below) == ({}, {})
    assert set(at_m_w.moments_mub.values()) == {0.0}
    assert set(at_m_w.thresholds[0].above) == {"LNuQ_1131"}


def test_a_top_quark_is_seen_from_above_m_w():
    """LNuQ with top quarks makes C_NH, and with y_t y_b scalars of b quarks, 6 - 2 = 4: leading logarithms, couplings at m_W."""
    (threshold,) = evolve({"LNuQ_1133": 1e-8}, 1000, 2).thresholds
    log = np.log(1000 / M_W) / (16 * np.pi**2)
    y_t, y_b, self_coupling = 0.98, 2.8 * np.sqrt(2) / 246.22, 125.1**2 / 2 / 246.22**2
    # lambda and y_t both fall towards high scales, y_t^3 by a third at 1 TeV: what is left of a leading logarithm is its size.
    assert threshold.above["NH_11"].real / 1e-8 == pytest.approx(12 * (y_t**3 - self_coupling * y_t) * log, rel=0.35)
    assert threshold.above["LNQd_1133"].real / 1e-8 == pytest.approx(-4 * y_t * y_b * log, rel=0.35)
    assert abs(threshold.below["SnuNdRR_1133"]) > 1e-13


def test_bottom_ends_at_its_threshold():
    result = evolve({"LNQd3_2233": 1e-8}, 1000, 2)
    assert "TnuNdRR_2233" in result.thresholds[0].below
    assert not any(name.endswith("33") and "Nd" in name for name in result.coefficients)
    assert abs(result.coefficients["nuNgamma_22"]) > 0.0


def test_basis_of_quarks():
    down = evolve({"LNQd3_1122": 1e-8}, 1000, 2)
    up = evolve({"LNQd3_1122": 1e-8}, 1000, 2, electroweak=ElectroweakInputs(quark_basis="up"))
    assert up.inputs["quark_basis"] == "up"
    # Q_2 = (c, V_cd d + V_cs s + V_cb b): less of the strange tensor, and some of its neighbours.
    ratio = up.coefficients["TnuNdRR_1122"] / down.coefficients["TnuNdRR_1122"]
    assert abs(ratio) == pytest.approx(0.9732, abs=1e-4)
    # In the down basis flavour changes by the top quark alone: y_t^2 / 2 V_td* V_ts ln(1 TeV / m_W) / 16 pi^2, 2e-6.
    changed = abs(down.coefficients["TnuNdRR_1112"] / down.coefficients["TnuNdRR_1122"])
    assert changed == pytest.approx(0.87**2 / 2 * 0.00854 * 0.0398 * np.log(1000 / M_W) / (16 * np.pi**2), rel=0.15)
    assert abs(up.coefficients["TnuNdRR_1112"] / up.coefficients["TnuNdRR_1122"]) == pytest.approx(0.2265 / 0.9732, rel=2e-3)


def test_json_and_rows():
    result = evolve({"NB_11": 1e-12 + 1e-12j}, 1000, 2, inputs=StandardModelInputs(alpha_s_mz=0.118))
    payload = json.loads(json.dumps(result.as_json()))
    (threshold,) = payload["thresholds"]
    assert set(threshold) == {"name", "scale_gev", "above", "below", "masses_ev"}
    assert threshold["above"]["NB_11"] == [result.thresholds[0].above["NB_11"].real, result.thresholds[0].above["NB_11"].imag]
    assert tuple(payload["moments_mub"]) == MOMENTS
    assert payload["inputs"]["sin2_theta_w"] == 0.23121
    assert payload["naturalness"]["NB"]["mass_per_moment_gev2"] == pytest.approx(90.8, rel=5e-3)
    assert payload["naturalness"]["NW"]["mass_per_moment_gev2"] == pytest.approx(768.0, rel=5e-3)
    units = {(part, unit) for part, _, _, unit in result.rows()}
    assert {("above_m_w", "GeV^-2"), ("below_m_w", "GeV^-1"), ("coefficient", "GeV^-1"), ("moment", "mu_B")} <= units
    below = evolve({"nuNgamma_11": 1e-12}, M_W, 2).as_json()
    assert (below["thresholds"], below["naturalness"]) == ([], {})


def test_the_linear_map_of_a_fit_is_that_of_evolve():
    given = {"LNQd3_1122": 1e-8j, "NB_11": 1e-12, "LNuQ_1111": 1e-9, "NH_22": 1e-9}
    couplings = quark_couplings(given, 1000, StandardModelInputs(), ChiralInputs())
    result = evolve(given, 1000, 2)
    assert complex(couplings.tensor_s[0, 0]) == pytest.approx(result.coefficients["TnuNdRR_1122"], rel=1e-12)
    assert complex(couplings.scalar_u[0, 0]) == pytest.approx(result.coefficients["SnuNuRL_1111"], rel=1e-12)
    assert 2 * abs(complex(couplings.dipole[0, 0])) / 296.3036 == pytest.approx(result.moments_mub["reactor_e"], rel=1e-5)
    assert np.all(np.asarray(couplings.dipole[1]) == 0.0)
    with pytest.raises(UserInputError, match="unknown method above m_W 'seed'"):
        linear_map(("NB_11",), 1000, StandardModelInputs(), "seed")
    alone = linear_map(("NH_11",), 1000, StandardModelInputs())
    assert not np.any(np.asarray(alone.constant.dipole))


@pytest.mark.parametrize(
    ("coefficients", "scales", "method", "message"),
    [
        ({"NB_11": 1.0, "nuNgamma_11": 1.0}, (1000, 2), "exact", "'NB_11' and 'nuNgamma_11' belong to different theories"),
        ({"NB_11": 1.0}, (100, 1000), "exact", "scale_to: 1000 GeV is above scale_from = 100 GeV"),
        ({"NB_11": 1.0}, (50, 2), "exact", "scale_from: 'NB_11' does not exist at 50 GeV, below m_W = 80.379 GeV"),
        ({"nuNgamma_11": 1.0}, (1000, 2), "exact", "scale_from: 1000 GeV is outside the range of 'nuNgamma_11'"),
        ({"NB_11": 1.0}, (1000, 2), "seed", "method 'seed': has no theory above m_W"),
        ({"NB_11": 1.0}, (1000, 2), "leading", "unknown method 'leading'"),
        ({"NB_11": 1.0}, (1000, 1), "exact", "scale_to: 1 GeV is outside"),
        ({"NB_11": 1.0}, (1e12, 2), "exact", "scale_from: 1e+12 GeV is outside the range of the theory above m_W"),
        ({"NB_11": 1.0}, ("high", 2), "exact", "scale_from: expected a number, got 'high'"),
        ({"NB_11": float("nan")}, (1000, 2), "exact", "coefficient 'NB_11': nan is not finite"),
        ({"NB_1": 1.0}, (1000, 2), "exact", "NB takes 2 flavour digits"),
        ({"LNQd2_1122": 1.0}, (1000, 2), "exact", "unknown operator 'LNQd2'; did you mean 'LNQd"),
        ({"NB_11": 1e308}, (1000, 2), "exact", "so large that what they lead to is not finite"),
        ({"NB_11": 1.0}, (float("inf"), 2), "exact", "scale_from: expected a finite number, got inf"),
        ({"NB_11": 1.0}, (1000, float("nan")), "exact", "scale_to: expected a finite number, got nan"),
        ({"NB_11": "1e-9"}, (1000, 2), "exact", "coefficient 'NB_11': '1e-9' is not a number"),
        ({"NB_11": 1.0, "nuNgamma_21": 1.0}, (M_W, 2), "exact", "belong to different theories"),
        ({"LHW_12": 1.0}, (1000, 2), "exact", "'LHW_12' violates lepton number and has no running above m_W"),
    ],
)
def test_refused(coefficients, scales, method, message):
    with pytest.raises(UserInputError, match=re.escape(message)) as caught:
        evolve(coefficients, *scales, method=method)
    assert "\n" not in str(caught.value)


def test_inputs_of_the_wrong_kind():
    with pytest.raises(UserInputError, match="electroweak: expected ElectroweakInputs, got dict"):
        evolve({"NB_11": 1.0}, 1000, electroweak={})
    with pytest.raises(UserInputError, match=r"electroweak: sin2_theta_w = 0\.5 is out of range"):
        evolve({"NB_11": 1.0}, 1000, electroweak=ElectroweakInputs(sin2_theta_w=0.5))
    with pytest.raises(UserInputError, match=r"electroweak: m_h_gev = 12\.5 is out of range \(allowed: between 100 and 150\)"):
        evolve({"NB_11": 1.0}, 1000, electroweak=ElectroweakInputs(m_h_gev=12.5))
    with pytest.raises(UserInputError, match="rho_solar: a density matrix is Hermitian, and this one is not"):
        evolve({"NB_11": 1.0}, 1000, rho_solar=np.eye(3) + np.eye(3, k=1))


@pytest.mark.parametrize("corner", list(itertools.product((-0.5, 0.5), (-2.0, 2.0), (-1.5, 1.5), (-1.5, 1.5))))
def test_no_input_makes_a_ckm_matrix_that_is_not_unitary(corner):
    names = ("wolfenstein_lambda", "wolfenstein_a", "wolfenstein_rhobar", "wolfenstein_etabar")
    v = np.asarray(ckm_matrix(ElectroweakInputs(**dict(zip(names, corner, strict=True)))))
    np.testing.assert_allclose(v @ v.conj().T, np.eye(3), atol=1e-14)


NAMES = ("LNQd3_1122", "LNuQ_1133", "LNLe_1221", "NW_12")


def test_derivatives_of_moments_with_respect_to_coefficients():
    """Squared moments of couplings at 2 GeV from 1 TeV, also where all coefficients vanish."""
    inputs, chiral = StandardModelInputs(), ChiralInputs()

    def squares(x):
        values = (x[:4] + 1j * x[4:]) * np.array([1e-8, 1e-8, 1e-8, 1e-10])
        dipole = quark_couplings(dict(zip(NAMES, values, strict=True)), 1000.0, inputs, chiral).dipole
        return effective_moment_squared_mub2(dipole, jnp.eye(3) / 3) * 1e22

    assert_derivatives(squares, np.zeros(8), np.linspace(-1, 1, 8), rtol=1e-6, atol=1e-6)


@pytest.mark.slow
def test_derivatives_of_couplings_with_respect_to_the_scale_and_inputs():
    """Scale, alpha_s, m_b and m_W relative to ordinary values; everything down to 2 GeV."""

    def couplings(x):
        inputs = StandardModelInputs(alpha_s_mz=0.1179 * x[1], m_b_gev=4.18 * x[2], m_w_gev=M_W * x[3])
        given = dict.fromkeys(NAMES[:2], 1e-8 + 0j)
        found = quark_couplings(given, 1000.0 * x[0], inputs, ChiralInputs())
        return jnp.stack([jnp.real(found.dipole[0, 0]) * 1e10, jnp.real(found.tensor_s[0, 0]) * 1e8])

    assert_derivatives(couplings, np.ones(4), np.array([10.0, 1.0, 1.0, 1.0]), rtol=1e-6, atol=1e-6)


def test_batches_by_vmap():
    """Coefficients and scales in a batch are what they are one by one."""
    inputs, chiral = StandardModelInputs(), ChiralInputs()

    def dipole(value, scale):
        return quark_couplings({"LNQd3_1122": value}, scale, inputs, chiral).dipole[0, 0]

    values, scales = jnp.array([1e-8, 2e-8j]), jnp.array([300.0, 1000.0])
    batch = jax.jit(jax.vmap(dipole))(values, scales)
    for one, value, scale in zip(batch, values, scales, strict=True):
        assert complex(one) == pytest.approx(complex(dipole(value, float(scale))), rel=1e-10)
