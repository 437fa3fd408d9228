"""Running against an independent high-precision solution, and what must hold whatever the numbers."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmmfit.eft.operators import parse
from nmmfit.eft.qcd import REFERENCE_SCALE_GEV, alpha_s
from nmmfit.eft.running import apply_evolution, check_scale, diagonal_factor, evolution
from nmmfit.eft.theories import FERMIONS, inverse_alpha, quark_mass
from nmmfit.errors import UserInputError
from nmmfit.inputs import StandardModelInputs, check

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "rg_reference.json").read_text())["records"]
EDGES = json.loads((Path(__file__).parents[1] / "reference" / "rg_edges_reference.json").read_text())
CASES = [(r, p) for r in REFERENCE for p in r["pairs"]]
M_W = 80.379
SCALES = st.floats(2.0, M_W)


run = jax.jit(evolution)
"""Compiled once per set of orders; scales and inputs traced, so that the checks at the door are tested separately."""


def _inputs(record: dict) -> StandardModelInputs:
    return StandardModelInputs(**{k: record[k] for k in ("alpha_s_loops", "gamma_T_loops", "e_running")})


def _id(case: tuple) -> str:
    record, pair = case
    return f"{record['alpha_s_loops']}-{record['gamma_T_loops']}-{record['e_running']}-{pair['from']}-{pair['to']}"


@jax.jit
def _everything(start, end, inputs):
    evolved = evolution(start, end, inputs)
    got = {"alpha_s": alpha_s(end, inputs), "alpha": 1.0 / inverse_alpha(end, inputs), "dipole": evolved.dipole}
    got |= {f"T_{k}": evolved.tensor[k] for k in "ude"} | {f"S_{k}": evolved.scalar[k] for k in "ude"}
    got |= {f"m_{q}": quark_mass(q, end, inputs) for q in ("u", "d", "s", "c")}
    return got | {f"mix_{f}": evolved.mixing[f] for f in FERMIONS}


@pytest.mark.parametrize("case", CASES, ids=_id)
def test_evolution_agrees_with_high_precision_solution(case):
    record, pair = case
    tolerance = 1e-9 if record["alpha_s_loops"] == 1 else 1e-8
    got = _everything(float(pair["from"]), float(pair["to"]), _inputs(record))
    for name, value in got.items():
        np.testing.assert_allclose(value, float(pair[name]), rtol=tolerance, atol=0.0, err_msg=name)


def _factors(evolved):
    """Everything of an evolution that the references have, by their names."""
    found = {"dipole": evolved.dipole} | {f"mix_{f}": x for f, x in evolved.mixing.items()}
    return found | {f"T_{k}": x for k, x in evolved.tensor.items()} | {f"S_{k}": x for k, x in evolved.scalar.items()}


def test_edges_of_inputs_and_scales():
    cases = [(edge["inputs"], pair) for edge in EDGES["edges"] for pair in edge["pairs"]]
    scales = [np.array([float(pair[end]) for _, pair in cases]) for end in ("from", "to")]
    given = {name: np.array([inputs[name] for inputs, _ in cases]) for name in cases[0][0]}
    found = jax.vmap(lambda start, end, values: _factors(run(start, end, StandardModelInputs(**values))))(*scales, given)
    for name, value in found.items():
        np.testing.assert_allclose(value, [float(pair[name]) for _, pair in cases], rtol=2e-13, atol=0.0, err_msg=name)


def test_derivatives_in_alpha_s_against_30_digits():
    names = ("T_u", "S_d", "dipole", "mix_u", "mix_s", "mix_c", "mix_b", "mix_tau")

    def factors(alpha_s_mz):
        found = _factors(evolution(M_W, 2.0, StandardModelInputs(alpha_s_mz=alpha_s_mz)))
        return jnp.stack([found[name] for name in names])

    first = jax.jacfwd(factors)
    found = jax.jit(jax.vmap(lambda a: (first(a), jax.jacfwd(first)(a))))(jnp.array([0.13, 0.1179]))
    expected = np.array([EDGES["derivatives"][name] for name in names], dtype=float)
    np.testing.assert_allclose(found[0][1], expected[:, 0], rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(found[1][1], expected[:, 1], rtol=1e-8, atol=1e-12)


def test_one_loop_tensor_factor_is_a_power_of_the_coupling():
    inputs = StandardModelInputs(alpha_s_loops=1, gamma_T_loops=1, e_running="fixed")
    high, low, threshold = M_W, 10.0, 4.18
    evolved = run(high, low, inputs)
    ratio = float(alpha_s(high, inputs) / alpha_s(low, inputs))
    qed = np.exp(2.0 / 9.0 / (4 * np.pi * 137.035999177) * np.log(low / high))
    np.testing.assert_allclose(evolved.tensor["d"], ratio ** ((4 / 3) / (11 - 10 / 3)) * qed, rtol=1e-13)
    np.testing.assert_allclose(evolved.scalar["d"], ratio ** (-4.0 / (11 - 10 / 3)) * qed**-3, rtol=1e-13)
    assert threshold < low


@settings(max_examples=15, deadline=None)
@given(SCALES, SCALES, SCALES)
def test_running_in_two_steps_is_running_in_one(a, b, c):
    inputs = StandardModelInputs()
    first, second, whole = run(a, b, inputs), run(b, c, inputs), run(a, c, inputs)
    for f in FERMIONS:
        # A b quark that disappears on the way does not come back.
        if f == "b" and min(a, b, c) < 4.18:
            continue
        kind = {"u": "u", "c": "u", "d": "d", "s": "d", "b": "d"}.get(f, "e")
        together = second.dipole * first.mixing[f] + second.mixing[f] * first.tensor[kind]
        scale = abs(float(first.mixing[f])) + abs(float(second.mixing[f]))
        np.testing.assert_allclose(together, whole.mixing[f], rtol=0.0, atol=1e-12 * scale + 1e-30)
    np.testing.assert_allclose(first.dipole * second.dipole, whole.dipole, rtol=1e-13)
    for kind in "ude":
        np.testing.assert_allclose(first.tensor[kind] * second.tensor[kind], whole.tensor[kind], rtol=1e-13)
        np.testing.assert_allclose(first.scalar[kind] * second.scalar[kind], whole.scalar[kind], rtol=1e-13)


@pytest.mark.parametrize("scales", [(M_W, 2.0), (50.0, 5.0), (4.0, 2.5), (4.18, 80.0)])
def test_up_and_down_is_the_identity(scales):
    inputs = StandardModelInputs()
    start = {
        "nuNgamma_11": 3e-9 + 1e-9j,
        "TnuNdRR_1122": 1e-6,
        "SnuNuRR_1111": 2e-6j,
        "TnuNeRR_1122": -1e-6,
        "TnuNuRR_1122": 1e-6,
    }
    there = apply_evolution(start, run(*scales, inputs))
    back = apply_evolution(there, run(*reversed(scales), inputs))
    assert set(back) == set(start)
    for name, value in start.items():
        np.testing.assert_allclose(complex(back[name]), value, rtol=1e-12)


def test_no_running_at_equal_scales():
    evolved = run(17.0, 17.0, StandardModelInputs())
    assert float(evolved.dipole) == 1.0
    assert all(float(x) == 1.0 for x in (*evolved.tensor.values(), *evolved.scalar.values(), evolved.bottom))
    assert all(float(x) == 0.0 for x in evolved.mixing.values())


@settings(max_examples=15, deadline=None)
@given(SCALES, SCALES)
def test_dipole_over_charge_does_not_run(a, b):
    inputs = StandardModelInputs()
    charge_ratio = np.sqrt(float(inverse_alpha(a, inputs)) / float(inverse_alpha(b, inputs)))
    np.testing.assert_allclose(run(a, b, inputs).dipole, charge_ratio, rtol=1e-13)


def test_published_couplings():
    inputs = StandardModelInputs(alpha_s_mz=0.1180)
    # RunDec's figures at four loops, to the digits printed in the literature of these conventions.
    assert float(alpha_s(4.18, inputs, n_f=5)) == pytest.approx(0.22462, abs=5e-6)
    assert float(alpha_s(4.18, inputs, n_f=4) / alpha_s(4.18, inputs, n_f=5)) == pytest.approx(1.0010125, abs=5e-8)
    assert float(alpha_s(2.0, inputs)) == pytest.approx(0.3015, abs=5e-5)
    assert float(alpha_s(M_W, inputs)) == pytest.approx(0.12030, abs=5e-6)
    two_loops = StandardModelInputs(alpha_s_mz=0.1180, alpha_s_loops=2)
    assert float(alpha_s(2.0, two_loops)) == pytest.approx(0.2966, abs=5e-5)
    assert float(inverse_alpha(2.0, inputs)) == pytest.approx(133.30, abs=5e-3)


def test_leading_logarithm_of_the_mixing():
    # To first order in ln(mu_h / mu_l): -16 e m_u, +8 e m_d and +8 e m_l over 16 pi^2 per unit of ln mu (eq. (4.1)).
    inputs = StandardModelInputs()
    high, low = 30.0, 29.97
    evolved = run(high, low, inputs)
    middle = np.sqrt(high * low)
    e = np.sqrt(4 * np.pi / float(inverse_alpha(middle, inputs)))
    for f, strength in (("u", -16.0), ("c", -16.0), ("d", 8.0), ("s", 8.0), ("b", 8.0)):
        expected = strength * e * float(quark_mass(f, middle, inputs)) / (16 * np.pi**2) * np.log(low / high)
        np.testing.assert_allclose(evolved.mixing[f], expected, rtol=1e-3)
    for f, mass in (("e", 0.51099895e-3), ("mu", 0.1056583755), ("tau", 1.77686)):
        np.testing.assert_allclose(evolved.mixing[f], 8.0 * e * mass / (16 * np.pi**2) * np.log(low / high), rtol=1e-3)


def test_mass_reference_points():
    inputs = StandardModelInputs()
    for quark, scale, mass in (("u", 2.0, 2.16e-3), ("d", 2.0, 4.67e-3), ("s", 2.0, 0.093), ("b", 4.18, 4.18)):
        np.testing.assert_allclose(quark_mass(quark, scale, inputs), mass, rtol=1e-13)
    np.testing.assert_allclose(quark_mass("c", 1.27, inputs), 1.27, rtol=1e-13)
    assert float(quark_mass("b", 4.0, inputs)) == 0.0


def _combination(x, weights):
    """A sum of all kinds of outputs; x = (scale_from, scale_to, alpha_s, m_b, m_s, 1/alpha) relative to ordinary values."""
    inputs = StandardModelInputs(alpha_s_mz=0.1179 * x[2], m_b_gev=4.18 * x[3], m_s_gev=0.093 * x[4], inv_alpha_mz=127.952 * x[5])
    evolved = evolution(10.0 * x[0], 10.0 * x[1], inputs)
    outputs = [evolved.dipole, evolved.tensor["u"], evolved.scalar["d"], 1e3 * evolved.mixing["s"], 10 * evolved.mixing["c"]]
    return jnp.dot(jnp.stack(outputs), weights)


_gradient = jax.jit(jax.grad(_combination))
_hessian = jax.jit(jax.hessian(_combination))


@pytest.mark.parametrize("scales", [(60.0, 2.3), (3.0, 2.5), (8.0, 5.0), (2.2, 30.0)])
def test_derivatives_to_second_order(scales):
    x = np.array([scales[0] / 10, scales[1] / 10, 1.0, 1.0, 1.0, 1.0])
    weights = np.array([1.0, -0.7, 0.4, 0.3, -0.2])
    value = jax.jit(_combination)
    steps = 1e-5 * np.eye(6)
    first = np.array([(value(x + h, weights) - value(x - h, weights)) / 2e-5 for h in steps])
    second = np.array([(_gradient(x + h, weights) - _gradient(x - h, weights)) / 2e-5 for h in steps])
    np.testing.assert_allclose(_gradient(x, weights), first, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(_hessian(x, weights), second, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("scales", [(4.18, 2.0), (80.379, 4.18), (2.0, 2.0), (4.18, 4.18)])
def test_derivatives_are_finite_at_the_threshold_and_at_equal_scales(scales):
    x = np.array([scales[0] / 10, scales[1] / 10, 1.0, 1.0, 1.0, 1.0])
    assert np.all(np.isfinite(_hessian(x, np.ones(5))))


def test_bottom_operators_end_at_their_threshold():
    evolved = run(M_W, 2.0, StandardModelInputs())
    to_threshold = run(M_W, 4.18, StandardModelInputs())
    below = run(4.18, 2.0, StandardModelInputs())
    assert float(diagonal_factor(parse("TnuNdRR_1133"), evolved)) == 0.0
    assert float(diagonal_factor(parse("SnuNdRR_1123"), evolved)) == 0.0
    assert float(diagonal_factor(parse("TnuNdRR_1122"), evolved)) > 0.0
    np.testing.assert_allclose(evolved.mixing["b"], to_threshold.mixing["b"] * below.dipole, rtol=1e-13)
    assert float(run(3.0, 50.0, StandardModelInputs()).mixing["b"]) == 0.0


def test_off_diagonal_tensors_do_not_mix():
    out = apply_evolution({"TnuNdRR_1112": 1e-6, "TnuuLL_2111": 1e-6}, run(M_W, 2.0, StandardModelInputs()))
    assert set(out) == {"TnuNdRR_1112", "TnuuLL_1211", "nugamma_12"}
    assert complex(out["TnuuLL_1211"]).real < 0.0


@pytest.mark.parametrize("scale", [1.999, 80.38, 0.0, -5.0, float("nan"), float("inf"), "two"])
def test_scales_out_of_range(scale):
    with pytest.raises(UserInputError, match=r"scale_from: .* GeV") as caught:
        evolution(scale, 2.0, StandardModelInputs())
    assert "\n" not in str(caught.value)
    with pytest.raises(UserInputError, match="where"):
        check_scale(scale, StandardModelInputs(), "where")


@pytest.mark.parametrize(
    "values",
    [
        {"alpha_s_mz": 0.5}, {"m_s_gev": -0.1}, {"m_b_gev": float("nan")}, {"alpha_s_loops": 5}, {"alpha_s_loops": True},
        {"gamma_T_loops": 4}, {"e_running": "two_loop"}, {"m_u_gev": "heavy"},
    ],
)  # fmt: skip
def test_inputs_out_of_range(values):
    (name,) = values
    with pytest.raises(UserInputError, match=f"theory: {name}"):
        check(StandardModelInputs(**values))


def test_unknown_input_names_the_nearest():
    with pytest.raises(UserInputError, match="did you mean 'alpha_s_mz'"):
        StandardModelInputs.from_mapping({"alpha_s_mZ": 0.118})


def test_running_ends_where_matching_begins():
    assert REFERENCE_SCALE_GEV == 2.0
