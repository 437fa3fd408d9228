"""Makes the tables of `borexino_phase2` from the public release: observed counts and smoothed background curves.

    python -m likelihoods.borexino_phase2.make_data --release DIR [--out DIR]

`--release` names the folder `borexino_phase2` of the releases, or the folder that contains it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.polynomial import chebyshev
from scipy.optimize import least_squares

from nmmfit.errors import DataError
from nmmfit.release import release_reader
from nmmfit.tables import find_release, run_maker, sha256, write_table

SPECTRUM_FILE = "Nature2018_Fig2a_DATA.txt"
COMPONENT_FILE = "phase2_fig6a_components.csv"
EXPOSURE_DAY_100T = 582.326
FIRST_HITS, LAST_HITS = 100, 700
PLOT_FLOOR = 2.1e-4
# What a point stands for that lies at or below the plot floor (2e-4), where such points are used at all.
BELOW_FLOOR = 1.0e-4
DIGITS = 8


@dataclass(frozen=True)
class Smoothing:
    """How one drawn curve becomes an analytic one: a sum of exponentials of polynomials in N_h.

    Fitted to the drawn points from `first` to `last`, weighted by their square root (Poisson errors of the simulation behind the
    curve). `degrees` are those of the terms' polynomials, with `start` their first guesses (Chebyshev coefficients on the range)
    where there is more than one. Points below the plot floor are left out, or count as BELOW_FLOOR with `use_floor`: without
    them the tail of a noisy curve comes out too high.
    """

    first: int
    last: int
    degrees: tuple[int, ...]
    start: tuple[tuple[float, ...], ...] = ()
    use_floor: bool = False


# Degrees are as low as the points allow, and such that curves fall beyond their ranges, where no published value supports them.
# Pile-up: falling 14C + 14C, 14C on 210Po, and the rest.
SMOOTHING = {
    "c14": Smoothing(93, 110, (1,)),
    "pileup": Smoothing(93, 420, (2, 2, 1), start=((-25.0, -30.0, -5.0), (-12.0, -20.0, -13.0), (-8.0, -1.0)), use_floor=True),
    "po210": Smoothing(123, 260, (5,)),
    "kr85": Smoothing(93, 312, (4,)),
    "bi210": Smoothing(93, 475, (6,)),
    "c11": Smoothing(354, 714, (6,)),
    "ext": Smoothing(250, 718, (6,), use_floor=True),
}
RELEASE_NAME = {"c14": "C14", "pileup": "pileup", "po210": "Po210", "kr85": "Kr85", "bi210": "Bi210", "c11": "C11", "ext": "ext"}
# Known slip of the extraction: this point of the solar curve lies off its neighbours.
SOLAR_ARTEFACT = 506


@release_reader
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


@release_reader
def read_components(path: Path) -> dict[str, np.ndarray]:
    """Drawn curves of the fit, counts / (day x 100 t x N_h), by the release's column names."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    names = lines[0].split(",")
    rows = np.array([[float(cell) for cell in line.split(",")] for line in lines[1:]])
    return {name: rows[:, i] for i, name in enumerate(names)}


def fit_curve(n_hits: np.ndarray, drawn: np.ndarray, how: Smoothing) -> tuple[np.ndarray, ...]:
    """Chebyshev coefficients on [first, last] of each term's exponent, lowest order first.

    Raises: DataError if the fit of several terms does not converge.
    """
    inside = (n_hits >= how.first) & (n_hits <= how.last)
    high = drawn > PLOT_FLOOR
    used = inside if how.use_floor else inside & high
    x = 2.0 * (n_hits[used] - how.first) / (how.last - how.first) - 1.0
    y = np.where(high, drawn, BELOW_FLOOR)[used]
    if len(how.degrees) == 1:
        return (chebyshev.chebfit(x, np.log(y), how.degrees[0], w=np.sqrt(y)),)
    cuts = np.cumsum([degree + 1 for degree in how.degrees])[:-1]

    def residual(parameters: np.ndarray) -> np.ndarray:
        model = sum(np.exp(chebyshev.chebval(x, c)) for c in np.split(parameters, cuts))
        return np.sqrt(model) - np.sqrt(y)

    found = least_squares(residual, np.concatenate(how.start), x_scale="jac", xtol=1e-15, ftol=1e-15, gtol=1e-15)
    if not found.success:
        raise DataError(f"a curve of {len(how.degrees)} terms from N_h {how.first} to {how.last} could not be fitted")
    return tuple(np.split(found.x, cuts))


def evaluate_curve(terms: Sequence[np.ndarray], how: Smoothing, n_hits: np.ndarray) -> np.ndarray:
    """The analytic curve at any number of hits."""
    x = 2.0 * (n_hits - how.first) / (how.last - how.first) - 1.0
    return np.asarray(sum(np.exp(chebyshev.chebval(x, c)) for c in terms))


def bin_structure(
    spectrum: dict[str, np.ndarray], drawn: dict[str, np.ndarray], curves: dict[str, np.ndarray], grid: np.ndarray
) -> np.ndarray:
    """Fractional bin-to-bin structure of the official fit relative to the smooth 210Po curve, where 210Po dominates.

    The hit estimator is discrete, so that single bins stand out by up to 13 per cent, in data and official fit alike but not in
    the drawn curves. Where 210Po exceeds all others together, (fit - sum) / 210Po; 0 elsewhere.
    """
    fit = np.interp(grid, spectrum["n_hits"], spectrum["fit"]) / EXPOSURE_DAY_100T
    good = drawn["N_h"] != SOLAR_ARTEFACT
    others = np.interp(grid, drawn["N_h"][good], drawn["solar"][good])
    others = others + sum(curve for name, curve in curves.items() if name != "po210")
    dominant = curves["po210"] > others
    return np.where(dominant, (fit - others) / np.where(dominant, curves["po210"], 1.0) - 1.0, 0.0)


def make(release: Path, out: Path) -> None:
    """Write `spectrum.csv`, `backgrounds.csv` and `bin_structure.csv` into `out`, which must exist."""
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
            "source": "Borexino open data, file of Fig. 2a of Nature 562 (2018) 505; rate times exposure gives whole numbers",
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
    terms = {name: fit_curve(drawn["N_h"], drawn[RELEASE_NAME[name]], how) for name, how in SMOOTHING.items()}
    rows = [
        (name, i, SMOOTHING[name].first, SMOOTHING[name].last, k, value)
        for name, parts in terms.items()
        for i, coefficients in enumerate(parts)
        for k, value in enumerate(coefficients)
    ]
    origin = {
        "arxiv": "1707.09279",
        "doi": "10.1103/PhysRevD.100.082004",
        "licence": "facts read from a published figure; licence of the third-party table unknown",
        "status": "vector extraction by a third party (Newtrinos-org/Newtrinos.jl)",
        "release_sha256": sha256(folder / COMPONENT_FILE),
    }
    write_table(
        out / "backgrounds.csv",
        dict(
            zip(
                ("component", "term", "first_hits", "last_hits", "order", "coefficient"),
                map(list, zip(*rows, strict=True)),
                strict=True,
            )
        ),
        {
            "title": "Background curves of the Borexino Phase-II fit, analytic",
            "source": "Fig. 6a of PRD 100 (2019) 082004; smoothed here: counts / (day x 100 t x N_h) = sum over terms of "
            "exp(sum_k coefficient_k T_k(x)), x = 2 (N_h - first) / (last - first) - 1, fitted from first to last",
            **origin,
            "unit.term": "index of the term in the sum",
            "unit.first_hits": "number of hits",
            "unit.last_hits": "number of hits",
            "unit.order": "order k of the Chebyshev polynomial",
            "unit.coefficient": "1",
        },
        digits=DIGITS,
    )
    hits = np.arange(FIRST_HITS, LAST_HITS + 1)
    curves = {name: evaluate_curve(parts, SMOOTHING[name], hits) for name, parts in terms.items()}
    write_table(
        out / "bin_structure.csv",
        {"n_hits": hits, "po210_structure": bin_structure(spectrum, drawn, curves, hits)},
        {
            "title": "Bin-to-bin structure of the official fit that its smooth components do not have",
            "source": "official fit (data file of Fig. 2a of Nature 562 (2018) 505) and Fig. 6a of PRD 100 (2019) 082004: "
            "(fit - sum of curves) / 210Po where 210Po exceeds all others together, else 0",
            **origin,
            "spectrum_sha256": sha256(folder / SPECTRUM_FILE),
            "unit.n_hits": "number of hits",
            "unit.po210_structure": "fraction of the smooth 210Po curve",
        },
        digits=DIGITS,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Command line: read the release, write the tables (default: this package's data folder). Returns: exit code."""
    return run_maker(make, Path(__file__).parent / "data", argv)


if __name__ == "__main__":
    sys.exit(main())
