"""The table and the picture of docs/experiments/borexino_phase3.md: what can be fitted to the public Phase-III spectrum.

    python docs/images/make_borexino_phase3.py RELEASES

fits the spectrum after the three-fold-coincidence cut of arXiv:2205.15975, in the folder `borexino_phase3` of RELEASES, with what
is public: solar rates as computed here, the response of arXiv:2204.03011 and the background curves of Phase-II (both made for
another period, hence the free scale, offset and widening). It prints how the rates depend on what is not public. Minutes.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import brentq, least_squares
from scipy.stats import chi2

from likelihoods import borexino_phase2
from likelihoods.borexino_phase2.backgrounds import read_curve
from likelihoods.borexino_phase2.inputs import ELECTRONS_PER_100T
from likelihoods.borexino_phase2.response import HIGHEST_RECOIL_MEV, LOWEST_RECOIL_MEV, mean_hits, sigma_hits
from likelihoods.borexino_phase2.solar_rates import recoil_grid as borexino_grid
from nmmfit.errors import DataError, NmmfitError
from nmmfit.physics.detector import gaussian_bin_probabilities
from nmmfit.physics.oscillation import OscillationParameters
from nmmfit.physics.solar import SOLAR_COMPONENTS, solar_fluxes, solar_sources
from nmmfit.physics.solar_electrons import RecoilGrid, fold_kernels, recoil_grid
from nmmfit.results.figure import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION, new_figure, save, style
from nmmfit.shapes import Array
from nmmfit.tables import find_release, read_table
from nmmfit.units import SECONDS_PER_DAY

HERE = Path(__file__).resolve().parent
SPECTRUM_FILE = "PRL2022_SubtractedSpectrumFit_Data.txt"
EXPOSURE_DAY_100T = 1431.6 * 0.713 * 0.6397  # days, 71.3 t, part left by the cut: arXiv:2205.15975, as quoted in Newtrinos.jl
FIRST_HITS, LAST_HITS, MERGED = 137, 640, 4
CURVE_HITS = np.arange(60.0, 761.0)
CURVES = ("bi210", "kr85", "c11", "ext", "po210")
NAMES = ("be7", "pep", "cno", *CURVES, "scale", "offset", "widening", "po210_scale", "po210_widening")
START = dict(zip(NAMES, (48.0, 2.74, 6.7, 0.5, 1.0, 0.7, 0.7, 0.15, 1.0, 0.0, 0.8, 1.0, 0.8), strict=True))
LOWER = dict(zip(NAMES, (0, 0, 0, 0, 0, 0, 0, 0, 0.8, -60, 0.01, 0.8, 0.01), strict=True))
UPPER = dict(zip(NAMES, (200, 9, 60, 9, 30, 30, 30, 9, 1.2, 60, 9, 1.2, 9), strict=True))
PEP = (2.74, 0.04)  # constraint of arXiv:2205.15975, cpd/100 t: as quoted in Newtrinos.jl
BI210_LIMIT = (10.8, 1.0)  # half a Gaussian above it, arXiv:2205.15975, cpd/100 t: as quoted in Newtrinos.jl
BI210_PHASE2 = 17.5  # what the Phase-II curve stands for, cpd/100 t: from memory of arXiv:1707.09279; unverified
KR85_LEFT = 0.71  # of Phase-II: half-life 10.7 years, middles of the periods five years apart
PUBLISHED = {"cno": (6.7, 2.0, 0.8), "be7": (48.3, 1.2, 1.3)}  # cpd/100 t, up, down: arXiv:2205.15975, 1707.09279 (Phase-II)


@dataclass(frozen=True)
class Release:
    """Number of hits, counts, and the collaboration's own fit, all (row,); the fit is interpolated where the file has none."""

    hits: np.ndarray
    counts: np.ndarray
    official: np.ndarray


def read_release(path: Path) -> Release:
    """The official file: rows of number, hits, nominal keV, bin width, counts, their root, (counts - fit) / root.

    In one row the last two numbers touch; empty bins have no fit. Raises: DataError for anything else.
    """
    number = re.compile(r"-?inf|[+-]?\d+\.?\d*(?:e[+-]?\d+)?")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    rows = [[float(x) for x in number.findall(line)] for line in lines if line.strip()]
    for i, row in enumerate(rows):
        if len(row) != 7:
            raise DataError(f"{path}, row {i + 1}: {len(row)} numbers, expected 7")
    table = np.asarray(rows)
    if not np.array_equal(table[:, 1], np.arange(table[0, 1], table[-1, 1] + 1)):
        raise DataError(f"{path}: the numbers of hits must rise by one from row to row")
    hits, counts, root, residual = table[:, 1], table[:, 4], table[:, 5], table[:, 6]
    with np.errstate(invalid="ignore"):
        official = counts - residual * root
    known = np.isfinite(official)
    return Release(hits, counts, np.interp(hits, hits[known], official[known]))


def merged(values: np.ndarray, size: int = MERGED) -> np.ndarray:
    """Sums of `size` neighbours."""
    return values.reshape(-1, size).sum(axis=1)


def window(release: Release) -> tuple[np.ndarray, np.ndarray]:
    """Counts and the collaboration's fit in the merged bins of the window."""
    inside = (release.hits >= FIRST_HITS) & (release.hits <= LAST_HITS)
    return merged(release.counts[inside]), merged(release.official[inside])


def solar_spectra() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Recoil energies, MeV, and counts (recoil,): per cpd/100 t of 7Be, pep and CNO; of the rest at the solar model's rates."""
    sources = solar_sources()
    fluxes = {name: flux for name, (flux, _) in solar_fluxes().items()}
    exposure = EXPOSURE_DAY_100T * SECONDS_PER_DAY * ELECTRONS_PER_100T.value

    def counts(grid: RecoilGrid, lowest_mev: float) -> dict[str, np.ndarray]:
        kernels = fold_kernels(sources, fluxes, grid, "bks", exposure, lowest_mev)
        found = {}
        for name in SOLAR_COMPONENTS:
            energy = kernels[name].energy_mev
            rho = np.asarray(sources[name].density(jnp.asarray(energy), OscillationParameters()))
            found[name] = np.einsum("arj,jaa->r", kernels[name].sm, np.broadcast_to(rho, (len(energy), 3, 3))).real
        found["cno"] = found.pop("n13") + found.pop("o15") + found.pop("f17")
        found["rest"] = found.pop("pp") + found.pop("b8") + found.pop("hep")
        return found

    grid = borexino_grid(sources.values())
    seen = counts(grid, LOWEST_RECOIL_MEV)
    nearly_all = 1e-4
    everything = counts(
        recoil_grid(sources.values(), nearly_all, HIGHEST_RECOIL_MEV, lambda low, high: 20.0 * (high - low)), nearly_all
    )
    for name in ("be7", "pep", "cno"):
        seen[name] = seen[name] * EXPOSURE_DAY_100T / everything[name].sum()
    return grid.t_mev, seen


class Model:
    """Expected counts per merged bin as a function of parameters (13,) in the order of NAMES."""

    def __init__(self) -> None:
        self.edges = np.arange(FIRST_HITS, LAST_HITS + 2, MERGED) - 0.5
        self.t_mev, self.solar = solar_spectra()
        table = read_table(files(borexino_phase2) / "data" / "backgrounds.csv", text=("component",))
        self.curves = {name: EXPOSURE_DAY_100T * np.asarray(read_curve(table, name)(CURVE_HITS)) for name in CURVES}
        self.counts = jax.jit(lambda p: sum(self.components(p).values()))
        self.slopes = jax.jit(jax.jacfwd(self.counts))

    def components(self, parameters: Array) -> dict[str, Array]:
        """Counts of every component. Mean hits: scale N + offset; variance: that of Phase-II plus widening N."""
        p = dict(zip(NAMES, parameters, strict=True))
        n = mean_hits(self.t_mev)
        sigma = jnp.sqrt(sigma_hits(n) ** 2 + p["widening"] * n)
        response = gaussian_bin_probabilities(p["scale"] * n + p["offset"], sigma, self.edges)
        found = {name: p[name] * (self.solar[name] @ response) for name in ("be7", "pep", "cno")}
        found["rest"] = self.solar["rest"] @ response
        for name in CURVES:
            alpha = name == "po210"
            scale, offset = (p["po210_scale"], 0.0) if alpha else (p["scale"], p["offset"])
            widening = p["po210_widening"] if alpha else p["widening"]
            spread = jnp.sqrt(widening * CURVE_HITS + 1.0 / 12.0)
            found[name] = p[name] * (
                self.curves[name] @ gaussian_bin_probabilities(scale * CURVE_HITS + offset, spread, self.edges)
            )
        return found


@dataclass(frozen=True)
class Variant:
    """What is tied, parameter -> value or the parameter that it equals; `official`: fitted to the collaboration's curve."""

    title: str
    tied: dict[str, float | str] = field(default_factory=dict)
    official: bool = False


TIED_ALPHA: dict[str, float | str] = {"po210_scale": "scale", "po210_widening": "widening"}
VARIANTS = (
    Variant("all free"),
    Variant("210Po shares scale and widening", TIED_ALPHA),
    Variant("85Kr as it has decayed", {"kr85": KR85_LEFT}),
    Variant("no offset, 210Po shares scale and widening", {"offset": 0.0, **TIED_ALPHA}),
    Variant("all free, of the collaboration's curve", official=True),
)


@dataclass(frozen=True)
class Fit:
    """Best fit of a variant: all parameters (13,), chi2 of counts and constraints, 68 % intervals of the rates."""

    parameters: np.ndarray
    chi2: float
    intervals: dict[str, tuple[float, float]]


def constraints(p: Array) -> Array:
    """Residuals of the constraints of the collaboration's fit, (2,)."""
    bi210 = p[NAMES.index("bi210")] * BI210_PHASE2
    return jnp.stack([(p[NAMES.index("pep")] - PEP[0]) / PEP[1], jnp.maximum(0.0, bi210 - BI210_LIMIT[0]) / BI210_LIMIT[1]])


def minimise(model: Model, observed: np.ndarray, tied: dict[str, float | str], start: np.ndarray) -> tuple[np.ndarray, float]:
    """All parameters at the maximum of the Poisson likelihood, and the deviance with constraints there.

    Least squares with errors from the expectation, repeated until the errors are those of the result: the score of Poisson
    counts.
    """
    free = [name for name in NAMES if name not in tied]
    spread = np.zeros((len(NAMES), len(free)))
    fixed = np.zeros(len(NAMES))
    for i, name in enumerate(NAMES):
        to = tied.get(name, name)
        if isinstance(to, str):
            spread[i, free.index(to)] = 1.0
        else:
            fixed[i] = to
    slopes_of_constraints = jax.jacfwd(constraints)

    def full(x: np.ndarray) -> np.ndarray:
        return fixed + spread @ x

    def residuals(x: np.ndarray, root: np.ndarray) -> np.ndarray:
        p = full(x)
        return np.concatenate([(np.asarray(model.counts(p)) - observed) / root, np.asarray(constraints(p))])

    def slopes(x: np.ndarray, root: np.ndarray) -> np.ndarray:
        p = full(x)
        return np.concatenate([np.asarray(model.slopes(p)) / root[:, None], np.asarray(slopes_of_constraints(p))]) @ spread

    lower, upper = (np.asarray([side[name] for name in free], dtype=float) for side in (LOWER, UPPER))
    x = np.clip(np.asarray([start[NAMES.index(name)] for name in free]), lower + 1e-6, upper - 1e-6)
    value = math.inf
    for _ in range(12):
        root = np.sqrt(np.asarray(model.counts(full(x))))
        x = least_squares(
            partial(residuals, root=root), x, partial(slopes, root=root), (lower, upper), x_scale=np.maximum(np.abs(x), 0.1)
        ).x
        p = full(x)
        mean = np.asarray(model.counts(p))
        new = 2.0 * float(
            np.sum(mean - observed + observed * np.log(observed / mean)) + 0.5 * np.sum(np.asarray(constraints(p)) ** 2)
        )
        if abs(new - value) < 1e-3:
            return p, new
        value = new
    raise RuntimeError("the fit has not converged")


def interval(chi2_at: Callable[[float], float], best: float, lowest: float) -> tuple[float, float]:
    """Where chi2 has risen by 1 on both sides, not below 0."""
    found = []
    for sign in (-1.0, 1.0):
        near, step = best, 0.5
        while chi2_at(max(near + sign * step, 0.0)) - lowest < 1.0 and near + sign * step > 0.0:
            near += sign * step
            step *= 1.5
        far = max(near + sign * step, 0.0)
        rises = chi2_at(far) - lowest >= 1.0
        found.append(brentq(lambda v: chi2_at(v) - lowest - 1.0, near, far, xtol=0.03) if rises else far)
    return found[0], found[1]


def fit(model: Model, observed: np.ndarray, variant: Variant) -> Fit:
    """Best fit and 68 % intervals of 7Be and CNO, everything else profiled."""
    p, lowest = minimise(model, observed, variant.tied, np.asarray(list(START.values())))
    intervals = {}
    for name in ("be7", "cno"):

        def at(value: float, name: str = name) -> float:
            return minimise(model, observed, {**variant.tied, name: value}, p)[1]

        intervals[name] = interval(at, float(p[NAMES.index(name)]), lowest)
    return Fit(p, lowest, intervals)


def table(fits: Sequence[tuple[Variant, Fit]], bins: int) -> str:
    """The fits as a Markdown table; rates in cpd/100 t."""
    lines = ["| fit | chi2 | 7Be | CNO | 85Kr / Phase-II | widening |", "|---|---|---|---|---|---|"]
    for variant, found in fits:
        p = dict(zip(NAMES, found.parameters, strict=True))
        rates = [f"{p[n]:.1f} (+{found.intervals[n][1] - p[n]:.1f} -{p[n] - found.intervals[n][0]:.1f})" for n in ("be7", "cno")]
        cells = (variant.title, f"{found.chi2:.1f}", *rates, f"{p['kr85']:.1f}", f"{p['widening']:.2f}")
        lines.append("| " + " | ".join(cells) + " |")
    lines.append(f"\n{bins} bins, {len(NAMES)} parameters, 2 constraints")
    return "\n".join(lines)


def quality(release: Release) -> str:
    """How well the collaboration's own curve describes its counts between 137 and 240 hits, for merged bins."""
    lines = ["| hits per bin | chi2 | bins | p |", "|---|---|---|---|"]
    for size in (1, 2, 4):
        rows = slice(0, (240 - FIRST_HITS) // size * size)
        counts, curve = merged(release.counts[rows], size), merged(release.official[rows], size)
        value = float(np.sum((counts - curve) ** 2 / curve))
        lines.append(f"| {size} | {value:.1f} | {len(counts)} | {chi2.sf(value, len(counts)):.2g} |")
    return "\n".join(lines)


def picture(model: Model, counts: np.ndarray, found: Fit) -> None:
    """Counts, the fit with its parts, and residuals, as docs/images/borexino_phase3.png."""
    parts = {name: np.asarray(c) for name, c in model.components(jnp.asarray(found.parameters)).items()}
    total = np.sum(list(parts.values()), axis=0)
    hits = 0.5 * (model.edges[1:] + model.edges[:-1])
    with style():
        figure = new_figure(6.0, 4.4)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        above.errorbar(hits, counts, np.sqrt(counts), fmt=".", markersize=2.5, linewidth=0.6, color=BLACK, label="data")
        above.plot(hits, total, color=VERMILLION, label="fit")
        labels = {"be7": "$^7$Be", "cno": "CNO", "bi210": "$^{210}$Bi", "kr85": "$^{85}$Kr", "c11": "$^{11}$C", "ext": "external"}
        for (name, label), colour in zip(labels.items(), (BLUE, GREEN, PURPLE, ORANGE, SKY, GREY), strict=True):
            above.plot(hits, parts[name], color=colour, linewidth=1.0, label=label)
        above.set(yscale="log", ylim=(0.5, 5e3), ylabel=f"counts / {MERGED} hits")
        above.legend(ncols=2)
        below.plot(hits, (counts - total) / np.sqrt(total), ".", markersize=2.5, color=BLACK)
        below.axhline(0.0, color=VERMILLION, linewidth=0.8)
        below.set(xlabel="number of hits", ylabel="pull")
        save(figure, HERE / "borexino_phase3", ("png",))


def main(argv: Sequence[str]) -> int:
    if len(argv) != 1:
        sys.stderr.write("usage: make_borexino_phase3.py RELEASES\n")
        return 2
    try:
        release = read_release(find_release(argv[0], "borexino_phase3") / SPECTRUM_FILE)
    except NmmfitError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    counts, official = window(release)
    model = Model()
    fits = [(variant, fit(model, official if variant.official else counts, variant)) for variant in VARIANTS]
    picture(model, counts, fits[0][1])
    sys.stdout.write(f"{table(fits, len(counts))}\n\n{quality(release)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
