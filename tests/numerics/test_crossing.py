import math

import pytest
from scipy.optimize import brentq

from nmmfit.numerics.crossing import Crossing


def search(y, slope, first=1.0, limit=1e8, level=2.7055):
    crossing = Crossing(level, first, limit)
    while not crossing.done:
        crossing.update(y(crossing.proposal), slope(crossing.proposal))
    return crossing


@pytest.mark.parametrize("first", [1e-6, 1.0, 1e4])
@pytest.mark.parametrize(
    ("y", "slope"),
    [
        (lambda t: t * t, lambda t: 2 * t),
        (lambda t: 1e8 * t**4, lambda t: 4e8 * t**3),
        (lambda t: t * t + 1e3 * t**4, lambda t: 2 * t + 4e3 * t**3),
        (lambda t: 3.0 * t / (1.0 + t), lambda t: 3.0 / (1.0 + t) ** 2),
        (lambda t: t * t + 0.2 * math.sin(3 * t) ** 2, lambda t: 2 * t + 0.6 * math.sin(6 * t)),
    ],
)
def test_finds_what_brentq_finds(y, slope, first):
    found = search(y, slope, first)
    expected = brentq(lambda t: y(t) - 2.7055, 1e-9, 1e6, xtol=1e-14)
    assert found.distance == pytest.approx(expected, rel=1e-3)
    assert not found.failed


@pytest.mark.parametrize("power", [1, 2, 4, 6])
def test_a_power_needs_one_step(power):
    found = search(lambda t: 7.0 * t**power, lambda t: 7.0 * power * t ** (power - 1))
    assert found.distance == pytest.approx((2.7055 / 7.0) ** (1.0 / power), rel=1e-9)
    assert found.evaluations == 2


def test_below_the_level_everywhere():
    found = search(lambda t: 1.5 * t / (1 + t), lambda t: 1.5 / (1 + t) ** 2, limit=1e5)
    assert found.distance is None
    assert not found.failed
    assert found.highest == pytest.approx(1.5, rel=1e-4)


def test_flat_function_has_no_crossing():
    assert search(lambda t: 0.0, lambda t: 0.0).distance is None


def test_nan_beyond_a_cliff_is_a_failure_not_an_end():
    found = search(lambda t: t * t if t < 1 else math.nan, lambda t: 2 * t)
    assert found.distance is None
    assert found.failed
