"""Templates of the real experiments against the direct quadrature, every shape nuisance moved together."""

from __future__ import annotations

import pytest

from nmmfit.contract.likelihood import templates_agree
from nmmfit.run import default_run

POINTS = 200


@pytest.mark.slow
@pytest.mark.parametrize("experiment", ["coherent_csi_2021", "borexino_phase2"])
def test_log_likelihood_agrees_with_the_direct_path(experiment):
    run = default_run([f'experiments=["{experiment}"]'])
    joint = run.joint()
    shapes = {p for e in joint.experiments for c in e.channels for k in c.components for f in k.factors for p in f.all_pulls}
    assert len(shapes) >= 5
    assert templates_agree(joint, run.joint("direct"), POINTS)
