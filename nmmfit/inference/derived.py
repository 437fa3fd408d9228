"""Coefficients that are functions of sampled parameters: phases of coefficients, and parameters of models.

Everything behind the coefficients is linear in them (templates, amplitudes, the coupling map). What depends on the sampled
parameters in another way enters as further coefficients of that linear map, with values computed from the parameters at every
point: the slots of `Derived`. Their parameters have the kind "model".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import jax.numpy as jnp

from nmmfit.inference.parameters import Parameter
from nmmfit.shapes import Array

Values = Mapping[str, Array]


@dataclass(frozen=True)
class Derived:
    """Slots of the coupling map whose values are computed.

    Attributes:
        parameters: what is sampled for them, of kind "model".
        size: number of slots, real numbers that multiply rows of the coupling map.
        values: (model parameters, theory inputs, both by name) -> (slot,).
        signs: sets of parameters whose common sign may be free; `symmetries` finds out whether it is.
        linear: parameters, of which at most one stands in each term: slots are linear in them, or nearly.
        factors: parameters that stand beside `linear` ones in every term of their model, each alone in doing so.
        zero: parameters that switch all slots off when they are 0; empty if nothing does.
        fingerprint: of all that `values` depends on.
    """

    parameters: tuple[Parameter, ...]
    size: int
    values: Callable[[Values, Values], Array]
    signs: tuple[tuple[str, ...], ...]
    zero: tuple[str, ...]
    linear: tuple[str, ...]
    factors: tuple[str, ...]
    fingerprint: str


def together(parts: Sequence[Derived]) -> Derived | None:
    """Several sets of slots as one, in order; None if there is none."""
    if not parts:
        return None

    def values(model: Values, theory: Values) -> Array:
        return jnp.concatenate([part.values(model, theory) for part in parts])

    able = all(part.zero for part in parts)
    return Derived(
        tuple(p for part in parts for p in part.parameters),
        sum(part.size for part in parts),
        values,
        tuple(s for part in parts for s in part.signs),
        tuple(n for part in parts for n in part.zero) if able else (),
        tuple(n for part in parts for n in part.linear),
        tuple(n for part in parts for n in part.factors),
        repr([part.fingerprint for part in parts]),
    )
