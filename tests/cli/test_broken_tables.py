"""The program with a table of data that somebody has damaged."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import nmmfit

ROOT = Path(nmmfit.__file__).resolve().parent.parent
COUNTS = "likelihoods/coherent_csi_2021/data/counts.csv"
SPECTRUM = "likelihoods/borexino_phase2/data/spectrum.csv"
ROW = "8.0,12.0,0.0,0.125,4,2\n"
BINS = "coherent_csi_2021.coincidence: observed counts must be whole numbers >= 0; bin 11 is"


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("installed")
    for package in ("nmmfit", "likelihoods"):
        shutil.copytree(ROOT / package, place / package, ignore=shutil.ignore_patterns("__pycache__"))
    return place


def predict(experiment: str, copied: Path, work: Path) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ, PYTHONPATH=str(copied), XDG_CACHE_HOME=str(work / "cache"))
    call = [sys.executable, "-m", "nmmfit", "predict", experiment]
    return subprocess.run(call, cwd=work, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("path", "old", "new", "expected"),
    [
        (COUNTS, ROW, ROW.replace(",4,", ",-4,"), f"{BINS} negative (-4.0)"),
        (COUNTS, ROW, ROW.replace(",4,", ",4.5,"), f"{BINS} not a whole number (4.5)"),
        (COUNTS, ROW, ROW.replace(",4,", ",nan,"), "column 'coincidence': 'nan' is not finite"),
        (COUNTS, ROW, "", "counts.csv: 98 rows, but the header says 99; the file was cut short or changed by hand"),
        (COUNTS, ROW, ROW.replace("0.125", "0.13"), "counts.csv: 99 bins, but the edges of energy_low_pe, time_low_us make 108"),
        (SPECTRUM, "\n101,", "\n102,", "spectrum.csv: n_hits must be 100 to 700, one row each, in order"),
    ],
    ids=["negative", "fractional", "nan", "row missing", "edge moved", "bin doubled"],
)
def test_a_damaged_table_is_one_line(path: str, old: str, new: str, expected: str, copied: Path, tmp_path: Path) -> None:
    """What a table without a checksum, one of somebody else's say, is refused for."""
    table = copied / path
    listed = table.parents[1] / "SHA256SUMS"
    whole, sums = table.read_text(), listed.read_text()
    assert old in whole
    table.write_text(whole.replace(old, new, 1))
    listed.unlink()
    try:
        done = predict(Path(path).parts[1], copied, tmp_path)
    finally:
        table.write_text(whole)
        listed.write_text(sums)
    assert (done.returncode, done.stdout) == (2, "")
    assert expected in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_edited_number_is_one_line(copied: Path, tmp_path: Path) -> None:
    """One count more, which no look at the table itself would find."""
    table = copied / COUNTS
    whole = table.read_text()
    table.write_text(whole.replace(ROW, ROW.replace(",4,", ",5,"), 1))
    try:
        done = predict("coherent_csi_2021", copied, tmp_path)
    finally:
        table.write_text(whole)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("nmmfit: counts.csv: not the table whose SHA-256 is in ")
    assert len(done.stderr.splitlines()) == 1
