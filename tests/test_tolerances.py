"""Comparisons of small numbers can fail: what `conftest.py` changes in pytest.approx."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.mark.parametrize("make", [float, np.float64, complex, lambda x: [x], lambda x: {"x": x}, lambda x: np.array([x])])
def test_small_numbers_are_told_apart(make) -> None:
    """Moments are near 1e-11 mu_B and cross sections near 1e-45 cm^2; all of pytest's containers go through one class."""
    for size in (1e-13, 1e-45):
        assert make(size) != pytest.approx(make(2 * size))
        assert make(size) != pytest.approx(make(size * (1 + 1e-5)))
        assert make(size) == pytest.approx(make(size * (1 + 1e-7)))
        assert make(size) != pytest.approx(make(0.0))


def test_an_absolute_tolerance_that_is_asked_for_stays() -> None:
    assert pytest.approx(0.0, abs=1e-12) == 1e-13
    assert pytest.approx(0.0, abs=1e-12) != 1e-11
    assert pytest.approx(1e-13, rel=1e-3, abs=1e-12) == 2e-13
