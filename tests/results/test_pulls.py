"""Nuisances before and after a fit."""

from __future__ import annotations

import numpy as np
import pytest
from numpyro import distributions as dist

from nmmfit.inference.parameters import Parameter
from nmmfit.results.pulls import REACH, PullBar, pull_bars, pulls_figure

PARAMETERS = [
    Parameter("L_dipole", "coefficient", "GeV^-1", dist.Normal(0.0, 1e-7), 0.0, 1e-7),
    Parameter("theory.c_T", "theory", "1", dist.Normal(-2.9, 0.3), -2.9, 0.3),
    Parameter("coherent_csi_2021.nin", "nuisance", "1", dist.Normal(0.0, 1.0), 0.0, 1.0),
    Parameter("lab.cauchy", "nuisance", "1", dist.StudentT(1.0, 0.0, 1.0), 0.0, 1.0),
]


def test_bars_are_in_units_of_the_prior(result):
    result.draws["theory.c_T"] = np.tile([-2.6, -2.3], (4, 250))
    result.draws["lab.cauchy"] = np.ones((4, 500))
    bars = pull_bars(result, PARAMETERS)
    # Coefficients are no nuisances, and a prior without a width has no pull.
    assert [b.name for b in bars] == ["theory.c_T", "coherent_csi_2021.nin"]
    assert bars[0].pull == pytest.approx((-2.45 + 2.9) / 0.3)
    assert bars[0].width == pytest.approx(0.15 / 0.3)


def test_the_picture_has_every_nuisance_and_what_lies_outside_as_an_arrow():
    bars = [
        PullBar("theory.c_T", -2.9, 0.3, -2.9, 0.3),
        PullBar("lab.far", 40.0, 1.0, 0.0, 2.0),
        PullBar("lab.b", 1.0, 0.5, 0.0, 1.0),
    ]
    left, right = pulls_figure(bars).axes
    assert [t.get_text() for t in left.get_yticklabels()] == ["$c_{T}$", "lab.far", "lab.b"]
    assert [round(p.get_width(), 6) for p in right.patches] == [1.0, 0.5, 0.5]
    assert left.get_xlim() == (-REACH, REACH)
    assert [t.get_text() for t in left.texts] == ["+20.0"]
    near = pulls_figure(bars[:1]).axes[0]
    assert near.get_xlim()[1] < REACH
    with pytest.raises(ValueError, match="at least one"):
        pulls_figure([])
