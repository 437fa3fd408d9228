import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from nmmfit.inference.minimise import Problems, minimise

MATRIX = np.array([[4.0, 1.0, 0.5], [1.0, 3.0, -0.2], [0.5, -0.2, 2.0]])
CENTER = np.array([1.0, -2.0, 0.5])


def quadratic(x):
    return 0.5 * (x - CENTER) @ MATRIX @ (x - CENTER)


def rosenbrock(x):
    return 100.0 * (x[1] - x[0] ** 2) ** 2 + (1.0 - x[0]) ** 2


def starts(n, count=12, seed=0, size=2.0):
    return size * np.random.default_rng(seed).normal(size=(count, n))


def test_quadratic_needs_one_hessian():
    found = minimise(quadratic, Problems.make(starts(3), np.eye(3)))
    assert np.all(found.converged)
    np.testing.assert_allclose(found.x, np.tile(CENTER, (12, 1)), atol=1e-7)
    assert np.max(found.iterations) <= 2


def test_curved_valley_from_everywhere():
    found = minimise(rosenbrock, Problems.make(starts(2, 20), np.eye(2)))
    assert np.all(found.converged)
    np.testing.assert_allclose(found.x, 1.0, atol=2e-4)
    assert np.max(found.value) < 1e-8


def test_units_do_not_matter():
    scale = np.array([1e-7, 1e3])
    found = minimise(lambda x: rosenbrock(x / scale), Problems.make(starts(2) * scale, np.diag(scale)))
    assert np.all(found.converged)
    np.testing.assert_allclose(found.x / scale, 1.0, atol=2e-4)


def test_exactly_flat_direction_is_left_alone():
    begin = starts(3)
    found = minimise(lambda x: (x[0] + x[1] - 3.0) ** 4 + (x[0] + x[1] - 3.0) ** 2 + x[2] ** 2, Problems.make(begin, np.eye(3)))
    assert np.all(found.converged)
    assert np.max(found.value) < 1e-8
    np.testing.assert_allclose(found.x[:, 0] - found.x[:, 1], begin[:, 0] - begin[:, 1], atol=1e-6)


def test_quartic_valley():
    found = minimise(lambda x: (x[0] - 0.3 * x[1]) ** 4 + x[1] ** 2 + 0.1 * x[2] ** 2, Problems.make(starts(3), np.eye(3)))
    assert np.all(found.converged)
    assert np.max(found.value) < 1e-7
    assert np.max(found.iterations) < 20


def test_leaves_the_top_between_two_wells():
    def wells(x):
        return (x[0] ** 2 - 1.0) ** 2 + (x[1] - x[0]) ** 2

    found = minimise(wells, Problems.make(np.zeros((1, 2)), np.eye(2)))
    assert np.all(found.converged)
    np.testing.assert_allclose(np.abs(found.x), 1.0, atol=1e-4)


def test_a_function_without_minimum_does_not_converge():
    found = minimise(lambda x: -x[0] + x[1] ** 2, Problems.make(starts(2), np.eye(2)), max_iterations=12)
    assert not np.any(found.converged)


def test_a_start_where_the_function_is_nan_does_not_converge():
    found = minimise(lambda x: x[0] - jnp.log(x[0]), Problems.make(np.array([[-1.0], [2.0]]), np.eye(1)))
    assert found.converged.tolist() == [False, True]
    assert found.x[1, 0] == pytest.approx(1.0, abs=1e-4)


def test_trials_outside_the_domain_are_rejected():
    found = minimise(lambda x: 1e-3 * x[0] - jnp.log(x[0]), Problems.make(np.array([[1e-4], [3e3], [5e3]]), np.eye(1)))
    assert np.all(found.converged)
    np.testing.assert_allclose(found.x, 1e3, rtol=1e-3)


def test_held_coordinate():
    basis = np.diag([1.0, 0.0, 1.0])
    begin = starts(3)
    found = minimise(quadratic, Problems.make(begin, basis))
    np.testing.assert_array_equal(found.x[:, 1], begin[:, 1])
    free = [0, 2]
    for x in found.x:
        expected = CENTER[free] - np.linalg.solve(MATRIX[np.ix_(free, free)], MATRIX[free, 1] * (x[1] - CENTER[1]))
        np.testing.assert_allclose(x[free], expected, atol=1e-7)


def test_linear_constraint_and_its_multiplier():
    """min of a quadratic at a . x = t is (t - a . c)^2 / (2 a^T M^-1 a); its derivative is the multiplier."""
    weights = np.array([1.0, 2.0, -1.0])
    targets = np.linspace(-5.0, 5.0, 9)
    found = minimise(quadratic, Problems.make(np.zeros((9, 3)), np.eye(3), weights=weights, target=targets))
    stiffness = 1.0 / (weights @ np.linalg.solve(MATRIX, weights))
    off = targets - weights @ CENTER
    assert np.all(found.converged)
    np.testing.assert_allclose(found.x @ weights, targets, atol=1e-9)
    np.testing.assert_allclose(found.value, 0.5 * stiffness * off**2, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(found.slope, stiffness * off, rtol=1e-4, atol=1e-4)


def norm_of_two(x):
    return jnp.sqrt(x[0] ** 2 + x[1] ** 2)[None]


def test_norm_constraint_agrees_with_a_constrained_minimiser():
    weights = np.array([0.0, 0.0, 0.0, 1.0])
    targets = np.array([0.5, 2.0, 6.0])
    begin = np.tile([0.3, -0.4, 0.0], (3, 1))
    problems = Problems.make(begin, np.eye(3), n_quantities=1, weights=weights, target=targets)
    found = minimise(quadratic, problems, quantities=norm_of_two)
    assert np.all(found.converged)
    for t, value in zip(targets, found.value, strict=True):
        # the same in polar coordinates, unconstrained
        def polar(y, t=t):
            return float(quadratic(np.array([t * np.cos(y[0]), t * np.sin(y[0]), y[1]])))

        reference = min(minimize(polar, [a, 0.0], tol=1e-12).fun for a in (-2.0, 0.0, 2.0))
        assert value == pytest.approx(reference, abs=1e-6)


def test_added_terms_replace_a_normal_prior():
    data, old, new = 2.0, (0.0, 1.0), (3.0, 0.5)
    quadratic_term = new[1] ** -2 - old[1] ** -2
    linear_term = old[0] * old[1] ** -2 - new[0] * new[1] ** -2

    def nll(x):
        return 0.5 * (x[0] - data) ** 2 + 0.5 * ((x[0] - old[0]) / old[1]) ** 2

    problems = Problems.make(np.zeros((1, 1)), np.eye(1), quadratic=np.array([quadratic_term]), linear=np.array([linear_term]))
    found = minimise(nll, problems)
    weight = new[1] ** -2
    assert found.x[0, 0] == pytest.approx((data + weight * new[0]) / (1.0 + weight), abs=1e-7)


def test_data_differ_from_point_to_point():
    counts = np.random.default_rng(3).poisson(20.0, size=(10, 6)).astype(float)

    def nll(x, n):
        return jnp.sum(jnp.exp(x[0]) - n * x[0])

    found = minimise(nll, Problems.make(np.zeros((10, 1)), np.eye(1)), data=counts)
    np.testing.assert_allclose(found.x[:, 0], np.log(counts.mean(axis=1)), atol=1e-5)


def test_order_and_number_of_points_do_not_matter():
    begin = starts(2, 11)
    one = minimise(rosenbrock, Problems.make(begin, np.eye(2)))
    back = minimise(rosenbrock, Problems.make(begin[::-1].copy(), np.eye(2)))
    np.testing.assert_allclose(one.x, back.x[::-1], atol=1e-12)


def test_starts_are_not_changed_and_progress_counts():
    begin = starts(2, 10)
    kept = begin.copy()
    seen = []
    minimise(rosenbrock, Problems.make(begin, np.eye(2)), progress=lambda done, total: seen.append((done, total)))
    np.testing.assert_array_equal(begin, kept)
    assert seen[-1] == (10, 10)


def test_second_call_compiles_nothing():
    problems = Problems.make(starts(2, 5), np.eye(2))
    minimise(rosenbrock, problems)
    compiled = []

    def listen(event, duration, **_):
        if "compile" in event:
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    minimise(
        rosenbrock, Problems.make(starts(2, 9, seed=1), np.diag([1.0, 2.0]), weights=np.array([1.0, 0.0]), target=np.ones(9))
    )
    jax.monitoring.unregister_event_duration_listener(listen)
    assert not compiled
