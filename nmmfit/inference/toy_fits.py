"""Toy experiments and their fits: data and centres of constraints drawn at a point, and minimised as the data are.

Toys are data of one compiled minimiser (`nmmfit.inference.minimise`): exact second derivatives in coefficients, where a dipole
at zero has a saddle or a quartic valley, and starts from the point that made the toys and from scattered ones.

A likelihood may be taken apart: every experiment then has its own copy of the user's parameters, all else is shared as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln
from numpyro import distributions as dist

from nmmfit.experiment import Channel
from nmmfit.inference.data import log_probability, poisson
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.minimise import Problems, Progress, minimise, no_quantities
from nmmfit.inference.shear import Shear
from nmmfit.inference.slopes import Slopes, counts_of, gradient_and_curvature, n_curved, products_at, slopes_of, slopes_of_all
from nmmfit.inference.space import Target, space_of
from nmmfit.inference.vector import curvature_of_constraints, curvature_of_counts
from nmmfit.kept import digest
from nmmfit.numerics.rows import aligned_both_ways
from nmmfit.run_once import jit_once
from nmmfit.shapes import Array

TOLERANCE = 1e-5
"""Estimated height above the minimum, in units of minus log likelihood, at which a toy's fit has converged."""


MOST_ITERATIONS = 120
"""Hessians of one fit; valleys in which a dipole and tensors cancel are narrow and bent, and take many."""

UNDERCUT = 1e-3
"""By how much a start that did not converge may be lower than the best one that did."""


class Data(NamedTuple):
    """What fluctuates: `counts` (..., bin) of all channels, and `centres` (..., constraint) of the normal constraints."""

    counts: Array | np.ndarray
    centres: Array | np.ndarray

    def take(self, index: np.ndarray) -> Data:
        """The toys at these places."""
        return Data(self.counts[index], self.centres[index])


class ToyLikelihood:
    """Minus log likelihood with constraints as a function of the vector and of the data.

    The vector is (user's parameters, copy after copy; theory inputs; nuisances): one copy, or, taken `apart`, one for every
    experiment. Objects made of the same likelihood in the same way are equal, so that they share what is compiled.

    Attributes:
        copies: copies of the user's parameters. `n`: length of the vector.
        observed: the data that were measured.
        bounds: places in `counts` where experiments begin, (experiment + 1,).
    """

    def __init__(self, joint: JointLikelihood, apart: bool = False) -> None:
        self.joint, self.space = joint, space_of(joint)
        self.apart = apart
        self.copies = len(joint.experiments) if apart else 1
        self.n = self.space.n + (self.copies - 1) * joint.n_own
        parameters = joint.parameters
        # Priors of the user's parameters are no part of a likelihood.
        self._normal = np.array([i for i, p in enumerate(parameters) if p.is_normal and i >= joint.n_own], dtype=int)
        self._centres = np.array([float(parameters[i].prior.loc) for i in self._normal])
        self._widths = np.array([float(parameters[i].prior.scale) for i in self._normal])
        self._channels = [(c, len(c.observed)) for c in joint.channels.values()]
        self.bounds = np.cumsum([0, *(sum(len(c.observed) for c in e.channels) for e in joint.experiments)])
        counts = np.concatenate([np.zeros(0), *joint.observed.values()])
        self._basis: np.ndarray | None = None
        self.observed = Data(counts, self._centres)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ToyLikelihood) and other.joint is self.joint and other.apart == self.apart

    def __hash__(self) -> int:
        return hash((id(self.joint), self.apart))

    def __reduce__(self) -> Any:
        return ToyLikelihood, (self.joint, self.apart)

    @property
    def fingerprint(self) -> str | None:
        """Digest of all that the function depends on; None where the likelihood has none."""
        known = self.joint.fingerprint
        return None if known is None else digest([type(self).__qualname__, str(self.apart), known])

    # -- vectors ------------------------------------------------------------------------------------------------------

    def places(self, copy: int) -> np.ndarray:
        """Places in this vector of the entries of the joint likelihood's vector, as one copy sees it, (n of the joint,)."""
        own = self.joint.n_own
        return np.concatenate([copy * own + np.arange(own), self.copies * own + np.arange(self.space.n - own)])

    def spread(self, z: np.ndarray) -> np.ndarray:
        """Vectors (..., n) with every copy as in vectors (..., n of the joint) of the joint likelihood."""
        own = self.joint.n_own
        return np.concatenate([*[z[..., :own]] * self.copies, z[..., own:]], axis=-1)

    def basis(self) -> np.ndarray:
        """Displacements (n, n): those of `Space.basis`, for every copy what its experiment sees."""
        start = self.space.start
        if not self.apart:
            return self.space.basis(start)
        if self._basis is None:
            matrix = np.zeros((self.n, self.n))
            for copy in range(self.copies):
                places = self.places(copy)
                matrix[np.ix_(places, places)] = self.space.basis(start, seen=self.space.seen_by(copy))
            self._basis = matrix
        return self._basis

    # -- the function -------------------------------------------------------------------------------------------------

    def counts(self, z: Array) -> Array:
        """Expected counts of all channels (bin,)."""
        if not self.apart:
            return self.space.nll.counts(z)
        parts = [jnp.zeros(0)]
        for k in range(self.copies):
            x = self.space.ranges.to_parameters(z[self.places(k)])
            parts.append(self.joint.counts_of_experiment(k, x, self.joint.products_vector(x)))
        return jnp.concatenate(parts)

    def log_prob(self, mean: Array, data: Array) -> Array:
        """Log probability of every bin, (bin,)."""
        parts, first = [jnp.zeros(0)], 0
        for channel, size in self._channels:
            here = slice(first, first + size)
            parts.append(_log_prob(channel, mean[here], data[here]))
            first += size
        return jnp.concatenate(parts)

    def saturated(self, data: Array) -> Array:
        """Log probability of every bin where the expectation is the data, (bin,)."""
        best, first = [jnp.zeros(0)], 0
        for channel, size in self._channels:
            counts = data[first : first + size]
            # Of no counts expected the logarithm is minus infinity times nothing; a count of 1e-300 is as good.
            best.append(jnp.maximum(counts, 1e-300) if channel.distribution is dist.Poisson else counts)
            first += size
        return self.log_prob(jnp.concatenate(best), data)

    def deviance(self, z: Array, counts: Array) -> Array:
        """Deviance of counts (bin,) at a vector (n,)."""
        return 2.0 * jnp.sum(self.saturated(counts) - self.log_prob(self.counts(z), counts))

    def of_data(self, mean: Array, data: Array) -> Array:
        """Log probability of the data, without what depends on Poisson data alone: () of (bin,), or (point,) of (bin, point)."""
        total, first = jnp.zeros(mean.shape[1:]), 0
        for channel, size in self._channels:
            here = slice(first, first + size)
            total = total + log_probability(channel, mean[here], data[here])
            first += size
        return total

    def bend(self, mean: Array, data: Array) -> Array:
        """Second derivatives of minus the log probability of every bin, (bin,), those below zero as zero."""

        def alone(mu: Array) -> Array:
            return -self.of_data(mu, data)

        # Bins are independent: one product with ones gives every second derivative.
        return jnp.maximum(jax.jvp(jax.grad(alone), (mean,), (jnp.ones_like(mean),))[1], 0.0)

    def expected(self, z: np.ndarray) -> Data:
        """Asimov data at a vector (n,): counts as expected, centres at the values there."""
        counts = np.asarray(_counts(self, jnp.asarray(z)))
        x = np.asarray(self.space.ranges.to_parameters(np.asarray(z)[self.places(0)]))
        return Data(counts, x[self._normal])

    def constraint(self, z: Array, centres: Array) -> Array:
        """Log densities of the constraints, with other centres, at a vector of the joint likelihood."""
        x = self.space.ranges.to_parameters(z)[self._normal]
        moved = jnp.sum((centres - self._centres) / self._widths**2 * (x - 0.5 * (centres + self._centres)))
        return self.space.nll.constraint(z) + moved

    def __call__(self, z: Array, data: Data) -> Array:
        """Minus log likelihood with constraints."""
        of_data = jnp.sum(self.log_prob(self.counts(z), jnp.asarray(data.counts)))
        return -(of_data + self.constraint(z[self.places(0)], jnp.asarray(data.centres)))

    def second_order(self, z: Array, data: Data) -> tuple[Array, Array, Array]:
        """Value, gradient (n,) and Hessian (n, n), without second derivatives of counts in the nuisances, as in
        `NegativeLogLikelihood`."""
        parts = self._slopes(z)
        mean = counts_of(parts)

        def alone(mu: Array) -> Array:
            return -jnp.sum(self.log_prob(mu, jnp.asarray(data.counts)))

        value, slope = jax.value_and_grad(alone)(mean)
        bend = self.bend(mean, jnp.asarray(data.counts))

        def constraint(y: Array) -> Array:
            return -self.constraint(y, jnp.asarray(data.centres))

        shared = self.places(0)
        pull = jax.value_and_grad(constraint)(z[shared])
        gradient, hessian = gradient_and_curvature(self.n, parts, slope, bend)
        # Centres move constraints that are normal in the vector itself: curvatures stay.
        tight = curvature_of_constraints(self.joint, self.space.ranges, z[shared])
        hessian = hessian - aligned_both_ways(tight, shared, range(self.n))
        few = n_curved(self.joint)
        for copy in range(self.copies):
            curved = self.places(copy)[:few]
            bent = curvature_of_counts(
                self.joint,
                self.space.ranges,
                z[self.places(copy)],
                self._part(copy, slope),
                partial(self._counts_of, copy),
                parts[copy : copy + 1] if self.apart else parts,
            )
            hessian = hessian + aligned_both_ways(bent, curved, range(self.n))
        return value + pull[0], gradient.at[shared].add(pull[1]), hessian

    def _slopes(self, z: Array) -> list[Slopes]:
        """Counts of every experiment and their derivatives, at a vector (n,)."""
        to_parameters = self.space.ranges.to_parameters
        if not self.apart:
            return slopes_of_all(self.joint, to_parameters, z)
        found = []
        for k in range(self.copies):
            places = self.places(k)
            part = slopes_of(self.joint, to_parameters, z[places], k, products_at(self.joint, to_parameters, z[places]))
            found.append(part._replace(places=places[part.places]))
        return found

    def _part(self, copy: int, bins: Array) -> Array:
        """Entries of an array (bin,) that depend on one copy."""
        return bins[self.bounds[copy] : self.bounds[copy + 1]] if self.apart else bins

    def _counts_of(self, copy: int, x: Array, products: Array) -> Array:
        """Counts that depend on one copy, from parameters and products of amplitudes."""
        of_all = self.joint.counts_of_products
        return self.joint.counts_of_experiment(copy, x, products) if self.apart else of_all(x, products)

    # -- where dipoles and tensors cancel -----------------------------------------------------------------------------

    @property
    def curved(self) -> int:
        """Leading entries of the vector that a shear may involve."""
        return (self.copies - 1) * self.joint.n_own + self.space.nll.curved

    def shear(self) -> Shear | None:
        """The shear of every copy, where everything is free; None if there is nothing to shear."""
        return self.space.shear(self.space.start, range(self.space.n))

    def sheared(self, z: Array, shear: Shear) -> Array:
        """A vector (n,) with dipole coefficients as a shear has them."""
        return self._moved(z, shear, 1.0)

    def unsheared(self, y: Array, shear: Shear) -> Array:
        """The vector (n,) of a sheared one."""
        return self._moved(y, shear, -1.0)

    def _moved(self, z: Array, shear: Shear, sign: float) -> Array:
        own, number = self.joint.n_own, self.joint.n_coefficients

        def offset(copy: Array) -> Array:
            x = self.space.ranges.to_parameters(jnp.concatenate([copy, z[self.copies * own :]]))
            return sign * shear.offset(self.joint, x)

        copies = z[: self.copies * own].reshape(self.copies, own)
        copies = copies.at[:, :number].add(jax.vmap(offset)(copies))
        return z.at[: self.copies * own].set(copies.reshape(-1))

    # -- toys ---------------------------------------------------------------------------------------------------------

    def draw(self, z: np.ndarray, keys: Array) -> Data:
        """Toys drawn at a vector (n,), one per key, arrays with leading axis `toy`."""
        # Compiled quickly: what draws a chunk takes longer to compile than to run.
        known = self.joint.compiled
        if ("drawn", self) not in known:
            known["drawn", self] = jit_once(partial(_drawn, self))
        counts, centres = known["drawn", self](jnp.asarray(z), keys)
        return Data(np.asarray(counts), np.asarray(centres))


def _log_prob(channel: Channel, mean: Array, data: Array) -> Array:
    """Log probability of a channel's bins; of a Poisson distribution also for data that are no whole numbers (Asimov)."""
    if channel.distribution is dist.Poisson:
        scale = jnp.maximum(data, 1.0)
        return poisson(mean, data) + (data * jnp.log(scale) - scale - gammaln(data + 1.0))
    return jnp.asarray(channel.distribution(mean).log_prob(data))


@partial(jax.jit, static_argnums=0)
def _counts(likelihood: ToyLikelihood, z: Array) -> Array:
    return likelihood.counts(z)


def _drawn(likelihood: ToyLikelihood, z: Array, keys: Array) -> tuple[Array, Array]:
    mean, pulls = likelihood.counts(z), z[likelihood.places(0)][likelihood._normal]

    def one(key: Array) -> tuple[Array, Array]:
        data_key, centre_key = jax.random.split(key)
        parts, first = [jnp.zeros(0)], 0
        channels = likelihood._channels
        for (channel, size), k in zip(channels, jax.random.split(data_key, max(1, len(channels))), strict=False):
            parts.append(jnp.asarray(channel.distribution(mean[first : first + size]).sample(k), dtype=jnp.float64))
            first += size
        return jnp.concatenate(parts), pulls + likelihood._widths * jax.random.normal(centre_key, pulls.shape)

    return jax.lax.map(one, keys)


@partial(jax.jit, static_argnums=0)
def _values(likelihood: ToyLikelihood, z: Array, data: Data) -> Array:
    return jax.lax.map(lambda pair: likelihood(*pair), (z, data))


class Fitted(NamedTuple):
    """Fits of toys: vectors `z` (toy, n), minus log likelihoods `value` (toy,), and whether each `converged` (toy,)."""

    z: np.ndarray
    value: np.ndarray
    converged: np.ndarray

    def take(self, index: np.ndarray) -> Fitted:
        """The toys at these places."""
        return Fitted(self.z[index], self.value[index], self.converged[index])


def thrown(
    likelihood: ToyLikelihood, z: np.ndarray, throws: Sequence[float] | np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Starts (..., start, n): vectors (..., n), then one for every entry of `throws`, coefficients thrown by so many units of
    sensitivity; nothing but the vectors where there is nothing to throw."""
    own = likelihood.copies * likelihood.joint.n_own
    if not own:
        return np.asarray(z)[..., None, :]
    size = np.array([0.0, *throws])[:, None]
    steps = np.zeros((*z.shape[:-1], len(size), likelihood.n))
    steps[..., :own] = size * rng.normal(size=(*steps.shape[:-1], own))
    return moved(likelihood, z[..., None, :], steps @ likelihood.basis().T)


def moved(likelihood: ToyLikelihood, z: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Vectors (..., n) and steps that broadcast against them, taken where dipoles are sheared.

    What a step of dipoles and tensors leaves alone depends on theory inputs; there it is what the basis takes it for.
    """
    shear = likelihood.shear()
    if shear is None:
        return np.asarray(z + steps)
    z, steps = np.broadcast_arrays(z, steps)
    flat = np.asarray(_stepped(likelihood, jnp.asarray(z.reshape(-1, likelihood.n)), steps.reshape(-1, likelihood.n), shear))
    return flat.reshape(z.shape)


@partial(jax.jit, static_argnums=0)
def _stepped(likelihood: ToyLikelihood, z: Array, steps: Array, shear: Shear) -> Array:
    return jax.vmap(lambda at, by: likelihood.unsheared(likelihood.sheared(at, shear) + by, shear))(z, steps)


@partial(jax.jit, static_argnums=0)
def sheared(likelihood: ToyLikelihood, z: Array, shear: Shear) -> Array:
    """Vectors (toy, n) as a shear has them."""
    return jax.vmap(lambda at: likelihood.sheared(at, shear))(z)


def fit_toys(
    likelihood: ToyLikelihood,
    data: Data,
    starts: np.ndarray,
    progress: Progress | None = None,
    *,
    target: Target | None = None,
    at: float = 0.0,
) -> Fitted:
    """The lowest minimum of every toy.

    Args:
        likelihood: what is minimised.
        data: toys, arrays with leading axis `toy`.
        starts: vectors (toy, start, n).
        progress: called with (fits done, fits in all).
        target: what is held at the value `at`, of a likelihood that is not taken apart; None: nothing.
    """
    toys, per_toy, n = starts.shape
    if not n:
        value = np.asarray(_values(likelihood, jnp.asarray(starts[:, 0]), data))
        return Fitted(starts[:, 0], value, np.isfinite(value))
    owner = np.repeat(np.arange(toys), per_toy)
    shear = likelihood.shear()
    found = minimise(
        likelihood,
        Problems.make(
            starts.reshape(-1, n),
            likelihood.basis(),
            n_quantities=0 if target is None else likelihood.space.n_quantities,
            weights=None if target is None else target.weights,
            target=None if target is None else np.asarray(at),
            shear=jax.tree.map(lambda leaf: np.broadcast_to(leaf, (len(owner), *np.shape(leaf))), shear),
        ),
        quantities=no_quantities if target is None else likelihood.space.quantities,
        data=Data(np.asarray(data.counts)[owner], np.asarray(data.centres)[owner]),
        max_iterations=MOST_ITERATIONS,
        tolerance=TOLERANCE,
        progress=progress,
    )
    every = np.where(np.isfinite(found.value), found.value, np.inf).reshape(toys, per_toy)
    values = np.where(found.converged.reshape(toys, per_toy), every, np.inf)
    best = np.argmin(values, axis=1)
    each = np.arange(toys)
    # A start that did not converge, but is lower, shows that the others are not at the lowest minimum.
    lowest = values[each, best] <= np.min(every, axis=1) + UNDERCUT
    return Fitted(found.x.reshape(toys, per_toy, n)[each, best], values[each, best], lowest & np.isfinite(values[each, best]))


def lower(one: Fitted, other: Fitted) -> Fitted:
    """The lower of two fits of every toy; one that failed does not count if the other converged."""
    take = np.where(other.converged, other.value, np.inf) < np.where(one.converged, one.value, np.inf)
    return Fitted(
        np.where(take[:, None], other.z, one.z), np.where(take, other.value, one.value), one.converged | other.converged
    )
