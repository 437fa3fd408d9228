"""Templates of the real experiments against the direct quadrature, every shape nuisance moved together."""

from __future__ import annotations

import pytest

from nmmfit.contract.likelihood import templates_agree
from nmmfit.run import default_run

POINTS = 200


@pytest.mark.slow
@pytest.mark.parametrize(
    ("experiment", "fewest"),
    [
        ("coherent_csi_2021", 5),
        ("borexino_phase2", 5),
        ("coherent_lar_2020", 5),
        ("coherent_csi_2017", 5),
        ("coherent_ge_2026", 1),
        ("xenonnt_er_2022", 3),
        ("lz_er", 3),
        ("pandax4t_er", 3),
        ("xenonnt_cevns", 3),
    ],
)
def test_log_likelihood_agrees_with_the_direct_path(experiment, fewest):
    run = default_run([f'experiments=["{experiment}"]'])
    joint = run.joint()
    shapes = {p for e in joint.experiments for c in e.channels for k in c.components for f in k.factors for p in f.all_pulls}
    assert len(shapes) >= fewest
    assert templates_agree(joint, run.joint("direct"), POINTS)
