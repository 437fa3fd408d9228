"""Where a verb computes: the device, and the cluster whose workers make its chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nmmfit.cli.output import note

if TYPE_CHECKING:
    from nmmfit.durable import ChunkStore, Engine
    from nmmfit.results.resumable import ResumableFolder


@dataclass(frozen=True)
class Where:
    """What --cluster and --device say; None stands for this process, and for JAX's own choice."""

    cluster: str | None = None
    device: str | None = None

    @contextmanager
    def opened(self, experiments: Sequence[str]) -> Iterator[Engine | None]:
        """Start computing; the engine of the cluster, None where there is none.

        Raises: UserInputError where the device is not there, or the cluster cannot be used.
        """
        place = None
        if self.cluster is not None:
            from nmmfit.cluster.address import given

            place = given(self.cluster)
        from nmmfit.cli.runtime import start_computing

        start_computing(self.device)
        if place is None:
            yield None
            return
        from nmmfit.cluster.connection import connected

        with connected(place, experiments, device=self.device, say=lambda said: note(f"cluster: {said}")) as engine:
            yield engine


def kept_in(folder: ResumableFolder) -> Callable[[str, Mapping[str, Any]], ChunkStore]:
    """What opens stores of finished chunks in a folder, by name and by what determines them."""
    return lambda name, known: folder.store(name, {**known, **computed_on()})


def computed_on() -> dict[str, Any]:
    """What determines kept chunks beside everything else: the platform, where it is not the CPU, on which rounding differs."""
    import jax

    here = jax.default_backend()
    return {} if here == "cpu" else {"platform": here}
