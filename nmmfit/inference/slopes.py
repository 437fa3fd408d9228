"""Derivatives of expected counts, experiment by experiment: each depends on few numbers, and is differentiated in those alone.

Counts of an experiment are functions of what it reads of the user's parameters and theory inputs, which come first in the vector
(a few monomials of couplings, however many coefficients there are), and of the nuisances that it declares. Differentiating
all counts in all entries at once would push every nuisance and every coefficient through every experiment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.inference.joint import JointLikelihood
from nmmfit.numerics.pieces import Piece, square, weighted
from nmmfit.numerics.rows import aligned, aligned_both_ways
from nmmfit.shapes import Array

ToParameters = Callable[[Array], Array]
"""Vector (n,) -> parameters (n,), entry by entry."""


class Slopes(NamedTuple):
    """Counts (bin,) of one experiment and their derivatives in some `places` of a vector, numbered upwards; they do not depend on
    the others.

    `jacobian` (read + nuisance, bin), in pieces of bins, has the derivatives in what the experiment reads of the first places,
    then those in its nuisances, which are the last places. `spread` (first place, read) is how what it reads depends on the
    first places, `of_products` (product, read) how it does on the products of amplitudes. Where the first places are fewer,
    they are what is read, and `of_products` is None.
    """

    places: np.ndarray
    counts: Array
    jacobian: tuple[Piece, ...]
    spread: Array
    of_products: Array | None

    def gradient(self, weights: Array) -> Array:
        """Derivatives (place,) of the sum over bins of weights (bin,) times counts."""
        read = self.spread.shape[1]
        found = weighted(self.jacobian, weights)
        return jnp.concatenate([self.spread @ found[:read], found[read:]])

    def square(self, weights: Array) -> Array:
        """(place, place): the sum over bins of weights (bin,) times the outer product of the gradient of counts with itself."""
        read = self.spread.shape[1]
        inner = square(self.jacobian, weights)
        mixed = self.spread @ inner[:read, read:]
        return jnp.block([[self.spread @ inner[:read, :read] @ self.spread.T, mixed], [mixed.T, inner[read:, read:]]])

    def weights_of_products(self, weights: Array) -> Array | None:
        """Derivatives (product,) of the sum over bins of weights (bin,) times counts in the products of amplitudes, if known."""
        read = self.spread.shape[1]
        return None if self.of_products is None else self.of_products @ weighted(self.jacobian, weights)[:read]


class Products(NamedTuple):
    """Products of amplitudes (product,) and their derivatives (curved, product) in the first entries of the vector."""

    values: Array
    slopes: Array


class _Seen(NamedTuple):
    """What an experiment reads of the first entries of the vector, `values` (seen,).

    And its derivatives: in these entries at fixed products of amplitudes, `of_first` (curved, seen), and in the products,
    `of_products` (product, seen).
    """

    values: Array
    of_first: Array
    of_products: Array


def n_curved(joint: JointLikelihood) -> int:
    """Number of the user's parameters and theory inputs; they come first in the vector."""
    return joint.n_own + len(joint.of_kind("theory"))


def places_seen(joint: JointLikelihood, k: int) -> np.ndarray:
    """Places in the vector of what counts of the k-th experiment may depend on: the first entries, and nuisances it declares."""
    few, declared = n_curved(joint), joint.experiments[k].pulls
    return np.array([i for i, p in enumerate(joint.parameters) if i < few or p.name in declared], dtype=int)


def products_at(joint: JointLikelihood, to_parameters: ToParameters, z: Array) -> Products:
    """Products of amplitudes at a vector (n,)."""
    few = n_curved(joint)

    def products(first: Array) -> Array:
        return joint.products_vector(to_parameters(jnp.concatenate([first, z[few:]])))

    values, push = jax.linearize(products, z[:few])
    return Products(values, jax.vmap(push)(jnp.eye(few)))


def slopes_of(joint: JointLikelihood, to_parameters: ToParameters, z: Array, k: int, products: Products) -> Slopes:
    """Counts of the k-th experiment and their derivatives at a vector (n,), where the products of amplitudes are known."""
    seen = _seen(joint, to_parameters, z, k, products.values)
    rows = seen.of_first + products.slopes @ seen.of_products
    return _slopes(joint, to_parameters, z, k, places_seen(joint, k), seen, rows)


def slopes_apart(joint: JointLikelihood, to_parameters: ToParameters, w: Array, k: int) -> Slopes:
    """Counts of the k-th experiment and their derivatives at w = (products of amplitudes, vector), all entries independent."""
    n_products = len(w) - len(joint.parameters)
    seen = _seen(joint, to_parameters, w[n_products:], k, w[:n_products])
    places = np.concatenate([np.arange(n_products), n_products + places_seen(joint, k)])
    rows = jnp.concatenate([seen.of_products, seen.of_first])
    return _slopes(joint, to_parameters, w[n_products:], k, places, seen, rows)


def _seen(joint: JointLikelihood, to_parameters: ToParameters, z: Array, k: int, products: Array) -> _Seen:
    """What the k-th experiment reads at a vector (n,) and products of amplitudes (product,)."""
    few = n_curved(joint)

    def seen(first: Array, values: Array) -> Array:
        return joint.seen_of_experiment(k, to_parameters(jnp.concatenate([first, z[few:]])), values)

    values, push = jax.linearize(seen, z[:few], products)
    of_first = jax.vmap(lambda first: push(first, jnp.zeros_like(products)))(jnp.eye(few))
    of_products = jax.vmap(lambda one: push(jnp.zeros(few), one))(jnp.eye(len(products)))
    return _Seen(values, of_first, of_products)


def _slopes(
    joint: JointLikelihood, to_parameters: ToParameters, z: Array, k: int, places: np.ndarray, seen: _Seen, rows: Array
) -> Slopes:
    """Counts and derivatives, from what the experiment reads and how that depends on the first places, `rows` (first, seen)."""
    own = places_seen(joint, k)[n_curved(joint) :]
    first, read = rows.shape
    is_narrow = read <= first
    directions = jnp.eye(read) if is_narrow else rows
    # Parameters are functions of their own entry of the vector each.
    x, stretch = jax.jvp(to_parameters, (z,), (jnp.ones_like(z),))
    counts, jacobian = _rows(joint, x, k, seen.values, directions, own)
    factors = jnp.concatenate([jnp.ones(len(directions)), stretch[own]])
    jacobian = tuple(piece.scaled(factors) for piece in jacobian)
    if is_narrow:
        return Slopes(places, counts, jacobian, rows, seen.of_products)
    return Slopes(places, counts, jacobian, jnp.eye(first), None)


def _rows(
    joint: JointLikelihood, x: Array, k: int, seen: Array, directions: Array, own: np.ndarray
) -> tuple[Array, tuple[Piece, ...]]:
    """Counts (bin,) at parameters (n,) and their derivatives (direction + own, bin) in directions (direction, seen) of what the
    experiment reads, and in the nuisances at the places `own`."""
    if joint.method == "templates":
        return joint.templates[k].slopes_of(seen, directions, joint.split(x)[2], [joint.names[i] for i in own])

    def counts(some: Array, nuisances: Array) -> Array:
        return joint.counts_of_seen(k, x.at[own].set(nuisances), some)

    found, push = jax.linearize(counts, seen, x[own])
    n = len(directions)
    rows = jax.vmap(push)(jnp.pad(directions, ((0, len(own)), (0, 0))), jnp.eye(n + len(own))[:, n:])
    return found, (Piece(rows),)


def slopes_of_all(joint: JointLikelihood, to_parameters: ToParameters, z: Array) -> list[Slopes]:
    """The same for every experiment, in order."""
    products = products_at(joint, to_parameters, z)
    return [slopes_of(joint, to_parameters, z, k, products) for k in range(len(joint.experiments))]


def counts_of(parts: Sequence[Slopes]) -> Array:
    """Counts of all experiments (bin,)."""
    return jnp.concatenate([jnp.zeros(0), *(part.counts for part in parts)])


def weights_of_products(parts: Sequence[Slopes], residual: Array) -> Array | None:
    """Derivatives (product,) in the products of amplitudes of the sum over bins of residual (bin,) times counts; None where some
    experiment is not differentiated in what it reads of them."""
    total, first = [], 0
    for part in parts:
        total.append(part.weights_of_products(residual[first : first + len(part.counts)]))
        first += len(part.counts)
    known = [weights for weights in total if weights is not None]
    return sum(known[1:], known[0]) if known and len(known) == len(total) else None


def gradient_and_curvature(n: int, parts: Sequence[Slopes], residual: Array, bend: Array) -> tuple[Array, Array]:
    """Sum over bins of residual times the gradient of counts (n,), and of bend times its outer product with itself (n, n).

    Args:
        n: length of the vector.
        parts: of every experiment.
        residual, bend: weight of every bin (bin,), experiments one after another.
    """
    gradient, curvature, first = jnp.zeros(n), jnp.zeros((n, n)), 0
    for part in parts:
        here = slice(first, first + len(part.counts))
        gradient = gradient + aligned(part.gradient(residual[here]), part.places, range(n))
        curvature = curvature + aligned_both_ways(part.square(bend[here]), part.places, range(n))
        first += len(part.counts)
    return gradient, curvature
