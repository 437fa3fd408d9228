"""Freed memory goes back, and nothing happens where there is no way to do so."""

from __future__ import annotations

import ctypes
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmmfit.memory import forget_programs, hand_back

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


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux tells what a process holds")
def test_forgotten_programs_give_their_places_back():
    def places() -> int:
        return len(Path("/proc/self/maps").read_text().splitlines())

    def many() -> int:
        programs = [jax.jit(lambda x, k=k: jnp.sin(x * k) + k) for k in range(40)]
        assert [float(program(1.0)) for program in programs] == pytest.approx([math.sin(k) + k for k in range(40)])
        return places()

    # What the first compilation leaves behind it leaves once.
    many()
    forget_programs()
    before = places()
    held = many()
    assert held > before + 40
    forget_programs()
    assert places() - before < 0.25 * (held - before)
