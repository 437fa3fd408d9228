"""Make the table of reactor antineutrino spectra in `nmmfit/physics/data` from the public collection:

    python -m nmmfit.physics.make_reactor_data --release FOLDER [--out FOLDER]

FOLDER is the folder of releases or its subfolder `reactor_flux`. The release has one file per isotope with the centres of bins
of 25 keV; here they become the columns of one table with the bins' lower edges, 0 where an isotope's spectrum has ended.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nmmfit.errors import DataError
from nmmfit.physics.make_solar_data import read_numbers
from nmmfit.tables import find_release, run_maker, sha256, write_table

RELEASE = "reactor_flux"
BIN_MEV, BINS = 0.025, 500
FISSIONED, CAPTURED = ("u235", "u238", "pu239", "pu241"), ("u239", "np239")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_maker(make, Path(__file__).parent / "data", argv)


def make(release: Path, out: Path) -> None:
    """Write the table into folder `out`."""
    folder = find_release(release, RELEASE)
    paths = {name: folder / f"bestiole_{name}.txt" for name in (*FISSIONED, *CAPTURED)}
    columns = {name: binned(path, complete=name in FISSIONED) for name, path in paths.items()}
    write_table(
        out / "reactor_spectrum.csv",
        {"energy_low_mev": np.around(BIN_MEV * np.arange(BINS), 3), **columns},
        {
            "title": "Antineutrinos per fission (235U, 238U, 239Pu, 241Pu) or per decay (239U, 239Np) and MeV, bins of 25 keV",
            "source": "L. Perisse et al., Phys. Rev. C 108, 055501 (2023), summation model BESTIOLE, ancillary files; "
            "as collected in RitterCat/reactor-nu-cevns, commit fd6574943272fb257034a6891cf27e8eb48e0461",
            "arxiv": "2304.14992",
            "licence": "facts and figures of a publication; the collection they were read from states none",
            "status": "values seen in the collection; journal reference from memory",
            "bin_mev": f"{BIN_MEV:g}",
            **{f"release_sha256.{name}": sha256(path) for name, path in paths.items()},
            "unit.energy_low_mev": "MeV",
            **{f"unit.{name}": "1/MeV" for name in paths},
        },
        # single precision is what the release was made in
        digits=8,
    )


def binned(path: Path, complete: bool) -> np.ndarray:
    """Density in each bin, (bin,); zero above the last bin of the file.

    Raises: DataError if the energies are not centres of consecutive bins of 25 keV from 0 on, a density is negative, or the
        spectrum of a fissioned isotope is not complete.
    """
    rows = read_numbers(path, 2)
    centres = BIN_MEV * (np.arange(len(rows)) + 0.5)
    if len(rows) > BINS or (complete and len(rows) != BINS) or not np.allclose(rows[:, 0], centres, rtol=0.0, atol=1e-9):
        raise DataError(f"{path.name}: energies are not the centres of {BINS} bins of {BIN_MEV} MeV from 0 on")
    if np.any(rows[:, 1] < 0.0):
        raise DataError(f"{path.name}: negative density")
    return np.pad(rows[:, 1], (0, BINS - len(rows)))


if __name__ == "__main__":
    sys.exit(main())
