"""Where each coefficient of dimension six stands in the vector that runs above m_W, and in the one it is matched onto at m_W.

N takes no part in running or matching: its flavour r is a further axis, which everything carries along. A vector above m_W has
shape (117, ...), one below (123, ...); the first axis are the components listed here, the others batch, r among them.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from nmmfit.eft.smneft_operators import GENERATIONS, SmneftCoefficient
from nmmfit.shapes import Array

ABOVE: Mapping[str, tuple[int, ...]] = {
    **dict.fromkeys(("NB", "NW", "NH"), (3,)),
    **dict.fromkeys(("LNQd", "LNQd3", "LNuQ", "LNLe"), (3, 3, 3)),
}
"""Operator -> shape of its coefficients at one r, in the order of the vector: p, or p s t."""
BELOW: Mapping[str, tuple[int, ...]] = {
    "nuNgamma": (3,),
    "SnuNdRR": (3, 3, 3),
    "TnuNdRR": (3, 3, 3),
    "SnuNuRL": (3, 2, 2),
    "SnuNeRR": (3, 3, 3),
    "TnuNeRR": (3, 3, 3),
}
"""The same for what they are matched onto."""


class Component(NamedTuple):
    """One entry of a vector: an operator and its flavours without that of N."""

    operator: str
    flavours: tuple[int, ...]

    def name(self, r: int) -> str:
        """The coefficient with flavour r of N."""
        p, *others = self.flavours
        return f"{self.operator}_{p}{r}{''.join(map(str, others))}"


def _components(shapes: Mapping[str, tuple[int, ...]]) -> tuple[Component, ...]:
    every = ((op, itertools.product(*(range(1, n + 1) for n in shape))) for op, shape in shapes.items())
    return tuple(Component(op, digits) for op, flavours in every for digits in flavours)


COMPONENTS = _components(ABOVE)
COMPONENTS_BELOW = _components(BELOW)
POSITION: Mapping[Component, int] = {c: i for i, c in enumerate(COMPONENTS)}
POSITION_BELOW: Mapping[Component, int] = {c: i for i, c in enumerate(COMPONENTS_BELOW)}


def component(coefficient: SmneftCoefficient) -> tuple[Component, int]:
    """Component of a coefficient of dimension six, and its flavour r of N."""
    p, r, *others = coefficient.flavours
    return Component(coefficient.operator.name, (p, *others)), r


def split(vector: Array, shapes: Mapping[str, tuple[int, ...]] = ABOVE) -> dict[str, Array]:
    """A vector (component, ...) by operator, each of shape (*flavours, ...)."""
    ends = np.cumsum([np.prod(shape) for shape in shapes.values()])
    pieces = jnp.split(vector, ends[:-1])
    return {op: x.reshape(*shape, *vector.shape[1:]) for (op, shape), x in zip(shapes.items(), pieces, strict=True)}


def join(parts: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]] = ABOVE) -> Array:
    """The inverse of `split`."""
    return jnp.concatenate([parts[op].reshape(-1, *parts[op].shape[len(shape) :]) for op, shape in shapes.items()])


def _dipole_flavour(c: Component) -> int | None:
    """Flavour p of the dipole that a component mixes with; None for four leptons of which no two can close a loop."""
    p, *others = c.flavours
    if c.operator != "LNLe" or others[0] == others[1]:
        return p
    return others[0] if others[1] == p else None


@functools.cache
def reached_by_running(c: Component) -> tuple[Component, ...]:
    """Everything that a component mixes into, itself included."""
    if c.operator == "NH":
        return (c,)
    dipole = _dipole_flavour(c)
    if dipole is None:
        p, s, t = c.flavours
        return tuple(dict.fromkeys((c, Component("LNLe", (s, p, t)))))
    return tuple(other for other in COMPONENTS if _dipole_flavour(other) == dipole)


@functools.cache
def reached_by_rotation(c: Component) -> tuple[Component, ...]:
    """What a component is a sum of in the other basis of Q."""
    p, *others = c.flavours
    if c.operator in ("LNQd", "LNQd3"):
        return tuple(Component(c.operator, (p, k, others[1])) for k in GENERATIONS)
    if c.operator == "LNuQ":
        return tuple(Component(c.operator, (p, others[0], k)) for k in GENERATIONS)
    return (c,)


@functools.cache
def reached_by_matching(c: Component) -> tuple[Component, ...]:
    """What a component is matched onto; nothing for NH and for operators that contain a right-handed top quark."""
    p, *others = c.flavours
    if c.operator in ("NB", "NW"):
        return (Component("nuNgamma", (p,)),)
    if c.operator == "LNQd":
        return (Component("SnuNdRR", c.flavours),)
    if c.operator == "LNQd3":
        return (Component("TnuNdRR", c.flavours),)
    if c.operator == "LNuQ":
        return tuple(Component("SnuNuRL", (p, others[0], k)) for k in (1, 2)) if others[0] != 3 else ()
    if c.operator == "LNLe":
        swapped = (others[0], p, others[1])
        return tuple(
            dict.fromkeys((Component("SnuNeRR", c.flavours), Component("SnuNeRR", swapped), Component("TnuNeRR", swapped)))
        )
    return ()
