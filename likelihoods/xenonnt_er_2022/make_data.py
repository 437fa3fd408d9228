"""Makes the tables of `xenonnt_er_2022` from the release: counts, background and solar curve per bin, efficiency.

    python -m likelihoods.xenonnt_er_2022.make_data --release DIR [--out DIR]

`--release` names the folder `xenon_er` of the releases, or the folder that contains it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nmmfit.errors import DataError
from nmmfit.release import release_reader
from nmmfit.tables import find_release, run_maker, sha256, write_table

COUNTS_FILE = "xenonnt2022_binned_data_bkgnonu.txt"
CURVES_FILE = "xenonnt2022_digitised_B0_solarnu_observed.csv"
EFFICIENCY_FILE = "xenonnt2022_ER_efficiency.csv"
TONNE_YEARS = 1.16
# Bins of 2 keV; the first is cut by the threshold of the search at 1 keV.
EDGES_KEV = np.concatenate([[1.0], np.arange(2.0, 141.0, 2.0)])
# Largest distance of a digitised count from a whole number.
LARGEST_FRACTION = 0.25
VIA = "digitised by a third party (SNuDD/SNuDD, commit 11622ded104994959a649d85e263c2d9f933ea74)"
DIGITS = 6


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_maker(make, Path(__file__).parent / "data", argv)


@release_reader
def read_counts(path: Path) -> np.ndarray:
    """Whole counts per bin, in increasing energy. Raises: DataError unless there is one bin each, near a whole number."""
    rows = np.loadtxt(path)
    rows = rows[np.argsort(rows[:, 0])]
    if len(rows) != len(EDGES_KEV) - 1 or np.any(np.abs(rows[:, 0] - np.arange(1.0, 140.0, 2.0)) > 0.2):
        raise DataError(f"{path.name}: expected one row for every 2 keV from 0 to 140")
    whole = np.round(rows[:, 1])
    if np.any(np.abs(rows[:, 1] - whole) > LARGEST_FRACTION):
        raise DataError(f"{path.name}: counts are too far from whole numbers")
    return whole.astype(int)


@release_reader
def read_curve(path: Path, column: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (keV, events / (tonne year keV)) of one digitised curve, in increasing energy."""
    lines = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()[2:]]
    points = np.array([(float(r[column]), float(r[column + 1])) for r in lines if r[column]])
    points = points[np.argsort(points[:, 0])]
    return points[:, 0], points[:, 1]


@release_reader
def read_efficiency(path: Path) -> np.ndarray:
    """Points (keV, efficiency) of a curve, (point, 2), at increasing energies. Raises: DataError for anything else."""
    points = np.loadtxt(path, delimiter=",")
    if points.ndim != 2 or points.shape[1] != 2 or np.any(np.diff(points[:, 0]) < 0.0):
        raise DataError(f"{path.name}: expected two columns, energies that do not fall and efficiencies")
    return points


def bin_integrals(energy: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Integrals of the straight lines between points over every bin."""
    inner = energy[(energy > EDGES_KEV[0]) & (energy < EDGES_KEV[-1])]
    grid = np.unique(np.concatenate([EDGES_KEV, inner]))
    heights = np.interp(grid, energy, value)
    areas = 0.5 * np.diff(grid) * (heights[1:] + heights[:-1])
    return np.add.reduceat(areas, np.searchsorted(grid, EDGES_KEV[:-1]))


def make(release: Path, out: Path) -> None:
    """Write `spectrum.csv` and `efficiency.csv` into `out`, which must exist."""
    folder = find_release(release, "xenon_er")
    counts = read_counts(folder / COUNTS_FILE)
    total = TONNE_YEARS * bin_integrals(*read_curve(folder / CURVES_FILE, 0))
    solar = TONNE_YEARS * bin_integrals(*read_curve(folder / CURVES_FILE, 2))
    origin = {
        "arxiv": "2207.11330",
        "doi": "10.1103/PhysRevLett.129.161805",
        "licence": "facts read from published figures; the collection they were read from is GPL-3.0",
        "status": VIA,
    }
    write_table(
        out / "spectrum.csv",
        {
            "low_kev": EDGES_KEV[:-1],
            "high_kev": EDGES_KEV[1:],
            "counts": counts,
            "background": total - solar,
            "solar": solar,
        },
        {
            "title": "XENONnT electronic recoils 2022: counts, fitted background without solar neutrinos, and solar neutrinos",
            "source": "E. Aprile et al., Phys. Rev. Lett. 129, 161805 (2022), figures of the spectrum; counts rounded; curves "
            "(best fit B0 and its solar part) integrated over bins between the digitised points",
            **origin,
            "release_sha256": sha256(folder / COUNTS_FILE),
            "curves_sha256": sha256(folder / CURVES_FILE),
            "tonne_years": f"{TONNE_YEARS:g}",
            "unit.low_kev": "keV, reconstructed",
            "unit.high_kev": "keV, reconstructed",
            "unit.counts": "counts",
            "unit.background": "counts",
            "unit.solar": "counts",
        },
        digits=DIGITS,
    )
    efficiency = read_efficiency(folder / EFFICIENCY_FILE)
    write_table(
        out / "efficiency.csv",
        {"energy_kev": efficiency[:, 0], "efficiency": efficiency[:, 1]},
        {
            "title": "XENONnT electronic recoils 2022: total efficiency against reconstructed energy",
            "source": "E. Aprile et al., Phys. Rev. Lett. 129, 161805 (2022), fig. 1",
            **origin,
            "release_sha256": sha256(folder / EFFICIENCY_FILE),
            "unit.energy_kev": "keV, reconstructed",
            "unit.efficiency": "1",
        },
        digits=DIGITS,
    )


if __name__ == "__main__":
    sys.exit(main())
