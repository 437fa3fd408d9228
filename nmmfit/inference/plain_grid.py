"""The likelihood itself on a grid, everything else held: values in blocks, nothing minimised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.errors import UserInputError
from nmmfit.inference.axes import Axis, size_of
from nmmfit.inference.batches import Program, in_batches, wider
from nmmfit.inference.profiling import Profiler
from nmmfit.inference.solution import Solution
from nmmfit.inference.space import Space
from nmmfit.inference.vector import NegativeLogLikelihood

CHUNK = 8192
BLOCK = 256
"""Points in a chunk, and side by side in a compiled block."""


def _values(nll: NegativeLogLikelihood, x: Any, _: tuple[()]) -> Any:
    """Minus log likelihoods with constraints at parameters (point, n)."""
    return nll.joint.batched("nll", nll.joint.nll_vector)(jnp.asarray(x))


class PlainGrid:
    """Values of one joint likelihood on a grid, at the best fit of everything that is neither on the grid nor held."""

    def __init__(
        self, space: Space, axes: Sequence[Axis], fixed: Mapping[str, float] | None = None, *, starts: int = 8, seed: int = 0
    ) -> None:
        """Finds the best fit.

        Raises: UserInputError for an identified quantity, which many combinations of coefficients make.
        """
        for axis in axes:
            if axis.held is None:
                raise UserInputError(
                    f"grid {axis.name}: an identified quantity or a combination does not say which coefficients move; "
                    "profile the others, or scan parameters"
                )
        self.space, self.axes = space, tuple(axes)
        self.profiler = Profiler(space, seed=seed)
        start = space.vector(fixed or {}, "fixed")
        free = np.setdiff1d(np.arange(space.n), [space.index(name, "fixed") for name in (fixed or {})])
        self.job = self.profiler.job(None, start=start, free=free)
        self.profiler.find_modes([self.job], starts)
        self.at_best = np.asarray(space.ranges.to_parameters(self.job.modes[0]))
        self.chunk_size = int(min(wider(CHUNK), max(BLOCK, 2 ** int(np.ceil(np.log2(size_of(axes)))))))

    @property
    def chunks(self) -> int:
        """Chunks of the whole grid."""
        return -(-size_of(self.axes) // self.chunk_size)

    def _parameters(self, at: np.ndarray) -> np.ndarray:
        x = np.tile(self.at_best, (len(at), 1))
        for k, axis in enumerate(self.axes):
            x[:, axis.held] = at[:, k]
        return x

    def chunk(self, number: int) -> Solution:
        """Points number * chunk_size and on, in C order of the axes; slopes are not known."""
        shape = [a.points for a in self.axes]
        first = number * self.chunk_size
        places = np.arange(first, min(first + self.chunk_size, size_of(self.axes)))
        index = np.stack(np.unravel_index(places, shape), axis=1)
        at = np.stack([a.values[index[:, k]] for k, a in enumerate(self.axes)], axis=1)
        x = self._parameters(at)
        value = np.zeros(len(x))

        def put(index: np.ndarray, found: np.ndarray) -> None:
            value[index] = found

        in_batches(Program(_values, (self.space.nll,)), np.arange(len(x)), lambda index: x[index], (), put, self.chunk_size)
        return self._solution(at, x, value, None)

    def between(self, at: np.ndarray) -> Solution:
        """Points anywhere, with slopes."""
        x = self._parameters(at)
        joint = self.space.joint
        if "nll_slopes" not in joint.compiled:
            joint.compiled["nll_slopes"] = jax.jit(
                lambda xs: jax.lax.map(jax.value_and_grad(joint.nll_vector), xs, batch_size=64)
            )
        size = 256
        parts = []
        for first in range(0, len(x), size):
            count = min(size, len(x) - first)
            value, gradient = joint.compiled["nll_slopes"](jnp.asarray(x[np.resize(np.arange(first, first + count), size)]))
            parts.append((np.asarray(value)[:count], np.asarray(gradient)[:count]))
        value, gradient = (np.concatenate(column) for column in zip(*parts, strict=True))
        return self._solution(at, x, value, gradient[:, [a.held for a in self.axes if a.held is not None]])

    def _solution(self, at: np.ndarray, x: np.ndarray, value: np.ndarray, slopes: np.ndarray | None) -> Solution:
        solution = Solution.empty(at, self.space.n)
        solution.x, solution.value = self.space.ranges.from_parameters(x), np.array(value)
        solution.converged = np.isfinite(value)
        solution.slopes = np.full(at.shape, np.nan) if slopes is None else slopes
        solution.gradient_norm = np.zeros(len(at))
        return solution
