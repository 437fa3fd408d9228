"""Verbs that are made of minimisations: interrupted within one of them they go on to the results of one that nothing stops."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_joint
from report_folders import write_fit_folder
from synthetic_run import make_result

import nmmfit
from nmmfit.cli import toys as cli_toys
from nmmfit.cli.main import main
from nmmfit.durable import ChunkStore, FolderLock
from nmmfit.inference import profiling, region
from nmmfit.inference.calibration_chunks import Simulations
from nmmfit.inference.joint import JointLikelihood
from nmmfit.results.compare import compare_folders

ROOT = Path(__file__).resolve().parents[2]
FITTED = """experiments = []
[parameters.L_dipole]
coefficients = { nuNgamma_11 = 1 }
prior = { normal = [0.0, 1e-7] }
"""
VERBS = {
    "profile": ("profile", "run.toml", "--parameter", "L", "--points", "5"),
    "limits": ("limits", "run.toml", "--no-marginalised"),
    "impacts": ("impacts", "run.toml", "--starts", "2"),
    "tighten": ("tighten", "run.toml", "--stage", "gemma", "--stage", "+texono"),
    "fisher": ("fisher", "run.toml", "--starts", "2"),
    "prior-sensitivity": ("prior-sensitivity", "fitted"),
    "calibrate": ("calibrate", "run.toml", "--simulations", "20", "--chains", "16", "--draws", "40"),
}


@pytest.fixture(scope="module")
def pulled() -> JointLikelihood:
    return small_joint.pulled_joint()


@pytest.fixture(autouse=True)
def _here(pulled: JointLikelihood, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nmmfit.compilation_cache.enable", lambda: None)
    monkeypatch.setattr("nmmfit.run.Run.joint", lambda self, method="templates": pulled)
    for name in (
        *("plots.write_forest", "tighten.write_tighten", "impacts.write_impacts", "fisher.write_fisher"),
        *("prior_sensitivity.write_sensitivity", "calibration.ecdf_figure", "calibration.rank_figure", "calibration.save"),
    ):
        monkeypatch.setattr(f"nmmfit.results.{name}", lambda *_: [])
    (tmp_path / "run.toml").write_text("experiments = []\n")


class Counted:
    """The minimiser, which counts its calls and stops in one of them."""

    def __init__(self, stop: int | None = None) -> None:
        self.made, self.stop, self.calls = profiling.minimise, stop, 0

    def __call__(self, *given: Any, **named: Any) -> Any:
        self.calls += 1
        if self.calls == self.stop:
            raise KeyboardInterrupt
        return self.made(*given, **named)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    made = profiling.minimise

    def put(stop: int | None = None) -> Counted:
        monkeypatch.setattr(profiling, "minimise", made)
        counter = Counted(stop)
        monkeypatch.setattr(profiling, "minimise", counter)
        return counter

    return put


@pytest.mark.parametrize(
    ("verb", "part", "said"),
    [
        ("profile", 0.5, "interrupted"),
        ("limits", 0.5, "interrupted"),
        ("impacts", 0.5, "interrupted"),
        ("fisher", 0.5, "interrupted"),
        ("tighten", 0.3, "interrupted before the first stage was done"),
        ("tighten", 0.8, "interrupted after 1 of 2 stages; they are in mine"),
    ],
)
def test_it_goes_on_to_the_same_results(
    verb: str, part: float, said: str, counted: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    whole = counted()
    assert main([*VERBS[verb], "--out", "whole"]) == 0
    assert whole.calls >= 2
    stop = max(2, round(part * whole.calls))
    counted(stop)
    assert main([*VERBS[verb], "--out", "mine"]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == f"nmmfit: {said}; nmmfit resume mine goes on"
    begun = tmp_path / "mine" / "checkpoint" / "begun.json"
    text = begun.read_text()
    about = json.loads(text)
    about["origin"]["versions"]["nmmfit"] = "9.1"
    begun.write_text(json.dumps(about))
    assert main(["resume", "mine"]) == 2
    assert "begun with something else: nmmfit 9.1 then" in capsys.readouterr().err
    begun.write_text(text)
    rest = counted()
    assert main(["resume", "mine"]) == 0
    assert rest.calls == whole.calls - (stop - 1)
    compared = compare_folders(tmp_path / "whole", tmp_path / "mine")
    assert compared.identical
    assert f"{verb}.json" in compared.compared


def test_rounds_of_the_information_are_not_made_again(
    counted: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Interrupted in the second round: two points a round, one coefficient being free, and the mean of the first one is kept."""
    looked = region.information_at
    seen: list[np.ndarray] = []

    def at(axes: Any, z: np.ndarray) -> Any:
        seen.append(z)
        if len(seen) == stop:
            raise KeyboardInterrupt
        return looked(axes, z)

    monkeypatch.setattr(region, "information_at", at)
    stop, minimiser = 0, counted()
    assert main([*VERBS["fisher"], "--out", "whole"]) == 0
    everything, rounds = [*seen], len(seen) // 2
    assert rounds >= 3
    # At the second point of the second round; at the last point of all, which is looked at again with the other of its round; in
    # the fit that comes after it.
    for out, stop, fit, left in (
        ("mine", 4, None, everything[2:]),
        ("late", 2 * rounds, None, everything[-2:]),
        ("last", 0, minimiser.calls, everything[-2:]),
    ):
        seen.clear()
        counted(fit)
        assert main([*VERBS["fisher"], "--out", out]) == 130
        assert capsys.readouterr().err.splitlines()[-1] == f"nmmfit: interrupted; nmmfit resume {out} goes on"
        seen.clear()
        stop, rest = 0, counted()
        assert main(["resume", out, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["points"] == 2
        np.testing.assert_array_equal(seen, left)
        assert 0 < rest.calls < minimiser.calls
        assert compare_folders(tmp_path / "whole", tmp_path / out).identical
    assert main(["verify", "mine"]) == 0
    assert main(["rerun", "mine"]) == 0


SLOWLY = """
import sys, time
from small_joint import pulled_joint
import nmmfit.run
from nmmfit.durable import ChunkStore
joint = pulled_joint()
nmmfit.run.Run.joint = lambda self, method="templates": joint
write = ChunkStore.write
def slow(self, *given):
    write(self, *given)
    time.sleep(0.3)
ChunkStore.write = slow
from nmmfit.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["fisher", "prior-sensitivity"])
def test_killed_for_good_after_every_chunk(verb: str, tmp_path: Path) -> None:
    write_fit_folder(tmp_path / "fitted", FITTED, result=make_result(draws=100))
    words = VERBS[verb]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests"), *sys.path])}

    def begin(*given: str) -> subprocess.Popen[bytes]:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen([sys.executable, "-c", SLOWLY, *given], env=environment, **quiet)

    def chunks() -> int:
        return len(list((tmp_path / "mine").rglob("*.chunk")))

    whole = begin(*words, "--out", "whole")
    assert whole.wait() == 0
    given, kills = (*words, "--out", "mine"), 0
    while True:
        process, before = begin(*given), chunks()
        while process.poll() is None and chunks() == before:
            time.sleep(0.02)
        if process.poll() is not None:
            break
        process.kill()
        process.wait()
        kills += 1
        given = ("resume", "mine")
    assert process.wait() == 0
    assert kills >= 3
    assert compare_folders(tmp_path / "whole", tmp_path / "mine").identical


def stopping(patch: pytest.MonkeyPatch, chunks: int) -> None:
    """Have Ctrl-C pressed once so many chunks are written."""
    write, left = ChunkStore.write, [chunks]

    def writing(self: ChunkStore, *given: Any) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        write(self, *given)
        left[0] -= 1

    patch.setattr(ChunkStore, "write", writing)


def simulation(self: Simulations, index: int) -> dict[str, np.ndarray]:
    """Invented ranks, which are uniform."""
    n = len(self.names)
    ranks = np.random.default_rng([self.plan.seed, index]).integers(0, self.plan.draws + 1, n)
    many = {"rank": ranks, "truth": np.full(n, float(index)), "r_hat": np.ones(n), "ess": np.full(n, 1000.0)}
    return {**many, "divergences": np.asarray(0), "seconds": np.asarray(0.5)}


@pytest.mark.parametrize("verb", ["fisher", "prior-sensitivity", "calibrate"])
def test_whatever_goes_wrong_is_one_line_and_loses_nothing(
    verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Simulations, "simulation", simulation)
    if verb == "prior-sensitivity":
        write_fit_folder(tmp_path / "fitted", FITTED, result=make_result(draws=100))

    def ends(code: int, *words: str) -> str:
        capsys.readouterr()
        assert main(words) == code
        return capsys.readouterr().err

    assert main([*VERBS[verb], "--out", "whole"]) == 0
    for chunks, said in ((0, "nothing was written"), (2, "nmmfit resume mine goes on")):
        with monkeypatch.context() as patch:
            stopping(patch, chunks)
            assert ends(130, *VERBS[verb], "--out", "mine") == f"nmmfit: interrupted; {said}\n"
        assert (tmp_path / "mine").exists() == (chunks > 0)
    kept = tmp_path / "mine" / "checkpoint"
    lock = FolderLock(kept)
    lock.acquire()
    for words in (("resume", "mine"), (*VERBS[verb], "--out", "mine")):
        assert f"mine: in use by process {os.getpid()} on " in ends(2, *words)
    lock.release()
    if verb != "calibrate":
        said = f"--cluster: {verb} does not compute on a cluster (scan, toys, calibrate, "
        assert said in ends(2, "resume", "mine", "--cluster", "local:2")
    real = os.replace

    def full(source: Any, target: Any) -> None:
        if str(target).endswith(".chunk"):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", full)
        assert ends(2, "resume", "mine").endswith(": the disk is full; nmmfit resume mine goes on\n")
    version = f'"nmmfit": "{nmmfit.__version__}"'
    for name, change, said in (
        ("begun.json", lambda text: text.replace(version, '"nmmfit": "9.1"'), "begun with something else: nmmfit 9.1 then"),
        ("run.toml", lambda text: f"{text}\n[sampler]\nseed = 4\n", "/checkpoint/run.toml: not the run file that was begun with"),
    ):
        text = (kept / name).read_text()
        (kept / name).write_text(change(text))
        assert said in ends(2, "resume", "mine")
        (kept / name).write_text(text)
    cut = max(kept.rglob("*.chunk"))
    cut.write_bytes(cut.read_bytes()[:-40])
    warned, wrote = ends(0, "resume", "mine").splitlines()
    assert warned.startswith(f"nmmfit: warning: {cut.relative_to(tmp_path)}: cut short (")
    assert warned.endswith("; it is computed again")
    assert wrote == "wrote mine"
    assert compare_folders(tmp_path / "whole", tmp_path / "mine").identical


def test_options_that_were_not_given_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    real = cli_toys.toys_into

    def stopped(chosen: Any, folder: Any, wanted: Any, *given: Any) -> None:
        asked.append(wanted)
        if len(asked) == 1:
            # Something finished, so that the folder stays.
            folder.store("some", {}).write(0, {})
        monkeypatch.setattr("nmmfit.inference.toys.toys", interrupting)
        real(chosen, folder, wanted, *given)

    def interrupting(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli_toys, "toys_into", stopped)
    assert main(["toys", "run.toml", "--out", "mine"]) == 130
    assert main(["resume", "mine"]) == 130
    assert asked[0] == asked[1]
    assert asked[1].values is None


def test_a_grid_that_is_wrong_leaves_nothing(counted: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    counter = counted()
    # Its upper end is where the profile has risen, far below.
    assert main(["profile", "run.toml", "--parameter", "L", "--low", "1e3", "--out", "mine"]) == 2
    assert "must end above its start" in capsys.readouterr().err
    assert counter.calls > 0
    assert not (tmp_path / "mine").exists()
