"""Checksums: edited tables and other releases are refused, ours are all listed, and the lists are those of sha256sum."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

import nmmfit
from likelihoods.borexino_phase2 import make_data as borexino
from likelihoods.coherent_csi_2021 import make_data as csi
from nmmfit import checksums
from nmmfit.errors import DataError
from nmmfit.tables import read_table, run_maker, sha256, write_table

ROOT = Path(nmmfit.__file__).resolve().parent.parent
TABLES = sorted(p for package in ("nmmfit", "likelihoods") for p in (ROOT / package).rglob("data/*.csv"))


@pytest.mark.parametrize("path", TABLES, ids=lambda p: f"{p.parents[1].name}/{p.name}")
def test_every_table_of_ours_is_listed_with_its_checksum(path: Path) -> None:
    """If this fails after a table was made anew: python -m nmmfit.checksums FOLDER/data."""
    lines = (path.parents[1] / "SHA256SUMS").read_text().splitlines()
    assert f"{hashlib.sha256(path.read_bytes()).hexdigest()}  data/{path.name}" in lines


def test_nothing_is_listed_that_is_not_there() -> None:
    for manifest in ROOT.glob("*/**/SHA256SUMS"):
        assert all((manifest.parent / name).is_file() for name in checksums.manifest_entries(manifest)), manifest


@pytest.fixture
def table(tmp_path: Path) -> Path:
    data = tmp_path / "theirs" / "data"
    data.mkdir(parents=True)
    write_table(data / "counts.csv", {"x": [1, 2]}, {"title": "Counts", "source": "Somebody"})
    return data / "counts.csv"


def test_an_edited_table_is_refused_and_one_that_is_not_listed_is_read(table: Path) -> None:
    edited = table.read_text().replace("\n2\n", "\n3\n")
    assert checksums.main([str(table.parent)]) == 0
    assert read_table(table)["x"].tolist() == [1.0, 2.0]
    table.write_text(edited)
    with pytest.raises(DataError, match=r"^counts\.csv: not the table whose SHA-256 is in .*SHA256SUMS: it was edited"):
        read_table(table)
    (table.parents[1] / "SHA256SUMS").unlink()
    assert read_table(table)["x"].tolist() == [1.0, 3.0]


def test_windows_line_ends_are_no_edit(table: Path) -> None:
    checksums.write_manifest(table.parent)
    table.write_bytes(table.read_bytes().replace(b"\n", b"\r\n"))
    assert len(read_table(table)) == 2


def test_a_broken_list_is_one_line(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (table.parents[1] / "SHA256SUMS").write_text("abc counts.csv\n")
    with pytest.raises(DataError, match="line 1: expected a SHA-256 and a file's name"):
        read_table(table)
    assert checksums.main([str(table.parent / "absent")]) == 2
    assert capsys.readouterr().err.endswith("absent: no such folder\n")


def maker(numbers: str):
    """A script's `make`: one table from one release file."""

    def make(release: Path, out: Path) -> None:
        meta = {"title": "Counts", "source": "Somebody", "release_sha256.counts.txt": sha256(release / numbers)}
        write_table(out / "counts.csv", {"x": np.loadtxt(release / numbers, ndmin=1)}, meta)

    return make


def test_other_release_files_are_refused_unless_meant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    release, shipped, out = tmp_path / "release", tmp_path / "package" / "data", tmp_path / "out"
    release.mkdir()
    (release / "counts.txt").write_text("1\n2\n")
    call = ["--release", str(release)]
    assert run_maker(maker("counts.txt"), shipped, call) == 0
    assert "data/counts.csv" in (tmp_path / "package" / "SHA256SUMS").read_text()
    (release / "counts.txt").write_text("1\n3\n")
    assert run_maker(maker("counts.txt"), shipped, [*call, "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("counts.csv: the release file of release_sha256.counts.txt has the SHA-256 ")
    assert len(said.splitlines()) == 1
    assert not out.exists()
    assert run_maker(maker("counts.txt"), shipped, [*call, "--new-release"]) == 0
    assert read_table(shipped / "counts.csv")["x"].tolist() == [1.0, 3.0]


def test_a_missing_release_file_leaves_the_tables_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shipped = tmp_path / "package" / "data"
    (tmp_path / "release").mkdir()
    assert run_maker(maker("counts.txt"), shipped, ["--release", str(tmp_path / "release")]) == 2
    said = capsys.readouterr().err
    assert "counts.txt: cannot be read (No such file or directory)" in said
    assert len(said.splitlines()) == 1
    assert not shipped.exists()


@pytest.mark.parametrize(
    ("main", "name", "file"),
    [(csi.main, "coherent_csi_2021", "ninPE.txt"), (borexino.main, "borexino_phase2", borexino.SPECTRUM_FILE)],
    ids=["coherent_csi_2021", "borexino_phase2"],
)
def test_releases_that_lack_a_file_or_have_another_one(
    main, name: str, file: str, release_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(release_dir / name, tmp_path / name)
    damaged = tmp_path / name / file
    call = ["--release", str(tmp_path), "--out", str(tmp_path / "out")]
    text = damaged.read_text()
    damaged.write_text(text + "\n")
    assert main(call) == 2
    damaged.unlink()
    assert main(call) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "has the SHA-256" in first
    assert "take that release, or --new-release" in first
    assert file in second
    assert not (tmp_path / "out").exists()
