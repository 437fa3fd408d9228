"""Fits of many toys at once: a batched gradient a round, and a small problem in the couplings that is solved exactly.

Counts are linear in the products u of low-energy amplitudes and smooth in the nuisances nu; only u(y), a polynomial in the core y
of the user's parameters and theory inputs, is not. In (u, nu) the likelihood of every toy is therefore close to a quadratic form,
with nearly the same Hessian G as where the toys were made, whatever happens at zero dipole:

    L(u, nu) = L_k + g . d + (1 + damping) d^T G d / 2,   d = (u - u_k, nu - nu_k),

g the toy's own gradient at its present point. The nuisances drop out: with S = G_uu - G_un G_nn^-1 G_nu and
r = g_u - G_un G_nn^-1 g_n what is left is the minimum over y of r . d_u(y) + (1 + damping) d_u(y)^T S d_u(y) / 2, a quartic in a
few variables, with its wells, its valley at zero and the constraint, if there is one, cheap enough to be solved from several
starts. A point stays where it is in such a round exactly where it is a minimum of L. A round that does not go down is taken back
and damped; the error shrinks by how much G differs from the toy's own Hessian, and toys for which that is too slow get their own
G, then the minimiser with exact Hessians (`nmmfit.inference.toy_fits.fit_toys`).
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.inference.batches import Program, in_batches
from nmmfit.inference.core import (
    BLOCK,
    Core,
    State,
    coordinates_of,
    gradients,
    in_blocks,
    metrics,
    natural_of,
    one_round,
    values_of,
)
from nmmfit.inference.space import Target
from nmmfit.inference.toy_fits import UNDERCUT, Data, Fitted, ToyLikelihood, fit_toys, lower, thrown

ROUNDS = 8
"""Most rounds with one G, which learns from every step, before it is made anew."""

PASSES = 5
"""Most times that it is made anew."""

TOLERANCE = 2e-6
"""Estimated height above the minimum, in units of minus log likelihood, at which a toy's fit has converged."""

THROWS = (1.0, 1.0, 3.0, 3.0, 10.0)
"""Further starts of the small problem, in units of sensitivity of the coefficients from where the toys were made."""

THOROUGH = 2
"""Passes that begin with the small problem solved from all starts, and not from the present point alone."""

BETTER = 1e-4
"""By how much another well must be lower for a fit that has converged to go on from there."""

BEGINS = (3.0, 3.0, 10.0)
"""Free fits begin also at points that are thrown so far: wells are further apart where nothing is held."""

FAR = 1e-2
"""Natural steps from the Standard Model at which toys that were made there count as made elsewhere."""

LAST_THROWS = (1.0, 3.0, 10.0)
"""The same for toys that are left to the minimiser with exact Hessians."""


class CoreFits:
    """Fits of toys that were made at one point.

    Args:
        likelihood: what is minimised, not taken apart.
        z: vector (n,) where the toys are made.
        seed: of scattered starts, the same for every toy.
    """

    def __init__(self, likelihood: ToyLikelihood, z: np.ndarray, seed: int = 0) -> None:
        self.likelihood, self.core, self.seed = likelihood, Core(likelihood), seed
        self.z = np.asarray(z, dtype=float)
        k = self.core.k
        self.basis = likelihood.basis()
        rng = np.random.default_rng(seed)
        scattered = thrown(likelihood, self.z, THROWS, rng)[1:, :k]
        nothing = self.z[:k].copy()
        nothing[likelihood.space.coefficients] = 0.0
        starts = np.concatenate([self.z[None, :k], nothing[None], scattered])
        self.scattered = thrown(likelihood, self.z, BEGINS, rng)[1:]
        self.elsewhere = self.z.copy()
        far = np.max(np.abs((nothing - self.z[:k]) / likelihood.space.scale[:k]), initial=0.0) > FAR
        if far or len(scattered):
            self.elsewhere[:k] = nothing if far else scattered[len(scattered) // 2]
        self.starts = in_blocks(coordinates_of, self.core, starts)
        s, nu = jnp.asarray(self.starts[:1]), jnp.asarray(self.z[None, k:])
        data = jax.tree.map(lambda part: jnp.asarray(part)[None], likelihood.expected(self.z))
        self.metric = np.asarray(metrics(self.core, s, nu, data)[0])
        """G where the toys were made, of data as expected there."""

    def fit(
        self,
        data: Data,
        target: Target | None = None,
        at: float = 0.0,
        hint: np.ndarray | None = None,
        start: np.ndarray | None = None,
    ) -> Fitted:
        """The lowest minimum of every toy.

        Args:
            data: toys, arrays with leading axis `toy`.
            target: what is held at the value `at`; None: nothing.
            hint: further starts (toy, start, n).
            start: where to begin (toy, n); None: where the toys were made.
        Returns: vectors, values without what depends on Poisson data alone, and whether each converged.
        """
        begin = [np.tile(self.z, (len(data.counts), 1))] if start is None else [np.array(start)]
        if start is None:
            # From elsewhere the small problem looks different: another well may be found.
            begin.append(np.tile(self.elsewhere, (len(data.counts), 1)))
        found = self._from(data, begin[0], target, at, hint)
        for z in begin[1:]:
            found = _lowest(found, self._from(data, z, target, at, hint))
        for z in self.scattered if start is None and target is None else ():
            # Downhill from there, without a look around that would lead to the wells that are known already.
            local = self._from(data, np.tile(z, (len(data.counts), 1)), target, at, None, thorough=False)
            found = _lowest(found, local)
        return self._last(found, data, target, at)

    def _from(
        self, data: Data, z: np.ndarray, target: Target | None, at: float, hint: np.ndarray | None, thorough: bool = True
    ) -> Fitted:
        """Fits that begin at vectors (toy, n)."""
        core = self.core
        free = np.ones(self.likelihood.n - core.k, dtype=bool)
        weights = np.zeros(core.k + self.likelihood.space.n_quantities + core.k)
        if target is not None:
            held = self._held(target)
            if held is not None:
                free[held - core.k] = False
                z[:, held] = self._image(target, held, at)
            else:
                weights[core.k :] = np.concatenate([target.weights[self.likelihood.n :], target.weights[: core.k]])
        work = _Work(self, data, z, free, weights, at, hint)
        work.run(thorough)
        return work.found()

    def _held(self, target: Target) -> int | None:
        """The place of a nuisance that is the target; None for anything in the core."""
        name = target.name
        names = self.likelihood.space.names
        place = names.index(name) if name in names else -1
        return place if place >= self.core.k else None

    def _image(self, target: Target, place: int, at: float) -> float:
        x = np.array(self.likelihood.space.ranges.to_parameters(self.z))
        x[place] = at
        return float(self.likelihood.space.ranges.from_parameters(x)[place])

    def _last(self, found: Fitted, data: Data, target: Target | None, at: float) -> Fitted:
        """What was found, toys that did not converge fitted with exact Hessians."""
        bad = np.flatnonzero(~found.converged)
        if not len(bad):
            return found
        rng = np.random.default_rng(self.seed)
        starts = thrown(self.likelihood, found.z[bad], LAST_THROWS, rng)
        again = fit_toys(self.likelihood, data.take(bad), starts, target=target, at=at)
        # Whole blocks, so that one program serves all.
        filled = np.resize(np.arange(len(bad)), BLOCK * -(-len(bad) // BLOCK))
        value = np.asarray(values_of(self.core, jnp.asarray(again.z[filled]), data.take(bad[filled])))[: len(bad)]
        best = _lowest(found.take(bad), again._replace(value=value))
        for mine, theirs in zip(found, best, strict=True):
            mine[bad] = theirs
        return found


def _lowest(one: Fitted, other: Fitted) -> Fitted:
    """The lower of two fits of every toy; one that did not converge, but is lower, shows that the other is not the lowest."""
    found = lower(one, other)
    hint = np.minimum(*(np.where(fit.converged | ~np.isfinite(fit.value), np.inf, fit.value) for fit in (one, other)))
    return found._replace(converged=found.converged & (found.value <= hint + UNDERCUT))


def _one_round(core: Core, constrained: bool, batch: tuple[State, Data, Any, Any], shared: tuple[Any, Any, Any]) -> State:
    state, data, starts, target = batch
    free, basis, weights = shared
    return one_round(core, constrained, state, data, free, starts, basis, weights, target)


class _Work:
    """The state of the fits of one batch of toys."""

    def __init__(
        self, fits: CoreFits, data: Data, z: np.ndarray, free: np.ndarray, weights: np.ndarray, at: float, hint: np.ndarray | None
    ) -> None:
        core, toys = fits.core, len(z)
        self.fits, self.core, self.data, self.free = fits, core, data, free
        self.weights, self.at = weights, at
        self.constrained = bool(np.any(weights))
        self.hint = None if hint is None else self._coordinates(hint[..., : core.k])
        size = core.m + len(free)
        # The first round judges nothing: the start need not fulfil the constraint.
        value, height, gradient = np.full(toys, np.inf), np.full(toys, np.inf), np.zeros((toys, size))
        metric = np.broadcast_to(fits.metric, (toys, size, size)).copy()
        # Arrays of numpy, which change in place.
        state: Any = (self._coordinates(z[:, : core.k]), z[:, core.k :].copy(), value, gradient, metric, np.zeros(toys), height)
        self.state: Any = State(*state)
        for index, filled in self._blocks(np.arange(toys)):
            part = jax.tree.map(lambda leaf, filled=filled: leaf[filled], (self.state.s, self.state.nu, data))
            gradient[index] = np.asarray(gradients(core, *part))[: len(index)]

    def _coordinates(self, y: np.ndarray) -> np.ndarray:
        """Coordinates of cores (..., k)."""
        return in_blocks(coordinates_of, self.core, y.reshape(-1, self.core.k)).reshape(y.shape)

    def _blocks(self, index: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Places of toys, a block at a time, and the same filled up to a whole block."""
        parts = [index[first : first + BLOCK] for first in range(0, len(index), BLOCK)]
        return [(part, np.resize(part, BLOCK)) for part in parts]

    @property
    def open(self) -> np.ndarray:
        """Places of toys whose fit has not converged."""
        return np.flatnonzero(~(np.abs(self.state.height) < TOLERANCE) | ~np.isfinite(self.state.value))

    def run(self, thorough: bool = True) -> None:
        """All rounds: one with the G where the toys were made, then passes with a toy's own, and a look for deeper wells.

        `thorough`: look for them at all.
        """
        self._round(self.open, thorough)
        self._passes(THOROUGH if thorough else 0)
        if not thorough:
            return
        settled = np.setdiff1d(np.arange(len(self.state.s)), self.open)
        before = self.state.value[settled].copy()
        height = self.state.height[settled].copy()
        self._renew(settled)
        self._round(settled, thorough=True)
        same = self.state.value[settled] > before - BETTER
        self.state.height[settled[same]] = height[same]
        self._passes(0)

    def _passes(self, thorough: int) -> None:
        for count in range(PASSES):
            waiting = self.open
            if not len(waiting):
                return
            self._renew(waiting)
            for again in range(ROUNDS):
                self._round(self.open, thorough=count < thorough and not again)

    def _renew(self, index: np.ndarray) -> None:
        """Give toys their own G."""
        for part, filled in self._blocks(index):
            s, nu, data = jax.tree.map(lambda leaf, filled=filled: leaf[filled], (self.state.s, self.state.nu, self.data))
            self.state.metric[part] = np.asarray(metrics(self.core, s, nu, data))[: len(part)]
            self.state.damping[part] = 0.0

    def _round(self, index: np.ndarray, thorough: bool) -> None:
        basis = self.fits.basis[: self.core.k, : self.core.k]

        def take(filled: np.ndarray) -> tuple[Any, Data, np.ndarray, np.ndarray]:
            state, data = jax.tree.map(lambda leaf: leaf[filled], (self.state, self.data))
            starts = self._starts(filled) if thorough else np.zeros((len(filled), 0, self.core.k))
            return state, data, starts, np.full(len(filled), self.at)

        def put(part: np.ndarray, new: State) -> None:
            for mine, theirs in zip(self.state, new, strict=True):
                mine[part] = theirs

        program = Program(_one_round, (self.core, self.constrained))
        in_batches(program, index, take, (jnp.asarray(self.free), basis, self.weights), put, BLOCK)

    def _starts(self, index: np.ndarray) -> np.ndarray:
        common = np.broadcast_to(self.fits.starts, (len(index), *self.fits.starts.shape))
        return common if self.hint is None else np.concatenate([common, self.hint[index]], axis=1)

    def found(self) -> Fitted:
        """Where the fits stand."""
        converged = np.ones(len(self.state.s), dtype=bool)
        converged[self.open] = False
        y = in_blocks(natural_of, self.core, self.state.s)
        return Fitted(np.concatenate([y, self.state.nu], axis=1), self.state.value, converged)
