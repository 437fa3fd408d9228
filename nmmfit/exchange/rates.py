"""Expected counts of a joint likelihood as polynomials in the coefficients of the run.

Rates are linear in products of amplitudes, and amplitudes are linear in the coefficients c, so that at given theory inputs and
pulls the counts are n = sum_m K_m m(c) over the monomials 1, c_i and c_i c_j, exactly.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.exchange.monomials import Monomial, quadratic
from nmmfit.experiment import constraints
from nmmfit.inference.joint import JointLikelihood
from nmmfit.shapes import Array


def monomials_of(joint: JointLikelihood) -> tuple[Monomial, ...]:
    """The monomials of `rate_polynomials`, in its order."""
    return quadratic(joint.n_coefficients)


def product_columns(joint: JointLikelihood, vector: Array) -> Array:
    """(pair, monomial): products of amplitudes per monomial, at the theory inputs of a vector (parameter,)."""
    n = joint.n_coefficients
    _, theory, _ = joint.split(vector)
    held = jnp.asarray(list(joint.fixed_coefficients.values()), dtype=jnp.float64)
    linear = joint.linear_amplitudes(theory)

    def products(free: Array) -> Array:
        return joint.amplitudes.products(linear @ jnp.concatenate([free, held]))

    zero = jnp.zeros(n)
    constant, slope, curved = products(zero), jax.jacfwd(products)(zero), jax.jacfwd(jax.jacfwd(products))(zero)
    first, second = np.triu_indices(n)
    pairs = curved[:, first, second] * np.where(first == second, 0.5, 1.0)
    return jnp.concatenate([constant[:, None], slope, pairs], axis=1)


def rate_polynomials(joint: JointLikelihood, vector: Array) -> Array:
    """(monomial, bin of all channels): counts per monomial, at the theory inputs and pulls of a vector (parameter,).

    The coefficients in the vector do not matter. Pure and traceable.
    """
    columns = product_columns(joint, vector)
    base, push = jax.linearize(lambda products: joint.counts_of_products(vector, products), jnp.zeros(columns.shape[0]))
    per_monomial = jax.vmap(push)(columns.T)
    return per_monomial.at[0].add(base)


def own_constraints(joint: JointLikelihood, vector: Array) -> Array:
    """Sum of the experiments' own constraints (a sum rule, say), log densities; the priors of pulls are not among them."""
    _, _, pulls = joint.split(vector)
    terms = [constraint(pulls) for constraint in constraints(joint.experiments).values()]
    return jnp.sum(jnp.stack(terms)) if terms else jnp.asarray(0.0)


def channel_slices(joint: JointLikelihood) -> dict[str, slice]:
    """Where the bins of each channel, `experiment.channel`, stand among all bins."""
    found, first = {}, 0
    for name, channel in joint.channels.items():
        last = first + len(np.ravel(channel.observed))
        found[name] = slice(first, last)
        first = last
    return found
