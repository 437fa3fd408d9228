"""The option --cluster: where chunks of a computation are made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from nmmfit.cli.output import note

if TYPE_CHECKING:
    from nmmfit.durable import Engine

Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="WHERE",
        help="Compute on a dask cluster: tcp://HOST:PORT of its scheduler, local:N processes, or a TOML file of batch jobs.",
        show_default=False,
    ),
]


@contextmanager
def engine_on(cluster: str | None, experiments: Sequence[str], device: str | None = None) -> Iterator[Engine | None]:
    """The engine of a cluster, open as long as this; None where the computation stays in this process.

    Raises: UserInputError, as `nmmfit.cluster.connection.connected`.
    """
    with nullcontext() if cluster is None else _connected(cluster, experiments, device) as engine:
        yield engine


@contextmanager
def _connected(cluster: str, experiments: Sequence[str], device: str | None) -> Iterator[Engine]:
    from nmmfit.cluster.address import given
    from nmmfit.cluster.connection import connected

    with connected(given(cluster), experiments, device=device, say=lambda said: note(f"cluster: {said}")) as engine:
        yield engine
