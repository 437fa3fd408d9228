"""The benchmark of GPUs runs where there is none, and says so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import nmmfit

ROOT = Path(nmmfit.__file__).resolve().parent.parent
# Finds no arviz, as on a machine that has none.
WITHOUT_ARVIZ = (
    "import runpy, sys; sys.modules['arviz'] = None; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
)


@pytest.mark.slow
def test_without_a_gpu_it_measures_the_cpu(tmp_path: Path) -> None:
    script = ROOT / "benchmarks" / "bench_gpu.py"
    if not script.is_file():
        pytest.skip("the benchmarks are not here")
    words = [
        "--largest",
        "1024",
        "--draws",
        "20",
        "--toys",
        "256",
        "--set",
        'experiments=["borexino_phase2_limit", "coherent_csi_2017_limit"]',
    ]
    path = os.pathsep.join((str(ROOT), str(ROOT / "benchmarks"), os.environ.get("PYTHONPATH", "")))
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_ARVIZ, str(script), *words, "--out", str(tmp_path / "record.json")],
        env={**os.environ, "PYTHONPATH": path, "JAX_PLATFORMS": "cpu"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "record.json").read_text())
    assert (found["gpu"], found["met"], found["device"]) == (None, {}, "cpu:0")
    assert list(found["cpu"]["points_per_s"]["value"]) == ["1024"]
    assert min(found["cpu"]["roofline"].values()) > 0
    assert found["sampling"]["ensemble_32"]["ess_min"] > 0
    assert found["toys"]["toys_per_s"] > 0
