"""What a solved point tells its neighbours: where their minima should lie, and how steps there should be scaled."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nmmfit.numerics.saddle_free import RELATIVE_FLOOR

ROUND = 128
"""Anchors come in multiples of this, so that compiled programs serve any number of them."""


@dataclass(frozen=True)
class Anchors:
    """Solved points with their Hessians.

    `at` (anchor, axis) the scanned values, `x` (anchor, n), `response` (anchor, axis, n) dx/dvalue along the profiled minimum,
    `inverse`
    (anchor, n, n) the inverse Hessian in z along the constraints, `curvature` (anchor, n, n) the Hessian in x. `usable`
    (anchor,).
    """

    at: np.ndarray
    x: np.ndarray
    response: np.ndarray
    inverse: np.ndarray
    curvature: np.ndarray
    usable: np.ndarray

    @staticmethod
    def make(
        at: np.ndarray,
        x: np.ndarray,
        curvature: np.ndarray,
        basis: np.ndarray,
        directions: np.ndarray,
        rows: np.ndarray,
        wanted: np.ndarray,
        usable: np.ndarray,
    ) -> Anchors:
        """Anchors from Hessians.

        Args:
            at: (anchor, axis). x: (anchor, n). usable: (anchor,) whether the point was solved.
            curvature: (anchor, n, n) in x.
            basis: (n, n), columns of what is held zero.
            directions: (anchor, axis, n): what moves by itself with each scanned value: the held parameter, or nothing.
            rows: (anchor, constraint, n): gradients of the constraints in x.
            wanted: (axis, constraint): by how much each constraint's target grows with each scanned value.
        """
        # where nothing is known steps are natural ones: an inverse of zero would call any point a minimum
        inverse, response = np.tile(np.eye(len(basis)), (len(curvature), 1, 1)), np.zeros_like(directions)
        for i in np.flatnonzero(usable):
            normals = rows[i] @ basis
            lengths = np.linalg.norm(normals, axis=1)
            there = lengths > 0
            unit = normals[there] / lengths[there, None]
            gram = np.linalg.pinv(unit @ unit.T)
            along = np.eye(len(basis)) - unit.T @ gram @ unit
            inside = along @ (basis.T @ curvature[i] @ basis) @ along
            inverse[i] = _inverse(inside)
            short = wanted[:, there] - directions[i] @ rows[i][there].T
            moved = directions[i] + (short / lengths[there]) @ gram @ unit @ basis.T
            response[i] = moved - moved @ curvature[i] @ basis @ inverse[i] @ basis.T
        response[~np.all(np.isfinite(response), axis=(1, 2))] = 0.0
        return Anchors(at, x, response, inverse, curvature, usable)

    @cached_property
    def table(self) -> np.ndarray:
        """`inverse`, filled up with zeros to a round number of anchors."""
        size = ROUND * -(-len(self.inverse) // ROUND)
        return np.concatenate([self.inverse, np.zeros((size - len(self.inverse), *self.inverse.shape[1:]))])

    def predicted(self, which: np.ndarray, at: np.ndarray) -> np.ndarray:
        """(point, start, n): the minimum expected at scanned values `at` (point, axis) from the anchors `which` (point,
        start)."""
        step = at[:, None, :] - self.at[which]
        moved: np.ndarray = self.x[which] + np.einsum("psa,psan->psn", step, self.response[which])
        return moved

    def apart(self, which: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """(point,): the distance between points x and y (point, n) by the Hessian of anchors `which` (point,), half d^T H d."""
        step = x - y
        distance: np.ndarray = 0.5 * np.abs(np.einsum("pi,pij,pj->p", step, self.curvature[which], step))
        return distance


def _inverse(symmetric: np.ndarray) -> np.ndarray:
    """|H|^-1 (n, n), zero along directions whose curvature is rounding; the identity where an entry is not finite."""
    if not np.all(np.isfinite(symmetric)):
        return np.eye(len(symmetric))
    values, vectors = np.linalg.eigh(0.5 * (symmetric + symmetric.T))
    size = np.abs(values)
    floor = RELATIVE_FLOOR * max(float(np.max(size, initial=0.0)), 1.0)
    kept = np.where(size > floor, 1.0 / np.where(size > floor, size, 1.0), 0.0)
    made: np.ndarray = (vectors * kept) @ vectors.T
    return made
