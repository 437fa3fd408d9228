"""Crossings of known functions: a ring with two lines, an interval in two parts, unknown points; places on a grid."""

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from nmmfit.inference.contours import contours, finer, intervals, levels_of
from nmmfit.inference.lattice import coarse_places, enclosing, misfits, neighbours

LEVEL = levels_of([0.9], 2)[0]


def ring(at):
    """A valley on the unit circle, with its slopes."""
    size2 = np.sum(at**2, axis=-1)
    return 20.0 * (size2 - 1.0) ** 2, (80.0 * (size2 - 1.0))[..., None] * at


def evaluated(at):
    heights, slopes = ring(at)
    return heights, slopes, np.ones(len(at), dtype=bool)


def grid(points=17):
    x = np.linspace(-1.6, 1.6, points)
    return x, np.stack(np.meshgrid(x, x, indexing="ij"), axis=-1)


def test_a_ring_has_two_lines_on_their_circles():
    x, at = grid()
    heights, slopes = ring(at)
    (found,) = contours(x, x, heights, slopes, [0.9], evaluated)
    assert found.closed == (True, True)
    radii = sorted(float(np.mean(np.linalg.norm(line, axis=1))) for line in found.lines)
    half = np.sqrt(LEVEL / 20.0)
    np.testing.assert_allclose(radii, np.sqrt([1.0 - half, 1.0 + half]), rtol=1e-3)
    for line in found.lines:
        # no vertex is farther off than the contour says
        assert np.max(np.abs(ring(line)[0] - LEVEL)) <= found.error
    assert found.error < 5e-3 * LEVEL
    # without solved points the cubic interpolation alone is what there is
    (rough,) = contours(x, x, heights, None, [0.9])
    assert rough.error is None
    assert max(np.max(np.abs(ring(line)[0] - LEVEL)) for line in rough.lines) > found.error


def test_unknown_points_open_a_line():
    x, at = grid()
    heights, slopes = ring(at)
    heights[14, 8] = np.nan
    (found,) = contours(x, x, heights, slopes, [0.9], evaluated)
    assert not all(found.closed)
    fine_x, fine_y, fine = finer(x, x, heights, slopes)
    assert np.isnan(fine[14 * 8, 8 * 8])
    away = np.isfinite(fine)
    exact = ring(np.stack(np.meshgrid(fine_x, fine_y, indexing="ij"), axis=-1))[0]
    assert np.max(np.abs(fine - exact)[away]) < 0.2


def test_an_interval_in_two_parts():
    x = np.linspace(-2.0, 2.0, 12)
    heights, slopes = 4.0 * (x**2 - 1.0) ** 2, 16.0 * x * (x**2 - 1.0)

    def exact(at):
        t = at[:, 0]
        return 4.0 * (t**2 - 1.0) ** 2, (16.0 * t * (t**2 - 1.0))[:, None], np.ones(len(t), dtype=bool)

    (found,) = intervals(x, heights, slopes, [0.9], exact)
    half = np.sqrt(levels_of([0.9], 1)[0] / 4.0)
    inner, outer = np.sqrt(1.0 - half), np.sqrt(1.0 + half)
    np.testing.assert_allclose(found.segments, [(-outer, -inner), (inner, outer)], atol=1e-5)
    heights[-3:] = np.nan
    (cut,) = intervals(x, heights, slopes, [0.9])
    assert cut.segments[0] == pytest.approx((-outer, -inner), abs=0.02)
    assert cut.segments[-1][1] is None or cut.segments[-1][1] < x[-3]


def test_cells_and_weights_interpolate_as_scipy_does():
    knots = [np.array([0.0, 1.0, 3.0]), np.array([-1.0, 0.0, 2.0, 2.5])]
    table = np.random.default_rng(1).normal(size=(3, 4))
    at = np.random.default_rng(2).uniform([0.0, -1.0], [3.0, 2.5], (40, 2))
    corners, weights = enclosing(knots, at)
    np.testing.assert_allclose(np.sum(table.ravel()[corners] * weights, axis=1), RegularGridInterpolator(knots, table)(at))


def test_places():
    assert coarse_places(32, 9).tolist() == [0, 4, 8, 12, 16, 19, 23, 27, 31]
    assert coarse_places(3, 9).tolist() == [0, 1, 2]
    assert [n.tolist() for n in neighbours([3, 4], np.array([0, 5]))] == [[4, 1], [1, 9, 4, 6]]
    x = np.linspace(0.0, 1.0, 11)
    smooth, slopes = x**2, 2.0 * x[:, None]
    assert misfits(smooth, slopes, [0.1]).tolist() == []
    smooth[6] += 0.5
    assert misfits(smooth, slopes, [0.1]).tolist() == [5, 6, 7]
