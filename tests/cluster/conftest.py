"""Real schedulers and workers, on this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

# It comes with the extra `test`; an older environment does without these tests.
collect_ignore_glob = [] if find_spec("distributed") else ["test_*.py"]

ROOT = Path(__file__).resolve().parents[2]


def environment(*first: Path | str, **more: str) -> dict[str, str]:
    """Environment of a process that imports this checkout and its tests, and before them what lies in folders."""
    path = os.pathsep.join(map(str, (*first, ROOT, ROOT / "tests", os.environ.get("PYTHONPATH", ""))))
    quiet = {"DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "critical", "DASK_DISTRIBUTED__DASHBOARD__LINK": ""}
    return {**os.environ, "PYTHONPATH": path, "JAX_PLATFORMS": "cpu", **quiet, **more}


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


@contextmanager
def running(*words: str, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """`dask` with these words, as long as this."""
    command = [sys.executable, "-m", "dask", *words]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    # Elsewhere: what lies in the folder that Python starts in would be imported before anything else.
    process = subprocess.Popen(command, env=env or environment(), cwd=os.sep, **silent)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def scheduler(port: int) -> object:
    """A scheduler at a port."""
    return running("scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard", "--no-show")


def worker(address: str, *words: str, env: dict[str, str] | None = None) -> object:
    """A worker without a nanny: who kills the process kills the worker."""
    return running("worker", address, "--no-nanny", "--no-dashboard", "--nthreads", "1", *words, env=env)
