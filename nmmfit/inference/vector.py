"""Functions of one real vector that minimisers see: likelihood, posterior, constrained quantities.

The vector is that of the joint likelihood, except that a theory input, a nuisance or a parameter of a model whose prior lives on
a part of the line only (a uniform one, say) stands there as the unconstrained image of its value, so that no minimiser leaves the
allowed range. Coefficients are always themselves: their priors, ranges included, do not enter fits and profiles. Of
the priors of a model's parameters only the ranges do.

Objects made from the same likelihood are equal, so that what is compiled for one serves all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.shear import Shear
from nmmfit.inference.slopes import (
    Slopes,
    counts_of,
    gradient_and_curvature,
    n_curved,
    slopes_of_all,
    weights_of_products,
)
from nmmfit.kept import digest
from nmmfit.numerics.rows import aligned_both_ways
from nmmfit.shapes import Array


class Ranges:
    """The bounded parameters of a likelihood and their images on the real line."""

    def __init__(self, joint: JointLikelihood, without: Collection[str] = ()) -> None:
        self.bounded = tuple(
            (i, p.bijection)
            for i, p in enumerate(joint.parameters)
            # A phase has no end: it goes round, as coefficients go where they like.
            if p.kind != "coefficient" and not p.is_unbounded and p.period is None and p.name not in without
        )

    def to_parameters(self, z: Array | np.ndarray) -> Array:
        """Parameters (..., n) of the vector."""
        x = jnp.asarray(z)
        for i, bijection in self.bounded:
            x = x.at[..., i].set(bijection(x[..., i]))
        return x

    def from_parameters(self, x: np.ndarray) -> np.ndarray:
        """The vector of parameters (..., n); a value at the edge of its range goes to the middle."""
        z = np.array(x, dtype=float)
        for i, bijection in self.bounded:
            image = np.asarray(bijection.inv(z[..., i]))
            z[..., i] = np.where(np.isfinite(image), image, 0.0)
        return z

    def stretch(self, z: np.ndarray) -> np.ndarray:
        """(n,) derivative of every parameter with respect to its entry of the vector, at a point (n,)."""
        out = np.ones(len(z))
        for i, bijection in self.bounded:
            out[i] = float(np.exp(bijection.log_abs_det_jacobian(z[i], bijection(z[i]))))
        return out


class _OfJoint:
    """A function that is the same for the same likelihood."""

    def __init__(self, joint: JointLikelihood) -> None:
        self.joint = joint
        self.ranges = Ranges(joint)
        self.curved = n_curved(joint)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, _OfJoint) and other.joint is self.joint

    def __hash__(self) -> int:
        return hash((type(self), id(self.joint)))

    def __reduce__(self) -> Any:
        return type(self), (self.joint,)

    @property
    def fingerprint(self) -> str | None:
        """Digest of all that the function depends on; None where the likelihood has none."""
        known = self.joint.fingerprint
        return None if known is None else digest([type(self).__qualname__, known])

    def sheared(self, z: Array, shear: Shear) -> Array:
        """A vector (n,) with dipole coefficients as a shear has them."""
        return z.at[: self.joint.n_coefficients].add(shear.offset(self.joint, self.ranges.to_parameters(z)))

    def unsheared(self, y: Array, shear: Shear) -> Array:
        """The vector (n,) of a sheared one."""
        return y.at[: self.joint.n_coefficients].add(-shear.offset(self.joint, self.ranges.to_parameters(y)))


def curvature_of_counts(
    joint: JointLikelihood,
    ranges: Ranges,
    z: Array,
    residual: Array,
    counts: Callable[[Array, Array], Array],
    parts: Sequence[Slopes],
) -> Array:
    """Hessian of residual . counts in the user's parameters and theory inputs, (curved, curved).

    Args:
        joint, ranges: the likelihood and the ranges of its vector.
        z: vector (n,).
        residual: weight of every bin.
        counts: counts of those bins from the parameters (n,) and the products of amplitudes (product,).
        parts: their derivatives, experiment by experiment.
    """
    curved = n_curved(joint)
    few = z[:curved]

    def whole(y: Array) -> Array:
        return jnp.concatenate([y, z[curved:]])

    # counts are linear in the products of amplitudes: one weight per product, then a small function
    def products(y: Array) -> Array:
        return joint.products_vector(ranges.to_parameters(whole(y)))

    if joint.floats_mass:  # counts depend on the mass beside the products
        return jax.hessian(lambda y: residual @ counts(ranges.to_parameters(whole(y)), products(y)))(few)
    weights = weights_of_products(parts, residual)
    if weights is None:
        weights = jax.grad(lambda p: residual @ counts(ranges.to_parameters(z), p))(products(few))
    return jax.hessian(lambda y: weights @ products(y))(few)


def curvature_of_constraints(joint: JointLikelihood, ranges: Ranges, z: Array) -> Array:
    """Hessian (n, n) of the log densities of constraints, pulls and theory inputs at a vector (n,).

    Priors are independent: one product with ones gives their second derivatives, all on the diagonal. Experiments' own
    constraints are differentiated in the nuisances that they may depend on.
    """

    def priors(y: Array) -> Array:
        return joint.other_prior_vector(ranges.to_parameters(y))

    found = jnp.diag(jax.jvp(jax.grad(priors), (z,), (jnp.ones_like(z),))[1])
    places = joint.constrained
    if not len(places):
        return found

    def own(some: Array) -> Array:
        return joint.own_constraints_vector(ranges.to_parameters(z.at[places].set(some)))

    return found + aligned_both_ways(jax.hessian(own)(z[places]), places, range(len(z)))


class NegativeLogLikelihood(_OfJoint):
    """Minus log likelihood with constraint, pull and theory-prior terms; coefficient priors do not enter.

    `second_order` is what makes Newton steps cheap.
    """

    def __call__(self, z: Array) -> Array:
        value: Array = self.joint.nll_vector(self.ranges.to_parameters(z))
        return value

    def counts(self, z: Array) -> Array:
        """Expected counts of all channels, (bin,)."""
        expected = self.joint.expected_vector(self.ranges.to_parameters(z))
        return jnp.concatenate([expected[name] for name in self.joint.channels])

    def constraint(self, z: Array) -> Array:
        """Log densities of constraints, pulls and theory inputs."""
        value: Array = self.joint.constraint_vector(self.ranges.to_parameters(z))
        return value

    def of_counts(self, mean: Array) -> Array:
        """Minus log probability of the data, from expected counts (bin,)."""
        expected, first = {}, 0
        for name, channel in self.joint.channels.items():
            expected[name] = mean[first : first + len(channel.observed)]
            first += len(channel.observed)
        value: Array = -self.joint.data_of_counts(expected)
        return value

    def second_order(self, z: Array) -> tuple[Array, Array, Array]:
        """Value, gradient (n,) and Hessian (n, n), the latter without the second derivatives of counts in the nuisances.

        With counts mu, their Jacobian J and minus log probabilities l_b(mu_b) of the bins, the Hessian is J^T diag(l'') J + sum_b
        l'_b mu_b'' minus the constraints' one; l' = 1 - n / mu and l'' = n / mu^2 for Poisson counts. The middle term is kept
        for the user's parameters and theory inputs, where it is all there is at zero dipole; for nuisances it is a sum over
        residuals of either sign, small wherever the fit is any good, and dear.
        """
        parts = slopes_of_all(self.joint, self.ranges.to_parameters, z)
        mean = counts_of(parts)
        of_data, residual = jax.value_and_grad(self.of_counts)(mean)
        # Bins are independent: one product with ones gives every second derivative.
        curved = jax.jvp(jax.grad(self.of_counts), (mean,), (jnp.ones_like(mean),))[1]
        bent = curvature_of_counts(self.joint, self.ranges, z, residual, self.joint.counts_of_products, parts)
        constraint, pull = jax.value_and_grad(self.constraint)(z)
        gradient, hessian = gradient_and_curvature(z.shape[0], parts, residual, curved)
        hessian = (hessian - curvature_of_constraints(self.joint, self.ranges, z)).at[: self.curved, : self.curved].add(bent)
        return of_data - constraint, gradient - pull, hessian


class NegativeLogPosterior(_OfJoint):
    """Minus log posterior density of the parameters; infinite where a coefficient is outside its prior's range."""

    def __call__(self, z: Array) -> Array:
        x = self.ranges.to_parameters(z)
        inside = jnp.asarray(True)
        for i, p in enumerate(self.joint.of_kind("coefficient")):
            inside = inside & jnp.all(p.prior.support(x[i]))
        return jnp.where(inside, -self.joint.log_prob_vector(x), jnp.inf)


class Quantities(_OfJoint):
    """The identified quantities, then the bounded parameters, z -> (q,).

    An identified quantity is the norm of a vector that is linear in the couplings, hence of a small triangular matrix times the
    amplitudes. At zero, where a norm has no gradient, its derivatives are given as zero.
    """

    def __init__(self, joint: JointLikelihood) -> None:
        super().__init__(joint)
        self.factors = []
        for item in joint.identified:
            units = [
                np.asarray(item.vector(joint.amplitudes.couplings(jnp.asarray(unit)))) for unit in np.eye(joint.amplitudes.size)
            ]
            columns = np.stack(units, axis=1) if units else np.zeros((1, 0))
            self.factors.append(np.linalg.qr(columns, mode="r"))

    @property
    def fingerprint(self) -> str | None:
        """As of the others, with the quantities."""
        known = super().fingerprint
        told = [part for factor in map(np.asarray, self.factors) for part in (str(factor.shape), factor.tobytes())]
        return None if known is None else digest([known, *told])

    def __call__(self, z: Array) -> Array:
        x = self.ranges.to_parameters(z)
        values: list[Any] = []
        if self.factors:
            coefficients, theory, _ = self.joint.split(x)
            amplitudes = self.joint.linear_amplitudes(theory) @ coefficients
            squared = jnp.stack([jnp.sum((jnp.asarray(factor) @ amplitudes) ** 2) for factor in self.factors])
            positive = squared > 0
            values.append(jnp.where(positive, jnp.sqrt(jnp.where(positive, squared, 1.0)), 0.0))
        values.extend(x[i][None] for i, _ in self.ranges.bounded)
        return jnp.concatenate(values) if values else jnp.zeros(0)
