"""What a verb gets when it is to go on with what was begun."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nmmfit.results.resumable import ResumableFolder
    from nmmfit.run import Run


@dataclass(frozen=True)
class Unfinished:
    """A computation that was begun and is not finished.

    Attributes:
        verb: which one, such as "fit".
        run: the run as it was begun.
        options: the verb's other options, by the names of its parameters, as JSON has them (no paths, but texts).
        folder: open; entering it as a context and publishing it is left to the verb, as in the first place.
    """

    verb: str
    run: Run
    options: Mapping[str, Any]
    folder: ResumableFolder
