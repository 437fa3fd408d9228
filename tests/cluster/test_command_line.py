"""`--cluster` on the command line: Ctrl-C keeps what is finished, and anybody goes on with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nmmfit.cli.main import main
from nmmfit.results.compare import compare_folders
from tests.cluster.conftest import environment

RUN = """experiments = ["coherent_csi_2017_limit"]
[parameters.L_dipole]
coefficients = { nuNgamma_11 = 1, nuNgamma_22 = 1, nuNgamma_33 = 1 }
prior = { normal = [0.0, 1e-7] }
[parameters.L_T_u]
coefficients = { TnuNuRR_1111 = 1, TnuNuRR_2211 = 1, TnuNuRR_3311 = 1 }
prior = { normal = [0.0, 1e-5] }
"""
SCAN = ("scan", "run.toml", "--grid", "L_dipole=-1e-8:1e-8:61", "--grid", "L_T_u=-1e-5:1e-5:61", "--no-refine")
OF_THE_MOMENT = {"provenance", "cost", "out"}


def numbers(folder: Path) -> dict[str, object]:
    found = json.loads((folder / "scan.json").read_text())
    return {name: value for name, value in found.items() if name not in OF_THE_MOMENT}


@pytest.mark.slow
def test_ctrl_c_keeps_what_workers_have_finished(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(RUN)

    def begin(*words: str) -> subprocess.Popen[str]:
        # A group of its own: Ctrl-C in a terminal reaches the workers, too.
        command = [sys.executable, "-m", "nmmfit", *words]
        return subprocess.Popen(
            command,
            cwd=tmp_path,
            env=environment(),
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    process = begin(*SCAN, "--cluster", "local:2", "--out", "mine")
    until = time.monotonic() + 300.0
    while not list(tmp_path.glob("mine/checkpoint/chunks/grid/*.chunk")) and time.monotonic() < until:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert err.splitlines()[-1] == "nmmfit: interrupted; nmmfit resume mine goes on"
    assert "Traceback" not in err
    kept = len(list(tmp_path.glob("mine/checkpoint/chunks/grid/*.chunk")))
    assert kept > 0
    for words in (("resume", "mine", "--cluster", "local:1"), (*SCAN, "--out", "whole")):
        process = begin(*words)
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
    assert numbers(tmp_path / "mine") == numbers(tmp_path / "whole")
    assert "cluster" not in json.loads((tmp_path / "mine" / "manifest.json").read_text())["options"]


@pytest.mark.slow
def test_ranks_of_two_workers_are_those_of_one_process(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(RUN.replace("1e-7", "1e-8"))
    words = ("calibrate", "run.toml", "--simulations", "20", "--chains", "16", "--draws", "50", "--json")
    found = []
    for more in ((), ("--cluster", "local:2")):
        command = [sys.executable, "-m", "nmmfit", *words, *more]
        done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=900, check=False)
        assert done.returncode in (0, 3), done.stderr
        found.append({name: q["p_value"] for name, q in json.loads(done.stdout)["quantities"].items()})
    assert found[0] == found[1]


@pytest.mark.slow
def test_fits_of_two_workers_are_those_of_one_process(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(RUN.replace("]", ', "gemma"]', 1))
    words = ("leave-one-out", "run.toml", "--sampler", "ensemble", "--chains", "8", "--warmup", "60", "--draws", "60")
    for out, more in (("whole", ()), ("mine", ("--cluster", "local:2"))):
        command = [sys.executable, "-m", "nmmfit", *words, *more, "--out", out]
        done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=900, check=False)
        # So few draws are not enough.
        assert done.returncode in (0, 3), done.stderr
    compared = compare_folders(tmp_path / "whole", tmp_path / "mine")
    assert compared.identical, compared.differences
    assert {f"{name}/posterior.nc" for name in ("all", "gemma", "coherent_csi_2017_limit")} <= set(compared.compared)


@pytest.mark.parametrize("verb", ["scan", "toys", "calibrate", "validate", "leave-one-out", "resume"])
def test_a_place_that_is_none_is_one_line(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.toml").write_text(RUN)
    words = {
        "scan": SCAN,
        "toys": ("toys", "run.toml"),
        "calibrate": ("calibrate", "run.toml"),
        "validate": ("validate", "coherent_csi_2017_limit"),
        "leave-one-out": ("leave-one-out", "run.toml", "--experiments", "coherent_csi_2017_limit,gemma"),
        "resume": ("resume", "x"),
    }
    assert main([*words[verb], "--cluster", "somewhere"]) == 2
    said = "x: there is no such folder" if verb == "resume" else "--cluster somewhere: expected tcp://HOST:PORT of a scheduler"
    assert said in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["run.toml"]
