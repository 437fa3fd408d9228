"""Freed memory, handed back to the operating system."""

from __future__ import annotations

import ctypes
import gc


def hand_back() -> None:
    """Hand freed memory back; without effect where the C library knows no `malloc_trim` (anywhere but on Linux with glibc).

    Building templates and compiling leave hundreds of MiB in small pieces, which the C library keeps for itself. What comes next
    asks for large ones, so that the peak of the process would be the sum of both.
    """
    gc.collect()
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):
        return
    trim(ctypes.c_size_t(0))


def forget_programs() -> None:
    """Forget every compiled program of this process, and hand back its memory.

    Each keeps places in the address space, of which an operating system allows a process so many (65530 on Linux): after some
    ten different likelihoods with their fits, limits and toys nothing more could be compiled. What is used again is compiled
    again, or found in the cache on disk.
    """
    import jax

    from nmmfit.kept_programs import forget_remembered

    forget_remembered()
    jax.clear_caches()
    hand_back()
