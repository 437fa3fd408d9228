"""Make the tables of this folder from the release Zenodo 3903810 (arXiv:2006.12659), Analysis A.

    python -m likelihoods.coherent_lar_2020.make_data --release DIR [--out DIR]

Every released distribution over energy x F90 x time is a product of one over energy and F90 and one over time, to the printed
digits; they are written as these two, and a release for which that does not hold is refused.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nmmfit.errors import DataError
from nmmfit.release import checksums, release_numbers
from nmmfit.tables import find_release, run_maker, write_table

ENERGY_EDGES_KEE = np.arange(13) * 10.0
F90_EDGES = np.round(0.5 + 0.05 * np.arange(9), 2)
TIME_EDGES_US = np.round(-0.1 + 0.5 * np.arange(11), 1)
EDGES = (ENERGY_EDGES_KEE, F90_EDGES, TIME_EDGES_US)
AXES = (("energy_low_kee", "energy_high_kee"), ("f90_low", "f90_high"), ("time_low_us", "time_high_us"))
UNITS = ("keVee", "1", "us")

OBSERVED = "datanobkgsub.txt"
EFFICIENCY = "CENNS10AnlAEfficiency.txt"
SHAPES = {
    "cevns": "cevnspdf.txt",
    "cevns_f90_plus": "cevnspdf+1sigF90.txt",
    "cevns_f90_minus": "cevnspdf-1sigF90.txt",
    "cevns_time_plus": "cevnspdfCEvNSTimingMeanSyst.txt",
    "brn": "brnpdf.txt",
    "brn_energy_plus": "brnpdf+1sigEnergy.txt",
    "brn_energy_minus": "brnpdf-1sigEnergy.txt",
    "brn_time_plus": "brnpdf+1sigBRNTimingMean.txt",
    "brn_time_minus": "brnpdf-1sigBRNTimingMean.txt",
    "brn_width": "brnpdfBRNTimingWidthSyst.txt",
    "delayed_brn": "delbrnpdf.txt",
    "steady_state": "bkgpdf.txt",
}
# A product of two distributions with the release's six printed digits.
PRODUCT_ERROR = 2e-5

PAPER = {
    "source": "COHERENT collaboration, data release of the first measurement on argon, Analysis A, Zenodo record 3903810",
    "arxiv": "2003.10630, 2006.12659",
    "doi": "10.5281/zenodo.3903810",
    "licence": "no licence seen with the copy of the release",
    "status": "data release",
}


def _binned(path: Path) -> np.ndarray:
    """Contents (energy, f90, time) of a release file, whose bins must be those of the analysis, the last axis fastest."""
    rows = release_numbers(path, 4)
    shape = tuple(len(edges) - 1 for edges in EDGES)
    centres = np.stack([c.ravel() for c in np.meshgrid(*(0.5 * (e[1:] + e[:-1]) for e in EDGES), indexing="ij")], axis=-1)
    if rows.shape[0] != len(centres) or not np.allclose(rows[:, :3], centres, atol=1e-9):
        raise DataError(f"{path}: expected the {len(centres)} bins of Analysis A in order")
    return rows[:, 3].reshape(shape)


def _product(name: str, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(energy, f90) counts and time distribution (sum 1) whose product a released distribution is."""
    outer, times = values.sum(axis=2), values.sum(axis=(0, 1)) / values.sum()
    worst = np.abs(outer[..., None] * times - values).max() / values.max()
    if worst > PRODUCT_ERROR:
        raise DataError(f"{SHAPES[name]}: not a product of energy x F90 and time (off by {worst:.2g} of the largest bin)")
    return outer, times


def _meta(release: Path, title: str, files: Sequence[str], units: dict[str, str], **notes: str) -> dict[str, str]:
    return {"title": title, **PAPER, **notes, **{f"unit.{k}": v for k, v in units.items()}, **checksums(release, files)}


def _edge_columns(axes: Sequence[int]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Columns of bin edges of a regular grid, the last axis fastest, and their units."""
    index = np.indices([len(EDGES[a]) - 1 for a in axes]).reshape(len(axes), -1)
    columns: dict[str, np.ndarray] = {}
    for a, i in zip(axes, index, strict=True):
        low, high = AXES[a]
        columns |= {low: EDGES[a][i], high: EDGES[a][i + 1]}
    return columns, {name: UNITS[a] for a in axes for name in AXES[a]}


def make(release_root: Path, out: Path) -> None:
    """Write all tables. Raises DataError if a release file is not what it should be."""
    release = find_release(release_root, "coherent_lar_2020")
    edges, units = _edge_columns((0, 1, 2))
    observed = _binned(release / OBSERVED)
    if np.any(observed != np.round(observed)):
        raise DataError(f"{OBSERVED}: counts must be whole numbers")
    write_table(
        out / "counts.csv",
        {**edges, "observed": observed.ravel().astype(int)},
        _meta(release, "Events of Analysis A in energy, F90 and time", (OBSERVED,), {**units, "observed": "events"}),
    )
    parts = {name: _product(name, _binned(release / file)) for name, file in SHAPES.items()}
    edges, units = _edge_columns((0, 1))
    write_table(
        out / "energy_f90.csv",
        {**edges, **{name: outer.ravel() for name, (outer, _) in parts.items() if "time" not in name and "width" not in name}},
        _meta(
            release,
            "Expected events over energy and F90: signal, prompt (brn) and delayed beam neutrons, steady state, variations",
            [f for n, f in SHAPES.items() if "time" not in n and "width" not in n],
            {**units, **{name: "events" for name in SHAPES if "time" not in name and "width" not in name}},
            note="sums over time; totals as released; plus and minus are variations by one standard deviation",
        ),
        digits=9,
    )
    edges, units = _edge_columns((2,))
    columns = [n for n in SHAPES if "energy" not in n and "f90" not in n]
    write_table(
        out / "time.csv",
        {**edges, **{name: parts[name][1] for name in columns}},
        _meta(
            release,
            "Distribution over time: signal, prompt (brn) and delayed beam-related neutrons, steady state, variations",
            [SHAPES[n] for n in columns],
            {**units, **{name: "probability" for name in columns}},
            note="normalised to 1, also the variation brn_time_plus, whose released counts sum to 523.67 instead of 497",
        ),
        digits=9,
    )
    rows = release_numbers(release / EFFICIENCY, 3)
    if not np.allclose(rows[:, 0], 0.25 + 0.5 * np.arange(len(rows)), atol=1e-9):
        raise DataError(f"{EFFICIENCY}: expected centres of bins of 0.5 keVee")
    write_table(
        out / "efficiency.csv",
        {"energy_kee": rows[:, 0], "efficiency": rows[:, 2]},
        _meta(
            release, "Acceptance against energy", (EFFICIENCY,), {"energy_kee": "keVee", "efficiency": "1"}, note="at bin centres"
        ),
    )


if __name__ == "__main__":
    sys.exit(run_maker(make, Path(__file__).parent / "data"))
