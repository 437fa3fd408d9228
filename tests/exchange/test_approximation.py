"""Gaussian and quartic approximations: closed forms, exact profiles by scipy, and ranges that hold where they are told to."""

from __future__ import annotations

import ast
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

import nmmfit
from nmmfit.errors import UserInputError
from nmmfit.exchange.approximation import approximate, schur
from nmmfit.exchange.approximation_document import approximation_document
from nmmfit.exchange.validity import ABSOLUTE, HIGHEST, RELATIVE, measure
from nmmfit.inference.joint import JointLikelihood
from tests import small_joint

RUN = nmmfit.parse_run("experiments = []\n")


def exact_delta_chi2(joint: JointLikelihood, points: np.ndarray) -> np.ndarray:
    """Twice the profiled nll by scipy, not yet relative to its minimum."""
    n = joint.n_coefficients
    start = np.array([p.start for p in joint.parameters])[n:]
    both = jax.jit(jax.value_and_grad(joint.nll_vector))

    def profiled(point: np.ndarray) -> float:
        def objective(eta: np.ndarray) -> tuple[float, np.ndarray]:
            value, slope = both(jnp.asarray(np.concatenate([point, eta])))
            return float(value), np.asarray(slope)[n:]

        return 2.0 * float(minimize(objective, start, jac=True, method="BFGS", options={"gtol": 1e-9}).fun)

    return np.array([profiled(p) for p in points])


def counting(observed: float, background: float, signal: float, width: float = 0.0) -> JointLikelihood:
    """One bin with background + signal d^2, and a normalisation of a given log width if it is not 0."""
    pulls = {"norm": lambda p: width * p} if width else None
    lab = small_joint.experiment([observed], small_joint.counts_of([background], [signal]), pulls)
    return small_joint.joint(lab, {"d": small_joint.couplings(1.0)})


def test_the_quartic_of_one_bin_is_its_taylor_series() -> None:
    """nll = n - k ln n with n = b + s d^2: delta chi2 = 2 (1 - k/b) s d^2 + k s^2 / b^2 d^4, minus its minimum."""
    b, s, k = 100.0, 4.0, 110.0
    found = approximate(counting(k, b, s), "quartic")
    assert found.polynomial[(0, 0)] == pytest.approx(2.0 * (1.0 - k / b) * s, rel=1e-6)
    assert found.polynomial[(0, 0, 0, 0)] == pytest.approx(k * s**2 / b**2, rel=1e-6)
    assert found.polynomial[()] == pytest.approx(2.0 * (b - k - k * math.log(b / k)), rel=1e-6)
    assert set(found.polynomial) == {(), (0, 0), (0, 0, 0, 0)}


def test_a_normalisation_is_eliminated_by_the_schur_complement() -> None:
    """With n = (b + s m) e^{w x} and prior x^2 / 2, k = b: S = s^2/b / (1 + b w^2) in second order of m = d^2."""
    b, s, w = 100.0, 4.0, 0.2
    found = approximate(counting(b, b, s, w), "quartic")
    assert found.polynomial[(0, 0, 0, 0)] == pytest.approx(s**2 / b / (1.0 + b * w**2), rel=1e-6)
    assert found.polynomial.get((0, 0), 0.0) == pytest.approx(0.0, abs=1e-6)


def test_the_gaussian_of_one_bin_is_its_curvature_at_the_best_fit() -> None:
    """Best fit d_0^2 = (k - b)/s; d^2 nll/dd^2 = (k/n^2)(2 s d_0)^2 = 4 s (k - b)/k."""
    b, s, k = 100.0, 4.0, 200.0
    found = approximate(counting(k, b, s), "gaussian")
    assert abs(found.center["d"]) == pytest.approx(math.sqrt((k - b) / s), rel=1e-6)
    assert found.polynomial[(0, 0)] == pytest.approx(4.0 * s * (k - b) / k, rel=1e-5)
    assert found.delta_chi2(np.array([[found.center["d"]]]))[0] == pytest.approx(0.0, abs=1e-6)
    assert found.blind == ()


@pytest.mark.slow
def test_a_best_fit_where_only_a_fourth_power_is_left_has_no_gaussian() -> None:
    """Observed as expected: delta chi2 = d^4 s^2 / b without a second power. A deficit leaves 2 (1 - k/b) s d^2."""
    with pytest.raises(UserInputError, match="take the quartic approximation"):
        approximate(counting(100.0, 100.0, 4.0), "gaussian")
    found = approximate(counting(90.0, 100.0, 4.0), "gaussian")
    assert found.polynomial[(0, 0)] == pytest.approx(2.0 * (1.0 - 0.9) * 4.0, rel=1e-5)


def test_what_cannot_be_approximated_is_refused() -> None:
    joint = counting(100.0, 100.0, 4.0)
    with pytest.raises(UserInputError, match="unknown order 'cubic'"):
        approximate(joint, "cubic")
    with pytest.raises(UserInputError, match="expected a JointLikelihood"):
        approximate(RUN)  # type: ignore[arg-type]
    empty = JointLikelihood(joint.experiments, joint.parameters[1:], joint.coupling_map, method="direct")
    with pytest.raises(UserInputError, match="no coefficient is free"):
        approximate(empty)
    with pytest.raises(UserInputError, match="directions"):
        measure(joint, approximate(joint), directions=-1)


def test_the_schur_complement_is_the_minimum_over_the_rest() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(5, 5))
    matrix = root @ root.T + np.eye(5)
    left = schur(matrix, 2)
    for point in rng.normal(size=(4, 2)):

        def form(rest: np.ndarray, head: np.ndarray = point) -> float:
            z = np.concatenate([head, rest])
            return float(z @ matrix @ z)

        assert point @ left @ point == pytest.approx(minimize(form, np.zeros(3), options={"gtol": 1e-10}).fun, rel=1e-8)


@pytest.fixture(scope="module")
def quartic(joint: JointLikelihood):
    return approximate(joint, "quartic")


@pytest.mark.slow
def test_the_quartic_meets_the_exact_profile_to_its_order(joint: JointLikelihood, quartic) -> None:
    """Halving coefficients, a quarter of the monomials, divides the error by about 4^3 = 64: it is of third order in them."""
    direction = np.array([0.45, 0.12, -0.075, 0.15])
    points = np.array([np.zeros(4), direction, 0.5 * direction])
    exact = exact_delta_chi2(joint, points)
    found = quartic.delta_chi2(points)
    errors = np.abs((found - found[0]) - (exact - exact[0]))[1:]
    assert exact[1] - exact[0] > 0.5
    assert errors[0] < 0.03 * (exact[1] - exact[0])
    assert errors[1] < errors[0] / 20.0


@pytest.mark.slow
def test_a_measured_range_holds_on_fresh_points_of_its_rays(joint: JointLikelihood, quartic) -> None:
    """Exact profiles by scipy at other points of every ray: within the rule inside, and beyond it just outside."""
    validity = measure(joint, quartic, directions=4, seed=3)
    center = np.array([quartic.center[n] for n in quartic.names])
    base = 2.0 * quartic.best_nll
    assert {ray.kind for ray in validity.rays} == {"coefficient", "random", "random_amplitude"}
    assert len(validity.rays) == 2 * 4 + 4
    met = [ray for ray in validity.rays if ray.ends == "error"]
    assert met
    for ray in validity.rays[::3]:
        inside = center + np.array([[0.6], [0.95]]) * (ray.limit - center)
        exact = exact_delta_chi2(joint, inside) - base
        assert np.all(np.abs(quartic.delta_chi2(inside) - exact) <= 1.02 * np.maximum(ABSOLUTE, RELATIVE * exact) + 1e-4)
    for ray in met[:3]:
        outside = center + 1.15 * (ray.limit - center)[None]
        exact = exact_delta_chi2(joint, outside) - base
        assert np.all(np.abs(quartic.delta_chi2(outside) - exact) > 0.98 * np.maximum(ABSOLUTE, RELATIVE * exact))
    assert validity.delta_chi2 == min(ray.delta_chi2 for ray in met)


def test_rays_of_an_exact_polynomial_end_at_their_height() -> None:
    """Normal data with a signal d^2: delta chi2 is a quartic, so that every ray goes up to the height where it stops."""
    from numpyro import distributions as dist

    lab = small_joint.experiment(
        [0.5], small_joint.counts_of([0.5], [1.0]), distribution=lambda expected: dist.Normal(expected, 0.2)
    )
    joint = small_joint.joint(lab, {"d": small_joint.couplings(1.0)})
    validity = measure(joint, approximate(joint), directions=2)
    assert {ray.ends for ray in validity.rays} == {"height"}
    assert all(ray.delta_chi2 >= HIGHEST and abs(ray.error) < 1e-6 for ray in validity.rays)
    assert validity.delta_chi2 is None


@pytest.mark.slow
def test_a_flat_direction_ends_at_its_length() -> None:
    lab = small_joint.experiment([100.0], small_joint.counts_of([100.0], [1.0]))
    joint = small_joint.joint(lab, {"a": small_joint.couplings(1.0), "b": small_joint.couplings(0.0, 1.0)})
    validity = measure(joint, approximate(joint), directions=0)
    assert [ray.ends for ray in validity.rays if ray.label.endswith("b")] == ["length", "length"]


def test_the_document_gives_the_polynomial(joint: JointLikelihood, quartic) -> None:
    validity = measure(joint, quartic, directions=0)
    document = json.loads(json.dumps(approximation_document(RUN, joint, quartic, validity), allow_nan=False))
    central = document["prediction"]["data"]["observable_central"]
    point = {"L_dipole": 2.0, "L_T_u": 0.5, "L_T_d": -0.3, "L_T_s": 0.7}
    total = sum(values[0] * np.prod([point[n] for n in ast.literal_eval(key) if n]) for key, values in central.items())
    assert total == pytest.approx(float(quartic.delta_chi2(np.array([point[n] for n in quartic.names]))), rel=1e-12)
    assert document["prediction"]["metadata"]["polynomial_degree"] == 4
    assert all(len(ast.literal_eval(key)) == 4 for key in central)
    assert len(document["validity"]["rays"]) == 8


def test_a_gaussian_with_flat_and_informed_directions(joint: JointLikelihood) -> None:
    """Around the best fit it meets the exact profile in third order; its range is measured like that of the quartic."""
    found = approximate(joint, "gaussian")
    center = np.array([found.center[n] for n in found.names])
    ray = measure(joint, found, directions=0).rays[0]
    points = center + np.array([[0.0], [0.5], [1.0]]) * (ray.limit - center)
    exact = exact_delta_chi2(joint, points)
    error = np.abs(found.delta_chi2(points) - (exact - exact[0]))
    assert np.all(error <= 1.02 * np.maximum(ABSOLUTE, RELATIVE * (exact - exact[0])) + 1e-3)


@pytest.mark.slow
def test_the_ranges_of_the_default_run_are_those_of_the_page() -> None:
    """The table of docs/guide/exchange.md: along single coefficients the quartic holds up to here."""
    joint = nmmfit.default_run().joint()
    made = approximate(joint, "quartic")
    rays = {ray.label: ray for ray in measure(joint, made, directions=0).rays}
    for name, limit, height in (
        ("L_dipole", 5.6e-9, 3.2),
        ("L_T_u", 1.3e-6, 17.0),
        ("L_T_d", 2.4e-6, 23.0),
        ("L_T_s", 4.9e-7, 1.0),
    ):
        for sign in ("+", "-"):
            ray = rays[f"{sign}{name}"]
            assert ray.ends == "error"
            assert abs(ray.limit[made.names.index(name)]) == pytest.approx(limit, rel=0.05)
            assert ray.delta_chi2 == pytest.approx(height, rel=0.1)
    assert np.isclose(made.polynomial[()], 0.07, atol=0.02)
