"""Makes the tables of `lz_er` from the release: counts and fitted background per bin, and efficiencies, of both runs.

    python -m likelihoods.lz_er.make_data --release DIR [--out DIR]

`--release` names the folder `xenon_er` of the releases, or the folder that contains it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from likelihoods.lz_er.inputs import EDGES_KEV, RUNS, response
from nmmfit.errors import DataError
from nmmfit.physics.xenon_response import flat_fold
from nmmfit.release import release_reader
from nmmfit.tables import find_release, run_maker, sha256, write_table

# Where 37Ar (2.8 keV) stands out of the drawn background of WS2022, and where that is flat.
ARGON_KEV, FLAT_KEV = (2.0, 4.0), (6.0, 18.0)
DIGITS = 6


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_maker(make, Path(__file__).parent / "data", argv)


@release_reader
def read_bins(path: Path, delimiter: str | None) -> np.ndarray:
    """Values of the 1-keV bins from 1 to 20 keV. Raises: DataError unless there are rows from 0 to 20 keV, the first empty."""
    rows = np.loadtxt(path, delimiter=delimiter)
    if len(rows) != 20 or np.any(np.abs(rows[:, 0] - np.arange(0.5, 20.0)) > 0.05) or rows[0, 1] > 0.2:
        raise DataError(f"{path.name}: expected one row for every keV from 0 to 20, the first one empty")
    return rows[1:, 1]


@release_reader
def read_efficiency(path: Path) -> np.ndarray:
    """Points (keV, efficiency) of a curve, (point, 2), at increasing energies. Raises: DataError for anything else."""
    points = np.loadtxt(path)
    if points.ndim != 2 or points.shape[1] != 2 or np.any(np.diff(points[:, 0]) < 0.0):
        raise DataError(f"{path.name}: expected two columns, energies that do not fall and efficiencies")
    return points


def argon_peak(background: np.ndarray, flat: np.ndarray) -> np.ndarray:
    """What stands out of a flat spectrum at 37Ar's energy, counts per bin; 0 elsewhere.

    Args:
        background: drawn counts (bin,); flat: fold of a flat spectrum (bin,).
    """
    centres = 0.5 * (EDGES_KEV[1:] + EDGES_KEV[:-1])
    level = np.mean((background / flat)[(centres > FLAT_KEV[0]) & (centres < FLAT_KEV[1])])
    return np.where((centres > ARGON_KEV[0]) & (centres < ARGON_KEV[1]), background - level * flat, 0.0)


def make(release: Path, out: Path) -> None:
    """Write `<run>_spectrum.csv` and `<run>_efficiency.csv` of both runs into `out`, which must exist."""
    folder = find_release(release, "xenon_er")
    for run in RUNS:
        paths = {part: folder / f"lz2025_{run.upper()}_{part}" for part in ("counts.txt", "bkgfit.csv", "efficiency.txt")}
        counts = read_bins(paths["counts.txt"], None)
        if np.any(counts != np.round(counts)):
            raise DataError(f"{paths['counts.txt'].name}: counts must be whole numbers")
        background = read_bins(paths["bkgfit.csv"], ",")
        efficiency = read_efficiency(paths["efficiency.txt"])
        curve = response(efficiency[:, 0], efficiency[:, 1])
        peak = argon_peak(background, flat_fold(curve, EDGES_KEV)) if run == "ws2022" else np.zeros(len(counts))
        origin = {
            "arxiv": "2511.17350",
            "licence": "facts read from published figures; the collection they were read from is GPL-3.0",
            "status": "digitised by a third party (SNuDD/SNuDD, commit 11622ded104994959a649d85e263c2d9f933ea74)",
        }
        write_table(
            out / f"{run}_spectrum.csv",
            {
                "low_kev": EDGES_KEV[:-1],
                "high_kev": EDGES_KEV[1:],
                "counts": counts.astype(int),
                "smooth": background - peak,
                "argon37": peak,
            },
            {
                "title": f"LZ electron recoils, {run.upper()}: counts and best-fit background",
                "source": "LZ Collaboration, arXiv:2511.17350, figures; background: the drawn total, with solar neutrinos in it; "
                "argon37: what stands out of a flat spectrum from 2 to 4 keV, smooth: the rest",
                **origin,
                "release_sha256": sha256(paths["counts.txt"]),
                "background_sha256": sha256(paths["bkgfit.csv"]),
                "unit.low_kev": "keV, reconstructed",
                "unit.high_kev": "keV, reconstructed",
                "unit.counts": "counts",
                "unit.smooth": "counts",
                "unit.argon37": "counts",
            },
            digits=DIGITS,
        )
        write_table(
            out / f"{run}_efficiency.csv",
            {"energy_kev": efficiency[:, 0], "efficiency": efficiency[:, 1]},
            {
                "title": f"LZ electron recoils, {run.upper()}: efficiency of the one-dimensional window against energy",
                "source": "LZ Collaboration, arXiv:2511.17350, figure; its fall above 15 keV is that of the window and not used",
                **origin,
                "release_sha256": sha256(paths["efficiency.txt"]),
                "unit.energy_kev": "keV",
                "unit.efficiency": "1",
            },
            digits=DIGITS,
        )


if __name__ == "__main__":
    sys.exit(main())
