"""Reading release files: what is refused, and checksums in headers."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from nmmfit.errors import DataError
from nmmfit.release import checksums, release_numbers


def test_rows_of_numbers(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("# x y\n1 2\n3 4\n")
    np.testing.assert_array_equal(release_numbers(tmp_path / "a.txt", 2), [[1.0, 2.0], [3.0, 4.0]])
    (tmp_path / "b+1.txt").write_text("1, 2\n")
    np.testing.assert_array_equal(release_numbers(tmp_path / "b+1.txt", 2, ","), [[1.0, 2.0]])
    found = checksums(tmp_path, ["b+1.txt"])
    assert found == {"release_sha256.bplus_1.txt": hashlib.sha256(b"1, 2\n").hexdigest()}


@pytest.mark.parametrize(
    ("text", "said"), [("1 2 3\n", "expected 2"), ("1 nan\n", "expected 2 finite"), ("1 x\n", "not a table")]
)
def test_broken_files_are_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(DataError, match=said):
        release_numbers(tmp_path / "a.txt", 2)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.txt"):
        release_numbers(tmp_path / "none.txt", 2)
