"""Backgrounds of the Borexino spectrum: analytic curves in N_h that move with energy-scale pulls, and their normalisations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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
from nmmfit.errors import DataError
from nmmfit.experiment import Component, Factor, Pulls
from nmmfit.normalisation import normalisation
from nmmfit.physics.forms import Forms
from nmmfit.shapes import Array, Points
from nmmfit.tables import Table

C14_SCALE, PO210_SCALE = "borexino_phase2.c14_scale", "borexino_phase2.po210_scale"
# Quenching makes the scale of the slow 14C electrons and of the 210Po alphas their own; all other spectra share the light yield.
SCALE_PULLS: dict[str, tuple[str, float]] = {
    "c14": (C14_SCALE, C14_SCALE_WIDTH),
    "po210": (PO210_SCALE, PO210_SCALE_WIDTH),
}
COMMON_SCALE = (LIGHT_YIELD, LIGHT_YIELD_WIDTH)


def background_pull(name: str) -> str:
    """Name of the normalisation pull of a background."""
    return f"borexino_phase2.{name}"


def background_scale(given: BackgroundInput) -> Callable[[Pulls], Array]:
    """Normalisation relative to the drawn curve as a function of the pulls, positive, 1 at pull 0; see BackgroundInput."""
    return normalisation(background_pull(given.name), given.width, given.form)


@dataclass(frozen=True)
class Curve:
    """An analytic curve in N_h: sum over terms of exp(sum_k c_k T_k(x)), x = 2 (N_h - first) / (last - first) - 1."""

    first: float
    last: float
    terms: tuple[np.ndarray, ...]

    def __call__(self, n_hits: Points) -> Points:
        """Counts / (day x 100 t x N_h), >= 0, any shape."""
        x = 2.0 * (jnp.asarray(n_hits) - self.first) / (self.last - self.first) - 1.0
        return sum((jnp.exp(_chebyshev_sum(c, x)) for c in self.terms), start=jnp.zeros_like(x))


def _chebyshev_sum(coefficients: np.ndarray, x: Points) -> Points:
    """sum_k c_k T_k(x) by Clenshaw's recurrence."""
    older, newer = jnp.zeros_like(x), jnp.zeros_like(x)
    for c in coefficients[:0:-1]:
        older, newer = newer, c + 2.0 * x * newer - older
    return coefficients[0] + x * newer - older


def read_curve(table: Table, name: str) -> Curve:
    """Curve of one background from `backgrounds.csv`. Raises: DataError if it has no rows."""
    rows = table["component"] == name
    if not rows.any():
        raise DataError(f"{table.where}: no rows for {name!r}")
    term, order, value = (table[column][rows] for column in ("term", "order", "coefficient"))
    terms = []
    for index in np.unique(term):
        own = term == index
        terms.append(value[own][np.argsort(order[own])])
    return Curve(float(table["first_hits"][rows][0]), float(table["last_hits"][rows][0]), tuple(terms))


def curve_factor(curve: Curve, name: str, structure: np.ndarray | None) -> Factor:
    """Counts per bin of a background as drawn, as a factor with its energy-scale pull.

    b(N_h) -> b(N_h / s) / s with s = exp(width * pull), analytic in the pull. Structure belongs to the bins and does not move.

    Args:
        structure: (bin,) fraction by which single bins stand out; None for a smooth curve.
    """
    hits = np.arange(FIRST_HITS, LAST_HITS + 1, dtype=float)
    pull, width = SCALE_PULLS.get(name, COMMON_SCALE)
    exposure = EXPOSURE_DAY_100T.value * (1.0 if structure is None else 1.0 + structure)

    def counts(forms: Forms, pulls: Pulls) -> Array:
        inverse = jnp.exp(-width * pulls[pull])
        return jnp.asarray(exposure) * curve(jnp.asarray(hits) * inverse) * inverse

    return Factor(counts, (pull,))


def background_components(curves: Table, structure: Table, bin_structure: str) -> tuple[Component, ...]:
    """One component per background.

    Args:
        curves, structure: `backgrounds.csv`, `bin_structure.csv`.
        bin_structure: "po210" puts the residual structure of the official fit onto 210Po, where that dominates; "none" leaves
            smooth curves.
    """
    components = []
    for name, given in BACKGROUNDS.items():
        bins = structure["po210_structure"] if name == "po210" and bin_structure == "po210" else None
        factor = curve_factor(read_curve(curves, name), name, bins)
        components.append(Component(name, (factor,), background_scale(given), (background_pull(name),)))
    return tuple(components)
