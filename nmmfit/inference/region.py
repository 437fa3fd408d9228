"""Where information about couplings is taken, and the information there.

Rates are quadratic in most couplings, hence at the Standard Model the information about them vanishes, and at
any one point it says which way that point may move, not how far a coupling can be from zero. Unless a point is given it is
therefore a mean over points around the Standard Model (coefficients 0, everything else fitted to the data): with C the
covariance that it leaves together with the priors and c_k, w_k the eigenvalues and eigenvectors of C, r of them not exactly
flat, the points are +- sqrt(r c_k) w_k. This third-degree rule has covariance C, so that for quadratic rates, as far as variances
stay as they are, the mean is the information averaged over the region that the data would leave. C = (1 + S(C))^-1 is found by
iteration, the geometric mean of both sides in place of C. In one dimension, with delta chi2 = d^4 / s^4, the result is an error
of s / sqrt(2) at d = s / sqrt(2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial

import jax.numpy as jnp
import numpy as np

from nmmfit.durable import ChunkStore
from nmmfit.inference.directions import Axes
from nmmfit.inference.information import Expected, Profiled, counts_information, expected_information, profiled
from nmmfit.inference.kept_minima import kept_arrays
from nmmfit.inference.minimise import Progress

MOST_ROUNDS = 20
"""Iterations of the region that the information is averaged over."""

SETTLED = 1e-3
"""Relative change of the region's size along any direction at which the iteration ends."""

MOST_HALVINGS = 60
"""How often couplings of a model are halved on the way from a natural step to where counts change by one standard deviation."""


@dataclass(frozen=True)
class Here:
    """Expected information at one vector: in parts, and about the user's parameters, in units of the vector."""

    z: np.ndarray
    expected: Expected
    own: Profiled


def about_own(axes: Axes, total: np.ndarray) -> Profiled:
    """Information about the user's parameters from one about the whole vector (n, n), everything else profiled out."""
    return profiled(total, axes.index, axes.space.scale)


def information_at(axes: Axes, z: np.ndarray) -> Here:
    """Expected information at a vector (n,)."""
    expected = expected_information(axes.space, z)
    return Here(z, expected, about_own(axes, expected.total))


def mean_information(axes: Axes, found: Sequence[Here]) -> np.ndarray:
    """(axis, axis) mean over points of the information about the user's parameters, in prior widths."""
    return axes.scaled(np.mean([h.own.matrix for h in found], axis=0))


def off_zero(axes: Axes) -> tuple[np.ndarray, str]:
    """The centre and what it is in words; couplings of a model, products of which rates depend on, are moved off zero."""
    space = axes.space
    fitted = "nuisances and theory inputs fitted to the data"
    if len(axes.coefficients) == axes.size:
        return axes.centre, f"the Standard Model, {fitted}"
    words = f"coefficients 0, parameters of the model at their nominal values, {fitted}"
    couplings = [i for i in space.own if space.kinds[i] == "model" and space.joint.parameters[i].is_unbounded]
    if not couplings:
        return axes.centre, words
    mean = np.asarray(space.nll.counts(jnp.asarray(axes.centre)))
    weights = counts_information(space, mean)
    for power in range(MOST_HALVINGS):
        z = axes.centre.copy()
        z[couplings] += space.scale[couplings] * 0.5**power
        # One standard deviation of the counts, nuisances held.
        if np.sum(weights * (np.asarray(space.nll.counts(jnp.asarray(z))) - mean) ** 2) <= 1.0:
            break
    return (
        z,
        f"{words}; its couplings {0.5**power:.3g} natural steps higher, where counts change by one standard deviation or less",
    )


def region(axes: Axes, progress: Progress | None, problems: list[str], store: ChunkStore | None = None) -> tuple[list[Here], int]:
    """Information at the points of the region that it leaves itself, and their number; at the centre if nothing moves.

    Args:
        axes: around the centre. `progress`: called with (points done, points in all at most).
        problems: what did not converge is added.
        store: keeps the information of every round, so that only the points of the last one are looked at again; None: nothing.
    """
    places = axes.coefficients
    index = axes.index[places]
    steps = axes.space.basis(axes.centre)[np.ix_(index, index)] / axes.units[places, None]
    flat = axes.flat(axes.centre)[:, places]
    keep = np.eye(len(places)) - flat.T @ flat
    rank = len(places) - len(flat)
    if rank == 0:
        return [information_at(axes, axes.centre)], 1
    span = np.linalg.eigh(keep)[1][:, len(flat) :]
    covariance = span.T @ steps @ steps.T @ span
    most = 2 * rank * MOST_ROUNDS
    for done in range(MOST_ROUNDS):
        points = []
        for value, vector in zip(*(part.T for part in np.linalg.eigh(covariance)), strict=True):
            step = np.zeros(axes.size)
            step[places] = np.sqrt(rank * value) * (span @ vector)
            points += [axes.moved(step), axes.moved(-step)]
        # Looked at once, or not at all.
        found = cache(partial(_looked, axes, points, progress, done, most))
        mean = kept_arrays(store, (axes.centre, points), "mean", partial(_mean, axes, found))["mean"]
        information = span.T @ mean[np.ix_(places, places)] @ span
        covariance, change = _between(covariance, np.linalg.inv(np.eye(rank) + information))
        if change < SETTLED:
            break
    else:
        problems.append("the region over which the information is averaged")
    here = found()
    if progress is not None:
        progress(most, most)
    return here, len(points)


def _looked(axes: Axes, points: Sequence[np.ndarray], progress: Progress | None, rounds: int, most: int) -> list[Here]:
    """Information at the points of a round, `rounds` of which are done before."""
    found = []
    for z in points:
        found.append(information_at(axes, z))
        if progress is not None:
            progress(rounds * len(points) + len(found), most)
    return found


def _mean(axes: Axes, found: Callable[[], list[Here]]) -> dict[str, np.ndarray]:
    return {"mean": mean_information(axes, found())}


def _between(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, float]:
    """Geometric mean of two positive matrices, and the largest relative change of a width from the first to it."""
    values, vectors = np.linalg.eigh(a)
    root = (vectors * np.sqrt(values)) @ vectors.T
    inverse = (vectors / np.sqrt(values)) @ vectors.T
    ratios, turned = np.linalg.eigh(inverse @ b @ inverse)
    mean = root @ (turned * np.sqrt(ratios)) @ turned.T @ root
    return 0.5 * (mean + mean.T), float(np.max(np.abs(0.25 * np.log(ratios))))
