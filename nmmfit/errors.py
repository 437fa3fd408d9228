"""Exception classes, and the one way in which this project words a wrong name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NmmfitError(Exception):
    """Base of every error that nmmfit raises on purpose; `exit_code` is what the command line returns."""

    exit_code = 2


class UserInputError(NmmfitError):
    """The user's input is wrong: the message says what, where, what is allowed and the nearest match."""

    exit_code = 2


class DataError(UserInputError):
    """A table is broken: missing, not finite, negative or fractional where counts are needed."""


class OutputError(UserInputError):
    """Results cannot be written where they were asked for (folder in use, not writable, disk full)."""


class NotConvergedError(NmmfitError):
    """The computation ran but did not converge; the message says which part."""

    exit_code = 3


class NotReproducedError(NmmfitError):
    """Results that were computed again are not the same; the message says which."""

    exit_code = 3


class InterruptedRunError(NmmfitError):
    """The user interrupted (Ctrl-C); what was done is kept."""

    exit_code = 130


def unknown(kind: str, given: object, allowed: Iterable[str], where: str = "") -> UserInputError:
    """Error for a name that does not exist: what was given, where, the nearest match and what is allowed.

    Args:
        kind: what the name should have been, such as "experiment".
        given: the name as the user wrote it (anything that is no text has no nearest match).
        allowed: every name that would have been accepted.
        where: the place, such as "experiments[1]"; empty if there is none.
    """
    names = sorted(allowed)
    prefix = f"{where}: " if where else ""
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.5) if isinstance(given, str) else []
    hint = f"; did you mean {near[0]!r}?" if near else ""
    shown = ", ".join(names[:12]) + (f", ... ({len(names)} in all)" if len(names) > 12 else "")
    return UserInputError(f"{prefix}unknown {kind} {given!r}{hint} (" + (f"allowed: {shown})" if names else "there are none)"))
