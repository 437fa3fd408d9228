"""The option --cluster: where chunks of a computation are made."""

from __future__ import annotations

from typing import Annotated

import typer

Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="WHERE",
        help="Compute on a dask cluster: tcp://HOST:PORT of its scheduler, local:N processes, or a TOML file of batch jobs.",
        show_default=False,
    ),
]
