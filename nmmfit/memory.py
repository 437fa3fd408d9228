"""Freed memory, handed back to the operating system."""

from __future__ import annotations

import ctypes
import gc

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt, malloc.h of glibc."""

_LARGEST = 2**25
"""Bytes up to which glibc raises its threshold on machines of 64 bits."""


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


def keep_large_pieces() -> None:
    """Have the C library keep large pieces that are freed; without effect anywhere but on Linux with glibc.

    It does so by itself, after the first of them, unless its environment sets a threshold, as dask's does for its workers
    (MALLOC_TRIM_THRESHOLD_): every array of more than 128 KiB is then new memory at every call, zeroed page by page. These are
    the largest thresholds that it would choose (mallopt(3)).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    mallopt(ctypes.c_int(_M_MMAP_THRESHOLD), ctypes.c_int(_LARGEST))
    mallopt(ctypes.c_int(_M_TRIM_THRESHOLD), ctypes.c_int(2 * _LARGEST))


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
