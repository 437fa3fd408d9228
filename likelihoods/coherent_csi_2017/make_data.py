"""Make the tables of this folder from the release Zenodo 1228631 (arXiv:1804.09459); newer quenching: arXiv:2110.07730.

    python -m likelihoods.coherent_csi_2017.make_data --release DIR [--out DIR]

The window is that of the published analysis, 6 to 30 photoelectrons and 0 to 6 us, in the release's bins of 2 photoelectrons and
0.5 us.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from nmmfit.errors import DataError
from nmmfit.release import checksums, release_numbers
from nmmfit.tables import find_release, run_maker, write_table

ENERGY_EDGES_PE = 6.0 + 2.0 * np.arange(13)
TIME_EDGES_US = 0.5 * np.arange(13)
FOLDER, NEWER_FOLDER = "coherent_csi_2017", "coherent_csi_2021"

SAMPLES = {
    "coincidence": ("data_coincidence_beamOn.txt",),
    "anticoincidence": ("data_anticoincidence_beamOn.txt",),
    "off_beam": ("data_coincidence_beamOff.txt", "data_anticoincidence_beamOff.txt"),
}
ARRIVAL = {
    "prompt_neutrinos": "arrivalTimePDF_promptNeutrinos.txt",
    "delayed_neutrinos": "arrivalTimePDF_delayedNeutrinos.txt",
    "neutrons": "arrivalTimePDF_promptNeutrons.txt",
}
NEUTRONS = "promptPDF.txt"
EXPOSURE_GWH = 7.47594
NEWER_QUENCHING = "scintRespCoefficients.txt"
SETS = ("nominal", "qf0_plus", "qf0_minus", "qf1_plus", "qf1_minus")

PAPER = {
    "source": "COHERENT collaboration, data release of the first observation with CsI[Na], Zenodo record 1228631",
    "arxiv": "1708.01294, 1804.09459",
    "doi": "10.5281/zenodo.1228631",
    "licence": "a copy is published under the MIT licence in athompson-tamu/pyCEvNS",
    "status": "data release",
}
NEWER_PAPER = {
    "source": "COHERENT collaboration, Phys. Rev. Lett. 129, 081801 (2022), ancillary files of the arXiv version 2",
    "arxiv": "2110.07730",
    "doi": "10.1103/PhysRevLett.129.081801",
    "licence": "ancillary files of arXiv:2110.07730; a copy is published under the MIT licence in philippeller/Newtrinos.jl",
    "status": "data release",
}


def _units(**units: str) -> dict[str, str]:
    return {f"unit.{name}": unit for name, unit in units.items()}


def _counts(path: Path) -> np.ndarray:
    """Counts (energy, time) inside the window of a released histogram of 25 x 24 bins, the last axis fastest."""
    rows = release_numbers(path, 3, ",")
    energy, time = np.meshgrid(1.0 + 2.0 * np.arange(25), 0.25 + 0.5 * np.arange(24), indexing="ij")
    if rows.shape[0] != energy.size or not np.allclose(rows[:, :2], np.stack([energy.ravel(), time.ravel()], axis=1)):
        raise DataError(f"{path}: expected bins of 2 photoelectrons and 0.5 us in order")
    if np.any(rows[:, 2] != np.round(rows[:, 2])):
        raise DataError(f"{path}: counts must be whole numbers")
    inside = (energy > ENERGY_EDGES_PE[0]) & (energy < ENERGY_EDGES_PE[-1]) & (time < TIME_EDGES_US[-1])
    shape = (len(ENERGY_EDGES_PE) - 1, len(TIME_EDGES_US) - 1)
    return rows[inside.ravel(), 2].astype(int).reshape(shape)


def make(release_root: Path, out: Path) -> None:
    """Write all tables. Raises DataError if a release file is not what it should be."""
    release = find_release(release_root, FOLDER)
    e, t = (axis.ravel() for axis in np.indices((len(ENERGY_EDGES_PE) - 1, len(TIME_EDGES_US) - 1)))
    samples = {name: np.sum([_counts(release / f) for f in files], axis=0).ravel() for name, files in SAMPLES.items()}
    write_table(
        out / "counts.csv",
        {
            "energy_low_pe": ENERGY_EDGES_PE[e],
            "energy_high_pe": ENERGY_EDGES_PE[e + 1],
            "time_low_us": TIME_EDGES_US[t],
            "time_high_us": TIME_EDGES_US[t + 1],
            **samples,
        },
        {
            "title": "Events with the beam in coincidence and anti-coincidence windows, and without it (both windows)",
            **PAPER,
            "note": "off_beam is the sum of both windows without beam",
            **_units(
                energy_low_pe="photoelectrons", energy_high_pe="photoelectrons", time_low_us="us", time_high_us="us",
                coincidence="events", anticoincidence="events", off_beam="events",
            ),
            **checksums(release, [f for files in SAMPLES.values() for f in files]),
        },
    )  # fmt: skip
    _write_time(release, out)
    _write_neutrons(release, out)
    _write_quenching(find_release(release_root, NEWER_FOLDER), out)


def _write_time(release: Path, out: Path) -> None:
    columns = {"time_low_us": TIME_EDGES_US[:-1], "time_high_us": TIME_EDGES_US[1:]}
    for name, file in ARRIVAL.items():
        rows = release_numbers(release / file, 2, ",")
        if not np.allclose(rows[:, 0], 0.25 + 0.5 * np.arange(24)) or abs(rows[:, 1].sum() - 1.0) > 1e-9:
            raise DataError(f"{file}: expected fractions of bins of 0.5 us up to 12 us with sum 1")
        columns[name] = rows[: len(TIME_EDGES_US) - 1, 1]
    write_table(
        out / "time.csv",
        columns,
        {
            "title": "Fractions of prompt and delayed neutrinos and of prompt neutrons in bins of arrival time",
            **PAPER,
            "note": "normalised to 1 over 0 to 12 us, of which the first half is kept",
            **_units(time_low_us="us", time_high_us="us", **dict.fromkeys(ARRIVAL, "1")),
            **checksums(release, ARRIVAL.values()),
        },
        digits=12,
    )


def _write_neutrons(release: Path, out: Path) -> None:
    rows = release_numbers(release / NEUTRONS, 2, ",")
    if not np.allclose(rows[:, 0], 0.5 + np.arange(50)):
        raise DataError(f"{NEUTRONS}: expected bins of one photoelectron")
    inside = (rows[:, 0] > ENERGY_EDGES_PE[0]) & (rows[:, 0] < ENERGY_EDGES_PE[-1])
    write_table(
        out / "neutrons.csv",
        {"energy_pe": rows[inside, 0], "events": EXPOSURE_GWH * rows[inside, 1]},
        {
            "title": "Prompt neutrons of the beam in bins of one photoelectron, before the acceptance",
            **PAPER,
            "note": f"released per GWh, times {EXPOSURE_GWH} GWh; energy_pe is the middle of the bin",
            **_units(energy_pe="photoelectrons", events="events"),
            **checksums(release, [NEUTRONS]),
        },
        digits=12,
    )


def _write_quenching(release: Path, out: Path) -> None:
    rows = release_numbers(release / NEWER_QUENCHING, 4)
    if len(rows) != len(SETS):
        raise DataError(f"{NEWER_QUENCHING}: expected {len(SETS)} sets of coefficients")
    write_table(
        out / "quenching_2021.csv",
        {"set": np.array(SETS), **{name: rows[:, k] for k, name in enumerate("abcd")}},
        {
            "title": "Light in MeV of a recoil of T in MeV, a T + b T^2 + c T^3 + d T^4: nominal and shifted sets",
            **NEWER_PAPER,
            **_units(a="1", b="MeV^-1", c="MeV^-2", d="MeV^-3"),
            **checksums(release, [NEWER_QUENCHING]),
        },
    )


if __name__ == "__main__":
    sys.exit(run_maker(make, Path(__file__).parent / "data"))
