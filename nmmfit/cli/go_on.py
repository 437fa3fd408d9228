"""Verbs that can be gone on with: what they get to do so, and what they say when they are stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nmmfit.cli.interrupts import one_interrupt
from nmmfit.cli.where import Where
from nmmfit.errors import InterruptedRunError

if TYPE_CHECKING:
    from nmmfit.results.resumable import ResumableFolder
    from nmmfit.run import Run


@dataclass(frozen=True)
class Unfinished:
    """A computation that was begun and is not finished.

    Attributes:
        verb: which one, such as "fit".
        given: the run as it was begun; None for a verb that has none.
        options: the verb's other options, by the names of its parameters, as JSON has them (no paths, but texts).
        where: the device and the cluster to go on with, which need not be those that it was begun with.
        folder: open; entering it as a context and publishing it is left to the verb, as in the first place.
    """

    verb: str
    given: Run | None
    options: Mapping[str, Any]
    folder: ResumableFolder
    where: Where = field(default_factory=Where)

    @property
    def run(self) -> Run:
        """The run, for verbs that have one."""
        if self.given is None:
            raise ValueError(f"{self.verb} has no run file")
        return self.given


@contextmanager
def going_on_later(folder: ResumableFolder, kept: Callable[[], bool]) -> Iterator[None]:
    """Compute into a folder, which is entered here; whoever stops it with Ctrl-C is told how to go on.

    Args:
        folder: of the computation.
        kept: whether what is worth keeping is on disk; see `one_interrupt`.
    Raises: InterruptedRunError in place of KeyboardInterrupt.
    """
    try:
        with folder, one_interrupt(kept):
            yield
    except InterruptedRunError as problem:
        raise InterruptedRunError(f"{problem}; {folder.said_to_go_on()}") from None
    except KeyboardInterrupt:
        drawn = f" while drawing the plots; everything else is in {folder.final}" if folder.path == folder.final else ""
        raise InterruptedRunError(f"interrupted{drawn}; {folder.said_to_go_on()}") from None
