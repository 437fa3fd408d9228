import numpy as np
import pytest

from nmmfit.numerics.saddle_free import candidate_steps, distance_to_minimum, saddle_free_step, spectrum


def quadratic(eigenvalues, seed=0):
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(eigenvalues),) * 2))
    return q @ np.diag(eigenvalues) @ q.T, q


def test_newton_step_of_a_convex_quadratic():
    h, _ = quadratic([0.5, 1.0, 40.0])
    g = np.array([1.0, -2.0, 0.3])
    np.testing.assert_allclose(saddle_free_step(spectrum(h), g, 1e-14), -np.linalg.solve(h, g), rtol=1e-10)
    assert float(distance_to_minimum(spectrum(h), g)) == pytest.approx(0.5 * g @ np.linalg.solve(h, g), rel=1e-10)


def test_goes_downhill_at_a_saddle():
    h, _ = quadratic([-3.0, 1.0, 5.0])
    g = np.array([0.4, -2.0, 0.3])
    for step in candidate_steps(spectrum(h), g, 1e-14):
        assert float(step @ g) <= 0.0 or float(step @ h @ step) < 0.0


def test_no_step_along_an_exactly_flat_direction():
    h, q = quadratic([0.0, 1.0, 5.0])
    g = h @ np.array([0.3, 0.1, 1.0])
    step = np.asarray(saddle_free_step(spectrum(h), g, 1e-14))
    assert abs(step @ q[:, 0]) < 1e-6 * np.linalg.norm(step)


def test_hessian_with_nan_gives_finite_steps():
    h = np.full((3, 3), np.nan)
    assert np.all(np.isfinite(saddle_free_step(spectrum(h), np.ones(3), 1e-14)))
