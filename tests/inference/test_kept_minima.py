"""Minimisations that are kept: found again by all that they were asked for, and by nothing else."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from nmmfit.durable import ChunkStore
from nmmfit.inference.constrained import Problems
from nmmfit.inference.kept_minima import kept_or_found
from nmmfit.inference.minimise import Minima


class Finder:
    """Invents minima, another one each time."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Minima:
        self.calls += 1
        value = np.array([0.1, np.inf]) * self.calls
        return Minima(np.ones((2, 3)) / 3.0, value, np.zeros(2), value, value, np.array([True, False]), np.array([4, 40]))


def asked(shift: float = 0.0) -> Problems:
    return Problems.make(np.array([[0.0, 1.0, 2.0], [shift, 1.0, 2.0]]), np.eye(3))


def test_what_is_asked_again_is_not_found_again(tmp_path: Path) -> None:
    find = Finder()
    first = kept_or_found(ChunkStore(tmp_path, {}), (asked(), None), (40, 1e-8), find)
    again = kept_or_found(ChunkStore(tmp_path, {}), (asked(), None), (40, 1e-8), find)
    assert find.calls == 1
    for name, values in vars(first).items():
        np.testing.assert_array_equal(getattr(again, name), values)
        assert getattr(again, name).dtype == values.dtype
    # What comes back may be changed, as what was found.
    again.value[0] = 7.0
    for other, settings in (
        ((asked(5e-324), None), (40, 1e-8)),
        ((asked(), None), (160, 1e-8)),
        ((asked(), asked()), (40, 1e-8)),
    ):
        kept_or_found(ChunkStore(tmp_path, {}), other, settings, find)
    assert find.calls == 4
    kept_or_found(None, (asked(), None), (40, 1e-8), find)
    assert find.calls == 5
    assert kept_or_found(ChunkStore(tmp_path, {}), (asked(), None), (40, 1e-8), find).value[0] == 0.1


def test_one_that_is_damaged_or_anothers_is_found_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store, find = ChunkStore(tmp_path, {}), Finder()
    kept_or_found(store, asked(), 40, find)
    (number,) = store.numbers()
    path = store.path(number)
    path.write_bytes(path.read_bytes()[:-9])
    with caplog.at_level(logging.WARNING):
        kept_or_found(store, asked(), 40, find)
    assert "cut short" in caplog.text
    assert find.calls == 2
    # Two that agree in their number.
    store.write(number, {**store.read(number), "of": np.asarray("something else")})
    assert kept_or_found(store, asked(), 40, find).value[0] == pytest.approx(0.3)
    assert kept_or_found(store, asked(), 40, find).value[0] == pytest.approx(0.3)
