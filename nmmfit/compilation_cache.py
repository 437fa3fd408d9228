"""Keeps compiled programs on disk between processes, unless the user has set a cache of their own."""

from __future__ import annotations

import hashlib
import os
import platform
import tempfile
from pathlib import Path
from typing import Any


def cache_folder(kind: str) -> Path:
    """`nmmfit/<kind>` in the user's cache folder ($XDG_CACHE_HOME, else ~/.cache)."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache"
    return root / "nmmfit" / kind


def default_folder() -> Path:
    """`nmmfit/jax/<machine>` in the user's cache folder."""
    return cache_folder("jax") / _machine()


def is_wanted() -> bool:
    """Whether the user lets anything be kept: false where JAX_ENABLE_COMPILATION_CACHE says no."""
    import jax

    settings: Any = jax.config
    return bool(settings.jax_enable_compilation_cache)


def enable(folder: Path | None = None) -> str | None:
    """Switch JAX's persistent compilation cache on where none is set: every program is kept, however small or quick to compile.

    Args:
        folder: where to keep programs; None: `default_folder()`.
    Returns: None, or why there is no cache (the folder cannot be written); computing goes on without it.
    """
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    settings: Any = jax.config
    if settings.jax_compilation_cache_dir or not settings.jax_enable_compilation_cache:
        return None
    try:
        place = folder or default_folder()
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            pass
    except (OSError, RuntimeError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        return f"no compilation cache in {folder or 'the user cache folder'}: {reason}; every start compiles anew"
    jax.config.update("jax_compilation_cache_dir", str(place))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    # What JAX compiled before it compiled without a cache, and it would stay at that.
    compilation_cache.reset_cache()
    return None


def _machine() -> str:
    """Digest of the processor, because programs compiled for one may not run on another that shares the home folder."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        identity = "".join(sorted({line for line in text.splitlines() if line.startswith(("flags", "Features", "model name"))}))
    except OSError:
        identity = platform.processor()
    return hashlib.sha256(f"{platform.system()} {platform.machine()} {identity}".encode()).hexdigest()[:12]
