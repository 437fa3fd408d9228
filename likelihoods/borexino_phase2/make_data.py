"""Makes the tables of `borexino_phase2` from the public release: observed counts and smoothed background curves.

    python -m likelihoods.borexino_phase2.make_data --release DIR [--out DIR]

`--release` names the folder `borexino_phase2` of the releases, or the folder that contains it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.polynomial import chebyshev

from nmmfit.errors import DataError
from nmmfit.tables import find_release, sha256, write_table

SPECTRUM_FILE = "Nature2018_Fig2a_DATA.txt"
COMPONENT_FILE = "phase2_fig6a_components.csv"
EXPOSURE_DAY_100T = 582.326
FIRST_HITS, LAST_HITS = 100, 700
# Curves reach further than the window, for energy-scale shifts of up to 5 per cent.
CURVE_FIRST, CURVE_LAST = 85, 745
PLOT_FLOOR = 2.1e-4
DIGITS = 8


@dataclass(frozen=True)
class Smoothing:
    """How one drawn curve becomes a smooth one: log(curve) is a polynomial in N_h, fitted from `first` to `last`.

    Beyond that range it goes on with the value and slope at the end, and with the curvature where `concave` (never
    positive): straight lines for what falls slowly, a Gaussian tail for what falls steeply. `weight_power` p weights the points
    by curve**p (1/2: Poisson errors of the simulation behind the curve).
    """

    first: int
    last: int
    degree: int
    concave: bool = True
    weight_power: float = 0.5


# Points at or below the plot floor (2e-4) carry no value and are left out; ranges stop where the curves reach it.
SMOOTHING = {
    "c14": Smoothing(93, 110, 2),
    "pileup": Smoothing(93, 350, 14, concave=False, weight_power=0.25),
    "po210": Smoothing(123, 260, 8),
    "kr85": Smoothing(93, 312, 6),
    "bi210": Smoothing(93, 475, 7),
    "c11": Smoothing(354, 714, 8),
    "ext": Smoothing(330, 718, 4, concave=False),
}
RELEASE_NAME = {"c14": "C14", "pileup": "pileup", "po210": "Po210", "kr85": "Kr85", "bi210": "Bi210", "c11": "C11", "ext": "ext"}
# Known slip of the extraction: this point of the solar curve lies off its neighbours.
SOLAR_ARTEFACT = 506


def read_spectrum(path: Path) -> dict[str, np.ndarray]:
    """Official spectrum: `n_hits`, `counts` (whole numbers) and `fit`, the collaboration's fit in counts.

    The fit is data minus residual times error. It is undefined where the error is 0 (empty bins); there it is the straight
    line between its neighbours.
    Raises: DataError if rate times exposure is not a whole number within 0.05.
    """
    rows = np.loadtxt(path)
    n_hits = rows[:, 1].astype(int)
    rate, error, residual = rows[:, 4], rows[:, 5], rows[:, 6]
    counts = rate * EXPOSURE_DAY_100T
    whole = np.round(counts)
    if np.max(np.abs(counts - whole)) > 0.05:
        raise DataError(f"{path.name}: rate times exposure is not a whole number of counts")
    # The first row has no fit: its residual column repeats the rate.
    known = (error > 0.0) & (n_hits > n_hits[0])
    fit = np.interp(n_hits, n_hits[known], (rate - residual * error)[known] * EXPOSURE_DAY_100T)
    return {"n_hits": n_hits, "counts": whole.astype(int), "fit": fit}


def read_components(path: Path) -> dict[str, np.ndarray]:
    """Drawn curves of the fit, counts / (day x 100 t x N_h), by the release's column names."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    names = lines[0].split(",")
    rows = np.array([[float(cell) for cell in line.split(",")] for line in lines[1:]])
    return {name: rows[:, i] for i, name in enumerate(names)}


def smooth_curve(n_hits: np.ndarray, drawn: np.ndarray, how: Smoothing, grid: np.ndarray) -> np.ndarray:
    """Smooth positive curve on `grid` from the drawn points, as `how` says."""
    used = (n_hits >= how.first) & (n_hits <= how.last) & (drawn > PLOT_FLOOR)

    def scaled(n: np.ndarray) -> np.ndarray:
        return 2.0 * (n - how.first) / (how.last - how.first) - 1.0

    polynomial = chebyshev.chebfit(
        scaled(n_hits[used]), np.log(drawn[used]), how.degree, w=drawn[used] ** how.weight_power
    )
    x = scaled(grid)
    log_curve = chebyshev.chebval(np.clip(x, -1.0, 1.0), polynomial)
    for side in (-1.0, 1.0):
        value, slope, curvature = (chebyshev.chebval(side, chebyshev.chebder(polynomial, m)) for m in range(3))
        curvature = min(curvature, 0.0) if how.concave else 0.0
        step = x - side
        outside = step * side > 0.0
        log_curve[outside] = (value + slope * step + 0.5 * curvature * step**2)[outside]
    return np.exp(log_curve)


def bin_structure(
    spectrum: dict[str, np.ndarray], drawn: dict[str, np.ndarray], curves: dict[str, np.ndarray], grid: np.ndarray
) -> np.ndarray:
    """Fractional bin-to-bin structure of the official fit relative to the smooth 210Po curve, where 210Po dominates.

    The hit estimator is discrete, so that single bins stand out by up to 13 per cent, in data and official fit alike but not in the
    drawn curves. Where 210Po makes more than half of the sum, (fit - sum) / 210Po; 0 elsewhere.
    """
    fit = np.interp(grid, spectrum["n_hits"], spectrum["fit"]) / EXPOSURE_DAY_100T
    good = drawn["N_h"] != SOLAR_ARTEFACT
    others = np.interp(grid, drawn["N_h"][good], drawn["solar"][good])
    others = others + sum(curve for name, curve in curves.items() if name != "po210")
    dominant = curves["po210"] > others
    inside = (grid >= FIRST_HITS) & (grid <= LAST_HITS)
    return np.where(dominant & inside, (fit - others) / curves["po210"] - 1.0, 0.0)


def make(release: Path, out: Path) -> None:
    """Write `spectrum.csv` and `backgrounds.csv` into `out`, which must exist."""
    folder = find_release(release, "borexino_phase2")
    spectrum = read_spectrum(folder / SPECTRUM_FILE)
    drawn = read_components(folder / COMPONENT_FILE)
    window = (spectrum["n_hits"] >= FIRST_HITS) & (spectrum["n_hits"] <= LAST_HITS)
    write_table(
        out / "spectrum.csv",
        {
            "n_hits": spectrum["n_hits"][window],
            "counts": spectrum["counts"][window],
            "official_fit": spectrum["fit"][window],
        },
        {
            "title": "Borexino Phase-II spectrum after the three-fold-coincidence cut, Dec 2011 - May 2016",
            "source": "Borexino open data: data file of Fig. 2a of Nature 562 (2018) 505; rate times exposure gives whole numbers",
            "doi": "10.1038/s41586-018-0624-y",
            "arxiv": "1707.09279",
            "licence": "facts; copy of the official file in a public repository under MIT (athompson-tamu/pyCEvNS, branch nsi)",
            "status": "official data",
            "release_sha256": sha256(folder / SPECTRUM_FILE),
            "exposure_day_100t": repr(EXPOSURE_DAY_100T),
            "unit.n_hits": "number of hits, one per bin (bin edges at half-integers)",
            "unit.counts": "counts",
            "unit.official_fit": "counts; data minus residual times error, straight line across the empty bins",
        },
        digits=DIGITS,
    )
    grid = np.arange(CURVE_FIRST, CURVE_LAST + 1)
    curves = {
        name: smooth_curve(drawn["N_h"], drawn[RELEASE_NAME[name]], how, grid.astype(float)) for name, how in SMOOTHING.items()
    }
    columns: dict[str, np.ndarray] = {"n_hits": grid, **curves}
    columns["po210_structure"] = bin_structure(spectrum, drawn, curves, grid)
    write_table(
        out / "backgrounds.csv",
        columns,
        {
            "title": "Background curves of the Borexino Phase-II fit, smoothed",
            "source": "Fig. 6a of PRD 100 (2019) 082004, read from its vector graphics by a third party (Newtrinos-org/Newtrinos.jl); "
            "smoothed here: log(curve) is a polynomial, continued beyond the drawn range with its value, slope and negative curvature "
            "(pile-up and external: value and slope)",
            "arxiv": "1707.09279",
            "doi": "10.1103/PhysRevD.100.082004",
            "licence": "facts read from a published figure; licence of the third-party table unknown",
            "status": "vector extraction by a third party",
            "release_sha256": sha256(folder / COMPONENT_FILE),
            "spectrum_sha256": sha256(folder / SPECTRUM_FILE),
            "fitted": "; ".join(f"{n} N_h {s.first}-{s.last} degree {s.degree}" for n, s in SMOOTHING.items()),
            **{f"unit.{name}": "counts / (day x 100 t x N_h)" for name in SMOOTHING},
            "unit.n_hits": "number of hits",
            "unit.po210_structure": "fraction of po210: (official fit - sum of curves) / po210 where po210 exceeds all others, else 0",
        },
        digits=DIGITS,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: read the release, write the tables (default: this package's data folder)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", required=True, type=Path, help="folder borexino_phase2 of the releases, or its parent")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "data", help="folder to write to")
    options = parser.parse_args(arguments)
    make(options.release, options.out)


if __name__ == "__main__":
    main()
