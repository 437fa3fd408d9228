"""Makes the tables of `pandax4t_er` from the release: counts and fitted background per bin, and the efficiency.

    python -m likelihoods.pandax4t_er.make_data --release DIR [--out DIR]

`--release` names the folder `xenon_er` of the releases, or the folder that contains it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from likelihoods.pandax4t_er.inputs import EDGES_KEV, response
from nmmfit.errors import DataError
from nmmfit.physics.xenon_response import flat_fold
from nmmfit.release import release_reader
from nmmfit.tables import find_release, run_maker, sha256, write_table

COUNTS_FILE, BACKGROUND_FILE, EFFICIENCY_FILE = (
    "pandax4t_run1_counts.csv",
    "pandax4t_run1_bkg.csv",
    "pandax4t_run1_efficiency.csv",
)
LARGEST_FRACTION = 0.12
# End of the spectrum of tritium, of which a thousandth lies above 16 keV; and where the drawn background is a straight line times
# the efficiency (beyond, the resolution's polynomial ends).
TRITIUM_END_KEV, LINE_KEV = 18.6, (16.0, 26.0)
DIGITS = 6


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_maker(make, Path(__file__).parent / "data", argv)


@release_reader
def read_bins(path: Path) -> np.ndarray:
    """Values of the 1-keV bins from 1 to 30 keV. Raises: DataError unless the rows are those from 0 to 30 keV."""
    rows = np.loadtxt(path, delimiter=",", skiprows=1)
    if len(rows) != 30 or np.any(np.abs(rows[:, 0] - np.arange(0.5, 30.0)) > 0.01) or rows[0, 1] > 1.0:
        raise DataError(f"{path.name}: expected one row for every keV from 0 to 30, the first one nearly empty")
    return rows[1:, 1]


@release_reader
def read_efficiency(path: Path) -> np.ndarray:
    """Points (keV, efficiency) of a curve, (point, 2), at increasing energies. Raises: DataError for anything else."""
    points = np.loadtxt(path, delimiter=",", skiprows=1)
    if points.ndim != 2 or points.shape[1] != 2 or np.any(np.diff(points[:, 0]) < 0.0):
        raise DataError(f"{path.name}: expected two columns, energies that do not fall and efficiencies")
    return points


def tritium(background: np.ndarray, flat: np.ndarray) -> np.ndarray:
    """What exceeds a straight line times the efficiency below the end of tritium, counts per bin, not negative; 0 above.

    Args:
        background: drawn counts (bin,); flat: fold of a flat spectrum (bin,).
    """
    centres = 0.5 * (EDGES_KEV[1:] + EDGES_KEV[:-1])
    straight = (centres > LINE_KEV[0]) & (centres < LINE_KEV[1])
    line = np.polynomial.Polynomial.fit(centres[straight], (background / flat)[straight], 1)
    return np.where(centres > TRITIUM_END_KEV, 0.0, np.maximum(0.0, background - line(centres) * flat))


def make(release: Path, out: Path) -> None:
    """Write `spectrum.csv` and `efficiency.csv` into `out`, which must exist."""
    folder = find_release(release, "xenon_er")
    counts = read_bins(folder / COUNTS_FILE)
    whole = np.round(counts)
    if np.any(np.abs(counts - whole) > LARGEST_FRACTION):
        raise DataError(f"{COUNTS_FILE}: counts are too far from whole numbers")
    background = read_bins(folder / BACKGROUND_FILE)
    efficiency = read_efficiency(folder / EFFICIENCY_FILE)
    excess = tritium(background, flat_fold(response(efficiency[:, 0], efficiency[:, 1]), EDGES_KEV))
    origin = {
        "arxiv": "2408.07641",
        "licence": "facts read from published figures; the collection they were read from is GPL-3.0",
        "status": "digitised by a third party (SNuDD/SNuDD, commit 11622ded104994959a649d85e263c2d9f933ea74)",
    }
    write_table(
        out / "spectrum.csv",
        {
            "low_kev": EDGES_KEV[:-1],
            "high_kev": EDGES_KEV[1:],
            "counts": whole.astype(int),
            "smooth": background - excess,
            "tritium": excess,
        },
        {
            "title": "PandaX-4T electron recoils, Run1: counts and best-fit background",
            "source": "PandaX Collaboration, arXiv:2408.07641, figure; counts rounded; background: the drawn total, with solar "
            "neutrinos in it; tritium: what exceeds a straight line times the efficiency below 18.6 keV, smooth: the rest",
            **origin,
            "release_sha256": sha256(folder / COUNTS_FILE),
            "background_sha256": sha256(folder / BACKGROUND_FILE),
            "unit.low_kev": "keV, reconstructed",
            "unit.high_kev": "keV, reconstructed",
            "unit.counts": "counts",
            "unit.smooth": "counts",
            "unit.tritium": "counts",
        },
        digits=DIGITS,
    )
    write_table(
        out / "efficiency.csv",
        {"energy_kev": efficiency[:, 0], "efficiency": efficiency[:, 1]},
        {
            "title": "PandaX-4T electron recoils, Run1: efficiency against energy",
            "source": "PandaX Collaboration, arXiv:2408.07641, figure; its fall above 22 keV is not used",
            **origin,
            "release_sha256": sha256(folder / EFFICIENCY_FILE),
            "unit.energy_kev": "keV, reconstructed",
            "unit.efficiency": "1",
        },
        digits=DIGITS,
    )


if __name__ == "__main__":
    sys.exit(main())
