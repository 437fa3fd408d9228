"""Workers as jobs of a batch system, from a TOML file:

kind = "slurm"                # or "htcondor"
jobs = 50
[options]                     # of dask_jobqueue's SLURMCluster or HTCondorCluster, passed on as they are
cores = 1
memory = "4GB"
walltime = "04:00:00"
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from nmmfit.errors import UserInputError, unknown
from nmmfit.runfile import read_toml
from nmmfit.validation import StrictModel, chosen_options

_CLASSES = {"slurm": "SLURMCluster", "htcondor": "HTCondorCluster"}


class QueueSpec(StrictModel):
    """A file that describes jobs; each of them runs the workers of one dask-jobqueue job."""

    kind: Annotated[Literal["slurm", "htcondor"], Field(description="batch system")]
    jobs: Annotated[int, Field(ge=1, le=10_000, description="how many jobs are asked for")]
    options: Annotated[dict[str, Any], Field(default_factory=dict, description="arguments of dask_jobqueue's cluster class")]


def read_queue(path: Path, where: str = "--cluster") -> QueueSpec:
    """The jobs that a TOML file describes.

    Raises: UserInputError for a file that cannot be read, is no TOML, or has a key or kind that does not exist.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise UserInputError(f"{where} {path}: {getattr(problem, 'strerror', None) or 'not UTF-8 text'}") from None
    return chosen_options(QueueSpec, read_toml(text, f"{where} {path}"), f"{where} {path}")


def _arguments(of: type) -> set[str]:
    """Names of the arguments of a class of dask_jobqueue and of those that it is derived from."""
    names: set[str] = set()
    for made in of.__mro__:
        if made.__module__.startswith("dask_jobqueue."):
            given = inspect.signature(made.__init__).parameters  # type: ignore[misc]
            names |= {name for name, p in given.items() if p.kind is not p.VAR_KEYWORD}
    # Set here, or of no use in a file.
    return names - {"self", "n_workers", "job_cls", "loop", "asynchronous", "scheduler", "scheduler_cls", "name"}


def known_options(kind: str) -> list[str]:
    """Names of the options of a batch system; imports dask_jobqueue."""
    import dask_jobqueue

    found = getattr(dask_jobqueue, _CLASSES[kind])
    return sorted(_arguments(found) | _arguments(found.job_cls))


def start_jobs(spec: QueueSpec, where: str = "--cluster") -> Any:
    """A cluster of dask_jobqueue, its jobs submitted; close it to end them.

    Raises: UserInputError for an option that its class does not have, or that it does not take.
    """
    import dask_jobqueue

    allowed = known_options(spec.kind)
    for name in spec.options:
        if name not in allowed:
            raise unknown("key", name, allowed, f"{where}: options")
    made = getattr(dask_jobqueue, _CLASSES[spec.kind])
    try:
        # A job alone says what is missing; a cluster that is half made leaves a mess behind.
        made.job_cls("tcp://127.0.0.1:0", "0", **{k: v for k, v in spec.options.items() if k in _arguments(made.job_cls)})
        cluster = made(**spec.options)
    except (ValueError, TypeError) as problem:
        raise UserInputError(f"{where}: options: {' '.join(str(problem).split())}") from None
    cluster.scale(jobs=spec.jobs)
    return cluster
