"""The synthetic likelihood, by both methods, built once for all tests of exports."""

from __future__ import annotations

import pytest

from nmmfit.inference.joint import JointLikelihood
from tests.synthetic import synthetic_joint


@pytest.fixture(scope="session")
def joint() -> JointLikelihood:
    return synthetic_joint()


@pytest.fixture(scope="session")
def direct_joint() -> JointLikelihood:
    return synthetic_joint("direct")
