"""Linear combinations of coefficients as quantities of their own: to profile, to scan, and to make of draws.

A combination has weights on the coefficients as they are. A direction has components in prior widths: its value at coefficients x
is sum_i v_i x_i / w_i with w_i the width of the prior of x_i, a number without a unit that counts in widths of the prior;
eigenvectors of an information in prior widths (`nmmfit.inference.fisher`) are such directions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from nmmfit.errors import unknown
from nmmfit.inference.parameters import Parameter
from nmmfit.inference.space import Space, Target

PRIOR_WIDTHS = "prior widths"
"""Unit of a direction."""

Weights = Mapping[str, Mapping[str, float]]
"""Name of a combination -> coefficient -> weight, or component in prior widths."""
Targets = Mapping[str, Target]
"""Name -> what is profiled."""


def prior_width(parameter: Parameter) -> float:
    """Standard deviation of a prior; the natural step of a parameter whose prior has none."""
    sd = parameter.prior_sd
    return float(sd if np.isfinite(sd) and sd > 0 else parameter.scale)


def combined_targets(space: Space, combinations: Weights | None = None, directions: Weights | None = None) -> dict[str, Target]:
    """Combinations and directions as what may be profiled, in their order.

    Raises: UserInputError for a name that is taken or given twice, a name that is no free coefficient, a weight that is no finite
        number, or none that is not zero.
    """
    made = {name: space.combination(name, weights) for name, weights in (combinations or {}).items()}
    widths = {p.name: prior_width(p) for p in space.joint.parameters}
    for name, components in (directions or {}).items():
        weights = {part: x / widths.get(part, 1.0) for part, x in components.items()}
        made[name] = replace(space.combination(name, weights, "directions"), unit=PRIOR_WIDTHS)
    return made


def target_of(space: Space, name: str, among: Targets, where: str = "") -> Target:
    """A combination, a parameter or an identified quantity by name. Raises: UserInputError for any other name."""
    if name in among:
        return among[name]
    known = [*space.names, *(q.name for q in space.identified), *among]
    if among and name not in known:
        raise unknown("parameter, identified quantity or combination", name, known, where)
    return space.target(name)


def members(space: Space, target: Target) -> list[str]:
    """Coefficients that a combination is made of."""
    return [space.names[i] for i in np.flatnonzero(target.weights[: space.n])]


def along(space: Space, target: Target) -> np.ndarray:
    """Displacement (n,) of the coefficients along a direction by one prior width, all directions orthogonal to it at rest."""
    widths = {p.name: prior_width(p) for p in space.joint.parameters}
    step = target.weights[: space.n] * np.array([widths[name] for name in space.names]) ** 2
    return np.asarray(step / (target.weights[: space.n] @ step))


def combined_draws(space: Space, targets: Targets, draws: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Draws of the combinations whose coefficients all have some, shaped like theirs."""
    made = {}
    for name, target in targets.items():
        parts = members(space, target)
        if all(part in draws for part in parts):
            made[name] = np.sum([target.weights[space.index(part)] * draws[part] for part in parts], axis=0)
    return made


def prior_deviation(space: Space, target: Target) -> float:
    """Standard deviation of a combination under the priors, which are independent; nan or infinite where one has none."""
    sds = {p.name: p.prior_sd for p in space.joint.parameters}
    return float(np.sqrt(sum((target.weights[space.index(part)] * sds[part]) ** 2 for part in members(space, target))))
