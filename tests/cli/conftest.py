"""The synthetic likelihood, built and compiled once for all verbs that sample or minimise."""

from __future__ import annotations

import pytest

from nmmfit.inference.joint import JointLikelihood
from tests.synthetic import synthetic_joint


@pytest.fixture(scope="session")
def joint() -> JointLikelihood:
    return synthetic_joint()
