"""Response of xenon detectors: bins against scipy's integrals, for efficiencies of either energy."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, stats

from nmmfit.errors import DataError
from nmmfit.physics.xenon_response import (
    XenonResponse,
    flat_fold,
    polynomial_resolution,
    rising,
    square_root_resolution,
)

EDGES = np.array([1.0, 2.0, 4.0, 6.0])
KNOTS, CURVE = np.array([0.5, 1.3, 2.1, 5.0]), np.array([0.0, 0.4, 0.8, 0.9])


def curve(x: float) -> float:
    return float(np.interp(x, KNOTS, CURVE, left=0.0))


@pytest.mark.parametrize("t", [0.3, 1.1, 2.5, 5.9, 7.5])
@pytest.mark.parametrize("of", ["recoil", "reconstructed"])
def test_bins_match_integrals(of: str, t: float) -> None:
    """Probability of each bin against adaptive integration between the points of the efficiency, to 1e-8."""
    response = XenonResponse(square_root_resolution(0.31, 0.0037), KNOTS, CURVE, of=of)  # type: ignore[arg-type]
    sigma = 0.31 * np.sqrt(t) + 0.0037 * t
    got = response.matrix(np.array([t]), EDGES)[:, 0]
    for low, high, value in zip(EDGES[:-1], EDGES[1:], got, strict=True):

        def integrand(x: float) -> float:
            return float(stats.norm.pdf(x, t, sigma)) * (curve(x) if of == "reconstructed" else curve(t))

        cuts = [low, *KNOTS[(low < KNOTS) & (high > KNOTS)], high]
        parts = [integrate.quad(integrand, a, b, epsabs=1e-14, epsrel=1e-11)[0] for a, b in pairwise(cuts)]
        assert value == pytest.approx(sum(parts), rel=1e-8, abs=1e-11)


def test_without_efficiency_nothing_is_lost() -> None:
    """A recoil far inside the window is in one of its bins."""
    response = XenonResponse(square_root_resolution(0.3), np.array([0.0]), np.array([1.0]), of="reconstructed")
    total = response.matrix(np.array([10.0, 30.0]), np.linspace(1.0, 50.0, 25)).sum(axis=0)
    np.testing.assert_allclose(total, 1.0, rtol=1e-9)


def test_a_flat_spectrum_is_the_efficiency() -> None:
    """Of the true energy, and far from its bends and the ends of the resolution: bins hold efficiency times width."""
    response = XenonResponse(square_root_resolution(0.3), np.array([0.0, 1.0]), np.array([0.0, 0.8]), of="recoil")
    fold = flat_fold(response, np.array([1.0, 8.0, 9.0, 12.0]))
    np.testing.assert_allclose(fold[1:], [0.8, 2.4], rtol=1e-5)


def test_reach_of_the_window() -> None:
    response = XenonResponse(square_root_resolution(0.33), np.array([0.0]), np.array([1.0]), of="recoil")
    top = response.highest_recoil_kev(EDGES)
    assert response.matrix(np.array([top]), EDGES).sum() < 1e-11
    assert response.matrix(np.array([0.5 * (top + 6.0)]), EDGES).sum() > 1e-5
    # standard deviations between 1 and 4 keV: 2 (2 - 1) / 0.33
    assert response.resolutions(1.0, 4.0) == pytest.approx(2.0 / 0.33, rel=1e-3)
    wide = XenonResponse(square_root_resolution(0.33, 0.2), np.array([0.0]), np.array([1.0]), of="recoil")
    with pytest.raises(DataError, match="still reach the window"):
        wide.highest_recoil_kev(EDGES)


def test_resolutions_and_curves() -> None:
    polynomial = polynomial_resolution((0.1, 0.2, -0.01), 5.0)
    np.testing.assert_allclose(polynomial(np.array([0.0, 1.0, 5.0, 50.0])), [0.1, 0.29, 0.85, 0.85], rtol=1e-12)
    np.testing.assert_array_equal(rising(np.array([0.1, 0.5, 0.4, 0.6])), [0.1, 0.5, 0.5, 0.6])


@pytest.mark.parametrize(("energy", "value"), [([1.0, 1.0], [0.1, 0.2]), ([1.0, 2.0], [0.1, 1.2]), ([1.0, 2.0], [-0.1, 0.2])])
def test_a_curve_that_is_no_efficiency_is_refused(energy: list[float], value: list[float]) -> None:
    with pytest.raises(DataError, match="efficiency"):
        XenonResponse(square_root_resolution(0.3), np.array(energy), np.array(value), of="recoil")
