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

from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.inference.batches import Program, in_batches
from nmmfit.inference.core import (
    BLOCK,
    Core,
    Held,
    State,
    coordinates_of,
    gradients,
    in_blocks,
    look_around,
    metrics,
    natural_of,
    one_round,
    values_of,
)
from nmmfit.inference.slopes import n_curved
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

HOPELESS = 100.0
"""Damping beyond which a fit from a scattered point is given up: with its own G it went down in none of a handful of rounds."""

SURE = 3.0
"""Times the estimated height above its minimum by which a fit will not go down further."""

BETTER = 1e-4
"""By how much another well must be lower for a fit that has converged to go on from there."""

BEGINS = (3.0, 3.0, 10.0)
"""Free fits begin also at points that are thrown so far: wells are further apart where nothing is held."""

FAR = 1e-2
"""Natural steps from the Standard Model at which toys that were made there count as made elsewhere."""

LAST_THROWS = (1.0, 3.0, 10.0)
"""The same for toys that are left to the minimiser with exact Hessians."""


class _Begins(NamedTuple):
    """Where fits begin, several of every toy: arrays with leading axis `fit`.

    `data` of the fit's toy; vector `z` (fit, n); `owner` (fit,) its toy; `thorough` (fit,) whether it looks around for other
    wells; further starts `hint` (fit, start, n) of the small problem.
    """

    data: Data
    z: np.ndarray
    owner: np.ndarray
    thorough: np.ndarray
    hint: np.ndarray | None

    @classmethod
    def at(cls, data: Data, points: Sequence[np.ndarray], thorough: Sequence[bool], hint: np.ndarray | None) -> _Begins:
        """Every toy begins at every one of some points (n,), or (toy, n); hints (toy, start, n) are those of all its fits."""
        toys, times = len(data.counts), len(points)
        z = np.concatenate([np.broadcast_to(point, (toys, point.shape[-1])) for point in points])
        hints = None if hint is None else np.tile(hint, (times, 1, 1))
        owner = np.tile(np.arange(toys), times)
        return cls(Data(*(np.tile(part, (times, 1)) for part in data)), z, owner, np.repeat(thorough, toys), hints)


class _Aim(NamedTuple):
    """What is held at the value `at`: nuisances that are not `free` (nuisance,), or a combination of the core with `weights`."""

    free: np.ndarray
    weights: np.ndarray
    at: float


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
        expected = jax.tree.map(lambda part: np.asarray(part)[None], likelihood.expected(self.z))
        self.metric = metrics_of(self.core, self.starts[:1], self.z[None, k:], expected)[0]
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
        if start is None:
            # From elsewhere the small problem looks different: another well may be found. From scattered points a fit goes
            # downhill without a look around, which would lead to the wells that are known already.
            look = [self.z, self.elsewhere]
            local = self.scattered if target is None else ()
            begins = _Begins.at(data, [*look, *local], [True] * len(look) + [False] * len(local), hint)
        else:
            begins = _Begins.at(data, [start], [True], hint)
        toys = len(data.counts)
        found = self._from(begins, target, at)
        parts = [found.take(np.arange(first, first + toys)) for first in range(0, len(begins.z), toys)]
        return self._last(reduce(_lowest, parts), data, target, at)

    def _from(self, begins: _Begins, target: Target | None, at: float) -> Fitted:
        """Fits from where they begin, with a target held at a value."""
        core = self.core
        free = np.ones(self.likelihood.n - core.k, dtype=bool)
        weights = np.zeros(core.k + self.likelihood.space.n_quantities + core.k)
        if target is not None:
            held = _held(self.likelihood, target)
            if held is not None:
                free[held - core.k] = False
                begins.z[:, held] = self._image(target, held, at)
            else:
                weights[core.k :] = np.concatenate([target.weights[self.likelihood.n :], target.weights[: core.k]])
        work = _Work(self, begins, _Aim(free, weights, at))
        work.run()
        return work.found()

    def _image(self, target: Target, place: int, at: float) -> float:
        x = np.array(self.likelihood.space.ranges.to_parameters(self.z))
        x[place] = at
        return float(self.likelihood.space.ranges.from_parameters(x)[place])

    def _last(self, found: Fitted, data: Data, target: Target | None, at: float) -> Fitted:
        """What was found, toys that did not converge fitted once more, and with exact Hessians where that did not help."""
        bad = np.flatnonzero(~found.converged)
        if len(bad):
            # From where it stopped, with a Hessian of its own: nothing is compiled for it.
            stopped = found.z[bad]
            hint = None if target is None else stopped[:, None]
            again = self._from(_Begins.at(data.take(bad), [stopped], [True], hint), target, at)
            _put(found, bad, _lowest(found.take(bad), again))
            bad = np.flatnonzero(~found.converged)
        if not len(bad):
            return found
        rng = np.random.default_rng(self.seed)
        starts = thrown(self.likelihood, found.z[bad], LAST_THROWS, rng)
        again = fit_toys(self.likelihood, data.take(bad), starts, target=target, at=at)
        # Whole blocks, so that one program serves all.
        filled = np.resize(np.arange(len(bad)), BLOCK * -(-len(bad) // BLOCK))
        value = np.asarray(values_of(self.core, jnp.asarray(again.z[filled]), data.take(bad[filled])))[: len(bad)]
        _put(found, bad, _lowest(found.take(bad), again._replace(value=value)))
        return found


def _held(likelihood: ToyLikelihood, target: Target) -> int | None:
    """The place of a nuisance that is the target; None for anything in the core."""
    names = likelihood.space.names
    place = names.index(target.name) if target.name in names else -1
    return place if place >= n_curved(likelihood.joint) else None


def _put(found: Fitted, index: np.ndarray, better: Fitted) -> None:
    """Write fits of the toys at these places."""
    for mine, theirs in zip(found, better, strict=True):
        mine[index] = theirs


def programs(likelihood: ToyLikelihood, target: Target | None) -> list[tuple[Program, Any, Any]]:
    """What fits of toys call, free ones and with a target held, with arguments of the shapes that it is called with."""
    core = Core(likelihood)
    k, rest = core.k, likelihood.n - core.k
    size, scattered = core.m + rest, len(THROWS) if likelihood.joint.n_own else 0

    def zeros(*shape: int) -> np.ndarray:
        return np.zeros((BLOCK, *shape))

    state = State(*(jnp.asarray(zeros(*shape)) for shape in ((k,), (rest,), (), (size,), (size, size), (), ())))
    data = Data(*(zeros(len(part)) for part in likelihood.observed))
    held = Held(jnp.ones(rest, dtype=bool), jnp.zeros((k, k)), jnp.zeros(2 * k + likelihood.space.n_quantities))
    point = zeros(k), zeros(rest), data
    # Whether something in the core is held, and further starts: of free fits, and of those with the target held.
    kinds = [(False, 0)] if target is None else [(False, 0), (_held(likelihood, target) is None, 1)]
    wanted: list[tuple[Program, Any, Any]] = [(Program(_metrics, (core,)), point, None)]
    for constrained in dict(kinds):
        wanted.append((Program(_one_round, (core, constrained)), (state, data, zeros(k), zeros()), held))
    for constrained, hints in kinds:
        wanted.append((Program(_look_around, (core, constrained)), (state, zeros(2 + scattered + hints, k), zeros()), held))
    return [*wanted, (Program(_gradients, (core,)), point, None)]


def _lowest(one: Fitted, other: Fitted) -> Fitted:
    """The lower of two fits of every toy; one that did not converge, but is lower, shows that the other is not the lowest."""
    found = lower(one, other)
    hint = np.minimum(*(np.where(fit.converged | ~np.isfinite(fit.value), np.inf, fit.value) for fit in (one, other)))
    return found._replace(converged=found.converged & (found.value <= hint + UNDERCUT))


def _gradients(core: Core, batch: tuple[Any, Any, Data], shared: None) -> Any:
    return gradients(core, *batch)


def _metrics(core: Core, batch: tuple[Any, Any, Data], shared: None) -> Any:
    return metrics(core, *batch)


def _look_around(core: Core, constrained: bool, batch: tuple[State, Any, Any], held: Held) -> Any:
    state, starts, aim = batch
    return look_around(core, constrained, state, starts, held, aim)


def _one_round(core: Core, constrained: bool, batch: tuple[State, Data, Any, Any], held: Held) -> State:
    state, data, begin, aim = batch
    return one_round(core, constrained, state, data, begin, held, aim)


def metrics_of(core: Core, s: np.ndarray, nu: np.ndarray, data: Data) -> np.ndarray:
    """Own G (toy, m + nuisance, m + nuisance) of toys at points (s, nu)."""
    size = core.m + nu.shape[1]
    found = np.empty((len(s), size, size))

    def take(index: np.ndarray) -> tuple[np.ndarray, np.ndarray, Data]:
        return s[index], nu[index], data.take(index)

    in_batches(Program(_metrics, (core,)), np.arange(len(s)), take, None, found.__setitem__, BLOCK)
    return found


class _Work:
    """The state of fits that go on together."""

    def __init__(self, fits: CoreFits, begins: _Begins, aim: _Aim) -> None:
        core, toys, z = fits.core, len(begins.z), begins.z
        self.fits, self.core, self.data, self.at = fits, core, begins.data, aim.at
        self.held = Held(jnp.asarray(aim.free), jnp.asarray(fits.basis[: core.k, : core.k]), jnp.asarray(aim.weights))
        self.constrained, self.owner, self.thorough = bool(np.any(aim.weights)), begins.owner, begins.thorough
        self.hint = None if begins.hint is None else self._coordinates(begins.hint[..., : core.k])
        size = core.m + len(aim.free)
        # The first round judges nothing: the start need not fulfil the constraint.
        value, height, gradient = np.full(toys, np.inf), np.full(toys, np.inf), np.zeros((toys, size))
        metric = np.broadcast_to(fits.metric, (toys, size, size)).copy()
        # Arrays of numpy, which change in place.
        state: Any = (self._coordinates(z[:, : core.k]), z[:, core.k :].copy(), value, gradient, metric, np.zeros(toys), height)
        self.state: Any = State(*state)
        in_batches(Program(_gradients, (core,)), np.arange(toys), self._points, None, gradient.__setitem__, BLOCK)

    def _coordinates(self, y: np.ndarray) -> np.ndarray:
        """Coordinates of cores (..., k)."""
        return in_blocks(coordinates_of, self.core, y.reshape(-1, self.core.k)).reshape(y.shape)

    def _points(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray, Data]:
        """Where toys stand, and their data."""
        return self.state.s[index], self.state.nu[index], self.data.take(index)

    @property
    def converged(self) -> np.ndarray:
        """Which fits have converged, (fit,)."""
        return (np.abs(self.state.height) < TOLERANCE) & np.isfinite(self.state.value)

    @property
    def open(self) -> np.ndarray:
        """Places of fits that have not converged, and are not given up.

        From a scattered point a fit is, where it does not go down any more, and where it will not end below the best of its toy.
        """
        value, height = self.state.value, self.state.height
        best = np.full(np.max(self.owner, initial=-1) + 1, np.inf)
        np.minimum.at(best, self.owner[self.converged], value[self.converged])
        floor = np.subtract(value, SURE * height, out=np.full_like(value, -np.inf), where=np.isfinite(height))
        in_vain = (self.state.damping > HOPELESS) | (floor > best[self.owner] - BETTER)
        return np.flatnonzero(~self.converged & (self.thorough | ~in_vain))

    def run(self) -> None:
        """All rounds: one with the G where the toys were made, then passes with a toy's own, and a look for deeper wells."""
        self._round(self.open, np.zeros_like(self.thorough))
        self._passes(np.ones_like(self.thorough), THOROUGH)
        lowest = self._lowest()
        before = self.state.value[lowest].copy()
        height = self.state.height[lowest].copy()
        self._renew(lowest)
        self._round(lowest, self.thorough)
        same = self.state.value[lowest] > before - BETTER
        self.state.height[lowest[same]] = height[same]
        self._passes(self.thorough, 0)

    def _lowest(self) -> np.ndarray:
        """The lowest of the fits of every toy that look around and have converged; where others ended is no matter."""
        settled = np.flatnonzero(self.thorough & self.converged)
        ordered = settled[np.argsort(self.state.value[settled], kind="stable")]
        return ordered[np.unique(self.owner[ordered], return_index=True)[1]]

    def _passes(self, among: np.ndarray, looks: int) -> None:
        """Passes of those that are open `among` all (fit,); the first `looks` of them begin with a look around."""
        chosen, nobody = np.flatnonzero(among), np.zeros_like(self.thorough)
        for count in range(PASSES):
            waiting = np.intersect1d(self.open, chosen)
            if not len(waiting):
                return
            self._renew(waiting)
            for again in range(ROUNDS):
                waiting = np.intersect1d(self.open, chosen)
                self._round(waiting, self.thorough if count < looks and not again else nobody)

    def _renew(self, index: np.ndarray) -> None:
        """Give toys their own G."""
        self.state.metric[index] = metrics_of(self.core, *self._points(index))
        self.state.damping[index] = 0.0

    def _round(self, index: np.ndarray, thorough: np.ndarray) -> None:
        """One round of the toys at these places; those that are `thorough` (toy,) look around first."""
        begin = self.state.s.copy()

        def starts(filled: np.ndarray) -> tuple[State, np.ndarray, np.ndarray]:
            return self._taken(filled), self._starts(filled), np.full(len(filled), self.at)

        def found(part: np.ndarray, ends: np.ndarray) -> None:
            begin[part] = ends

        def take(filled: np.ndarray) -> tuple[State, Data, np.ndarray, np.ndarray]:
            return self._taken(filled), self.data.take(filled), begin[filled], np.full(len(filled), self.at)

        def put(part: np.ndarray, new: State) -> None:
            for mine, theirs in zip(self.state, new, strict=True):
                mine[part] = theirs

        static = (self.core, self.constrained)
        in_batches(Program(_look_around, static), index[thorough[index]], starts, self.held, found, BLOCK)
        in_batches(Program(_one_round, static), index, take, self.held, put, BLOCK)

    def _taken(self, index: np.ndarray) -> State:
        taken: State = jax.tree.map(lambda leaf: leaf[index], self.state)
        return taken

    def _starts(self, index: np.ndarray) -> np.ndarray:
        common = np.broadcast_to(self.fits.starts, (len(index), *self.fits.starts.shape))
        return common if self.hint is None else np.concatenate([common, self.hint[index]], axis=1)

    def found(self) -> Fitted:
        """Where the fits stand."""
        y = in_blocks(natural_of, self.core, self.state.s)
        return Fitted(np.concatenate([y, self.state.nu], axis=1), self.state.value, self.converged)
