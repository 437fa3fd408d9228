"""The table format: what is written reads back, the same content gives the same bytes, and broken files are refused."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmmfit.errors import DataError, OutputError, UserInputError
from nmmfit.tables import bin_grid, find_release, read_table, sha256, write_table

META = {"title": "A table", "source": "this test", "unit.x": "MeV"}
HEADER = "# title: A table\n# source: this test\n"


def test_written_table_reads_back(tmp_path: Path) -> None:
    x = np.array([0.1, 1.0 / 3.0, -2.5e-300, 5.98e10])
    write_table(tmp_path / "t.csv", {"x": x, "n": np.arange(4), "name": ["pp", "be7", "b8", "hep"]}, META)
    table = read_table(tmp_path / "t.csv", columns=("x",), text=("name",))
    np.testing.assert_array_equal(table["x"], x)
    np.testing.assert_array_equal(table["n"], [0.0, 1.0, 2.0, 3.0])
    assert list(table["name"]) == ["pp", "be7", "b8", "hep"]
    assert table.meta == META
    assert len(table) == 4


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=8))
def test_every_float_survives(tmp_path_factory: pytest.TempPathFactory, values: list[float]) -> None:
    path = tmp_path_factory.mktemp("tables") / "t.csv"
    write_table(path, {"x": values}, META)
    np.testing.assert_array_equal(read_table(path)["x"], values)


def test_same_content_gives_same_bytes(tmp_path: Path) -> None:
    for name, zero in (("a.csv", 0.0), ("b.csv", -0.0)):
        write_table(tmp_path / name, {"x": [zero, 1.0]}, META)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_digits_round(tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", {"x": [1.0 / 3.0]}, META, digits=4)
    assert (tmp_path / "t.csv").read_text().splitlines()[-1] == "0.3333"


def test_reads_a_table_inside_a_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr("data/t.csv", HEADER + "x\n1.5\n")
    with zipfile.ZipFile(tmp_path / "p.zip") as archive:
        assert read_table(zipfile.Path(archive, "data/t.csv"))["x"] == [1.5]
        with pytest.raises(DataError, match="no such table"):
            read_table(zipfile.Path(archive, "data/absent.csv"))


def test_number_in_header(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(HEADER + "# edge: 5.5\n# word: abc\nx\n1\n")
    table = read_table(tmp_path / "t.csv")
    assert table.number("edge") == 5.5
    with pytest.raises(DataError, match="'abc' is not a number"):
        table.number("word")
    with pytest.raises(DataError, match="no header line '# absent"):
        table.number("absent")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("x\n1\n", "no header line '# title"),
        ("# title: a\nx\n1\n", "no header line '# source"),
        (HEADER + "# no colon\nx\n1\n", "line 3: a header line reads"),
        (HEADER + "# title: again\nx\n1\n", "line 3: header key 'title' given twice"),
        (HEADER, "no row of column names"),
        (HEADER + "x\n", "no rows"),
        (HEADER + "x,x\n1,2\n", "line 3: column 'x' given twice"),
        (HEADER + "1,2\n1,2\n", "'1' is no column name"),
        (HEADER + "y\n1\n", "no column 'x'"),
        (HEADER + "x,y\n1,2\n1\n", "line 5: 1 cells, expected 2"),
        (HEADER + "x,y\n1,2,3\n", "line 4: 3 cells, expected 2"),
        (HEADER + "x,y\n1,2\n\n", "line 5: 1 cells"),
        (HEADER + "y,x\n1,2\n3,abc\n", "line 5, column 'x': 'abc' is not a number"),
        (HEADER + "x\n\nnan\n", "line 4, column 'x': '' is not a number"),
        (HEADER + "x\nnan\n", "line 4, column 'x': 'nan' is not finite"),
        (HEADER + "x\n1e999\n", "line 4, column 'x': '1e999' is not finite"),
        (HEADER + "x\n1\n12", "line 5: the last line does not end; the file was cut short"),
        (HEADER + "# rows: 2\nx\n1\n", "1 rows, but the header says 2; the file was cut short or changed by hand"),
        (HEADER + "# rows: many\nx\n1\n", "1 rows, but the header says many"),
    ],
)
def test_broken_tables_are_refused(tmp_path: Path, body: str, message: str) -> None:
    (tmp_path / "broken.csv").write_text(body)
    with pytest.raises(DataError) as error:
        read_table(tmp_path / "broken.csv", columns=("x",))
    assert "broken.csv" in str(error.value)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_table_cut_anywhere_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", {"x": [1.25, 2.5, 10.0], "n": [3, 14, 15]}, META)
    whole = (tmp_path / "t.csv").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "cut.csv").write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"cut\.csv"):
            read_table(tmp_path / "cut.csv")


GRID = "e_low,e_high,t_low,t_high\n0,1,0,2\n0,1,2,5\n1,4,0,2\n1,4,2,5\n"
AXES = (("e_low", "e_high"), ("t_low", "t_high"))


def test_edges_of_a_regular_grid(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(HEADER + GRID)
    energy, time = bin_grid(read_table(tmp_path / "t.csv"), AXES)
    np.testing.assert_array_equal(energy, [0.0, 1.0, 4.0])
    np.testing.assert_array_equal(time, [0.0, 2.0, 5.0])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("0,1,2,5\n", "", "3 bins, but the edges of e_low, t_low make 4"),
        ("0,1,2,5\n", "0,1,2,4\n", "4 bins, but the edges of e_low, t_low make 6"),
        ("0,1,2,5\n", "0,1,0,2\n", "row 2 is not the bin of t_low that a regular grid has there (2 to 5)"),
        ("0,1,0,2\n0,1,2,5\n1,4,0,2\n", "0,1,0,2\n1,4,0,2\n0,1,2,5\n", "row 2 is not the bin of e_low"),
    ],
)
def test_bins_that_are_no_regular_grid(tmp_path: Path, old: str, new: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(HEADER + GRID.replace(old, new))
    with pytest.raises(DataError) as error:
        bin_grid(read_table(tmp_path / "t.csv"), AXES)
    assert message in str(error.value)


def test_every_table_of_ours_says_how_long_it_is() -> None:
    import nmmfit

    root = Path(nmmfit.__file__).resolve().parent.parent
    tables = [path for package in ("nmmfit", "likelihoods") for path in (root / package).rglob("data/*.csv")]
    assert tables
    for path in tables:
        assert "\n# rows: " in path.read_text(), path


def test_missing_file_folder_and_column(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.csv: no such table"):
        read_table(tmp_path / "absent.csv")
    with pytest.raises(DataError, match="cannot be read"):
        read_table(tmp_path)
    (tmp_path / "latin.csv").write_bytes(b"# title: \xe9\n")
    with pytest.raises(DataError, match="cannot be read"):
        read_table(str(tmp_path / "latin.csv"))
    write_table(tmp_path / "t.csv", {"x": [1.0]}, META)
    with pytest.raises(DataError, match=r"t\.csv: no column 'y' \(columns: x\)"):
        read_table(tmp_path / "t.csv")["y"]


@pytest.mark.parametrize(
    ("columns", "meta", "message"),
    [
        ({"x": [1.0]}, {"title": "a"}, "header needs 'source'"),
        ({"x": [1.0]}, META | {"note": "two\nlines"}, "header entry 'note'"),
        ({"x": [1.0]}, META | {"a b": "text"}, "header entry 'a b'"),
        ({"x": [1.0, np.nan]}, META, "column 'x': row 1 is not finite"),
        ({"x": [[1.0]]}, META, "one-dimensional"),
        ({"x": [1.0], "y": [1.0, 2.0]}, META, "same length"),
        ({"x": []}, META, "same length >= 1"),
        ({}, META, "no columns"),
        ({"x y": [1.0]}, META, "is no column name"),
        ({"x": ["a,b"]}, META, "without comma"),
        ({"x": [1j]}, META, "neither numbers nor words"),
        ({"x": [1.0]}, META | {"rows": "1"}, "header entry 'rows' is made from the table itself"),
    ],
)
def test_content_that_could_not_be_read_is_not_written(tmp_path: Path, columns: dict, meta: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        write_table(tmp_path / "t.csv", columns, meta)
    assert list(tmp_path.iterdir()) == []


def test_unwritable_place_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        write_table(tmp_path / "absent" / "t.csv", {"x": [1.0]}, META)
    (tmp_path / "taken").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        write_table(tmp_path / "taken", {"x": [1.0]}, META)
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]


def test_sha256_of_known_content(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1.
    assert sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    (tmp_path / "big").write_bytes(b"x" * (3 << 20))
    assert sha256(str(tmp_path / "big")) == hashlib.sha256(b"x" * (3 << 20)).hexdigest()
    with pytest.raises(DataError, match="cannot be read"):
        sha256(tmp_path / "absent")


def test_find_release(tmp_path: Path) -> None:
    (tmp_path / "solar").mkdir()
    assert find_release(tmp_path, "solar") == tmp_path / "solar"
    assert find_release(tmp_path / "solar", "solar") == tmp_path / "solar"
    with pytest.raises(UserInputError, match="'lunar'"):
        find_release(tmp_path, "lunar")
