"""What a check says: it passed with what it found, or failed with the reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from nmmfit.errors import NmmfitError


class ContractError(NmmfitError):
    """A part of the contract does not hold: the message says which and how."""

    exit_code = 3


@dataclass(frozen=True)
class Check:
    """One part of the contract: its name, whether it holds, and what was found or why not.

    `numbers` are measured ones (speed) by name, `value` what the check made, for the checks that follow.
    """

    name: str
    passed: bool
    found: str
    numbers: dict[str, float] = field(default_factory=dict)
    value: Any = None


@dataclass(frozen=True)
class Report:
    """All checks of an experiment, and the distribution that it comes from."""

    experiment: str
    distribution: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return not self.failed

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the checks that failed."""
        return tuple(check.name for check in self.checks if not check.passed)


def attempt(name: str, look: Callable[[], Any]) -> Check:
    """Run one check.

    Args:
        name: of the check.
        look: does it; returns what it found in words, or an object for `value`; raises ContractError, or anything else that
            somebody's code raises.
    """
    try:
        found = look()
    except NmmfitError as problem:
        return Check(name, False, str(problem))
    except Exception as problem:  # noqa: BLE001 (other people's code may raise anything, and the other checks go on)
        return Check(name, False, f"raised {type(problem).__name__}: {' '.join(str(problem).split())}")
    return Check(name, True, found) if isinstance(found, str) else Check(name, True, "", value=found)
