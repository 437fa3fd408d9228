"""Numbers kept between processes: the same ones come back, and neither a bad cache nor a missing one is an error."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import jax
import numpy as np
import pytest

from nmmfit.kept import digest, kept_or_made, numbers_digest


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "nmmfit" / "things"


class Maker:
    """Makes an array that says how often it was made."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> np.ndarray:
        self.times += 1
        return np.arange(3.0) / 7.0


def test_made_once_for_a_fingerprint_and_kind(cache: Path) -> None:
    make = Maker()
    first, again = kept_or_made("things", "a", make), kept_or_made("things", "a", make)
    assert make.times == 1
    np.testing.assert_array_equal(first, again)
    kept_or_made("things", "b", make)
    kept_or_made("others", "a", make)
    assert make.times == 3


def test_without_a_fingerprint_nothing_is_kept(cache: Path) -> None:
    make = Maker()
    for _ in range(2):
        kept_or_made("things", None, make)
    assert make.times == 2
    assert not cache.exists()


@pytest.mark.parametrize("damage", [b"", b"short", hashlib.sha256(b"x").digest() + b"not it"])
def test_a_damaged_file_is_made_anew(cache: Path, damage: bytes) -> None:
    make = Maker()
    kept_or_made("things", "a", make)
    (path,) = cache.iterdir()
    path.write_bytes(damage)
    np.testing.assert_array_equal(kept_or_made("things", "a", make), Maker()())
    assert make.times == 2
    raw = path.read_bytes()
    assert hashlib.sha256(raw[32:]).digest() == raw[:32]
    np.testing.assert_array_equal(pickle.loads(raw[32:]), Maker()())


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    make = Maker()
    for _ in range(2):
        kept_or_made("things", "a", make)
    assert make.times == 2


def test_a_user_who_wants_no_cache_gets_none(cache: Path) -> None:
    before = jax.config.jax_enable_compilation_cache
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        kept_or_made("things", "a", Maker())
    finally:
        jax.config.update("jax_enable_compilation_cache", before)
    assert not cache.exists()


def test_a_digest_knows_where_one_part_ends() -> None:
    assert digest(["ab", "c"]) != digest(["a", "bc"])
    assert digest(["a"]) == digest([b"a"])


def test_numbers_are_told_apart_by_value_type_and_shape() -> None:
    array = np.arange(2000.0)
    changed = array.copy()
    # Where the text of a long array has dots.
    changed[1000] += 1e-12
    several = [
        numbers_digest("a", array),
        numbers_digest("b", array),
        numbers_digest("a", changed),
        numbers_digest("a", array.astype(np.float32)),
        numbers_digest("a", array.reshape(2, -1)),
        numbers_digest("a", array, {"spin": 0.5}),
        numbers_digest("a", array, {"spin": 0.0}),
    ]
    assert len(set(several)) == len(several)
    assert numbers_digest("a", array.copy()) == several[0]
