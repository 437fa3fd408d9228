"""Templates of the real experiments against the direct quadrature, every shape nuisance moved together."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from nmmfit.inference.coordinates import amplitude_coordinates
from nmmfit.run import default_run

POINTS = 200


@pytest.mark.slow
@pytest.mark.parametrize(
    "experiment", ["coherent_csi_2021", "borexino_phase2", "xenonnt_er_2022", "lz_er", "pandax4t_er", "xenonnt_cevns"]
)
def test_log_likelihood_agrees_with_the_direct_path(experiment):
    run = default_run([f'experiments=["{experiment}"]'])
    joint, direct = run.joint(), run.joint("direct")
    shapes = {p for e in joint.experiments for c in e.channels for k in c.components for f in k.factors for p in f.all_pulls}
    random = np.random.default_rng(5)
    coordinates = amplitude_coordinates(joint)
    vectors = []
    for _ in range(POINTS):
        z = np.zeros(len(joint.names))
        # Amplitudes of a few times what the data can tell from zero.
        z[coordinates.linear] = 2.0 * random.normal(size=len(coordinates.linear))
        x = np.array(coordinates.to_parameters(jnp.asarray(z))[0])
        for i, parameter in enumerate(joint.parameters):
            if parameter.kind == "nuisance":
                # Normalisations stay where the data allow them: far away the likelihood is in the hundred thousands.
                x[i] = random.uniform(-3.0, 3.0) if parameter.name in shapes else 0.1 * random.normal()
        vectors.append(x)
    points = joint.unpack(jnp.asarray(np.asarray(vectors)))
    assert len(shapes) >= (3 if "xenon" in experiment or "er" in experiment.split("_") else 5)
    difference = np.asarray(joint.log_likelihood(points)) - np.asarray(direct.log_likelihood(points))
    assert np.all(np.isfinite(difference))
    assert np.abs(difference).max() < 1e-4, np.abs(difference).max()
