"""Models and phases in run files: what coefficients and moments they make, and the samplers' view of their parameters."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp

import nmmfit
from likelihoods.borexino_phase2_limit import solar_density
from nmmfit.inference.coordinates import amplitude_coordinates
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.model_map import _Table
from nmmfit.inference.parameters import Winding
from nmmfit.inference.symmetries import sign_symmetries
from nmmfit.runfile import write_toml

E_0, ALPHA_0, M_E, M_TAU, M_W = 0.302822, 1.0 / 137.035999, 0.51099895e-3, 1.77686, 80.379
MU_B = E_0 / (2.0 * M_E)
UNIT = 1e-11


def joint(model: Mapping[str, Any] | None = None, **keys: Any) -> JointLikelihood:
    table: dict[str, Any] = {"experiments": ["borexino_phase2_limit"], **keys}
    if model is not None:
        table["model"] = dict(model)
    return built(write_toml(table))


@functools.cache
def built(text: str) -> JointLikelihood:
    return nmmfit.parse_run(text).joint(method="direct")


def charged(**changes: Any) -> JointLikelihood:
    parameters = {"y_c": {"normal": [0.0, 1.0]}, "y_s": 0.5, "m_phi_gev": {"log_uniform": [90.0, 2000.0]}}
    scale = {"scale_gev": changes.pop("scale_gev")} if "scale_gev" in changes else {}
    return joint({"name": "charged_scalar", **scale, "parameters": parameters | changes})


def leptoquark(name: str = "leptoquark_s1", **changes: Any) -> JointLikelihood:
    parameters = {
        "y_left_31": {"normal": [0.0, 1.0]},
        "y_right_31": {"normal": [0.0, 1.0]},
        "mass_gev": {"uniform": [M_W, 5000.0]},
    }
    return joint({"name": name, "parameters": parameters | changes})


def moment(likelihood: JointLikelihood, **point: float) -> float:
    return float(likelihood.identified_values(point)["mu_eff_solar"])


def coefficients(likelihood: JointLikelihood, **point: float) -> np.ndarray:
    """Values of the slots of the model."""
    return np.asarray(likelihood.coefficients(likelihood.pack(point)))[likelihood.n_coefficients :]


def seen(entry: int) -> float:
    """Share of a squared moment of one flavour that the Sun sees."""
    return float(np.real(solar_density()[entry, entry]))


def test_charged_scalar_has_the_moment_of_its_loop() -> None:
    """e m y_c y_s / (16 pi^2 M^2) |1 + ln(m^2 / M^2)| (docs/theory/models.md); electromagnetic running is left: 2 %."""
    found = charged()
    for mass, y_c in ((150.0, 0.2), (500.0, 1.0), (1900.0, -0.7)):
        loop = E_0 * M_TAU * abs(y_c) * 0.5 / (16.0 * math.pi**2 * mass**2) * abs(1.0 + math.log(M_TAU**2 / mass**2))
        expected = loop / MU_B / UNIT * math.sqrt(seen(0))
        assert moment(found, y_c=y_c, m_phi_gev=mass) == pytest.approx(expected, rel=0.02)


def test_moment_of_the_charged_scalar_does_not_depend_on_the_scale_of_matching() -> None:
    """The logarithm is in the threshold above the scale and in the running below it: once, up to electromagnetic running."""
    values = [moment(charged(scale_gev=scale), y_c=1.0, m_phi_gev=150.0) for scale in (3.0, 20.0, M_W)]
    whole = math.log(150.0**2 / M_TAU**2)
    assert math.log((M_W / 3.0) ** 2) > 0.6 * whole
    assert values == pytest.approx([values[-1]] * 3, rel=0.015)


def test_a_charged_scalar_below_m_w_needs_a_lower_scale() -> None:
    found = charged(scale_gev=10.0, m_phi_gev={"log_uniform": [10.0, 100.0]})
    loop = E_0 * M_TAU * 0.5 / (16.0 * math.pi**2 * 400.0) * abs(1.0 + math.log(M_TAU**2 / 400.0))
    assert moment(found, y_c=1.0, m_phi_gev=20.0) == pytest.approx(loop / MU_B / UNIT * math.sqrt(seen(0)), rel=0.02)


def test_left_right_mixing_is_shrocks_moment() -> None:
    """mu = e G_F m sin(2 xi) (1 - m_1^2 / m_2^2) / (2 sqrt(2) pi^2); the tau's is that of nu_tau."""
    found = joint({"name": "left_right", "parameters": {"mixing": {"normal": [0.0, 0.01]}, "m_w2_gev": 2000.0}})
    size = 1.1663787e-5 * M_TAU * math.sin(0.02) * (1.0 - (M_W / 2000.0) ** 2) / (2.0 * math.sqrt(2.0) * math.pi**2)
    expected = E_0 * size / MU_B / UNIT * math.sqrt(seen(2))
    assert moment(found, mixing=0.01) == pytest.approx(expected, rel=0.01)


def test_leptoquark_at_m_w_is_its_tree_level_exchange_and_threshold() -> None:
    """y y / 2 M^2 and -y y / 8 M^2, and the loop without a logarithm, -e N_c Q m L^T / (4 pi^2), at M = m_W: nothing runs."""
    found = leptoquark()
    slots = coefficients(found, y_left_31=1.0, y_right_31=1.0, mass_gev=M_W)
    product = 1.0 / M_W**2
    # m_b(m_W) = 2.86 GeV (3-loop running, RunDec: 2.86 at m_Z to 1 %), e^2 = 4 pi / 128.1
    dipole = -math.sqrt(4.0 * math.pi / 128.1) * 3.0 * (-1.0 / 3.0) * 2.88 * (-product / 8.0) / (4.0 * math.pi**2)
    for expected, accuracy in ((product / 2.0, 1e-9), (-product / 8.0, 1e-9), (dipole, 0.02)):
        assert np.min(np.abs(slots / expected - 1.0)) < accuracy


@pytest.mark.parametrize("name", ["leptoquark_s1", "leptoquark_r2_tilde"])
def test_the_logarithm_of_a_leptoquark_is_counted_once(name: str) -> None:
    """d(M^2 L_gamma)/d ln M at M = m_W is -e N_c Q m L^T M^2 / (4 pi^2) times -2, the one-loop logarithm of the tensor.

    Running has it, the threshold at the mass has not; with the threshold at m_W and the running it would be twice as much.
    """
    found = leptoquark(name)
    steps = (M_W, M_W * 1.01)
    slots = [coefficients(found, y_left_31=1.0, y_right_31=1.0, mass_gev=m) * m**2 for m in steps]
    slope = (slots[1] - slots[0]) / math.log(1.01)
    # e N_c |Q| m_b |y y / 8| / (4 pi^2) at m_W, as in the test above
    threshold = math.sqrt(4.0 * math.pi / 128.1) * 2.88 / 8.0 / (4.0 * math.pi**2)
    (dipole,) = np.flatnonzero(np.abs(np.abs(slots[0]) / threshold - 1.0) < 0.02)
    assert slope[dipole] == pytest.approx(-2.0 * slots[0][dipole], rel=0.03)


def test_leptoquark_runs_as_its_equations_say() -> None:
    """Scalar and tensor at m_W from 3 TeV, with gauge terms and the top quark's wave function of Q_3, by scipy.

    y_t = 0.983 from m_t(m_t) = 162.5 GeV; what is left out has the Yukawa coupling of the b quark squared, 3e-4.
    """
    alpha_s, inv_alpha, sin2 = 0.1202, 128.1, 0.23121
    e2 = 4.0 * math.pi / inv_alpha
    start = np.array([math.sqrt(e2 / (1.0 - sin2)), math.sqrt(e2 / sin2), math.sqrt(4.0 * math.pi * alpha_s)])
    slopes = np.array([41.0 / 6.0, -19.0 / 6.0, -7.0])

    def squares(t: float) -> np.ndarray:
        return start**2 / (1.0 - 2.0 * slopes * start**2 * t / (16.0 * math.pi**2))

    def top(t: float, y: np.ndarray) -> np.ndarray:
        g1, g2, g3 = squares(t)
        return y * (4.5 * y**2 - 17.0 / 12.0 * g1 - 2.25 * g2 - 8.0 * g3) / (16.0 * math.pi**2)

    log_mass = math.log(3000.0 / M_W)
    y_t = solve_ivp(top, (0.0, log_mass), [0.983], rtol=1e-10, atol=0.0, dense_output=True).sol

    def right(t: float, c: np.ndarray) -> np.ndarray:
        g1, g2, g3 = squares(t)
        wave = 0.5 * float(y_t(t)[0]) ** 2
        matrix = [
            [g1 / 3.0 - 8.0 * g3 + wave, -2.0 * g1 + 18.0 * g2],
            [-g1 / 24.0 + 3.0 * g2 / 8.0, -10.0 * g1 / 9.0 - 3.0 * g2 + 8.0 * g3 / 3.0 + wave],
        ]
        return np.asarray(matrix) @ c / (16.0 * math.pi**2)

    mass = 3000.0
    at_mass = np.array([0.5, -0.125]) / mass**2
    solved = solve_ivp(right, (log_mass, 0.0), at_mass, rtol=1e-10, atol=0.0).y[:, -1]
    slots = coefficients(leptoquark(), y_left_31=1.0, y_right_31=1.0, mass_gev=mass)
    for expected in solved:
        assert np.min(np.abs(slots / expected - 1.0)) < 2e-3


@pytest.mark.slow
def test_tabulated_running_is_that_at_floating_inputs() -> None:
    """With an input of the running floated the factors are made anew at every point; at its nominal value they are the same."""
    table = leptoquark()
    anew = joint(
        {
            "name": "leptoquark_s1",
            "parameters": {
                "y_left_31": {"normal": [0.0, 1.0]},
                "y_right_31": {"normal": [0.0, 1.0]},
                "mass_gev": {"uniform": [M_W, 5000.0]},
            },
        },
        theory={"alpha_s_mz": {"normal": [0.1179, 0.001]}},
    )
    for mass in (85.0, 1234.5, 4990.0):
        point = {"y_left_31": 0.3, "y_right_31": -0.8, "mass_gev": mass}
        assert coefficients(table, **point) == pytest.approx(coefficients(anew, **point), rel=1e-8, abs=1e-22)


def test_a_table_that_is_too_coarse_is_refused() -> None:
    with pytest.raises(nmmfit.NmmfitError, match="cannot be tabulated"):
        _Table(lambda m: jnp.sin(1000.0 * jnp.log(m)), (100.0, 1e6), "none of this name")


@pytest.mark.slow
def test_couplings_of_other_generations_reach_other_final_states() -> None:
    """y_right_32 leads to N_2 only, whose rates add: the signs of the two columns are free separately."""
    found = leptoquark(y_right_32={"normal": [0.0, 1.0]})
    assert [set(s.names) for s in sign_symmetries(found)] == [{"y_left_31"}, {"y_right_31"}, {"y_right_32"}]
    one, two = (moment(found, y_left_31=1.0, mass_gev=1000.0, **{k: 1.0}) for k in ("y_right_31", "y_right_32"))
    both = moment(found, y_left_31=1.0, y_right_31=1.0, y_right_32=1.0, mass_gev=1000.0)
    assert both**2 == pytest.approx(one**2 + two**2, rel=1e-12)


def test_signs_of_models_are_derived_from_likelihood_and_prior() -> None:
    """Every symmetry leaves the likelihood alone; one that a prior, or something that interferes, breaks is not there."""
    found = charged(y_s={"normal": [0.0, 1.0]})
    assert [set(s.names) for s in sign_symmetries(found)] == [{"y_c"}, {"y_s"}]
    assert sign_symmetries(charged(y_c={"normal": [0.1, 1.0]})) == ()
    dipole = {"coefficients": {"nuNgamma_11": 1.0}, "prior": {"normal": [0.0, 1e-8]}}
    model = {"name": "charged_scalar", "parameters": {"y_c": {"normal": [0.0, 1.0]}, "y_s": 0.5, "m_phi_gev": 300.0}}
    both = joint(model, parameters={"L": dipole})
    # Reversing one of the two changes their interference, reversing both does not.
    assert [set(s.names) for s in sign_symmetries(both)] == [{"L", "y_c"}]
    assert moment(both, L=1e-9, y_c=0.1) == pytest.approx(moment(both, L=-1e-9, y_c=-0.1), rel=1e-12)
    assert abs(moment(both, L=1e-9, y_c=0.1) / moment(both, L=-1e-9, y_c=0.1) - 1.0) > 0.1
    assert sign_symmetries(joint(model, parameters={"L": dipole | {"prior": 1e-9}})) == ()
    elsewhere = joint(model, parameters={"L": {"coefficients": {"nuNgamma_12": 1.0}, "prior": {"normal": [0.0, 1e-8]}}})
    assert sorted(map(str, sign_symmetries(elsewhere))) == ["(L) -> -(L)", "(y_c) -> -(y_c)"]


def test_a_phase_turns_interference_as_a_cosine() -> None:
    """|d + t e^{i phi}|^2 = d^2 + t^2 + 2 d t cos(phi): the law of cosines, d and t measured alone."""
    universal = {f"nuNgamma_{k}{k}": 1.0 for k in (1, 2, 3)}
    tensor = {f"TnuNdRR_{k}{k}11": 1.0 for k in (1, 2, 3)}
    found = joint(
        parameters={
            "d": {"coefficients": universal, "prior": {"normal": [0.0, 1e-8]}},
            "t": {"coefficients": tensor, "prior": {"half_normal": 1e-6}, "phase": "free"},
        },
        scale_gev=2.0,
    )
    d, t = 2e-9, 5e-7
    alone = moment(found, d=d, t=0.0), moment(found, t=t)
    sign = -1.0 if moment(found, d=d, t=t, t_phase=0.0) < alone[0] else 1.0
    for angle in (0.0, 0.4, 1.3, math.pi / 2.0, 2.5, 4.0, 6.0):
        expected = alone[0] ** 2 + alone[1] ** 2 + 2.0 * sign * alone[0] * alone[1] * math.cos(angle)
        assert moment(found, d=d, t=t, t_phase=angle) ** 2 == pytest.approx(expected, rel=1e-9)
    # c_T F_pi / 4 pi = -2.9 x 92.3 MeV / 4 pi, times 2 e Q with e at 2 GeV, as chiral matching has it: t is that much of a
    # dipole.
    assert alone[1] / alone[0] == pytest.approx(
        2.9 * 0.0923 / (4.0 * math.pi) * 2.0 / 3.0 * math.sqrt(4 * math.pi / 133.30) * t / d, rel=2e-3
    )


def test_magnetic_and_electric_moments_add_in_squares() -> None:
    """m + i eps of one entry: sqrt(m^2 + eps^2)."""
    specs = {
        n: {"coefficients": {"nuNgamma_11": a}, "prior": {"normal": [0.0, 1e-8]}} for n, a in (("m", 1.0), ("eps", [0.0, 1.0]))
    }
    found = joint(parameters=specs)
    assert moment(found, m=3e-9, eps=4e-9) == pytest.approx(5.0 * moment(found, m=1e-9), rel=1e-12)


def test_a_fixed_phase_turns_the_amounts() -> None:
    spec = {"coefficients": {"nuNgamma_11": 1.0}, "prior": {"normal": [0.0, 1e-8]}}
    other = {"coefficients": {"nuNgamma_11": 1.0}, "prior": {"normal": [0.0, 1e-8]}}
    found = joint(parameters={"a": spec, "b": other | {"phase": 1.1}})
    assert found.names[:2] == ("a", "b")
    expected = math.hypot(1.0 + math.cos(1.1), math.sin(1.1)) * moment(found, a=1e-9)
    assert moment(found, a=1e-9, b=1e-9) == pytest.approx(expected, rel=1e-12)


def test_the_phase_of_a_model_is_that_of_its_product() -> None:
    model = {"name": "charged_scalar", "parameters": {"y_c": 0.1, "y_s": 0.5, "m_phi_gev": 300.0, "phase": "free"}}
    found = joint(model, parameters={"L": {"coefficients": {"nuNgamma_11": 1.0}, "prior": {"normal": [0.0, 1e-8]}}})
    a, b = moment(found, L=2e-9), moment(found)
    with_dipole = [moment(found, L=2e-9, phase=angle) ** 2 for angle in (0.0, 0.5 * math.pi, math.pi)]
    # L = 0 leaves the model alone, whatever its phase; a holds both.
    assert moment(found, phase=1.0) == pytest.approx(b, rel=1e-12)
    assert with_dipole[1] == pytest.approx(0.5 * (with_dipole[0] + with_dipole[2]), rel=1e-12)
    assert a > 0.0


def test_moments_between_mass_states_are_turned_by_the_mixing_matrix() -> None:
    """Dirac, one entry mu~_11: the incoherent Sun sees P_e1 of its square; explicit sum over the eigenstates of rho."""
    found = joint({"name": "dipole_matrix", "parameters": {"mu_11": {"normal": [0.0, 1e-11]}, "mu_22": {"normal": [0.0, 1e-11]}}})
    values, _vectors = np.linalg.eigh(solar_density())
    # rho = sum_k P_k |nu_k><nu_k|: its eigenvalues are P_e3 < P_e2 < P_e1.
    assert moment(found, mu_11=1e-11) == pytest.approx(math.sqrt(values[2]), rel=1e-4)
    assert moment(found, mu_22=1e-11) == pytest.approx(math.sqrt(values[1]), rel=1e-4)
    assert moment(found, mu_11=1e-11, mu_22=2e-11) ** 2 == pytest.approx(values[2] + 4.0 * values[1], rel=1e-4)
    assert sorted(map(str, sign_symmetries(found))) == ["(mu_11) -> -(mu_11)", "(mu_22) -> -(mu_22)"]  # U_R does not matter


def test_majorana_moments_between_mass_states() -> None:
    """|Lambda|^2 - sum_k P_k |Lambda_k|^2 with Lambda = (mu_23, mu_31, mu_12): no phase enters the solar moment."""
    parameters = {"mu_12": {"normal": [0.0, 1e-11]}, "mu_13": 1e-11, "mu_23": 2e-11, "alpha1": "free", "mu_13_phase": "free"}
    found = joint({"name": "dipole_matrix", "kind": "majorana", "parameters": parameters})
    p3, p2, p1 = np.linalg.eigvalsh(solar_density())
    for alpha, phase in ((0.0, 0.0), (2.0, 1.0), (11.0, 5.0)):
        expected = 9.0 + 4.0 + 1.0 - (p1 * 4.0 + p2 * 1.0 + p3 * 9.0)
        assert moment(found, mu_12=3e-11, alpha1=alpha, mu_13_phase=phase) ** 2 == pytest.approx(expected, rel=1e-4)
    assert dict(zip(found.names, (p.period for p in found.parameters), strict=True))["alpha1"] == pytest.approx(4.0 * math.pi)


def test_moments_between_flavours() -> None:
    found = joint({"name": "dipole_matrix", "basis": "flavour", "parameters": {"mu_21": {"normal": [0.0, 1e-11]}}})
    assert moment(found, mu_21=1e-11) == pytest.approx(math.sqrt(seen(1)), rel=1e-4)


def test_a_wound_phase_is_uniform_on_its_circle() -> None:
    """The densities of all windings add up to one over the period; far out they fall like a normal's tail, without rounding."""
    winding = Winding(1.0, 3.0)

    def density(z: float) -> float:
        return math.exp(float(winding.log_abs_det_jacobian(jnp.asarray(z), jnp.asarray(0.0)))) / 3.0

    for z in (0.0, 0.1, 0.5, 0.77):
        assert sum(density(z + k) for k in range(-12, 13)) == pytest.approx(1.0, rel=1e-12)
    assert quad(density, -12.0, 12.0, epsabs=1e-12)[0] == pytest.approx(1.0, rel=1e-9)
    for x in (1.0, 1.5, 3.999):
        assert float(winding(winding.inv(jnp.asarray(x)))) == pytest.approx(x, rel=1e-14)
    slope = jax.grad(lambda z: winding.log_abs_det_jacobian(z, jnp.asarray(0.0)))
    for z in (0.5, 0.3, 9.0, -30.0):
        assert np.isfinite(float(slope(z)))
        assert np.isfinite(float(jax.grad(slope)(z)))
    # -ln(normal(0 | 1)) curvature at the middle of a box as wide as the normal: (phi'(0.5) - phi'(-0.5)) / mass
    pdf, mass = math.exp(-0.125) / math.sqrt(2.0 * math.pi), math.erf(0.5 / math.sqrt(2.0))
    assert float(jax.grad(slope)(0.5)) == pytest.approx(-pdf / mass, rel=1e-12)


@pytest.mark.parametrize("which", ["model", "phase", "both"])
@pytest.mark.slow
def test_coordinates_are_a_bijection_with_their_determinant(which: str) -> None:
    """z -> x -> z, and log |dx/dz| against the determinant of a Jacobian; the density of a wound phase is its own test."""
    model = {"name": "leptoquark_s1", "parameters": {"y_left_31": {"normal": [0.0, 1.0]}, "y_right_31": {"normal": [0.0, 1.0]}}}
    model["parameters"] |= {"mass_gev": {"log_uniform": [500.0, 2000.0]}}
    dipole = {"coefficients": {"nuNgamma_11": 1.0}, "prior": {"normal": [0.0, 1e-8]}}
    turned = {"coefficients": {"TnuNdRR_1111": 1.0}, "prior": {"half_normal": 1e-6}, "phase": {"uniform": [0.0, 2.0]}}
    parameters = {"model": {}, "phase": {"L": dipole, "t": turned}, "both": {"L": dipole, "t": turned}}[which]
    found = joint(model if which != "phase" else None, parameters=parameters)
    coordinates = amplitude_coordinates(found)
    assert (len(coordinates.couplings), len(coordinates.factors)) == ((0, 0) if which == "phase" else (1, 1))
    z = jnp.asarray(np.random.default_rng(3).normal(size=len(found.names)) * 0.7)
    x, log_det = coordinates.to_parameters(z)
    assert np.asarray(coordinates.from_parameters(x)) == pytest.approx(np.asarray(z), rel=1e-7, abs=1e-7)
    jacobian = jax.jacfwd(lambda y: coordinates.to_parameters(y)[0])(z)
    assert float(log_det) == pytest.approx(float(np.linalg.slogdet(np.asarray(jacobian))[1]), rel=1e-9)


def test_fingerprints_tell_models_apart() -> None:
    prints = {
        charged().fingerprint,
        charged(y_s=0.6).fingerprint,
        charged(scale_gev=20.0).fingerprint,
        charged(phase=0.1).fingerprint,
    }
    assert len(prints) == 4
    assert None not in prints


def test_the_standard_model_is_where_the_switches_are_off() -> None:
    found = charged()
    assert found.switches == ("y_c",)
    assert moment(found, y_c=0.0, m_phi_gev=100.0) == 0.0
    assert charged(y_c=0.3, y_s={"normal": [0.0, 1.0]}).switches == ("y_s",)


@pytest.mark.slow
def test_derivatives_of_a_model_to_second_order() -> None:
    from jax.test_util import check_grads

    found = leptoquark()

    def counts(y: jax.Array) -> jax.Array:
        x = jnp.asarray(found.start).at[:3].set(y * jnp.asarray([1.0, 1.0, 1000.0]))
        return jnp.concatenate(list(found.expected_vector(x).values()))

    check_grads(counts, (jnp.asarray([0.3, -0.4, 1.3]),), order=2, modes=("fwd", "rev"), rtol=1e-5)
    check_grads(counts, (jnp.asarray([0.0, 0.0, 1.3]),), order=2, modes=("fwd", "rev"), rtol=1e-5, atol=1e-6)


def test_profile_and_limits_of_a_model() -> None:
    """The limit on y_c at a given mass is that on the moment; beyond the range of a mass there is nothing to search."""
    found = charged(m_phi_gev={"log_uniform": [400.0, 600.0]})
    limits = nmmfit.limits(found, 0.90)
    assert limits.failed == ()
    assert limits.identified["mu_eff_solar"].profiled.upper == pytest.approx(2.8, rel=1e-3)
    upper = limits.parameters["y_c"].profiled.upper
    # The weakest limit is that of the largest mass.
    assert upper == pytest.approx(2.8 / moment(found, y_c=1.0, m_phi_gev=600.0), rel=5e-3)
    mass = limits.parameters["m_phi_gev"].profiled
    assert (mass.lower, mass.upper) == pytest.approx((400.0, 600.0), rel=1e-9)
    assert "ends at 600" in mass.note
    assert limits.parameters["y_c"].one_at_a_time.reason.startswith("not defined")
    profiled = nmmfit.profile(found, "y_c", points=5)
    assert np.all(profiled.converged)
    assert profiled.delta_chi2[2] < 1e-3 < profiled.delta_chi2[0]
    grid = nmmfit.profile(found, "m_phi_gev", points=4)
    assert np.all(grid.converged)
    assert grid.grid[0] >= 400.0
    assert grid.grid[-1] <= 600.0
    with pytest.raises(nmmfit.NmmfitError, match="lies between 400 and 600; the grid goes from 100 to 500"):
        nmmfit.profile(found, "m_phi_gev", points=4, low=100.0, high=500.0)


def fanned_out(found: JointLikelihood) -> list[str]:
    return [found.names[i] for i in amplitude_coordinates(found).factors]


def test_the_factor_of_all_couplings_is_fanned_out() -> None:
    assert fanned_out(charged(y_s={"normal": [0.0, 1.0]})) == ["y_s"]
    assert fanned_out(charged()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "expected"), [({}, ["y_right_31"]), ({"y_right_32": {"normal": [0.0, 1.0]}}, []), ({"y_left_31": 0.5}, [])]
)
def test_only_a_single_free_factor_is_fanned_out(changes: Mapping[str, Any], expected: list[str]) -> None:
    """The density of two factors has no peak as narrow as that of one."""
    assert fanned_out(leptoquark(**changes)) == expected


@pytest.mark.slow
@pytest.mark.parametrize("free", ["one", "two"])
def test_posterior_of_a_charged_scalar(free: str) -> None:
    """Sampled moments against a direct integration of prior times likelihood over couplings and mass."""
    found = charged(m_phi_gev={"log_uniform": [100.0, 2000.0]}, **({"y_s": {"normal": [0.0, 1.0]}} if free == "two" else {}))
    result = nmmfit.sample(found, nmmfit.SamplerSettings(chains=4, warmup=600, draws=1500, target_accept=0.95))
    random = np.random.default_rng(5)
    n = 400_000
    y_c, mass = random.normal(size=n), np.exp(random.uniform(math.log(100.0), math.log(2000.0), n))
    y_s = random.normal(size=n) if free == "two" else np.full(n, 0.5)
    size = E_0 * M_TAU * np.abs(y_c * y_s) / (16.0 * math.pi**2 * mass**2) * np.abs(1.0 + np.log(M_TAU**2 / mass**2))
    mu = size / MU_B / UNIT * math.sqrt(seen(0))
    # The published limit, 2.8 at 90 % CL, as a normal distribution in the squared moment around 0: 1.645 sigma = 2.8^2.
    weight = np.exp(-0.5 * (mu**2 / (2.8**2 / 1.6448536)) ** 2)
    expected = np.sum(weight * mu) / np.sum(weight)
    assert np.mean(result.identified["mu_eff_solar"]) == pytest.approx(expected, rel=0.06)
    assert np.mean(np.log(result.draws["m_phi_gev"])) == pytest.approx(np.sum(weight * np.log(mass)) / np.sum(weight), rel=0.01)
    assert np.mean(np.abs(result.draws["y_c"])) == pytest.approx(np.sum(weight * np.abs(y_c)) / np.sum(weight), rel=0.06)


@pytest.mark.slow
def test_a_phase_without_data_is_sampled_uniformly() -> None:
    """Alone, an overall phase is not seen: prior and posterior agree, over the seam of the circle too."""
    spec = {"coefficients": {"nuNgamma_11": 1.0}, "prior": {"half_normal": 1e-9}, "phase": {"uniform": [1.0, 1.0 + 6.2832]}}
    result = nmmfit.sample(joint(parameters={"L": spec}), nmmfit.SamplerSettings(chains=4, warmup=300, draws=1500))
    angles = np.ravel(result.draws["L_phase"])
    assert angles.min() >= 1.0
    assert angles.max() < 1.0 + 2.0 * math.pi
    counts, _ = np.histogram(angles, 8, (1.0, 1.0 + 2.0 * math.pi))
    assert counts == pytest.approx(np.full(8, len(angles) / 8.0), rel=0.12)
    assert np.abs(np.mean(np.exp(1j * angles))) < 0.05
