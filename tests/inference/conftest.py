"""The synthetic joint likelihood, built once for all tests of inference."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


@pytest.fixture(scope="session")
def joint():
    from synthetic import synthetic_joint

    return synthetic_joint()


@pytest.fixture(scope="session")
def direct_joint():
    from synthetic import synthetic_joint

    return synthetic_joint("direct")
