"""The option --device: what computes."""

from __future__ import annotations

from typing import Annotated

import typer

Device = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="DEVICE",
        help="cpu or gpu; without it a GPU where JAX can use one, else the CPU.",
        show_default=False,
    ),
]
