"""The core of a likelihood as toys are fitted in it, and one round of such a fit: compiled functions without any strategy.

What they compute, and why, is told in `nmmfit.inference.core_fits`, which drives them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.inference.minimise import Problems, no_quantities, rounding_of, solve_point
from nmmfit.inference.slopes import counts_of, gradient_and_curvature, n_curved, slopes_apart
from nmmfit.inference.toy_fits import Data, ToyLikelihood
from nmmfit.inference.vector import curvature_of_constraints
from nmmfit.kept import digest
from nmmfit.shapes import Array

BLOCK = 64
"""Toys in one compiled call."""

CORE_HESSIANS, CORE_CHORDS, CORE_TOLERANCE = 20, 2, 1e-9
"""Most Hessians of the small problem, quasi-Newton steps per Hessian, and height above its minimum to stop at."""

LOOK_HESSIANS = 4
"""Most Hessians from each of several starts; the lowest end goes on to the minimum. A block waits for its slowest start."""

FEASIBLE = 1e-6
"""Relative distance to what is held at which a constraint counts as fulfilled."""

NEGLIGIBLE = 1e-11
"""Eigenvalues of S below this fraction of the largest are rounding."""


class Core:
    """Functions of the core, of u (m,) = (products of amplitudes, y), on which counts may depend directly too, and of the
    nuisances nu; w = (u, nu). Equal for equal likelihoods, so that what is compiled for one serves all.

    The core's coordinates s (k,) are y sheared (`nmmfit.inference.shear`): a theory input that turns tensors into dipoles would
    drag the dipole amplitude, which is known a thousand times better, along a bent valley.
    """

    def __init__(self, likelihood: ToyLikelihood) -> None:
        self.likelihood, self.joint, self.space = likelihood, likelihood.joint, likelihood.space
        self.k = n_curved(likelihood.joint)
        self.m = len(likelihood.joint.amplitudes.products(jnp.zeros(likelihood.joint.amplitudes.size))) + self.k
        self._rest = self.space.start[self.k :]
        self._shear = self.space.shear(self.space.start, range(self.space.n))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Core) and other.likelihood == self.likelihood

    def __hash__(self) -> int:
        return hash((Core, self.likelihood))

    @property
    def fingerprint(self) -> str | None:
        """Digest of all that its functions depend on; None where the likelihood has none."""
        known = self.likelihood.fingerprint
        return None if known is None else digest([type(self).__qualname__, known])

    def _whole(self, y: Array) -> Array:
        """The likelihood's vector with nominal nuisances."""
        return jnp.concatenate([y, jnp.asarray(self._rest)])

    def natural(self, s: Array) -> Array:
        """y (k,) at coordinates s (k,)."""
        return s if self._shear is None else self.space.nll.unsheared(self._whole(s), self._shear)[: self.k]

    def coordinates(self, y: Array) -> Array:
        """The opposite."""
        return y if self._shear is None else self.space.nll.sheared(self._whole(y), self._shear)[: self.k]

    def place(self, s: Array) -> Array:
        """u (m,) at coordinates of the core."""
        y = self.natural(s)
        return jnp.concatenate([self.joint.products_vector(self.space.ranges.to_parameters(self._whole(y))), y])

    def _vector(self, w: Array) -> Array:
        """The likelihood's vector, at w."""
        return w[self.m - self.k :]

    def counts(self, w: Array) -> Array:
        """Expected counts (bin,)."""
        x = self.space.ranges.to_parameters(self._vector(w))
        return self.joint.counts_of_products(x, w[: self.m - self.k])

    def value(self, w: Array, data: Data) -> Array:
        """Minus log likelihood with constraints, without what depends on Poisson data alone."""
        constraint = self.likelihood.constraint(self._vector(w), jnp.asarray(data.centres))
        return -(self.likelihood.of_data(self.counts(w), jnp.asarray(data.counts)) + constraint)

    def metric(self, w: Array, data: Data) -> Array:
        """G (m + nuisance, m + nuisance), without second derivatives of counts."""
        experiments = range(len(self.joint.experiments))
        parts = [slopes_apart(self.joint, self.space.ranges.to_parameters, w, k) for k in experiments]
        bend = self.likelihood.bend(counts_of(parts), jnp.asarray(data.counts))

        curvature = gradient_and_curvature(len(w), parts, jnp.zeros_like(bend), bend)[1]
        tight = curvature_of_constraints(self.joint, self.space.ranges, self._vector(w))
        first = self.m - self.k
        return curvature.at[first:, first:].add(-tight)

    def __call__(self, s: Array, form: tuple[Array, Array, Array]) -> Array:
        """The small problem: form = (origin u_k, r, damped S)."""
        origin, linear, square = form
        d = self.place(s) - origin
        return linear @ d + 0.5 * d @ square @ d

    def quantities(self, s: Array) -> Array:
        """What constraints use: the likelihood's quantities, then y."""
        y = self.natural(s)
        return jnp.concatenate([self.space.quantities(self._whole(y)), y])


class Reduced(NamedTuple):
    """G with the nuisances eliminated: `square` S (m, m), `follow` G_nn^-1 G_nu (nuisance, m), and `along` G_nn^-1 g_n
    (nuisance,)."""

    square: Array
    follow: Array
    along: Array


class State(NamedTuple):
    """Where a toy's fit stands: point (s, nu), value, gradient (m + nuisance,) and G there, damping, and the estimated height of
    the point above the minimum."""

    s: Array
    nu: Array
    value: Array
    gradient: Array
    metric: Array
    damping: Array
    height: Array


def reduced(core: Core, metric: Array, free: Array, across: Array) -> Reduced:
    """The nuisances that are free (nuisance,) eliminated from G, with the gradient `across` (nuisance,) along them.

    Every call to LAPACK waits for the one before: two at once could each wait for a thread that the other has.
    """
    m = core.m
    both = free[:, None] & free[None, :]
    within = jnp.where(both, metric[m:, m:], jnp.eye(len(free)))
    mixed = jnp.where(free[:, None], metric[m:, :m], 0.0)
    factor = jnp.linalg.cholesky(within)
    solved = jax.scipy.linalg.cho_solve((factor, True), jnp.concatenate([mixed, across[:, None]], axis=1))
    follow, along = solved[:, :m], solved[:, m]
    size = jnp.sqrt(jnp.maximum(jnp.diagonal(metric)[:m], 0.0))
    size = jnp.where(size > 0, size, 1.0)
    values, vectors = jnp.linalg.eigh((metric[:m, :m] - mixed.T @ follow) / size / size[:, None])
    square = (vectors * jnp.maximum(values, NEGLIGIBLE * jnp.max(values))) @ vectors.T * size * size[:, None]
    return Reduced(square, follow, along)


@partial(jax.jit, static_argnums=0)
def metrics(core: Core, s: Array, nu: Array, data: Data) -> Array:
    """Own G of toys (leading axis)."""

    def one(point: tuple[Array, Array, Data]) -> Array:
        here, nuisances, measured = point
        return core.metric(jnp.concatenate([core.place(here), nuisances]), measured)

    return jax.lax.map(one, (s, nu, data), batch_size=min(16, len(s)))


@partial(jax.jit, static_argnums=0)
def gradients(core: Core, s: Array, nu: Array, data: Data) -> Array:
    """Gradients of toys in (u, nu)."""

    def one(here: Array, nuisances: Array, measured: Data) -> Array:
        return jax.grad(core.value)(jnp.concatenate([core.place(here), nuisances]), measured)

    return jax.vmap(one)(s, nu, data)


def learned(metric: Array, step: Array, change: Array) -> Array:
    """G after a step that changed the gradient by `change`, by Broyden-Fletcher-Goldfarb-Shanno; as it is without curvature."""
    along, turned = step @ change, metric @ step
    before = step @ turned
    usable = jnp.isfinite(along) & (along > 1e-3 * before) & (before > 0)
    safe, change = jnp.where(usable, along, 1.0), jnp.where(usable, change, 0.0)
    updated = metric - jnp.outer(turned, turned) / jnp.where(usable, before, 1.0) + jnp.outer(change, change) / safe
    return jnp.where(usable, updated, metric)


class Held(NamedTuple):
    """What is held in the fits of a batch of toys: the nuisances that are `free` (nuisance,), the `basis` (k, k) of the core, and
    the constraint's `weights` on it and on `Core.quantities`, zero for none."""

    free: Array
    basis: Array
    weights: Array


class _Small:
    """The small problem of one toy's round, while it is traced."""

    def __init__(self, core: Core, constrained: bool, now: State, held: Held, aim: Array) -> None:
        self.core, self.constrained, self.held, self.aim = core, constrained, held, aim
        down, self.across = now.gradient[: core.m], jnp.where(held.free, now.gradient[core.m :], 0.0)
        self.form = reduced(core, now.metric, held.free, self.across)
        self.origin = core.place(now.s)
        self.stiff = 1.0 + now.damping
        self.linear = down - self.form.follow.T @ self.across

    def solve(self, start: Array, hessians: int) -> tuple[Array, Array]:
        """Where the minimum from a start (k,) is, and its value; infinite where the constraint was not reached."""
        core, weights = self.core, self.held.weights
        quantities = core.quantities if self.constrained else no_quantities
        zero = jnp.zeros(core.k)
        problem = Problems(start, self.held.basis, weights if self.constrained else zero, self.aim, zero, zero)
        given = (self.origin, self.linear, self.stiff * self.form.square)
        limit, tolerance = jnp.asarray(hessians), jnp.asarray(CORE_TOLERANCE)
        found = solve_point(core, quantities, CORE_CHORDS, problem, given, limit, tolerance)
        reached = jnp.isfinite(found.value) & jnp.isfinite(found.distance)
        if self.constrained:
            off = jnp.abs(weights[core.k :] @ quantities(found.x) - self.aim)
            reached = reached & (off <= FEASIBLE * jnp.abs(self.aim) + 1e-300)
        return found.x, jnp.where(reached, found.value, jnp.inf)


@partial(jax.jit, static_argnums=(0, 1))
def look_around(core: Core, constrained: bool, state: State, starts: Array, held: Held, aim: Array) -> Array:
    """The lowest end (toy, k) of the small problem from the present point and from other starts (toy, start, k)."""

    def one(now: State, others: Array, at: Array) -> Array:
        small = _Small(core, constrained, now, held, at)
        ends, values = jax.vmap(partial(small.solve, hessians=LOOK_HESSIANS))(jnp.concatenate([now.s[None], others]))
        return jnp.where(jnp.isfinite(jnp.min(values)), ends[jnp.argmin(values)], now.s)

    return jax.vmap(one)(state, starts, aim)


@partial(jax.jit, static_argnums=(0, 1))
def one_round(core: Core, constrained: bool, state: State, data: Data, begin: Array, held: Held, aim: Array) -> State:
    """One round of toys, whose small problem starts at `begin` (toy, k)."""

    def one(now: State, measured: Data, start: Array, at: Array) -> State:
        small = _Small(core, constrained, now, held, at)
        form, across, origin, stiff = small.form, small.across, small.origin, small.stiff
        s, lowest = small.solve(start, CORE_HESSIANS)
        u = core.place(s)
        nu = now.nu - form.along / stiff - form.follow @ (u - origin)
        expected = 0.5 * across @ form.along / stiff - lowest
        value, gradient = jax.value_and_grad(core.value)(jnp.concatenate([u, nu]), measured)
        rounding = rounding_of(value)
        finite = jnp.isfinite(value) & jnp.all(jnp.isfinite(gradient)) & jnp.isfinite(lowest)
        good = finite & (value <= now.value + rounding)
        # what the trial tells about curvature is true whether it went down or not
        step = jnp.concatenate([u - origin, nu - now.nu])
        metric = jnp.where(finite, learned(now.metric, step, gradient - now.gradient), now.metric)
        eased = jnp.where(now.damping < 0.1, 0.0, 0.25 * now.damping)
        # the height of the point that the round began at; what comes next is lower still
        height = jnp.where(jnp.isfinite(now.value) & jnp.isfinite(expected), stiff * expected, jnp.inf)
        new = State(s, nu, value, gradient, metric, eased, height)
        old = now._replace(metric=metric, damping=jnp.maximum(0.5, 4.0 * now.damping), height=height)
        return jax.tree.map(lambda a, b: jnp.where(good, a, b), new, old)

    return jax.vmap(one)(state, data, begin, aim)


@partial(jax.jit, static_argnums=0)
def coordinates_of(core: Core, y: Array) -> Array:
    return jax.vmap(core.coordinates)(y)


@partial(jax.jit, static_argnums=0)
def natural_of(core: Core, s: Array) -> Array:
    return jax.vmap(core.natural)(s)


def in_blocks(function: Callable[[Core, np.ndarray], Array], core: Core, points: np.ndarray) -> np.ndarray:
    """A compiled function of points (point, k), a whole block at a time, so that one program serves any number of points."""
    filled = points[np.resize(np.arange(len(points)), BLOCK * -(-len(points) // BLOCK))]
    parts = [np.asarray(function(core, filled[i : i + BLOCK])) for i in range(0, len(filled), BLOCK)]
    return np.array(np.concatenate(parts)[: len(points)])


@partial(jax.jit, static_argnums=0)
def values_of(core: Core, z: Array, data: Data) -> Array:
    def one(pair: tuple[Array, Data]) -> Array:
        s = core.coordinates(pair[0][: core.k])
        return core.value(jnp.concatenate([core.place(s), pair[0][core.k :]]), pair[1])

    return jax.lax.map(one, (z, data))
