"""Makes the tables of `xenonnt_cevns` from the official release: counts, backgrounds and nuclear-recoil efficiencies per bin.

    python -m likelihoods.xenonnt_cevns.make_data --release DIR [--out DIR]

`--release` names the folder `xenonnt_cevns` of the releases, or the folder that contains it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nmmfit.errors import DataError
from nmmfit.release import release_reader
from nmmfit.tables import find_release, run_maker, sha256, write_table

RUNS = ("sr0", "sr1", "sr2")
AXES = ("cs2", "s2_shadow_s2_time_shadow_quantile", "s1_bdt_score", "s2_bdt_score")
COLUMNS = ("cs2_pe", "shadow_quantile", "s1_bdt", "s2_bdt")
EVENTS = {"sr0": 9, "sr1": 28, "sr2": 25}
TEMPLATES = "templates_nominal.npz"
DIGITS = 7


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_maker(make, Path(__file__).parent / "data", argv)


@release_reader
def read_edges(path: Path) -> list[np.ndarray]:
    """Bin edges of the four axes, from the release's plain YAML lists. Raises: DataError unless there are four edges of each."""
    edges: dict[str, list[float]] = {}
    name = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("- "):
            edges[name].append(float(line[2:]))
        elif line.strip():
            name = line.strip().rstrip(":")
            edges[name] = []
    if sorted(edges) != sorted(AXES) or any(len(e) != 4 for e in edges.values()):
        raise DataError(f"{path.name}: expected four edges of each of {', '.join(AXES)}")
    return [np.array(edges[axis]) for axis in AXES]


@release_reader
def read_counts(path: Path, edges: list[np.ndarray], expected: int) -> np.ndarray:
    """Events per bin, (81,). Raises: DataError unless the expected number of events is there and inside the bins."""
    lines = path.read_text(encoding="utf-8").splitlines()
    columns = [lines[0].split(",").index(axis) for axis in AXES]
    events = np.array([[float(line.split(",")[k]) for k in columns] for line in lines[1:] if line.strip()])
    counts, _ = np.histogramdd(events, bins=edges)
    if len(events) != expected or counts.sum() != expected:
        raise DataError(f"{path.name}: {len(events)} events, {counts.sum():g} of them inside the bins, expected {expected}")
    return counts.ravel().astype(int)


@release_reader
def read_templates(path: Path) -> dict[str, np.ndarray]:
    """Every array of the release's file of templates, by name."""
    with np.load(path) as stored:
        return {str(name): stored[name] for name in stored.files}


def make(release: Path, out: Path) -> None:
    """Write `<run>_bins.csv` and `<run>_efficiency.csv` of every run into `out`, which must exist."""
    folder = find_release(release, "xenonnt_cevns")
    templates = read_templates(folder / TEMPLATES)
    for run in RUNS:
        edges = read_edges(folder / "binning" / f"{run}.yaml")
        if any(np.max(np.abs(a - b)) > 1e-9 for a, b in zip(edges, templates[f"{run}_bins"], strict=True)):
            raise DataError(f"{TEMPLATES}: the bins of {run} are not those of binning/{run}.yaml")
        counts = read_counts(folder / "data" / f"{run}.csv", edges, EVENTS[run])
        index = np.indices((3, 3, 3, 3)).reshape(4, -1)
        bounds = {}
        for name, e, i in zip(COLUMNS, edges, index, strict=True):
            bounds[f"{name}_low"], bounds[f"{name}_high"] = e[i], e[i + 1]
        origin = {
            "arxiv": "2604.06002",
            "doi": "10.5281/zenodo.20576156",
            "licence": "CC-BY-4.0",
            "status": "official data release",
            "release_sha256": sha256(folder / TEMPLATES),
        }
        write_table(
            out / f"{run}_bins.csv",
            {
                **bounds,
                "counts": counts,
                "accidental": templates[f"{run}_ac"].ravel(),
                "electron": templates[f"{run}_er"].ravel(),
                "neutron": templates[f"{run}_rg"].ravel(),
            },
            {
                "title": f"XENONnT solar 8B search, {run.upper()}: events and backgrounds in four-dimensional bins",
                "source": "XENON Collaboration, XENONnT/cevns_data_release, commit 60d230dd7a5646fd4aa2368c5fdfba575ee0cb88; "
                "backgrounds at nominal yields, events per bin and tonne-year",
                **origin,
                "data_sha256": sha256(folder / "data" / f"{run}.csv"),
                "unit.cs2_pe_low": "PE",
                "unit.cs2_pe_high": "PE",
                "unit.counts": "counts",
                "unit.accidental": "counts / (t yr)",
                "unit.electron": "counts / (t yr)",
                "unit.neutron": "counts / (t yr)",
            },
            digits=DIGITS,
        )
        mono = templates[f"{run}_mono"].reshape(len(templates[f"{run}_mono_E_keV"]), -1)
        write_table(
            out / f"{run}_efficiency.csv",
            {"energy_kev": templates[f"{run}_mono_E_keV"], **{f"bin_{k}": mono[:, k] for k in range(mono.shape[1])}},
            {
                "title": f"XENONnT solar 8B search, {run.upper()}: probability that a nuclear recoil is found in each bin",
                "source": "XENON Collaboration, XENONnT/cevns_data_release, commit 60d230dd7a5646fd4aa2368c5fdfba575ee0cb88; "
                "mono-energetic templates at nominal yields, bins in the order of the table of bins",
                **origin,
                "unit.energy_kev": "keV, nuclear recoil",
            },
            digits=DIGITS,
        )


if __name__ == "__main__":
    sys.exit(main())
