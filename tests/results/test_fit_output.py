from __future__ import annotations

import json

import pytest
from synthetic import synthetic_joint
from synthetic_run import prior_run

from nmmfit.results import adapter
from nmmfit.results.diagnostics import summarise_fit
from nmmfit.results.files import RunFolder
from nmmfit.results.fit_output import write_fit
from nmmfit.results.store import read_run


@pytest.fixture(scope="module")
def joint():
    return synthetic_joint("direct")


@pytest.mark.parametrize("plots", [False, True])
def test_a_run_on_disk(tmp_path, joint, plots):
    result = prior_run(joint, 2, 50)
    summary = summarise_fit(result)
    with RunFolder(tmp_path / "run") as folder:
        choices = {"tensor_coherence": "coherent"}
        printed = write_fit(folder, joint, result, summary, "seed = 1\n", best={"L_dipole": 1.0}, choices=choices, plots=plots)
        folder.publish()
    run = read_run(tmp_path / "run")
    assert run.summary == printed == json.loads(json.dumps(printed))
    assert printed["theory"] == choices
    assert adapter.as_tree(run.data).attrs["theory_tensor_coherence"] == "coherent"
    assert {"posterior", "folded", "sample_stats", "log_likelihood", "posterior_predictive", "observed_data"} <= set(
        adapter.as_tree(run.data).children
    )
    names = {p.name for p in (tmp_path / "run").iterdir()}
    assert {"posterior.nc", "summary.json", "run.toml"} <= names
    assert ({"corner_identified.pdf", "corner_coefficients.png", "spectrum_solar_like.spectrum.png"} <= names) is plots
    assert not any(name.startswith(".") for name in names)
    assert [p.name for p in tmp_path.iterdir()] == ["run"]
