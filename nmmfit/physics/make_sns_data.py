"""Make the SNS arrival-time table in `nmmfit/physics/data` from the public releases:

    python -m nmmfit.physics.make_sns_data --release FOLDER [--out FOLDER]

FOLDER is the folder of releases or its subfolder `coherent_csi_2021`. The 10-ns histograms of arrival times become cumulative
distributions, every bin edge up to 1.6 us, where the pulse is, and every tenth edge after, where only muon decay is left.
The flux by energy becomes the fractions outside decay at rest, in the header.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nmmfit.errors import DataError
from nmmfit.release import release_reader
from nmmfit.tables import find_release, run_maker, sha256, write_table

RELEASE = "coherent_csi_2021"
TIME_FILE, ENERGY_FILE = "sns_flux_time_10ns.csv", "sns_flux_energy_1MeV.csv"
# Our name: the release's column.
FLAVOURS = {"prompt_nu_mu": "nuMu", "delayed_nu_mu_bar": "nuMuBar", "delayed_nu_e": "nuE"}
FINE_UNTIL_NS, THIN = 1600.0, 10
# The label of an energy bin is its centre: the nu_mu line, 29.79 MeV, is in bin 30 = [29.5, 30.5] MeV.
LINE_LABEL_MEV = 30


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_maker(make, Path(__file__).parent / "data", argv)


def make(release: Path, out: Path) -> None:
    """Write every SNS table into folder `out`."""
    folder = find_release(release, RELEASE)
    times = read_columns(folder / TIME_FILE, ("t_lo_ns", "t_hi_ns", *FLAVOURS.values()))
    spectra = read_columns(folder / ENERGY_FILE, ("E_label_MeV", *FLAVOURS.values(), "nuEBar"))
    if not np.array_equal(times["t_lo_ns"][1:], times["t_hi_ns"][:-1]):
        raise DataError(f"{TIME_FILE}: time bins have gaps")
    edges = np.concatenate([times["t_lo_ns"], times["t_hi_ns"][-1:]])
    keep = (edges <= FINE_UNTIL_NS) | (np.arange(len(edges)) % THIN == 0)
    columns = {"time_us": edges[keep] / 1e3}
    for name, column in FLAVOURS.items():
        cumulative = np.concatenate([[0.0], np.cumsum(times[column])])
        columns[f"cdf_{name}"] = np.round(cumulative / cumulative[-1], 12)[keep]
    energy, line, muon = spectra["E_label_MeV"], spectra["nuMu"], spectra["nuMuBar"]
    michel_end = 53
    write_table(
        out / "sns_arrival_time.csv",
        columns,
        {
            "title": "SNS neutrinos: cumulative distribution of arrival times after protons on target, 0-15 us, per flavour",
            "source": "COHERENT, flux histograms released with Phys. Rev. Lett. 129, 081801 (2022), time projection as stored in"
            " the public repository BarbeauGroup/chi2_pull_test (git blob eb34704cac8f8e3523fedb4bc0d075f748760267)",
            "arxiv": "2110.07730",
            "licence": "facts and figures of a data release; none stated for the copy they were read from",
            "status": "projection of the released histogram, from a third-party copy",
            "release_sha256": sha256(folder / TIME_FILE),
            "release_sha256_energy": sha256(folder / ENERGY_FILE),
            "thinning": f"every 10 ns to {FINE_UNTIL_NS / 1e3:g} us, every {10 * THIN} ns after",
            "nu_mu_fraction_below_line": f"{line[energy < LINE_LABEL_MEV].sum() / line.sum():.5f}",
            "nu_mu_fraction_above_line": f"{line[energy > LINE_LABEL_MEV].sum() / line.sum():.5f}",
            "nu_mu_bar_fraction_above_endpoint": f"{muon[energy > michel_end].sum() / muon.sum():.5f}",
            "nu_e_bar_over_nu_e": f"{spectra['nuEBar'].sum() / spectra['nuE'].sum():.5f}",
            "unit.time_us": "us after the first bin of the release",
            **{f"unit.cdf_{name}": "1" for name in FLAVOURS},
        },
    )


@release_reader
def read_columns(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Named columns of a release file with one line of column names. Raises: DataError if something is missing or no number."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        header = lines[0].split(",")
        numbers = np.array([[float(cell) for cell in line.split(",")] for line in lines[1:]])
        return {name: numbers[:, header.index(name)] for name in names}
    except (OSError, ValueError, IndexError) as error:
        raise DataError(f"{path.name}: cannot be read as columns {', '.join(names)} ({error})") from None


if __name__ == "__main__":
    sys.exit(main())
