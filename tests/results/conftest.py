"""Fixtures of the tests of results."""

from __future__ import annotations

import pytest
from synthetic_run import make_result

from nmmfit.inference.result import SampleResult


@pytest.fixture
def result() -> SampleResult:
    """A synthetic run; a fresh one for every test, so that a test may change it."""
    return make_result()
