from __future__ import annotations

import errno
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import xarray

import nmmfit
from nmmfit.errors import OutputError, UserInputError
from nmmfit.results import adapter, files
from nmmfit.results.diagnostics import summarise_fit
from nmmfit.results.files import RunFolder
from nmmfit.results.provenance import MAX_ATTRIBUTE_CHARACTERS, git_commit, provenance
from nmmfit.results.store import ChannelDraws, fit_json, posterior_data, read_run, stored_draws, write_run

CHANNEL = "coherent_csi_2021.coincidence"


@pytest.fixture
def channels(result):
    random = np.random.default_rng(5)
    shape = (result.chains, result.draws_per_chain, 6)
    edges = {"energy_pe": np.array([8.0, 10.0, 14.0, 20.0]), "time_us": np.array([0.0, 1.0, 6.0])}
    full = ChannelDraws(random.poisson(9.0, 6), edges, random.normal(-3.0, 1.0, shape), random.poisson(9.0, shape)[:, ::5])
    return {CHANNEL: full}


@pytest.fixture
def data(result, channels):
    return posterior_data(result, channels, provenance('experiments = ["a"]\n', result.seed))


def write(tmp_path, result, data):
    with RunFolder(tmp_path / "run") as folder:
        summary = fit_json(result, summarise_fit(result), out=folder.final, choices={"tensor_coherence": "coherent"})
        write_run(folder, data, summary, 'experiments = ["a"]\n')
        return folder.publish()


def test_round_trip(tmp_path, result, channels, data):
    run = read_run(write(tmp_path, result, data))
    posterior = adapter.group(run.data, "posterior")
    for name, values in (result.draws | result.identified).items():
        np.testing.assert_array_equal(posterior[name].values, values)
        assert posterior[name].dims == ("chain", "draw")
    assert posterior["L_dipole"].attrs == {"unit": "GeV^-1", "kind": "coefficient"}
    assert posterior["coherent_csi_2021.nin"].attrs["kind"] == "nuisance"
    assert posterior["mu_solar"].attrs == {"unit": "1e-11 mu_B", "kind": "identified"}
    np.testing.assert_array_equal(adapter.group(run.data, "folded")["L_T_s"].values, result.folded["L_T_s"])
    stats = adapter.group(run.data, "sample_stats")
    assert stats["diverging"].dtype == bool
    np.testing.assert_array_equal(stats["energy"].values, result.sample_stats["energy"])
    channel = channels[CHANNEL]
    np.testing.assert_array_equal(adapter.group(run.data, "observed_data")[CHANNEL].values, channel.observed)
    np.testing.assert_allclose(adapter.group(run.data, "log_likelihood")[CHANNEL].values, channel.log_likelihood, rtol=1e-6)
    edges = adapter.group(run.data, "constant_data")[f"{CHANNEL}.time_us_edges"]
    np.testing.assert_array_equal(edges.values, [0.0, 1.0, 6.0])
    assert run.run_toml == 'experiments = ["a"]\n'


def test_thinned_draws_keep_their_numbers(channels, data):
    predictive = adapter.group(data, "posterior_predictive")
    np.testing.assert_array_equal(predictive["draw"].values, np.arange(0, 500, 5))
    np.testing.assert_array_equal(predictive[CHANNEL].values, channels[CHANNEL].predictive)
    np.testing.assert_array_equal(adapter.group(data, "log_likelihood")["draw"].values, np.arange(500))


def test_file_opens_with_xarray_alone(tmp_path, result, data):
    folder = write(tmp_path, result, data)
    with xarray.open_dataset(folder / "posterior.nc", group="posterior", engine="h5netcdf") as posterior:
        np.testing.assert_array_equal(posterior["coherent_csi_2021.nin"].values, result.draws["coherent_csi_2021.nin"])


def test_file_opens_with_arviz_itself(tmp_path, result, data):
    folder = write(tmp_path, result, data)
    arviz = adapter._arviz()
    opened = arviz.from_netcdf(str(folder / "posterior.nc"), engine="h5netcdf")
    assert set(opened["posterior"].data_vars) == set(result.draws | result.identified)
    assert opened.attrs["seed"] == "1"
    if hasattr(opened, "close"):
        opened.close()


def test_data_is_of_the_installed_arviz(data):
    expected = xarray.DataTree if adapter.is_datatree_arviz() else adapter._arviz().InferenceData
    assert isinstance(data, expected)
    assert isinstance(adapter.as_tree(data), xarray.DataTree)


def test_provenance_is_stored(data):
    attrs = adapter.as_tree(data).attrs
    assert attrs["version_nmmfit"] == nmmfit.__version__
    for name in ("python", "jax", "numpyro", "arviz", "numpy"):
        assert attrs[f"version_{name}"][0].isdigit()
    assert attrs["run_file"] == 'experiments = ["a"]\n'
    assert attrs["seed"] == "1"
    assert attrs["created_at"].endswith("+00:00")
    assert attrs["interrupted"] == "false"
    assert attrs["symmetries"] == "(L_dipole, L_T_s) -> -(L_dipole, L_T_s)"
    assert {"platform", "commit"} <= set(attrs)


def test_huge_run_file_does_not_break_the_attributes(result):
    long = "# comment\n" * 20_000
    attrs = provenance(long, 1)
    assert len(attrs["run_file"]) < MAX_ATTRIBUTE_CHARACTERS + 100
    adapter.netcdf_bytes(posterior_data(result, {}, attrs))


def test_commit_only_of_a_checkout(tmp_path):
    assert git_commit(tmp_path) == ""
    (tmp_path / ".git").mkdir()
    assert git_commit(tmp_path) == ""
    (tmp_path / "pyproject.toml").touch()
    assert git_commit(tmp_path) == ""


def test_summary_has_the_promised_fields(tmp_path, result, data):
    folder = write(tmp_path, result, data)
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    fields = {"mean", "sd", "hdi_90", "abs_upper_90", "r_hat", "ess_bulk", "ess_tail", "contraction"}
    assert fields <= set(summary["parameters"]["L_dipole"])
    assert fields <= set(summary["identified"]["mu_solar"])
    assert set(summary["parameters"]) == set(result.draws)
    low, high = summary["parameters"]["L_dipole"]["hdi_90"]
    assert low < 0 < high
    assert summary["identified"]["mu_solar"]["unit"] == "1e-11 mu_B"
    assert (summary["divergences"], summary["chains"], summary["draws"], summary["wall_s"]) == (0, 4, 500, 12.5)
    assert summary["out"] == str(folder)
    assert summary["theory"] == {"tensor_coherence": "coherent"}
    assert summary["converged"] is True
    assert summary["parameters"]["L_T_s"]["prior_limited"] is True


def test_full_disk_while_the_posterior_is_written(tmp_path, result, data, monkeypatch):
    real = files.replace_bytes

    def limited(path, content):
        if len(content) > 10_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(path, content)

    monkeypatch.setattr(files, "replace_bytes", limited)
    with pytest.raises(OutputError, match=r"posterior.nc: the disk is full"):
        write(tmp_path, result, data)
    assert list(tmp_path.iterdir()) == []


def test_slash_in_a_name_is_refused(result):
    result.draws["a/b"] = result.draws["theory.c_T"]
    with pytest.raises(UserInputError, match="'a/b'"):
        posterior_data(result, {}, {})


def test_names_shared_by_parameter_and_identified_are_refused(result):
    result.identified["theory.c_T"] = result.draws["theory.c_T"]
    with pytest.raises(ValueError, match=r"theory\.c_T"):
        posterior_data(result, {}, {})


@pytest.mark.parametrize("broken", ["missing folder", "empty folder", "no posterior", "not netcdf", "not json"])
def test_reading_what_is_no_run(tmp_path, result, data, broken):
    folder = tmp_path / "other"
    if broken == "empty folder":
        folder.mkdir()
    elif broken != "missing folder":
        folder = write(tmp_path, result, data)
        if broken == "no posterior":
            (folder / "posterior.nc").unlink()
        elif broken == "not netcdf":
            (folder / "posterior.nc").write_bytes(b"text")
        else:
            (folder / "summary.json").write_text("{")
    with pytest.raises(UserInputError) as error:
        read_run(folder)
    assert str(folder) in str(error.value)


def test_draws_of_a_stored_run(tmp_path, result, data):
    folder = write(tmp_path, result, data)
    found = stored_draws(folder, ["L_T_s", "mu_solar"])
    np.testing.assert_array_equal(found["L_T_s"], result.draws["L_T_s"])
    np.testing.assert_array_equal(found["mu_solar"], result.identified["mu_solar"])
    with pytest.raises(
        UserInputError, match=r"posterior.nc: holds no draws of 'L_T_x'; run.toml beside it is that of another fit"
    ):
        stored_draws(folder, ["L_T_x"])


@pytest.mark.parametrize(
    ("dims", "values", "message"),
    [
        (("x",), np.zeros(5), "have the axes .*, not chain and draw"),
        (("chain", "draw"), np.full((2, 5), np.nan), "must be at least two, and finite numbers"),
        (("chain", "draw"), np.zeros((0, 0)), "must be at least two, and finite numbers"),
    ],
)
def test_draws_that_are_none(tmp_path, result, data, dims, values, message):
    folder = write(tmp_path, result, data)
    tree = xarray.DataTree.from_dict({"posterior": xarray.Dataset({"L_dipole": (dims, values)})})
    (folder / "posterior.nc").write_bytes(adapter.netcdf_bytes(tree))
    with pytest.raises(UserInputError, match=message):
        stored_draws(folder, ["L_dipole"])


def test_a_file_broken_anywhere_is_one_line(tmp_path, result, data, capsys):
    path = write(tmp_path, result, data) / "posterior.nc"
    whole = path.read_bytes()
    random = np.random.default_rng(7)
    messages = []
    for k in range(15):
        broken = bytearray(whole)
        start = int(random.integers(len(whole)))
        broken[start : start + 500] = random.bytes(len(broken[start : start + 500]))
        path.write_bytes(bytes(broken) if k % 3 else whole[:start])
        try:
            adapter.from_netcdf(path)
        except UserInputError as problem:
            messages.append(str(problem))
    # Some changes meet padding or numbers, which no reader can tell from others.
    assert len(messages) > 5
    assert all(str(path) in line and "\n" not in line for line in messages)
    assert capsys.readouterr().err == ""


def test_an_unwritable_cache_folder_does_not_stop_arviz(tmp_path):
    (tmp_path / "file").write_text("")
    code = "from nmmfit.results.adapter import hdi; import os; print(hdi([1.0, 2.0, 4.0], 0.5), os.environ['XDG_CACHE_HOME'])"
    where = {"XDG_CACHE_HOME": str(tmp_path / "file"), "HOME": str(tmp_path / "file")}
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | where, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"(1.0, 2.0) {tmp_path / 'file'}\n"


def test_unknown_group(data):
    with pytest.raises(UserInputError, match="no group 'prior'"):
        adapter.group(data, "prior")
