"""Components that several experiments have: fixed shapes under a scale, and a background measured by a control sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from numpyro import distributions as dist

from nmmfit import precision as precision
from nmmfit.experiment import Channel, Component, Factor, Pulls
from nmmfit.physics.forms import Forms
from nmmfit.shapes import Array
from nmmfit.tables import Table

FREE_PRIOR_WIDTH = 10.0
"""Prior width of a content that a control sample measures, in units of the Poisson error of its count: wide, the data decide."""

_EMPTY = 0.5


def constant_factor(values: np.ndarray) -> Factor:
    """A factor that depends on nothing, (n,)."""
    fixed = np.asarray(values, dtype=float)

    def function(forms: Forms, pulls: Pulls) -> Array:
        return jnp.asarray(fixed)

    return Factor(function)


def scaled(name: str, factors: tuple[Factor, ...], pull: str, relative_width: float) -> Component:
    """Component with the scale exp(width * pull): positive, and 1 + width * pull for small pulls."""

    def scale(pulls: Pulls) -> Array:
        return jnp.exp(relative_width * pulls[pull])

    return Component(name, factors, scale, (pull,))


def unit_pulls(*names: str) -> dict[str, dist.Distribution]:
    """Standard normal priors by name of the pull."""
    return {name: dist.Normal(0.0, 1.0) for name in names}


def measured_by_control(
    prefix: str, counts: np.ndarray, other: Factor
) -> tuple[list[Component], Mapping[str, dist.Distribution]]:
    """A background of unknown shape along the first axis, to be put into the data and into the control sample that measures it.

    Args:
        prefix: components and pulls are called `<prefix>_0`, `<prefix>_1`, ...; pulls with everything before the last dot.
        counts: control counts along the first axis, (n,).
        other: factor along the second axis, the same for all.
    Returns: one component per entry k, whose content is counts_k * exp(pull / sqrt(counts_k)), with its pull's prior, 0 +-
        `FREE_PRIOR_WIDTH`. An empty entry would fix the expectation at 0: there the pull starts from half an event.
    """
    components: list[Component] = []
    pulls: dict[str, dist.Distribution] = {}
    for k, count in enumerate(np.asarray(counts, dtype=float)):
        pull = f"{prefix}_{k}"
        start = max(float(count), _EMPTY)
        only = np.zeros(len(counts))
        only[k] = start
        name = pull.rpartition(".")[2]
        components.append(scaled(name, (constant_factor(only), other), pull, float(1.0 / np.sqrt(start))))
        pulls[pull] = dist.Normal(0.0, FREE_PRIOR_WIDTH)
    return components, pulls


def beam_channels(
    counts: Table,
    signal: Sequence[Component],
    background: Sequence[Component],
    edges: Mapping[str, np.ndarray],
    control: bool,
) -> tuple[Channel, ...]:
    """What a pulsed beam's detector counts: "coincidence" with the beam, and the sample before it that measures the background.

    Args:
        counts: its columns "coincidence" and "anticoincidence" are the observed counts (bin,).
        signal: what comes with the beam. `background`: what is there at any time.
        edges: as in Channel.
        control: whether the sample before the beam is a channel, "anticoincidence", of the background alone.
    """
    channels = [Channel("coincidence", counts["coincidence"], (*signal, *background), edges)]
    if control:
        channels.append(Channel("anticoincidence", counts["anticoincidence"], tuple(background), edges))
    return tuple(channels)
