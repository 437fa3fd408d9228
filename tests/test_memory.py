"""Freed memory goes back, and nothing happens where there is no way to do so."""

from __future__ import annotations

import ctypes
import math
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmmfit.memory import forget_programs, hand_back, keep_large_pieces

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
    keep_large_pieces()


FAULTS = """
import resource
import numpy as np
from nmmfit.memory import keep_large_pieces
if {keep}:
    keep_large_pieces()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    np.ones(500_000)
before = faults()
for _ in range(50):
    np.ones(500_000)
print(faults() - before)
"""
"""Pages that are new when an array of 4 MB (977 pages) is made and freed fifty times."""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="thresholds of glibc")
def test_large_pieces_are_used_again_where_dask_sets_a_threshold():
    def new_pages(keep: bool) -> int:
        environment = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "65536"}
        command = [sys.executable, "-c", FAULTS.format(keep=keep)]
        return int(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)

    assert new_pages(keep=False) > 50 * 100, "without it this test shows nothing"
    assert new_pages(keep=True) < 50


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
