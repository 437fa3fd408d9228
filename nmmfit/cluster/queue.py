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


def known_options(kind: str) -> list[str]:
    """Names of the arguments of a cluster class of dask_jobqueue; imports it."""
    import dask_jobqueue

    found = getattr(dask_jobqueue, _CLASSES[kind])
    names: set[str] = set()
    for made in (*found.__mro__, *found.job_cls.__mro__):
        if made.__module__.startswith("dask_jobqueue."):
            names |= {n for n, p in inspect.signature(made.__init__).parameters.items() if p.kind is not p.VAR_KEYWORD}
    # Set here, or of no use in a file.
    return sorted(names - {"self", "args", "n_workers", "job_cls", "loop", "asynchronous", "scheduler", "scheduler_cls", "name"})


def start_jobs(spec: QueueSpec, where: str = "--cluster") -> Any:
    """A cluster of dask_jobqueue, its jobs submitted; close it to end them.

    Raises: UserInputError for an option that its class does not have, or that it does not take.
    """
    import dask_jobqueue

    allowed = known_options(spec.kind)
    for name in spec.options:
        if name not in allowed:
            raise unknown("key", name, allowed, f"{where}: options")
    try:
        cluster = getattr(dask_jobqueue, _CLASSES[spec.kind])(**spec.options)
    except (ValueError, TypeError) as problem:
        raise UserInputError(f"{where}: options: {' '.join(str(problem).split())}") from None
    cluster.scale(jobs=spec.jobs)
    return cluster
