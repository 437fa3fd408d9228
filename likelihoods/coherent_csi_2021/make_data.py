"""Make the tables of this folder from the ancillary files of arXiv:2110.07730.

    python -m likelihoods.coherent_csi_2021.make_data --release DIR [--out DIR]

The cuts are those of the published cross-section fit: reconstructed energy below 60 PE and recoil time from 0 to 6 us. Events
outside (up to 250 PE; the release uses them for dark-matter searches) are left out.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nmmfit.errors import DataError
from nmmfit.release import checksums, release_numbers
from nmmfit.tables import find_release, run_maker, write_table

ENERGY_EDGES_PE = np.array([0.0, 8.0, 12.0, 16.0, 20.0, 24.0, 32.0, 40.0, 50.0, 60.0])
TIME_EDGES_US = np.concatenate([np.arange(9) * 0.125, [2.0, 4.0, 6.0]])

FILES = {
    "coincidence": "dataBeamOnC.txt",
    "anticoincidence": "dataBeamOnAC.txt",
    "brn_energy": "brnPE.txt",
    "nin_energy": "ninPE.txt",
    "brn_time": "brnTrec.txt",
    "nin_time": "ninTrec.txt",
    "efficiency": "effCoefficients.txt",
    "quenching": "scintRespCoefficients.txt",
}
PAPER = {
    "source": "COHERENT collaboration, Phys. Rev. Lett. 129, 081801 (2022), ancillary files of the arXiv version 2",
    "arxiv": "2110.07730",
    "doi": "10.1103/PhysRevLett.129.081801",
    "licence": "ancillary files of arXiv:2110.07730; a copy is published under the MIT licence in philippeller/Newtrinos.jl",
}


def _meta(release: Path, title: str, names: tuple[str, ...], units: dict[str, str], **notes: str) -> dict[str, str]:
    sums = checksums(release, [FILES[n] for n in names])
    return {"title": title, **PAPER, **notes, **{f"unit.{k}": v for k, v in units.items()}, **sums}


def _counts(events: np.ndarray) -> np.ndarray:
    """Events in the analysis bins, (energy, time); a bin contains its lower edge."""
    inside = (events[:, 0] < ENERGY_EDGES_PE[-1]) & (events[:, 1] >= TIME_EDGES_US[0]) & (events[:, 1] < TIME_EDGES_US[-1])
    energy = np.digitize(events[inside, 0], ENERGY_EDGES_PE) - 1
    time = np.digitize(events[inside, 1], TIME_EDGES_US) - 1
    counts = np.zeros((len(ENERGY_EDGES_PE) - 1, len(TIME_EDGES_US) - 1), dtype=int)
    np.add.at(counts, (energy, time), 1)
    return counts


def _write_counts(release: Path, out: Path) -> None:
    shape = (len(ENERGY_EDGES_PE) - 1, len(TIME_EDGES_US) - 1)
    e, t = (axis.ravel() for axis in np.indices(shape))
    write_table(
        out / "counts.csv",
        {
            "energy_low_pe": ENERGY_EDGES_PE[e],
            "energy_high_pe": ENERGY_EDGES_PE[e + 1],
            "time_low_us": TIME_EDGES_US[t],
            "time_high_us": TIME_EDGES_US[t + 1],
            "coincidence": _counts(release_numbers(release / FILES["coincidence"], 2)).ravel(),
            "anticoincidence": _counts(release_numbers(release / FILES["anticoincidence"], 2)).ravel(),
        },
        _meta(
            release,
            "Selected events of the full CsI[Na] data set in reconstructed energy and recoil time",
            ("coincidence", "anticoincidence"),
            {
                "energy_low_pe": "photoelectrons", "energy_high_pe": "photoelectrons", "time_low_us": "us", "time_high_us": "us",
                "coincidence": "events", "anticoincidence": "events",
            },
            status="data release",
            binning="published fit, as quoted in the repository BarbeauGroup/chi2_pull_test; a bin contains its lower edge",
        ),
    )  # fmt: skip


def _write_background_energy(release: Path, out: Path) -> None:
    columns: dict[str, np.ndarray] = {"energy_low_pe": ENERGY_EDGES_PE[:-1], "energy_high_pe": ENERGY_EDGES_PE[1:]}
    for name in ("brn", "nin"):
        table = release_numbers(release / FILES[f"{name}_energy"], 2)
        if not np.allclose(np.diff(table[:, 0]), 1.0) or abs(table[0, 0] - 0.5) > 1e-9:
            raise DataError(f"{FILES[f'{name}_energy']}: expected bin centres 0.5, 1.5, ... PE")
        binned, _ = np.histogram(table[:, 0], ENERGY_EDGES_PE, weights=table[:, 1])
        if abs(binned.sum() - 1.0) > 1e-5:
            raise DataError(f"{FILES[f'{name}_energy']}: expected a density normalised over 0-60 PE, sum is {binned.sum()}")
        columns[name] = binned / binned.sum()
    write_table(
        out / "background_energy.csv",
        columns,
        _meta(
            release,
            "Energy distribution of beam-related neutrons (brn) and neutrino-induced neutrons (nin)",
            ("brn_energy", "nin_energy"),
            {"energy_low_pe": "photoelectrons", "energy_high_pe": "photoelectrons", "brn": "probability", "nin": "probability"},
            status="data release",
            note="normalised to 1 over 0-60 PE; the energy-dependent efficiency is included",
        ),
        digits=10,
    )


def _write_background_time(release: Path, out: Path) -> None:
    columns: dict[str, np.ndarray] = {}
    for name in ("brn", "nin"):
        table = release_numbers(release / FILES[f"{name}_time"], 2)
        index = np.round((table[:, 0] - 0.005) / 0.01).astype(int)
        if not np.allclose(table[:, 0], 0.005 + 0.01 * index, atol=1e-9):
            raise DataError(f"{FILES[f'{name}_time']}: expected centres of bins of 10 ns")
        inside = (index >= 0) & (index < 600)
        columns["time_low_us"] = index[inside] / 100.0
        columns["time_high_us"] = (index[inside] + 1) / 100.0
        columns[name] = table[inside, 1] / table[inside, 1].sum()
    write_table(
        out / "background_time.csv",
        columns,
        _meta(
            release,
            "Arrival-time distribution of beam-related neutrons (brn) and neutrino-induced neutrons (nin)",
            ("brn_time", "nin_time"),
            {"time_low_us": "us", "time_high_us": "us", "brn": "probability", "nin": "probability"},
            status="data release",
            note="normalised to 1 over 0-6 us; the time efficiency is not included",
        ),
        digits=10,
    )


def _write_coefficients(release: Path, out: Path) -> None:
    quenching = release_numbers(release / FILES["quenching"], 4)
    efficiency = release_numbers(release / FILES["efficiency"], 4)
    if len(quenching) != 5 or len(efficiency) != 3:
        raise DataError(f"{release}: expected 5 sets of quenching and 3 of efficiency coefficients")
    # A larger threshold parameter c means fewer events, so that the file's second "+1 sigma" set is the -1 sigma one.
    if not efficiency[1, 2] < efficiency[0, 2] < efficiency[2, 2]:
        raise DataError(f"{FILES['efficiency']}: expected nominal, +1 sigma and -1 sigma sets in this order")
    kinds = ["quenching"] * 5 + ["efficiency"] * 3
    sets = ["nominal", "qf0_plus", "qf0_minus", "qf1_plus", "qf1_minus", "nominal", "efficiency_plus", "efficiency_minus"]
    values = np.concatenate([quenching, efficiency])
    write_table(
        out / "coefficients.csv",
        {"kind": kinds, "set": sets, **{name: values[:, k] for k, name in enumerate("abcd")}},
        _meta(
            release,
            "Coefficients of the scintillation response and of the efficiency",
            ("quenching", "efficiency"),
            {
                "a": "quenching: 1; efficiency: 1", "b": "quenching: 1/MeV; efficiency: 1/photoelectrons",
                "c": "quenching: 1/MeV^2; efficiency: photoelectrons", "d": "quenching: 1/MeV^3; efficiency: 1",
            },
            status="data release",
            quenching="E_ee = a T + b T^2 + c T^3 + d T^4, T recoil energy, both in MeV; qf0, qf1: principal components",
            efficiency="a / (1 + exp(-b (x - c))) + d, x reconstructed energy in photoelectrons, 0 where negative",
            label="the file calls both shifted efficiency sets +1 sigma; the one with fewer events is taken as -1 sigma",
        ),
    )  # fmt: skip


def make(release: Path, out: Path) -> None:
    """Write every table of this experiment.

    Args:
        release: folder `coherent_csi_2021` with the ancillary files, or the folder that contains it.
        out: folder to write to; must exist.
    """
    folder = find_release(release, "coherent_csi_2021")
    for name in FILES.values():
        if not (folder / name).is_file():
            raise DataError(f"{folder}: no file {name}")
    _write_counts(folder, out)
    _write_background_energy(folder, out)
    _write_background_time(folder, out)
    _write_coefficients(folder, out)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_maker(make, Path(__file__).parent / "data", argv)


if __name__ == "__main__":
    sys.exit(main())
