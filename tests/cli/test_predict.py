"""`predict` with synthetic experiments in the catalogue."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import distributions as dist
from scipy import stats

from nmmfit.cli.main import main
from nmmfit.experiment import BinnedExperiment, Channel, Component, Factor
from tests.synthetic import N_ENERGY, N_TIME, nuclear_like, solar_like


@pytest.fixture(autouse=True)
def _catalogue(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nmmfit.compilation_cache.enable", lambda: None)

    def point(name: str, make: Any) -> SimpleNamespace:
        module: Any = ModuleType(name)
        module.build = lambda theory=None: make()
        return SimpleNamespace(name=name, value=name, module=name, dist=None, load=lambda: module)

    points = [point("solar_like", solar_like), point("nuclear_like", nuclear_like), point("shared", shared)]
    monkeypatch.setattr("nmmfit.catalogue.entry_points", lambda group: points)


def shared() -> BinnedExperiment:
    """One bin of 10 exp(pull) counts, with a pull that several experiments could share as theory.*."""
    component = Component("all", (Factor(lambda forms, pulls: 10.0 * jnp.exp(pulls["theory.radius"])[None], ("theory.radius",)),))
    channel = Channel("counts", np.asarray([10.0]), (component,), {"bin": np.asarray([0.0, 1.0])})
    return BinnedExperiment("shared", "One bin", (channel,), {"theory.radius": dist.Normal(0.0, 1.0)})


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    return printed.err


def test_the_standard_model_is_what_the_experiment_says(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "predict", "solar_like")
    x = np.linspace(0.1, 1.0, 30)
    solar = 400.0 / (1.0 + np.exp((x - 0.6) / 0.05)) + 60.0
    background = 200.0 * np.exp(-3.0 * x)
    np.testing.assert_allclose(found["components"]["solar"], solar, rtol=1e-12)
    np.testing.assert_allclose(found["components"]["background"], background, rtol=1e-12)
    np.testing.assert_allclose(found["expected"], solar + background, rtol=1e-12)
    assert found["expected_total"] == pytest.approx(np.sum(solar + background))
    assert found["observed_total"] == sum(found["observed"])
    assert (found["experiment"], found["channel"], found["statistic"]) == ("solar_like", "spectrum", "poisson")
    assert found["log_likelihood"] == pytest.approx(stats.poisson(solar + background).logpmf(found["observed"]).sum(), rel=1e-12)
    assert len(found["edges"]["x"]) == 31
    assert found["channels"]["spectrum"]["expected"] == found["expected"]
    assert found["coefficients"] == {}
    assert found["theory"]["tensor_coherence"] == "coherent"


def test_counts_are_quadratic_in_a_coefficient_and_follow_pulls(capsys: pytest.CaptureFixture[str]) -> None:
    nothing = np.array(answer(capsys, "predict", "solar_like")["expected"])
    once = np.array(answer(capsys, "predict", "solar_like", "L_dipole=1e-9", "--scale", "2")["expected"])
    twice = np.array(answer(capsys, "predict", "solar_like", "L_dipole=2e-9i", "--scale", "2")["expected"])
    assert np.all(once > nothing)
    np.testing.assert_allclose(twice - nothing, 4.0 * (once - nothing), rtol=1e-9)
    named = [f"nuNgamma_{flavour}{flavour}=1e-9" for flavour in (1, 2, 3)]
    spelt = answer(capsys, "predict", "solar_like", *named, "--scale", "2")
    np.testing.assert_allclose(spelt["expected"], once, rtol=1e-12)
    assert spelt["coefficients"] == {"nuNgamma_11": [1e-9, 0.0], "nuNgamma_22": [1e-9, 0.0], "nuNgamma_33": [1e-9, 0.0]}
    assert spelt["scale_gev"] == 2.0
    moved = answer(capsys, "predict", "solar_like", "solar_like.flux=2")["components"]["solar"]
    still = answer(capsys, "predict", "solar_like")["components"]["solar"]
    np.testing.assert_allclose(moved, np.exp(0.1) * np.array(still), rtol=1e-12)


def test_theory_inputs_change_what_tensors_do(capsys: pytest.CaptureFixture[str]) -> None:
    direct = answer(capsys, "predict", "solar_like", "L_T_s=1e-5", "theory.c_T_s=0", "--scale", "2")
    indirect = answer(capsys, "predict", "solar_like", "L_T_s=1e-5", "theory.c_T_s=-3.2", "--scale", "2")
    assert indirect["expected_total"] > direct["expected_total"]
    assert indirect["theory"]["c_T_s"] == -3.2


def test_a_pull_may_be_called_theory(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(capsys, "predict", "shared", "theory.radius=1")["expected"] == pytest.approx([10.0 * np.e], rel=1e-12)
    held = answer(capsys, "predict", "shared", "--set", "pulls.theory.radius=-1", "L_T_u=1e-6")
    assert held["expected"] == pytest.approx([10.0 / np.e], rel=1e-12)
    floated = ("--set", "theory.alpha_s_mz={normal=[0.1179,0.001]}")
    held = answer(capsys, "predict", "shared", "--set", "pulls.theory.radius=-1", "L_T_u=1e-6", *floated)
    assert held["expected"] == pytest.approx([10.0 / np.e], rel=1e-12)


def test_tables(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["predict", "nuclear_like", "L_T_u=1e-6", "--out", "there"]) == 0
    shown = capsys.readouterr().out
    assert "steady" in shown
    assert "by e" in shown
    assert "by t" in shown
    stored = json.loads((tmp_path / "there" / "predict.json").read_text())
    assert len(stored["expected"]) == N_ENERGY * N_TIME


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["solar_lik"], "unknown experiment 'solar_lik'; did you mean 'solar_like'?"),
        (["solar_like", "TnuNuRL_1111=1"], "coefficient 'TnuNuRL_1111': unknown operator 'TnuNuRL'"),
        (["solar_like", "nugamma_11=1"], "vanishes"),
        (["solar_like", "nugamma_12=1", "nugamma_21=1"], "'nugamma_12' and 'nugamma_21' are the same up to a sign"),
        (["solar_like", "L_T_x=1"], "unknown name 'L_T_x'; did you mean 'L_T_u'?"),
        (["solar_like", "solar_like.flx=1"], "unknown pull 'solar_like.flx'; did you mean 'solar_like.flux'?"),
        (["solar_like", "solar_like.flux=1i"], "a nuisance is a real number"),
        (["solar_like", "theory.c_t=1"], "unknown pull 'theory.c_t'; did you mean 'theory.c_T'?"),
        (["solar_like", "theory.alpha_s_mz=1"], "alpha_s_mz = 1 is out of range"),
        (["solar_like", "nuNgamma_11"], "expected NAME=VALUE"),
        (["solar_like", "nuNgamma_14=1"], "flavour digit 4 of field N is out of range"),
        (["solar_like", "nuNgamma_11=1e300"], "predict: the expected counts are not finite at nuNgamma_11=1e300"),
        (["solar_like", "solar_like.flux=1e6"], "predict: the expected counts are not finite at solar_like.flux=1e6"),
        (["solar_like", "--scale", "1"], "--scale: 1 GeV is below 2 GeV"),
        (["solar_like", "--scale", "1000"], "--scale: 1000 GeV is above m_W"),
        (["solar_like", "--scale", "nan"], "--scale: nan GeV is no number"),
        (["solar_like", "--set", "pulls.solar_like.flx=0"], "pulls: unknown pull 'solar_like.flx'"),
    ],
)
def test_wrong_input_is_one_line(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert expected in fails(capsys, "predict", *arguments)


def test_list_parameters(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(
        'experiments = ["solar_like", "nuclear_like"]\n[parameters.x]\ncoefficients = {nuNgamma_11 = [0, 2]}\n'
        "prior = {uniform = [-1e-7, 1e-7]}\n[pulls]\nsolar_like.flux = 0\nnuclear_like.radius = {normal = [0, 3]}\n"
    )
    found = answer(capsys, "list", "parameters", "run.toml", "--set", "theory.c_T=-3.2")["parameters"]
    assert found["x"] == {
        "kind": "coefficient", "prior": "uniform(-1e-07, 1e-07)", "unit": "GeV^-1", "meaning": "(0+2i) nuNgamma_11"
    }  # fmt: skip
    assert found["theory.c_T"]["prior"] == "-3.2"
    assert found["theory.c_T_s"]["prior"] == "normal(-3.6, 1.5)"
    assert found["solar_like.flux"]["prior"] == "0"
    assert found["nuclear_like.radius"]["prior"] == "normal(0, 3)"
    assert found["nuclear_like.timing"]["prior"] == "normal(0, 1)"
    assert main(["list", "parameters", "run.toml"]) == 0
    assert "(0+2i) nuNgamma_11" in capsys.readouterr().out
    assert "pulls: unknown pull 'solar_like.x'" in fails(
        capsys, "list", "parameters", "run.toml", "--set", "pulls.solar_like.x=0"
    )
