"""Fits of the same data with common parameters and with every experiment's own: of what was measured, and of toys, in blocks.

A block of toys is a pure function of the seed and its number, so that it is the same whenever and wherever it is computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from nmmfit.inference.toy_ensemble import toy_keys
from nmmfit.inference.toy_fits import Data, ToyLikelihood, fit_toys, lower, moved, sheared, thrown

BLOCK = 10
"""Toys fitted at a time, after which progress is reported."""

TOY_THROWS = (1.0, 3.0, 10.0)
"""Further starts of a toy's fit, in units of sensitivity from where the toy was made."""

REACH = (0.3, 10.0)
"""The same for the fits of the data: from where to where they are spread."""

LEADERS = 4
"""Experiments from whose own coefficients the joint fit is started, too."""

FOLLOWED = 0.03
"""Least sensitivity of such an experiment, of that of all together, to what it then says."""


@dataclass(frozen=True)
class Both:
    """Fits of several data sets: vectors (toy, n) of either kind, chi2_PG (toy,) and whether both converged (toy,)."""

    together: np.ndarray
    apart: np.ndarray
    chi2: np.ndarray
    converged: np.ndarray


class Fits:
    """Fits of the same data with common parameters and with parameters of every experiment's own."""

    def __init__(self, together: ToyLikelihood, apart: ToyLikelihood, ranks: Sequence[int]) -> None:
        self.one, self.many = together, apart
        # Those that see most, and anything at all.
        self.leaders = [k for k in np.argsort(np.negative(ranks), kind="stable")[:LEADERS] if ranks[k] > 0]
        self.follow = [self._following(k) for k in self.leaders]

    def _following(self, k: int) -> np.ndarray:
        """(n, n): of a step the part that one experiment sees about as well as all together; nuisances and theory as given.

        What only others see well, or nobody, it wants by chance: a start there is at odds with the others for nothing.
        """
        space = self.one.space
        moving = space.coefficients
        matrix = np.eye(space.n)
        if len(moving):
            basis = space.basis(space.start)[np.ix_(moving, moving)]
            _, singular, right = np.linalg.svd(space.amplitudes(space.start, space.seen_by(k)) @ basis)
            kept = right[: int(np.sum(singular > FOLLOWED))]
            matrix[np.ix_(moving, moving)] = basis @ kept.T @ kept @ np.linalg.inv(basis)
        return matrix

    def both(self, data: Data, z: np.ndarray, throws: Sequence[float] | np.ndarray, rng: np.random.Generator) -> Both:
        """Fit data (leading axis `toy`) from a vector (n,) and scattered ones.

        Apart also from what was found together, and together also from what some experiments want alone.
        """
        toys = len(data.counts)
        common = fit_toys(self.one, data, thrown(self.one, np.tile(z, (toys, 1)), throws, rng))
        own = fit_toys(self.many, data, thrown(self.many, self.many.spread(common.z), throws, rng))
        shear = self.one.shear()

        def straight(vectors: np.ndarray) -> np.ndarray:
            return vectors if shear is None else np.asarray(sheared(self.one, jnp.asarray(vectors), shear))

        at = straight(common.z)
        wanted = [
            moved(self.one, common.z, (straight(own.z[:, self.many.places(k)]) - at) @ follow.T)
            for k, follow in zip(self.leaders, self.follow, strict=True)
        ]
        common = lower(common, fit_toys(self.one, data, np.stack(wanted, axis=1)))
        chi2 = np.maximum(2.0 * (common.value - own.value), 0.0)
        return Both(common.z, own.z, chi2, common.converged & own.converged)


@dataclass(frozen=True)
class Blocks:
    """Blocks of toys drawn at a vector `z` (n,), by number: "chi2" and "converged", (BLOCK,) each."""

    fits: Fits
    z: np.ndarray
    seed: int

    def __call__(self, number: int) -> dict[str, np.ndarray]:
        first = number * BLOCK
        drawn = self.fits.one.draw(self.z, toy_keys(jnp.asarray(self.seed), jnp.arange(first, first + BLOCK)))
        # To numpy [seed, 0] is the seed alone, which scatters the fits of the data; so blocks count from 1.
        found = self.fits.both(drawn, self.z, TOY_THROWS, np.random.default_rng([self.seed, 1 + number]))
        return {"chi2": found.chi2, "converged": found.converged}
