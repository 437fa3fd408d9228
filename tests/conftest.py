"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from nmmfit.compilation_cache import enable

# Before JAX starts, for this process and those that tests start: most of the time of this suite would go into making programs
# fast that run once. In double precision the results are the same to rounding, which test_compilation.py holds against a process
# that compiles as a user's does; the test of the wheel and the benchmarks compile so too. A setting from outside stays.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
if version("jaxlib").startswith("0.10."):
    # A flag that XLA does not know ends the process, and which it knows is a matter of its version.
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")


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

    The processes of a parallel run share it, as those of a user do, all but the compiled programs: JAX writes one in place, and
    another process that reads it meanwhile warns, which is an error here. Tests and the processes that they start, one after the
    other, share theirs from the first test on, so that nothing that two tests build alike is compiled twice.
    """
    base = tmp_path_factory.getbasetemp()
    run = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(run / "cache"))
        if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
            programs = base / "programs"
            assert enable(programs) is None
            patch.setenv("JAX_COMPILATION_CACHE_DIR", str(programs))
            patch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
            patch.setenv("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
        yield


@pytest.fixture(scope="session")
def release_dir() -> Path:
    """Folder with the public data releases, to rebuild our tables from; skips the test visibly where there is none."""
    root = Path(__file__).resolve().parent.parent
    for candidate in (os.environ.get("NMMFIT_RELEASES"), root.parent / "shared" / "data"):
        if candidate and Path(candidate).is_dir():
            return Path(candidate)
    pytest.skip("no folder of public data releases (set NMMFIT_RELEASES or place it at ../shared/data)")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Ratios of times that tests measured but, being times, did not judge (`record_property("bar ...", value)`)."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name.startswith("bar "):
                terminalreporter.write_line(f"{name}: {value}")
