"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def _relative_tolerances() -> Iterator[None]:
    """pytest.approx without its absolute tolerance of 1e-12, beside which every moment and cross section is zero.

    A comparison with 0 therefore says how small is small enough: `pytest.approx(0.0, abs=...)`. The class is reached through an
    object, because its module differs between versions of pytest.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(pytest.approx(1.0)), "DEFAULT_ABSOLUTE_TOLERANCE", 0.0)
        yield


@pytest.fixture(scope="session", autouse=True)
def _own_caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What nmmfit keeps between processes goes to a folder of this run of the suite, never to the user's.

    The processes of a parallel run share it, as those of a user do.
    """
    base = tmp_path_factory.getbasetemp()
    run = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(run / "cache"))
        yield


@pytest.fixture(scope="session")
def release_dir() -> Path:
    """Folder with the public data releases, to rebuild our tables from; skips the test visibly where there is none."""
    root = Path(__file__).resolve().parent.parent
    for candidate in (os.environ.get("NMMFIT_RELEASES"), root.parent / "shared" / "data"):
        if candidate and Path(candidate).is_dir():
            return Path(candidate)
    pytest.skip("no folder of public data releases (set NMMFIT_RELEASES or place it at ../shared/data)")
