"""Components that experiments share: constants, scales, and a background that a control sample measures."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from nmmfit.components import constant_factor, measured_by_control, scaled, unit_pulls


def test_scaled_is_positive_and_linear_for_small_pulls() -> None:
    component = scaled("brn", (constant_factor(np.array([1.0, 3.0])),), "x.brn", 0.32)
    assert float(component.counts({}, {"x.brn": jnp.asarray(0.0)}).sum()) == 4.0
    assert float(component.counts({}, {"x.brn": jnp.asarray(1e-4)}).sum()) == pytest.approx(4.0 * (1.0 + 0.32e-4), rel=1e-8)
    assert float(component.counts({}, {"x.brn": jnp.asarray(-50.0)}).min()) > 0.0


def test_a_control_sample_gives_its_counts_with_their_poisson_errors() -> None:
    counts = np.array([25.0, 0.0, 4.0])
    components, pulls = measured_by_control("x.ssb", counts, constant_factor(np.array([0.25, 0.75])))
    assert list(pulls) == ["x.ssb_0", "x.ssb_1", "x.ssb_2"]
    nominal = {name: jnp.asarray(0.0) for name in pulls}
    total = sum(np.asarray(c.counts({}, nominal)).reshape(3, 2) for c in components)
    # an empty entry starts from half an event
    np.testing.assert_allclose(total.sum(axis=1), [25.0, 0.5, 4.0], rtol=1e-14)
    np.testing.assert_allclose(total[0], [6.25, 18.75], rtol=1e-14)
    moved = components[0].counts({}, nominal | {"x.ssb_0": jnp.asarray(1.0)})
    # exp(1 / 5): one standard deviation of 25 events, to first order 5
    assert float(moved.sum()) == pytest.approx(25.0 * np.exp(0.2), rel=1e-14)
    assert all(float(p.scale) == 10.0 for p in pulls.values())
    assert float(unit_pulls("a.b")["a.b"].scale) == 1.0
