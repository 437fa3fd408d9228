"""Quantiles against scipy.stats and tabulated ones."""

from __future__ import annotations

import pytest
from scipy.stats import chi2, norm

from nmmfit.numerics.quantiles import chi_square_quantile, normal_quantile


@pytest.mark.parametrize("degrees", [1, 2, 7])
@pytest.mark.parametrize("probability", [0.0, 1e-12, 0.6827, 0.9, 0.95, 0.9999, 1.0])
def test_chi_square(probability: float, degrees: int) -> None:
    assert chi_square_quantile(probability, degrees) == pytest.approx(chi2.ppf(probability, degrees), rel=1e-12)


def test_chi_square_as_tabulated() -> None:
    """Particle Data Group, Review of Particle Physics, table of delta chi2 for joint estimation: 90 % and 95 %."""
    assert [round(chi_square_quantile(p, k), 2) for k in (1, 2) for p in (0.90, 0.95)] == [2.71, 3.84, 4.61, 5.99]


@pytest.mark.parametrize("probability", [0.0, 1e-12, 0.5, 0.95, 1.0])
def test_normal(probability: float) -> None:
    assert normal_quantile(probability) == pytest.approx(norm.ppf(probability), rel=1e-12, abs=1e-15)
