"""The parameters of a likelihood in the order of its vector, and points packed into vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.checks import broadcasting
from nmmfit.errors import UserInputError, unknown
from nmmfit.inference.derived import Derived
from nmmfit.inference.parameters import Parameter
from nmmfit.precision import require_double_precision
from nmmfit.shapes import Array

Point = Mapping[str, Any]
"""Values of parameters by name; what is left out stands at its start value."""

ORDER = ("coefficient", "model", "theory", "nuisance")
"""Kinds of parameters, in the order in which they stand in a vector."""


class ParameterVector:
    """Parameters in the order of a vector: coefficients, parameters of a model, theory inputs, nuisances.

    Attributes:
        parameters: all of them, in this order.
        derived: coefficients that are functions of parameters of kind "model"; None: there are none.
    """

    def __init__(self, parameters: Sequence[Parameter], derived: Derived | None) -> None:
        self.parameters = tuple(sorted(parameters, key=lambda p: ORDER.index(p.kind)))
        self.derived = derived

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Parameter names in the order of the vector."""
        return tuple(p.name for p in self.parameters)

    def of_kind(self, kind: str) -> tuple[Parameter, ...]:
        """Parameters of one kind, in order."""
        return tuple(p for p in self.parameters if p.kind == kind)

    @property
    def n_coefficients(self) -> int:
        """Number of coefficient parameters; they come first in the vector."""
        return len(self.of_kind("coefficient"))

    @property
    def n_own(self) -> int:
        """Number of the user's parameters, of kind "coefficient" and "model"; they come first in the vector."""
        return self.n_coefficients + len(self.of_kind("model"))

    @property
    def own(self) -> tuple[Parameter, ...]:
        """The user's parameters: what is fitted, and whose priors enter the posterior only."""
        return self.parameters[: self.n_own]

    @property
    def switches(self) -> tuple[str, ...]:
        """Parameters that give the Standard Model where they are all 0, apart from coefficients that are held."""
        return (*(p.name for p in self.of_kind("coefficient")), *(self.derived.zero if self.derived is not None else ()))

    @cached_property
    def start(self) -> np.ndarray:
        """Vector where fits begin: coefficients 0, everything else at its nominal value."""
        return np.asarray([p.start for p in self.parameters])

    def pack(self, point: Point) -> Array:
        """Vector (..., parameter) of a point; names left out are at their start value.

        A value that is nan or infinite gives a result that is nan or infinite.
        Raises: UserInputError for a name that is no parameter of this likelihood, a value that is no real number, or shapes that
            do not broadcast.
        """
        require_double_precision()
        if not isinstance(point, Mapping):
            raise UserInputError(f"point: expected a mapping of parameter names to values, got {type(point).__name__}")
        for name, value in point.items():
            if name not in self.names:
                raise unknown("parameter", name, self.names, "point")
            if not isinstance(value, jax.core.Tracer) and np.asarray(value).dtype.kind not in "fiub":
                raise UserInputError(f"point: {name}: expected real numbers, got {value!r}")
        broadcasting(point, "point")
        values = [jnp.asarray(point.get(p.name, p.start), dtype=jnp.float64) for p in self.parameters]
        return jnp.stack(jnp.broadcast_arrays(*values), axis=-1) if values else jnp.zeros(0)

    def unpack(self, vector: Array) -> dict[str, Array]:
        """Point of a vector (..., parameter)."""
        return {name: vector[..., i] for i, name in enumerate(self.names)}
