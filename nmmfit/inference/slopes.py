"""Derivatives of expected counts, experiment by experiment: each depends on few nuisances, and is differentiated in those alone.

Counts of an experiment are functions of the products of amplitudes, which all experiments share, of what comes first in the
vector (the user's parameters and theory inputs), and of the nuisances that the experiment declares. Differentiating all counts
in all entries at once would push every nuisance through every experiment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.inference.joint import JointLikelihood
from nmmfit.shapes import Array

ToParameters = Callable[[Array], Array]
"""Vector (n,) -> parameters (n,), entry by entry."""


class Slopes(NamedTuple):
    """Counts (bin,) of one experiment and their derivatives `jacobian` (place, bin) in some `places` of a vector; they do not
    depend on the others."""

    places: np.ndarray
    counts: Array
    jacobian: Array


class Products(NamedTuple):
    """Products of amplitudes (product,) and their derivatives (curved, product) in the first entries of the vector."""

    values: Array
    slopes: Array


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
        coefficients, theory, _ = joint.split(to_parameters(jnp.concatenate([first, z[few:]])))
        return joint.amplitudes.products(joint.linear_amplitudes(theory) @ coefficients)

    values, push = jax.linearize(products, z[:few])
    return Products(values, jax.vmap(push)(jnp.eye(few)))


def slopes_of(joint: JointLikelihood, to_parameters: ToParameters, z: Array, k: int, products: Products) -> Slopes:
    """Counts of the k-th experiment and their derivatives at a vector (n,), where the products of amplitudes are known."""
    places = places_seen(joint, k)
    few = n_curved(joint)

    def counts(seen: Array, values: Array) -> Array:
        return joint.counts_of_experiment(k, to_parameters(z.at[places].set(seen)), values)

    mean, push = jax.linearize(counts, z[places], products.values)
    moved = jnp.zeros((len(places), len(products.values))).at[:few].set(products.slopes)
    return Slopes(places, mean, jax.vmap(push)(jnp.eye(len(places)), moved))


def slopes_apart(joint: JointLikelihood, to_parameters: ToParameters, w: Array, k: int) -> Slopes:
    """Counts of the k-th experiment and their derivatives at w = (products of amplitudes, vector), all entries independent."""
    seen = places_seen(joint, k)
    n_products = len(w) - len(joint.parameters)
    places = np.concatenate([np.arange(n_products), n_products + seen])

    def counts(some: Array) -> Array:
        values, few = some[:n_products], some[n_products:]
        return joint.counts_of_experiment(k, to_parameters(w[n_products:].at[seen].set(few)), values)

    mean, push = jax.linearize(counts, w[places])
    return Slopes(places, mean, jax.vmap(push)(jnp.eye(len(places))))


def slopes_of_all(joint: JointLikelihood, to_parameters: ToParameters, z: Array) -> list[Slopes]:
    """The same for every experiment, in order."""
    products = products_at(joint, to_parameters, z)
    return [slopes_of(joint, to_parameters, z, k, products) for k in range(len(joint.experiments))]


def counts_of(parts: Sequence[Slopes]) -> Array:
    """Counts of all experiments (bin,)."""
    return jnp.concatenate([jnp.zeros(0), *(part.counts for part in parts)])


def gradient_and_curvature(n: int, parts: Sequence[Slopes], residual: Array, bend: Array) -> tuple[Array, Array]:
    """Sum over bins of residual times the gradient of counts (n,), and of bend times its outer product with itself (n, n).

    Args:
        n: length of the vector.
        parts: of every experiment.
        residual, bend: weight of every bin (bin,), experiments one after another.
    """
    gradient, curvature, first = jnp.zeros(n), jnp.zeros((n, n)), 0
    for places, counts, jacobian in parts:
        here = slice(first, first + len(counts))
        gradient = gradient.at[places].add(jacobian @ residual[here])
        curvature = curvature.at[np.ix_(places, places)].add((jacobian * bend[here]) @ jacobian.T)
        first += len(counts)
    return gradient, curvature
