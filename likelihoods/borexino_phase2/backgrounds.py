"""Backgrounds of the Borexino spectrum: smooth curves in N_h that move with energy-scale pulls, and their normalisations."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from likelihoods.borexino_phase2.inputs import (
    BACKGROUNDS,
    C14_SCALE_WIDTH,
    EXPOSURE_DAY_100T,
    FIRST_HITS,
    LAST_HITS,
    LIGHT_YIELD_WIDTH,
    PO210_SCALE_WIDTH,
    BackgroundInput,
)
from likelihoods.borexino_phase2.response import LIGHT_YIELD
from nmmfit.experiment import Component, Factor, Pulls
from nmmfit.numerics.interpolation import cubic_spline
from nmmfit.physics.forms import Forms
from nmmfit.shapes import Array
from nmmfit.tables import Table

C14_SCALE, PO210_SCALE = "borexino_phase2.c14_scale", "borexino_phase2.po210_scale"
# Quenching makes the scale of the slow 14C electrons and of the 210Po alphas their own; all other spectra share the light yield.
SCALE_PULLS: dict[str, tuple[str, float]] = {
    "c14": (C14_SCALE, C14_SCALE_WIDTH),
    "po210": (PO210_SCALE, PO210_SCALE_WIDTH),
}
COMMON_SCALE = (LIGHT_YIELD, LIGHT_YIELD_WIDTH)

# Sharpness of the softplus: its slope at pull 0 differs from the linear scale's by 0.7 %.
SOFTPLUS_SHARPNESS = 5.0


def background_pull(name: str) -> str:
    """Name of the normalisation pull of a background."""
    return f"borexino_phase2.{name}"


def background_scale(given: BackgroundInput) -> Callable[[Pulls], Array]:
    """Normalisation relative to the drawn curve as a function of the pulls, positive, 1 at pull 0; see BackgroundInput."""
    pull = background_pull(given.name)
    if given.form == "exponential":
        log_width = math.log1p(given.width)
        return lambda pulls: jnp.exp(log_width * pulls[pull])
    k = SOFTPLUS_SHARPNESS
    norm = math.log1p(math.exp(k))
    return lambda pulls: jax.nn.softplus(k * (1.0 + given.width * pulls[pull])) / norm


def curve_factor(table: Table, name: str, structure: np.ndarray | None) -> Factor:
    """Counts per bin of a background as drawn, as a factor with its energy-scale pull.

    b(N_h) -> b(N_h / s) / s with s = exp(width * pull); log b is a cubic spline through the table. Structure belongs to the bins and does
    not move.

    Args:
        structure: (bin,) fraction by which single bins stand out; None for a smooth curve.
    Raises: DataError if the table does not reach far enough for pulls of +-4.
    """
    spline = cubic_spline(table["n_hits"], np.log(table[name]), where=f"{table.where}, {name}")
    hits = np.arange(FIRST_HITS, LAST_HITS + 1, dtype=float)
    pull, width = SCALE_PULLS.get(name, COMMON_SCALE)
    reach = math.exp(4.0 * width)
    spline.check_range(hits[0] / reach, hits[-1] * reach, f"{table.where}, {name}")
    exposure = EXPOSURE_DAY_100T.value * (1.0 if structure is None else 1.0 + structure)

    def counts(forms: Forms, pulls: Pulls) -> Array:
        log_scale = width * pulls[pull]
        return exposure * jnp.exp(spline(hits * jnp.exp(-log_scale)) - log_scale)

    return Factor(counts, (pull,))


def background_components(table: Table, bin_structure: str) -> tuple[Component, ...]:
    """One component per background.

    Args:
        table: `backgrounds.csv`.
        bin_structure: "po210" puts the residual structure of the official fit onto 210Po, where that dominates; "none" leaves
            smooth curves.
    """
    window = (table["n_hits"] >= FIRST_HITS) & (table["n_hits"] <= LAST_HITS)
    components = []
    for name, given in BACKGROUNDS.items():
        structure = table["po210_structure"][window] if name == "po210" and bin_structure == "po210" else None
        components.append(
            Component(name, (curve_factor(table, name, structure),), background_scale(given), (background_pull(name),))
        )
    return tuple(components)
