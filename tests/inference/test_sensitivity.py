"""Units of amplitudes: what a published limit tells, in closed form."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import nmmfit
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.sensitivity import amplitude_sensitivity
from nmmfit.runfile import write_toml

# The limit of Borexino, 2.8 x 10^-11 mu_B at 90 % CL (arXiv:1707.09355), as a normal distribution in the squared moment around 0.
LIMIT, QUANTILE = 2.8, 1.6448536


def joint(coefficients: dict[str, float], *experiments: str) -> JointLikelihood:
    given: dict[str, Any] = {"coefficients": coefficients, "prior": {"normal": [0.0, 1e-7]}}
    table = {"experiments": list(experiments), "parameters": {"L": given}}
    return nmmfit.parse_run(write_toml(table)).joint()


def size_of_one_unit(found: JointLikelihood) -> float:
    """Value of the only coefficient at which its only amplitude is one unit."""
    rows = np.asarray(found.linear_amplitudes(found.split(np.asarray(found.start))[1]))[:, 0]
    (seen,) = np.flatnonzero(rows)
    return float(amplitude_sensitivity(found)[seen] / abs(rows[seen]))


def test_a_published_limit_counts_with_its_width() -> None:
    """Its expectation is 0 without a moment, and its width is not the root of that."""
    found = joint({"nuNgamma_11": 1.0}, "borexino_phase2_limit")
    size = size_of_one_unit(found)
    assert float(found.identified_values({"L": size})["mu_eff_solar"]) == pytest.approx(LIMIT / math.sqrt(QUANTILE), rel=1e-4)
