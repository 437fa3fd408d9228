"""Opening a cluster: addresses, files of jobs, and workers that must not be used; one line for everything that is wrong."""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path

import pytest

from nmmfit.cli.main import main
from nmmfit.cluster import queue
from nmmfit.cluster.address import Local, Remote, given
from nmmfit.cluster.connection import connected
from nmmfit.cluster.engine import LostClusterError
from nmmfit.durable import ChunkStore, run_chunks
from nmmfit.errors import UserInputError
from tests.cluster import work
from tests.cluster.conftest import environment, free_port, scheduler, worker

QUEUE = 'kind = "slurm"\njobs = 2\n[options]\ncores = 1\nmemory = "1GB"\n'


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("tcp://10.0.0.1:8786", Remote("tcp://10.0.0.1:8786")),
        ("tls://login.example.org:1", Remote("tls://login.example.org:1")),
        ("local:12", Local(12)),
    ],
)
def test_places(text: str, place: object) -> None:
    assert given(text) == place


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tcp://host", r"expected tcp://HOST:PORT of a scheduler, local:N, or a TOML file"),
        ("http://host:1", r"expected tcp://HOST:PORT"),
        ("local", r"expected tcp://HOST:PORT"),
        ("local:0", r"local:0: expected local:N with a number of processes, such as local:4"),
        ("local:two", r"expected local:N"),
        ("nowhere.toml", r"--cluster nowhere.toml: No such file or directory"),
    ],
)
def test_other_places_are_refused(text: str, said: str) -> None:
    with pytest.raises(UserInputError, match=said):
        given(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind = slurm", "jobs.toml: not valid TOML"),
        (QUEUE.replace("slurm", "slrum"), "kind: unknown choice 'slrum'; did you mean 'slurm'?"),
        (QUEUE.replace("jobs", "job"), "unknown key 'job'; did you mean 'jobs'?"),
        ('kind = "slurm"\n', "jobs: this key is required"),
        (QUEUE.replace("jobs = 2", "jobs = 0"), "jobs: expected greater than or equal to 1, got 0"),
        (QUEUE.replace("jobs = 2", 'jobs = "2"'), "jobs: expected a valid integer, got '2'"),
    ],
)
def test_files_that_are_wrong(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "jobs.toml").write_text(text)
    with pytest.raises(UserInputError) as found:
        given(str(tmp_path / "jobs.toml"))
    assert said in str(found.value)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("kind", ["slurm", "htcondor"])
def test_options_of_batch_systems_that_are_wrong(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("dask_jobqueue")
    (tmp_path / "jobs.toml").write_text(QUEUE.replace("slurm", kind).replace("memory", "memroy"))
    spec = given(str(tmp_path / "jobs.toml"))
    assert isinstance(spec, queue.QueueSpec)
    with pytest.raises(UserInputError, match="options: unknown key 'memroy'; did you mean 'memory'"):
        queue.start_jobs(spec)
    missing = spec.model_copy(update={"options": {"cores": 1}})
    with pytest.raises(UserInputError, match=r"options: .*memory"):
        queue.start_jobs(missing)


def test_options_are_those_of_the_batch_system() -> None:
    pytest.importorskip("dask_jobqueue")
    slurm, condor = (set(queue.known_options(kind)) for kind in ("slurm", "htcondor"))
    assert {"cores", "memory", "job_extra_directives", "python", "interface"} <= slurm & condor
    assert {"walltime", "account"} <= slurm - condor
    assert "disk" in condor - slurm


@pytest.mark.slow
def test_jobs_of_a_batch_system_compute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch system that begins every job at once: what SLURM's commands say, as dask-jobqueue reads it."""
    pytest.importorskip("dask_jobqueue")
    (tmp_path / "sbatch").write_text('#!/bin/sh\nsh "$1" > /dev/null 2>&1 &\necho "Submitted batch job $!"\n')
    (tmp_path / "scancel").write_text('#!/bin/sh\nkill "$1"\n')
    for command in ("sbatch", "scancel"):
        (tmp_path / command).chmod(0o755)
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (tmp_path / "jobs.toml").write_text(QUEUE + f'python = "{sys.executable}"\ninterface = "lo"\n')
    said: list[str] = []
    with connected(given(str(tmp_path / "jobs.toml")), say=said.append) as engine:
        found = run_chunks(None, 6, work.square, engine=engine)
    assert [int(chunk["square"]) for chunk in found] == [i * i for i in range(6)]
    assert said[0] == "2 jobs of slurm asked for"


def test_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nmmfit.cluster.connection.TIMEOUT_S", 0.3)
    (tmp_path / "run.toml").write_text(
        "experiments = []\n[parameters.x]\ncoefficients = {nuNgamma_11 = 1}\nprior = {normal = [0, 1]}\n"
    )
    address = f"tcp://127.0.0.1:{free_port()}"
    began = time.monotonic()
    assert main(["scan", "run.toml", "--grid", "x=0:1:5", "--cluster", address, "--out", "mine"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said == [
        f"nmmfit: --cluster {address}: nobody answers there within 0.3 s; is a dask scheduler running, and its port open?"
    ]
    assert time.monotonic() - began < 5.0
    assert not (tmp_path / "mine").exists()


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(UserInputError, match=r"^--cluster needs dask.distributed: pip install 'nmmfit\[cluster\]'$"),
        connected(Local(1)),
    ):
        pass


def test_a_worker_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "nmmfit-0.0.9.dist-info").mkdir()
    (tmp_path / "nmmfit-0.0.9.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: nmmfit\nVersion: 0.0.9\n")
    address = f"tcp://127.0.0.1:{(port := free_port())}"
    said = r"worker tcp://127.0.0.1:\d+ is refused: nmmfit 0.0.9 there, 0.1.0 here; install the same on both"
    with (
        scheduler(port),
        worker(address, env=environment(tmp_path)),
        pytest.raises(UserInputError, match=said),
        connected(Remote(address)),
    ):
        pass


@pytest.mark.slow
def test_a_worker_with_another_source_is_refused_whenever_it_comes(tmp_path: Path) -> None:
    import shutil

    import nmmfit

    shutil.copytree(Path(nmmfit.__file__).parent, tmp_path / "nmmfit", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "nmmfit" / "units.py").open("a") as changed:
        changed.write("\n# changed\n")
    address = f"tcp://127.0.0.1:{(port := free_port())}"
    said = "is refused: the source of nmmfit or of an experiment has changed"
    with scheduler(port):
        with worker(address, env=environment(tmp_path)), pytest.raises(UserInputError, match=said), connected(Remote(address)):
            pass
        # The second one comes when the first has been checked.
        with worker(address), connected(Remote(address)) as engine, worker(address, env=environment(tmp_path)):
            engine.client.wait_for_workers(2, timeout=60)
            with pytest.raises(UserInputError, match=said):
                list(engine(work.slow_first, range(40)))


@pytest.mark.slow
def test_a_scheduler_that_is_gone_ends_it_and_another_goes_on(tmp_path: Path) -> None:
    address = f"tcp://127.0.0.1:{(port := free_port())}"
    store = ChunkStore(tmp_path / "store", {})
    (tmp_path / "wait").touch()
    compute = partial(work.waiting, str(tmp_path))
    with scheduler(port) as first, worker(address), connected(Remote(address)) as engine:

        def stop(done: int, _: int) -> None:
            if done == 1:
                first.kill()

        with pytest.raises(LostClusterError, match=f"the scheduler at {address} does not answer any more"):
            run_chunks(store, 5, compute, progress=stop, engine=engine)
    assert store.numbers() == [0]
    (tmp_path / "wait").unlink()
    with scheduler(port), worker(address), connected(Remote(address)) as engine:
        found = run_chunks(store, 5, compute, engine=engine)
    assert [int(chunk["square"]) for chunk in found] == [0, 1, 4, 9, 16]
