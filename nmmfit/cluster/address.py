"""Where a cluster is: the address of a scheduler, a number of processes on this machine, or a file that describes jobs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from nmmfit.cluster.queue import QueueSpec, read_queue
from nmmfit.errors import UserInputError

_SCHEDULER = re.compile(r"(tcp|tls)://[^\s/:]+:\d{1,5}")


@dataclass(frozen=True)
class Remote:
    """A scheduler that is running already."""

    address: str


@dataclass(frozen=True)
class Local:
    """Processes on this machine, which end with the computation."""

    workers: int


Place = Remote | Local | QueueSpec


def given(text: str, where: str = "--cluster") -> Place:
    """What stands behind `--cluster`.

    Args:
        text: tcp://HOST:PORT (or tls://), local:N, or the path of a TOML file.
        where: what errors begin with.
    Raises: UserInputError for anything else, or a file that is wrong.
    """
    if _SCHEDULER.fullmatch(text):
        return Remote(text)
    kind, colon, number = text.partition(":")
    if kind == "local" and colon:
        if not re.fullmatch(r"[1-9]\d{0,3}", number):
            raise UserInputError(f"{where} {text}: expected local:N with a number of processes, such as local:4")
        return Local(int(number))
    if text.endswith(".toml"):
        return read_queue(Path(text), where)
    raise UserInputError(f"{where} {text}: expected tcp://HOST:PORT of a scheduler, local:N, or a TOML file that describes jobs")
