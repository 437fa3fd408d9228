"""What the library logs, as lines on stderr."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from nmmfit.cli.output import note


class _Noted(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        note(f"nmmfit: warning: {' '.join(record.getMessage().split())}")


@contextmanager
def logged_warnings() -> Iterator[None]:
    """Within this, warnings that nmmfit logs are told to the user, each on one line."""
    logger, handler = logging.getLogger("nmmfit"), _Noted(logging.WARNING)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
