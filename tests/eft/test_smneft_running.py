"""Running above m_W against an adaptive integrator, against closed forms, and what must hold whatever the numbers."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from nmmfit.eft.qcd import alpha_s
from nmmfit.eft.running import MIXING, evolution
from nmmfit.eft.smneft import apply_smneft_evolution, smneft_to_lneft
from nmmfit.eft.smneft_inputs import ElectroweakInputs, vacuum_value_gev
from nmmfit.eft.smneft_operators import HIGHEST_SCALE_GEV, coefficient_names, parse
from nmmfit.eft.smneft_running import (
    NB,
    NW,
    SmCouplings,
    anomalous_dimension,
    check_scale,
    couplings_at_m_w,
    evolved_from,
    smneft_evolution,
)
from nmmfit.eft.theories import inverse_alpha, quark_mass
from nmmfit.errors import UserInputError
from nmmfit.inputs import StandardModelInputs

M_W = 80.379
LOOP = 16 * np.pi**2
INPUTS, ELECTROWEAK = StandardModelInputs(), ElectroweakInputs()
run = jax.jit(smneft_evolution)
START = jax.tree.map(np.asarray, couplings_at_m_w(INPUTS, ELECTROWEAK))
HYPERCHARGE = {"l": -0.5, "q": 1 / 6, "d": -1 / 3, "u": 2 / 3, "e": -1.0, "N": 0.0}


def beta(c, couplings):
    """16 pi^2 dC/dt by name, written out flavour by flavour from the published form of the equations; complex values."""
    g1, g2, g3 = couplings["gauge"]
    y_d, y_e = couplings["down"], couplings["lepton"]
    y = HYPERCHARGE
    out = {}
    for p, r in itertools.product("123", repeat=2):
        n_b, n_w, n_h = (c[f"{op}_{p}{r}"] for op in ("NB", "NW", "NH"))
        # hep-ph/0504134 and the generic form with c_F = 3/4, b_01 = -41/6, b_02 = 19/6.
        b = (-9 / 4 * g2**2 + (3 * y["l"] ** 2 + 41 / 6) * g1**2) * n_b + 9 * y["l"] * g1 * g2 * n_w
        w = ((9 / 4 - 19 / 6) * g2**2 - 3 * y["l"] ** 2 * g1**2) * n_w + 3 * y["l"] * g1 * g2 * n_b
        for k in range(3):
            tensor, lepton = c[f"LNQd3_{p}{r}{k + 1}{k + 1}"], c[f"LNLe_{k + 1}{r}{p}{k + 1}"] / 8
            b += -4 * g1 * (3 * (y["q"] + y["d"]) * y_d[k] * tensor + (y["l"] + y["e"]) * y_e[k] * lepton)
            w += 2 * g2 * (3 * y_d[k] * tensor + y_e[k] * lepton)
        out[f"NB_{p}{r}"], out[f"NW_{p}{r}"] = b, w
        h = -(9 * y["l"] ** 2 * g1**2 + 27 / 4 * g2**2) * n_h
        out[f"NH_{p}{r}"] = h + 3 * g1 * (g1**2 + g2**2) * n_b - 3 * g2 * (g1**2 + 3 * g2**2) * n_w
        for s, t in itertools.product("123", repeat=2):
            scalar, tensor = c[f"LNQd_{p}{r}{s}{t}"], c[f"LNQd3_{p}{r}{s}{t}"]
            a, x = y["q"] * y["d"], y["d"] ** 2 - y["q"] ** 2
            mixed = -24 * x * g1**2 + 18 * g2**2
            out[f"LNQd_{p}{r}{s}{t}"] = (-6 * a * g1**2 - 8 * g3**2) * scalar + mixed * tensor
            diagonal = 2 * (5 * a - 2 * y["q"] ** 2 - 2 * y["d"] ** 2) * g1**2 - 3 * g2**2 + 8 / 3 * g3**2
            source = -(y["q"] + y["d"]) * g1 * n_b + 3 / 2 * g2 * n_w
            source = source * y_d[int(s) - 1] if s == t else 0.0
            out[f"LNQd3_{p}{r}{s}{t}"] = diagonal * tensor + (-x / 2 * g1**2 + 3 / 8 * g2**2) * scalar + source
            out[f"LNuQ_{p}{r}{s}{t}"] = (-6 * y["q"] * y["u"] * g1**2 - 8 * g3**2) * c[f"LNuQ_{p}{r}{s}{t}"]
            e = (y["e"] ** 2 - 8 * y["e"] * y["l"] + 6 * y["l"] ** 2) * g1**2 - 3 / 2 * g2**2
            swapped = -(4 * y["l"] * (y["e"] + y["l"]) * g1**2 - 3 * g2**2) * c[f"LNLe_{s}{r}{p}{t}"]
            here = -(y["l"] + y["e"]) * g1 * n_b + 3 / 2 * g2 * n_w if s == t else 0.0
            there = -(y["l"] + y["e"]) * g1 * c[f"NB_{s}{r}"] + 3 / 2 * g2 * c[f"NW_{s}{r}"] if p == t else 0.0
            dipoles = y_e[int(t) - 1] * (8 * there - 4 * here)
            out[f"LNLe_{p}{r}{s}{t}"] = e * c[f"LNLe_{p}{r}{s}{t}"] + swapped + dipoles
    return out


def test_anomalous_dimension_is_the_published_one_for_every_flavour():
    rng = np.random.default_rng(0)
    couplings = {"gauge": np.array([0.36, 0.65, 1.2]), **{k: rng.uniform(0.1, 1.0, 3) for k in ("up", "down", "lepton")}}
    gamma = anomalous_dimension(SmCouplings(**couplings))
    values = {name: complex(*rng.normal(size=2)) for name in coefficient_names()}
    # A step so small that exp is linear: evolved_from reads any (3, 20, 20) matrix.
    from nmmfit.eft.smneft_running import SmneftEvolution

    matrix = np.asarray(gamma) * LOOP
    slope = dict.fromkeys(values, 0.0j)
    for name, value in values.items():
        for reached, factor in evolved_from(parse(name), SmneftEvolution(matrix, START)).items():
            slope[reached] += complex(factor) * value
    expected = beta(values, couplings)
    assert set(slope) == set(expected)
    for name in slope:
        np.testing.assert_allclose(slope[name], expected[name], rtol=1e-12, atol=1e-13, err_msg=name)


def _reference(scale):
    """All equations together by DOP853 at rtol 1e-12, Yukawas of the Standard Model included, from m_W up."""

    def slope(_, state):
        g, u, d, e = state[:3], state[3:6], state[6:9], state[9:12]
        trace = np.sum(3 * u**2 + 3 * d**2 + e**2)
        strong = 9 / 4 * g[1] ** 2 + 8 * g[2] ** 2
        d_u = u * (1.5 * (u**2 - d**2) + trace - 17 / 12 * g[0] ** 2 - strong)
        d_d = d * (1.5 * (d**2 - u**2) + trace - 5 / 12 * g[0] ** 2 - strong)
        d_e = e * (1.5 * e**2 + trace - 15 / 4 * g[0] ** 2 - 9 / 4 * g[1] ** 2)
        d_g = g**3 * np.array([41 / 6, -19 / 6, -7])
        gamma = np.asarray(anomalous_dimension(SmCouplings(g, u, d, e)))
        return np.concatenate([np.concatenate([d_g, d_u, d_d, d_e]) / LOOP, (gamma @ state[12:].reshape(3, 20, 20)).ravel()])

    identity = np.broadcast_to(np.eye(20), (3, 20, 20)).ravel()
    start = np.concatenate([START.gauge, START.up, START.down, START.lepton, identity])
    solution = solve_ivp(slope, (0, np.log(scale / M_W)), start, method="DOP853", rtol=1e-12, atol=1e-15)
    return solution.y[:12, -1], solution.y[12:, -1].reshape(3, 20, 20)


@pytest.mark.parametrize("scale", [300.0, 1e3, HIGHEST_SCALE_GEV])
def test_evolution_agrees_with_an_adaptive_integrator(scale):
    couplings, matrix = _reference(scale)
    evolved = run(M_W, scale, INPUTS, ELECTROWEAK)
    np.testing.assert_allclose(evolved.matrix, matrix, rtol=0.0, atol=1e-12)
    found = np.concatenate([getattr(evolved.couplings, k) for k in ("gauge", "up", "down", "lepton")])
    np.testing.assert_allclose(found, couplings, rtol=1e-12)


SCALES = st.floats(M_W, 1e5)


@settings(max_examples=15, deadline=None)
@given(SCALES, SCALES, SCALES)
def test_running_in_two_steps_is_running_in_one(a, b, c):
    first, second, whole = (run(x, y, INPUTS, ELECTROWEAK).matrix for x, y in ((a, b), (b, c), (a, c)))
    np.testing.assert_allclose(second @ first, whole, rtol=0.0, atol=1e-13)


@pytest.mark.parametrize("basis", ["down", "up"])
def test_up_and_down_is_the_identity(basis):
    electroweak = ElectroweakInputs(quark_basis=basis)
    start = {"NB_11": 1e-9, "LNQd3_1122": 1e-8j, "LNuQ_2113": 2e-8, "LNLe_1222": 1e-8, "LNLe_1211": -1e-8, "NH_21": 3e-9}
    there = apply_smneft_evolution(start, run(2e3, 90.0, INPUTS, electroweak), electroweak)
    back = apply_smneft_evolution(there, run(90.0, 2e3, INPUTS, electroweak), electroweak)
    for name, value in back.items():
        assert complex(value) == pytest.approx(start.get(name, 0.0), rel=1e-12, abs=1e-21)
    assert set(start) <= set(back)


def test_no_running_at_equal_scales():
    np.testing.assert_allclose(
        run(500.0, 500.0, INPUTS, ELECTROWEAK).matrix, np.broadcast_to(np.eye(20), (3, 20, 20)), atol=1e-15
    )


def test_gauge_block_of_bell_et_al():
    # hep-ph/0504134: with O_1 = g' O_NB, O_2 = g O_NW, i.e. C_NB = g' C_1 and C_NW = g C_2, the block is
    # (1 / 16 pi) ((3 (a_1 - 3 a_2), -18 a_2), (-6 a_1, -3 (a_1 - 3 a_2))), a = g^2 / 4 pi, up to their signs of operators.
    g1, g2 = START.gauge[:2]
    block = np.asarray(anomalous_dimension(START))[0][np.ix_([NB, NW], [NB, NW])]
    scale = np.array([g1, g2])
    running = np.diag([41 / 6 * g1**2, -19 / 6 * g2**2]) / LOOP
    rotated = block * scale[None, :] / scale[:, None] - running
    a_1, a_2 = g1**2 / (4 * np.pi), g2**2 / (4 * np.pi)
    bell = np.array([[3 * (a_1 - 3 * a_2), -18 * a_2], [-6 * a_1, -3 * (a_1 - 3 * a_2)]]) / (16 * np.pi)
    np.testing.assert_allclose(rotated, bell, rtol=1e-12)


def test_photon_projection_of_the_tensor_is_that_of_the_theory_below():
    # v / sqrt 2 (2 g' c_W + 6 g s_W) Y_d = 8 e m_d, and 8 e m_l for charged leptons with 1/8 from the Fierz identity.
    v = float(vacuum_value_gev(ELECTROWEAK))
    s = np.sqrt(0.23121)
    c = np.sqrt(1 - s**2)
    g1, g2 = START.gauge[:2]
    e = np.sqrt(4 * np.pi / float(inverse_alpha(M_W, INPUTS)))
    gamma = np.asarray(anomalous_dimension(START)) * LOOP
    for k, quark in enumerate(("d", "s", "b")):
        mass = float(quark_mass(quark, M_W, INPUTS))
        assert v / np.sqrt(2) * (2 * g1 * c + 6 * g2 * s) * START.down[k] == pytest.approx(8 * e * mass, rel=1e-13)
        found = v / np.sqrt(2) * (c * gamma[0, NB, 6 + k] + s * gamma[0, NW, 6 + k])
        assert found == pytest.approx(8 * e * mass, rel=1e-13)
    for k, mass in enumerate((0.51099895069e-3, 0.1056583755, 1.77686)):
        p = (k + 1) % 3
        found = v / np.sqrt(2) * (c * gamma[p, NB, 12 + k] + s * gamma[p, NW, 12 + k])
        assert 8 * found == pytest.approx(8 * e * mass, rel=1e-9)


@pytest.mark.parametrize(
    ("above", "below", "fermion", "weight"),
    [
        ("LNQd3_1111", "TnuNdRR_1111", "d", 1.0),
        ("LNQd3_2322", "TnuNdRR_2322", "s", 1.0),
        ("LNQd3_1133", "TnuNdRR_1133", "b", 1.0),
        ("LNLe_1111", "TnuNeRR_1111", "e", 0.125),
        ("LNLe_2112", "TnuNeRR_1122", "mu", 0.125),
        ("LNLe_3213", "TnuNeRR_1233", "tau", 0.125),
    ],
)
def test_leading_logarithm_is_continuous_at_m_w(above, below, fermion, weight):
    """The slope of the photon dipole just above m_W, from finite scales, equals that just below."""
    step = 1e-4
    dipole = "nuNgamma_" + below.split("_")[1][:2]

    def from_above(scale):
        return float(smneft_to_lneft({above: 1.0}, scale, INPUTS, ELECTROWEAK)[1][dipole].real) / np.log(scale / M_W)

    def from_below(scale):
        return float(evolution(M_W, scale, INPUTS).mixing[fermion]) / np.log(M_W / scale)

    up = 2 * from_above(M_W * np.exp(step)) - from_above(M_W * np.exp(2 * step))
    down = 2 * from_below(M_W * np.exp(-step)) - from_below(M_W * np.exp(-2 * step))
    assert up == pytest.approx(weight * down, rel=1e-6)
    e = np.sqrt(4 * np.pi / float(inverse_alpha(M_W, INPUTS)))
    mass = (
        float(quark_mass(fermion, M_W, INPUTS))
        if fermion in "dsb"
        else {"e": INPUTS.m_e_gev, "mu": INPUTS.m_mu_gev}.get(fermion, INPUTS.m_tau_gev)
    )
    assert down == pytest.approx(-MIXING[fermion] * e * mass, rel=1e-6)


def test_a_tensor_makes_a_scalar_of_an_eighth_of_its_size():
    scalar = float(evolved_from(parse("LNQd3_1122"), run(1e3, M_W, INPUTS, ELECTROWEAK))["LNQd_1122"])
    g2 = START.gauge[1]
    assert -scalar == pytest.approx(0.12, abs=0.005)
    # The leading logarithm, 18 g^2 ln(Lambda / m_W) / 16 pi^2, up to the running of everything.
    assert -scalar == pytest.approx(18 * g2**2 * np.log(1e3 / M_W) / LOOP, rel=0.1)


def test_couplings_at_m_w():
    assert START.gauge[2] ** 2 == pytest.approx(4 * np.pi * float(alpha_s(M_W, INPUTS)), rel=1e-13)
    e = np.sqrt(4 * np.pi / float(inverse_alpha(M_W, INPUTS)))
    assert START.gauge[0] * START.gauge[1] / np.hypot(START.gauge[0], START.gauge[1]) == pytest.approx(e, rel=1e-13)
    assert START.down[2] * 246.2197 / np.sqrt(2) == pytest.approx(float(quark_mass("b", M_W, INPUTS)), rel=1e-6)
    # y_t(m_t) near 0.94 from m_t(m_t) = 162.5 GeV and v; one-loop QCD raises it by 5 % down to m_W.
    assert START.up[2] == pytest.approx(162.5 * np.sqrt(2) / 246.22 * 1.052, rel=2e-3)


def _combination(x):
    """A sum of all kinds of outputs; x = scales, alpha_s, m_b, 1/alpha, sin^2, G_F, m_t relative to ordinary values."""
    inputs = StandardModelInputs(alpha_s_mz=0.1179 * x[2], m_b_gev=4.18 * x[3], inv_alpha_mz=127.952 * x[4])
    electroweak = ElectroweakInputs(sin2_theta_w=0.23121 * x[5], fermi_gev2=1.1663787e-5 * x[6], m_t_gev=162.5 * x[7])
    evolved = smneft_evolution(1e3 * x[0], 1e2 * x[1], inputs, electroweak)
    weights = jnp.asarray(np.random.default_rng(1).normal(size=(3, 20, 20)))
    return jnp.sum(weights * evolved.matrix) + jnp.sum(evolved.couplings.up)


def test_gradient():
    value, gradient = jax.jit(_combination), jax.jit(jax.grad(_combination))
    x, step = np.ones(8), 1e-4
    first = [(value(x - 2 * h) - 8 * value(x - h) + 8 * value(x + h) - value(x + 2 * h)) / (12 * step) for h in step * np.eye(8)]
    np.testing.assert_allclose(gradient(x), first, rtol=1e-7, atol=1e-8)


@pytest.mark.slow
def test_derivatives_to_second_order():
    gradient, hessian = jax.jit(jax.grad(_combination)), jax.jit(jax.hessian(_combination))
    value = jax.jit(_combination)
    for x in (np.ones(8), np.array([0.5, 5.0, *np.ones(6)])):
        step = 1e-4
        shifts = step * np.eye(8)
        first = [(value(x - 2 * h) - 8 * value(x - h) + 8 * value(x + h) - value(x + 2 * h)) / (12 * step) for h in shifts]
        second = [
            (gradient(x - 2 * h) - 8 * gradient(x - h) + 8 * gradient(x + h) - gradient(x + 2 * h)) / (12 * step) for h in shifts
        ]
        np.testing.assert_allclose(gradient(x), first, rtol=1e-7, atol=1e-8)
        np.testing.assert_allclose(hessian(x), second, rtol=1e-7, atol=1e-8)


def test_batched_evolution_is_the_single_one():
    scales = jnp.array([100.0, 1e3, 1e4])
    batched = jax.vmap(lambda x: smneft_evolution(x, M_W, INPUTS, ELECTROWEAK).matrix)(scales)
    for one, scale in zip(batched, scales, strict=True):
        np.testing.assert_allclose(one, run(scale, M_W, INPUTS, ELECTROWEAK).matrix, rtol=0.0, atol=1e-14)


@pytest.mark.parametrize("scale", [80.0, 2e10, float("nan"), "high"])
def test_scales_out_of_range(scale):
    with pytest.raises(UserInputError, match=r"scale_from: .* GeV") as caught:
        smneft_evolution(scale, M_W, INPUTS, ELECTROWEAK)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserInputError, match="where"):
        check_scale(scale, INPUTS, "where")
