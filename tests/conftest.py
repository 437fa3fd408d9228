"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def release_dir() -> Path:
    """Folder with the public data releases, to rebuild our tables from; skips the test visibly where there is none."""
    root = Path(__file__).resolve().parent.parent
    for candidate in (os.environ.get("NMMFIT_RELEASES"), root.parent / "shared" / "data"):
        if candidate and Path(candidate).is_dir():
            return Path(candidate)
    pytest.skip("no folder of public data releases (set NMMFIT_RELEASES or place it at ../shared/data)")
