"""`resume`: an interrupted fit goes on to the results of one that nothing stopped, whatever stopped it and whenever."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_joint
import xarray

from nmmfit.cli.main import main
from nmmfit.errors import UserInputError
from nmmfit.inference.joint import JointLikelihood
from nmmfit.results.files import RunFolder
from nmmfit.results.resumable import ResumableFolder
from nmmfit.results.store import read_run
from nmmfit.results.written import read_results

ROOT = Path(__file__).resolve().parents[2]
SHORT = ("--sampler", "ensemble", "--chains", "4", "--warmup", "60", "--draws", "70", "--seed", "3", "--no-plots")
CALLS = 7
RUN = "experiments = []\n"


@pytest.fixture(scope="module")
def quick() -> JointLikelihood:
    return small_joint.quick_joint()


@pytest.fixture(autouse=True)
def _here(quick: JointLikelihood, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nmmfit.compilation_cache.enable", lambda: None)
    monkeypatch.setattr("nmmfit.run.Run.joint", lambda self, method="templates": quick)
    (tmp_path / "run.toml").write_text(RUN)


def numbers(folder: Path) -> dict[str, bytes]:
    """Every number of a posterior file, bit by bit, and what else does not depend on when it was made."""
    groups = ("posterior", "folded", "sample_stats", "log_likelihood", "posterior_predictive", "observed_data")
    found = {}
    for group in groups:
        with xarray.open_dataset(folder / "posterior.nc", group=group, engine="h5netcdf") as data:
            found |= {f"{group}/{name}": np.asarray(values).tobytes() for name, values in data.variables.items()}
    summary = json.loads((folder / "summary.json").read_text())
    found["summary"] = json.dumps({k: v for k, v in summary.items() if k not in ("wall_s", "warmup_s", "out")}).encode()
    return {**found, "run": (folder / "run.toml").read_bytes()}


@pytest.fixture(scope="module")
def wanted(quick: JointLikelihood, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The numbers of a fit that nothing stops."""
    place = tmp_path_factory.mktemp("whole")
    (place / "run.toml").write_text(RUN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nmmfit.compilation_cache.enable", lambda: None)
        patch.setattr("nmmfit.run.Run.joint", lambda self, method="templates": quick)
        assert main(["fit", str(place / "run.toml"), *SHORT, "--out", str(place / "fit")]) == 3
    return numbers(place / "fit")


class Killed(BaseException):
    """The process is gone."""


def killed_after(monkeypatch: pytest.MonkeyPatch, calls: int, how: type[BaseException] = Killed) -> None:
    """Have the next fit end after so many compiled calls; killed, it cleans nothing up."""

    @contextmanager
    def bar() -> Iterator[Any]:
        left = calls

        def advance(_: object) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise how

        yield advance

    monkeypatch.setattr("nmmfit.cli.fit.sampling_bar", bar)
    if how is Killed:
        monkeypatch.setattr(ResumableFolder, "__exit__", lambda self, *_: self._lock.release())


def begin(monkeypatch: pytest.MonkeyPatch, calls: int, how: type[BaseException] = Killed) -> None:
    """A fit in `mine` that ends after so many calls."""
    with monkeypatch.context() as patch:
        killed_after(patch, calls, how)
        if how is Killed:
            with pytest.raises(Killed):
                main(["fit", "run.toml", *SHORT, "--out", "mine"])
        else:
            assert main(["fit", "run.toml", *SHORT, "--out", "mine"]) == 130


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.splitlines()[-1]


FILES = ["manifest.json", "posterior.nc", "run.toml", "summary.json"]


@pytest.mark.parametrize(("calls", "how"), [(1, Killed), (5, Killed), (3, KeyboardInterrupt), (CALLS, KeyboardInterrupt)])
def test_it_goes_on_to_the_same_results(
    calls: int, how: type[BaseException], wanted: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begin(monkeypatch, calls, how)
    assert main(["resume", "mine"]) == 3
    assert numbers(tmp_path / "mine") == wanted
    assert sorted(p.name for p in (tmp_path / "mine").iterdir()) == FILES


def test_what_ctrl_c_left_can_be_read_until_it_is_gone_on_with(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wanted: dict[str, bytes]
) -> None:
    begin(monkeypatch, 5, KeyboardInterrupt)
    part = read_run("mine")
    assert part.summary["interrupted"] is True
    assert (part.summary["draws"], read_results("mine").kind) == (40, "fit")
    assert json.loads((tmp_path / "mine" / "manifest.json").read_text())["unfinished"] is True
    (tmp_path / "mine" / "my-notes.txt").write_text("kept")
    capsys.readouterr()
    assert main(["resume", "mine", "--json"]) == 3
    answer = json.loads(capsys.readouterr().out)
    assert (answer["draws"], answer["interrupted"], answer["out"]) == (70, False, "mine")
    assert numbers(tmp_path / "mine") == wanted
    assert (tmp_path / "mine" / "my-notes.txt").read_text() == "kept"
    assert json.loads((tmp_path / "mine" / "manifest.json").read_text())["unfinished"] is False


def test_an_unfinished_folder_is_not_taken_for_results(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begin(monkeypatch, 5)
    said = "mine: unfinished, holds no results yet; nmmfit resume mine goes on with it"
    # A result that was about to come in when the process ended, too.
    for name in ("summary.json", "run.toml"):
        (tmp_path / "mine" / name).write_text("{}")
        for read in (read_run, read_results):
            with pytest.raises(UserInputError) as error:
                read("mine")
            assert str(error.value) == said
    capsys.readouterr()
    assert main(["report", "mine"]) == 2
    assert last_line(capsys) == f"nmmfit: {said}"
    assert main(["limits", "--fit", "mine"]) == 2
    assert last_line(capsys) == f"nmmfit: {said}"
    assert main(["fit", "run.toml", "--out", "mine"]) == 2
    wanted = "--out mine: holds an unfinished computation; nmmfit resume mine goes on with it, or name a new or empty folder"
    assert last_line(capsys) == f"nmmfit: {wanted}"


@pytest.mark.parametrize("name", ["results/summary.json", "mine/manifest.json"])
def test_killed_while_results_are_written(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wanted: dict[str, bytes]
) -> None:
    real = os.replace

    def dying(source: Any, target: Any) -> None:
        if str(target).endswith(name):
            raise Killed
        real(source, target)

    with monkeypatch.context() as patch:
        killed_after(patch, -1)
        patch.setattr("os.replace", dying)
        with pytest.raises(Killed):
            main(["fit", "run.toml", *SHORT, "--out", "mine"])
    with pytest.raises(UserInputError, match="mine: unfinished"):
        read_run("mine")
    assert main(["resume", "mine"]) == 3
    assert numbers(tmp_path / "mine") == wanted


@pytest.mark.slow
def test_killed_at_every_renaming(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wanted: dict[str, bytes]) -> None:
    """Whatever file is about to get its name when the process ends, in sampling, writing or publishing."""
    real = os.replace
    n = 0
    while True:
        n += 1
        out, count = f"mine-{n}", 0

        def dying(source: Any, target: Any, stop: int = n) -> None:
            nonlocal count
            count += 1
            if count == stop:
                raise Killed
            real(source, target)

        with monkeypatch.context() as patch:
            killed_after(patch, -1)
            patch.setattr("os.replace", dying)
            patch.setattr(RunFolder, "_remove_made", lambda self: None)
            try:
                main(["fit", "run.toml", *SHORT, "--out", out])
            except Killed:
                pass
            else:
                break
        if not (tmp_path / out).exists():
            # Before the folder got its name: there is nothing under it.
            continue
        assert main(["resume", out]) == 3, n
        assert numbers(tmp_path / out) == wanted, n
    # Records, stores, at least one chunk and one state, four files of results written and moved.
    assert n > 15


@pytest.mark.parametrize("name", [".chunk", "posterior.nc"])
def test_a_full_disk_loses_nothing(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wanted: dict[str, bytes]
) -> None:
    import errno

    begin(monkeypatch, 3)
    real = os.replace

    def full(source: Any, target: Any) -> None:
        if str(target).endswith(name):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", full)
        capsys.readouterr()
        assert main(["resume", "mine"]) == 2
    said = last_line(capsys)
    assert said.startswith("nmmfit: cannot write mine/")
    assert said.endswith(": the disk is full; nmmfit resume mine goes on")
    assert main(["resume", "mine"]) == 3
    assert numbers(tmp_path / "mine") == wanted


@pytest.mark.parametrize("store", ["draws", pytest.param("states", marks=pytest.mark.slow)])
def test_a_damaged_checkpoint_is_named_and_made_again(
    store: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wanted: dict[str, bytes]
) -> None:
    begin(monkeypatch, 6, KeyboardInterrupt)
    path = max((Path("mine") / "checkpoint" / "chunks" / store).glob("*.chunk"))
    path.write_bytes(path.read_bytes()[:-100])
    capsys.readouterr()
    assert main(["resume", "mine"]) == 3
    said = capsys.readouterr().err
    assert f"nmmfit: warning: {path}: cut short" in said
    assert numbers(tmp_path / "mine") == wanted


def edit(path: Path, **changes: Any) -> None:
    """Change entries of the "origin" in a record of what was begun."""
    about = json.loads(path.read_text())
    about["origin"] |= changes
    path.write_text(json.dumps(about))


def test_another_version_run_file_or_table_does_not_go_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wanted: dict[str, bytes]
) -> None:
    begin(monkeypatch, 3)
    inside = tmp_path / "mine" / "checkpoint"
    begun, run = (inside / "begun.json").read_text(), (inside / "run.toml").read_text()
    versions = json.loads(begun)["origin"]["versions"]
    advice = "start anew, or go on with what it was begun with"
    for changes, says in (
        ({"versions": versions | {"nmmfit": "9.1"}}, f"nmmfit 9.1 then, {versions['nmmfit']} now"),
        ({"versions": versions | {"jax": "0.1"}}, f"jax 0.1 then, {versions['jax']} now"),
        ({"program": "0" * 64}, "the source of nmmfit or of an experiment has changed"),
        ({"tables": {"likelihoods/x/data/counts.csv": "0"}}, "the table likelihoods/x/data/counts.csv is gone"),
    ):
        edit(inside / "begun.json", **changes)
        capsys.readouterr()
        assert main(["resume", "mine"]) == 2
        assert last_line(capsys) == f"nmmfit: mine: begun with something else: {says}; {advice}"
        (inside / "begun.json").write_text(begun)
    (inside / "run.toml").write_text(run.replace("seed = 3", "seed = 4"))
    assert main(["resume", "mine"]) == 2
    assert last_line(capsys) == f"nmmfit: mine/checkpoint/run.toml: not the run file that was begun with; {advice}"
    (inside / "run.toml").write_text(run)
    assert main(["resume", "mine"]) == 3
    assert numbers(tmp_path / "mine") == wanted


def test_folders_that_cannot_be_resumed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begin(monkeypatch, 3)
    (tmp_path / "other").mkdir()
    broken = tmp_path / "mine" / "checkpoint" / "begun.json"
    for name, said in (
        ("none", "none: there is no such folder"),
        ("run.toml", "run.toml: this is a file, not a folder"),
        ("other", "other: holds no unfinished computation (no checkpoint/begun.json); there is nothing to resume"),
    ):
        capsys.readouterr()
        assert main(["resume", name]) == 2
        assert last_line(capsys) == f"nmmfit: {said}"
    edit(broken, verb="fitt")
    assert main(["resume", "mine"]) == 2
    assert last_line(capsys).startswith("nmmfit: mine: unknown verb to go on with 'fitt'; did you mean 'fit'?")
    broken.write_text(broken.read_text()[:-20])
    assert main(["resume", "mine"]) == 2
    assert last_line(capsys).startswith("nmmfit: mine/checkpoint/begun.json: broken or altered (")
    assert main(["resume"]) == 2


def test_a_finished_fit_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["fit", "run.toml", *SHORT, "--out", "mine"]) == 3
    capsys.readouterr()
    assert main(["resume", "mine"]) == 0
    assert capsys.readouterr().out == "mine: finished; there is nothing to resume\n"
    assert main(["resume", "mine", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"finished": True, "out": "mine"}


def test_rerun_is_identical_or_names_what_is_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wanted: dict[str, bytes]
) -> None:
    assert main(["fit", "run.toml", *SHORT, "--out", "mine"]) == 3
    capsys.readouterr()
    assert main(["rerun", "mine", "--out", "again", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["identical"], answer["differences"], answer["made_with_the_same"]) == (True, [], True)
    assert answer["compared"] == ["posterior.nc", "run.toml", "summary.json"]
    assert numbers(tmp_path / "again") == wanted
    # A program that draws other numbers now.
    from nmmfit.inference import sampling

    symmetrised = sampling.symmetrised
    monkeypatch.setattr(sampling, "symmetrised", lambda *given: symmetrised(*given) * (1.0 + 1e-9))
    assert main(["rerun", "mine"]) == 3
    printed = capsys.readouterr()
    assert "posterior.nc: posterior/L: differs by up to 1e-09 of its largest value" in printed.err.splitlines()[-1]
    assert (place := printed.err.splitlines()[-2]).startswith("wrote nmmfit-runs/")
    assert (tmp_path / place.removeprefix("wrote ") / "posterior.nc").is_file()
    (tmp_path / "mine" / "summary.json").write_text("{}")
    assert main(["rerun", "mine"]) == 2
    assert last_line(capsys) == "nmmfit: mine: not what was written: summary.json is truncated; there is nothing to compare with"


def test_an_interrupted_fit_is_verified_and_not_computed_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(monkeypatch, 5, KeyboardInterrupt)
    capsys.readouterr()
    assert main(["verify", "mine", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unfinished"] is True
    assert main(["rerun", "mine"]) == 2
    assert last_line(capsys) == "nmmfit: mine: of an interrupted computation; nmmfit resume mine goes on with it"


SLOWLY = """
import sys, time
from contextlib import contextmanager
import nmmfit.cli.fit, nmmfit.run
from small_joint import quick_joint
joint = None
def made(self, method="templates"):
    global joint
    joint = joint or quick_joint()
    return joint
nmmfit.run.Run.joint = made
@contextmanager
def slow():
    yield lambda now: time.sleep(PAUSE)
nmmfit.cli.fit.sampling_bar = slow
from nmmfit.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def started(*arguments: str, pause: float = 0.2) -> subprocess.Popen[str]:
    """The program in a process of its own, which rests after every compiled call."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests"), *sys.path])
    code = SLOWLY.replace("PAUSE", str(pause))
    environment = {**os.environ, "PYTHONPATH": path}
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", code, *arguments], env=environment, **quiet)


def ended_with(process: subprocess.Popen[str]) -> int:
    """Exit code of a process that ends by itself."""
    process.communicate()
    return process.returncode


def chunks(folder: str) -> int:
    return len(list(Path(folder).rglob("*.chunk")))


def test_kill_and_the_second_process(capsys: pytest.CaptureFixture[str], tmp_path: Path, wanted: dict[str, bytes]) -> None:
    """A process that is killed for good, and what another one is told while it still works."""
    process = started("fit", "run.toml", *SHORT, "--out", "mine", pause=60.0)
    try:
        for _ in range(1200):
            if chunks("mine") >= 2 or process.poll() is not None:
                break
            time.sleep(0.1)
        assert chunks("mine") >= 2
        for verb in (["resume", "mine"], ["fit", "run.toml", "--out", "mine"]):
            assert main(verb) == 2
            assert f"mine: in use by process {process.pid} on " in last_line(capsys)
    finally:
        process.kill()
        process.communicate()
    assert main(["resume", "mine"]) == 3
    assert numbers(tmp_path / "mine") == wanted


@pytest.mark.slow
def test_killed_at_twenty_random_moments_and_interrupted_at_others(tmp_path: Path, wanted: dict[str, bytes]) -> None:
    moments = random.Random(5)
    assert ended_with(started("fit", "run.toml", *SHORT, "--out", "compiled")) == 3
    whole = time.perf_counter()
    assert ended_with(started("fit", "run.toml", *SHORT, "--out", "whole")) == 3
    whole = time.perf_counter() - whole
    assert numbers(tmp_path / "whole") == wanted
    kills = 0
    for n in range(1000):
        out, ended = f"mine-{n}", None
        verb = ["fit", "run.toml", *SHORT, "--out", out]
        while ended is None and kills < 20:
            process = started(*verb)
            try:
                ended = process.wait(moments.uniform(0.0, 1.1 * whole))
            except subprocess.TimeoutExpired:
                if moments.random() < 0.3:
                    process.send_signal(signal.SIGINT)
                    # Before the program handles it, Python ends in its own way.
                    code = process.wait()
                    ended = code if code in (0, 3) else None
                else:
                    process.kill()
                    kills += 1
            process.communicate()
            verb = ["resume", out] if (tmp_path / out).exists() else verb
        if ended is None:
            ended = ended_with(started(*verb))
        assert ended in (0, 3)
        assert numbers(tmp_path / out) == wanted
        if kills >= 20:
            return
