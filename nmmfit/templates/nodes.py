"""Few places that say everything about a weight function: empirical interpolation, bin by bin.

A weight w(x; pulls), an efficiency curve say, is a family of functions of x, one for every value of its pulls. Within a bin, in
the metric of the data, few of them are independent, so that its values at few places give those at all others by a fixed matrix
(Barrault et al., C. R. Acad. Sci. Paris I 339 (2004) 667). The function itself is evaluated there, however its pulls bend it.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

from nmmfit.experiment import Pulls, Weighting
from nmmfit.templates.fit import HALF_WIDTH
from nmmfit.templates.shapes import left_singular_vectors

# Values of the pulls at which the family is looked at, and as many fresh ones at which the result is checked.
_SAMPLES = 512


@dataclass(frozen=True)
class Nodes:
    """counts = (w(places) * (fine values @ gathered)) @ owner^T."""

    places: np.ndarray
    """(node,)."""
    gathered: np.ndarray
    """(fine, node)."""
    owner: np.ndarray
    """(bin, node)."""
    error: float
    """Largest error at random values of the pulls, in norm."""


def _family(weighting: Weighting, nominal: Pulls, points: np.ndarray) -> np.ndarray:
    """(point, fine) weights at values (point, pull) of the pulls."""

    def at(x: jax.Array) -> jax.Array:
        moved = dict(nominal) | {name: x[i] for i, name in enumerate(weighting.pulls)}
        return weighting.weight(jnp.asarray(weighting.at), moved)

    return np.asarray(jax.jit(jax.vmap(at))(jnp.asarray(points)))


def empirical_nodes(weighting: Weighting, worth: np.ndarray, nominal: Pulls, tol: float) -> Nodes:
    """As few nodes as replace the sum of weighted fine values into each bin.

    Args:
        weighting: with its pulls.
        worth: (fine,) what a unit of weight is worth there, in standard deviations of the data.
        nominal: every pull at 0.
        tol: error in the sum of all bins, in norm, at any pulls within the box.
    Returns: nodes; all places where bins share fine values.
    """
    n_bins, n_fine = weighting.matrix.shape
    everything = Nodes(weighting.at, np.eye(n_fine), weighting.matrix, 0.0)
    if np.any(np.count_nonzero(weighting.matrix, axis=0) > 1):
        return everything
    # The box densely, its edges included: arcsine density puts many points there.
    random = np.random.default_rng(13)
    points = HALF_WIDTH * np.cos(np.pi * random.uniform(size=(_SAMPLES, len(weighting.pulls))))
    points[0] = 0.0
    family = _family(weighting, nominal, points) * worth
    fresh = _family(weighting, nominal, random.uniform(-HALF_WIDTH, HALF_WIDTH, points.shape)) * worth
    chosen: list[np.ndarray] = []
    matrix, errors = np.zeros((n_fine, n_fine)), []
    for row in weighting.matrix:
        inside = np.flatnonzero(row)
        picked, interpolation, error = _interpolated(family[:, inside], fresh[:, inside], tol / np.sqrt(n_bins))
        matrix[np.ix_(inside[picked], inside)] = worth[inside[picked], None] * interpolation / worth[inside]
        chosen.append(inside[picked])
        errors.append(error)
    nodes = np.concatenate(chosen)
    # fine values, each with its quadrature weight, are gathered at the nodes; from there each goes to its own bin
    owner = (weighting.matrix[:, nodes] != 0).astype(float)
    gathered = (matrix[nodes] * weighting.matrix.sum(axis=0)).T
    return Nodes(weighting.at[nodes], gathered, owner, float(np.linalg.norm(errors)))


def _interpolated(family: np.ndarray, fresh: np.ndarray, tol: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Columns (node,) of a family (point, fine) and the matrix (node, fine) that gives all columns from these; largest error in
    norm over the fresh members of the family."""
    n_fine = family.shape[1]
    vectors, _ = left_singular_vectors(family.T, 0.0)
    fewest = left_singular_vectors(family.T, tol)[0].shape[1]
    for rank in range(fewest, vectors.shape[1] + 1):
        basis = vectors[:, :rank]
        _, _, pivots = scipy.linalg.qr(basis.T, pivoting=True, mode="economic")
        picked = np.sort(pivots[:rank])
        matrix = np.linalg.solve(basis[picked].T, basis.T)
        error = float(np.linalg.norm(fresh[:, picked] @ matrix - fresh, axis=1).max(initial=0.0))
        if error < tol:
            return picked, matrix, error
    return np.arange(n_fine), np.eye(n_fine), 0.0
