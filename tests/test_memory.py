"""Freed memory goes back, and nothing happens where there is no way to do so."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest

from nmmfit.memory import hand_back

PAGES = Path("/proc/self/statm")


@pytest.mark.skipif(not PAGES.exists() or not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="needs Linux with glibc")
def test_small_pieces_go_back():
    def resident() -> int:
        return int(PAGES.read_text().split()[1])

    # Small arrays, every thousandth kept: the heap cannot shrink by itself.
    pieces = [np.ones(1000) for _ in range(40000)]
    full = resident()
    kept = pieces[::1000]
    del pieces
    hand_back()
    assert len(kept) == 40
    assert resident() < full - 40000 * 8000 // 4096 // 2


def test_a_c_library_without_it_is_no_error(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    hand_back()
