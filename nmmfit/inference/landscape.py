"""What a posterior looks like, from its draws: ridges, mirror images, separate modes, and whether chains mixed between them.

A ridge is where coefficients cancel: each contributes to an amplitude that the data see far more than their sum may vary, as a
dipole and tensors do in d = L + S(c_T) T. Contributions are taken at every draw's own theory inputs, so that bent ridges count.
Mirror images are what an exact sign symmetry maps into each other. Modes are humps of the density of one quantity with a
valley between them of less than half the lower one's height.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.inference.directions import WORDS, listed
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.result import SampleResult
from nmmfit.inference.space import space_of
from nmmfit.inference.symmetries import sign_symmetries
from nmmfit.shapes import Array

CANCELLED = 0.1
"""A sum that spreads less than this fraction of what it is made of is a ridge."""

TAKES_PART = 0.1
"""Contributions below this fraction of the largest take no part in it."""

NEAR_ZERO, CONNECTED = 0.1, 0.01
"""Mirror images are apart where less than the second fraction of draws is nearer to zero than the first one of the median."""

VALLEY = 0.5
"""Height of a valley between two modes, of the lower one's, at most."""

LEAST_SHARE = 0.02
"""Of all draws, for a hump to be a mode: fewer are noise of the estimate of the density."""

MOST_DRAWS = 2000
"""Draws looked at, evenly spaced, where each takes time."""

NARROW = 0.5
"""Width of a kernel in units of sigma n^-1/5, about half of Silverman's, which smears several humps into one."""

GRID = 401
"""Points at which a density is taken."""


@dataclass(frozen=True)
class Ridge:
    """Coefficients (`members`) that cancel in something (`where`, in words) to a fraction (`left`) of their own spread."""

    members: tuple[str, ...]
    where: str
    left: float

    def __str__(self) -> str:
        return f"ridge: {listed(self.members)} cancel in {self.where} to {100 * self.left:.2g} % of their own spread"


@dataclass(frozen=True)
class Modes:
    """Separate parts of the posterior of one quantity, or (`mirror`) images under a sign symmetry, and how chains went between.

    Attributes:
        name: the quantity, or the symmetry.
        shares: of the draws, each part's, from low to high values.
        edges: where the valleys are, in the quantity's unit; one less than there are parts.
        unit: of the quantity.
        crossings: steps from one part to another, in all chains. `in_all`: chains that saw all parts. `chains`: their number.
        mirror: whether these are mirror images; draws are then symmetrised, whichever of them a chain saw.
        apart: whether there is a valley between them; mirror images need not have one.
    """

    name: str
    shares: tuple[float, ...]
    edges: tuple[float, ...]
    unit: str
    crossings: int
    in_all: int
    chains: int
    mirror: bool = False
    apart: bool = True

    @property
    def mixed(self) -> bool:
        """Whether every chain saw every part; exact symmetrisation makes up for it where they are mirror images."""
        return self.in_all == self.chains

    def __str__(self) -> str:
        seen = (
            f"{self.in_all} of {self.chains} chains saw {'both' if len(self.shares) == 2 else 'all'}, {self.crossings} crossings"
        )
        if self.mirror:
            kind = "two modes, mirror images" if self.apart else "mirror images that meet at zero"
            return f"{kind} under {self.name}: {seen}; draws are symmetrised, which is exact"
        shares = listed([f"{100 * s:.3g} %" for s in self.shares])
        unit = "" if self.unit == "1" else f" {self.unit}"
        edges = listed([f"{e:.4g}{unit}" for e in self.edges])
        advice = "" if self.mixed else "; their shares are not to be trusted: use more chains or --sampler ensemble"
        return f"{len(self.shares)} modes of {self.name}, divided at {edges}, with {shares} of the draws: {seen}{advice}"


@dataclass(frozen=True)
class Landscape:
    """Ridges, mirror images and modes of a posterior."""

    ridges: tuple[Ridge, ...] = ()
    modes: tuple[Modes, ...] = ()

    def sentences(self) -> tuple[str, ...]:
        """One line for each."""
        return tuple(map(str, (*self.ridges, *self.modes)))

    def to_json(self) -> dict[str, Any]:
        """As values for `json.dumps`."""
        return {
            "ridges": [asdict(r) for r in self.ridges],
            "modes": [asdict(m) | {"mixed": m.mixed} for m in self.modes],
        }


def landscape(joint: JointLikelihood, result: SampleResult) -> Landscape:
    """Ridges, mirror images and modes of a posterior, from its draws; nothing where there are fewer than ten."""
    if result.chains * result.draws_per_chain < 10:
        return Landscape()
    return Landscape(_ridges(joint, result), (*_mirrors(joint, result), *_modes(result)))


def _ridges(joint: JointLikelihood, result: SampleResult) -> tuple[Ridge, ...]:
    names = [p.name for p in joint.of_kind("coefficient")]
    if len(names) < 2 or not joint.amplitudes.size:
        return ()
    vectors = np.stack([result.draws[name].ravel() for name in joint.names], axis=-1)
    vectors = vectors[np.unique(np.linspace(0, len(vectors) - 1, MOST_DRAWS).astype(int))]

    def contributions(x: Array) -> Array:
        coefficients, theory, _ = joint.split(x)
        return (joint.linear_amplitudes(theory) * coefficients)[:, : len(names)]

    terms = np.asarray(jax.jit(lambda xs: jax.lax.map(contributions, xs, batch_size=64))(jnp.asarray(vectors)))
    weight = np.max(np.abs(space_of(joint).seen), axis=0, initial=0.0)
    found: dict[tuple[str, ...], tuple[float, dict[str, None]]] = {}
    for a, kind in enumerate(joint.amplitudes.kinds):
        spread = np.std(terms[:, a], axis=0)
        part = [i for i, s in enumerate(spread) if s > TAKES_PART * np.max(spread)]
        if not weight[a] > 1e-9 * np.max(weight) or len(part) < 2:
            continue
        left = float(np.std(np.sum(terms[:, a], axis=1)) / np.sqrt(np.sum(spread**2)))
        if left < CANCELLED:
            members = tuple(names[i] for i in part)
            before, words = found.get(members, (left, {}))
            found[members] = min(before, left), {**words, WORDS[kind]: None}
    return tuple(Ridge(members, listed(list(words)), left) for members, (left, words) in found.items())


def _mirrors(joint: JointLikelihood, result: SampleResult) -> tuple[Modes, ...]:
    found = []
    for symmetry in sign_symmetries(joint):
        known = [name for name in symmetry.names if name in result.signs]
        if not known:
            continue
        # The member that keeps farthest from zero tells the images apart.
        near = {n: float(np.mean(np.abs(result.folded[n]) < NEAR_ZERO * np.median(np.abs(result.folded[n])))) for n in known}
        name = min(known, key=lambda n: near[n])
        positive = np.asarray(result.signs[name]) > 0
        share = float(np.mean(positive))
        found.append(_went(str(symmetry), positive.astype(int), (1.0 - share, share), (0.0,), "1", True, near[name] < CONNECTED))
    return tuple(found)


def _modes(result: SampleResult) -> tuple[Modes, ...]:
    found = []
    groups: Sequence[Mapping[str, np.ndarray]] = (result.identified_for_diagnostics(), result.for_diagnostics())
    for name, values in ((name, draws) for group in groups for name, draws in group.items()):
        edges = valleys(values)
        if edges:
            at = np.searchsorted(np.asarray(edges), values)
            shares = tuple(float(np.mean(at == k)) for k in range(len(edges) + 1))
            found.append(_went(name, at, shares, edges, result.unit(name), False, True))
    return tuple(found)


def _went(
    name: str, at: np.ndarray, shares: tuple[float, ...], edges: tuple[float, ...], unit: str, mirror: bool, apart: bool
) -> Modes:
    """`at` (chain, draw): the part that each draw is in."""
    crossings = int(np.sum(at[:, 1:] != at[:, :-1]))
    in_all = sum(len(np.unique(chain)) == len(shares) for chain in at)
    return Modes(name, shares, edges, unit, crossings, in_all, len(at), mirror, apart)


def valleys(values: np.ndarray) -> tuple[float, ...]:
    """Where the density of draws (chain, draw) has valleys between modes, from low to high; none if there is one mode.

    The density is a Gaussian kernel estimate; of quantities that are never negative, one of the draws and their mirror images,
    so that what is piled up at zero is no valley.
    """
    from scipy.signal import find_peaks
    from scipy.stats import gaussian_kde

    draws = np.ravel(np.asarray(values, dtype=float))
    if draws.size < 10 or not np.all(np.isfinite(draws)) or np.ptp(draws) <= 1e-12 * np.max(np.abs(draws)):
        return ()
    few = draws[np.unique(np.linspace(0, draws.size - 1, MOST_DRAWS).astype(int))]
    # Tails would take the grid's points away from the modes.
    low, high = np.quantile(few, [0.001, 0.999])
    positive = bool(np.min(draws) >= 0.0)
    sample = np.concatenate([few, -few]) if positive else few
    margin = 0.1 * (high - low)
    grid = np.linspace(-high - margin if positive else low - margin, high + margin, GRID if not positive else 2 * GRID - 1)
    # The width of one hump, not of the distance between several: that of the core of the draws.
    core = min(np.std(few), np.subtract(*np.quantile(few, [0.75, 0.25])) / 1.34)
    width = NARROW * max(core, 1e-3 * (high - low)) * few.size**-0.2
    density = gaussian_kde(sample, bw_method=width / np.std(sample, ddof=1))(grid)
    peaks, about = find_peaks(density, prominence=0.0)
    peaks = [p for p, depth in zip(peaks, about["prominences"], strict=True) if depth >= (1.0 - VALLEY) * density[p]]
    if positive:
        peaks = [p for p in peaks if grid[p] >= 0.0]
    edges: list[float] = []
    for left, right in pairwise(peaks):
        edges.append(float(grid[left + int(np.argmin(density[left : right + 1]))]))
    # Humps of a few draws are noise; they go to the neighbour on the left.
    while edges:
        shares = np.bincount(np.searchsorted(np.asarray(edges), draws), minlength=len(edges) + 1) / draws.size
        smallest = int(np.argmin(shares))
        if shares[smallest] >= LEAST_SHARE:
            break
        edges.pop(max(smallest - 1, 0))
    return tuple(edges)
